"""The Bitcoin node is away, and then blocks leave the chain: it is read on, and no deposit is lost or debited."""

import os
import signal
from pathlib import Path

from staging import Runbook, Watch, deposited, held, main, pid_of, ringfence, until, with_custody
from tests.e2e.test_custody import NOBODY, XBT, custody, wallet
from tests.e2e.test_up import Trader

from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.daemons.custody_ports import read_ports
from ringfence.monitoring import metrics
from ringfence.ports import HOST


def run(book: Runbook, folder: Path) -> None:
    with with_custody(folder) as up:
        directory, there = up.directory, ("--directory", up.directory)
        trader = Trader(up.url, up.key("demo-2"))
        watch = Watch(directory)
        chain = next(labels["chain"] for labels, _ in watch.look().each(metrics.CHAIN_TROUBLE))
        book.step("the node ends, and the supervisor is held: nobody starts it again")
        with held(up.process.pid):
            os.kill(pid_of(directory, "bitcoin"), signal.SIGKILL)
            watch.until(
                lambda page: page.value(metrics.CHAIN_TROUBLE, chain=chain) == 1, "the coordinator notices"
            )
            book.check(watch.fires("ChainUnusable"), "ChainUnusable fires")
            book.check("trouble with" in custody("status", *there), "`ringfence custody status` says so")
            log = (directory / "logs" / "coordinator.log").read_text()
            book.check("NodeAwayError" in log, "the coordinator's log says so")
        book.step("it is started again")
        watch.until(lambda page: page.value(metrics.CHAIN_TROUBLE, chain=chain) == 0, "the chain is followed")
        book.check(not watch.fires("ChainUnusable"), "the alert is over")
        after = deposited(trader, XBT, directory)
        watch.until(lambda page: page.value(metrics.DIFFERENCE, asset="XBt") == 0, "chain and ledger agree")
        book.check(True, "the follower reads on where it was: a deposit is credited")

        book.step("the block of the deposit leaves the chain")
        rpc = BitcoinRpc(Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie"))
        rpc.call("generatefork", 3, NOBODY, [])

        def halted() -> set[str]:
            return {row["scope"] for row in trader.call("GET", "/api/v1/halt/status")[1]["halted"]}

        until(lambda: "Withdrawals" in halted(), "withdrawals are halted")
        book.check(True, "withdrawals are halted by themselves")
        book.step("deposits of the asset are halted as well")
        done = ringfence(
            "halt", "now", "--scope", "deposits", "--of", "XBt", "--because", "a reorganisation", "--operator", "anna",
            "--directory", str(directory),
        )  # fmt: skip
        book.check(
            done.returncode == 0 and "Deposits" in halted(), "`ringfence halt now --scope deposits` does it"
        )
        rpc.generate(3, NOBODY)
        watch.until(lambda page: page.value(metrics.DIFFERENCE, asset="XBt") == 0, "the block is there again")
        book.check(wallet(trader)["amount"] == after, "nothing was debited, and chain and ledger agree again")


if __name__ == "__main__":
    main(run)

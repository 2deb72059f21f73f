"""Coins are credited that never came: both scopes are halted by themselves, and co-signers are frozen and thawed."""

import asyncio
import json
from pathlib import Path

from staging import Runbook, Watch, deposited, main, until, with_custody
from tests.e2e.test_custody import XBT, custody, run_custody
from tests.e2e.test_up import Trader

from ringfence.custody.demonstration import PEOPLE
from ringfence.monitoring import metrics
from ringfence.testing.intruder import credit_nothing


def run(book: Runbook, folder: Path) -> None:
    with with_custody(folder) as up:
        directory, there = up.directory, ("--directory", up.directory)
        trader = Trader(up.url, up.key("demo-2"))
        deposited(trader, 2 * XBT, directory)
        watch = Watch(directory)
        watch.until(lambda page: page.value(metrics.DIFFERENCE, asset="XBt") == 0, "chain and ledger agree")
        book.check(not watch.fires("LedgerAndChainDiffer"), "nothing differs")
        book.step("somebody who owns the exchange's servers credits coins that never came")
        asyncio.run(credit_nothing(directory, XBT))
        watch.until(lambda page: page.value(metrics.DIFFERENCE, asset="XBt") == -XBT, "they differ")
        book.check(watch.fires("LedgerAndChainDiffer"), "LedgerAndChainDiffer fires")
        book.check("DIFFER by" in custody("status", *there), "`ringfence custody status` says by how much")
        newest = json.loads((directory / "custody" / "reconciliation.json").read_bytes())[0]
        book.check(newest[-1] == -XBT, "`reconciliation.json` has it to the smallest unit")

        def halted() -> set[str]:
            return {row["scope"] for row in trader.call("GET", "/api/v1/halt/status")[1]["halted"]}

        until(lambda: halted() >= {"Withdrawals", "Venue"}, "withdrawals are halted, then the venue")
        book.check(True, "withdrawals are halted by themselves, and the venue at the second look")
        audit = json.dumps(trader.call("GET", "/api/v1/audit")[1])
        book.check("I02" in audit, "`/api/v1/audit` names the law")
        book.step("the co-signers are frozen")
        said = custody("freeze", "--because", "a difference", *there)
        book.check(
            "5 of 5 co-signers are frozen" in said, "`ringfence custody freeze`: nothing is signed any more"
        )
        signers = json.loads(custody("signers", *there, "--json"))
        book.check(all(one["is_frozen"] for one in signers.values()), "`ringfence custody signers` says so")
        book.step("people have explained it: one alone cannot thaw, two of different groups can")
        keys = [
            ("--person", name, "--key", directory / "custody" / "people" / f"{name}.key") for name in PEOPLE
        ]
        book.check(run_custody("thaw", *keys[0], *there).returncode != 0, "one person thaws nothing")
        book.check("5 co-signers go on" in custody("thaw", *keys[0], *keys[1], *there), "two do")


if __name__ == "__main__":
    main(run)

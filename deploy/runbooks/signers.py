"""Two of five co-signers are away, and the log of one has been altered: coins wait, and go when they are back."""

import json
import os
import signal
from pathlib import Path

from staging import Runbook, Watch, deposited, main, pid_of, ringfence, until, with_custody
from tests.e2e.test_custody import NOBODY, XBT, custody, state_of
from tests.e2e.test_up import Trader

from ringfence.daemons.supervisor import read_run_state
from ringfence.monitoring import metrics

_AWAY = ("ops-3", "policy-1", "policy-2")


def run(book: Runbook, folder: Path) -> None:
    with with_custody(folder) as up:
        directory, there = up.directory, ("--directory", up.directory)
        trader = Trader(up.url, up.key("demo-2"))
        deposited(trader, XBT, directory)
        watch = Watch(directory)
        book.step(f"{', '.join(_AWAY)} do not answer")
        for name in _AWAY:
            os.kill(pid_of(directory, f"cosigner-{name}"), signal.SIGSTOP)

        def missing(count: int) -> None:
            watch.until(
                lambda page: (
                    sum(page.value(metrics.UP, name=f"cosigner-{name}") == 0 for name in _AWAY) == count
                ),
                f"{count} co-signers are missing",
            )

        missing(len(_AWAY))
        book.check(watch.fires("CosignersMissing"), "CosignersMissing fires")
        standing = json.loads(custody("signers", *there, "--json"))
        silent = {name for name, one in standing.items() if one is None}
        book.check(silent == set(_AWAY), "`ringfence custody signers` says who does not answer")
        ask = {"currency": "XBt", "network": "btc", "amount": XBT // 2, "address": NOBODY, "fee": 300_000}
        asked = trader.call("POST", "/api/v1/user/requestWithdrawal", ask)[1]["transactID"]
        until(lambda: state_of(there, asked) == "locked", "a withdrawal is under way")
        book.step("they are back")
        for name in _AWAY:
            os.kill(pid_of(directory, f"cosigner-{name}"), signal.SIGCONT)
        missing(0)
        book.check(not watch.fires("CosignersMissing"), "the alert is over")
        until(lambda: state_of(there, asked) == "paid", "the withdrawal is paid", seconds=240)
        book.check(True, "the withdrawal that waited is paid")

        book.step("somebody alters a line of a co-signer's log")
        lines = directory / "custody" / "cosigners" / "ops-3" / "log.jsonl"
        raw = lines.read_bytes()
        lines.write_bytes(raw.replace(b'"kind":"', b'"kind":"x', 1))
        os.kill(pid_of(directory, "cosigner-ops-3"), signal.SIGKILL)
        until(lambda: _state(directory, "cosigner-ops-3") == "failed", "it is not started again")
        book.check(
            "failed" in ringfence("status", str(directory)).stdout,
            "`ringfence status` says that it has failed",
        )
        log = (directory / "logs" / "cosigner-ops-3.log").read_text()
        book.check("of the log" in log, "its log says which line is not what was written")
        watch.look()
        book.check(not watch.fires("CosignersMissing"), "four are enough")


def _state(directory: Path, name: str) -> str:
    state = read_run_state(directory)
    assert state is not None
    return next(one.state for one in state.processes if one.name == name)


if __name__ == "__main__":
    main(run)

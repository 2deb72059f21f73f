"""A large withdrawal waits for a person, and has waited for hours: it says for whom, and is paid when they approve.

The hours do not pass: the coordinator is started once with its own clock seven hours ahead.
"""

import json
import os
import signal
from pathlib import Path

from staging import Clocks, Runbook, Watch, deposited, main, pid_of, until, with_custody
from tests.e2e.test_custody import (
    NOBODY,
    XBT,
    custody,
    state_of,
    waits_for_approval,
    withdrawals,
)
from tests.e2e.test_up import Trader

from ringfence.monitoring import metrics

_SEVEN_HOURS = 7 * 3_600


def run(book: Runbook, folder: Path) -> None:
    with (
        Clocks(folder / "clocks") as clocks,
        with_custody(folder) as up,
    ):
        directory, there = up.directory, ("--directory", up.directory)
        trader = Trader(up.url, up.key("demo-2"))
        deposited(trader, 45 * XBT, directory)
        watch = Watch(directory)
        ask = {"currency": "XBt", "network": "btc", "address": NOBODY, "fee": 300_000}

        def withdraw(amount: int) -> str:
            said = trader.call("POST", "/api/v1/user/requestWithdrawal", {**ask, "amount": amount})[1]
            return str(said["transactID"])

        first = withdraw(XBT)  # to an address that is new no large amount goes
        until(lambda: state_of(there, first) == "paid", "a small one is paid", seconds=120)
        asked = withdraw(20 * XBT)
        until(lambda: withdrawals(there) and waits_for_approval(there), "it waits for an approval")
        row = json.loads(custody("withdrawals", "--json", *there))[0]
        book.check("P6" in row["waitingFor"], "`ringfence custody withdrawals` says what it waits for")
        pending = json.loads(custody("pending", "--json", *there))
        book.check(
            [one["withdrawal"] for one in pending] == [row["withdrawal"]],
            "`ringfence custody pending` has it",
        )
        watch.look()
        book.check(not watch.fires("WithdrawalOld"), "it is young")
        book.step("hours have passed")
        _restart_coordinator(directory, clocks, _SEVEN_HOURS)
        watch.until(lambda page: (page.value(metrics.WITHDRAWAL_AGE) or 0) > _SEVEN_HOURS, "it is old")
        book.check(watch.fires("WithdrawalOld"), "WithdrawalOld fires")
        _restart_coordinator(directory, clocks, 0)
        watch.until(
            lambda page: 0 < (page.value(metrics.WITHDRAWAL_AGE) or 0) < _SEVEN_HOURS, "the clock is right"
        )
        book.step("a person is called, and approves")
        anna = ("--person", "custody-anna", "--key", directory / "custody" / "people" / "custody-anna.key")
        said = custody("approve", "--withdrawal", row["withdrawal"], *anna, *there)
        book.check("approves 2,000,000,000 XBt" in said, "`ringfence custody approve` says what is approved")
        until(lambda: state_of(there, asked) == "paid", "it is paid", seconds=240)
        book.check(True, "it is paid")
        watch.until(lambda page: page.value(metrics.WITHDRAWAL_AGE) == 0, "nothing is under way")
        book.check(not watch.fires("WithdrawalOld"), "the alert is over")


def _restart_coordinator(directory: Path, clocks: Clocks, ahead: int) -> None:
    clocks.ahead("coordinator", ahead)
    was = pid_of(directory, "coordinator")
    os.kill(was, signal.SIGKILL)
    until(lambda: pid_of(directory, "coordinator") not in (0, was), "the coordinator is started again")


if __name__ == "__main__":
    main(run)

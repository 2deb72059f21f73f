"""How fast coins come and go, and how fast a lie about them stops the venue: `python benchmarks/custody.py [--json]`.

Three whole venues of `ringfence up`, one after another: a deposit until it is credited, a withdrawal from the request
until it is confirmed and closed (drawn, signed by three co-signers, mined), and a credit of coins that never came
until withdrawals, then the venue, are halted. Blocks are made as soon as something waits for one.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from ringfence.testing.bitcoin import NOBODY
from ringfence.testing.client import Client
from ringfence.testing.intruder import credit_nothing
from ringfence.testing.measure import Result, report
from ringfence.testing.up import RINGFENCE, Up, wait_for

RUNS = 1 if "--quick" in sys.argv[1:] else 3
XBT = 10**8
CYCLE_SECONDS = 600
"""Chain and ledger are compared at least so often: the peer of what is measured."""


def timed(look: Callable[[], Any], what: str) -> float:
    """Return how long it takes until `look` finds something."""
    began = time.monotonic()
    wait_for(look, 120, what)
    return time.monotonic() - began


def one_venue(directory: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    with Up(directory, "--no-bots", custody=True) as up:
        trader = Client(up.port, up.key("demo-2"))

        def wallet() -> Any:
            return trader.get("/user/wallet?currency=XBt")

        def halted(scope: str) -> bool:
            return scope in {row["scope"] for row in trader.get("/halt/status")["halted"]}

        trader.get("/user/depositAddress?currency=XBt&network=btc")
        before = wallet()["amount"]
        faucet = [RINGFENCE, "custody", "faucet", str(2 * XBT), "--account", str(trader.account)]
        subprocess.run([*faucet, "--directory", str(directory)], check=True, capture_output=True)
        found["deposit_credited"] = timed(lambda: wallet()["amount"] == before + 2 * XBT, "credit")

        ask = {"currency": "XBt", "network": "btc", "amount": XBT, "address": NOBODY, "fee": 300_000}
        assert trader.call("POST", "/user/requestWithdrawal", ask).status == 200
        found["withdrawal_closed"] = timed(lambda: wallet()["pendingDebit"] == 0, "payment")

        began = time.monotonic()
        asyncio.run(credit_nothing(directory, XBT))
        wait_for(lambda: halted("Withdrawals"), 60, "halt of withdrawals")
        found["false_credit_halts_withdrawals"] = time.monotonic() - began
        wait_for(lambda: halted("Venue"), 60, "halt of the venue")
        found["false_credit_halts_venue"] = time.monotonic() - began
    return found


def results() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        runs = [one_venue(Path(folder) / f"venue-{number}") for number in range(RUNS)]
    for name in runs[0]:
        value = median(run[name] for run in runs)
        if name.startswith("false"):
            peer = f"the cycle of {CYCLE_SECONDS} s"
            yield Result(f"custody.{name}_seconds", value, "s", peer, value / CYCLE_SECONDS)
        else:
            yield Result(f"custody.{name}_seconds", value, "s")


if __name__ == "__main__":
    report(results())

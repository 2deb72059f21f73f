"""How fast ether, dollars, SOL and hot Bitcoin come and go: `python benchmarks/chains.py [--json] [--quick]`.

One venue of `ringfence up` with all of its chains. A deposit is timed from the faucet until it is credited, a
withdrawal from the request until it is final on its chain and closed in the ledger: drawn, decided by four co-signers,
signed by them together, mined. The peer is a withdrawal from the cold Bitcoin wallet in the same run. Then several of
each are asked for at once, to see how many go a minute. Development chains make a block every two seconds where
something waits for one.
"""

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
from ringfence.testing.measure import Result, report
from ringfence.testing.up import RINGFENCE, Up, wait_for
from ringfence.units.assets import BY_CURRENCY, ETH, SOL, USDT, XBT

RUNS = 2 if "--quick" in sys.argv[1:] else 5
AT_ONCE = 2 if "--quick" in sys.argv[1:] else 6
TO = {
    ETH.currency: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    USDT.currency: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    SOL.currency: "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin", XBT.currency: NOBODY,
}  # fmt: skip
DEPOSIT = {
    ETH.currency: 8 * 10**9,
    USDT.currency: 900 * 10**6,
    SOL.currency: 20 * 10**9,
    XBT.currency: 30 * 10**8,
}
SMALL = {ETH.currency: 10**8, USDT.currency: 10**7, SOL.currency: 10**8, XBT.currency: 10**6}
COLD_SATS = 2 * 10**8
"""Beyond the cap of the hot wallet."""


class Trader:
    """One account, and what it waits for."""

    def __init__(self, up: Up) -> None:
        self._client = Client(up.port, up.key("demo-2"))
        self.account = self._client.account

    def wallet(self, currency: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(f"/user/wallet?currency={currency}")
        return found

    def ask(self, currency: str, amount: int) -> None:
        network = BY_CURRENCY[currency].network
        body = {"currency": currency, "network": network, "amount": amount, "address": TO[currency]}
        assert self._client.call("POST", "/user/requestWithdrawal", body).status == 200

    def is_paid(self, currency: str) -> bool:
        return bool(self.wallet(currency)["pendingDebit"] == 0)


def timed(look: Callable[[], Any], what: str) -> float:
    """Return how long it takes until `look` finds something."""
    began = time.monotonic()
    wait_for(look, 300, what)
    return time.monotonic() - began


def results() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "venue"
        with Up(directory, "--no-bots", custody=True, chains=True) as up:
            founded = timed(lambda: "XBt come and go" in up.text, "keys")
            yield Result("chains.founded_behind_an_open_venue_seconds", founded, "s")
            time.sleep(5)  # the coordinator looks at the hot wallet from the beginning
            yield from _of_venue(directory, Trader(up))


def _of_venue(directory: Path, trader: Trader) -> Iterator[Result]:
    for currency, amount in DEPOSIT.items():
        wanted = trader.wallet(currency)["amount"] + amount
        words = [RINGFENCE, "custody", "faucet", str(amount), "--account", str(trader.account)]
        subprocess.run(
            [*words, "--currency", currency, "--directory", str(directory)], check=True, capture_output=True
        )
        credited = timed(lambda c=currency, w=wanted: trader.wallet(c)["amount"] == w, f"{currency}")  # type: ignore[misc]
        yield Result(f"chains.{currency}.deposit_credited_seconds", credited, "s")
    cold = _withdrawal(trader, XBT.currency, COLD_SATS)
    yield Result("chains.cold.XBt.withdrawal_closed_seconds", cold, "s")
    for currency, amount in SMALL.items():
        found = median(_withdrawal(trader, currency, amount + turn) for turn in range(RUNS))
        name = "hot.XBt" if currency == XBT.currency else currency
        peer = "a withdrawal from the cold Bitcoin wallet"
        yield Result(f"chains.{name}.withdrawal_closed_seconds", found, "s", peer, found / cold)
    for turn in range(AT_ONCE):
        for currency, amount in SMALL.items():
            trader.ask(currency, amount + 100 + turn)
    took = timed(lambda: all(trader.is_paid(one) for one in SMALL), "all of them")
    yield Result("chains.withdrawals_per_minute", AT_ONCE * len(SMALL) * 60 / took, "1/min")


def _withdrawal(trader: Trader, currency: str, amount: int) -> float:
    trader.ask(currency, amount)
    return timed(lambda: trader.is_paid(currency), f"payment of {currency}")


if __name__ == "__main__":
    report(results())

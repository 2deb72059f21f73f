"""Traders who place and cancel without pause while things break, and know afterwards what they were told."""

import http.client
import random
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ringfence.testing.client import Answer, Client

ENOUGH = 10
"""More acknowledged orders than this of each trader, and something can be seen."""
_HISTORY_SECONDS = 30.0


class Trader(threading.Thread):
    """Places and cancels orders without pause; on a lost answer it asks what became of the order."""

    def __init__(self, port: int, account: int, stop: threading.Event, *, host: str = "127.0.0.1") -> None:
        super().__init__(name=f"trader {account}", daemon=True)
        self.client = Client(port, account, host=host)
        self.stop = stop
        self.dice = random.Random(account)
        self.acknowledged: dict[str, str] = {}
        """clOrdID -> orderID of every order that we were told is placed."""
        self.cancelled: set[str] = set()
        self.refused: set[str] = set()
        self.lost = 0
        self.turned_away = 0
        """Times we were told to try again."""
        self.fault: str | None = None
        self.answered: list[float] = []
        """When each order was acknowledged, on the monotonic clock."""

    def run(self) -> None:
        try:
            number = 0
            while not self.stop.is_set():
                number += 1
                self.trade(f"t{self.client.account}-{number}")
        except Exception as error:
            self.fault = repr(error)
            raise

    def trade(self, clordid: str) -> None:
        side = self.dice.choice((1, -1))
        # Prices overlap, so that some orders trade.
        price = 10_000 - side * self.dice.randint(-3, 40) * 0.5
        row = self.place(clordid, side * 100, price)
        if row is None:
            return
        assert row["clOrdID"] == clordid
        self.acknowledged[clordid] = row["orderID"]
        if self.dice.random() < 0.7:
            self.cancel(clordid, row["orderID"])

    def place(self, clordid: str, qty: int, price: float) -> dict[str, Any] | None:
        """Place an order for certain: again only when it is known not to be there."""
        while not self.stop.is_set():
            answer = self.attempt(
                "POST", "/order", {"symbol": "XBTUSD", "orderQty": qty, "price": price, "clOrdID": clordid}
            )
            if answer is None:
                self.lost += 1
                found = self.find(clordid)
                if found:
                    return found
                continue
            if answer.status == 200:
                self.answered.append(time.monotonic())
                row: dict[str, Any] = answer.value
                return row
            if answer.status == 503:
                assert "Nothing was done" in answer.error, answer
                self.turned_away += 1
                time.sleep(0.02)
                continue
            # Refused for its own sake, such as for too many open orders: it must not be there.
            assert answer.status == 400, answer
            assert answer.error != "Duplicate clOrdID", f"{clordid} was placed though we were told it was not"
            self.refused.add(clordid)
            self.attempt("DELETE", "/order/all", {})
            return None
        return None

    def find(self, clordid: str) -> dict[str, Any] | None:
        while not self.stop.is_set():
            answer = self.attempt("GET", f"/order?filter=%7B%22clOrdID%22%3A%22{clordid}%22%7D")
            if answer is not None and answer.status == 200:
                rows = answer.value
                assert len(rows) <= 1, f"{clordid} was placed {len(rows)} times"
                return rows[0] if rows else None
            time.sleep(0.02)
        return None

    def cancel(self, clordid: str, order_id: str) -> None:
        answer = self.attempt("DELETE", "/order", {"orderID": order_id})
        if answer is not None and answer.status == 200 and "error" not in answer.value[0]:
            self.cancelled.add(clordid)

    def attempt(self, method: str, path: str, value: Any = None) -> Answer | None:
        """Return the answer, None if the connection was lost before it came."""
        try:
            return self.client.call(method, path, value)
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
            return None


def wait_enough(traders: Sequence[Trader], *, seconds: float = 60.0) -> None:
    """Wait until each was told enough, or has stopped; how long that takes is the machine's matter.

    Raises TimeoutError.
    """
    until = time.monotonic() + seconds
    while any(trader.fault is None and len(trader.acknowledged) <= ENOUGH for trader in traders):
        if time.monotonic() > until:
            found = [len(trader.acknowledged) for trader in traders]
            raise TimeoutError(f"acknowledged in {seconds:g} s: {found} orders")
        time.sleep(0.05)


class Tally(NamedTuple):
    """Orders by clOrdID about which a trader was told what is not so."""

    lost: list[str]
    """Acknowledged, and not there under the number that was told."""
    doubled: list[str]
    untrue: list[str]
    """Cancelled and still working, or refused and there all the same."""


def _page(trader: Trader, start: int) -> list[dict[str, Any]]:
    """Return orders of the past; history may be behind for a while after so much was lost. Raises AssertionError."""
    until = time.monotonic() + _HISTORY_SECONDS
    while True:
        answer = trader.client.call("GET", f"/order?count=500&start={start}")
        if answer.status != 503 or time.monotonic() > until:
            assert answer.status == 200, answer
            found: list[dict[str, Any]] = answer.value
            return found
        time.sleep(0.2)


def tally(trader: Trader) -> Tally:
    """Compare what a trader was told with what the exchange says now."""
    rows: list[dict[str, Any]] = []
    while page := _page(trader, len(rows)):
        rows += page
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["clOrdID"], []).append(row)
    lost = [
        name for name, order_id in trader.acknowledged.items()
        if not any(row["orderID"] == order_id for row in by_name.get(name, ()))
    ]  # fmt: skip
    doubled = [name for name, found in by_name.items() if len(found) > 1]
    working = [
        name for name in trader.cancelled
        if any(row["ordStatus"] not in ("Canceled", "Filled") for row in by_name.get(name, ()))
    ]  # fmt: skip
    return Tally(lost, doubled, working + sorted(trader.refused & set(by_name)))


def check(trader: Trader) -> None:
    """Raises AssertionError if a trader was told what is not so, or was told next to nothing."""
    assert len(trader.acknowledged) > ENOUGH
    assert tally(trader) == Tally([], [], [])

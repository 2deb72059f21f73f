"""A venue in one process for scenario tables: traders by name, prices as they are read, events in words.

Everything that happens in it is held against the shadow.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ringfence.assurance.shadow import figures
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.specification import Instrument
from ringfence.messages.batch import Records
from ringfence.messages.commands import (
    Command,
    Contingency,
    IndexStatus,
    OrderFlag,
    OrderType,
    Peg,
    TriggerPrice,
    VenueParameter,
    instructions,
)
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.twins import ShadowedEngine
from ringfence.units.limits import INDEX_DECIMALS
from ringfence.units.time import NS_PER_SECOND

INSTRUMENTS = {instrument.symbol: instrument for instrument in start_instruments(START_NS)}
FUTURE = next(symbol for symbol, of in INSTRUMENTS.items() if of.expiry_ns)
SELL = OrderFlag.SELL


def ticks(of: Instrument, price: float) -> int:
    return round(price * int(10**of.tick_decimals) / of.tick_units)


_TICKS_MAX = 5_000


class Happened(NamedTuple):
    """One event, in the words that tables compare."""

    kind: Event
    account: int
    symbol: int
    qty: int
    px: int
    amount: int
    maker_amount: int
    maker_account: int
    flags: int
    handle: int
    maker_handle: int


class Market:
    """Accounts 1..n are traders with plenty of demo coins; the one after them is the insurance account."""

    def __init__(self, *, traders: int = 6, fund_xbt: int = 10**8, fund_usdt: int = 10**9) -> None:
        self.engine = ShadowedEngine(accounts=traders + 2, orders=1 << 12)
        self.now_ns = START_NS
        self.fund = traders + 1
        self.history: list[Happened] = []
        self.run(opening(accounts=traders, mark_ticks=10_000))
        rows = [
            command(Command.OPEN_ACCOUNT, account=self.fund),
            command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=self.fund),
        ]
        for asset, amount in ((0, fund_xbt), (1, fund_usdt)):
            if amount:
                rows.append(command(Command.DEPOSIT, account=self.fund, symbol=asset, qty=amount))
        self.run(np.concatenate(rows))

    # ---- time and commands

    def run(self, rows: Records, *, pump: bool = True) -> list[Happened]:
        """Apply commands, then TICKs while something is left over; return what happened."""
        happened = list(self._events(rows))
        for _ in range(_TICKS_MAX):
            if not pump or not self.engine.has_more_to_do:
                break
            happened += self._events(command(Command.TICK))
        else:
            raise AssertionError("there is always something left to do")
        self.history += happened
        return happened

    def _events(self, rows: Records) -> Iterator[Happened]:
        for event in self.engine.step(rows, timestamp_ns=self.now_ns):
            yield Happened(Event(int(event["kind"])), *(int(event[name]) for name in Happened._fields[1:]))

    def after(self, seconds: float) -> list[Happened]:
        """Let time pass, with one TICK at its end (and more while something is due)."""
        self.now_ns += int(seconds * NS_PER_SECOND)
        happened = self.run(command(Command.TICK))
        while 0 < self.engine.wake_at_ns <= self.now_ns:
            happened += self.run(command(Command.TICK))
        return happened

    def index(self, symbol: str, price: float, *, status: IndexStatus = IndexStatus.LIVE) -> list[Happened]:
        """Publish a price of an index, e.g. `.BXBT`."""
        units = round(price * 10**INDEX_DECIMALS)
        return self.run(command(Command.INDEX, symbol=INSTRUMENTS[symbol].number, qty=units, type=status))

    def mark(self, symbol: str, price: float) -> list[Happened]:
        of = INSTRUMENTS[symbol]
        return self.run(
            command(
                Command.MARK,
                symbol=of.number,
                qty=round(price * 10 ** (of.tick_decimals + 2) / of.tick_units),
            )
        )

    def pretend(self, symbol: str, **values: int) -> None:
        """Set figures of an instrument by hand, for a market that would take long to get there."""
        number = INSTRUMENTS[symbol].number
        for name, value in values.items():
            self.engine.state.instruments[number][name] = value
            setattr(self.engine.shadow.venue.instruments[number], name, value)
        venue = next(figures(self.engine.shadow.venue)).values
        self.engine.state.header["next_due_ns"] = venue["next_due_ns"]

    # ---- orders

    def order(
        self, account: int, symbol: str, qty: int, price: float | None = None, *, stop: float | None = None,
        kind: OrderType | None = None, flags: int = 0, trigger: TriggerPrice = TriggerPrice.MARK,
        peg: Peg = Peg.NONE, offset: float = 0, link: int = 0, contingency: Contingency = Contingency.NONE,
        within_mark: bool = False, clid: int = 0,
    ) -> list[Happened]:  # fmt: skip
        """Place an order; a negative quantity sells. Type as the wire infers it."""
        of = INSTRUMENTS[symbol]
        if kind is None:
            if stop is not None or peg == Peg.TRAILING:
                kind = OrderType.STOP if price is None else OrderType.STOP_LIMIT
            else:
                kind = OrderType.MARKET if price is None else OrderType.LIMIT
        handle = instructions(
            trigger=trigger,
            peg=peg,
            peg_offset=ticks(of, offset),
            contingency=contingency,
            within_mark=within_mark,
        )
        return self.run(
            command(
                Command.PLACE, account=account, symbol=of.number, qty=abs(qty), type=kind,
                px=0 if price is None else ticks(of, price), stop_px=0 if stop is None else ticks(of, stop),
                flags=flags | (SELL if qty < 0 else 0), handle=handle, orig_clid=link, clid=clid,
            )
        )  # fmt: skip

    def trade(self, buyer: int, seller: int, symbol: str, qty: int, price: float) -> list[Happened]:
        """Let two accounts trade at a price."""
        self.order(seller, symbol, -qty, price)
        return self.order(buyer, symbol, qty, price)

    def leverage(self, account: int, symbol: str, times: float) -> list[Happened]:
        return self.run(
            command(
                Command.SET_LEVERAGE,
                account=account,
                symbol=INSTRUMENTS[symbol].number,
                qty=round(times * 100),
            )
        )

    # ---- what there is

    def position(self, account: int, symbol: str) -> Any:
        found = self.engine.position(account, INSTRUMENTS[symbol].number)
        return found if found is not None else np.zeros(1, np.dtype([("qty", "i8"), ("cost", "i8")]))[0]

    def wallet(self, account: int, asset: int = 0) -> int:
        return int(self.engine.margin(asset, account)["wallet"])

    def book(self, symbol: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return self.engine.book(INSTRUMENTS[symbol].number)


def kinds(happened: list[Happened]) -> list[str]:
    """Return the names of what happened, without the beat of time."""
    return [event.kind.name for event in happened if event.kind != Event.TICKED]


def refusals(happened: list[Happened]) -> list[Reject]:
    return [Reject(event.amount) for event in happened if event.kind == Event.REJECTED]

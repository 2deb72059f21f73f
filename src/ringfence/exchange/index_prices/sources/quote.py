"""A price as a source says it, into index units or a named fault; and the newest of every source."""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple, Protocol

from ringfence.exchange.index_prices.constituents import Index
from ringfence.exchange.index_prices.protection import NO_TICK, Tick
from ringfence.messages.constituents import Reference, Verdict
from ringfence.units.limits import INDEX_DECIMALS, INDEX_UNITS_MAX

_DIGITS_MAX = 15
"""More digits before the point than this are out of every range, and are not even counted out."""


class Quote(NamedTuple):
    """What one message says of one market. `price` is text, or a number that JSON had no quotes around."""

    market: str
    price: object
    at_ns: int
    """The venue's own stamp; 0 = it gives none."""


class Source(Protocol):
    """Where prices come from. `run` until it is cancelled; `ticks` at any time."""

    async def run(self) -> None: ...

    def ticks(self, index: Index, *, now_ns: int) -> list[Tick]:
        """Return the newest that each constituent has said, in their order."""
        ...


def read_price(said: object, *, at_ns: int) -> Tick:
    """Return a tick. What is no positive number has a fault and no price; nothing here is a float."""
    if not isinstance(said, str | int | Decimal) or isinstance(said, bool):
        return Tick(0, at_ns, Verdict.NOT_A_PRICE)
    try:
        price = Decimal(said)
    except InvalidOperation:
        return Tick(0, at_ns, Verdict.NOT_A_PRICE)
    if not price.is_finite() or price <= 0:
        return Tick(0, at_ns, Verdict.NOT_A_PRICE)
    if not -_DIGITS_MAX < price.adjusted() < _DIGITS_MAX:
        return Tick(0, at_ns, Verdict.OUT_OF_RANGE)
    units = int(price.scaleb(INDEX_DECIMALS).to_integral_value())
    if not 0 < units <= INDEX_UNITS_MAX:
        return Tick(0, at_ns, Verdict.OUT_OF_RANGE)
    return Tick(units, at_ns)


class Board:
    """The newest tick of every (venue, base, quote), as connections hear them."""

    def __init__(self) -> None:
        self._ticks: dict[tuple[Reference, str, str], Tick] = {}

    def hear(self, reference: Reference, base: str, quote: str, said: Quote, *, now_ns: int) -> None:
        """Take what a venue says. Its stamp makes a price older, never younger than it was heard.

        An older trade than the newest one, as in a snapshot after a reconnect, is passed over; what is no
        price always counts as news.
        """
        key = (reference, base, quote)
        tick = read_price(said.price, at_ns=min(said.at_ns or now_ns, now_ns))
        before = self._ticks.get(key)
        if before is None or tick.fault != Verdict.COUNTED or tick.at_ns >= before.at_ns:
            self._ticks[key] = tick

    def ticks(self, index: Index) -> list[Tick]:
        return [
            self._ticks.get((one.reference, index.base, index.quote), NO_TICK) for one in index.constituents
        ]

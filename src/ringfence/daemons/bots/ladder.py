"""Which orders a maker wants, and the fewest steps from those it has: plain functions of numbers.

Levels stand on a fixed grid, so that when the price moves by one level only the order that has fallen
behind moves, on each side; the others keep their place in the queue.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

LEVELS = 10
_SLACK = 0.25
"""How far, in steps, the price may leave the gap between the best quotes before they follow it."""

Side = tuple[bool, int]
"""(is_sell, price in ticks)."""


class Quote:
    """One resting order of the maker."""

    __slots__ = ("is_sell", "leaves", "order_id", "px")

    def __init__(self, order_id: str, *, is_sell: bool, px: int, leaves: int) -> None:
        self.order_id, self.is_sell, self.px, self.leaves = order_id, is_sell, px, leaves


class Change(NamedTuple):
    """One order message: place (no quote), amend, or cancel (no quantity)."""

    quote: Quote | None
    is_sell: bool
    px: int
    qty: int


def best_bid_level(reference: float, step: int, previous: int | None) -> int:
    """Return the grid number of the best bid; the best ask stands one above it."""
    level = int(reference // step)
    if previous is not None and previous - _SLACK <= reference / step <= previous + 1 + _SLACK:
        return previous
    return level


def wanted(
    *, bid_level: int, ask_level: int, step: int, bid_qty: Iterable[int], ask_qty: Iterable[int]
) -> dict[Side, int]:
    """Return the quantity wanted at each price of both sides, best first."""
    assert bid_level < ask_level
    bids = {(False, (bid_level - k) * step): qty for k, qty in enumerate(bid_qty) if bid_level - k > 0}
    asks = {(True, (ask_level + k) * step): qty for k, qty in enumerate(ask_qty)}
    return bids | asks


def changes(held: Iterable[Quote], want: Mapping[Side, int], *, rising: bool) -> list[Change]:
    """Return the messages that turn what is held into what is wanted, in an order that never crosses.

    When the price rises the asks make room before the bids follow, when it falls the other way round.
    A quantity is only corrected when it is off by a factor of two: a fill of a part is no reason to
    lose the place in the queue.
    """
    here: dict[Side, Quote] = {}
    spare: dict[bool, list[Quote]] = {False: [], True: []}
    for quote in held:
        side = (quote.is_sell, quote.px)
        if side in want and side not in here:
            here[side] = quote
        else:
            spare[quote.is_sell].append(quote)
    result: list[Change] = []
    for is_sell in (True, False) if rising else (False, True):
        for (sells, px), qty in want.items():
            if sells != is_sell:
                continue
            found = here.get((sells, px))
            if found is None:
                result.append(Change(spare[is_sell].pop() if spare[is_sell] else None, is_sell, px, qty))
            elif not qty <= 2 * found.leaves <= 4 * qty:
                result.append(Change(found, is_sell, px, qty))
        result += [Change(quote, is_sell, quote.px, 0) for quote in spare[is_sell]]
    return result

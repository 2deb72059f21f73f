"""Where the holders of one instrument stand in the queue of deleveraging.

Ranking everybody costs some microseconds a holder, so it is done when somebody asks for a row, and not again
for a second, or for 50 microseconds a holder where that is longer. In between a position is held by its present
key against the others' keys of that moment.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import Protocol

from ringfence.instruments.value import quintile
from ringfence.units.time import NS_PER_SECOND

_NS_PER_HOLDER = 50_000


class Holder(Protocol):
    """What a position says of itself to be ranked."""

    @property
    def qty(self) -> int: ...
    @property
    def rank_key(self) -> int: ...


class Ranking:
    """The holders of one instrument by account, and their order as it was seen last."""

    __slots__ = ("_ranked_ns", "_sides", "holders")

    def __init__(self) -> None:
        self.holders: dict[int, Holder] = {}
        self._ranked_ns = 0
        self._sides: dict[bool, tuple[list[int], list[int]]] = {}
        """By is_long: keys ascending, and the quantity up to each."""

    def note(self, account: int, position: Holder) -> None:
        """Take in that a position was opened or closed."""
        if position.qty:
            self.holders[account] = position
        else:
            self.holders.pop(account, None)

    def percentile(self, position: Holder, now_ns: int) -> float | None:
        """Return the fifth of its side, by quantity, that ranks at or below a position; 1 = next in line."""
        if not position.qty:
            return None
        every = max(NS_PER_SECOND, _NS_PER_HOLDER * len(self.holders))
        if not self._sides or now_ns - self._ranked_ns >= every:
            self._ranked_ns = now_ns
            self._sides = {is_long: self._rank(is_long) for is_long in (True, False)}
        keys, sums = self._sides[position.qty > 0]
        at = bisect_right(keys, position.rank_key)
        # At least its own: it may have been opened since the others were ranked.
        return quintile(max(sums[at - 1] if at else 0, 1), sums[-1] if sums else 1)

    def _rank(self, is_long: bool) -> tuple[list[int], list[int]]:
        side = sorted((p.rank_key, abs(p.qty)) for p in self.holders.values() if (p.qty > 0) == is_long)
        return [key for key, _ in side], list(accumulate(qty for _, qty in side))

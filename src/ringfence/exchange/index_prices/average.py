"""A time-weighted average of an index, such as `.BXBT30M`: each price counts as long as it stood."""

from collections import deque

from ringfence.units.rounding import round_div
from ringfence.units.time import NS_PER_MINUTE

WINDOW_NS = 30 * NS_PER_MINUTE


class Average:
    """Takes prices with their instants, in order; `value` is the average over the window up to the last."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._stood: deque[tuple[int, int, int]] = deque()
        """(from, until, price)."""
        self._sum = self._ns = 0
        self._last: tuple[int, int] | None = None

    def add(self, at_ns: int, price: int) -> None:
        """Take a price that stands from this instant on. An instant before the last one is passed over."""
        assert price > 0
        if self._last is not None:
            begin_ns, before = self._last
            if at_ns < begin_ns:
                return
            if at_ns > begin_ns:
                self._stood.append((begin_ns, at_ns, before))
                self._sum += before * (at_ns - begin_ns)
                self._ns += at_ns - begin_ns
        self._last = (at_ns, price)
        self._forget(at_ns - self._window_ns)

    def _forget(self, until_ns: int) -> None:
        while self._stood and self._stood[0][0] < until_ns:
            begin_ns, end_ns, price = self._stood.popleft()
            gone = min(end_ns, until_ns) - begin_ns
            self._sum -= price * gone
            self._ns -= gone
            if end_ns > until_ns:
                self._stood.appendleft((until_ns, end_ns, price))

    @property
    def value(self) -> int:
        """The average, rounded to nearest; 0 before the first price."""
        if self._ns:
            return round_div(self._sum, self._ns)
        return self._last[1] if self._last is not None else 0

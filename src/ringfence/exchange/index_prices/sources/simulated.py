"""Pretended venues around a walk: each has its own small deviation, and once an hour one of them fails.

The incidents are there so that an operator sees what the protections do. Like the walk they are a
function of seed and time, and there is never more than one at a time in one index, so it never freezes.
"""

import asyncio

from ringfence.exchange.index_prices.constituents import Index
from ringfence.exchange.index_prices.protection import Tick
from ringfence.exchange.index_prices.sources.walk import SEED, index_units, noise
from ringfence.messages.constituents import Reference, Verdict
from ringfence.units.rounding import PPM
from ringfence.units.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND

_DEVIATION_PPM = 300
_DEVIATION_SECONDS = 64
_AGE_SECONDS_MAX = 5
"""A pretended venue trades every few seconds."""
_BEGIN_MINUTES = 15
"""An incident begins in the first quarter of an hour and is over, return included, within the hour."""
_INCIDENTS = ("silence", "spike", "zero", "wrong scale")
_SHORT_NS = 20 * NS_PER_SECOND
_SILENCE_NS = 22 * NS_PER_MINUTE
_DRAW = 100
"""An octave that the walk has no use for."""


class SimulatedSource:
    """Prices that mean nothing, of venues that do not exist."""

    def __init__(self, seed: int = SEED) -> None:
        self._seed = seed

    async def run(self) -> None:
        await asyncio.Event().wait()

    def ticks(self, index: Index, *, now_ns: int) -> list[Tick]:
        failing, kind, begin_ns, end_ns = self._incident(index, now_ns)
        return [
            self._failing(index, one.reference, kind, begin_ns, now_ns)
            if place == failing and begin_ns <= now_ns < end_ns
            else self._tick(index, one.reference, now_ns)
            for place, one in enumerate(index.constituents)
        ]

    def _tick(self, index: Index, reference: Reference, now_ns: int) -> Tick:
        second = now_ns // NS_PER_SECOND
        age = noise(self._seed, f"{index.symbol} {reference.name} age", 0, second) % _AGE_SECONDS_MAX
        at_ns = now_ns - age * NS_PER_SECOND
        point, into = divmod(second, _DEVIATION_SECONDS)
        name = f"{index.symbol} {reference.name}"
        before, after = (noise(self._seed, name, _DRAW, point + step) for step in (0, 1))
        deviation = before + (after - before) * into // _DEVIATION_SECONDS
        price = index_units(index.base, seed=self._seed, at_ns=at_ns)
        return Tick(price + (price * _DEVIATION_PPM * deviation // PPM >> 31), at_ns)

    def _incident(self, index: Index, now_ns: int) -> tuple[int, str, int, int]:
        """Return who fails in this hour, how, and from when until when."""
        hour = now_ns // NS_PER_HOUR
        draw = [noise(self._seed, index.symbol, _DRAW + 1 + number, hour) for number in range(3)]
        kind = _INCIDENTS[draw[1] % len(_INCIDENTS)]
        begin_ns = hour * NS_PER_HOUR + draw[2] % (_BEGIN_MINUTES * 60) * NS_PER_SECOND
        lasts = _SILENCE_NS if kind == "silence" else _SHORT_NS
        return draw[0] % len(index.constituents), kind, begin_ns, begin_ns + lasts

    def _failing(self, index: Index, reference: Reference, kind: str, begin_ns: int, now_ns: int) -> Tick:
        if kind == "silence":
            return self._tick(index, reference, begin_ns)
        if kind == "zero":
            return Tick(0, now_ns, Verdict.NOT_A_PRICE)
        good = self._tick(index, reference, now_ns)
        return good._replace(price=max(good.price // 100, 1) if kind == "wrong scale" else 2 * good.price)

"""Prices from a file, once more and for ever: to look at an incident again, or to show one.

One JSON object a line, in order: milliseconds from the beginning, the index, the venue, and what it said:

    {"ms": 1200, "index": ".BXBT", "reference": "KRAKEN", "price": "97312.4"}
"""

import asyncio
from bisect import bisect_right
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ringfence.exchange.index_prices.constituents import Index
from ringfence.exchange.index_prices.protection import NO_TICK, Tick
from ringfence.exchange.index_prices.sources.quote import read_price
from ringfence.messages.constituents import Reference
from ringfence.units.time import NS_PER_MS


class _Line(msgspec.Struct):
    ms: int
    index: str
    reference: str
    price: Any


class _Spoken(NamedTuple):
    at_ms: list[int]
    ticks: list[Tick]


class RecordedSource:
    """Plays a recording from a start; when it is over it begins again. Raises ValueError, OSError."""

    def __init__(self, path: Path, *, started_ns: int) -> None:
        self._started_ns = started_ns
        self._spoken: dict[tuple[str, Reference], _Spoken] = {}
        self._length_ms = 1
        last = 0
        for number, text in enumerate(path.read_bytes().splitlines(), 1):
            if not text.strip():
                continue
            try:
                line = msgspec.json.decode(text, type=_Line)
                reference = Reference[line.reference]
            except (msgspec.MsgspecError, KeyError) as error:
                raise ValueError(f"{path.name}, line {number}: {error}") from error
            if line.ms < last:
                raise ValueError(f"{path.name}, line {number}: earlier than the line before it")
            last = line.ms
            spoken = self._spoken.setdefault((line.index, reference), _Spoken([], []))
            spoken.at_ms.append(line.ms)
            spoken.ticks.append(read_price(line.price if isinstance(line.price, str) else None, at_ns=0))
        self._length_ms = last + 1

    async def run(self) -> None:
        await asyncio.Event().wait()

    def ticks(self, index: Index, *, now_ns: int) -> list[Tick]:
        into_ms = max(now_ns - self._started_ns, 0) // NS_PER_MS % self._length_ms
        begin_ns = now_ns - into_ms * NS_PER_MS
        return [self._tick(index.symbol, one.reference, into_ms, begin_ns) for one in index.constituents]

    def _tick(self, symbol: str, reference: Reference, into_ms: int, begin_ns: int) -> Tick:
        spoken = self._spoken.get((symbol, reference))
        place = bisect_right(spoken.at_ms, into_ms) - 1 if spoken else -1
        if spoken is None or place < 0:
            return NO_TICK
        return spoken.ticks[place]._replace(at_ns=begin_ns + spoken.at_ms[place] * NS_PER_MS)

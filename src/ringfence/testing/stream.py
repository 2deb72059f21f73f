"""A stream in memory, over a network that delays, loses, repeats and parts, decided by a seed.

It passes the same check as JetStream's (`check_stream`). A request that was given up may still arrive later, as a
packet does: that is how a leader that was frozen writes after another one has begun.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from ringfence.exchange.journal import Entry, FencedError, Stream, StreamUnavailableError
from ringfence.exchange.journal.stream import ENTRIES_AT_ONCE

_ANSWER_SECONDS = 1.0
_PAUSE_SECONDS = 0.05


class Server:
    """What a quorum of servers agrees on: one list of entries."""

    def __init__(self, *, is_fenced: bool = True) -> None:
        """Without `is_fenced` it takes whatever comes, for tests that must notice."""
        self._is_fenced = is_fenced
        self.entries: list[tuple[Entry, bytes]] = []

    def append(self, raw: bytes, digest: bytes, after: int, notes: dict[str, str]) -> int | None:
        """Return the number of the entry, None if another one has its place."""
        for entry, known in self.entries[-50:]:
            if known == digest:
                return entry.number
        if self._is_fenced and after != len(self.entries):
            return None
        self.entries.append((Entry(len(self.entries) + 1, raw, dict(notes)), digest))
        return len(self.entries)


class Network:
    """Between one machine and the servers."""

    def __init__(self, dice: random.Random, *, loss: float = 0.0, delay_seconds: float = 0.0) -> None:
        self.dice, self.loss, self.delay_seconds = dice, loss, delay_seconds
        self.is_cut = False
        """Nothing arrives while it is; what was on its way does, when it is not any more."""

    def delay(self) -> float | None:
        """Return how long a packet takes, None if it is lost."""
        if self.is_cut or self.dice.random() < self.loss:
            return None
        if self.dice.random() < 0.02:
            return self.dice.uniform(0, 20 * self.delay_seconds)
        return self.dice.uniform(0, self.delay_seconds)


class MemoryStream:
    """One machine's view of the servers."""

    def __init__(self, server: Server, network: Network) -> None:
        self._server, self._network = server, network

    async def _ask(self, work: Callable[[], object]) -> object:
        """Return what the server answers. Raises StreamUnavailableError: then it may have done it, or will."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[object] = loop.create_future()

        def give(said: object) -> None:
            if not answered.done():
                answered.set_result(said)

        def arrive() -> None:
            said = work()
            back = self._network.delay()
            if back is not None:
                loop.call_later(back, give, said)

        there = self._network.delay()
        if there is not None:
            loop.call_later(there, arrive)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answered
        except TimeoutError:
            raise StreamUnavailableError("no answer") from None

    async def append(self, raw: bytes, *, digest: bytes, after: int, notes: dict[str, str]) -> int:
        while True:
            with suppress(StreamUnavailableError):
                number = await self._ask(lambda: self._server.append(raw, digest, after, notes))
                if number is None:
                    raise FencedError(number=after + 1)
                assert isinstance(number, int)
                return number
            await asyncio.sleep(_PAUSE_SECONDS)

    async def read(self, first: int, *, at_most: int = ENTRIES_AT_ONCE) -> list[Entry]:
        found = await self._ask(
            lambda: [entry for entry, _ in self._server.entries[first - 1 : first - 1 + at_most]]
        )
        assert isinstance(found, list)
        return found

    async def first(self) -> int:
        return 1

    async def trim(self, below: int) -> None:
        """Everything is held."""

    async def last(self) -> int:
        found = await self._ask(lambda: len(self._server.entries))
        assert isinstance(found, int)
        return found


async def check_stream(one: Stream, other: Stream) -> None:
    """Check an empty stream through two of its clients. Raises AssertionError."""

    def digest(text: bytes) -> bytes:
        return text.ljust(32, b"\0")

    async def is_refused(stream: Stream, text: bytes, after: int) -> bool:
        try:
            await stream.append(text, digest=digest(text), after=after, notes={})
        except FencedError as error:
            return error.number == after + 1
        return False

    assert await one.last() == 0
    assert await one.read(1) == []
    assert await one.append(b"first", digest=digest(b"first"), after=0, notes={"Ringfence-A": "1"}) == 1
    # Said twice, as after an answer that was lost: it is there once.
    assert await one.append(b"first", digest=digest(b"first"), after=0, notes={"Ringfence-A": "1"}) == 1
    assert await other.last() == 1
    # Whoever has not read the end is fenced, also by an entry of its own making.
    assert await is_refused(other, b"rival", 0)
    assert await is_refused(one, b"rival", 0)
    assert await other.append(b"second", digest=digest(b"second"), after=1, notes={}) == 2
    assert await is_refused(one, b"late", 1)
    big = bytes(range(256)) * 4096
    assert await other.append(big, digest=digest(b"big"), after=2, notes={}) == 3
    # Of two who have read the same end, one is let in.
    outcomes = await asyncio.gather(
        *(
            stream.append(text, digest=digest(text), after=3, notes={})
            for stream, text in ((one, b"A"), (other, b"B"))
        ),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {int, FencedError}
    for stream in (one, other):
        found = await _all(stream)
        assert [entry.number for entry in found] == [1, 2, 3, 4]
        assert [entry.raw for entry in found[:3]] == [b"first", b"second", big]
        assert found[0].notes == {"Ringfence-A": "1"}
        assert (await stream.read(2, at_most=1))[0].raw == b"second"
        assert await stream.read(5) == []


async def _all(stream: Stream) -> list[Entry]:
    """Return every entry; a server that is behind is asked again."""
    end = await stream.last()
    found: list[Entry] = []
    while len(found) < end:
        found += await stream.read(len(found) + 1)
        await asyncio.sleep(0.001)
    return found

"""The journal on more than one machine: one stream of frames, of which a quorum of servers holds every one.

A stream numbers its frames from 1. Whoever appends says which number must be the last so far, and with it has the
right to write: of two writers who have read the same end, one gets its frame in, and the other is fenced from then
on. That is all there is to leadership; there is no lock, no lease and no clock in it.

What a stream has taken, it keeps, and every reader finds it at the same number. `testing/stream.py` has one in
memory that loses, delays and repeats; it and the real ones pass the same conformance check.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class StreamError(Exception):
    """The stream did not do what was asked."""


class FencedError(StreamError):
    """Somebody else has written: this writer's frame is not in the stream, and no later one will be.

    Nothing of it was acknowledged. Remedy: none is needed; the process starts again and follows the new leader.
    """

    def __init__(self, *, number: int) -> None:
        self.number = number
        super().__init__(
            f"fenced: frame {number} of the stream is somebody else's. Nothing of ours was acknowledged; "
            "this process ends and follows the new leader when it is started again."
        )


class StreamLostError(StreamError):
    """The stream has less than this node knows to have been acknowledged, or something else in its place.

    Remedy: look at the servers' disks; `ringfence cluster seed` makes the stream anew from a node's own journal.
    """


class StreamUnavailableError(StreamError):
    """The stream's servers did not answer in time. What was asked for may have been done."""


class Entry(NamedTuple):
    """One frame as the stream holds it."""

    number: int
    """From 1."""
    raw: bytes
    notes: dict[str, str]
    """What its writer said beside it, see the constants below."""


EVENTS_NOTE = "Ringfence-Events"
"""Hash of the events of the frame before, as its writer worked them out: followers compare."""
ROOT_NOTE = "Ringfence-Root"
"""Present where the writer began with a state root between the frame before and this one."""


ENTRIES_AT_ONCE = 512


class Stream(Protocol):
    """One log that many read and one may write."""

    async def append(self, raw: bytes, *, digest: bytes, after: int, notes: dict[str, str]) -> int:
        """Return the number of this entry once a quorum has it on disk; `after` is the number of the last one.

        Tries until the outcome is certain, however long that takes: an entry that may be in the stream is never
        given up. Raises FencedError if another entry has its place.
        """

    async def read(self, first: int, *, at_most: int = ENTRIES_AT_ONCE) -> list[Entry]:
        """Return some entries from a number on, none if there is none yet.

        Raises StreamUnavailableError, StreamLostError if an entry is missing and later ones are there.
        """

    async def last(self) -> int:
        """Return the number of the last entry, 0 if there is none. Raises StreamUnavailableError."""

    async def first(self) -> int:
        """Return the number of the first entry that is still held; 1 if none is. Raises StreamUnavailableError."""

    async def trim(self, below: int) -> None:
        """Entries below a number are on every machine's disk: a stream that cannot hold all may let them go."""


class Servers(Protocol):
    """What a machine has of the stream's servers: streams, and a way for machines to be heard by each other."""

    async def stream(self, name: str) -> Stream:
        """Return a stream, made if there is none. Raises StreamUnavailableError."""

    async def say(self, subject: str, body: bytes) -> None:
        """Let every machine that listens hear this, or not: nothing may depend on it."""

    async def nudge(self, subject: str, body: bytes) -> None:
        """The same for what is said with each batch; where every entry wakes its readers by itself, it is not."""

    async def listen(self, hear: Callable[[str, bytes], None], on_growth: Callable[[], None]) -> None:
        """Hear what is said from now on, with its subject; `on_growth` when there may be new entries."""

    async def keep_off(self, server: str, others: list[str]) -> None:
        """Have the streams led by one of the `others` and not by `server`, where that can be chosen."""

    async def close(self) -> None: ...

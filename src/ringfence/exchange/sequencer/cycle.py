"""What happens to a batch: stamped, then journaled and stepped in either order, then published.

Nothing here waits, starts a thread or looks at a clock. Where the write runs and when it is done is the
caller's affair: `Sequencer` writes in a thread beside the engine, the simulated world at any moment it likes.
"""

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedWriter
from ringfence.exchange.journal import Encoded, Frame, Journal
from ringfence.messages.batch import Batch, Records
from ringfence.messages.records import COMMAND


class InFlight:
    """One batch on its way through a cycle."""

    def __init__(self, commands: bytes, timestamp_ns: int, first_sequence: int, first_event: int) -> None:
        self.commands, self.timestamp_ns = commands, timestamp_ns
        self.first_sequence, self.first_event = first_sequence, first_event
        self.events: Records | None = None
        """What came of it, once the engine has stepped: a view that is valid until the next step."""
        self.frame: Encoded | None = None
        """Itself as it is written, where that is known before it is written here."""
        self.is_durable = False
        """On the disk of this machine."""
        self.is_in_stream = True
        """On a quorum of machines, where that is asked for."""


class Cycle:
    """One batch after another. The engine's result of a batch that was not written dies with the process."""

    def __init__(self, engine: Engine, journal: Journal, feed: FeedWriter) -> None:
        self.engine, self.journal, self.feed = engine, journal, feed
        self._in_flight: InFlight | None = None

    @property
    def next_sequence(self) -> int:
        """Everything below this is durable and published."""
        return self.feed.next_sequence

    def begin(self, commands: bytes, *, now_ns: int) -> InFlight:
        """Give a batch its time, which never goes back, and its place."""
        assert self._in_flight is None, "the batch before was not published"
        timestamp_ns = max(now_ns, self.engine.timestamp_ns)
        self._in_flight = InFlight(commands, timestamp_ns, self.engine.next_sequence, self.engine.event_count)
        return self._in_flight

    def begin_in_stream(self, commands: bytes, *, now_ns: int) -> tuple[InFlight, Encoded]:
        """Begin a batch that must be in the stream as well before it is published; return it and its frame."""
        batch = self.begin(commands, now_ns=now_ns)
        batch.frame = self.journal.next_frame(commands, timestamp_ns=batch.timestamp_ns)
        batch.is_in_stream = False
        return batch, batch.frame

    def begin_followed(self, raw: bytes, frame: Frame) -> InFlight:
        """Begin the batch of a frame that the stream has already."""
        batch = self.begin(frame.commands, now_ns=frame.timestamp_ns)
        assert batch.timestamp_ns == frame.timestamp_ns
        batch.frame = Encoded(raw, frame.digest, frame.next_sequence)
        return batch

    def write(self, batch: InFlight) -> None:
        """Return when the batch is durable; may run in another thread. Raises JournalWriteError."""
        frame = batch.frame or self.journal.next_frame(batch.commands, timestamp_ns=batch.timestamp_ns)
        self.journal.write(frame)
        batch.is_durable = True

    def step(self, batch: InFlight) -> None:
        records = np.frombuffer(batch.commands, COMMAND)
        batch.events = self.engine.step(records, timestamp_ns=batch.timestamp_ns)

    def publish(self, batch: InFlight) -> Batch:
        """Tell everybody of a batch that is durable. Raises FeedWriteError."""
        assert batch is self._in_flight
        assert batch.is_durable, "nothing is told before it is durable"
        assert batch.is_in_stream, "nothing is told before other machines have it"
        assert batch.events is not None
        records = np.frombuffer(batch.commands, COMMAND)
        said = Batch(batch.first_sequence, batch.timestamp_ns, batch.first_event, records, batch.events)
        self.feed.append(said)
        self._in_flight = None
        return said

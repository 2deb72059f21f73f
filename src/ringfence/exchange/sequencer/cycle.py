"""What happens to a batch: stamped, then journaled and stepped in either order, then published.

Nothing here waits, starts a thread or looks at a clock. Where the write runs and when it is done is the
caller's affair: `Sequencer` writes in a thread beside the engine, the simulated world at any moment it likes.
"""

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedWriter
from ringfence.exchange.journal import Journal
from ringfence.messages.batch import Batch, Records
from ringfence.messages.records import COMMAND


class InFlight:
    """One batch on its way through a cycle."""

    def __init__(self, commands: bytes, timestamp_ns: int, first_sequence: int, first_event: int) -> None:
        self.commands, self.timestamp_ns = commands, timestamp_ns
        self.first_sequence, self.first_event = first_sequence, first_event
        self.events: Records | None = None
        """What came of it, once the engine has stepped: a view that is valid until the next step."""
        self.is_durable = False


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

    def write(self, batch: InFlight) -> None:
        """Return when the batch is durable; may run in another thread. Raises JournalWriteError."""
        self.journal.append(batch.commands, timestamp_ns=batch.timestamp_ns)
        batch.is_durable = True

    def step(self, batch: InFlight) -> None:
        records = np.frombuffer(batch.commands, COMMAND)
        batch.events = self.engine.step(records, timestamp_ns=batch.timestamp_ns)

    def publish(self, batch: InFlight) -> Batch:
        """Tell everybody of a batch that is durable. Raises FeedWriteError."""
        assert batch is self._in_flight
        assert batch.is_durable, "nothing is told before it is durable"
        assert batch.events is not None
        records = np.frombuffer(batch.commands, COMMAND)
        said = Batch(batch.first_sequence, batch.timestamp_ns, batch.first_event, records, batch.events)
        self.feed.append(said)
        self._in_flight = None
        return said

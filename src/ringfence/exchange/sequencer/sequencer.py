"""One batch at a time: while the engine works it out, another thread makes it durable."""

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ringfence.exchange.forked import in_forked_child
from ringfence.exchange.journal import EVENTS_NOTE, ROOT_NOTE, Entry, Stream
from ringfence.exchange.sequencer.cycle import Cycle, InFlight
from ringfence.exchange.sequencer.recovery import (
    Disks,
    Recovered,
    has_snapshot,
    remove_old_snapshots,
    write_snapshot,
)
from ringfence.messages.batch import Batch
from ringfence.monitoring import Histogram, metrics

_HASH_BYTES = 16


class DivergedError(Exception):
    """This machine worked out other events or another state than the leader, from the same commands.

    Nothing that differs was told to anybody here. Remedy: one of the two machines or programs is wrong; compare
    `ringfence journal replay` on both before either goes on.
    """


class Sequencer:
    """Applies batches in order and publishes each when, and only when, it is durable.

    With a `stream`, durable means on this machine's disk and on a quorum of the stream's servers; `number` is the
    stream's entry that this machine's journal ends with.
    """

    def __init__(
        self, recovered: Recovered, place: Path | Disks, *, stream: Stream | None = None, number: int = 0
    ) -> None:
        self.engine = recovered.engine
        self._cycle = Cycle(recovered.engine, recovered.journal, recovered.feed)
        self._place = place
        self._stream, self.number = stream, number
        self.step_seconds, self.sync_seconds = Histogram(metrics.STEP), Histogram(metrics.SYNC)
        self._events_hash = ""
        """Of the last batch, empty if this process has not stepped it."""
        self._has_begun_root = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._snapshot_child = 0
        self._is_feed_suspect = True
        self.snapshot_sequence = recovered.engine.next_sequence - recovered.replayed

    @property
    def next_sequence(self) -> int:
        """Everything below this is durable and published."""
        return self._cycle.next_sequence

    @property
    def journal_head(self) -> bytes:
        """The hash of the last frame."""
        return self._cycle.journal.head

    async def apply(self, commands: bytes, *, timestamp_ns: int) -> Batch:
        """Apply one batch and return it, durable and published.

        The engine's result is thrown away with the process if the write fails: nobody saw it. Raises
        JournalWriteError, FeedWriteError, FencedError, StreamLostError.
        """
        if self._stream is None:
            batch = self._cycle.begin(commands, now_ns=timestamp_ns)
            return await self._work(batch)
        batch, frame = self._cycle.begin_in_stream(commands, now_ns=timestamp_ns)
        notes = {EVENTS_NOTE: self._events_hash} if self._events_hash else {}
        if self._has_begun_root:
            notes[ROOT_NOTE] = str(batch.first_sequence)
        self._has_begun_root = False
        replicated = asyncio.ensure_future(
            self._stream.append(frame.raw, digest=frame.digest, after=self.number, notes=notes)
        )
        # The frame leaves before the engine takes this thread for itself.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            said = await self._work(batch, replicated)
        except BaseException:
            replicated.cancel()
            raise
        return said

    async def follow(self, entry: Entry) -> Batch:
        """Apply the next entry of the stream, as its writer did.

        Raises JournalGapError if it is not the next one, DivergedError, JournalWriteError, FeedWriteError.
        """
        frame = self._cycle.journal.check(entry.raw)
        theirs = entry.notes.get(EVENTS_NOTE, "")
        if theirs and self._events_hash and theirs != self._events_hash:
            raise DivergedError(
                f"the events before sequence {frame.first_sequence} hash to {self._events_hash} here and to "
                f"{theirs} at the leader. This machine stops; compare `ringfence journal replay` on both."
            )
        said = await self._work(self._cycle.begin_followed(entry.raw, frame))
        self.number, self._has_begun_root = entry.number, False
        return said

    async def lead(self, commands: bytes, *, timestamp_ns: int) -> Batch:
        """Apply a first batch, if the stream lets us write it: from then on nobody else does. Raises FencedError.

        Unlike in `apply`, nothing has happened here if it does not.
        """
        assert self._stream is not None
        journal = self._cycle.journal
        frame = journal.next_frame(commands, timestamp_ns=max(timestamp_ns, self.engine.timestamp_ns))
        notes = {EVENTS_NOTE: self._events_hash} if self._events_hash else {}
        number = await self._stream.append(frame.raw, digest=frame.digest, after=self.number, notes=notes)
        return await self.follow(Entry(number, frame.raw, {}))

    async def _work(self, batch: InFlight, replicated: "asyncio.Future[int] | None" = None) -> Batch:
        durable = asyncio.get_running_loop().run_in_executor(
            self._writer, self.sync_seconds.timed, self._cycle.write, batch
        )
        try:
            self.step_seconds.timed(self._cycle.step, batch)
        finally:
            await durable
        if replicated is not None:
            self.number = await replicated
            batch.is_in_stream = True
        said = self._cycle.publish(batch)
        if self._stream is not None:
            self._events_hash = hashlib.blake2b(said.events.tobytes(), digest_size=_HASH_BYTES).hexdigest()
        return said

    def note_root(self) -> None:
        """A state root of this moment has begun: who follows begins with one at the same place."""
        self._has_begun_root = True

    # ---- snapshots

    def begin_snapshot(self) -> None:
        """Fork a child that writes a snapshot of this moment; the parent goes on at once."""
        if self._snapshot_child or self.engine.next_sequence == self.snapshot_sequence:
            return
        self._snapshot_child = in_forked_child(self._write_snapshot)
        self.snapshot_sequence = self.engine.next_sequence

    def collect_snapshot(self) -> bool | None:
        """Return whether a snapshot that was being written succeeded, None if none has ended."""
        if not self._snapshot_child:
            return None
        child, status = os.waitpid(self._snapshot_child, os.WNOHANG)
        if not child:
            return None
        self._snapshot_child = 0
        self._is_feed_suspect = status != 0
        if status == 0:
            remove_old_snapshots(self._place)
        return status == 0

    def snapshot(self) -> None:
        """Write a snapshot of this moment before anything else is done, unless there is one. Raises OSError."""
        if has_snapshot(self._place, self.engine.next_sequence):
            return
        self._write_snapshot()
        self._is_feed_suspect = False
        self.snapshot_sequence = self.engine.next_sequence
        remove_old_snapshots(self._place)

    def _write_snapshot(self) -> None:
        write_snapshot(self.engine, self._place, is_feed_suspect=self._is_feed_suspect)

    def close(self, *, snapshot: bool) -> None:
        """Finish, with a last snapshot for a quick start if it is wanted."""
        self._writer.shutdown()
        if self._snapshot_child:
            self._is_feed_suspect |= os.waitpid(self._snapshot_child, 0)[1] != 0
        if snapshot:
            self.snapshot()
        self._cycle.journal.close()
        self._cycle.feed.close()

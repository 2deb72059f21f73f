"""One batch at a time: while the engine works it out, another thread makes it durable."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ringfence.exchange.forked import in_forked_child
from ringfence.exchange.sequencer.cycle import Cycle
from ringfence.exchange.sequencer.recovery import (
    Recovered,
    has_snapshot,
    remove_old_snapshots,
    write_snapshot,
)
from ringfence.messages.batch import Batch
from ringfence.monitoring import Histogram, metrics


class Sequencer:
    """Applies batches in order and publishes each when, and only when, it is durable."""

    def __init__(self, recovered: Recovered, directory: Path) -> None:
        self.engine = recovered.engine
        self._cycle = Cycle(recovered.engine, recovered.journal, recovered.feed)
        self._directory = directory
        self.step_seconds, self.sync_seconds = Histogram(metrics.STEP), Histogram(metrics.SYNC)
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
        """Apply one batch and return it, durable and published. Raises JournalWriteError, FeedWriteError.

        The engine's result is thrown away with the process if the write fails: nobody saw it.
        """
        batch = self._cycle.begin(commands, now_ns=timestamp_ns)
        durable = asyncio.get_running_loop().run_in_executor(
            self._writer, self.sync_seconds.timed, self._cycle.write, batch
        )
        try:
            self.step_seconds.timed(self._cycle.step, batch)
        finally:
            await durable
        return self._cycle.publish(batch)

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
            remove_old_snapshots(self._directory)
        return status == 0

    def _write_snapshot(self) -> None:
        write_snapshot(self.engine, self._directory, is_feed_suspect=self._is_feed_suspect)

    def close(self, *, snapshot: bool) -> None:
        """Finish, with a last snapshot for a quick start if it is wanted."""
        self._writer.shutdown()
        if self._snapshot_child:
            self._is_feed_suspect |= os.waitpid(self._snapshot_child, 0)[1] != 0
        if snapshot and not has_snapshot(self._directory, self.engine.next_sequence):
            self._write_snapshot()
            remove_old_snapshots(self._directory)
        self._cycle.journal.close()
        self._cycle.feed.close()

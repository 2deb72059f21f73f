"""One batch at a time: while the engine works it out, another thread makes it durable."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ringfence.exchange.forked import in_forked_child
from ringfence.exchange.sequencer.recovery import (
    Recovered,
    remove_old_snapshots,
    snapshot_path,
    write_snapshot,
)
from ringfence.messages.batch import Batch
from ringfence.messages.records import COMMAND


class Sequencer:
    """Applies batches in order and publishes each when, and only when, it is durable."""

    def __init__(self, recovered: Recovered, directory: Path) -> None:
        self.engine = recovered.engine
        self._journal = recovered.journal
        self._feed = recovered.feed
        self._directory = directory
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._snapshot_child = 0
        self.snapshot_sequence = recovered.engine.next_sequence - recovered.replayed

    @property
    def next_sequence(self) -> int:
        """Everything below this is durable and published."""
        return self._feed.next_sequence

    async def apply(self, commands: bytes, *, timestamp_ns: int) -> Batch:
        """Apply one batch and return it, durable and published. Raises JournalWriteError, FeedWriteError.

        The engine's result is thrown away with the process if the write fails: nobody saw it.
        """
        timestamp_ns = max(timestamp_ns, self.engine.timestamp_ns)
        loop = asyncio.get_running_loop()
        durable = loop.run_in_executor(self._writer, self._write, commands, timestamp_ns)
        try:
            first_sequence, first_event = self.engine.next_sequence, self.engine.event_count
            records = np.frombuffer(commands, COMMAND)
            events = self.engine.step(records, timestamp_ns=timestamp_ns)
        finally:
            await durable
        batch = Batch(first_sequence, timestamp_ns, first_event, records, events)
        self._feed.append(batch)
        return batch

    def _write(self, commands: bytes, timestamp_ns: int) -> None:
        self._journal.append(commands, timestamp_ns=timestamp_ns)

    # ---- snapshots

    def begin_snapshot(self) -> None:
        """Fork a child that writes a snapshot of this moment; the parent goes on at once."""
        if self._snapshot_child or self.engine.next_sequence == self.snapshot_sequence:
            return
        self._snapshot_child = in_forked_child(lambda: write_snapshot(self.engine, self._directory))
        self.snapshot_sequence = self.engine.next_sequence

    def collect_snapshot(self) -> bool | None:
        """Return whether a snapshot that was being written succeeded, None if none has ended."""
        if not self._snapshot_child:
            return None
        child, status = os.waitpid(self._snapshot_child, os.WNOHANG)
        if not child:
            return None
        self._snapshot_child = 0
        if status == 0:
            remove_old_snapshots(self._directory)
        return status == 0

    def close(self, *, snapshot: bool) -> None:
        """Finish, with a last snapshot for a quick start if it is wanted."""
        self._writer.shutdown()
        if self._snapshot_child:
            os.waitpid(self._snapshot_child, 0)
        if snapshot and not snapshot_path(self._directory, self.engine.next_sequence).exists():
            write_snapshot(self.engine, self._directory)
            remove_old_snapshots(self._directory)
        self._journal.close()
        self._feed.close()

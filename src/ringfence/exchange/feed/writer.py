"""Writes the feed; on opening, cuts off what a crash left half written."""

import os
from pathlib import Path

from ringfence.exchange.feed import segment
from ringfence.exchange.feed.reader import FeedReader
from ringfence.messages.batch import Batch

FILE_BYTES = 64 << 20


class FeedWriter:
    """Appends durable batches. `next_sequence` says where it stands after opening."""

    def __init__(self, directory: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self._directory = directory
        self._file_bytes = file_bytes
        self._descriptor = -1
        self._offset = 0
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.next_sequence = 0
        self._recover()

    def _recover(self) -> None:
        """Find the end of the last file that checks, and drop everything after it."""
        names = sorted(name for name in os.listdir(self._directory) if name.endswith(segment.SUFFIX))
        while names:
            first = int(names[-1].split(".")[0])
            reader = FeedReader(self._directory, next_sequence=first)
            while reader.read() is not None:
                pass
            self.next_sequence, offset = reader.next_sequence, reader._offset
            reader.close()
            if self.next_sequence > first or len(names) == 1:
                self._descriptor = os.open(self._directory / names[-1], os.O_RDWR)
                os.ftruncate(self._descriptor, offset)
                self._offset = offset
                return
            (self._directory / names.pop()).unlink()

    def append(self, batch: Batch) -> None:
        """Write a batch that is durable in the journal; one that is there already is passed over."""
        if batch.next_sequence <= self.next_sequence:
            return
        assert batch.first_sequence == self.next_sequence
        if self._descriptor < 0 or self._offset >= self._file_bytes:
            self.close()
            path = self._directory / segment.name_of(batch.first_sequence)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            self._offset = 0
        raw = segment.encode(batch)
        self._offset += os.pwrite(self._descriptor, raw, self._offset)
        self.next_sequence = batch.next_sequence

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

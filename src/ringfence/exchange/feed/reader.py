"""Batches in order, as fast or slow as the reader likes."""

import os
from pathlib import Path

from ringfence.exchange.feed import segment
from ringfence.messages.batch import Batch


class FeedReader:
    """Reads the feed from the batch that holds `next_sequence`.

    `read` returns the next batch, or None if there is nothing new yet: a batch that is not whole is
    one that is still being written, or written again.
    """

    def __init__(self, directory: Path, *, next_sequence: int = 0) -> None:
        self._directory = directory
        self.next_sequence = next_sequence
        self._descriptor = -1
        self._offset = 0

    def read(self) -> Batch | None:
        while True:
            if self._descriptor < 0 and not self._open():
                return None
            batch = self._read_here()
            if batch is None:
                if self._is_finished() and self._open():
                    continue
                return None
            if batch.next_sequence > self.next_sequence:
                self.next_sequence = batch.next_sequence
                return batch

    def _read_here(self) -> Batch | None:
        header = os.pread(self._descriptor, segment.HEADER_BYTES, self._offset)
        size = segment.body_bytes(header)
        if size is None:
            return None
        body = os.pread(self._descriptor, size, self._offset + segment.HEADER_BYTES)
        batch = segment.decode(header, body)
        if batch is not None:
            self._offset += segment.HEADER_BYTES + size
        return batch

    def _names(self) -> list[str]:
        if not self._directory.is_dir():
            return []
        return sorted(name for name in os.listdir(self._directory) if name.endswith(segment.SUFFIX))

    def _is_finished(self) -> bool:
        """Return whether a later file has begun: then nothing more comes in this one."""
        return segment.name_of(self.next_sequence) in self._names()

    def _open(self) -> bool:
        """Open the file that holds the next sequence; False if there is none yet."""
        fitting = [name for name in self._names() if int(name.split(".")[0]) <= self.next_sequence]
        if not fitting:
            return False
        self.close()
        self._descriptor = os.open(self._directory / fitting[-1], os.O_RDONLY)
        self._offset = 0
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

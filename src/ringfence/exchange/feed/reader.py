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
        self._name = ""
        self._offset = 0

    def read(self) -> Batch | None:
        while True:
            if self._descriptor < 0 and not self._open():
                return None
            batch = self._read_here()
            if batch is None:
                if not self._is_done_with():
                    return None
                self.close()
            elif batch.next_sequence > self.next_sequence:
                self.next_sequence = batch.next_sequence
                return batch

    def _read_here(self) -> Batch | None:
        header = os.pread(self._descriptor, segment.HEADER_BYTES, self._offset)
        size = segment.body_bytes(header)
        if size is None:
            return None
        body = os.pread(self._descriptor, size, self._offset + segment.HEADER_BYTES)
        batch = segment.decode(header, body)
        if batch is None or batch.first_sequence > self.next_sequence:
            return None
        self._offset += segment.HEADER_BYTES + size
        return batch

    def _is_done_with(self) -> bool:
        """Return whether nothing more comes in this file: a later one has begun, or it was removed."""
        following = segment.name_of(self.next_sequence)
        if following != self._name and (self._directory / following).exists():
            return True
        return os.fstat(self._descriptor).st_nlink == 0

    def _open(self) -> bool:
        """Open the file that holds the next sequence; False if there is none yet."""
        fitting = [
            name
            for name in segment.names(self._directory)
            if segment.first_sequence_of(name) <= self.next_sequence
        ]
        if not fitting:
            return False
        try:
            self._descriptor = os.open(self._directory / fitting[-1], os.O_RDONLY)
        except FileNotFoundError:
            return False  # the core has just removed it and will write it again
        self._name, self._offset = fitting[-1], 0
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def published_below(directory: Path) -> int:
    """Return the sequence below which everything is known to have been published.

    That the last file has a whole batch says so, whatever has become of those before it.
    """
    names = segment.names(directory)
    reader = FeedReader(directory, next_sequence=segment.first_sequence_of(names[-1]) if names else 0)
    while reader.read() is not None:
        pass
    reader.close()
    return reader.next_sequence

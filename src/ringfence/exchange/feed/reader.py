"""Batches in order, as fast or slow as the reader likes."""

from pathlib import Path

from ringfence.exchange.disk import Disk, DiskFile, disk_at
from ringfence.exchange.feed import segment
from ringfence.messages.batch import Batch


class FeedReader:
    """Reads the feed from the batch that holds `next_sequence`.

    `read` returns the next batch, or None if there is nothing new yet: a batch that is not whole is
    one that is still being written, or written again.
    """

    def __init__(self, place: Path | Disk, *, next_sequence: int = 0) -> None:
        self._disk = disk_at(place)
        self.next_sequence = next_sequence
        self._file: DiskFile | None = None
        self._name = ""
        self._offset = 0

    def read(self) -> Batch | None:
        while True:
            if self._file is None and not self._open():
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
        assert self._file is not None
        header = self._file.read_at(self._offset, segment.HEADER_BYTES)
        size = segment.body_bytes(header)
        if size is None:
            return None
        body = self._file.read_at(self._offset + segment.HEADER_BYTES, size)
        batch = segment.decode(header, body)
        if batch is None or batch.first_sequence > self.next_sequence:
            return None
        self._offset += segment.HEADER_BYTES + size
        return batch

    def _is_done_with(self) -> bool:
        """Return whether nothing more comes in this file: a later one has begun, or it was removed."""
        assert self._file is not None
        following = segment.name_of(self.next_sequence)
        if following != self._name and self._disk.exists(following):
            return True
        return self._file.is_removed()

    def _open(self) -> bool:
        """Open the file that holds the next sequence; False if there is none yet."""
        fitting = [
            name
            for name in segment.names(self._disk)
            if segment.first_sequence_of(name) <= self.next_sequence
        ]
        if not fitting:
            return False
        try:
            self._file = self._disk.open_to_read(fitting[-1])
        except FileNotFoundError:
            return False  # the core has just removed it and will write it again
        self._name, self._offset = fitting[-1], 0
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def published_below(place: Path | Disk) -> int:
    """Return the sequence below which everything is known to have been published.

    That the last file has a whole batch says so, whatever has become of those before it.
    """
    names = segment.names(place)
    reader = FeedReader(place, next_sequence=segment.first_sequence_of(names[-1]) if names else 0)
    while reader.read() is not None:
        pass
    reader.close()
    return reader.next_sequence

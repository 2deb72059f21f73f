"""Records that are on the disk before anybody is told of them: length, checksums, bytes.

The length has a checksum of its own: a damaged one would look like a record that a crash has cut short, and
everything after it, which was acknowledged, would be dropped.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from ringfence.files import sync_directory

_HEADER = struct.Struct("<III")
"""Length, checksum of the record, checksum of these two."""
RECORD_BYTES_MAX = 8 << 20


class JournalDamagedError(Exception):
    """A record in the middle is not what was written. Nothing was changed: restore the file, or start anew."""


class Journal:
    """An append-only file. A record that a crash has cut short was not acknowledged, and is dropped."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises JournalDamagedError."""
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync_directory(path.parent)
        self._end = self._find_end()
        if self._end < os.fstat(self._file).st_size:
            os.ftruncate(self._file, self._end)
            os.fdatasync(self._file)

    def append(self, record: bytes) -> int:
        """Write a record, wait for the disk, return where it is."""
        assert 0 < len(record) <= RECORD_BYTES_MAX
        place = self._end
        written = os.write(self._file, _framed(record))
        if written != _HEADER.size + len(record):
            os.ftruncate(self._file, place)
            raise OSError(f"{self._path}: the disk is full; the record was not written")
        os.fdatasync(self._file)
        self._end = place + written
        return place

    def read(self, place: int) -> bytes:
        """Return the record at a place. Raises JournalDamagedError."""
        size, checksum, _ = _HEADER.unpack(os.pread(self._file, _HEADER.size, place))
        record = os.pread(self._file, size, place + _HEADER.size)
        if zlib.crc32(record) != checksum:
            raise JournalDamagedError(f"{self._path}: the record at {place} is damaged")
        return record

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield every record and where it is."""
        place = 0
        while place < self._end:
            record = self.read(place)
            yield place, record
            place += _HEADER.size + len(record)

    def rewrite(self, records: list[bytes]) -> None:
        """Replace the whole file by these records."""
        aside = self._path.with_suffix(".new")
        with aside.open("wb") as file:
            for record in records:
                file.write(_framed(record))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._path)
        sync_directory(self._path.parent)
        os.close(self._file)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND)
        self._end = os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)

    def _find_end(self) -> int:
        """Return where the last whole record ends. Raises JournalDamagedError if a whole one is damaged."""
        size = os.fstat(self._file).st_size
        place = 0
        while place + _HEADER.size <= size:
            header = os.pread(self._file, _HEADER.size, place)
            length, checksum, of_header = _HEADER.unpack(header)
            after = place + _HEADER.size + length
            if zlib.crc32(header[:8]) == of_header:
                if after > size:
                    break
                record = os.pread(self._file, length, place + _HEADER.size)
                is_whole = zlib.crc32(record) == checksum
                is_last = after == size
            else:
                is_whole = False
                # After a power cut a file may have grown without its content.
                is_last = not any(os.pread(self._file, size - place, place))
            if not is_whole:
                if is_last:
                    break
                raise JournalDamagedError(f"{self._path}: the record at {place} is damaged")
            place = after
        return place


def _framed(record: bytes) -> bytes:
    head = struct.pack("<II", len(record), zlib.crc32(record))
    return head + struct.pack("<I", zlib.crc32(head)) + record

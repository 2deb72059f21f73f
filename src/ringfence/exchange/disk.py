"""The only way to files: a directory of named files with explicit durability.

`RealDisk` is a directory; `testing/disk.py` has one that loses, tears and rots. Both pass the same
conformance check.
"""

import os
from pathlib import Path
from typing import Protocol

from ringfence.files import sync_directory

ASIDE = ".new"
"""Suffix of what is still being written; a crash may leave one behind, and it means nothing."""


class DiskFile(Protocol):
    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of it, durable after the next sync. Raises OSError."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes, fewer at the end of the file. Raises OSError."""

    def truncate(self, size: int) -> None:
        """Cut the file, durable after the next sync. Raises OSError."""

    def sync(self) -> None:
        """Return when everything written is durable. Raises OSError; then nothing may be assumed."""

    def is_removed(self) -> bool:
        """Return whether the file has lost its name since it was opened."""

    def close(self) -> None: ...


class Disk(Protocol):
    def names(self, suffix: str) -> list[str]:
        """Return file names with this suffix, sorted; none if there is no such folder."""

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return bytes of a file, fewer at its end. Raises OSError."""

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int: ...

    def create(self, name: str, size: int) -> DiskFile:
        """Create a zeroed file of this size; it and its name are durable on return. Raises OSError."""

    def begin(self, name: str) -> DiskFile:
        """Create or empty a file; neither it nor its name is durable before both are synced. Raises OSError."""

    def open(self, name: str) -> DiskFile:
        """Open a file for reading and writing. Raises OSError."""

    def open_to_read(self, name: str) -> DiskFile: ...

    def put(self, name: str, *parts: bytes | memoryview) -> None:
        """Write a whole file aside, sync it and rename it into place. Raises OSError."""

    def remove(self, name: str) -> None: ...

    def sync_names(self) -> None:
        """Return when the names are durable as they are. Raises OSError."""


class _RealFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write_at(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def is_removed(self) -> bool:
        return os.fstat(self._descriptor).st_nlink == 0

    def close(self) -> None:
        os.close(self._descriptor)


class RealDisk:
    """One directory of the file system; created, private to its owner, unless it is only looked at."""

    def __init__(self, directory: Path, *, make: bool = True) -> None:
        self.directory = directory
        if make:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The names of the folders must survive a power cut as well.
            sync_directory(directory.parent)
            sync_directory(directory.parent.parent)

    def names(self, suffix: str) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.directory) if name.endswith(suffix))
        except FileNotFoundError:
            return []

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        with open(self.directory / name, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def exists(self, name: str) -> bool:
        return (self.directory / name).exists()

    def size(self, name: str) -> int:
        return (self.directory / name).stat().st_size

    def create(self, name: str, size: int) -> DiskFile:
        descriptor = os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Blocks are allocated now, so that a sync writes data only and cannot run out of space.
            os.posix_fallocate(descriptor, 0, size)
            os.fsync(descriptor)
            sync_directory(self.directory)
        except OSError:
            os.close(descriptor)
            os.unlink(self.directory / name)
            raise
        return _RealFile(descriptor)

    def begin(self, name: str) -> DiskFile:
        return _RealFile(os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))

    def open(self, name: str) -> DiskFile:
        return _RealFile(os.open(self.directory / name, os.O_RDWR))

    def open_to_read(self, name: str) -> DiskFile:
        return _RealFile(os.open(self.directory / name, os.O_RDONLY))

    def put(self, name: str, *parts: bytes | memoryview) -> None:
        aside = self.directory / (name + ASIDE)
        with open(aside, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.directory / name)
        sync_directory(self.directory)

    def remove(self, name: str) -> None:
        (self.directory / name).unlink()
        sync_directory(self.directory)

    def sync_names(self) -> None:
        sync_directory(self.directory)


def disk_at(place: Path | Disk) -> Disk:
    """Return the disk that is a folder, as it is; a disk is itself."""
    return RealDisk(place, make=False) if isinstance(place, Path) else place

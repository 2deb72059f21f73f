"""The only way to files: a directory of named files with explicit durability.

`RealDisk` is a directory; `testing/disk.py` has one that loses, tears and rots. Both pass the same
conformance check.
"""

import os
from pathlib import Path
from typing import Protocol


class DiskFile(Protocol):
    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of it, durable after the next sync. Raises OSError."""

    def sync(self) -> None:
        """Return when everything written is durable. Raises OSError; then nothing may be assumed."""

    def close(self) -> None: ...


class Disk(Protocol):
    def names(self, suffix: str) -> list[str]:
        """Return file names with this suffix, sorted."""

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return bytes of a file, fewer at its end. Raises OSError."""

    def size(self, name: str) -> int: ...

    def create(self, name: str, size: int) -> DiskFile:
        """Create a zeroed file of this size; it and its name are durable on return. Raises OSError."""

    def open(self, name: str) -> DiskFile: ...

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file aside, sync it and rename it into place."""

    def remove(self, name: str) -> None: ...


class _RealFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write_at(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class RealDisk:
    """One directory of the file system; created, private to its owner, if it is not there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The names of the folders must survive a power cut as well.
        sync_directory(directory.parent)
        sync_directory(directory.parent.parent)

    def names(self, suffix: str) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.name.endswith(suffix))

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        with open(self.directory / name, "rb") as file:
            file.seek(offset)
            return file.read(size)

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

    def open(self, name: str) -> DiskFile:
        return _RealFile(os.open(self.directory / name, os.O_RDWR))

    def put(self, name: str, data: bytes) -> None:
        aside = self.directory / (name + ".new")
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self.directory / name)
        sync_directory(self.directory)

    def remove(self, name: str) -> None:
        (self.directory / name).unlink()
        sync_directory(self.directory)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

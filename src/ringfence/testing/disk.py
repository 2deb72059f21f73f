"""A disk in memory that loses, tears, rots and runs full, decided by a seed.

What the process sees is the page cache; what a power cut leaves is decided sector by sector from what
was synced and what was not. `kill()` is the end of the process alone: the cache survives.

A sector that was being written may hold the old or the new bytes; on a disk with `damages` also zeros, a
copy of another sector, or the new bytes with one bit flipped. Bytes that were durable and would not
have changed are never touched: that a sector is written whole or not at all is what the journal assumes.
"""

import errno
import os
import random
from collections.abc import Sequence
from typing import NamedTuple

from ringfence.exchange.disk import ASIDE, DiskFile

SECTOR_BYTES = 512
DAMAGES = ("zero", "stale", "flip")
_CUT = b""
"""The data of a pending write that cuts the file at its offset: no write is empty."""


class PowerCutError(Exception):
    """The machine stopped in the middle of an operation; call `power_cut` or `kill`, then go on."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Content:
    """One file: what the cache shows, what is durable, and what is on its way."""

    def __init__(self) -> None:
        self.cached = bytearray()
        self.durable = bytearray()
        self.pending: list[_Write] = []

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        self.cached.extend(bytes(max(0, end - len(self.cached))))
        self.cached[offset:end] = data
        if data:
            self.pending.append(_Write(offset, data))

    def cut(self, size: int) -> None:
        del self.cached[size:]
        self.pending.append(_Write(size, _CUT))

    def sync(self) -> None:
        for write in self.pending:
            self._harden(write.offset, write.data)
        self.pending.clear()

    def lose(self, rng: random.Random, damages: Sequence[str]) -> None:
        """Let the disk have none, some sectors or all of what was not synced, and forget the rest."""
        for write in self.pending:
            sectors = _sectors(write) or [write]
            fate = rng.choice(("none", "prefix", "some", "all"))
            if fate == "prefix":
                sectors = sectors[: rng.randrange(len(sectors) + 1)]
            elif fate == "some":
                sectors = [sector for sector in sectors if rng.random() < 0.5]
            for sector in sectors if fate != "none" else []:
                data = sector.data
                if damages and rng.random() < 0.2:
                    data = self._damaged(sector, rng, rng.choice(damages))
                self._harden(sector.offset, data)
        self.pending.clear()

    def _damaged(self, sector: _Write, rng: random.Random, damage: str) -> bytes:
        """Return what stands in a sector instead of the bytes that were to be written."""
        offset, data = sector
        if not data or self.durable[offset : offset + len(data)] == data:
            return data
        if damage == "zero":
            return bytes(len(data))
        if damage == "stale":
            begin = (
                rng.randrange(len(self.durable) // SECTOR_BYTES + 1) * SECTOR_BYTES + offset % SECTOR_BYTES
            )
            return bytes(self.durable[begin : begin + len(data)]).ljust(len(data), b"\0")
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(flipped)

    def _harden(self, offset: int, data: bytes) -> None:
        if data == _CUT:
            del self.durable[offset:]
            return
        end = offset + len(data)
        self.durable.extend(bytes(max(0, end - len(self.durable))))
        self.durable[offset:end] = data


def _sectors(write: _Write) -> list[_Write]:
    """Cut a write where sectors of the file begin."""
    parts, offset, end = [], write.offset, write.offset + len(write.data)
    while offset < end:
        border = min(end, (offset // SECTOR_BYTES + 1) * SECTOR_BYTES)
        parts.append(_Write(offset, write.data[offset - write.offset : border - write.offset]))
        offset = border
    return parts


class _File:
    def __init__(self, disk: "SimulatedDisk", content: _Content) -> None:
        self._disk = disk
        self._content = content
        self._is_open = True

    def write_at(self, offset: int, data: bytes) -> None:
        assert self._is_open
        error = self._disk.error_due("write")
        if self._disk.is_full and offset + len(data) > len(self._content.cached):
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if error:
            # A disk that runs full, or breaks, has often taken the beginning.
            self._content.write(offset, data[: self._disk.rng.randrange(len(data) + 1)])
            raise error
        self._content.write(offset, data)
        self._disk.step()

    def read_at(self, offset: int, size: int) -> bytes:
        assert self._is_open
        error = self._disk.error_due("read")
        if error:
            raise error
        return bytes(self._content.cached[offset : offset + size])

    def truncate(self, size: int) -> None:
        assert self._is_open
        self._content.cut(size)
        self._disk.step()

    def is_removed(self) -> bool:
        return not self._disk.holds(self._content)

    def sync(self) -> None:
        assert self._is_open
        self._disk.step()
        error = self._disk.error_due("sync")
        if error:
            # The kernel gives up on the pages and believes them to be clean: the cache still shows
            # them, and the next sync has nothing to do.
            self._content.lose(self._disk.rng, self._disk.damages)
            raise error
        self._content.sync()
        self._disk.step()

    def close(self) -> None:
        self._is_open = False


class SimulatedDisk:
    """A `Disk` whose faults are planned by the test and whose chance is seeded."""

    def __init__(self, seed: int | str = 0, *, damages: Sequence[str] = ()) -> None:
        self.rng = random.Random(f"disk {seed}")
        self.damages = damages
        self._files: dict[str, _Content] = {}
        self._durable_names: dict[str, _Content] = {}
        self._faults: dict[str, tuple[int, int]] = {}
        self._steps_left = -1
        self.is_full = False
        """No file can grow and none can be made."""
        self.steps = 0
        """Points passed so far at which the machine could have stopped."""

    # ---- the front door of every disk

    def names(self, suffix: str) -> list[str]:
        return sorted(name for name in self._files if name.endswith(suffix))

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        error = self.error_due("read")
        if error:
            raise error
        cached = self._find(name).cached
        return bytes(cached[offset : len(cached) if size < 0 else offset + size])

    def exists(self, name: str) -> bool:
        return name in self._files

    def size(self, name: str) -> int:
        return len(self._find(name).cached)

    def create(self, name: str, size: int) -> DiskFile:
        if name in self._files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        content = self._files[name] = _Content()
        self.step()
        error = self.error_due("create")
        if error:
            del self._files[name]
            raise error
        content.write(0, bytes(size))
        self.step()
        content.sync()
        self.step()
        self._sync_directory()
        return _File(self, content)

    def begin(self, name: str) -> DiskFile:
        error = self.error_due("create")
        if error:
            raise error
        if name not in self._files:
            self._files[name] = _Content()
        file = _File(self, self._files[name])
        file.truncate(0)
        return file

    def open(self, name: str) -> DiskFile:
        return _File(self, self._find(name))

    open_to_read = open

    def put(self, name: str, *parts: bytes | memoryview) -> None:
        aside = self._files[name + ASIDE] = _Content()
        file = _File(self, aside)
        file.write_at(0, b"".join(parts))
        file.sync()
        self._files[name] = self._files.pop(name + ASIDE)
        self.step()
        self._sync_directory()

    def remove(self, name: str) -> None:
        self._find(name)
        del self._files[name]
        self.step()
        self._sync_directory()

    def sync_names(self) -> None:
        error = self.error_due("sync")
        if error:
            raise error
        self._sync_directory()

    # ---- what a test does to it

    def fail(self, operation: str, code: int, *, after: int = 0) -> None:
        """Let one read, write, sync or create fail with this errno, after so many good ones."""
        assert operation in ("read", "write", "sync", "create")
        self._faults[operation] = (after, code)

    def mend(self, operation: str) -> None:
        """Take back a planned failure that has not happened."""
        self._faults.pop(operation, None)

    def stop_after(self, steps: int) -> None:
        """Raise PowerCutError at the so-manieth point from now."""
        self._steps_left = steps

    def power_cut(self) -> None:
        """Start the machine again with what the disk has; every open file is gone."""
        names = dict(self._durable_names)
        for name in sorted(self._files.keys() ^ self._durable_names.keys()):
            is_there = self.rng.random() < 0.5
            if name in self._files and is_there:
                names[name] = self._files[name]
            elif name in self._durable_names and not is_there:
                del names[name]
        for name in sorted(self._files.keys() & self._durable_names.keys()):
            if self._files[name] is not self._durable_names[name] and self.rng.random() < 0.5:
                names[name] = self._files[name]  # a rename over it that the directory had not synced
        for content in names.values():
            content.lose(self.rng, self.damages)
            content.cached = bytearray(content.durable)
        self._files, self._durable_names = names, dict(names)
        self._calm()

    def kill(self) -> None:
        """Start the process again: the kernel kept what it was given."""
        self._calm()

    def rot(self, name: str, offset: int, mask: int = 1) -> None:
        """Flip bits of one byte, on the disk and in the cache."""
        content = self._find(name)
        assert 0 < mask < 256
        content.cached[offset] ^= mask
        if offset < len(content.durable):
            content.durable[offset] ^= mask

    def overwrite(self, name: str, offset: int, data: bytes) -> None:
        """Put other bytes into a file, on the disk and in the cache."""
        content = self._find(name)
        content.sync()
        for raw in (content.cached, content.durable):
            raw[offset : offset + len(data)] = data

    def restore(self, name: str, data: bytes) -> None:
        """Put a whole file back, durable."""
        content = self._files[name] = self._durable_names[name] = _Content()
        content.write(0, data)
        content.sync()

    def forget(self, name: str) -> None:
        """Lose a file as if it had never been there."""
        self._files.pop(name, None)
        self._durable_names.pop(name, None)

    def calm(self) -> None:
        """Forget every fault that was planned."""
        self._calm()

    # ---- inside

    def step(self) -> None:
        self.steps += 1
        if self._steps_left == 0:
            raise PowerCutError
        self._steps_left -= self._steps_left > 0

    def error_due(self, operation: str) -> OSError | None:
        if self.is_full and operation == "create":
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if operation not in self._faults:
            return None
        after, code = self._faults[operation]
        if after:
            self._faults[operation] = (after - 1, code)
            return None
        del self._faults[operation]
        return OSError(code, os.strerror(code))

    def holds(self, content: _Content) -> bool:
        return any(content is held for held in self._files.values())

    def _calm(self) -> None:
        self._faults.clear()
        self._steps_left = -1

    def _find(self, name: str) -> _Content:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return self._files[name]

    def _sync_directory(self) -> None:
        self._durable_names = dict(self._files)
        self.step()

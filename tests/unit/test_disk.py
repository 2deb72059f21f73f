"""The real disk and the simulated one behave alike; the simulated one loses what was not synced."""

import errno
import os
import stat
from pathlib import Path

import pytest

from ringfence.exchange import disk as disk_module
from ringfence.exchange.journal import Disk, RealDisk
from ringfence.testing.conformance import check_disk
from ringfence.testing.disk import PowerCutError, SimulatedDisk


@pytest.mark.parametrize("kind", ["real", "simulated"])
def test_every_disk_conforms(kind: str, tmp_path: Path) -> None:
    disk: Disk = RealDisk(tmp_path / "deep" / "journal") if kind == "real" else SimulatedDisk()
    check_disk(disk)


def test_the_real_disk_is_private_to_its_owner(tmp_path: Path) -> None:
    disk = RealDisk(tmp_path / "journal")
    disk.create("segment", 100).close()
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    assert (tmp_path / "journal" / "segment").stat().st_mode & 0o077 == 0


def outcomes(synced: bool) -> set[bytes]:
    found = set()
    for seed in range(200):
        disk = SimulatedDisk(seed)
        file = disk.create("f", 1536)
        file.write_at(0, b"a" * 1536)
        if synced:
            file.sync()
        disk.power_cut()
        raw = disk.read("f")
        assert all(len(set(raw[k : k + 512])) == 1 for k in (0, 512, 1024)), "a sector is old or new"
        found.add(raw[::512])
    return found


def test_a_power_cut_keeps_what_was_synced_and_any_sectors_of_what_was_not() -> None:
    assert outcomes(synced=True) == {b"aaa"}
    assert len(outcomes(synced=False)) == 8


def test_the_end_of_the_process_keeps_what_the_kernel_was_given() -> None:
    disk = SimulatedDisk()
    disk.create("f", 10).write_at(0, b"0123456789")
    disk.kill()
    assert disk.read("f") == b"0123456789"


def test_a_failed_sync_is_forgotten_by_the_next_one() -> None:
    """What the kernel does: the pages are dropped, and the second sync reports success."""
    lost = 0
    for seed in range(50):
        disk = SimulatedDisk(seed)
        file = disk.create("f", 512)
        file.write_at(0, b"a" * 512)
        disk.fail("sync", errno.EIO)
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
        file.sync()
        assert disk.read("f") == b"a" * 512
        disk.power_cut()
        lost += disk.read("f") != b"a" * 512
    assert 10 < lost < 50


def test_names_may_vanish_until_the_directory_is_synced() -> None:
    seen = set()
    for seed in range(50):
        disk = SimulatedDisk(seed)
        disk.stop_after(2)
        with pytest.raises(PowerCutError):
            disk.create("f", 10)
        disk.power_cut()
        seen.add(tuple(disk.names("")))
    assert seen == {(), ("f",)}


def test_what_the_real_disk_promises_it_asks_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut on a real file system is the proof; this says at once which sync has gone."""
    asked: list[str] = []

    def hear(name: str) -> None:
        real = getattr(os, name)

        def call(what: object, *arguments: object) -> object:
            is_folder = isinstance(what, int) and stat.S_ISDIR(os.fstat(what).st_mode)
            asked.append(f"{name} the folder" if is_folder else name)
            return real(what, *arguments)

        monkeypatch.setattr(disk_module.os, name, call)

    disk = RealDisk(tmp_path / "journal")
    for name in ("fsync", "fdatasync", "pwrite", "rename", "unlink"):
        hear(name)
    file = disk.create("a", 10)
    file.write_at(0, b"x")
    file.sync()
    assert asked == ["fsync", "fsync the folder", "pwrite", "fdatasync"]
    asked.clear()
    disk.remove("a")
    assert asked == ["unlink", "fsync the folder"]
    asked.clear()
    disk.put("b", b"x")
    assert asked == ["fsync", "rename", "fsync the folder"]

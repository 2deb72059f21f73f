"""From files to a running engine: whatever is missing, it is as if nothing had happened, or refused."""

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ringfence.exchange import disk
from ringfence.exchange.feed import (
    FeedReader,
    FeedWriteError,
    FeedWriter,
    published_below,
    segment,
)
from ringfence.exchange.journal import Journal, JournalCorruptError, RealDisk
from ringfence.exchange.sequencer import Disks, Sequencer, recover, snapshots
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command
from ringfence.messages.records import EVENT
from ringfence.testing.disk import SimulatedDisk
from ringfence.testing.play import START_NS, opening, rows_of
from ringfence.testing.workloads import everything

BATCHES = 12
SNAPSHOTS_AFTER = (2, 5)
FEED_FILE_BYTES = 20_000


@pytest.fixture(scope="module", autouse=True)
def small_files() -> None:
    """Several feed files and a small journal segment, from little flow."""
    patch = pytest.MonkeyPatch()
    of, small = Disks.of, {"segment_bytes": 40_000, "feed_file_bytes": FEED_FILE_BYTES}
    patch.setattr(Disks, "of", lambda place, *, make=False: of(place, make=make)._replace(**small))
    yield
    patch.undo()


async def _flow(directory: Path) -> bytes:
    sequencer = Sequencer(recover(directory), directory)
    commands = everything(11, count=50 * BATCHES, accounts=4)
    await sequencer.apply(opening(accounts=4).tobytes(), timestamp_ns=START_NS)
    for index in range(BATCHES):
        raw = commands[50 * index : 50 * (index + 1)].tobytes()
        await sequencer.apply(raw, timestamp_ns=START_NS + index * 10**9)
        if index in SNAPSHOTS_AFTER:
            sequencer.begin_snapshot()
            while (done := sequencer.collect_snapshot()) is None:
                await asyncio.sleep(0.01)
            assert done
    sequencer.close(snapshot=False)
    return sequencer.engine.digest()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A directory with two snapshots, several segments and feed files; the digest of its engine."""
    directory = tmp_path_factory.mktemp("straight")
    digest = asyncio.run(_flow(directory))
    assert len(snapshots(directory)) == 2
    assert len(segment.names(directory / "feed")) >= 4
    assert len(list((directory / "journal").iterdir())) >= 2
    return directory, digest


@pytest.fixture
def copy(straight: tuple[Path, bytes], tmp_path: Path) -> Path:
    shutil.copytree(straight[0], tmp_path / "exchange")
    return tmp_path / "exchange"


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def feed_of(directory: Path) -> dict[str, bytes]:
    return {name: raw for name, raw in contents(directory).items() if name.startswith("feed")}


def spoil(path: Path, offset: int = 500) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)


def nothing(directory: Path) -> None:
    pass


def newest_snapshot_damaged(directory: Path) -> None:
    spoil(snapshots(directory)[0])


def both_snapshots_damaged(directory: Path) -> None:
    for path in snapshots(directory):
        spoil(path)


def newest_snapshot_cut_short(directory: Path) -> None:
    path = snapshots(directory)[0]
    path.write_bytes(path.read_bytes()[:300])


def newest_snapshot_of_another_sequence(directory: Path) -> None:
    newest, older = snapshots(directory)
    shutil.copy(older, newest)


def newest_snapshot_unreadable(directory: Path) -> None:
    path = snapshots(directory)[0]
    path.unlink()
    path.mkdir()


def no_snapshots(directory: Path) -> None:
    shutil.rmtree(directory / "snapshots")


def no_feed(directory: Path) -> None:
    shutil.rmtree(directory / "feed")


def no_feed_and_no_snapshots(directory: Path) -> None:
    no_feed(directory)
    no_snapshots(directory)


def no_first_feed_file(directory: Path) -> None:
    (directory / "feed" / segment.name_of(0)).unlink()


def last_feed_file(directory: Path) -> Path:
    return directory / "feed" / segment.names(directory / "feed")[-1]


def last_feed_file_empty(directory: Path) -> None:
    last_feed_file(directory).write_bytes(b"")


def last_feed_file_half_a_batch(directory: Path) -> None:
    path = last_feed_file(directory)
    path.write_bytes(path.read_bytes()[:1000])


def feed_behind_the_older_snapshot(directory: Path) -> None:
    for name in segment.names(directory / "feed")[1:]:
        (directory / "feed" / name).unlink()


def a_hole_in_the_feed_after_the_snapshot(directory: Path) -> None:
    """What a power cut does to a file that was never synced, although later ones reached the disk."""
    path = directory / "feed" / segment.names(directory / "feed")[-2]
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2))


def a_torn_tail_in_the_journal(directory: Path) -> None:
    """A frame in flight that nobody was told of; the one before it stays the last."""
    path = sorted((directory / "journal").glob("*.journal"))[-1]
    journal = Journal(RealDisk(directory / "journal"))
    with open(path, "r+b") as file:
        file.seek(journal._offset)
        file.write(b"RFJRNL01" + b"half a frame")
    journal.close()


def a_snapshot_was_being_written(directory: Path) -> None:
    (directory / "snapshots" / "00000000000000009999.snapshot.new").write_bytes(b"half a snapshot")


@pytest.mark.parametrize(
    "damage",
    [
        nothing, newest_snapshot_damaged, both_snapshots_damaged, newest_snapshot_cut_short,
        newest_snapshot_of_another_sequence, newest_snapshot_unreadable, no_snapshots, no_feed,
        no_feed_and_no_snapshots, no_first_feed_file, last_feed_file_empty, last_feed_file_half_a_batch,
        feed_behind_the_older_snapshot, a_hole_in_the_feed_after_the_snapshot, a_torn_tail_in_the_journal,
        a_snapshot_was_being_written,
    ],
)  # fmt: skip
def test_state_and_events_are_those_of_a_straight_run(
    damage: Callable[[Path], None], straight: tuple[Path, bytes], copy: Path
) -> None:
    damage(copy)
    recovered = recover(copy)
    assert recovered.engine.digest() == straight[1]
    assert feed_of(copy) == feed_of(straight[0])
    assert (recovered.journal.torn_tail is not None) == (damage is a_torn_tail_in_the_journal)
    reader, batches = FeedReader(copy / "feed"), 0
    while reader.read() is not None:
        batches += 1
    assert batches == BATCHES + 1
    recovered.journal.close()
    recovered.feed.close()


def test_a_whole_newest_snapshot_is_used_and_only_the_rest_is_replayed(copy: Path) -> None:
    assert recover(copy).replayed == 50 * (BATCHES - 1 - SNAPSHOTS_AFTER[1])
    newest_snapshot_damaged(copy)
    assert recover(copy).replayed == 50 * (BATCHES - 1 - SNAPSHOTS_AFTER[0])


def journal_lost_what_was_published(directory: Path) -> None:
    sorted((directory / "journal").glob("*.journal"))[-1].unlink()


def journal_lost_what_a_snapshot_holds(directory: Path) -> None:
    shutil.rmtree(directory / "feed")
    last = sorted((directory / "journal").glob("*.journal"))[-1]
    keep = snapshots(directory)[0].name.split(".")[0]
    assert int(keep) > int(last.name.split("-")[1].split(".")[0]), "the snapshot needs the last segment"
    last.unlink()


def journal_rots(directory: Path) -> None:
    spoil(sorted((directory / "journal").glob("*.journal"))[-1], 200)


@pytest.mark.parametrize(
    "damage", [journal_lost_what_was_published, journal_lost_what_a_snapshot_holds, journal_rots]
)
def test_a_journal_that_lost_anything_is_refused_and_nothing_is_changed(
    damage: Callable[[Path], None], copy: Path
) -> None:
    last_feed_file_half_a_batch(copy)
    damage(copy)
    before = contents(copy)
    with pytest.raises(JournalCorruptError, match="had been acknowledged"):
        recover(copy)
    assert contents(copy) == before


def test_a_feed_that_does_not_fit_the_disk_is_continued_after_a_restart(
    straight: tuple[Path, bytes], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write must be neither taken for a whole one nor written after."""
    no_feed(copy)
    room = 100_000

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        size = min(len(data), room, 7_000)
        room -= size
        return os.pwrite(descriptor, data[:size], offset)

    class Full:
        def __getattr__(self, name: str) -> object:
            return pwrite if name == "pwrite" else getattr(os, name)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "os", Full())
        with pytest.raises(FeedWriteError, match="safe in the journal"):
            recover(copy)
    assert 0 < published_below(copy / "feed") < published_below(straight[0] / "feed")
    assert recover(copy).engine.digest() == straight[1]
    assert feed_of(copy) == feed_of(straight[0])


ROWS = rows_of(4, Command.TICK)
FED = [Batch(4 * k, START_NS, 4 * k, ROWS, np.zeros(4, EVENT)) for k in range(40)]


def write_below_a_snapshot(place: SimulatedDisk) -> None:
    """Write a feed (again, as far as it is not there) whose newest snapshot is at its end."""
    writer = FeedWriter(place, durable_below=160, file_bytes=2_000)
    for batch in FED:
        writer.append(batch)


def check_fed(place: SimulatedDisk) -> None:
    reader = FeedReader(place)
    for batch in FED:
        found = reader.read()
        assert found is not None, batch.first_sequence
        assert segment.encode(found) == segment.encode(batch)


def test_a_feed_that_is_written_again_below_a_snapshot_is_durable_before_it_is_trusted() -> None:
    """A power cut before the next snapshot once left holes that no start looked for; seed 164 of the world."""
    for seed in range(30):
        place = SimulatedDisk(seed)
        write_below_a_snapshot(place)
        place.power_cut()
        write_below_a_snapshot(place)
        check_fed(place)


@pytest.mark.parametrize("after", range(5))
def test_a_sync_that_fails_while_a_feed_is_written_again_leaves_nothing_to_believe(after: int) -> None:
    """The system takes the pages of a failed sync for clean: the next sync succeeds and writes nothing."""
    for seed in range(30):
        place = SimulatedDisk(seed)
        place.fail("sync", errno.EIO, after=after)
        with pytest.raises(FeedWriteError):
            write_below_a_snapshot(place)
        for _ in range(2):
            write_below_a_snapshot(place)
            place.power_cut()
        write_below_a_snapshot(place)
        check_fed(place)


def test_a_reader_follows_a_feed_that_is_removed_and_written_again(copy: Path) -> None:
    names = segment.names(copy / "feed")
    reader = FeedReader(copy / "feed", next_sequence=int(names[-1].split(".")[0]))
    last_feed_file(copy).write_bytes(b"")
    assert reader.read() is None
    recover(copy)
    assert reader.read() is not None


def test_a_reader_waits_at_a_file_that_has_just_been_created(tmp_path: Path) -> None:
    """It once went round for ever, and the core with it when it started on such a file."""
    (tmp_path / segment.name_of(0)).write_bytes(b"")
    assert FeedReader(tmp_path).read() is None
    assert FeedWriter(tmp_path).next_sequence == 0
    assert published_below(tmp_path) == 0


def test_what_a_dead_process_left_of_a_snapshot_is_removed_with_the_next_one(copy: Path) -> None:
    a_snapshot_was_being_written(copy)
    Sequencer(recover(copy), copy).close(snapshot=True)
    assert [path.suffix for path in (copy / "snapshots").iterdir()] == [".snapshot", ".snapshot"]


def test_a_snapshot_child_holds_neither_the_lock_nor_the_lines_of_its_core(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the core is killed meanwhile, the next one starts at once and the gateways hear of it."""
    module = sys.modules[Sequencer.__module__]
    monkeypatch.setattr(module, "write_snapshot", lambda *_: time.sleep(30))
    held = os.open(copy / "core.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    ours, theirs = socket.socketpair()
    sequencer = Sequencer(recover(copy), copy)
    sequencer.snapshot_sequence = -1
    sequencer.begin_snapshot()
    try:
        os.close(held)
        ours.close()
        theirs.settimeout(5)
        assert theirs.recv(1) == b"", "the line is closed"
        again = os.open(copy / "core.lock", os.O_RDWR)
        signal.alarm(10)  # the child closes one after the other
        fcntl.flock(again, fcntl.LOCK_EX)
        os.close(again)
    finally:
        signal.alarm(0)
        os.kill(sequencer._snapshot_child, signal.SIGKILL)
        theirs.close()
    sequencer.close(snapshot=False)


def test_a_venue_with_many_accounts_and_few_positions_recovers_from_its_snapshot(tmp_path: Path) -> None:
    """Loading once failed as soon as there were more accounts than positions and more than 512 of them."""
    sequencer = Sequencer(recover(tmp_path), tmp_path)
    asyncio.run(sequencer.apply(opening(accounts=700).tobytes(), timestamp_ns=START_NS))
    sequencer.close(snapshot=True)
    recovered = recover(tmp_path)
    assert recovered.replayed == 0
    assert recovered.engine.digest() == sequencer.engine.digest()

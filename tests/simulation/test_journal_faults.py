"""The journal on a disk that stops, loses, tears, rots, breaks and runs full.

The law: what was acknowledged is there, byte for byte, and nothing was invented. A frame that was being
written when it all stopped may be there or not, but once a journal was opened that is settled.
"""

import errno
import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ringfence.exchange.journal import (
    Journal,
    JournalCorruptError,
    JournalError,
    JournalGapError,
    JournalReader,
    JournalReadError,
    JournalVersionError,
    JournalWriteError,
    read_frames,
)
from ringfence.exchange.journal import frame as frames
from ringfence.testing import disk as simulated
from ringfence.testing.disk import PowerCutError, SimulatedDisk

SEEDS = 1_000
LIVES = 12


class Said(NamedTuple):
    """What a frame must say."""

    timestamp_ns: int
    commands: bytes


def found(disk: SimulatedDisk) -> list[Said]:
    return [Said(frame.timestamp_ns, frame.commands) for frame in read_frames(disk)]


class Run:
    """One disk through several lives of a process, and what it promised."""

    def __init__(self, seed: int, reached: Counter[str]) -> None:
        self.rng = random.Random(f"run {seed}")
        self.disk = SimulatedDisk(seed)
        self.segment_bytes = self.rng.choice((1024, 2048, 4096))
        self.promised: list[Said] = []
        self.in_flight: Said | None = None
        self.reached = reached

    @property
    def sequence(self) -> int:
        return sum(len(said.commands) // 64 for said in self.promised)

    def live(self) -> None:
        """Open, append until something happens, and die."""
        self.plan_fault()
        is_open = False
        try:
            acknowledged = self.rng.randrange(self.sequence + 1)
            journal = Journal(self.disk, acknowledged=acknowledged, segment_bytes=self.segment_bytes)
            is_open = True
            self.disk.mend("read")
            self.settle(journal)
            for _ in range(self.rng.randrange(12)):
                self.append(journal)
        except PowerCutError:
            self.reached["stopped in append" if is_open else "stopped while opening"] += 1
        except JournalWriteError:
            self.reached["failed in append" if is_open else "failed while opening"] += 1
            if is_open:
                with pytest.raises(JournalWriteError):
                    journal.append(bytes(64), timestamp_ns=1)
        except JournalReadError:
            self.reached["could not read"] += 1
        if self.rng.random() < 0.6:
            self.disk.power_cut()
        else:
            self.disk.kill()

    def plan_fault(self) -> None:
        what = self.rng.choice(("stop", "stop", "stop", "break", "full", "nothing"))
        if what == "stop":
            self.disk.stop_after(self.rng.randrange(40))
        elif what == "break":
            self.disk.fail(self.rng.choice(("write", "sync", "read")), errno.EIO, after=self.rng.randrange(8))
        elif what == "full":
            self.disk.fail(self.rng.choice(("write", "create")), errno.ENOSPC, after=self.rng.randrange(4))

    def append(self, journal: Journal) -> None:
        commands = self.rng.randbytes(64 * self.rng.choice((1, 1, 2, 5, 30)))
        self.in_flight = Said(self.rng.randrange(2**60), commands)
        journal.append(commands, timestamp_ns=self.in_flight.timestamp_ns)
        self.promised.append(self.in_flight)
        self.in_flight = None

    def settle(self, journal: Journal) -> None:
        """Check what a journal says that has just been opened."""
        there = found(self.disk)
        if self.in_flight and there == [*self.promised, self.in_flight]:
            self.promised.append(self.in_flight)
            self.reached["the frame in flight survived"] += 1
        assert there == self.promised
        assert journal.next_sequence == self.sequence
        self.in_flight = None
        if journal.torn_tail:
            tail = journal.torn_tail
            assert tail.sequence == self.sequence
            assert self.disk.read(tail.kept_as)
            self.reached["a torn tail was set aside"] += 1
        self.reached["segments"] = max(self.reached["segments"], len(self.disk.names(".journal")))


def run_all(seeds: int, reached: Counter[str]) -> None:
    for seed in range(seeds):
        run = Run(seed, reached)
        for _ in range(LIVES):
            try:
                run.live()
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error


def test_what_was_acknowledged_is_there_and_nothing_else() -> None:
    reached: Counter[str] = Counter()
    run_all(SEEDS, reached)
    floors = {
        "stopped in append": 1_000, "stopped while opening": 400, "failed in append": 300,
        "failed while opening": 100, "could not read": 100, "the frame in flight survived": 500,
        "a torn tail was set aside": 500, "segments": 8,
    }  # fmt: skip
    assert {name: reached[name] for name in floors if reached[name] < floors[name]} == {}


def _open_without_writing_again(journal: Journal, reader: JournalReader, last: object) -> None:
    journal._file = journal._disk.open(reader.segment)
    journal._offset, journal._size = reader.offset, len(reader.raw)
    journal._file.sync()


def _blank_without_sync(journal: Journal, reader: JournalReader) -> None:
    assert journal._file is not None
    journal._file.write_at(reader.offset, bytes(len(reader.raw) - reader.offset))


def _trust_a_name(disk: SimulatedDisk) -> None:
    """The directory is never synced."""


def _never_harden(file: object) -> None:
    """A sync that does nothing."""


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (Journal, "_continue", _open_without_writing_again),
        (Journal, "_set_tail_aside", _blank_without_sync),
        (SimulatedDisk, "_sync_directory", _trust_a_name),
        (simulated._File, "sync", _never_harden),
    ],
    ids=["no rewrite on opening", "blank without sync", "no directory sync", "no sync"],
)
def test_the_runs_notice_a_missing_safeguard(
    where: type, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, broken)
    with pytest.raises(AssertionError, match="seed"):
        run_all(SEEDS, Counter())


# ---- single faults, told one by one


def written(*, batches: int = 9, segment_bytes: int = 1024, seed: int = 1) -> tuple[SimulatedDisk, int]:
    """Return a disk with a journal of several segments, and its next sequence."""
    rng = random.Random(seed)
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=segment_bytes)
    for _ in range(batches):
        journal.append(rng.randbytes(64 * rng.randrange(1, 5)), timestamp_ns=rng.randrange(2**60))
    journal.close()
    assert len(disk.names(".journal")) >= 3
    return disk, journal.next_sequence


def places(disk: SimulatedDisk) -> Iterator[tuple[str, int, int]]:
    """Yield (segment, begin, end) of every frame."""
    reader = JournalReader(disk)
    for frame in reader.frames():
        yield reader.segment, reader.offset - frame.size, reader.offset


def verify(disk: SimulatedDisk, acknowledged: int) -> None:
    reader = JournalReader(disk)
    for _ in reader.frames():
        pass
    reader.check_end(acknowledged=acknowledged)


def contents(disk: SimulatedDisk) -> dict[str, bytes]:
    return {name: disk.read(name) for name in disk.names("")}


def test_every_flipped_bit_of_every_frame_is_found_and_its_place_is_named() -> None:
    disk, sequence = written()
    flipped = 0
    for segment, begin, end in list(places(disk)):
        for offset in range(begin, end):
            disk.rot(segment, offset, 1 << offset % 8)
            with pytest.raises(JournalCorruptError) as caught:
                verify(disk, sequence)
            assert (caught.value.segment, caught.value.offset) == (segment, begin)
            disk.rot(segment, offset, 1 << offset % 8)
            flipped += 1
    assert flipped > 2000
    verify(disk, sequence)


def test_rot_in_the_last_two_segments_is_not_opened_and_nothing_is_changed() -> None:
    disk, sequence = written()
    last_two = disk.names(".journal")[-2:]
    for segment, begin, end in [place for place in places(disk) if place[0] in last_two]:
        disk.rot(segment, end - 1)
        before = contents(disk)
        with pytest.raises(JournalCorruptError) as caught:
            Journal(disk, acknowledged=sequence)
        assert (caught.value.segment, caught.value.offset) == (segment, begin)
        assert contents(disk) == before
        disk.rot(segment, end - 1)


def test_what_is_cut_off_at_the_end_is_rot_if_somebody_was_told_and_a_torn_tail_if_not() -> None:
    disk, sequence = written(batches=10)
    *_, (segment, begin, end) = places(disk)
    disk.rot(segment, end - 1)
    with pytest.raises(JournalCorruptError, match="had been acknowledged"):
        Journal(disk, acknowledged=sequence)
    tail = disk.read(segment)[begin:].rstrip(b"\0")
    journal = Journal(disk, acknowledged=0)
    assert journal.torn_tail is not None
    assert journal.torn_tail[:2] == (segment, begin)
    assert disk.read(journal.torn_tail.kept_as) == tail
    assert begin > 0
    assert not disk.read(segment)[begin:].strip(b"\0")
    assert Journal(disk).torn_tail is None


def test_a_torn_tail_may_hold_a_copy_of_an_earlier_frame() -> None:
    """A sector that was being written shows old bytes of the file; that nothing newer follows counts (seed 8974)."""
    disk, sequence = written(batches=10)
    *_, (earlier, old, _), (segment, begin, _) = places(disk)
    assert earlier == segment
    stale = disk.read(segment)[old:begin]
    disk.overwrite(segment, begin, b"\1" * 64 + stale)
    journal = Journal(disk, acknowledged=0)
    assert journal.torn_tail is not None
    assert journal.torn_tail.offset == begin
    assert journal.next_sequence < sequence


def test_each_missing_segment_is_missed() -> None:
    for gone in range(len(written()[0].names(".journal"))):
        disk, sequence = written()
        names = disk.names(".journal")
        disk.remove(names[gone])
        before = contents(disk)
        for attempt in (lambda: Journal(disk, acknowledged=sequence), lambda: verify(disk, sequence)):  # noqa: B023
            with pytest.raises((JournalGapError, JournalCorruptError)) as caught:
                attempt()
            # The last one leaves no hole: that it is gone is known from what was published.
            assert caught.value.segment == names[gone + 1 if gone + 1 < len(names) else gone - 1]
        assert contents(disk) == before


def test_an_early_segment_that_is_missing_is_missed_though_a_start_does_not_read_it() -> None:
    disk, sequence = written(batches=24)
    names = disk.names(".journal")
    assert len(names) >= 6
    disk.remove(names[2])
    with pytest.raises(JournalGapError, match="segment 2 is missing"):
        Journal(disk, acknowledged=sequence)


def test_rot_before_the_last_segment_is_rot_whoever_was_told_of_it() -> None:
    """Nobody begins a segment before the frame in front of it is durable."""
    disk, _ = written()
    before_last = disk.names(".journal")[-2]
    *_, (_, begin, end) = [place for place in places(disk) if place[0] == before_last]
    disk.rot(before_last, end - 1)
    for acknowledged in (0, 1):
        with pytest.raises(JournalCorruptError) as caught:
            Journal(disk, acknowledged=acknowledged)
        assert (caught.value.segment, caught.value.offset) == (before_last, begin)


def test_swapped_segments_are_noticed() -> None:
    disk, sequence = written()
    first, second = disk.names(".journal")[:2]
    raw = disk.read(first)
    disk.put(first, disk.read(second))
    disk.put(second, raw)
    with pytest.raises(JournalGapError) as caught:
        verify(disk, sequence)
    assert (caught.value.segment, caught.value.offset) == (first, 0)


@pytest.mark.parametrize("which", [1, -1])
def test_a_segment_of_another_journal_does_not_continue_the_chain(which: int) -> None:
    """Same names, same sizes, every frame whole: only the hashes differ."""
    disk, sequence = written()
    name = disk.names(".journal")[which]
    other = SimulatedDisk()
    journal = Journal(other, segment_bytes=1024)
    for index, frame in enumerate(read_frames(disk)):
        journal.append(frame.commands, timestamp_ns=frame.timestamp_ns + (index == 0))
    disk.put(name, other.read(name))
    with pytest.raises(JournalCorruptError, match="hash chain") as caught:
        verify(disk, sequence)
    assert (caught.value.segment, caught.value.offset) == (name, 0)
    if which == -1:
        with pytest.raises(JournalCorruptError, match="hash chain"):
            Journal(disk, acknowledged=sequence)


def test_a_segment_cut_short_anywhere_is_noticed() -> None:
    disk, sequence = written()
    ends = {name: end for name, _, end in places(disk)}
    for name, end in ends.items():
        raw = disk.read(name)
        for size in range(0, end, 50):
            disk.put(name, raw[:size])
            with pytest.raises(JournalError):
                verify(disk, sequence)
            disk.put(name, raw)


@pytest.mark.parametrize("which", [0, -1])
def test_a_frame_of_another_version_is_never_taken_for_a_torn_tail(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=1024)
    for index in range(3):
        monkeypatch.setattr(frames, "VERSION", 2 if index == which % 3 else 1)
        journal.append(bytes(64), timestamp_ns=index)
    monkeypatch.setattr(frames, "VERSION", 1)
    segment, begin = disk.names(".journal")[0], 192 * (which % 3)
    before = contents(disk)
    with pytest.raises(JournalVersionError) as caught:
        Journal(disk)
    assert (caught.value.segment, caught.value.offset, caught.value.found) == (segment, begin, 2)
    assert contents(disk) == before


def test_a_disk_that_does_not_read_is_not_taken_for_an_empty_one() -> None:
    for after in range(2):
        disk, _ = written()
        before = contents(disk)
        disk.fail("read", errno.EIO, after=after)
        with pytest.raises(JournalReadError, match="Input/output error") as caught:
            Journal(disk)
        assert caught.value.segment in disk.names(".journal")
        assert contents(disk) == before


@pytest.mark.parametrize(
    ("operation", "code"), [("write", errno.ENOSPC), ("sync", errno.EIO), ("create", errno.ENOSPC)]
)
def test_after_one_failed_write_nothing_more_is_acknowledged(operation: str, code: int) -> None:
    disk = SimulatedDisk(3)
    journal = Journal(disk, segment_bytes=1024)
    journal.append(b"a" * 64 * 12, timestamp_ns=1)
    disk.fail(operation, code)
    for _ in range(3):
        with pytest.raises(JournalWriteError, match="sequence 12"):
            journal.append(b"b" * 64 * 12, timestamp_ns=2)
    assert journal.next_sequence == 12
    journal = Journal(disk, acknowledged=12, segment_bytes=1024)
    journal.append(b"c" * 64, timestamp_ns=3)
    assert found(disk)[0] == Said(1, b"a" * 64 * 12)
    assert found(disk)[-1] == Said(3, b"c" * 64)


def test_a_frame_whose_sync_failed_is_durable_once_a_journal_was_opened_over_it() -> None:
    """The kernel drops the pages of a failed sync and reports the next one as good."""
    for seed in range(40):
        disk = SimulatedDisk(seed)
        journal = Journal(disk, segment_bytes=1024)
        disk.fail("sync", errno.EIO)
        with pytest.raises(JournalWriteError):
            journal.append(b"a" * 640, timestamp_ns=1)
        disk.kill()
        opened = Journal(disk).next_sequence
        disk.power_cut()
        assert Journal(disk).next_sequence == opened == 10


def test_a_segment_whose_creation_was_cut_short_is_made_anew() -> None:
    """Empty, or of a name that the directory may forget: neither may take a frame."""
    disk, sequence = written()
    blank = f"{len(disk.names('.journal')):08d}-{sequence:020d}.journal"
    for size in (0, 64, 1024):
        disk.create(blank, size).close()
        journal = Journal(disk, acknowledged=sequence, segment_bytes=1024)
        assert blank not in disk.names(".journal")
        journal.close()
    journal.append(b"x" * 64 * 20, timestamp_ns=1)
    assert journal.next_sequence == sequence + 20
    verify(disk, sequence + 20)


def test_a_reader_beside_the_core_takes_a_frame_in_flight_for_what_it_is() -> None:
    """It may have read this page before the frame was written and the next one after several were."""

    class Interrupted(SimulatedDisk):
        old: bytes = b""
        border = 0

        def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
            raw = super().read(name, offset, size)
            old, self.old = self.old, b""
            return old[: self.border] + raw[self.border :] if old else raw

    disk = Interrupted()
    journal = Journal(disk, segment_bytes=8192)
    journal.append(b"a" * 64, timestamp_ns=1)
    (segment,) = disk.names(".journal")
    for ahead in (0, 1, 100, 128, 150, 192, 200, 250, 384):
        *_, (_, _, end) = places(disk)
        old = disk.read(segment)
        for _ in range(3):
            journal.append(b"b" * 64, timestamp_ns=2)
        disk.old, disk.border = old, end + ahead
        seen = found(disk)
        assert len(seen) == journal.next_sequence - (3 if ahead else 0)
        assert len(found(disk)) == journal.next_sequence


def test_no_text_looks_like_a_frame() -> None:
    """A forged frame in a customer's text must not make a torn tail look like rot."""
    forged, _ = frames.encode(bytes(64), first_sequence=100, timestamp_ns=5, previous=bytes(32))
    slots = bytearray(forged)
    for slot in range(0, len(slots), 64):
        slots[slot + 58] = 255  # Command.DATA: every slot of a submission has a kind
    for raw in (forged, slots):
        disk = SimulatedDisk()
        journal = Journal(disk, segment_bytes=1024)
        journal.append(b"\1" * 64, timestamp_ns=1)
        journal.append(bytes(raw), timestamp_ns=2)
        disk.rot(disk.names(".journal")[0], 192)
        if raw is slots:
            assert Journal(disk).torn_tail is not None
        else:
            with pytest.raises(JournalCorruptError):
                Journal(disk)

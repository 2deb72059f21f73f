"""From files to a running engine: the newest snapshot that is whole, then the journal after it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ringfence.exchange.disk import ASIDE, Disk, RealDisk
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FILE_BYTES, FeedWriter, published_below, rewrite_feed, sync_feed
from ringfence.exchange.journal import SEGMENT_BYTES, Frame, Journal, read_frames
from ringfence.messages.batch import Batch
from ringfence.messages.records import COMMAND
from ringfence.messages.rules import UnknownRulesError

log = logging.getLogger(__name__)
_KEEP_SNAPSHOTS = 2
_SUFFIX = ".snapshot"


class Disks(NamedTuple):
    """Where one exchange keeps its files: three folders of a directory, or three disks of a test."""

    journal: Disk
    feed: Disk
    snapshots: Disk
    segment_bytes: int = SEGMENT_BYTES
    feed_file_bytes: int = FILE_BYTES

    @classmethod
    def of(cls, place: "Path | Disks", *, make: bool = False) -> "Disks":
        """Return the disks of a directory, with their folders made if that is wanted; disks are themselves."""
        if not isinstance(place, Path):
            return place
        journal, feed, snapshots = (
            RealDisk(place / name, make=make) for name in ("journal", "feed", "snapshots")
        )
        return cls(journal, feed, snapshots)


class Recovered(NamedTuple):
    engine: Engine
    journal: Journal
    feed: FeedWriter
    replayed: int
    """Commands applied after the snapshot."""


def snapshots(directory: Path) -> list[Path]:
    """Return the snapshot files, newest first."""
    folder = directory / "snapshots"
    return [folder / _name_of(sequence) for sequence in _sequences(RealDisk(folder, make=False))]


def has_snapshot(place: Path | Disks, sequence: int) -> bool:
    return Disks.of(place).snapshots.exists(_name_of(sequence))


def sequence_of(snapshot: Path) -> int:
    return int(snapshot.name.removesuffix(_SUFFIX))


def _name_of(sequence: int) -> str:
    return f"{sequence:020d}{_SUFFIX}"


def _sequences(disk: Disk) -> list[int]:
    """Return of which sequences there are snapshots, newest first."""
    return [int(name.removesuffix(_SUFFIX)) for name in reversed(disk.names(_SUFFIX))]


def acknowledged_below(place: Path | Disks) -> int:
    """Return the sequence below which everything is known to have been acknowledged to somebody.

    The feed is not synced, so it may know less than there was; a snapshot is of what was published.
    """
    disks = Disks.of(place)
    return max(max(_sequences(disks.snapshots), default=0), published_below(disks.feed))


def remove_old_snapshots(place: Path | Disks) -> None:
    """Keep the newest; also remove what a process that died was still writing."""
    disk = Disks.of(place).snapshots
    old = [_name_of(sequence) for sequence in _sequences(disk)[_KEEP_SNAPSHOTS:]]
    for name in [*old, *disk.names(ASIDE)]:
        disk.remove(name)


def recover(place: Path | Disks, *, on_progress: Callable[[int, int], None] | None = None) -> Recovered:
    """Return everything as it was when the last acknowledged batch became durable.

    `on_progress(commands applied, commands in the journal)`. Raises JournalError if the journal cannot
    be trusted, before anything was changed; FeedWriteError; UnknownRulesError if it is under rules that this build does
    not know: then everything before them is in the feed.
    """
    disks = Disks.of(place, make=True)
    journal = Journal(
        disks.journal, acknowledged=acknowledged_below(disks), segment_bytes=disks.segment_bytes
    )
    durable = max(_sequences(disks.snapshots), default=0)
    feed = FeedWriter(disks.feed, durable_below=durable, file_bytes=disks.feed_file_bytes)
    if journal.torn_tail:
        log.warning("recovered a torn tail: %s", journal.torn_tail)
    engine = _load_newest(disks.snapshots, at_most=min(feed.next_sequence, journal.next_sequence))
    begun = engine.next_sequence
    for frame in read_frames(disks.journal, first_sequence=begun):
        feed.append(apply(engine, frame))
        if on_progress:
            on_progress(engine.next_sequence, journal.next_sequence)
    assert engine.next_sequence == journal.next_sequence == feed.next_sequence
    return Recovered(engine, journal, feed, engine.next_sequence - begun)


def _load_newest(disk: Disk, *, at_most: int) -> Engine:
    """Load the newest usable snapshot; its successors' events must still be writable to the feed."""
    for sequence in _sequences(disk):
        if sequence > at_most:
            continue
        name = _name_of(sequence)
        try:
            engine = Engine.restore(disk.read(name), name=name)
        except UnknownRulesError:
            raise  # an older snapshot leads to the same place, by a longer way
        except Exception as error:
            # A snapshot only saves time: whatever is wrong with one, the journal knows better.
            log.warning("%s cannot be used: %s; trying an older one", name, error)
            continue
        if engine.next_sequence == sequence:
            return engine
        log.warning("%s is of sequence %d; trying an older one", name, engine.next_sequence)
    return Engine()


def apply(engine: Engine, frame: Frame) -> Batch:
    """Apply one frame and return it with its events. Raises UnknownRulesError."""
    assert engine.next_sequence == frame.first_sequence
    first_event = engine.event_count
    commands = np.frombuffer(frame.commands, COMMAND)
    events = engine.step(commands, timestamp_ns=frame.timestamp_ns)
    return Batch(frame.first_sequence, frame.timestamp_ns, first_event, commands, events)


def write_snapshot(engine: Engine, place: Path | Disks, *, is_feed_suspect: bool) -> None:
    """Write a snapshot aside, sync it and rename it into place. Raises OSError.

    The feed is synced first, so that recovery need not look for holes before the newest snapshot. It is suspect
    unless this process has written a snapshot and the last one succeeded: a sync of it may have failed since then.
    """
    disks = Disks.of(place, make=True)
    if is_feed_suspect:
        durable = max(_sequences(disks.snapshots), default=0)
        rewrite_feed(disks.feed, first_sequence=durable, next_sequence=engine.next_sequence)
    sync_feed(disks.feed)
    disks.snapshots.put(_name_of(engine.next_sequence), *engine.snapshot())

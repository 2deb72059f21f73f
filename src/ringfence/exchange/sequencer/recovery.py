"""From files to a running engine: the newest snapshot that is whole, then the journal after it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedWriter, published_below, sync_feed
from ringfence.exchange.journal import Disk, Frame, Journal, RealDisk, read_frames, sync_directory
from ringfence.messages.batch import Batch
from ringfence.messages.records import COMMAND

log = logging.getLogger(__name__)
_KEEP_SNAPSHOTS = 2
_SUFFIX, _WRITING = ".snapshot", ".writing"


class Recovered(NamedTuple):
    engine: Engine
    journal: Journal
    feed: FeedWriter
    replayed: int
    """Commands applied after the snapshot."""


def snapshot_path(directory: Path, sequence: int) -> Path:
    return directory / "snapshots" / f"{sequence:020d}{_SUFFIX}"


def snapshots(directory: Path) -> list[Path]:
    """Return the snapshot files, newest first."""
    return sorted((directory / "snapshots").glob(f"*{_SUFFIX}"), reverse=True)


def sequence_of(snapshot: Path) -> int:
    return int(snapshot.name.removesuffix(_SUFFIX))


def acknowledged_below(directory: Path) -> int:
    """Return the sequence below which everything is known to have been acknowledged to somebody.

    The feed is not synced, so it may know less than there was; a snapshot is of what was published.
    """
    snapshot = max((sequence_of(path) for path in snapshots(directory)), default=0)
    return max(snapshot, published_below(directory / "feed"))


def remove_old_snapshots(directory: Path) -> None:
    """Keep the newest; also remove what a process that died was still writing."""
    for path in snapshots(directory)[_KEEP_SNAPSHOTS:]:
        path.unlink()
    for path in (directory / "snapshots").glob(f"*{_WRITING}"):
        path.unlink()


def recover(
    directory: Path, *, disk: Disk | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Recovered:
    """Return everything as it was when the last acknowledged batch became durable.

    `on_progress(commands applied, commands in the journal)`. Raises JournalError if the journal cannot
    be trusted, before anything was changed; FeedWriteError.
    """
    disk = disk or RealDisk(directory / "journal")
    journal = Journal(disk, acknowledged=acknowledged_below(directory))
    durable = max((sequence_of(path) for path in snapshots(directory)), default=0)
    feed = FeedWriter(directory / "feed", durable_below=durable)
    if journal.torn_tail:
        log.warning("recovered a torn tail: %s", journal.torn_tail)
    engine = _load_newest(directory, at_most=min(feed.next_sequence, journal.next_sequence))
    begun = engine.next_sequence
    for frame in read_frames(disk, first_sequence=begun):
        feed.append(apply(engine, frame))
        if on_progress:
            on_progress(engine.next_sequence, journal.next_sequence)
    assert engine.next_sequence == journal.next_sequence == feed.next_sequence
    return Recovered(engine, journal, feed, engine.next_sequence - begun)


def _load_newest(directory: Path, *, at_most: int) -> Engine:
    """Load the newest usable snapshot; its successors' events must still be writable to the feed."""
    for path in snapshots(directory):
        if sequence_of(path) > at_most:
            continue
        try:
            engine = Engine.load(path)
        except Exception as error:
            # A snapshot only saves time: whatever is wrong with one, the journal knows better.
            log.warning("%s cannot be used: %s; trying an older one", path.name, error)
            continue
        if engine.next_sequence == sequence_of(path):
            return engine
        log.warning("%s is of sequence %d; trying an older one", path.name, engine.next_sequence)
    return Engine()


def apply(engine: Engine, frame: Frame) -> Batch:
    """Apply one frame and return it with its events."""
    assert engine.next_sequence == frame.first_sequence
    first_event = engine.event_count
    commands = np.frombuffer(frame.commands, COMMAND)
    events = engine.step(commands, timestamp_ns=frame.timestamp_ns)
    return Batch(frame.first_sequence, frame.timestamp_ns, first_event, commands, events)


def write_snapshot(engine: Engine, directory: Path) -> Path:
    """Write a snapshot aside, sync it and rename it into place.

    The feed is synced first, so that recovery need not look for holes before the newest snapshot.
    """
    sync_feed(directory / "feed")
    path = snapshot_path(directory, engine.next_sequence)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_suffix(_WRITING)
    engine.save(aside)
    aside.rename(path)
    sync_directory(path.parent)
    return path

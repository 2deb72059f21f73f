"""From files to a running engine: the newest snapshot that is whole, then the journal after it."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ringfence.exchange.engine import Engine, SnapshotError
from ringfence.exchange.feed import FeedWriter
from ringfence.exchange.journal import Disk, Frame, Journal, RealDisk, read_frames
from ringfence.messages.batch import Batch
from ringfence.messages.records import COMMAND

log = logging.getLogger(__name__)
_KEEP_SNAPSHOTS = 2
_SUFFIX = ".snapshot"


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
    folder = directory / "snapshots"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return sorted(folder.glob(f"*{_SUFFIX}"), reverse=True)


def remove_old_snapshots(directory: Path) -> None:
    for path in snapshots(directory)[_KEEP_SNAPSHOTS:]:
        path.unlink()


def recover(
    directory: Path, *, disk: Disk | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Recovered:
    """Return everything as it was when the last acknowledged batch became durable.

    `on_progress(commands applied, commands in the journal)`. Raises JournalError if the journal cannot
    be trusted.
    """
    disk = disk or RealDisk(directory / "journal")
    feed = FeedWriter(directory / "feed")
    journal = Journal(disk, acknowledged=feed.next_sequence)
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
        if int(path.name.split(".")[0]) > at_most:
            continue
        try:
            return Engine.load(path)
        except SnapshotError as error:
            log.warning("%s; trying an older one", error)
    return Engine()


def apply(engine: Engine, frame: Frame) -> Batch:
    """Apply one frame and return it with its events."""
    assert engine.next_sequence == frame.first_sequence
    first_event = engine.event_count
    commands = np.frombuffer(frame.commands, COMMAND)
    events = engine.step(commands, timestamp_ns=frame.timestamp_ns)
    return Batch(frame.first_sequence, frame.timestamp_ns, first_event, commands, events)


def write_snapshot(engine: Engine, directory: Path) -> Path:
    """Write a snapshot aside, sync it and rename it into place."""
    path = snapshot_path(directory, engine.next_sequence)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_suffix(".writing")
    engine.save(aside)
    aside.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path

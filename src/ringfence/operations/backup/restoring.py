"""`restore`: a backup into an empty directory, and the proof that it is what it says.

Everything is done beside the directory and gets its name at the end: a directory that is there has been proven.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ringfence.commitments import load_nonces
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedWriter
from ringfence.exchange.journal import read_frames
from ringfence.exchange.sequencer import Disks, write_snapshot
from ringfence.files import replace, sync_directory
from ringfence.messages.records import VERSION
from ringfence.operations.backup.manifest import (
    BackupError,
    Manifest,
    MissingError,
    Store,
    open_sealed,
    read_manifest,
    read_sealed,
)
from ringfence.operations.backup.proving import ProofError, Proved, prove, roots_in
from ringfence.operations.backup.recovery import open_with
from ringfence.operations.backup.taking import CHAIN

ASIDE = ".restoring"


class Restored(NamedTuple):
    manifest: Manifest
    proved: Proved
    opened_seconds: float
    """From the beginning until every file was there."""
    replayed_seconds: float
    """Of the replay, with the feed and a snapshot written."""


def restore(store: Store, directory: Path, *, identities: Sequence[str], name: str = "") -> Restored:
    """Restore a backup, the newest without a name.

    Raises RecoveryError, BackupError, MissingError, ProofError, JournalError, OSError: then the directory is not there.
    What was made until then stays under NAME.restoring to be looked at.
    """
    started = time.monotonic()
    if directory.exists() and any(directory.iterdir()):
        raise BackupError(f"{directory} is not empty. Nothing was restored; name another directory.")
    aside = directory.with_name(directory.name + ASIDE)
    if aside.exists():
        raise BackupError(f"{aside} is left of an earlier restore. Remove it; nothing was restored.")
    manifest, _ = read_manifest(store, name)
    if manifest.version != VERSION:
        raise BackupError(
            f"{manifest.name} has records of version {manifest.version}, this program knows {VERSION}. Nothing was "
            "restored; use the version of the program that wrote it."
        )
    identity = open_with(store.recovery, identities)
    aside.mkdir(mode=0o700, parents=True)
    for file in manifest.files:
        path = aside / file.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, open_sealed(file, read_sealed(store, file), identity))
    opened = time.monotonic()
    proved = _replay(aside, manifest, store)
    sync_directory(aside)
    if directory.exists():
        directory.rmdir()
    aside.rename(directory)
    sync_directory(directory.parent)
    return Restored(manifest, proved, opened - started, time.monotonic() - opened)


def _replay(directory: Path, manifest: Manifest, store: Store) -> Proved:
    """Replay the journal from nothing, write the feed and a snapshot. Raises ProofError, JournalError, OSError."""
    if not (directory / "roots" / "nonces.key").exists():
        raise MissingError("the backup has no roots/nonces.key: the signed state cannot be compared")
    roots = roots_in(directory / CHAIN, store.key)
    if len(roots) != manifest.roots or (roots and roots[-1].digest.hex() != manifest.root_digest):
        raise ProofError("the chain of roots is not the one that the manifest names")
    disks, engine = Disks.of(directory, make=True), Engine()
    feed = FeedWriter(disks.feed)
    try:
        proved = prove(
            engine, read_frames(disks.journal), roots=roots, nonces=load_nonces(directory), take=feed.append
        )
    except (AssertionError, IndexError) as error:
        raise ProofError(
            f"the engine met an impossible state after {engine.next_sequence}: {error!r}"
        ) from error
    said = {
        "sequence": (engine.next_sequence, manifest.sequence),
        "hash of the journal": (proved.journal_head, manifest.journal_head),
        "number of events": (engine.event_count, manifest.event_count),
        "hash of the last events": (proved.events_digest, manifest.events_digest),
        "state": (engine.digest().hex(), manifest.engine_digest),
    }
    for what, (found, expected) in said.items():
        if found != expected:
            raise ProofError(f"the {what} is {found} after the replay, the manifest says {expected}")
    write_snapshot(engine, disks, is_feed_suspect=False)
    return proved

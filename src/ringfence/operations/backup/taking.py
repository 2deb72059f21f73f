"""`create`: a cut of an exchange that runs.

The small files first, the chain of roots among them; then the place of the cut is chosen: everything that was published
by then. So whatever the small files speak of is in the journal's copy. Segments of the journal are checked frame by
frame while they are copied, and the newest snapshot is carried on to the cut and held against the signed root.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.chained_log import LogError
from ringfence.commitments import CommitmentKeys, Root, load_keys
from ringfence.commitments.root import FIRST, ROOT_BYTES, EventsHash
from ringfence.database.stores import CONSOLE, SECURITY, USERS, read_lines
from ringfence.exchange.disk import RealDisk
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedReader, published_below
from ringfence.exchange.journal import Frame, JournalReader, read_frames
from ringfence.exchange.sequencer import sequence_of, snapshots
from ringfence.exchange.users.key_table import KeyTable
from ringfence.exchange.users.keys import keys_of
from ringfence.files import replace, sync_directory
from ringfence.messages.events import Event
from ringfence.messages.records import VERSION
from ringfence.operations.backup import recovery
from ringfence.operations.backup.contents import contents_of
from ringfence.operations.backup.manifest import (
    FORMAT,
    OBJECTS,
    RECOVERY,
    SALT_BYTES,
    SUFFIX,
    BackupError,
    File,
    Manifest,
    MissingError,
    Store,
    manifests,
    open_store,
    read_manifest,
    sealed_digest,
    write_signed,
)
from ringfence.operations.backup.proving import ProofError, prove, roots_in

CHAIN = "roots/chain.roots"
_IN_DATABASE = {
    USERS: "accounts/log.jsonl",
    CONSOLE: "custody/console/log.jsonl",
    SECURITY: "security/log.jsonl",
}
_KEYS = "keys.json"


class Taken(NamedTuple):
    manifest: Manifest
    new_bytes: int
    """Sealed, written by this backup; the rest was there."""
    seconds: float
    states: int
    """1 if the state was compared with a signed root, 0 if there was none after the newest snapshot."""


def create(directory: Path, folder: Path, *, recipients: Sequence[str] = (), threshold: int = 2) -> Taken:
    """Write one more backup of a directory to a store; the first one needs recipients.

    Raises BackupError if the store is not this exchange's, MissingError, RecoveryError, ProofError, JournalError,
    OSError, ValueError if a key of the exchange is damaged.
    """
    started = time.monotonic()
    if not (directory / "journal").is_dir() or not (directory / "roots" / "signing.key").exists():
        raise MissingError(
            f"{directory} holds no exchange: it has no journal or no roots/signing.key. Nothing was done."
        )
    keys = load_keys(directory)
    store = _store(folder, keys, recipients, threshold)
    known = manifests(folder)
    before, digest = read_manifest(store) if known else (None, "")
    writer = _Writer(store)
    contents = contents_of(directory)
    files = [writer.put(path, content) for path, content in _small(directory, contents.kept)]
    roots = _roots(directory, writer.content_of_chain, keys)
    cut = published_below(directory / "feed")
    if not cut:
        raise MissingError(f"nothing was ever published in {directory}: there is nothing to back up")
    segments, head, timestamp_ns = _journal(directory, cut, writer, before)
    engine, states = _state(directory, cut, roots, keys)
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") + f"-{cut:020d}"
    if name in known or (known and name < known[-1]):
        raise BackupError(
            f"{known[-1]} is as new as this one: wait a second, or look at the clock. Nothing was written."
        )
    manifest = Manifest(
        format=FORMAT, name=name, created_ns=time.time_ns(), version=VERSION, previous=digest,
        recovery=store.recovery_digest, sequence=cut, timestamp_ns=timestamp_ns, journal_head=head.hex(),
        engine_digest=engine.digest().hex(), event_count=engine.event_count,
        events_digest=_events(directory, roots, cut), roots=len(roots),
        root_sequence=roots[-1].sequence if roots else 0,
        root_digest=(roots[-1].digest if roots else FIRST).hex(),
        files=tuple(sorted(files + segments, key=lambda file: file.path)), left_out=contents.left_out,
    )  # fmt: skip
    path = folder / f"{name}{SUFFIX}"
    sync_directory(folder / OBJECTS)
    replace(path, write_signed(path, manifest, keys.signing))
    sync_directory(folder)
    return Taken(manifest, writer.new_bytes, time.monotonic() - started, states)


def _store(folder: Path, keys: CommitmentKeys, recipients: Sequence[str], threshold: int) -> Store:
    path = folder / RECOVERY
    if not path.exists():
        if not recipients:
            raise MissingError(
                f"{folder} is no store yet: name its recovery keys with --recipient. Nothing was done."
            )
        if folder.exists() and any(folder.iterdir()):
            raise BackupError(f"{folder} is not empty and no store of backups. Nothing was written.")
        begun = recovery.begin(recipients, threshold=threshold)
        (folder / OBJECTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, write_signed(path, begun, keys.signing))
    store = open_store(folder, keys.signing.public_key())
    if recipients and (
        tuple(recipients) != store.recovery.recipients or threshold != store.recovery.threshold
    ):
        raise BackupError(
            f"{folder} is sealed for other recovery keys. Nothing was written. Begin a new store for new keys."
        )
    return store


class _Writer:
    """Seals files into a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.new_bytes = 0
        self.content_of_chain = b""

    def put(self, path: str, content: bytes, *, head: str = "", is_full: bool = False) -> File:
        """Seal one file, durable under its name once the folder is synced. Raises OSError."""
        if path == CHAIN:
            self.content_of_chain = content
        salted = os.urandom(SALT_BYTES) + content
        sealed = recovery.seal(salted, self._store.recovery.recipient)
        digest = sealed_digest(sealed)
        name = f"{digest}.age"
        replace(self._store.folder / OBJECTS / name, sealed)
        self.new_bytes += len(sealed)
        return File(
            path=path, bytes=len(content), digest=hashlib.sha256(salted).hexdigest(), object=name,
            sealed_bytes=len(sealed), sealed_digest=digest, head=head, is_full=is_full,
        )  # fmt: skip


# ---- small files


def _small(directory: Path, kept: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield paths and contents. What is in PostgreSQL is written as the files it would be."""
    moved = {
        path for path in _IN_DATABASE.values() if (directory / path).with_suffix(".in-database").exists()
    }
    for path in kept:
        if path in moved:
            continue
        try:
            yield path, (directory / path).read_bytes()
        except FileNotFoundError:
            continue  # it was replaced or withdrawn while we looked
    for name, path in _IN_DATABASE.items():
        if path in moved:
            try:
                yield path, read_lines(directory, name)
            except LogError as error:
                raise BackupError(
                    f"the log {name} in the database cannot be read: {error}. Nothing was written."
                ) from error
    keys = keys_of(directory)
    if isinstance(keys, KeyTable):
        yield _KEYS, msgspec.json.encode(keys.read())
        keys.close()


def _roots(directory: Path, content: bytes, keys: CommitmentKeys) -> list[Root]:
    """Return the roots that were copied: the chain may have grown since. Raises ProofError."""
    return roots_in(directory / CHAIN, keys.signing.public_key())[: len(content) // ROOT_BYTES]


# ---- the journal


def _journal(
    directory: Path, cut: int, writer: _Writer, before: Manifest | None
) -> tuple[list[File], bytes, int]:
    """Seal the journal below a sequence; return its segments, the hash of its last frame and when that was."""
    there = {file.path: file for file in before.files if file.is_full} if before else {}
    shared: list[File] = []
    disk = RealDisk(directory / "journal", make=False)
    for segment in JournalReader(disk).segments:
        found = there.get(f"journal/{segment.name}")
        if found is None:
            break
        shared.append(found)
    # The last one that is shared is read once more: what is new must continue it.
    first = int(Path(shared[-1].path).stem.split("-")[1]) if shared else 0
    reader = JournalReader(disk, first_sequence=first)
    new: list[File] = []
    name, raw, end, head, timestamp_ns = "", b"", 0, b"", 0

    def close(*, is_full: bool) -> None:
        path = f"journal/{name}"
        if path not in there:
            new.append(writer.put(path, raw[:end], head=head.hex(), is_full=is_full))
        elif there[path].head != head.hex():
            raise BackupError(
                f"{path} has changed since the last backup, and full segments never do. Nothing was written. Compare "
                "with the machines of the cluster before anything else."
            )

    for frame in reader.frames():
        if name and reader.segment != name:
            close(is_full=True)
        name, raw, end, head, timestamp_ns = (
            reader.segment,
            reader.raw,
            reader.offset,
            frame.digest,
            frame.timestamp_ns,
        )
        if frame.next_sequence >= cut:
            break
    if reader.next_sequence < cut:
        reader.check_end(acknowledged=cut)
    if reader.next_sequence != cut:
        raise ProofError(f"no frame of the journal ends at sequence {cut}, below which all was published")
    close(is_full=False)
    return shared + new, head, timestamp_ns


def _until(frames: Iterator[Frame], cut: int) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        if frame.next_sequence >= cut:
            return


def _state(directory: Path, cut: int, roots: list[Root], keys: CommitmentKeys) -> tuple[Engine, int]:
    """Return the engine at the cut, and at how many roots its state was compared."""
    engine = _newest(directory, cut)
    if engine.next_sequence == cut:
        return engine, 0
    disk = RealDisk(directory / "journal", make=False)
    frames = _until(read_frames(disk, first_sequence=engine.next_sequence), cut)
    return engine, prove(engine, frames, roots=roots, nonces=keys.nonces).states


def _newest(directory: Path, cut: int) -> Engine:
    for path in snapshots(directory):
        if sequence_of(path) > cut:
            continue
        try:
            engine = Engine.load(path)
        except Exception:  # noqa: S112
            continue  # removed meanwhile, or damaged: an older one, or the beginning, will do
        if engine.next_sequence == sequence_of(path):
            return engine
    return Engine()


def _events(directory: Path, roots: list[Root], cut: int) -> str:
    """Return the hash of the events between the last root and the cut."""
    events = EventsHash(int(Event.AMENDED))
    reader = FeedReader(directory / "feed", next_sequence=roots[-1].sequence if roots else 0)
    while reader.next_sequence < cut and (batch := reader.read()) is not None:
        events.update(batch.events.tobytes())
    reader.close()
    return events.take().hex()

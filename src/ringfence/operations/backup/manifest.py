"""What one backup holds, signed with the exchange's key, and whether a store still holds it.

A signed file is two lines: the text, and Ed25519 over what it is for and the text, in hexadecimal.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringfence.operations.backup.recovery import FORMAT as RECOVERY_FORMAT
from ringfence.operations.backup.recovery import Recovery, RecoveryError, unseal

FORMAT = "ringfence-backup-1"
SUFFIX = ".manifest"
RECOVERY = "recovery.json"
OBJECTS = "objects"
SALT_BYTES = 32
_SIGNED = b"ringfence backup\0"
Signed = TypeVar("Signed")


class BackupError(Exception):
    """A store holds something else than was written. The text names the file and what to do."""


class MissingError(Exception):
    """What is needed is not there. Nothing was done."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the exchange."""

    path: str
    bytes: int
    digest: str
    """SHA-256 of 32 random bytes and the content, sealed together: a short secret cannot be guessed from it."""
    object: str
    sealed_bytes: int
    sealed_digest: str
    """BLAKE2b-256 of the sealed object: anybody can check it, without a key."""
    head: str = ""
    """Of a segment of the journal: the hash of its last frame here."""
    is_full: bool = False
    """A segment that nothing is added to: the next backup shares it."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    name: str
    created_ns: int
    version: int
    """Of the records of commands and events."""
    previous: str
    """SHA-256 of the manifest before it in this store, empty for the first."""
    recovery: str
    """SHA-256 of the store's recovery.json."""
    sequence: int
    """Everything below it is in this backup."""
    timestamp_ns: int
    """The exchange's time of the last batch."""
    journal_head: str
    engine_digest: str
    event_count: int
    events_digest: str
    """Of the events after the last root; those before it are in the chain of roots."""
    roots: int
    root_sequence: int
    """Of the last root, 0 without one."""
    root_digest: str
    files: tuple[File, ...]
    left_out: dict[str, int]
    """Reason -> how many files."""


class Store(NamedTuple):
    """A folder whose signature was checked."""

    folder: Path
    key: Ed25519PublicKey
    recovery: Recovery
    recovery_digest: str


class Checked(NamedTuple):
    manifest: Manifest
    objects: int
    sealed_bytes: int


# ---- signed files


def write_signed(path: Path, content: msgspec.Struct, key: Ed25519PrivateKey) -> bytes:
    """Return the bytes of a signed file. The name is signed too: one file cannot stand for another."""
    text = msgspec.json.encode(content)
    return text + b"\n" + key.sign(_SIGNED + path.name.encode() + b"\0" + text).hex().encode() + b"\n"


def _read_signed(path: Path, kind: type[Signed], key: Ed25519PublicKey) -> tuple[Signed, str]:
    """Return the content and SHA-256 of the file. Raises BackupError, MissingError, OSError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingError(f"there is no {path}. Nothing was done.") from error
    parts = raw.split(b"\n")
    try:
        if len(parts) != 3 or parts[2]:
            raise ValueError("it is not two lines")
        signature = bytes.fromhex(parts[1].decode())
        if signature.hex().encode() != parts[1]:
            raise ValueError("its signature is written in another way")
        key.verify(signature, _SIGNED + path.name.encode() + b"\0" + parts[0])
        return msgspec.json.decode(parts[0], type=kind), hashlib.sha256(raw).hexdigest()
    except (InvalidSignature, ValueError) as error:
        raise BackupError(
            f"{path.name} is not what the exchange with this key has signed: {error or 'the signature is wrong'}. "
            "Nothing was restored; take another copy of the store."
        ) from error


def open_store(folder: Path, key: Ed25519PublicKey) -> Store:
    """Check who a store is sealed for. Raises BackupError, MissingError, OSError."""
    recovery, digest = _read_signed(folder / RECOVERY, Recovery, key)
    if recovery.format != RECOVERY_FORMAT:
        raise BackupError(f"{RECOVERY} has format {recovery.format!r}; this version knows {RECOVERY_FORMAT}")
    return Store(folder, key, recovery, digest)


def manifests(folder: Path) -> list[str]:
    """Return the names of the backups of a store, oldest first. Raises OSError."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def read_manifest(store: Store, name: str = "") -> tuple[Manifest, str]:
    """Return a backup's manifest and its SHA-256; the newest one's without a name.

    Raises BackupError, MissingError, OSError.
    """
    known = manifests(store.folder)
    name = name or (known[-1] if known else "")
    if name not in known:
        raise MissingError(f"there is no backup {name!r} in {store.folder}. Nothing was done.")
    found, digest = _read_signed(store.folder / f"{name}{SUFFIX}", Manifest, store.key)
    if found.format != FORMAT or found.name != name:
        raise BackupError(f"{name}{SUFFIX} is of another format or backup. Nothing was restored.")
    if found.recovery != store.recovery_digest:
        raise BackupError(f"{RECOVERY} is not the one that {name} was sealed under. Nothing was restored.")
    for file in found.files:
        if not _is_inside(file.path) or not _is_inside(file.object) or "/" in file.object:
            raise BackupError(f"{name}{SUFFIX} names a path that leads elsewhere: {file.path!r}")
    return found, digest


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts


# ---- objects


def check_objects(store: Store, manifest: Manifest, *, identity: str = "") -> Checked:
    """Check every object of a backup; with the store's identity also what is in it. Raises BackupError, OSError."""
    total = 0
    for file in manifest.files:
        sealed = read_sealed(store, file)
        total += len(sealed)
        if identity:
            open_sealed(file, sealed, identity)
    return Checked(manifest, len(manifest.files), total)


def read_sealed(store: Store, file: File) -> bytes:
    """Return a sealed object. Raises BackupError if it is missing or another one, OSError."""
    try:
        sealed = (store.folder / OBJECTS / file.object).read_bytes()
    except FileNotFoundError as error:
        raise BackupError(
            f"{OBJECTS}/{file.object}, which holds {file.path}, is missing. {_REMEDY}"
        ) from error
    if len(sealed) != file.sealed_bytes or sealed_digest(sealed) != file.sealed_digest:
        raise BackupError(f"{OBJECTS}/{file.object}, which holds {file.path}, was changed. {_REMEDY}")
    return sealed


_REMEDY = "Nothing was restored; take another copy of the store, or an older backup."


def open_sealed(file: File, sealed: bytes, identity: str) -> bytes:
    """Return the content of a file. Raises BackupError."""
    try:
        salted = unseal(sealed, identity)
    except RecoveryError as error:
        raise BackupError(f"{OBJECTS}/{file.object}, which holds {file.path}: {error}. {_REMEDY}") from error
    if len(salted) != SALT_BYTES + file.bytes or hashlib.sha256(salted).hexdigest() != file.digest:
        raise BackupError(f"{file.path} is not what was written. {_REMEDY}")
    return salted[SALT_BYTES:]


def sealed_digest(sealed: bytes) -> str:
    return hashlib.blake2b(sealed, digest_size=32).hexdigest()

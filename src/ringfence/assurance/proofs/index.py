"""The signed list of everything that was published, and what a reader checks of it.

Source: docs/reference/proofs.md, "The index".
"""

import msgspec

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import digest, named
from ringfence.assurance.proofs.publisher import Publisher, Signed

SIGN = "porl2/index"
NAME = "index.json"
_SHOWN = 12


class FileEntry(msgspec.Struct, frozen=True):
    bytes: int
    sha256: str


class AssetEntry(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a snapshot says of an asset; amounts in ledger units."""

    demo: str
    header: str
    negative: str
    reserves: str
    snapshot_root: str
    total: str


class SnapshotEntry(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    assets: dict[str, AssetEntry]
    because: str
    files: dict[str, FileEntry]
    folder: str
    height: int
    sequence: int
    snapshot: int
    timestamp: str
    withheld: str | None = None


class Index(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    minutes: dict[str, FileEntry]
    openings: dict[str, FileEntry]
    period: int
    snapshots: tuple[SnapshotEntry, ...]
    venue: str

    def newest(self) -> SnapshotEntry | None:
        """Return the newest snapshot that was published."""
        return next((one for one in reversed(self.snapshots) if one.withheld is None), None)


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    index: str
    publisher: str
    endorsement: str
    signature: str


def entry_of(content: bytes) -> FileEntry:
    return FileEntry(len(content), digest(content).hex())


def published_digest(snapshot: SnapshotEntry | None) -> bytes:
    """Return what a minute says of the newest snapshot: its roots, in order of currency."""
    if snapshot is None:
        return bytes(32)
    return named(
        "porl2/published", *(bytes.fromhex(one.snapshot_root) for _, one in sorted(snapshot.assets.items()))
    )


def encode(index: Index, publisher: Publisher) -> bytes:
    """Return the signed index."""
    text = msgspec.json.encode(index, order="sorted")
    signature = publisher.sign(SIGN, text)
    return msgspec.json.encode(
        _Envelope(text.decode(), publisher.public.hex(), publisher.endorsement.hex(), signature.hex())
    )


def decode(raw: bytes, *, venue: bytes | None) -> tuple[Index, bytes]:
    """Return the index and the publisher's key. Raises ForgedError.

    `venue`: the key that the reader knows the exchange by; None takes the index at its word.
    """
    try:
        envelope = msgspec.json.decode(raw, type=_Envelope)
        index = msgspec.json.decode(envelope.index, type=Index)
        texts = (envelope.publisher, envelope.endorsement, envelope.signature)
        signed = Signed(*(bytes.fromhex(text) for text in texts))
        named_venue = bytes.fromhex(index.venue)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ForgedError(f"the index cannot be read: {error}") from error
    if venue is not None and named_venue != venue:
        raise ForgedError(f"the index is of another exchange: {index.venue}")
    signed.check(named_venue, SIGN, envelope.index.encode())
    numbers = [one.snapshot for one in index.snapshots]
    if numbers != sorted(set(numbers)):
        raise ForgedError("the index does not list each snapshot once, oldest first")
    return index, signed.publisher


def check_file(entries: dict[str, FileEntry], name: str, content: bytes) -> None:
    """Raises ForgedError unless a file is the one that the index lists."""
    entry = entries.get(name)
    if entry is None:
        raise ForgedError(f"{name}: the index has no such file")
    if entry != entry_of(content):
        raise ForgedError(
            f"{name}: it is not the file that was signed for: {digest(content).hex()[:_SHOWN]}..."
        )

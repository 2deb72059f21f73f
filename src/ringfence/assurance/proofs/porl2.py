"""Liabilities in format v2: one file an asset, leaves only, each bound to its owner. Writing and strict reading.

Source: docs/reference/proofs.md, "Format v2".
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ringfence.assurance.proofs.errors import ForgedError
from ringfence.assurance.proofs.hashes import DIGEST_BYTES, hmac_under, sha256
from ringfence.assurance.proofs.header import HEADER_BYTES_MAX, Header, read_header
from ringfence.assurance.proofs.pieces import LEAVES_MAX, Pieces
from ringfence.assurance.proofs.publisher import SIGNATURE_BYTES, Publisher, Signed
from ringfence.assurance.proofs.secrets import login_hash, uid_tag
from ringfence.assurance.proofs.tree import (
    SHARD_LEVEL,
    Level,
    Progress,
    UInt64s,
    records_v2,
    v2_above,
    v2_levels,
)

MAGIC = b"porl2\0\0\0"
LEAF_BYTES = DIGEST_BYTES + 8
SIGN = "porl2/sign"
_LEAF = b"porl2/leaf\0"
_LENGTH_BYTES = 4
SHARD_BYTES = LEAF_BYTES << SHARD_LEVEL
_TRAILER_BYTES = DIGEST_BYTES + 2 * SIGNATURE_BYTES


class Owner(NamedTuple):
    """Whose leaves are found by what."""

    key: bytes
    """Snapshot key, 32 bytes."""
    uid_tag: bytes


class File(NamedTuple):
    """A liabilities file that is whole: its tree stands, its figures add up."""

    header: Header
    leaves: Level
    messages: bytes
    """Value and place of each leaf, 16 bytes: what its owner's key is applied to."""
    root: bytes
    signed: Signed
    top: bytes
    """The nodes over the shards, as they are published."""

    @property
    def snapshot_root(self) -> bytes:
        return self.header.snapshot_root(self.root)


def leaf_messages(values: UInt64s, first: int = 0) -> bytes:
    """Return value u64 and place u64 of every leaf in a row that begins with leaf `first`."""
    table = np.empty((len(values), 2), "<u8")
    table[:, 0] = values
    table[:, 1] = np.arange(first, first + len(values), dtype=np.uint64)
    return table.tobytes()


def leaves_of(pieces: Pieces, owners: Sequence[Owner], filler: bytes) -> Level:
    """Return the leaves of pieces, each under its owner's key; `filler` has 32 bytes for each that fills up."""
    values = np.zeros(pieces.leaves, np.uint64)
    values[pieces.places] = pieces.values
    messages = leaf_messages(values)
    found = []
    for owner, places in by_owner(pieces):
        mac, prefix = hmac_under(owners[owner].key), _LEAF + owners[owner].uid_tag
        found += [sha256(prefix + mac(messages[16 * at : 16 * at + 16])).digest() for at in places]
    return placed(pieces, found, filler, values)


def by_owner(pieces: Pieces) -> Iterator[tuple[int, list[int]]]:
    """Yield (row of the owner, where its pieces stand)."""
    owners, begins = np.unique(pieces.owners, return_index=True)
    ends = [*begins[1:].tolist(), len(pieces.owners)] if len(begins) else []
    places = pieces.places.tolist()
    for owner, begin, end in zip(owners.tolist(), begins.tolist(), ends, strict=True):
        yield owner, places[begin:end]


def placed(pieces: Pieces, digests: list[bytes], filler: bytes, values: UInt64s) -> Level:
    """Return digests that are in the order of owners as a row of leaves."""
    table = np.empty((pieces.leaves, DIGEST_BYTES), np.uint8)
    for places, some in ((pieces.places, b"".join(digests)), (pieces.free, filler)):
        table[places] = np.frombuffer(some, np.uint8).reshape(-1, DIGEST_BYTES)
    return Level(table.tobytes(), values)


def encode(header: Header, leaves: Level, root: bytes, publisher: Publisher) -> bytes:
    """Return a file, signed."""
    signature = publisher.sign(SIGN, header.snapshot_root(root))
    count = len(leaves.values)
    table = np.empty((count, LEAF_BYTES), np.uint8)
    table[:, :DIGEST_BYTES] = np.frombuffer(leaves.digests, np.uint8).reshape(count, DIGEST_BYTES)
    table[:, DIGEST_BYTES:] = leaves.values.astype("<u8").view(np.uint8).reshape(count, 8)
    return b"".join(
        (MAGIC, len(header.raw).to_bytes(_LENGTH_BYTES, "little"), header.raw, table.tobytes(), publisher.public,
         publisher.endorsement, signature)
    )  # fmt: skip


def read_head(raw: bytes) -> tuple[Header, int]:
    """Return the header of a file, and at which byte its leaves begin. Raises ForgedError."""
    start = len(MAGIC) + _LENGTH_BYTES
    if not raw.startswith(MAGIC) or len(raw) < start:
        raise ForgedError("byte 0: this is no porl2 file")
    length = int.from_bytes(raw[len(MAGIC) : start], "little")
    if not 0 < length <= HEADER_BYTES_MAX or len(raw) < start + length:
        raise ForgedError(f"byte {len(MAGIC)}: a header of {length} bytes is too long or cut off")
    return read_header(raw[start : start + length]), start + length


def leaves_begin(header: Header) -> int:
    """Return at which byte of its file the leaves begin."""
    return len(MAGIC) + _LENGTH_BYTES + len(header.raw)


def decode(raw: bytes, *, venue: bytes | None = None, on_progress: Progress | None = None) -> File:
    """Return a file after every check that needs nobody's secret. Raises ForgedError.

    `venue`: the key that the reader knows the exchange by; None takes the one in the header at its word.
    """
    header, begin = read_head(raw)
    count = header.figures.leaves
    end = begin + count * LEAF_BYTES
    if count > LEAVES_MAX or len(raw) != end + _TRAILER_BYTES:
        raise ForgedError(f"the file has {len(raw)} bytes; with {count} leaves it has {end + _TRAILER_BYTES}")
    leaves = _level(np.frombuffer(raw, np.uint8, count * LEAF_BYTES, begin).reshape(count, LEAF_BYTES))
    _check_venue(header, venue)
    signed = Signed(
        raw[end : end + DIGEST_BYTES], raw[end + DIGEST_BYTES : -SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
    )
    try:
        levels = v2_levels(leaves, on_progress)
    except OverflowError as error:
        raise ForgedError(str(error)) from error
    root, found = levels[-1], int(levels[-1].values[0])
    if str(found) != header.figures.total:
        raise ForgedError(f"the leaves add up to {found}, the header says {header.figures.total}")
    top = records_v2(levels[min(SHARD_LEVEL, len(levels) - 1)])
    file = File(header, leaves, leaf_messages(leaves.values), root.digests, signed, top)
    signed.check(bytes.fromhex(header.cut.venue), SIGN, file.snapshot_root)
    _check_house(file)
    return file


def _level(table: "np.typing.NDArray[np.uint8]") -> Level:
    """Return a level from records of digest and value u64."""
    values = np.ascontiguousarray(table[:, DIGEST_BYTES:LEAF_BYTES]).view("<u8").reshape(len(table))
    return Level(table[:, :DIGEST_BYTES].tobytes(), values)


def _check_venue(header: Header, venue: bytes | None) -> None:
    if venue is not None and header.cut.venue != venue.hex():
        raise ForgedError(f"the file is of another exchange: {header.cut.venue}")


def _check_house(file: File) -> None:
    """Hold the leaves that the header gives to the house against their keys."""
    seen: set[int] = set()
    for one in file.header.figures.house:
        venue = bytes.fromhex(file.header.cut.venue)
        tag = uid_tag(venue, one.account, login_hash(one.login), file.header.seed)
        owner = Owner(bytes.fromhex(one.key), tag)
        held = 0
        for at in one.leaves:
            if not 0 <= at < len(file.leaves.values) or at in seen or not is_owner(file, owner, at):
                raise ForgedError(f"leaf {at} is not of {one.name}, as the header says")
            seen.add(at)
            held += int(file.leaves.values[at])
        if str(held) != one.balance:
            raise ForgedError(f"the leaves of {one.name} add up to {held}, the header says {one.balance}")


def is_owner(file: File, owner: Owner, at: int) -> bool:
    """Return whether a leaf is of an owner."""
    mac = hmac_under(owner.key)(file.messages[16 * at : 16 * at + 16])
    stored = file.leaves.digests[DIGEST_BYTES * at : DIGEST_BYTES * at + DIGEST_BYTES]
    return sha256(_LEAF + owner.uid_tag + mac).digest() == stored


def find(file: File, owner: Owner, on_progress: Progress | None = None) -> list[int]:
    """Return where an owner's leaves are, by looking at every leaf that is worth something."""
    return find_in(file.leaves, owner, messages=file.messages, on_progress=on_progress)


def find_in(
    leaves: Level, owner: Owner, *, first: int = 0, messages: bytes = b"", on_progress: Progress | None = None
) -> list[int]:  # fmt: skip
    """Return where an owner's leaves are among these, of which the first is leaf `first` of the file."""
    mac, prefix, digests = hmac_under(owner.key), _LEAF + owner.uid_tag, leaves.digests
    messages = messages or leaf_messages(leaves.values, first)
    found = []
    candidates = np.flatnonzero(leaves.values).tolist()
    for begin in range(0, len(candidates), 1 << 16):
        some = candidates[begin : begin + (1 << 16)]
        found += [
            first + at for at in some
            if sha256(prefix + mac(messages[16 * at : 16 * at + 16])).digest() == digests[32 * at : 32 * at + 32]
        ]  # fmt: skip
        if on_progress:
            on_progress(len(some))
    return found


def read_shard(shard: bytes, number: int, top: bytes) -> Level:
    """Return 4,096 leaves that somebody fetched, after holding them against the nodes over all shards.

    Raises ForgedError. Whoever fetches some more than their own tells nobody which are theirs.
    """
    count = len(shard) // LEAF_BYTES
    if len(shard) % LEAF_BYTES or count != 1 << SHARD_LEVEL:
        raise ForgedError(f"shard {number} has {len(shard)} bytes")
    leaves = _level(np.frombuffer(shard, np.uint8).reshape(count, LEAF_BYTES))
    above = records_v2(v2_levels(leaves)[-1])
    if above != top[number * len(above) : (number + 1) * len(above)]:
        raise ForgedError(f"shard {number} is not the one under the snapshot's root")
    return leaves


def root_over(top: bytes) -> tuple[bytes, int]:
    """Return the tree's root and total from the nodes over the shards. Raises ForgedError."""
    size = DIGEST_BYTES + 16
    count = len(top) // size
    if len(top) % size or not count or count & (count - 1):
        raise ForgedError(f"{len(top)} bytes are no nodes over shards")
    table = np.frombuffer(top, np.uint8).reshape(count, size)
    if table[:, DIGEST_BYTES + 8 :].any():
        raise ForgedError("a node over a shard is worth 2^64 or more")
    level, height = _level(table[:, : DIGEST_BYTES + 8]), SHARD_LEVEL
    try:
        while len(level.values) > 1:
            height += 1
            level = v2_above(level, height)
    except OverflowError as error:
        raise ForgedError(str(error)) from error
    return level.digests, int(level.values[0])

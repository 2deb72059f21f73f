"""Liabilities in BitMEX's format, byte for byte, and the sidecar that says to whom each leaf belongs.

Source: docs/reference/proofs.md, "Format v1". A reader of BitMEX's own takes what is written here, and what it writes
is read here; but this one looks at every row.
"""

import re
from binascii import unhexlify
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence.assurance.proofs.errors import DifferentError, ForgedError
from ringfence.assurance.proofs.hashes import DIGEST_BYTES, hmac_under, sha256
from ringfence.assurance.proofs.pieces import LEAVES_MAX, Pieces
from ringfence.assurance.proofs.porl2 import by_owner, leaf_messages, placed
from ringfence.assurance.proofs.tree import Level, Progress, v1_above

HEADER = b"block_height:"
_HEX = 2 * DIGEST_BYTES
_LINE_MIN, _LINE_MAX = _HEX + 2, _HEX + 1 + 20
_BIND = b"porl-bind\0"
_CHUNK = 1 << 16
_ROWS_PER_WRITE = 1 << 16
Bytes = NDArray[np.uint8]


class File(NamedTuple):
    """A liabilities file of which every row follows from the rows below it."""

    height: int
    leaves: Level
    messages: bytes
    root: bytes
    total: int


# ---- writing


def leaves_of(pieces: Pieces, keys: Sequence[bytes], filler: bytes) -> Level:
    """Return the leaves of pieces, each under its owner's sub-nonce."""
    values = np.zeros(pieces.leaves, np.uint64)
    values[pieces.places] = pieces.values
    messages = leaf_messages(values)
    found = []
    for owner, places in by_owner(pieces):
        mac = hmac_under(keys[owner])
        found += [mac(messages[16 * at : 16 * at + 16]) for at in places]
    return placed(pieces, found, filler, values)


def encode(height: int, leaves: Level) -> tuple[bytes, bytes]:
    """Return (file, digest of the root). Raises OverflowError if the total does not fit 64 bits."""
    levels = [leaves]
    while len(levels[-1].values) > 1:
        levels.append(v1_above(levels[-1]))
    rows = [HEADER + str(height).encode()]
    for level in reversed(levels):
        rows += _rows(level)
    return b"\n".join(rows) + b"\n", levels[-1].digests


def _rows(level: Level) -> list[bytes]:
    """Return the lines of a level, some thousands at a time joined: fewer objects, less memory."""
    found = []
    for begin in range(0, len(level.values), _ROWS_PER_WRITE):
        values = level.values[begin : begin + _ROWS_PER_WRITE].tolist()
        text = level.digests[DIGEST_BYTES * begin : DIGEST_BYTES * (begin + len(values))].hex()
        lines = [f"{text[_HEX * k : _HEX * k + _HEX]},{value}" for k, value in enumerate(values)]
        found.append("\n".join(lines).encode())
    return found


def bind(pieces: Pieces, leaves: Level, tags: Sequence[bytes], filler: bytes) -> bytes:
    """Return the sidecar: to whom each leaf belongs, for who knows them."""
    found, digests = [], leaves.digests
    for owner, places in by_owner(pieces):
        prefix = _BIND + tags[owner]
        found += [sha256(prefix + digests[32 * at : 32 * at + 32]).digest() for at in places]
    return placed(pieces, found, filler, leaves.values).digests


# ---- reading


def decode(raw: bytes, on_progress: Progress | None = None) -> File:
    """Return a file after holding every row against the two below it. Raises ForgedError, which names the line."""
    end = raw.find(b"\n")
    head = raw[: end if end >= 0 else len(raw)]
    height = head.removeprefix(HEADER)
    if not head.startswith(HEADER) or not re.fullmatch(rb"0|[1-9][0-9]{0,15}", height):
        raise ForgedError(f"line 1: this is no `block_height:` and a number: {head[:80]!r}")
    if end < 0:
        raise ForgedError("line 2: the file ends before its root")
    digests, values = _parse(raw, end + 1)
    count = (len(values) + 1) // 2
    if len(values) != 2 * count - 1 or count & (count - 1):
        raise ForgedError(
            f"line {len(values) + 2}: {len(values)} nodes are no whole tree of rows 1, 2, 4 ..."
        )
    leaves = Level(digests[DIGEST_BYTES * (count - 1) :], values[count - 1 :])
    level, first = leaves, count - 1
    while first:
        try:
            level = v1_above(level, on_progress)
        except OverflowError as error:
            raise ForgedError(f"lines from {(first - 1) // 2 + 2} on: {error}") from error
        first = (first - 1) // 2
        _compare(level, digests, values, first)
    return File(int(height), leaves, leaf_messages(leaves.values), digests[:DIGEST_BYTES], int(values[0]))


def _compare(level: Level, digests: bytes, values: NDArray[np.uint64], first: int) -> None:
    """Raises ForgedError unless a row of the file, whose first node is node `first`, is what the row below gives."""
    count = len(level.values)
    said = digests[DIGEST_BYTES * first : DIGEST_BYTES * (first + count)]
    wrong = np.flatnonzero(values[first : first + count] != level.values)
    if len(wrong):
        at = int(wrong[0])
        raise ForgedError(
            f"line {first + at + 2}: the node says {values[first + at]}, the two below it add up to {level.values[at]}"
        )
    if said != level.digests:
        a, b = (np.frombuffer(one, np.uint8).reshape(-1, DIGEST_BYTES) for one in (said, level.digests))
        at = int(np.flatnonzero((a != b).any(axis=1))[0])
        raise ForgedError(f"line {first + at + 2}: the node's hash is not that of the two below it")


def _parse(raw: bytes, begin: int) -> tuple[bytes, NDArray[np.uint64]]:
    """Return the digests and the values of all nodes. Raises ForgedError at the first line that is none."""
    text = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(text[begin:] == ord("\n")) + begin
    if len(raw) == begin or raw[-1] != ord("\n"):
        ends = np.append(ends, len(raw))
    if len(ends) > 2 * LEAVES_MAX:
        raise ForgedError(f"the file has {len(ends)} nodes; {2 * LEAVES_MAX - 1} are the most")
    starts = np.concatenate(([begin], ends[:-1] + 1))
    digests, values = [], np.empty(len(ends), np.uint64)
    for first in range(0, len(ends), _CHUNK):
        some = slice(first, first + _CHUNK)
        found, values[some] = _parse_lines(raw, text, starts[some], ends[some], first + 2)
        digests.append(found)
    return b"".join(digests), values


def _parse_lines(
    raw: bytes, text: Bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], line: int
) -> tuple[bytes, NDArray[np.uint64]]:
    lengths = ends - starts
    bad = np.flatnonzero((lengths < _LINE_MIN) | (lengths > _LINE_MAX))
    if len(bad):
        at = int(bad[0])
        raise ForgedError(f"line {line + at}: {raw[starts[at] : ends[at]][:100]!r} is no DIGEST,VALUE")
    # Records of 64 bytes that begin at any byte: each digest is copied as one.
    hexes = np.ndarray(len(raw) - _HEX + 1, f"V{_HEX}", raw, strides=(1,))[starts].tobytes()
    wrong = text[starts + _HEX] != ord(",")
    try:
        digests = unhexlify(hexes)
    except ValueError:
        digests = b""
    if digests.hex().encode() != hexes:
        symbols = np.frombuffer(hexes, np.uint8).reshape(-1, _HEX)
        wrong |= ~np.isin(symbols, _HEX_DIGITS).all(axis=1)
    digits = lengths - _HEX - 1
    values = np.zeros(len(starts), np.uint64)
    for place in range(int(digits.max())):
        has = place < digits
        symbol = text[np.where(has, starts + _HEX + 1 + place, starts)].astype(np.int64) - ord("0")
        wrong |= has & ((symbol < 0) | (symbol > 9))
        step = values * np.uint64(10) + symbol.astype(np.uint64)
        wrong |= has & ((values > _TENTH) | ((values == _TENTH) & (symbol > _LAST_DIGIT)))
        values = np.where(has, step, values)
    wrong |= (digits > 1) & (text[starts + _HEX + 1] == ord("0"))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ForgedError(
            f"line {line + at}: {raw[starts[at] : ends[at]][:100]!r} is no DIGEST,VALUE with a value below 2^64"
        )
    return digests, values


_HEX_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_TENTH, _LAST_DIGIT = np.uint64((2**64 - 1) // 10), (2**64 - 1) % 10


def find(file: File, key: bytes, on_progress: Progress | None = None) -> list[int]:
    """Return where the leaves under a sub-nonce are, by looking at every leaf that is worth something."""
    mac, digests, messages = hmac_under(key), file.leaves.digests, file.messages
    found = []
    candidates = np.flatnonzero(file.leaves.values).tolist()
    for begin in range(0, len(candidates), _CHUNK):
        some = candidates[begin : begin + _CHUNK]
        found += [
            at for at in some if mac(messages[16 * at : 16 * at + 16]) == digests[32 * at : 32 * at + 32]
        ]
        if on_progress:
            on_progress(len(some))
    return found


def check_bound(file: File, sidecar: bytes, tag: bytes, places: Sequence[int]) -> None:
    """Hold the leaves that a key has opened against their owner. Raises ForgedError if the sidecar has another size.

    Raises DifferentError if a leaf is bound to somebody else: a mistyped login looks the same as a leaf that was shown
    to two clients.
    """
    if len(sidecar) != DIGEST_BYTES * len(file.leaves.values):
        raise ForgedError(
            f"the sidecar has {len(sidecar)} bytes; with {len(file.leaves.values)} leaves it has "
            f"{DIGEST_BYTES * len(file.leaves.values)}"
        )
    for at in places:
        leaf = file.leaves.digests[DIGEST_BYTES * at : DIGEST_BYTES * (at + 1)]
        if sha256(_BIND + tag + leaf).digest() != sidecar[DIGEST_BYTES * at : DIGEST_BYTES * (at + 1)]:
            line = len(file.leaves.values) + at + 1
            raise DifferentError(
                f"line {line}: leaf {at} is bound to somebody else: account and login are not its owner's, or the same "
                "leaf was shown to two clients"
            )

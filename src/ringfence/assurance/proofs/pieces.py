"""How equities become leaves: digits that many accounts share, filled up to a power of two, shuffled.

A balance that somebody knows is in no leaf as it is, so it finds nobody. Readers rely on none of this.
"""

from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]

BASE_BITS, BASE_BITS_SMALL = 8, 4
SMALL_VENUE_ACCOUNTS = 1_000
"""Fewer have so few pieces of each size that base 256 would tell them apart."""
LEAVES_MIN = 4_096
LEAVES_MAX = 1 << 26
_CAP_BITS, _CAP_BITS_MAX = 32, 56
_LARGE_PIECES_MAX = 1 << 18


class Pieces(NamedTuple):
    """Leaves before they have a digest. All arrays are in order of owner."""

    owners: Int64s
    """(pieces,): which row of the equities each belongs to."""
    values: UInt64s
    places: Int64s
    """Where each stands among the leaves."""
    leaves: int
    """How many there are, those that fill up included: a power of two."""
    free: Int64s
    """Places of those that fill up."""


class Stream:
    """Random bytes under a key, as many as are wanted: with the key, an auditor shuffles again."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes, of one use."""
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def take(self, count: int) -> bytes:
        return self._cipher.update(bytes(count))


def split(equities: Int64s, stream: Stream) -> Pieces:
    """Cut equities (rows,), none below zero, into pieces, and draw a place for each.

    Raises ValueError if there would be more leaves than a file may have.
    """
    assert not len(equities) or int(equities.min()) >= 0
    bits = BASE_BITS if len(equities) >= SMALL_VENUE_ACCOUNTS else BASE_BITS_SMALL
    cap_bits = _cap_bits(equities, bits)
    rest = equities & ((1 << cap_bits) - 1)
    large = equities >> cap_bits
    owners = [np.repeat(np.arange(len(equities)), large)]
    values = [np.full(len(owners[0]), 1 << cap_bits, np.uint64)]
    for shift in range(0, cap_bits, bits):
        digits = rest & (((1 << bits) - 1) << shift)
        rows = np.flatnonzero(digits)
        owners.append(rows)
        values.append(digits[rows].astype(np.uint64))
    owner, value = np.concatenate(owners), np.concatenate(values)
    order = np.argsort(owner, kind="stable")
    leaves = max(LEAVES_MIN, 1 << (len(owner) - 1).bit_length() if len(owner) else 0)
    if leaves > LEAVES_MAX:
        raise ValueError(f"{len(owner)} pieces need {leaves} leaves; a file has {LEAVES_MAX} at most")
    places = np.argsort(np.frombuffer(stream.take(8 * leaves), np.uint64), kind="stable")
    return Pieces(owner[order], value[order], places[: len(owner)], leaves, places[len(owner) :])


def _cap_bits(equities: Int64s, bits: int) -> int:
    """Return of how many bits the largest piece is: 32, or more where whales would fill the file."""
    cap_bits = _CAP_BITS
    while cap_bits < _CAP_BITS_MAX and int((equities >> cap_bits).sum()) > _LARGE_PIECES_MAX:
        cap_bits += bits
    return cap_bits

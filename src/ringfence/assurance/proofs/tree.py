"""The two trees over leaves with values: BitMEX's and ours. A level is records of digest and value, left to right.

A node's hash covers both values, so a sum cannot be shown as another one (Hu, Zhang, Guo, "Breaking the Binding").
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence.assurance.proofs.hashes import DIGEST_BYTES, sha256

V1_RECORD_BYTES = DIGEST_BYTES + 8
V2_RECORD_BYTES = DIGEST_BYTES + 16
SHARD_LEVEL = 12
UInt64s = NDArray[np.uint64]
Progress = Callable[[int], None]
"""Is told how many nodes were hashed since the last call."""
_NODE = b"porl2/node\0"
_CHUNK = 1 << 16


class Level(NamedTuple):
    digests: bytes
    """32 bytes a node."""
    values: UInt64s


def v1_above(level: Level, on_progress: Progress | None = None) -> Level:
    """Return the level above. Raises OverflowError if a sum does not fit 64 bits."""
    return Level(_hashed(_records(level, V1_RECORD_BYTES), V1_RECORD_BYTES, b"", on_progress), _sums(level))


def v2_above(level: Level, height: int, on_progress: Progress | None = None) -> Level:
    """Return the level above, which is level `height`: 1 over two leaves. Raises OverflowError."""
    prefix = _NODE + bytes([height])
    return Level(
        _hashed(_records(level, V2_RECORD_BYTES), V2_RECORD_BYTES, prefix, on_progress), _sums(level)
    )


def records_v2(level: Level) -> bytes:
    """Return a level as it is hashed and published: digest and value as u128."""
    return _records(level, V2_RECORD_BYTES)


def v2_root(leaves: Level, on_progress: Progress | None = None) -> Level:
    """Return the root over leaves, a power of two of them."""
    return v2_levels(leaves, on_progress)[-1]


def v2_levels(leaves: Level, on_progress: Progress | None = None) -> list[Level]:
    """Return all levels, leaves first; only the shards' level and what is above is worth keeping."""
    levels = [leaves]
    while len(levels[-1].values) > 1:
        levels.append(v2_above(levels[-1], len(levels), on_progress))
    return levels


def _records(level: Level, size: int) -> bytes:
    count = len(level.values)
    table = np.zeros((count, size), np.uint8)
    table[:, :DIGEST_BYTES] = np.frombuffer(level.digests, np.uint8).reshape(count, DIGEST_BYTES)
    table[:, DIGEST_BYTES : DIGEST_BYTES + 8] = level.values.astype("<u8").view(np.uint8).reshape(count, 8)
    return table.tobytes()


def _hashed(records: bytes, size: int, prefix: bytes, on_progress: Progress | None) -> bytes:
    step, found = 2 * size, []
    for begin in range(0, len(records), _CHUNK * step):
        end = min(begin + _CHUNK * step, len(records))
        if prefix:
            found += [sha256(prefix + records[at : at + step]).digest() for at in range(begin, end, step)]
        else:
            found += [sha256(records[at : at + step]).digest() for at in range(begin, end, step)]
        if on_progress:
            on_progress((end - begin) // step)
    return b"".join(found)


def _sums(level: Level) -> UInt64s:
    left, right = level.values[0::2], level.values[1::2]
    above = left + right
    if bool((above < left).any()):
        raise OverflowError("a sum of leaves does not fit 64 bits")
    return above

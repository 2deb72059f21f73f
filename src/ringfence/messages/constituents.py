"""What an INDEX command says of its constituents: one DATA item, integers only. Append, never reuse.

    hold u1 | for every constituent: reference u1 | verdict u1 | weight u2 | price i8 | age u4

The price of a live index follows from it to the last digit; `exchange/index_prices` says how.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from ringfence.units.limits import INDEX_UNITS_MAX

_CONSTITUENT = struct.Struct("<BBHqI")
WEIGHT_ONE = 10_000
"""Weights are counted in 1e-4."""
AGE_MS_MAX = 2**32 - 1
CONSTITUENTS_MAX = 16


class Reference(IntEnum):
    """Whose price it is. Numbers are journal format."""

    INDEX = 0
    """An index of this venue, averaged over time."""
    COINBASE = 1
    KRAKEN = 2
    BITSTAMP = 3
    GEMINI = 4
    BINANCE = 5
    OKX = 6
    BYBIT = 7
    SIMULATED_A = 201
    """201 to 205: no venues at all. Made up here for an exchange that nobody connects to the world."""
    SIMULATED_B = 202
    SIMULATED_C = 203
    SIMULATED_D = 204
    SIMULATED_E = 205


class Verdict(IntEnum):
    """Whether a constituent's price counts, and if not, why."""

    COUNTED = 0
    LIMITED = 1
    """It counts, but no further from the median than one constituent may pull."""
    NO_PRICE = 2
    """Nothing was heard of it since the price feed began."""
    NOT_A_PRICE = 3
    """The newest it said is zero, negative or no number."""
    OUT_OF_RANGE = 4
    """The newest it said is greater than any price that an index can have, or rounds to none."""
    STALE = 5
    OUTLIER = 6
    RETURNING = 7
    """It was dropped, and is back near the others, but not for long enough yet."""

    @property
    def counts(self) -> bool:
        return self <= Verdict.LIMITED


class Hold(IntEnum):
    """Why an index keeps its last price."""

    NONE = 0
    TOO_FEW = 1
    """Fewer than two good constituents, or fewer than a first price needs."""
    TWO_DISAGREE = 2
    """Two are left, and one is further from the last price than half the tolerance."""
    STEP_WITHOUT_QUORUM = 3
    """Too large a step for one second, without three that agree."""


class Said(NamedTuple):
    """One constituent in one price of an index."""

    reference: int
    verdict: int
    weight: int
    """In 1e-4; counts among those that count."""
    price: int
    """In index units; 0 = what it said is no price."""
    age_ms: int


def encode_constituents(hold: int, constituents: tuple[Said, ...]) -> bytes:
    """Return the bytes of a CONSTITUENTS item."""
    assert len(constituents) <= CONSTITUENTS_MAX
    for one in constituents:
        assert 0 <= one.weight <= WEIGHT_ONE
        assert 0 <= one.price <= INDEX_UNITS_MAX
        assert 0 <= one.age_ms <= AGE_MS_MAX
    return bytes((hold,)) + b"".join([_CONSTITUENT.pack(*one) for one in constituents])


def decode_constituents(data: bytes) -> tuple[int, tuple[Said, ...]]:
    """Return the Hold and the constituents. Raises ValueError if nobody wrote these bytes."""
    if len(data) % _CONSTITUENT.size != 1:
        raise ValueError(f"{len(data)} bytes are no list of constituents")
    return data[0], tuple(Said(*fields) for fields in _CONSTITUENT.iter_unpack(data[1:]))

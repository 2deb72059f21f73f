"""One hash over what every account has, kept up to date: only what has changed is hashed again.

Source: docs/reference/proofs.md, "The chain of minutes". A leaf says coins and positions, not profit: a mark that moves
changes no leaf, and the marks are under the state root that stands beside this one.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from ringfence.assurance.proofs.claims import Claims, Int64s, Positions
from ringfence.assurance.proofs.hashes import DIGEST_BYTES, NONE, named, sha256
from ringfence.assurance.proofs.secrets import claim_key
from ringfence.units.limits import ASSETS_MAX

_PAIR = b"porl2/pair\0"
_COINS, _POSITION = struct.Struct("<Bq"), struct.Struct("<BBqq")
_PLACES_MIN_BITS = 10
_POSITION_MARK = 0xFF
"""No asset has this number."""
UInt64s = NDArray[np.uint64]


class ClaimsTree:
    """The tree of one epoch. `update` takes the claims of one cut after another."""

    def __init__(self, epoch_key: bytes) -> None:
        self._key = epoch_key
        self._keys: list[bytes] = []
        """By account number, from 1 on."""
        self._coins: Int64s = np.zeros((ASSETS_MAX, 1), np.int64)
        self._marks: UInt64s = np.zeros(1, np.uint64)
        """By account: tells whether its positions have changed."""
        self._levels: list[bytearray] = []
        self._grow(1)

    @property
    def root(self) -> bytes:
        return bytes(self._levels[-1])

    def update(self, claims: Claims) -> int:
        """Take the claims of another cut; return how many accounts have changed."""
        self._grow(claims.accounts)
        marks = _marks_of(claims.positions, claims.accounts)
        before = np.zeros_like(claims.coins)
        before[:, : self._coins.shape[1]] = self._coins
        marks_before = np.zeros_like(marks)
        marks_before[: len(self._marks)] = self._marks
        changed = (claims.coins != before).any(axis=0) | (marks != marks_before)
        changed[0] = False
        accounts = np.flatnonzero(changed)
        self._keys += [claim_key(self._key, one) for one in range(len(self._keys) + 1, claims.accounts + 1)]
        self._hash(accounts, leaves_of(claims, accounts, self._keys))
        self._coins, self._marks = claims.coins, marks
        return len(accounts)

    def _grow(self, accounts: int) -> None:
        """Make room; what is there becomes the left half of a tree twice as large."""
        bits = max(_PLACES_MIN_BITS, (accounts - 1).bit_length())
        if not self._levels:
            self._levels = [bytearray(DIGEST_BYTES << (bits - level)) for level in range(bits + 1)]
            return
        while len(self._levels) <= bits:
            for level in self._levels:
                level.extend(bytes(len(level)))
            left = bytes(self._levels[-1][:DIGEST_BYTES])
            self._levels.append(bytearray(pair(left, NONE)))

    def _hash(self, accounts: Int64s, leaves: list[bytes]) -> None:
        row = self._levels[0]
        for account, leaf in zip(accounts.tolist(), leaves, strict=True):
            row[DIGEST_BYTES * (account - 1) : DIGEST_BYTES * account] = leaf
        at = np.unique((accounts - 1) >> 1)
        for below, above in zip(self._levels[:-1], self._levels[1:], strict=True):
            whole = bytes(below) if len(at) > 1_000 else below
            for place in at.tolist():
                both = bytes(whole[2 * DIGEST_BYTES * place : 2 * DIGEST_BYTES * (place + 1)])
                above[DIGEST_BYTES * place : DIGEST_BYTES * (place + 1)] = (
                    sha256(_PAIR + both).digest() if any(both) else NONE
                )
            at = np.unique(at >> 1)


def pair(left: bytes, right: bytes) -> bytes:
    """Return the node over two; over two empty ones it is empty."""
    return NONE if left == right == NONE else sha256(_PAIR + left + right).digest()


def leaves_of(claims: Claims, accounts: Int64s, keys: list[bytes]) -> list[bytes]:
    """Return the leaves of some accounts, in order; one that has nothing is empty."""
    held = claims.coins[:, accounts]
    wanted = np.zeros(claims.accounts + 1, np.bool_)
    wanted[accounts] = True
    positions = claims.positions
    rows = np.flatnonzero(wanted[positions.accounts])
    rows = rows[np.lexsort((positions.symbols[rows], positions.accounts[rows]))]
    ends = np.searchsorted(positions.accounts[rows], accounts, side="right").tolist()
    lines = [
        _POSITION.pack(_POSITION_MARK, symbol, quantity, cost)
        for symbol, quantity, cost in zip(
            positions.symbols[rows].tolist(), positions.quantities[rows].tolist(), positions.costs[rows].tolist(),
            strict=True,
        )
    ]  # fmt: skip
    found, begin = [], 0
    for account, coins, end in zip(accounts.tolist(), held.T.tolist(), ends, strict=True):
        said = [_COINS.pack(asset, amount) for asset, amount in enumerate(coins) if amount] + lines[begin:end]
        found.append(named("porl2/claim", keys[account - 1], *said) if said else NONE)
        begin = end
    return found


_MIX = tuple(
    np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xFF51AFD7ED558CCD)
)


def _marks_of(positions: Positions, accounts: int) -> UInt64s:
    """Return for each account a number that changes as its positions do; it is compared with the last one alone."""
    mixed = positions.symbols.astype(np.uint64) * _MIX[0] ^ positions.quantities.astype(np.uint64) * _MIX[1]
    mixed = (mixed ^ mixed >> np.uint64(29)) * _MIX[2] + positions.costs.astype(np.uint64) * _MIX[3]
    mixed ^= mixed >> np.uint64(32)
    marks = np.zeros(accounts + 1, np.uint64)
    np.add.at(marks, positions.accounts, mixed * _MIX[0])
    return marks

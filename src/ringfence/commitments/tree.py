"""The Merkle tree over the statements of all accounts, as in RFC 6962, with BLAKE2b-256.

A leaf is keyed by its account's nonce, so that nobody learns a statement by trying likely ones; leaves and
nodes are hashed under different personalisations, so that one can never pass for the other.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

HASH_BYTES = 32
EMPTY = hashlib.blake2b(b"", digest_size=HASH_BYTES, person=b"ringfence none").digest()


def leaf_of(nonce: bytes, statement: bytes) -> bytes:
    """Return the leaf of a statement under its account's nonce of 32 bytes."""
    return hashlib.blake2b(statement, digest_size=HASH_BYTES, key=nonce, person=b"ringfence leaf").digest()


def leaves_of(nonces: Sequence[bytes], statements: Sequence[bytes]) -> list[bytes]:
    """Return the leaves of statements, each under its account's nonce."""
    return [leaf_of(nonce, statement) for nonce, statement in zip(nonces, statements, strict=True)]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.blake2b(left + right, digest_size=HASH_BYTES, person=b"ringfence node").digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the leaves, in order of account number; an odd one is carried up as it is."""
    if not leaves:
        return EMPTY
    level = list(leaves)
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def _level_above(level: list[bytes]) -> list[bytes]:
    above = [_node(level[k], level[k + 1]) for k in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        above.append(level[-1])
    return above


class Proof(NamedTuple):
    """That a leaf is in the tree: its place, how many leaves there are, and the hashes beside its way up."""

    place: int
    leaves: int
    path: tuple[bytes, ...]

    def root(self, leaf: bytes) -> bytes:
        """Return the root that the leaf leads to. Raises ValueError if the path does not fit its place."""
        if not 0 <= self.place < self.leaves:
            raise ValueError(f"leaf {self.place} of {self.leaves} does not exist")
        beside = iter(self.path)
        at, count, found = self.place, self.leaves, leaf
        try:
            while count > 1:
                if at % 2:
                    found = _node(next(beside), found)
                elif at + 1 < count:
                    found = _node(found, next(beside))
                at, count = at // 2, (count + 1) // 2
        except StopIteration as error:
            raise ValueError("the path is too short") from error
        if next(beside, None) is not None:
            raise ValueError("the path is too long")
        return found

    def holds(self, leaf: bytes, root: bytes) -> bool:
        """Return whether the leaf is in the tree of this root."""
        try:
            return hmac.compare_digest(self.root(leaf), root)
        except ValueError:
            return False


def proof_of(leaves: Sequence[bytes], index: int) -> Proof:
    """Return the proof of one leaf."""
    path = []
    at, level = index, list(leaves)
    while len(level) > 1:
        beside = at ^ 1
        if beside < len(level):
            path.append(level[beside])
        at, level = at // 2, _level_above(level)
    return Proof(index, len(leaves), tuple(path))

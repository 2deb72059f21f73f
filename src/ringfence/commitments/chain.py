"""The file of roots: records one after the other, each naming the one before."""

import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ringfence.commitments.root import FIRST, ROOT_BYTES, Root, RootError, decode_root


class ChainError(RootError):
    """The chain of roots is broken. The text says at which record, counted from 0."""


class RootChain:
    """The one writer of a chain. Opened on a file that another process may have left half a record in."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        """Raises ChainError if the last record is not ours: then nothing is written."""
        self._path, self._key = path, key
        self.last: Root | None = None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        whole = os.fstat(self._descriptor).st_size // ROOT_BYTES
        # Half a record was signed and shown to nobody.
        os.ftruncate(self._descriptor, whole * ROOT_BYTES)
        if whole:
            self.last = decode_root(os.pread(self._descriptor, ROOT_BYTES, (whole - 1) * ROOT_BYTES))
            self.last.check_signature(key.public_key())
        self._end = whole * ROOT_BYTES

    def append(self, root: Root) -> Root:
        """Chain, sign, write and sync a root; return it as it was written. Raises OSError."""
        chained = self.chained(root)
        self.put(chained)
        return chained

    def chained(self, root: Root) -> Root:
        """Return a root as the next one of the chain, signed; nothing is written. Raises ChainError."""
        if self.last is not None and root.sequence <= self.last.sequence:
            raise ChainError(f"a root of sequence {root.sequence} cannot follow one of {self.last.sequence}")
        return root._replace(previous=self.last.digest if self.last else FIRST).signed(self._key)

    def put(self, root: Root) -> None:
        """Write and sync a root that is the next one already. Raises ChainError if it is not, OSError."""
        if root.previous != (self.last.digest if self.last else FIRST):
            raise ChainError(f"the root of sequence {root.sequence} does not follow the last one here")
        root.check_signature(self._key.public_key())
        os.pwrite(self._descriptor, root.encode(), self._end)
        os.fdatasync(self._descriptor)
        self._end += ROOT_BYTES
        self.last = root

    def __len__(self) -> int:
        return self._end // ROOT_BYTES

    def close(self) -> None:
        os.close(self._descriptor)


def latest_roots(path: Path, count: int = 1) -> list[Root]:
    """Return the newest records, newest first, without checking who signed them."""
    try:
        size = path.stat().st_size // ROOT_BYTES
        with open(path, "rb") as file:
            file.seek(max(0, size - count) * ROOT_BYTES)
            raw = file.read(min(size, count) * ROOT_BYTES)
    except FileNotFoundError:
        return []
    return [decode_root(raw[at : at + ROOT_BYTES]) for at in range(0, len(raw), ROOT_BYTES)][::-1]


def read_roots(
    path: Path, key: Ed25519PublicKey, *, after: int = 0, previous: bytes | None = None
) -> Iterator[Root]:
    """Yield the records from number `after` on, each checked. Raises ChainError at the first bad one.

    `previous` is the digest of the record before them, if it is known. Half a record at the end is one that
    is being written.
    """
    try:
        size = path.stat().st_size // ROOT_BYTES
    except FileNotFoundError:
        return
    with open(path, "rb") as file:
        file.seek(after * ROOT_BYTES)
        for number in range(after, size):
            try:
                root = decode_root(file.read(ROOT_BYTES))
                root.check_signature(key)
            except RootError as error:
                raise ChainError(f"record {number}: {error}") from error
            expected = previous if previous is not None else FIRST if number == 0 else root.previous
            if root.previous != expected:
                raise ChainError(
                    f"record {number} of sequence {root.sequence} does not follow the one before it"
                )
            previous = root.digest
            yield root

"""One record of the chain of roots: 288 bytes that commit to everything up to one sequence number.

    magic 8 | sequence u8 | timestamp_ns u8 | event_count u8 | accounts u8 | journal 32 | events 32
    | accounts_root 32 | venue 32 | previous 32 | zeros 24 | signature 64

`journal` is the hash of the last frame, which names every command before it; `events` is the hash of the
events since the record before; `venue` the hash of the venue's statement; `previous` the hash of the record
before, signature included. The signature is Ed25519 over everything before it.
"""

import hashlib
import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAGIC = b"RFROOT01"
_BODY = struct.Struct("<8sQQQQ32s32s32s32s32s24x")
SIGNATURE_BYTES = 64
ROOT_BYTES = _BODY.size + SIGNATURE_BYTES
FIRST = bytes(32)
"""What the first record names as the one before it."""


class RootError(ValueError):
    """A record is not what it should be. Remedy: ask who wrote it; nothing after it can be trusted."""


class Root(NamedTuple):
    sequence: int
    """Of the next command: everything below it is committed to."""
    timestamp_ns: int
    event_count: int
    accounts: int
    journal: bytes
    events: bytes
    accounts_root: bytes
    venue: bytes
    previous: bytes
    signature: bytes = bytes(SIGNATURE_BYTES)

    @property
    def body(self) -> bytes:
        return _BODY.pack(MAGIC, *self[:-1])

    def encode(self) -> bytes:
        return self.body + self.signature

    @property
    def digest(self) -> bytes:
        """What the next record names as the one before it."""
        return hashlib.blake2b(self.encode(), digest_size=32, person=b"ringfence root").digest()

    def signed(self, key: Ed25519PrivateKey) -> "Root":
        return self._replace(signature=key.sign(self.body))

    def check_signature(self, key: Ed25519PublicKey) -> None:
        """Raises RootError if somebody else signed, or nobody."""
        try:
            key.verify(self.signature, self.body)
        except InvalidSignature as error:
            raise RootError(f"the root of sequence {self.sequence} has no valid signature") from error


def decode_root(raw: bytes) -> Root:
    """Return a record. Raises RootError if these bytes are none."""
    if len(raw) != ROOT_BYTES or not raw.startswith(MAGIC):
        raise RootError("these bytes are no root record")
    root = Root._make((*_BODY.unpack_from(raw)[1:], raw[_BODY.size :]))
    if root.encode() != raw:
        raise RootError(f"the root of sequence {root.sequence} has bytes where zeros belong")
    return root


class EventsHash:
    """The hash of the events since the last root, as they are published: without clOrdIDs.

    An AMENDED names the new clOrdID's hash; that word is left out, so that a journal without its customers'
    texts leads to the same hash.
    """

    _EVENT_BYTES, _KIND_AT, _CLID = 64, 62, slice(16, 24)

    def __init__(self, amended_kind: int) -> None:
        self._amended = amended_kind
        self._begin()

    def _begin(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32, person=b"ringfence event")

    def update(self, events: bytes) -> None:
        size, kinds = self._EVENT_BYTES, events[self._KIND_AT :: self._EVENT_BYTES]
        if self._amended in kinds:
            raw = bytearray(events)
            for k, kind in enumerate(kinds):
                if kind == self._amended:
                    at = k * size
                    raw[at + self._CLID.start : at + self._CLID.stop] = bytes(8)
            events = bytes(raw)
        self._hash.update(events)

    def take(self) -> bytes:
        """Return the hash and begin anew."""
        digest = self._hash.digest()
        self._begin()
        return digest

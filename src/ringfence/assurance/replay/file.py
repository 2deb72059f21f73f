"""A file of records: tag u1 | length u4 | body, packed | chain 16. The chain hash covers all before it.

So a changed byte anywhere is found at its record, and a record that is missing at the next one. The last
record is a signature over the chain: a file that was cut off has none.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import BinaryIO, NamedTuple

MAGIC = b"RFPUBL01"
_HEAD = struct.Struct("<BI")
CHAIN_BYTES = 16
BODY_BYTES_MAX = 1 << 24


class Tag(IntEnum):
    ABOUT = 1
    """JSON: which exchange, which sequences, keys of the nonces."""
    FRAME = 2
    """first_sequence u8, timestamp_ns u8, then the commands."""
    ROOT = 3
    """A root record as the exchange signed it."""
    END = 4
    """Ed25519 signature over the chain before it."""


class FileError(ValueError):
    """The file is damaged, or not what was written. The text names the record and the byte where it begins."""


class Record(NamedTuple):
    number: int
    offset: int
    tag: Tag
    body: bytes
    chain: bytes
    """The chain before this record."""


class Writer:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.chain = hashlib.blake2b(MAGIC, digest_size=CHAIN_BYTES).digest()
        file.write(MAGIC)

    def write(self, tag: Tag, body: bytes) -> None:
        packed = zlib.compress(body, 6)
        head = _HEAD.pack(tag, len(packed))
        self.chain = _next(self.chain, head, packed)
        self._file.write(head + packed + self.chain)


def _next(chain: bytes, head: bytes, packed: bytes) -> bytes:
    return hashlib.blake2b(chain + head + packed, digest_size=CHAIN_BYTES).digest()


def read(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a file, each checked. Raises FileError."""
    if file.read(len(MAGIC)) != MAGIC:
        raise FileError("this is no public journal; nothing was replayed")
    chain = hashlib.blake2b(MAGIC, digest_size=CHAIN_BYTES).digest()
    offset, number = len(MAGIC), 0
    while head := file.read(_HEAD.size):
        where = f"record {number}, which begins at byte {offset}"
        if len(head) < _HEAD.size:
            raise FileError(f"{where}, is cut off")
        tag, length = _HEAD.unpack(head)
        if length > BODY_BYTES_MAX:
            raise FileError(f"{where}, is damaged: it says that it has {length} bytes")
        packed, said = file.read(length), file.read(CHAIN_BYTES)
        if len(packed) < length or len(said) < CHAIN_BYTES:
            raise FileError(f"{where}, is damaged or cut off")
        following = _next(chain, head, packed)
        if said != following:
            raise FileError(f"{where}, is damaged: its hash does not fit")
        try:
            body = _unpack(packed)
            yield Record(number, offset, Tag(tag), body, chain)
        except (zlib.error, ValueError) as error:
            raise FileError(f"{where}, cannot be unpacked: {error}") from error
        chain = following
        offset += len(head) + length + CHAIN_BYTES
        number += 1


def _unpack(packed: bytes) -> bytes:
    """Return the body; whoever made the file may have packed gigabytes into it."""
    unpacker = zlib.decompressobj()
    body = unpacker.decompress(packed, BODY_BYTES_MAX)
    if not unpacker.eof:
        raise ValueError("it is too long or cut off")
    return body

"""One batch in a feed file.

    magic 8 | first_sequence u8 | timestamp_ns u8 | first_event u8 | commands u4 | events u4
    | checksum of the body u4 | checksum of this header u4 | commands | events

Files are named by their first sequence. They are synced when a snapshot is written and not before:
what a crash takes away is written again, byte for byte.
"""

import struct
from pathlib import Path

import crc32c
import numpy as np

from ringfence.exchange.disk import Disk, disk_at
from ringfence.messages.batch import Batch, Records
from ringfence.messages.records import COMMAND, EVENT, RECORD_BYTES

MAGIC = b"RFFEED01"
SUFFIX = ".feed"
_HEADER = struct.Struct("<8sQQQIII")
_CRC = struct.Struct("<I")
HEADER_BYTES = 64


def name_of(first_sequence: int) -> str:
    return f"{first_sequence:020d}{SUFFIX}"


def first_sequence_of(name: str) -> int:
    return int(name.removesuffix(SUFFIX))


def names(place: Path | Disk) -> list[str]:
    """Return the names of the feed files in order, none if there is no such folder."""
    return disk_at(place).names(SUFFIX)


def size_of(batch: Batch) -> int:
    return HEADER_BYTES + (len(batch.commands) + len(batch.events)) * RECORD_BYTES


def decode_at(raw: bytes, offset: int) -> Batch | None:
    """Return the batch at an offset, None if there is no whole one."""
    header = raw[offset : offset + HEADER_BYTES]
    size = body_bytes(header)
    if size is None:
        return None
    begin = offset + HEADER_BYTES
    return decode(header, raw[begin : begin + size])


def encode(batch: Batch) -> bytes:
    body = batch.commands.tobytes() + batch.events.tobytes()
    header = _HEADER.pack(
        MAGIC, batch.first_sequence, batch.timestamp_ns, batch.first_event,
        len(batch.commands), len(batch.events), crc32c.crc32c(body),
    )  # fmt: skip
    return (header + _CRC.pack(crc32c.crc32c(header))).ljust(HEADER_BYTES, b"\0") + body


def body_bytes(header: bytes) -> int | None:
    """Return how many bytes follow a header, None if it is not a whole one."""
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return None
    if crc32c.crc32c(header[: _HEADER.size]) != _CRC.unpack_from(header, _HEADER.size)[0]:
        return None
    fields = _HEADER.unpack_from(header)
    return int((fields[4] + fields[5]) * RECORD_BYTES)


def decode(header: bytes, body: bytes) -> Batch | None:
    """Return the batch, None if its body is not all there yet."""
    _, first_sequence, timestamp_ns, first_event, n_commands, n_events, checksum = _HEADER.unpack_from(header)
    if len(body) != (n_commands + n_events) * RECORD_BYTES or crc32c.crc32c(body) != checksum:
        return None
    cut = n_commands * RECORD_BYTES
    commands: Records = np.frombuffer(body, COMMAND, n_commands)
    events: Records = np.frombuffer(body, EVENT, n_events, cut)
    return Batch(first_sequence, timestamp_ns, first_event, commands, events)

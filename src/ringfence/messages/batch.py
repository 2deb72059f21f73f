"""A batch: what one journal frame says, with what came of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence.messages.commands import Command
from ringfence.messages.records import COMMAND, DATA, RECORD_BYTES

Records = NDArray[np.void]


class Batch(NamedTuple):
    """Commands in sequence and the events they caused.

    `commands[k]` has sequence number `first_sequence + k`, DATA slots included. `events` are in
    order; each names its cause in `sequence`. `first_event` counts events since the journal began,
    so event k of the batch has the number `first_event + k` for ever.
    """

    first_sequence: int
    timestamp_ns: int
    first_event: int
    commands: Records
    events: Records

    @property
    def next_sequence(self) -> int:
        return self.first_sequence + len(self.commands)


# Tags of the text items that DATA slots carry. Append only.
CLORDID = 1
TEXT = 2
SPECIFICATION = 3
OPERATOR = 4
CLORDLINKID = 5
ACCOUNT_NAME = 6
CONSTITUENTS = 7
"""Binary: what an INDEX command says of its constituents, see messages/constituents.py."""

HALT_REASON = 8
"""JSON: why somebody halted, see messages/halts.py."""
RESUME_STATEMENT = 9
"""The text that two people signed."""
SIGNATURES = 10
"""JSON: who signed it, and how."""
PEOPLE_LIST = 11
"""JSON: who may lift a halt, beside the command that sets VenueParameter.PEOPLE."""
CHECKS = 12
"""JSON: the judges' report that all is well, with their signature."""
REFUSED_BECAUSE = 13
"""Why the core would not let the command before it through; the engine refuses what is left of it."""
LEADER = 15
"""The name of the machine that leads from this TICK on."""
FUNDS = 14
"""JSON: what moves coins between exchange and custody, see messages/funds.py."""
CONFIGURATION_TEXT = 16
"""TOML: the settings of the processes, beside the command that sets VenueParameter.CONFIGURATION."""
WITHOUT = 17
"""Machines that were not asked whether they know the rules, because they are lost; beside VenueParameter.RULES."""

_SLOT_BYTES = 56
_DATA = int(Command.DATA)
_KIND_AT, _LENGTH_AT = 58, 59
_ONE_SLOT_TAIL = [bytes((0, 0, _DATA, length, 0, 0, 0, 0)) for length in range(_SLOT_BYTES + 1)]


def encode_data(items: list[tuple[int, bytes]]) -> bytes:
    """Return the DATA slots for (tag, text) items: tag u1, length u2, bytes, cut into 56-byte pieces."""
    stream = b"".join([b"%c%b%b" % (tag, len(text).to_bytes(2, "little"), text) for tag, text in items])
    size = len(stream)
    if size <= _SLOT_BYTES:
        return stream.ljust(_SLOT_BYTES, b"\0") + _ONE_SLOT_TAIL[size] if size else b""
    pieces = []
    for index in range(0, size, _SLOT_BYTES):
        piece = stream[index : index + _SLOT_BYTES]
        pieces.append(
            piece.ljust(_SLOT_BYTES, b"\0")
            + (index // _SLOT_BYTES).to_bytes(2, "little")
            + bytes((_DATA, len(piece)))
            + b"\0\0\0\0"
        )
    return b"".join(pieces)


def decode_data(commands: Records, position: int) -> dict[int, bytes]:
    """Return the text items that follow the command at `position`, by tag; empty if there are none."""
    return decode_slots(commands[position + 1 :].tobytes(), -1)


def decode_slots(raw: bytes, position: int) -> dict[int, bytes]:
    """Return the text items that follow the command at `position` of commands as bytes."""
    begin = offset = (position + 1) * RECORD_BYTES
    end = len(raw)
    while offset < end and raw[offset + _KIND_AT] == _DATA:
        offset += RECORD_BYTES
    if offset == begin:
        return {}
    if offset == begin + RECORD_BYTES:
        stream = raw[begin : begin + raw[begin + _LENGTH_AT]]
    else:
        slots = range(begin, offset, RECORD_BYTES)
        stream = b"".join([raw[slot : slot + raw[slot + _LENGTH_AT]] for slot in slots])
    items: dict[int, bytes] = {}
    at, size = 0, len(stream)
    while at + 3 <= size:
        length = stream[at + 1] | stream[at + 2] << 8
        items[stream[at]] = stream[at + 3 : at + 3 + length]
        at += 3 + length
    return items


def command_positions(commands: Records) -> Iterator[int]:
    """Yield the positions of real commands, passing over DATA slots."""
    yield from np.flatnonzero(commands["kind"] != Command.DATA).tolist()


assert COMMAND.itemsize == DATA.itemsize

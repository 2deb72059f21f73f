"""A batch: what one journal frame says, with what came of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence.messages.commands import Command
from ringfence.messages.records import COMMAND, DATA

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

_SLOT_BYTES = 56


def encode_data(items: list[tuple[int, bytes]]) -> bytes:
    """Return the DATA slots for (tag, text) items: tag u1, length u2, bytes, cut into 56-byte pieces."""
    stream = b"".join(bytes((tag,)) + len(text).to_bytes(2, "little") + text for tag, text in items)
    pieces = []
    for index in range(0, len(stream), _SLOT_BYTES):
        piece = stream[index : index + _SLOT_BYTES]
        pieces.append(
            piece.ljust(_SLOT_BYTES, b"\0")
            + (index // _SLOT_BYTES).to_bytes(2, "little")
            + bytes((Command.DATA, len(piece)))
            + b"\0\0\0\0"
        )
    return b"".join(pieces)


def decode_data(commands: Records, position: int) -> dict[int, bytes]:
    """Return the text items that follow the command at `position`, by tag; empty if there are none."""
    pieces = []
    for slot in range(position + 1, len(commands)):
        row = commands[slot]
        if row["kind"] != Command.DATA:
            break
        raw = row.tobytes()
        pieces.append(raw[: raw[59]])
    stream = b"".join(pieces)
    items: dict[int, bytes] = {}
    offset = 0
    while offset + 3 <= len(stream):
        length = int.from_bytes(stream[offset + 1 : offset + 3], "little")
        items[stream[offset]] = stream[offset + 3 : offset + 3 + length]
        offset += 3 + length
    return items


def command_positions(commands: Records) -> Iterator[int]:
    """Yield the positions of real commands, passing over DATA slots."""
    yield from np.flatnonzero(commands["kind"] != Command.DATA).tolist()


assert COMMAND.itemsize == DATA.itemsize

"""A gateway's line to the core: commands out; wake-ups and what was shed in.

To the core: `length u4` and so many bytes of whole 64-byte slots, a command with its DATA slots in one
message.

From the core, messages of `type u4 | length u4`, little-endian, and so many bytes:

| type   | when                                                   | body                                       |
|--------|--------------------------------------------------------|--------------------------------------------|
| STATUS | on connecting, when something became durable, when the | `next_sequence u8`, `origin u4`, `state    |
|        | state changed; the newest one says all                 | u4`, `wait_ns u8`, then `count u8` for     |
|        |                                                        | each ShedReason, since the core's start    |
| SHED   | at once; none is left out                              | for each command `token u8`, `reason u4`   |

`origin` is the line's own number; `state` and `reason` are numbered in `messages.load`. A command that was shed is in
no journal and never will be. A STATUS that changes the state comes before the SHEDs that follow from it.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

from ringfence.messages.load import LoadState, ShedReason
from ringfence.messages.records import RECORD_BYTES

LENGTH = struct.Struct("<I")
STATUS, SHED = 1, 2
SUBMIT_BYTES_MAX = 1 << 20
_HEAD = struct.Struct("<II")
_STATUS = struct.Struct(f"<QIIQ{len(ShedReason)}Q")
_SHED = struct.Struct("<QI")


class Load(NamedTuple):
    """How the core stands."""

    state: LoadState = LoadState.OPEN
    wait_ns: int = 0
    """How long what arrives now will wait, at the measured rate."""
    sheds: tuple[int, ...] = (0,) * len(ShedReason)
    """Since the core's start, by ShedReason."""


def encode_status(next_sequence: int, origin: int, load: Load) -> bytes:
    body = _STATUS.pack(next_sequence, origin, load.state, load.wait_ns, *load.sheds)
    return _HEAD.pack(STATUS, len(body)) + body


def encode_sheds(sheds: Iterable[tuple[int, ShedReason]]) -> bytes:
    """Return the message that tells of (token, reason) pairs."""
    body = b"".join([_SHED.pack(token, reason) for token, reason in sheds])
    return _HEAD.pack(SHED, len(body)) + body


class Status(NamedTuple):
    """What a STATUS says."""

    next_sequence: int
    origin: int
    load: Load


def take_messages(received: bytearray) -> Iterator[tuple[int, bytes]]:
    """Yield (type, body) of the whole messages that have been received, and leave the rest."""
    offset = 0
    while len(received) - offset >= _HEAD.size:
        kind, length = _HEAD.unpack_from(received, offset)
        end = offset + _HEAD.size + length
        if len(received) < end:
            break
        yield kind, bytes(received[end - length : end])
        offset = end
    del received[:offset]


def decode_status(body: bytes) -> Status:
    next_sequence, origin, state, wait_ns, *sheds = _STATUS.unpack(body)
    return Status(next_sequence, origin, Load(LoadState(state), wait_ns, tuple(sheds)))


def decode_sheds(body: bytes) -> list[tuple[int, ShedReason]]:
    """Return (token, reason) pairs."""
    return [(token, ShedReason(reason)) for token, reason in _SHED.iter_unpack(body)]


class CoreClient(asyncio.Protocol):
    """Connects to the core's socket. `on_wakeup(next_sequence)` runs when new batches can be read.

    `on_shed([(token, reason), ...])` runs for commands of this line that were not taken. Who sends nothing that can be
    shed (see `sequencer.inbox`) leaves it out.
    """

    def __init__(
        self, socket_path: Path, on_wakeup: Callable[[int], None], on_lost: Callable[[], None] | None = None,
        on_shed: Callable[[list[tuple[int, ShedReason]]], None] | None = None,
    ) -> None:  # fmt: skip
        self._path = socket_path
        self._on_wakeup, self._on_lost, self._on_shed = on_wakeup, on_lost, on_shed
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._greeted: asyncio.Future[None] | None = None
        self._is_greeted = False
        self.origin = 0
        self.load = Load()

    async def connect(self) -> None:
        """Connect and wait for the core's greeting. Raises OSError if the core is not there."""
        loop = asyncio.get_running_loop()
        self._greeted = loop.create_future()
        await loop.create_unix_connection(lambda: self, str(self._path))
        await self._greeted

    @property
    def is_connected(self) -> bool:
        """Whether the core has greeted: a line that is lost before is no line, and nobody hears of its loss."""
        return self._is_greeted

    @property
    def pending_bytes(self) -> int:
        """What the core has not taken off our hands yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def submit(self, data: bytes) -> None:
        """Send one command with its DATA slots, or several. Raises ConnectionError."""
        assert data
        assert len(data) % RECORD_BYTES == 0
        assert len(data) <= SUBMIT_BYTES_MAX
        if self._transport is None or not self._is_greeted:
            raise ConnectionError("the exchange core is not connected; nothing was sent")
        self._transport.write(LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received.clear()
        self._is_greeted = False

    def data_received(self, data: bytes) -> None:
        self._received += data
        next_sequence = -1
        for kind, body in take_messages(self._received):
            if kind == STATUS:
                next_sequence, self.origin, self.load = decode_status(body)
            elif kind == SHED and self._on_shed is not None:
                self._on_shed(decode_sheds(body))
        if next_sequence < 0:
            return
        self._is_greeted = True
        if self._greeted and not self._greeted.done():
            self._greeted.set_result(None)
        self._on_wakeup(next_sequence)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._is_greeted = None, False
        if self._greeted and not self._greeted.done():
            self._greeted.set_exception(ConnectionError("the exchange core hung up"))
        elif self._on_lost:
            self._on_lost()

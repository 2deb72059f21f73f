"""A gateway's line to the core: commands out, wake-ups in.

To the core: `length u4` and so many bytes of whole 64-byte slots, a command with its DATA slots in one
message. From the core, 16 bytes whenever something became durable or its queue filled or emptied:
`next_sequence u8 | origin u4 | queue_is_full u4`; the first tells the gateway its origin.
"""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from ringfence.messages.records import RECORD_BYTES

LENGTH = struct.Struct("<I")
_STATUS = struct.Struct("<QII")
STATUS_BYTES = _STATUS.size
SUBMIT_BYTES_MAX = 1 << 20


def encode_status(next_sequence: int, origin: int, *, queue_is_full: bool) -> bytes:
    return _STATUS.pack(next_sequence, origin, queue_is_full)


def decode_status(raw: bytes) -> tuple[int, int, bool]:
    """Return (next sequence, origin, whether the queue is full)."""
    next_sequence, origin, is_full = _STATUS.unpack(raw)
    return next_sequence, origin, bool(is_full)


class CoreClient(asyncio.Protocol):
    """Connects to the core's socket. `on_wakeup(next_sequence)` runs when new batches can be read."""

    def __init__(
        self, socket_path: Path, on_wakeup: Callable[[int], None], on_lost: Callable[[], None] | None = None
    ) -> None:
        self._path = socket_path
        self._on_wakeup = on_wakeup
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._greeted: asyncio.Future[None] | None = None
        self.origin = 0
        self.queue_is_full = False

    async def connect(self) -> None:
        """Connect and wait for the core's greeting. Raises OSError if the core is not there."""
        loop = asyncio.get_running_loop()
        self._greeted = loop.create_future()
        await loop.create_unix_connection(lambda: self, str(self._path))
        await self._greeted

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    @property
    def pending_bytes(self) -> int:
        """What the core has not taken off our hands yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def submit(self, data: bytes) -> None:
        """Send one command with its DATA slots, or several. Raises ConnectionError."""
        assert data
        assert len(data) % RECORD_BYTES == 0
        assert len(data) <= SUBMIT_BYTES_MAX
        if self._transport is None:
            raise ConnectionError("the exchange core is not connected; nothing was sent")
        self._transport.write(LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        whole = len(self._received) // _STATUS.size * _STATUS.size
        if not whole:
            return
        next_sequence, self.origin, full = _STATUS.unpack_from(self._received, whole - _STATUS.size)
        self.queue_is_full = bool(full)
        self._received = self._received[whole:]
        if self._greeted and not self._greeted.done():
            self._greeted.set_result(None)
        self._on_wakeup(next_sequence)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._greeted and not self._greeted.done():
            self._greeted.set_exception(ConnectionError("the exchange core hung up"))
        elif self._on_lost:
            self._on_lost()

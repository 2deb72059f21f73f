"""Between a socket and picows: what is read at once stays small.

picows doubles its buffer whenever a read fills it, and works through all of it: a client that sends without a pause
would hold the loop for seconds. A piece at a time, others have their turn between two pieces, see `turns`.
"""

import asyncio
from typing import Any

PIECE_BYTES = 4096
UNREAD_BYTES = 64 << 10
"""That the kernel keeps for one connection; the client's own computer keeps the rest."""


def feed(protocol: Any, data: memoryview) -> None:
    """Give a buffered protocol bytes that somebody else has read."""
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


class Sluice(asyncio.BufferedProtocol):
    """Hands on what comes, in pieces, to a protocol that is connected already."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._piece = memoryview(bytearray(PIECE_BYTES))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        feed(self._protocol, self._piece[:nbytes])

    def eof_received(self) -> bool | None:
        ended: bool | None = self._protocol.eof_received()
        return ended

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)

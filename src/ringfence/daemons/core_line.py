"""Lines to the core: from gateways of this machine over a Unix socket, from other machines over TLS.

What is said on them is told in `exchange/feed/client.py`. A machine that follows has no core: its gateways' lines
are relayed to the one that leads, each over a connection of its own, and what the stream has brought here wakes
them. Over TLS a machine first says its session, `RFLINE01 | session u8`. A later session of a machine ends its
earlier ones before it is greeted, so that nothing that an old connection still holds is taken after what a gateway
says on the new one.
"""

import asyncio
import logging
import os
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from ringfence.exchange.feed.client import (
    LENGTH,
    SHED,
    STATUS,
    SUBMIT_BYTES_MAX,
    Load,
    Status,
    decode_sheds,
    decode_status,
    encode_sheds,
    encode_status,
    take_messages,
)
from ringfence.exchange.sequencer import InvalidSubmissionError
from ringfence.messages.load import ShedReason
from ringfence.messages.records import RECORD_BYTES

log = logging.getLogger(__name__)

HELLO = struct.Struct("<8sQ")
HELLO_MAGIC = b"RFLINE01"
_TELL_BYTES_MAX = 1 << 16
_UNREAD_BYTES_MAX = 4 << 20


class LineCore(Protocol):
    """What takes commands: the core."""

    lines: "dict[int, Line]"

    def submit(self, slots: bytes, *, origin: int) -> None: ...

    def next_origin(self) -> int: ...

    def note_cut(self) -> None:
        """A line was cut off for what it sent."""

    def greet(self, line: "Line") -> None:
        """Tell a new line how far the exchange is."""


async def listen(directory: Path, line: Callable[[], asyncio.Protocol]) -> asyncio.AbstractServer:
    """Listen at `core.sock`, for processes of this user alone; what was there before is gone. Raises OSError."""
    path = directory / "core.sock"
    path.unlink(missing_ok=True)
    os.umask(0o177)
    try:
        return await asyncio.get_running_loop().create_unix_server(line, str(path))
    finally:
        os.umask(0o077)


class Line(asyncio.Protocol):
    """One gateway's connection to the core."""

    def __init__(self, core: LineCore) -> None:
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._origin = core.next_origin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._greet()

    def _greet(self) -> None:
        self._core.lines[self._origin] = self
        self._core.greet(self)

    def tell(self, next_sequence: int, load: Load) -> None:
        if self._transport and self._transport.get_write_buffer_size() < _TELL_BYTES_MAX:
            self._transport.write(encode_status(next_sequence, self._origin, load))

    def tell_sheds(self, sheds: list[tuple[int, ShedReason]]) -> None:
        """None may be left out; a gateway that hears nothing for that long is cut off, and asks anew."""
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
            self._refuse("it does not read what it is told")
            return
        self._transport.write(encode_sheds(sheds))

    def data_received(self, data: bytes) -> None:
        self._received += data
        offset = 0
        while len(self._received) - offset >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._received, offset)
            if length == 0 or length % RECORD_BYTES or length > SUBMIT_BYTES_MAX:
                self._refuse(f"a message of {length} bytes is not a number of whole slots")
                return
            end = offset + LENGTH.size + length
            if len(self._received) < end:
                break
            self._accept(bytes(self._received[offset + LENGTH.size : end]))
            offset = end
        del self._received[:offset]

    def _accept(self, slots: bytes) -> None:
        try:
            self._core.submit(slots, origin=self._origin)
        except InvalidSubmissionError as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        self._core.note_cut()
        log.error("gateway %d was cut off: %s; nothing of the message was applied", self._origin, why)
        self.abort()

    def hold(self, is_held: bool) -> None:
        """Take nothing more, or go on; what the other side sends meanwhile waits in its buffers."""
        if self._transport is None or self._transport.is_closing():
            return
        if is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._core.lines.get(self._origin) is self:
            del self._core.lines[self._origin]
        self._transport = None


class Sessions:
    """The newest session of each machine, and its lines."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._lines: dict[str, set[RemoteLine]] = {}

    def enter(self, machine: str, session: int, line: "RemoteLine") -> bool:
        """Let a line in, and end those of earlier sessions; False if it belongs to an earlier one itself."""
        newest = self._newest.get(machine, 0)
        if session < newest:
            return False
        if session > newest:
            self._newest[machine] = session
            for old in self._lines.pop(machine, set()):
                old.abort()
        self._lines.setdefault(machine, set()).add(line)
        return True

    def leave(self, machine: str, line: "RemoteLine") -> None:
        self._lines.get(machine, set()).discard(line)


class RemoteLine(Line):
    """A line of another machine's gateway, after its hello."""

    def __init__(
        self, core: LineCore, sessions: Sessions, machine_of: Callable[[ssl.SSLObject], str]
    ) -> None:
        super().__init__(core)
        self._sessions, self._machine_of = sessions, machine_of
        self._machine = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._machine:
            if self._transport is not None and not self._transport.is_closing():
                super().data_received(data)
            return
        self._received += data
        if len(self._received) < HELLO.size:
            return
        magic, session = HELLO.unpack_from(self._received)
        assert self._transport is not None
        machine = self._machine_of(self._transport.get_extra_info("ssl_object"))
        if magic != HELLO_MAGIC or not machine or not self._sessions.enter(machine, session, self):
            self._refuse("it said no hello of a machine that we know, or one of an earlier session")
            return
        self._machine = machine
        rest = bytes(self._received[HELLO.size :])
        self._received.clear()
        self._greet()
        if rest:
            super().data_received(rest)

    def connection_lost(self, error: Exception | None) -> None:
        if self._machine:
            self._sessions.leave(self._machine, self)
        super().connection_lost(error)


class Relay(Protocol):
    """A machine that follows, as its lines see it."""

    relayed: "set[RelayedLine]"
    session: int

    @property
    def next_sequence(self) -> int: ...

    async def connect(self, protocol: "Upstream") -> None:
        """Connect to whoever leads, waiting for one if need be. Raises OSError."""

    def lost(self) -> None:
        """A connection to the leader was lost: begin a new session, without any line of this one."""


class RelayedLine(asyncio.Protocol):
    """One gateway's connection to a machine that follows. It is greeted when the leader has greeted us."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None
        self._upstream: Upstream | None = None
        self._origin, self._load = 0, Load()
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # A gateway says nothing before it is greeted; one that does waits.
        self.transport.pause_reading()
        self._relay.relayed.add(self)
        self._upstream = Upstream(self._relay, self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect(self._upstream))

    async def _connect(self, upstream: "Upstream") -> None:
        try:
            await self._relay.connect(upstream)
        except OSError as error:
            log.info("no line to the leader yet: %s", error)
            self.abort()

    def heard(self, said: Status) -> None:
        """The leader has said something: pass on what is not about how far it is itself."""
        is_first = not self._origin
        if self.transport is None:
            return
        if is_first:
            self._origin = said.origin
            self.transport.resume_reading()
        if is_first or said.load != self._load:
            self._load = said.load
            self.tell(self._relay.next_sequence)

    def heard_sheds(self, message: bytes) -> None:
        """The leader did not take some of this gateway's commands."""
        if self.transport is not None:
            self.transport.write(message)

    def tell(self, next_sequence: int) -> None:
        """Wake the gateway for what the stream has brought."""
        if self._origin and self.transport and self.transport.get_write_buffer_size() < _TELL_BYTES_MAX:
            self.transport.write(encode_status(next_sequence, self._origin, self._load))

    def data_received(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.send(data)

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._relay.relayed.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.close()


class Upstream(asyncio.Protocol):
    """Our connection to the leader for one gateway."""

    def __init__(self, relay: Relay, line: RelayedLine) -> None:
        self._relay, self._line = relay, line
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._is_closing:
            self._transport.abort()
            return
        self._transport.write(HELLO.pack(HELLO_MAGIC, self._relay.session))

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._received += data
        for kind, body in take_messages(self._received):
            if kind == STATUS:
                self._line.heard(decode_status(body))
            elif kind == SHED:
                self._line.heard_sheds(encode_sheds(decode_sheds(body)))

    def pause_writing(self) -> None:
        if self._line.transport and not self._line.transport.is_closing():
            self._line.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._line.transport and not self._line.transport.is_closing():
            self._line.transport.resume_reading()

    def close(self) -> None:
        self._is_closing = True
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self._is_closing:
            self._relay.lost()

"""HTTP/1.1 on the gateway's one port: requests in order, replies in order, upgrades handed over.

A connection works on one request at a time; what a client sends ahead waits. Parsing is httptools'
(the parser of Node.js); this module adds limits, so that nobody fills the memory with half a request, or with answers
that nobody fetches. What cannot be read ends a connection, after the answers to what came before it.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import cast

import httptools

from ringfence.exchange.gateway.figures import GatewayFigures
from ringfence.exchange.gateway.limits import Presence
from ringfence.exchange.gateway.policies import EVERYWHERE, OF_API
from ringfence.monitoring.traces import Trace

URL_BYTES_MAX = 16_384
HEADERS_MAX = 64
HEADER_BYTES_MAX = 16_384
BODY_BYTES_MAX = 1 << 20
_AHEAD_MAX = 64
_AHEAD_BYTES_MAX = 2 << 20
_IDLE_SECONDS = 75.0
_FETCHED_BYTES_MIN = 64 << 10
"""Within `_IDLE_SECONDS`, of an answer that waits to be fetched."""
_PIECE_BYTES = 256 << 10
_POUR_SECONDS = 0.005

_VERSIONS = ("1.0", "1.1")
_ONCE = frozenset((
    b"host", b"content-length", b"content-type", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"range",
    b"origin", b"sec-fetch-site", b"cookie", b"x-ringfence", b"api-key", b"api-expires", b"api-signature",
))  # fmt: skip
"""Headers that say who asks for what. Two of one kind mean that somebody before us may have read the other."""

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_JSON = b"content-type: application/json; charset=utf-8\r\n"


class HttpRequest:
    """One request as it came: `target` and `body` are the bytes that were signed."""

    __slots__ = ("began", "body", "headers", "is_upgrade", "keep_alive", "method", "route", "target", "trace")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True
        self.is_upgrade = False
        self.began = 0.0
        """By `time.perf_counter`."""
        self.route = "other"
        """Its class, once that is known: figures are kept by it."""
        self.trace: Trace | None = None

    def header(self, name: bytes) -> str:
        """Return a header's text, empty if it is missing. Names are lower case."""
        return self.headers.get(name, b"").decode("latin-1").strip()


def _error(why: str) -> bytes:
    """Return the body of a refusal in which a client's bytes may be quoted."""
    text = why.replace("\\", "/").replace('"', "'")
    return b'{"error":{"message":"%s","name":"HTTPError"}}' % text.encode("ascii", "replace")


Handler = Callable[["HttpConnection", HttpRequest], None]
Upgrader = Callable[["HttpConnection", HttpRequest, bytes], None]


class HttpConnection(asyncio.Protocol):
    """One client connection. `handle` is called with each request and must lead to one `reply`."""

    def __init__(
        self, handle: Handler, upgrade: Upgrader, connections: set["HttpConnection"], *,
        always: bytes = EVERYWHERE, presence: Presence | None = None, figures: GatewayFigures | None = None,
    ) -> None:  # fmt: skip
        """`always` are the header lines of every answer; `presence` counts who is here, `figures` the answers;
        None = nobody does."""
        self._handle, self._upgrade, self._connections = handle, upgrade, connections
        self._always, self._of_api, self._presence = always, always + OF_API, presence
        self._figures = figures
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._request = HttpRequest()
        self._body: list[bytes] = []
        self._body_bytes = self._header_bytes = 0
        self._waiting: deque[HttpRequest] = deque()
        self._waiting_bytes = 0
        self._busy: HttpRequest | None = None
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0
        self._unfetched_bytes = sys.maxsize
        self._is_behind = False
        """The client does not fetch its answers: nothing more is read or worked on until it does."""
        self._broken = False
        self._last_words: tuple[int, bytes] | None = None
        self.address = ""

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        self._connections.add(self)
        self._quiet_since = self._loop.time()
        self._watch(_IDLE_SECONDS)
        if self._presence is not None and not self._presence.enter(self.address):
            self._presence, self._broken = None, True
            self.reply(
                429, _error("there are too many connections from this address"), b"retry-after: 60\r\n"
            )

    @property
    def is_open(self) -> bool:
        """Whether an answer can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._leave()

    def _leave(self) -> None:
        self._connections.discard(self)
        if self._presence is not None:
            self._presence.leave(self.address)
            self._presence = None
        if self._idle:
            self._idle.cancel()

    def pause_writing(self) -> None:
        self._is_behind = True
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_behind = False
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._busy is None:
            self._go_on(self._transport, keep_alive=True)

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._busy is not None or self._is_behind:
                self._refuse(400, "an upgrade waits for the answers to what was sent before it")
            elif self._transport and not self._broken:
                self._broken = True
                self._upgrade(self, self._request, data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._broken:
                self._refuse(400, f"the request is not HTTP: {error}")

    def _watch(self, seconds: float) -> None:
        """Close a connection on which nothing happens; also one that never finishes a request."""
        self._idle = self._loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        # One timer at a time looks at when the last reply went out: a timer for each costs a microsecond.
        left = _IDLE_SECONDS - (self._loop.time() - self._quiet_since)
        if self._busy is not None:
            self._watch(_IDLE_SECONDS)
        elif left > 0:
            self._watch(left)
        elif self._transport:
            self._expire_unfetched(self._transport)

    def _expire_unfetched(self, transport: asyncio.Transport) -> None:
        """Close, and do not wait for a client that does not fetch what was sent to it."""
        unfetched = transport.get_write_buffer_size()
        if not unfetched:
            transport.close()
        elif unfetched > self._unfetched_bytes - _FETCHED_BYTES_MIN:
            transport.abort()
        else:
            self._unfetched_bytes = unfetched
            self._watch(_IDLE_SECONDS)

    # ---- httptools

    def on_message_begin(self) -> None:
        self._request = HttpRequest()
        self._body, self._body_bytes, self._header_bytes = [], 0, 0

    def on_url(self, url: bytes) -> None:
        self._request.target += url
        if len(self._request.target) > URL_BYTES_MAX:
            self._refuse(414, f"the address is longer than {URL_BYTES_MAX} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        headers, name = self._request.headers, name.lower()
        if name in headers and name in _ONCE:
            self._refuse(400, f"the request has two headers {name.decode('latin-1')}: one is expected")
        headers[name] = value
        self._header_bytes += len(name) + len(value)
        if len(headers) > HEADERS_MAX or self._header_bytes > HEADER_BYTES_MAX:
            self._refuse(431, "the request has too many or too long headers")

    def on_headers_complete(self) -> None:
        if self._parser.get_http_version() not in _VERSIONS:
            self._refuse(400, "the request is not HTTP of version 1.0 or 1.1")
        if not self._broken and self._request.headers.get(b"expect", b"").lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_MAX:
            self._refuse(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._broken:
            return
        request, parser = self._request, self._parser
        request.method = parser.get_method().decode("latin-1")
        request.keep_alive = parser.should_keep_alive()
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        if parser.should_upgrade():
            return
        if self._busy is not None or self._is_behind:
            self._waiting_bytes += len(request.body)
            if len(self._waiting) >= _AHEAD_MAX or self._waiting_bytes > _AHEAD_BYTES_MAX:
                self._refuse(429, f"more than {_AHEAD_MAX} requests were sent ahead on one connection")
            else:
                self._waiting.append(request)
            return
        self._begin(request)

    def _begin(self, request: HttpRequest) -> None:
        self._busy, request.began = request, time.perf_counter()
        self._handle(self, request)

    # ---- replies

    def reply(
        self, status: int, body: bytes, headers: bytes = b"", content_type: bytes = _JSON, policy: bytes | None = None
    ) -> None:  # fmt: skip
        """Send the reply of the request at work. `headers` are complete lines with their line ends.

        `policy` are lines that say what a browser may do with it and how long it keeps; None = nothing, not at all.
        """
        request = self._busy
        self._busy = None
        if self._transport is None:
            return
        keep_alive = request is not None and request.keep_alive
        common = self._of_api if policy is None else self._always + policy
        close = b"" if keep_alive else b"connection: close\r\n"
        payload = b"" if request is not None and request.method == "HEAD" else body
        self._write(
            b"".join((_STATUS_LINES[status], content_type, common, headers, close,
                      b"content-length: %d\r\n\r\n" % len(body), payload))
        )  # fmt: skip
        self._count(request, status)
        self._go_on(self._transport, keep_alive=keep_alive)

    def _count(self, request: HttpRequest | None, status: int) -> None:
        if self._figures is not None and request is not None:
            self._figures.answered(request, status)

    def _go_on(self, transport: asyncio.Transport, *, keep_alive: bool) -> None:
        """Turn to the request that waits, if the connection stays."""
        self._quiet_since = self._loop.time()
        if not keep_alive:
            transport.close()
        elif self._is_behind:
            return
        elif self._waiting:
            request = self._waiting.popleft()
            self._waiting_bytes -= len(request.body)
            self._begin(request)
        elif self._last_words is not None:
            self.reply(*self._last_words)

    def reply_page(self, body: bytes, headers: bytes) -> None:
        """Send a page; `headers` name its type, how long it keeps and its policy."""
        self.reply(200, body, headers, content_type=b"", policy=b"")

    async def reply_file(self, status: int, path: Path, *, offset: int, count: int, headers: bytes) -> None:
        """Send a part of a file as the reply of the request at work, no faster than the client takes it.

        A file that ends too soon ends the connection: the client sees that the reply is not whole.
        """
        request, transport = self._busy, self._transport
        if transport is None or request is None:
            return
        keep_alive = request.keep_alive
        close = b"" if keep_alive else b"connection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % count
        self._write(b"".join((_STATUS_LINES[status], self._always, headers, close, length)))
        if request.method != "HEAD":
            # A file that was there a moment ago: what was promised does not come, and the connection ends.
            with suppress(OSError):
                count -= await self._pour(transport, path, offset=offset, count=count)
            keep_alive = keep_alive and count == 0
        self._busy = None
        self._count(request, status)
        self._go_on(transport, keep_alive=keep_alive and self._transport is not None)

    async def _pour(self, transport: asyncio.Transport, path: Path, *, offset: int, count: int) -> int:
        """Write a part of a file; return how many bytes were written."""
        written = 0
        with open(path, "rb") as file:
            file.seek(offset)
            while written < count and self._transport is not None:
                piece = file.read(min(_PIECE_BYTES, count - written))
                if not piece:
                    break
                transport.write(piece)
                written += len(piece)
                stalled = self._loop.time()
                while transport.get_write_buffer_size() > _PIECE_BYTES and self._transport is not None:
                    await asyncio.sleep(_POUR_SECONDS)
                    if self._loop.time() - stalled > _IDLE_SECONDS:
                        return written
        return written

    def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)

    def _refuse(self, status: int, why: str) -> None:
        """Read nothing any more; answer what came whole before, then this, and hang up."""
        if self._broken:
            return
        self._broken = True
        self._last_words = status, _error(why)
        if self._busy is None and not self._waiting and not self._is_behind:
            self.reply(*self._last_words)

    def hand_over(self) -> asyncio.Transport | None:
        """Give the transport away after an upgrade; this object is done with."""
        transport, self._transport = self._transport, None
        self._leave()
        return transport

    def close(self) -> None:
        if self._transport:
            self._transport.close()

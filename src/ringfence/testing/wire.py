"""Requests byte by byte over one connection that stays open: for tests that send what no client library would."""

import http.client
import io
import socket
import time
from types import TracebackType
from typing import Any, Self

from ringfence.exchange.users.keys import KeyRecord
from ringfence.testing.client import Answer, sign

Headers = list[tuple[str, str]]
_SECONDS = 20.0


class Wire:
    """One connection to a gateway, made again when the gateway has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, raw: bytes) -> Answer:
        """Send one request, return its answer. Raises OSError or http.client.HTTPException."""
        try:
            return self._ask(raw)
        except (OSError, http.client.HTTPException):
            # The gateway may have closed the connection after the last answer: nothing was read of this one.
            self.close()
            return self._ask(raw)

    def _ask(self, raw: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(raw)
        response = http.client.HTTPResponse(self._socket, method=raw.split(b" ", 1)[0].decode("latin-1"))
        response.begin()
        answer = Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        if response.will_close:
            self.close()
        return answer

    def everything(
        self, raw: bytes, *, first_seconds: float = 10.0, quiet_seconds: float = 0.3
    ) -> list[Answer]:
        """Send bytes on a connection of their own; return every answer until it is closed, or quiet for so long.

        The first one may take `first_seconds`: a busy machine is no silence.
        """
        heard = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=first_seconds) as connection:
            try:
                connection.sendall(raw)
                while piece := connection.recv(1 << 16):
                    heard += piece
                    connection.settimeout(quiet_seconds)
            except OSError:
                pass  # quiet, or reset by a gateway that has hung up on us
        return answers_in(heard)


def answers_in(heard: bytes) -> list[Answer]:
    """Return the answers of a stream. Raises http.client.HTTPException if it is no HTTP."""
    found = []
    stream = io.BytesIO(heard)
    while stream.tell() < len(heard):
        response = http.client.HTTPResponse(_Heard(stream))  # type: ignore[arg-type]
        response.begin()
        found.append(
            Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        )
    return found


class _Heard:
    """What http.client wants of a socket: a file of what was heard, which it may not close."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> io.BufferedIOBase:
        return _Unclosed(self._stream)


class _Unclosed(io.BufferedIOBase):
    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._stream.read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._stream.readline(size)

    def readinto(self, buffer: Any, /) -> int:
        return self._stream.readinto(buffer)


def written(method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire; its length is written unless `headers` say something of it."""
    named = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1", *([] if "host" in named else ["host: 127.0.0.1"])]
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not named & {"content-length", "transfer-encoding"}:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def signature_headers(
    key: KeyRecord, method: str, target: str, body: bytes = b"", *, expires: int | str | None = None
) -> Headers:
    """Return the three headers that sign a request, good for half a minute if nothing else is said."""
    until = int(time.time()) + 30 if expires is None else expires
    signature = sign(key.secret, method, target, until, body)
    return [("api-key", key.id), ("api-expires", str(until)), ("api-signature", signature)]

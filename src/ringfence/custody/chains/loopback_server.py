"""A development chain's calls over HTTP on the loopback interface: one at a time, connections may be many.

`LoopbackServer` is the same for every chain; who may call, and what a request is answered with, differs. `called` is
JSON-RPC for the chains that are Python and answer it themselves.
"""

import hmac
import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
BAD_JSON, BAD_REQUEST = -32700, -32600
"""JSON-RPC's numbers for what is no call at all."""
_IDLE_S = 300.0


class Answer(NamedTuple):
    """What a request is answered with."""

    status: int
    content: bytes
    is_last: bool = False
    """The connection is closed after it."""


class LoopbackServer(ThreadingHTTPServer, ABC):
    """Answers one request at a time. One that raises has broken the chain, and is the last."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, *, port: int, request_bytes_max: int, authorization: str = "", content_type: str = ""
    ) -> None:
        """Bind. Raises OSError.

        Requests without this `authorization`, or of another `content_type`, are refused; if empty, none is for it.
        """
        super().__init__((HOST, port), _Handler)
        self.request_bytes_max = request_bytes_max
        self.lock = threading.Lock()
        self.is_broken = False
        """An impossible state was met: nothing more is answered."""
        self._authorization, self._content_type = authorization, content_type

    @abstractmethod
    def answer(self, body: bytes) -> Answer:
        """Answer a request. The lock is held."""

    def broken(self, body: bytes) -> Answer:
        """Answer a request after the chain has broken. The lock is held."""
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"", is_last=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def refusal(self, headers: Message) -> HTTPStatus | None:
        """Return why a request is not looked at, None if it is."""
        given = headers.get("Authorization", "")
        if self._authorization and not hmac.compare_digest(given.encode(), self._authorization.encode()):
            return HTTPStatus.UNAUTHORIZED
        if self._content_type and headers.get_content_type() != self._content_type:
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        return None

    def told(self, body: bytes) -> Answer:
        with self.lock:
            if not self.is_broken:
                try:
                    return self.answer(body)
                except Exception:
                    # Half a change may have been made in memory. What is on the disk is right: start again.
                    log.critical("nothing more is answered; what was told is on the disk", exc_info=True)
                    self.break_off()
            return self.broken(body)

    def break_off(self) -> None:
        """Answer nothing more: what is not on the disk is not told."""
        self.is_broken = True
        # shutdown() waits for the loop, which may wait for whoever calls this.
        threading.Thread(target=self.shutdown, daemon=True).start()

    def close(self) -> None:
        """Stop answering. Nothing is in the middle of a call afterwards."""
        self.server_close()
        self.lock.acquire()


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    # Headers and body leave in one piece; two would wait for each other (Nagle) for 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > self.server.request_bytes_max:
            self._tell(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"", is_last=True))
            return
        body = self.rfile.read(int(size))
        refusal = self.server.refusal(self.headers)
        self._tell(self.server.told(body) if refusal is None else Answer(refusal, b""))

    def _tell(self, answer: Answer) -> None:
        if answer.is_last:
            self.close_connection = True
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Every call would be a line of log."""


class CallError(Exception):
    """A call was refused, and did nothing."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


Call = Callable[[str, list[Any]], Any]
"""Takes a method and its parameters, returns the result. Raises CallError."""


class Outcome(NamedTuple):
    """What has become of a call."""

    number: object
    """The caller's own, None if it could not be read."""
    result: Any
    error: CallError | None


def called(body: bytes, call: Call, *, parse_float: Callable[[str], Any] = float) -> Outcome:
    """Take a request apart and make the call in it."""
    number: object = None
    try:
        asked = _read(body, parse_float)
        number, method, params = asked.get("id"), asked["method"], asked.get("params", [])
        if not isinstance(method, str) or not isinstance(params, list):
            raise CallError(BAD_REQUEST, "a method and a list of parameters are wanted")
        return Outcome(number, call(method, params), None)
    except CallError as error:
        return Outcome(number, None, error)
    except (ValueError, KeyError, AttributeError):
        return Outcome(number, None, CallError(BAD_JSON, "Parse error"))


def refusing(code: int) -> Call:
    """Return what every call comes to after the chain has broken."""

    def refuse(method: str, params: list[Any]) -> Any:
        raise CallError(code, "the node is broken, see its log")

    return refuse


def _read(body: bytes, parse_float: Callable[[str], Any]) -> Any:
    """Raises ValueError."""
    try:
        return json.loads(body, parse_float=parse_float)
    except RecursionError as error:
        raise ValueError("brackets in thousands") from error

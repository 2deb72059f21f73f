"""The node's calls over HTTP on the loopback interface, with a cookie: the way Bitcoin Core serves them."""

import base64
import hmac
import json
import logging
import os
import secrets
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from ringfence.custody.chains.bitcoin.regtest.node import MISC, CallError, Node

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
COOKIE = ".cookie"
"""The file of the name and the password, as Core calls it."""
REQUEST_BYTES_MAX = 16 << 20
_IDLE_S = 300.0
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class NodeServer(ThreadingHTTPServer):
    """Answers one call at a time; connections may be many."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, node: Node, directory: Path, *, port: int) -> None:
        """Bind, then write the cookie: who can read it can call. Raises OSError."""
        super().__init__((HOST, port), _Handler)
        self.node = node
        self.lock = threading.Lock()
        self.is_broken = False
        """An impossible state was met: nothing more is answered."""
        secret = f"__cookie__:{secrets.token_hex(32)}"
        self.authorization = "Basic " + base64.b64encode(secret.encode()).decode()
        self._cookie = directory / COOKIE
        aside = directory / f"{COOKIE}.new"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(secret)
        aside.replace(self._cookie)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        """Stop answering and take the cookie back. Nothing is in the middle of a call afterwards."""
        self.shutdown()
        self.server_close()
        self._cookie.unlink(missing_ok=True)
        self.lock.acquire()


class _Handler(BaseHTTPRequestHandler):
    server: NodeServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    # Headers and body leave in one piece; two would wait for each other (Nagle) for 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > REQUEST_BYTES_MAX:
            self.close_connection = True
            self._answer(413, b"")
            return
        body = self.rfile.read(int(size))
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), self.server.authorization.encode()):
            self._answer(401, b"")
            return
        status, told = self._called(body)
        self._answer(status, _ENCODER.encode(told))

    def _called(self, body: bytes) -> tuple[int, dict[str, Any]]:
        number: object = None
        try:
            asked = json.loads(body, parse_float=Decimal)
            number, method, params = asked.get("id"), asked["method"], asked.get("params", [])
            if not isinstance(method, str) or not isinstance(params, list):
                raise CallError(-32600, "a method and a list of parameters are wanted")
            with self.server.lock:
                if self.server.is_broken:
                    raise CallError(MISC, "the node is broken, see its log")
                return 200, {"result": self.server.node.call(method, params), "error": None, "id": number}
        except CallError as error:
            return 500, _error(number, error.code, error.message)
        except (ValueError, KeyError, AttributeError):
            return 500, _error(number, -32700, "Parse error")
        except Exception:
            # Half a change may have been made in memory. What is on the disk is right: start again.
            log.critical("an impossible state; nothing more is answered", exc_info=True)
            self.server.is_broken = True
            threading.Thread(target=self.server.shutdown).start()
            return 500, _error(number, MISC, "the node is broken, see its log")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Every call would be a line of log."""


def _error(number: object, code: int, message: str) -> dict[str, Any]:
    return {"result": None, "error": {"code": code, "message": message}, "id": number}

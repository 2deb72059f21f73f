"""The development chain as a process: a Solana chain of one's own that answers a node's calls on the loopback."""

import argparse
import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ringfence.custody.chains.bitcoin.regtest.journal import JournalDamagedError
from ringfence.custody.chains.solana.devnet import CallError, Devnet

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORT = 8899
"""A real node's own."""
EXIT_REFUSED, EXIT_ADDRESS, EXIT_BUG, EXIT_LOCKED = 65, 69, 70, 75
REQUEST_BYTES_MAX = 1 << 20
_IDLE_S = 300.0
_BAD_REQUEST, _BAD_JSON, _BROKEN = -32600, -32700, -32603


class SolanaServer(ThreadingHTTPServer):
    """Answers one call at a time; connections may be many."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, devnet: Devnet, *, port: int) -> None:
        """Bind. Raises OSError."""
        super().__init__((HOST, port), _Handler)
        self.devnet = devnet
        self.lock = threading.Lock()
        self.is_broken = False
        """An impossible state was met: nothing more is answered."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        """Stop answering. Nothing is in the middle of a call afterwards."""
        self.server_close()
        self.lock.acquire()


class _Handler(BaseHTTPRequestHandler):
    server: SolanaServer
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
        # A page in a browser may send other kinds to the loopback without asking; this one it may not.
        if self.headers.get_content_type() != "application/json":
            self._answer(415, b"")
            return
        self._answer(200, json.dumps(self._called(body)).encode())

    def _called(self, body: bytes) -> dict[str, Any]:
        number: object = None
        try:
            asked = json.loads(body)
            number, method, params = asked.get("id"), asked["method"], asked.get("params", [])
            if not isinstance(method, str) or not isinstance(params, list):
                raise CallError(_BAD_REQUEST, "a method and a list of parameters are wanted")
            with self.server.lock:
                if self.server.is_broken:
                    raise CallError(_BROKEN, "the node is broken, see its log")
                return {"jsonrpc": "2.0", "result": self.server.devnet.call(method, params), "id": number}
        except CallError as error:
            return _error(number, error.code, error.message, error.data)
        except (ValueError, KeyError, AttributeError):
            return _error(number, _BAD_JSON, "Parse error")
        except Exception:
            # Half a change may have been made in memory. What is on the disk is right: start again.
            log.critical("an impossible state; nothing more is answered", exc_info=True)
            self.server.is_broken = True
            threading.Thread(target=self.server.shutdown).start()
            return _error(number, _BROKEN, "the node is broken, see its log")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Every call would be a line of log."""


def _error(number: object, code: int, message: str, data: object = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "error": error, "id": number}


def serve(directory: Path, port: int) -> int:
    """Serve a chain until SIGTERM; return the exit status."""
    began = time.monotonic()
    try:
        devnet = Devnet(directory)
    except JournalDamagedError as error:
        log.critical("%s", error)
        return EXIT_REFUSED
    try:
        server = SolanaServer(devnet, port=port)
    except OSError as error:
        log.critical("%s:%d cannot be had: %s", HOST, port, error)
        devnet.close()
        return EXIT_ADDRESS
    for name in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts, so another thread asks for it.
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    chain = devnet.chain
    log.info(
        "development chain, worth nothing: slot %d, %d wait, ready in %.2f s on %s:%d",
        chain.newest.slot, len(chain.waiting), time.monotonic() - began, HOST, server.port,
    )  # fmt: skip
    server.serve_forever(poll_interval=0.05)
    server.close()
    if server.is_broken:
        return EXIT_BUG
    devnet.close()
    log.info("stopped at slot %d", chain.newest.slot)
    return 0


def lock(directory: Path) -> int:
    """Return the lock on a directory. Raises BlockingIOError if another node has it."""
    descriptor = os.open(directory / "solana.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-solana", description="a Solana chain of one's own")
    parser.add_argument("directory", type=Path, help="the venue's; the chain is in its folder `solana`")
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s solana %(levelname)s %(message)s")
    directory: Path = given.directory.absolute() / "solana"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        held = lock(directory)
    except BlockingIOError:
        log.critical("%s is in use by another node; nothing was started", directory)
        sys.exit(EXIT_LOCKED)
    try:
        sys.exit(serve(directory, given.port))
    finally:
        os.close(held)


if __name__ == "__main__":
    main()

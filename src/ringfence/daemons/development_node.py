"""What the processes of the development chains have in common: a folder, its lock, a port, and how they end.

Exit statuses: 65 what is in the folder is damaged, 66 a program is missing, 69 the port cannot be had, 70 an
impossible state was met, 75 another node has the folder.
"""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, Protocol

from ringfence.custody.chains.loopback_server import HOST, LoopbackServer
from ringfence.monitoring.logs import set_up_logs

log = logging.getLogger(__name__)

EXIT_REFUSED, EXIT_MISSING, EXIT_ADDRESS, EXIT_BUG, EXIT_LOCKED = 65, 66, 69, 70, 75


class DevelopmentNode(Protocol):
    """A chain that is open, and worth nothing."""

    def state(self) -> str:
        """Return in words for the log what it is and has."""
        ...

    def server(self, *, port: int) -> LoopbackServer:
        """Return what answers its calls, once it is let. Raises OSError."""
        ...

    def close(self) -> str:
        """Close the chain; return in words for the log where it stopped."""
        ...


Begin = Callable[[Path], DevelopmentNode]
"""Opens the chain of a folder, or founds it."""


def run(
    begin: Begin, *, name: str, description: str, port: int, exits: Mapping[type[Exception], int]
) -> NoReturn:
    """Be the process of a chain until SIGTERM.

    name: also of the folder, inside the venue's. exits: what `begin` may raise, and how the process ends then.
    """
    parser = argparse.ArgumentParser(prog=f"ringfence-{name}", description=description)
    parser.add_argument("directory", type=Path, help=f"the venue's; the chain is in its folder `{name}`")
    parser.add_argument("--port", type=int, default=port)
    given = parser.parse_args()
    set_up_logs(name)
    directory: Path = given.directory.absolute() / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        held = _lock(directory / f"{name}.lock")
    except BlockingIOError:
        log.critical("%s is in use by another node; nothing was started", directory)
        sys.exit(EXIT_LOCKED)
    try:
        sys.exit(_serve(begin, directory, given.port, exits))
    finally:
        os.close(held)


def _serve(begin: Begin, directory: Path, port: int, exits: Mapping[type[Exception], int]) -> int:
    """Serve a chain until SIGTERM; return the exit status."""
    began = time.monotonic()
    try:
        node = begin(directory)
    except tuple(exits) as error:
        log.critical("%s", error)
        return next(status for kind, status in exits.items() if isinstance(error, kind))
    state = node.state()
    try:
        server = node.server(port=port)
    except OSError as error:
        log.critical("%s:%d cannot be had: %s", HOST, port, error)
        node.close()
        return EXIT_ADDRESS
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts, so another thread asks for it.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info(
        "worth nothing: %s, ready in %.2f s on %s:%d", state, time.monotonic() - began, HOST, server.port
    )
    server.serve_forever(poll_interval=0.05)
    server.close()
    if server.is_broken:
        return EXIT_BUG
    log.info("%s", node.close())
    return 0


def _lock(path: Path) -> int:
    """Return the lock on a folder. Raises BlockingIOError if another node has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor

"""The embedded Bitcoin node as a process: a regtest chain that answers Bitcoin Core's calls on the loopback."""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from ringfence.custody.chains.bitcoin.kernel import KernelError
from ringfence.custody.chains.bitcoin.regtest.journal import JournalDamagedError
from ringfence.custody.chains.bitcoin.regtest.node import Node
from ringfence.custody.chains.bitcoin.regtest.server import HOST, NodeServer

log = logging.getLogger(__name__)

PORT = 18443
"""Core's own for regtest."""
EXIT_REFUSED, EXIT_ADDRESS, EXIT_BUG, EXIT_LOCKED = 65, 69, 70, 75


def serve(directory: Path, port: int) -> int:
    """Serve a chain until SIGTERM; return the exit status."""
    began = time.monotonic()
    try:
        node = Node(directory)
    except (KernelError, JournalDamagedError) as error:
        log.critical("%s", error)
        return EXIT_REFUSED
    try:
        server = NodeServer(node, directory, port=port)
    except OSError as error:
        log.critical("%s:%d cannot be had: %s", HOST, port, error)
        node.close()
        return EXIT_ADDRESS
    for name in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts, so another thread asks for it.
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info(
        "regtest, worth nothing: height %d, %d wait, %d blocks fed again, ready in %.2f s on %s:%d",
        node.chain.height, len(node.mempool.entries), node.chain.fed_again, time.monotonic() - began, HOST,
        server.port,
    )  # fmt: skip
    server.serve_forever(poll_interval=0.05)
    server.close()
    if server.is_broken:
        return EXIT_BUG
    node.close()
    log.info("stopped at height %d", node.chain.height)
    return 0


def lock(directory: Path) -> int:
    """Return the lock on a directory. Raises BlockingIOError if another node has it."""
    descriptor = os.open(directory / "bitcoin.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-bitcoin", description="a regtest chain of one's own")
    parser.add_argument("directory", type=Path, help="the venue's; the chain is in its folder `bitcoin`")
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s bitcoin %(levelname)s %(message)s")
    directory: Path = given.directory.absolute() / "bitcoin"
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

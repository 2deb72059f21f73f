"""The development Ethereum chain as a process: anvil behind a front that keeps what it has told."""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from ringfence.custody.chains.ethereum.devnet import (
    CHAIN_ID,
    HOST,
    AnvilGoneError,
    AnvilMissingError,
    AnvilRefusedError,
    Devnet,
    DevnetServer,
    StateDamagedError,
)

log = logging.getLogger(__name__)

PORT = 8545
"""The one that Ethereum's nodes have."""
EXIT_REFUSED, EXIT_NO_ANVIL, EXIT_ADDRESS, EXIT_BUG, EXIT_LOCKED = 65, 66, 69, 70, 75


def serve(directory: Path, port: int) -> int:
    """Serve a chain until SIGTERM; return the exit status."""
    began = time.monotonic()
    try:
        devnet = Devnet(directory)
    except StateDamagedError as error:
        log.critical("%s", error)
        return EXIT_REFUSED
    except AnvilMissingError as error:
        log.critical("%s", error)
        return EXIT_NO_ANVIL
    except (AnvilGoneError, AnvilRefusedError) as error:
        log.critical("%s", error)
        return EXIT_BUG
    height = devnet.height()
    try:
        server = DevnetServer(devnet, port=port)
    except OSError as error:
        log.critical("%s:%d cannot be had: %s", HOST, port, error)
        devnet.close()
        return EXIT_ADDRESS
    for name in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts, so another thread asks for it.
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info(
        "chain %d, worth nothing: height %d, ready in %.2f s on %s:%d",
        CHAIN_ID, height, time.monotonic() - began, HOST, server.port,
    )  # fmt: skip
    server.serve_forever(poll_interval=0.05)
    server.close()
    if server.is_broken:
        return EXIT_BUG
    log.info("stopped")
    return 0


def lock(directory: Path) -> int:
    """Return the lock on a directory. Raises BlockingIOError if another chain has it."""
    descriptor = os.open(directory / "ethereum.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-ethereum", description="an Ethereum chain of one's own")
    parser.add_argument("directory", type=Path, help="the venue's; the chain is in its folder `ethereum`")
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s ethereum %(levelname)s %(message)s")
    directory: Path = given.directory.absolute() / "ethereum"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        held = lock(directory)
    except BlockingIOError:
        log.critical("%s is in use by another chain; nothing was started", directory)
        sys.exit(EXIT_LOCKED)
    try:
        sys.exit(serve(directory, given.port))
    finally:
        os.close(held)


if __name__ == "__main__":
    main()

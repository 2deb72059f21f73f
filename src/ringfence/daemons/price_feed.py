"""The price feed: simulated mark prices, once a second, until real index prices take their place.

    python -m ringfence.daemons.price_feed DIRECTORY [--seed N]

Reads `founded.json` for the contracts. Spot pairs have no mark. Exit status: 0 asked to stop, 66 the
venue is not founded.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

import numpy as np
import uvloop

from ringfence.daemons.simulated_prices import SEED, mark_subticks
from ringfence.daemons.venue import Venue, read_venue
from ringfence.exchange.feed import CoreClient
from ringfence.messages.batch import Records
from ringfence.messages.commands import Command
from ringfence.messages.records import COMMAND

log = logging.getLogger("ringfence.price_feed")

EXIT_INPUT = 66
_SECONDS = 1.0
_RETRY_SECONDS = 0.2


def marks(venue: Venue, *, seed: int, at_ns: int) -> Records:
    """Return one MARK command for each contract."""
    contracts = [instrument for instrument in venue.instruments if instrument.is_contract]
    rows = np.zeros(len(contracts), COMMAND)
    rows["kind"] = Command.MARK
    rows["symbol"] = [contract.number for contract in contracts]
    rows["qty"] = [mark_subticks(contract, seed=seed, at_ns=at_ns) for contract in contracts]
    return rows


async def serve(directory: Path, venue: Venue, seed: int) -> None:
    """Send marks while there is a core; wait for it while there is none."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    core = CoreClient(directory / "core.sock", lambda next_sequence: None)
    was_connected = False
    while not stop.is_set():
        seconds = _SECONDS - time.time() % _SECONDS
        if not core.is_connected:
            try:
                await core.connect()
            except OSError as error:
                if was_connected:
                    log.warning("waiting for the exchange core: %s", error)
                was_connected = False
                seconds = _RETRY_SECONDS
            else:
                was_connected = True
                log.info("sending SIMULATED mark prices, seed %d", seed)
        if core.is_connected:
            core.submit(marks(venue, seed=seed, at_ns=time.time_ns()).tobytes())
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            continue
    core.close()
    log.info("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-price-feed", description="simulated mark prices")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s price-feed %(levelname)s %(message)s")
    try:
        venue = read_venue(given.directory)
        if venue is None:
            raise ValueError("the venue is not founded yet: `ringfence up` does that")
    except ValueError as error:
        log.critical("%s; nothing was started", error)
        sys.exit(EXIT_INPUT)
    uvloop.run(serve(given.directory, venue, given.seed))


if __name__ == "__main__":
    main()

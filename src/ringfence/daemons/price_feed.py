"""The price feed: index prices, once a second, with what every constituent said.

    python -m ringfence.daemons.price_feed DIRECTORY [--seed N]

Reads `founded.json` for the indices and `indices.toml` for where their prices come from. What the last
half hour was, it reads from the feed: who was dropped stays dropped when the price feed is started again.
Exit status: 0 asked to stop, 66 the venue is not founded or `indices.toml` is no good.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from ringfence.daemons.venue import Venue, read_venue
from ringfence.exchange.feed import CoreClient, FeedReader
from ringfence.exchange.index_prices import (
    Configuration,
    Publication,
    Source,
    averages_of,
    indices_of,
    read_configuration,
    source_of,
)
from ringfence.monitoring import Page, serving, set_up_logs
from ringfence.units.time import NS_PER_MINUTE, iso

log = logging.getLogger("ringfence.price_feed")

EXIT_INPUT = 66
_SECONDS = 1.0
_RETRY_SECONDS = 0.2
_RECALL_SEQUENCES = 500_000
"""How far back the feed is read at the start: half an hour of a busy exchange, in about a second."""
_RECALL_NS = 31 * NS_PER_MINUTE


def publication_of(venue: Venue, configuration: Configuration, directory: Path) -> tuple[Publication, Source]:
    """Return what publishes a venue's indices. Raises ValueError, OSError."""
    listed = [instrument for instrument in venue.instruments if instrument.is_index]
    averages = averages_of(listed)
    averaged = {of.symbol for of in averages.values()}
    indices = indices_of(configuration, [of for of in listed if of.symbol not in averaged])
    source = source_of(configuration, indices, directory, now_ns=time.time_ns())
    return Publication(indices, averages), source


def look_back(directory: Path, publication: Publication, *, below: int, since_ns: int) -> None:
    """Read what the feed holds of the indices since an instant."""
    reader = FeedReader(directory / "feed", next_sequence=max(0, below - _RECALL_SEQUENCES))
    try:
        while reader.next_sequence < below and (batch := reader.read()) is not None:
            if batch.timestamp_ns >= since_ns:
                publication.recall(batch)
    finally:
        reader.close()


class PriceFeed:
    """Sends prices while there is a core; waits for it while there is none."""

    def __init__(self, directory: Path, publication: Publication, source: Source) -> None:
        self._directory, self._publication, self._source = directory, publication, source
        self._core = CoreClient(directory / "core.sock", self._heard)
        self._next_sequence = 0
        self._has_looked_back = False
        self._was_connected = False

    @property
    def is_connected(self) -> bool:
        return self._core.is_connected

    def _heard(self, next_sequence: int) -> None:
        self._next_sequence = next_sequence

    async def run(self, stop: asyncio.Event) -> None:
        listening = asyncio.create_task(self._source.run())
        stopping = asyncio.create_task(stop.wait())
        while not stopping.done():
            seconds = _SECONDS - time.time() % _SECONDS
            if not self._core.is_connected and not await self._connect():
                seconds = _RETRY_SECONDS
            if self._core.is_connected:
                self._send(time.time_ns())
            await asyncio.wait((stopping, listening), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                break
        stopping.cancel()
        self._core.close()
        if listening.done():
            listening.result()  # a source never ends by itself: this raises what it died of
        listening.cancel()

    async def _connect(self) -> bool:
        try:
            await self._core.connect()
        except OSError as error:
            if self._was_connected:
                log.warning("waiting for the exchange core: %s", error)
            self._was_connected = False
            return False
        self._was_connected = True
        log.info("connected to the core")
        if not self._has_looked_back:
            self._has_looked_back = True
            since_ns = time.time_ns() - _RECALL_NS
            look_back(self._directory, self._publication, below=self._next_sequence, since_ns=since_ns)
            log.info("read the feed since %s up to sequence %d", iso(since_ns), self._next_sequence)
        return True

    def _send(self, now_ns: int) -> None:
        commands = self._publication.commands(self._source, now_ns=now_ns)
        if len(commands):
            self._core.submit(commands.tobytes())


async def serve(directory: Path, publication: Publication, source: Source) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    feed = PriceFeed(directory, publication, source)
    async with serving(
        directory, Page("price-feed", trouble=lambda: "" if feed.is_connected else "the core is away")
    ):
        await feed.run(stop)
    log.info("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-price-feed", description="index prices")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, help="of simulated prices, instead of the one in indices.toml")
    given = parser.parse_args()
    set_up_logs("price-feed")
    try:
        venue = read_venue(given.directory)
        if venue is None:
            raise ValueError("the venue is not founded yet: `ringfence up` does that")
        configuration = read_configuration(given.directory)
        if given.seed is not None:
            configuration = msgspec.structs.replace(configuration, seed=given.seed)
        publication, source = publication_of(venue, configuration, given.directory)
    except (ValueError, OSError) as error:
        log.critical("%s; nothing was started", error)
        sys.exit(EXIT_INPUT)
    if configuration.is_simulated:
        log.info("SIMULATED prices of venues that do not exist, seed %d", configuration.seed)
    else:
        log.info("prices from: %s", configuration.source)
    uvloop.run(serve(given.directory, publication, source))


if __name__ == "__main__":
    main()

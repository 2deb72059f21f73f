"""The bots: one process, one connection each, reconnecting whenever the gateway is back.

    python -m ringfence.daemons.bots DIRECTORY [--url ws://127.0.0.1:8040/realtime] [--seed N]

Reads their keys from `keys.json` or the database. Exit status: 0 asked to stop, 66 they have no keys.
"""

import argparse
import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

import uvloop
from picows import WSError

from ringfence.daemons.bots.connection import connect
from ringfence.daemons.bots.maker import Maker
from ringfence.daemons.bots.taker import Taker
from ringfence.daemons.venue import BOTS
from ringfence.exchange.users.keys import KeyRecord, keys_of
from ringfence.monitoring import Page, serving, set_up_logs

log = logging.getLogger("ringfence.bots")

EXIT_INPUT = 66
_RETRY_SECONDS, _RETRY_SECONDS_MAX = 0.2, 10.0
_WORKED_SECONDS = 10.0


async def keep_running(url: str, key: KeyRecord, bot: Maker | Taker, stop: asyncio.Event) -> None:
    """Connect, run, and connect again when the connection is lost."""
    pause = _RETRY_SECONDS
    while not stop.is_set():
        began = time.monotonic()
        try:
            connection = await connect(url, key_id=key.id, secret=key.secret, on_rows=bot.take)
            log.info("%s connected", key.name)
            await bot.run(connection, stop)
            connection.close()
        except (OSError, WSError, TimeoutError) as error:
            log.info("%s waits for the gateway: %s", key.name, error)
        if time.monotonic() - began > _WORKED_SECONDS:
            pause = _RETRY_SECONDS
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pause = min(2 * pause, _RETRY_SECONDS_MAX)


async def serve(directory: Path, url: str, keys: dict[str, KeyRecord], seed: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    maker, taker = BOTS
    async with serving(directory, Page("bots")), asyncio.TaskGroup() as group:
        group.create_task(keep_running(url, keys[maker], Maker(), stop))
        group.create_task(keep_running(url, keys[taker], Taker(seed), stop))
    log.info("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-bots", description="market makers and takers")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--url", default="ws://127.0.0.1:8040/realtime")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    set_up_logs("bots")
    try:
        keys = {record.name: record for record in keys_of(given.directory).read()}
        if not set(BOTS) <= set(keys):
            raise ValueError("there are no keys for the bots: `ringfence up` makes them")
    except (OSError, ValueError) as error:
        log.critical("%s; nothing was started", error)
        sys.exit(EXIT_INPUT)
    uvloop.run(serve(given.directory, given.url, keys, given.seed))


if __name__ == "__main__":
    main()

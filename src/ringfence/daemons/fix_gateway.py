"""The FIX gateway: one process that serves order entry and drop copies in FIX 4.4.

    python -m ringfence.daemons.fix_gateway DIRECTORY [--config FILE] [--host H] [--port P] [--core-directory D]

Reads `fix.json` in the directory unless told otherwise. Exit status: 0 asked to stop, 66 a file that it
needs is no good, 69 the port is taken, 74 a session could not be noted: the next start folds it again.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop

from ringfence.daemons.broken_logs import EXIT_AWAY
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.gateway import EXIT_INPUT, EXIT_UNAVAILABLE, chosen_by, options_of, read_as
from ringfence.exchange.fix import Config, FixServer
from ringfence.exchange.fix.store import StoreError
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.logs import set_up_logs
from ringfence.monitoring.samples import sample

log = logging.getLogger("ringfence.fix")

EXIT_BROKEN = 74


def read_config(path: Path) -> Config:
    """Return the configuration, the defaults if there is no file. Raises ValueError."""
    return read_as(path, Config, "configuration of the FIX gateway")


async def serve(directory: Path, config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    try:
        server = FixServer(directory, config)
    except (ValueError, StoreError) as error:
        log.critical("%s; nothing was started", error)
        return EXIT_INPUT
    except OSError as error:
        log.critical("a file cannot be read: %s; nothing was started", error)
        return EXIT_AWAY
    server.house.on_broken = stop.set
    starting = loop.create_task(server.start())
    stopping = loop.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if server.house.is_broken:
        return _say_broken()
    if not starting.done():
        starting.cancel()
        return 0
    try:
        starting.result()
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s; nothing was started", config.host, config.port, error)
        return EXIT_UNAVAILABLE
    gc.collect()
    gc.freeze()
    log.info("listening for FIX 4.4 on %s:%d", config.host, server.port)
    async with serving(directory, Page("fix-gateway", lambda: _measure(server))):
        await stopping
    await server.stop()
    if server.house.is_broken:
        return _say_broken()
    log.info("stopped")
    return 0


def _say_broken() -> int:
    log.critical(
        "what a session was to be told could not be noted, is the disk full? Nothing more was said; start it again"
    )
    return EXIT_BROKEN


def _measure(server: FixServer) -> Iterator[Sample]:
    desk = server.house.desk
    yield sample(metrics.ROUND_TRIP, server.house.figures.round_trip)
    yield sample(metrics.PENDING, desk.pending)
    yield sample(metrics.CONNECTIONS, len(server.connections), "fix")
    yield sample(metrics.CORE_CONNECTED, int(desk.is_connected))
    yield sample(metrics.SEQUENCE, desk.views.next_sequence)


def main() -> None:
    options = options_of("ringfence-fix", "FIX 4.4 gateway")
    forbid_core_dumps()
    set_up_logs("fix-gateway")
    try:
        config = read_config(options.config or options.directory / "fix.json")
    except ValueError as error:
        log.critical("%s; nothing was started", error)
        sys.exit(EXIT_INPUT)
    sys.exit(uvloop.run(serve(options.directory, chosen_by(options, config))))


if __name__ == "__main__":
    main()

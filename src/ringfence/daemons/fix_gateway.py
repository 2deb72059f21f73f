"""The FIX gateway: one process that serves order entry and drop copies in FIX 4.4.

    python -m ringfence.daemons.fix_gateway DIRECTORY [--host H] [--port P] [--core-directory D]

Goes by `ringfence.toml` in the directory. Exit status: 0 asked to stop, 66 a file that it needs is no good, 69 the port
is taken, 74 a session could not be noted: the next start folds it again, 78 `ringfence.toml` is no good, not in force,
or says that there is no FIX gateway.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop

from ringfence.configuration import (
    EXIT_CONFIG,
    NAME,
    NONE,
    Configuration,
    Settings,
    SettingsError,
    check_in_force,
)
from ringfence.daemons.broken_logs import EXIT_AWAY
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.gateway import (
    EXIT_INPUT,
    EXIT_UNAVAILABLE,
    chosen_by,
    end_of,
    options_of,
    read_or_exit,
)
from ringfence.exchange.fix import Config, FixServer
from ringfence.exchange.fix.store import StoreError
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.logs import set_up_logs
from ringfence.monitoring.samples import sample

log = logging.getLogger("ringfence.fix")

EXIT_BROKEN = 74


def config_of(settings: Settings) -> Config:
    """Return what the FIX gateway takes from the settings."""
    said = settings.fix
    return Config(
        host=said.host, port=said.port, certificate=None if said.certificate == NONE else said.certificate,
        private_key=None if said.private_key == NONE else said.private_key, sync=said.sync,
        connections_max=said.connections_max, sessions_per_account=said.sessions_per_account,
        messages_per_second=said.messages_per_second, pending_max=settings.gateway.pending_max, limits=settings.limits,
    )  # fmt: skip


async def serve(directory: Path, config: Config, written: Configuration) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    try:
        server = FixServer(
            directory, config, check=lambda in_force: check_in_force(written, in_force=in_force)
        )
    except (ValueError, StoreError) as error:
        log.critical("%s; nothing was started", error)
        return EXIT_INPUT
    except OSError as error:
        log.critical("a file cannot be read: %s; nothing was started", error)
        return EXIT_AWAY
    server.house.on_broken = server.house.desk.on_unknown_rules = stop.set
    starting = loop.create_task(server.start())
    stopping = loop.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if server.house.is_broken:
        return _say_broken()
    if not starting.done():
        starting.cancel()
        return end_of(server.house.desk)
    try:
        starting.result()
    except SettingsError as error:
        log.critical("%s; nothing was started", error)
        return EXIT_CONFIG
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
    return end_of(server.house.desk)


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
    options = options_of("ringfence-fix", "FIX 4.4 gateway").parse_args()
    forbid_core_dumps()
    set_up_logs("fix-gateway")
    written = read_or_exit(options.directory)
    config = chosen_by(options, config_of(written.settings))
    if not config.port:
        log.critical(
            "fix.port is 0 in %s, and no --port is given: there is no FIX gateway; nothing was started", NAME
        )
        sys.exit(EXIT_CONFIG)
    sys.exit(uvloop.run(serve(options.directory, config, written)))


if __name__ == "__main__":
    main()

"""The gateway: one process that serves REST and WebSocket on one port.

    python -m ringfence.daemons.gateway DIRECTORY [--host H] [--port P] [--core-directory D] [--history-url URL]

Goes by `ringfence.toml` in the directory; the command line says which of several gateways it is. Exit status: 0 asked
to stop, 66 a file that it needs is no good, 69 the port is taken, 72 what follows is under rules that this build does
not know, 78 `ringfence.toml` is no good or not in force.
"""

import argparse
import asyncio
import gc
import logging
import resource
import signal
import sys
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from ringfence.configuration import (
    ANY,
    EXIT_CONFIG,
    Configuration,
    Settings,
    SettingsError,
    check_in_force,
    read_configuration,
)
from ringfence.daemons.broken_logs import EXIT_AWAY
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.measures.gateway import serving_gateway
from ringfence.exchange.gateway.desk import Desk
from ringfence.exchange.gateway.gateway import Config, Gateway
from ringfence.messages.rules import EXIT_RULES
from ringfence.monitoring.logs import set_up_logs
from ringfence.monitoring.traces import Traces, log_context, traces_of

log = logging.getLogger("ringfence.gateway")

EXIT_INPUT, EXIT_UNAVAILABLE = 66, 69
_GC_ALLOCATIONS = 50_000
Chosen = TypeVar("Chosen", bound=msgspec.Struct)
_OTHER_FILES = 200


def config_of(settings: Settings) -> Config:
    """Return what a gateway takes from the settings."""
    said = settings.gateway
    return Config(
        host=said.host, port=said.port, public_host=None if said.public_host == ANY else said.public_host,
        public_scheme=said.public_scheme, origins=said.origins, pending_max=said.pending_max,
        flush_milliseconds=said.flush_milliseconds, limits=settings.limits,
    )  # fmt: skip


def read_or_exit(directory: Path) -> Configuration:
    """Return an exchange's configuration; says what is wrong with it and ends the process."""
    try:
        return read_configuration(directory)
    except SettingsError as error:
        log.critical("%s; nothing was started", error)
        sys.exit(EXIT_CONFIG)


def options_of(prog: str, description: str) -> argparse.ArgumentParser:
    """Return how a gateway's command line is read."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--host", help="instead of the one in ringfence.toml")
    parser.add_argument("--port", type=int, help="instead of the one in ringfence.toml")
    parser.add_argument("--core-directory", help="where the core's socket and the feed are, if elsewhere")
    return parser


def chosen_by(options: argparse.Namespace, config: Chosen) -> Chosen:
    """Return a configuration with what the command line says instead."""
    given = {
        name: value for name, value in vars(options).items() if name != "directory" and value is not None
    }
    return msgspec.structs.replace(config, **given)


def allow_files(connections: int) -> None:
    """Lift the soft limit of open files, often 1,024, to what the system allows: each connection is one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and not 0 < connections <= hard - _OTHER_FILES:
        log.warning("only %d files may be open: set limits.connections_at_once below that", hard)


async def serve(directory: Path, config: Config, written: Configuration) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    traces: Traces | None = None
    try:
        traces = traces_of("gateway")
        gateway = Gateway(
            directory,
            config,
            traces=traces,
            check=lambda in_force: check_in_force(written, in_force=in_force),
        )
    except ValueError as error:
        log.critical("%s", error)
        return EXIT_INPUT
    except OSError as error:
        log.critical("the API keys cannot be read: %s; nothing was started", error)
        return EXIT_AWAY
    gateway.desk.on_unknown_rules = stop.set
    starting = loop.create_task(gateway.start())
    stopping = loop.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        return end_of(gateway.desk)
    try:
        starting.result()
    except SettingsError as error:
        log.critical("%s; nothing was started", error)
        return EXIT_CONFIG
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s; nothing was started", config.host, config.port, error)
        return EXIT_UNAVAILABLE
    # What was loaded stays; orders come and go without cycles, so looking for cycles can be rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS, 20, 100)
    log.info("listening on http://%s:%d", config.host, gateway.port)
    async with serving_gateway(directory, gateway):
        await stopping
    await gateway.stop()
    if traces is not None:
        await loop.run_in_executor(None, traces.close)
    return end_of(gateway.desk)


def end_of(desk: Desk) -> int:
    """Say why a gateway ends that was asked to, by somebody or by its desk; return the exit status."""
    if desk.unknown_rules is not None:
        log.critical("%s", desk.unknown_rules)
        return EXIT_RULES
    log.info("stopped")
    return 0


def main() -> None:
    parser = options_of("ringfence-gateway", "REST and WebSocket gateway")
    parser.add_argument("--history-url", help="SQLAlchemy URL of the history, if it is not the directory's")
    options = parser.parse_args()
    forbid_core_dumps()
    set_up_logs("gateway", context=log_context)
    # It says two lines of every connection, written while others wait; `ringfence_gateway_connections` counts them.
    logging.getLogger("picows").setLevel(logging.WARNING)
    written = read_or_exit(options.directory)
    config = chosen_by(options, config_of(written.settings))
    allow_files(config.limits.connections_at_once)
    sys.exit(uvloop.run(serve(options.directory, config, written)))


if __name__ == "__main__":
    main()

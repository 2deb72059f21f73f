"""The gatherer: every page of a node at one port of this machine, for Prometheus and `ringfence top`.

    python -m ringfence.daemons.metrics DIRECTORY

`monitoring.json` names the port; the first start takes 9464, or a free one if that is taken, and writes it down.
`/metrics` is all pages as one, `/health` says that the gatherer lives, `/ready` which processes are not ready.
Exit status: 0 asked to stop, 66 `monitoring.json` is no good, 69 the port is taken.
"""

import argparse
import asyncio
import logging
import signal
import sys
from functools import partial
from pathlib import Path

import msgspec

from ringfence.files import replace
from ringfence.monitoring import set_up_logs
from ringfence.monitoring.gather import PROCESS, gather, troubles
from ringfence.monitoring.page import HEAD_BYTES_MAX, TEXT_TYPE, Answer, answering, json_answer
from ringfence.ports import HOST, free_ports, listens

log = logging.getLogger("ringfence.metrics")

NAME = "monitoring.json"
PORT = 9464
EXIT_INPUT, EXIT_UNAVAILABLE = 66, 69


class MonitoringConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gatherer listens. It has no password, so it should stay on this machine."""

    port: int
    host: str = HOST


def read_monitoring(directory: Path) -> MonitoringConfig | None:
    """Return what the file says, None if there is none. Raises ValueError."""
    try:
        return msgspec.json.decode((directory / NAME).read_bytes(), type=MonitoringConfig)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ValueError(f"{NAME} cannot be read: {error}") from error


def found_monitoring(directory: Path) -> MonitoringConfig:
    """Write down a first port for a directory, the usual one if nobody has it. Raises OSError."""
    config = MonitoringConfig(free_ports(1)[0] if listens(PORT) else PORT)
    replace(directory / NAME, msgspec.json.format(msgspec.json.encode(config)))
    return config


async def answer(directory: Path, path: str) -> Answer:
    """Answer a GET for the whole node."""
    if path == "/metrics":
        return Answer(200, TEXT_TYPE, (await gather(directory)).encode())
    if path == "/health":
        return json_answer(200, {"health": True})
    if path == "/ready":
        found = await troubles(directory)
        return json_answer(503 if found else 200, {"ready": not found, "because": found})
    return json_answer(404, {"error": "there is /metrics, /health and /ready"})


async def run(directory: Path) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        config = read_monitoring(directory)
        if config is not None:
            server = await _listen(directory, config)
        else:
            config = found_monitoring(directory)
            try:
                server = await _listen(directory, config)
            except OSError:  # another exchange that starts at this moment was quicker
                config = found_monitoring(directory)
                server = await _listen(directory, config)
    except ValueError as error:
        log.critical("%s; nobody can watch", error)
        return EXIT_INPUT
    except OSError as error:
        log.critical("the port of %s cannot be had: %s; nobody can watch", NAME, error)
        return EXIT_UNAVAILABLE
    log.info("http://%s:%d/metrics", config.host, config.port)
    async with server:
        await stop.wait()
    return 0


async def _listen(directory: Path, config: MonitoringConfig) -> asyncio.Server:
    hear = answering(partial(answer, directory))
    return await asyncio.start_server(hear, config.host, config.port, limit=HEAD_BYTES_MAX)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-metrics", description="all pages of a node at one port")
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory.absolute()
    set_up_logs(PROCESS)
    sys.exit(asyncio.run(run(directory)))


if __name__ == "__main__":
    main()

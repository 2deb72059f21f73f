"""The gatherer: every page of a node at one port of this machine, for Prometheus and `ringfence top`.

    python -m ringfence.daemons.metrics DIRECTORY

`monitoring.json` names the port; the first start takes 9464, or a free one if that is taken, and writes it down.
`/metrics` is all pages as one, `/health` says that the gatherer lives, `/ready` which processes are not ready.
Exit status: 0 asked to stop, 66 `monitoring.json` is no good, 69 the port is taken.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

import msgspec

from ringfence.daemons.custody_ports import HOST, free_ports, listens
from ringfence.files import replace
from ringfence.monitoring import set_up_logs
from ringfence.monitoring.gather import PROCESS, gather, troubles
from ringfence.monitoring.page import TEXT_TYPE

log = logging.getLogger("ringfence.metrics")

NAME = "monitoring.json"
PORT = 9464
EXIT_INPUT, EXIT_UNAVAILABLE = 66, 69
_HEAD_BYTES_MAX = 8192
_SECONDS = 10.0


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


def ensure_monitoring(directory: Path) -> MonitoringConfig:
    """Return where to listen; a new directory gets its port. Raises ValueError, OSError."""
    found = read_monitoring(directory)
    if found is None:
        found = MonitoringConfig(free_ports(1)[0] if listens(PORT) else PORT)
        replace(directory / NAME, msgspec.json.format(msgspec.json.encode(found)))
    return found


async def answer(directory: Path, path: str) -> tuple[str, str, str]:
    """Return status line, type and body of a GET."""
    if path == "/metrics":
        return "200 OK", TEXT_TYPE, await gather(directory)
    if path == "/health":
        return "200 OK", "application/json", '{"health":true}\n'
    if path == "/ready":
        found = await troubles(directory)
        body = msgspec.json.encode({"ready": not found, "because": found}).decode() + "\n"
        return "503 Service Unavailable" if found else "200 OK", "application/json", body
    return "404 Not Found", "application/json", '{"error":"there is /metrics, /health and /ready"}\n'


class Gatherer:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one GET and hang up; what is none is not answered."""
        with contextlib.suppress(OSError, TimeoutError, ValueError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                if method == "GET":
                    status, kind, text = await answer(self._directory, target.partition("?")[0])
                else:
                    status, kind, text = (
                        "405 Method Not Allowed",
                        "application/json",
                        '{"error":"only GET"}\n',
                    )
                body = text.encode()
                lines = f"content-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
                writer.write(f"HTTP/1.1 {status}\r\n{lines}".encode() + body)
                await writer.drain()
        writer.close()


async def run(directory: Path, config: MonitoringConfig) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        server = await asyncio.start_server(
            Gatherer(directory).hear, config.host, config.port, limit=_HEAD_BYTES_MAX
        )
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s; nobody can watch", config.host, config.port, error)
        return EXIT_UNAVAILABLE
    log.info("http://%s:%d/metrics", config.host, config.port)
    async with server:
        await stop.wait()
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-metrics", description="all pages of a node at one port")
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory.absolute()
    set_up_logs(PROCESS)
    try:
        config = ensure_monitoring(directory)
    except (ValueError, OSError) as error:
        log.critical("%s; nobody can watch", error)
        sys.exit(EXIT_INPUT)
    sys.exit(asyncio.run(run(directory, config)))


if __name__ == "__main__":
    main()

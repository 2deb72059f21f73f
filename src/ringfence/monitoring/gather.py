"""All pages of a directory as one: each process is asked at its socket, and one that is silent is said to be down.

Which ought to run: those that the supervisor has started, and those that have left a socket. What a process would have
said is simply missing when it is down; that is what `ringfence_process_up` and the rules about absence are for.
"""

import asyncio
import contextlib
import ctypes
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.monitoring import metrics
from ringfence.monitoring.page import FOLDER, socket_of
from ringfence.monitoring.samples import Sample, expose, sample

PROCESS = "metrics"
"""The gatherer itself."""
SECONDS = 2.0
_BYTES_MAX = 8 << 20
_MICROSECONDS = 1_000_000
_NO_PAGE = ("bitcoin", "ethereum", "solana", "tpm-", "nats-")
"""Development chains, servers of the stream and TPMs in software are other people's programs: they have no page."""
_CLOCK_NEVER_SET_SECONDS = 16.0


class Process(NamedTuple):
    """What the supervisor has written down of one."""

    name: str
    state: str
    restarts: int


class _Known(msgspec.Struct):
    name: str
    state: str = ""
    restarts: int = 0


class _Run(msgspec.Struct):
    processes: list[_Known]


async def gather(directory: Path) -> str:
    """Return the whole page of a node."""
    listed = processes_of(directory)
    names = sorted({one.name for one in listed if _has_page(one.name)} | set(_sockets(directory)))
    pages = await asyncio.gather(*(read(directory, name, "/metrics") for name in names))
    answered = {name for name, page in zip(names, pages, strict=True) if page is not None}
    own = expose(_of_node(directory, listed, names, answered), process=PROCESS)
    return merge([own, *(page for page in pages if page is not None)])


async def troubles(directory: Path) -> dict[str, str]:
    """Return why processes are not ready, by name; who does not answer is not."""
    names = sorted(
        {one.name for one in processes_of(directory) if _has_page(one.name)} | set(_sockets(directory))
    )
    answers = await asyncio.gather(*(read(directory, name, "/ready") for name in names))
    said = {
        name: "it does not answer" if answer is None else str(json.loads(answer)["because"])
        for name, answer in zip(names, answers, strict=True)
    }
    return {name: why for name, why in said.items() if why}


async def read(directory: Path, process: str, path: str) -> str | None:
    """Return what a process answers, None if it does not, or not in time."""
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_unix_connection(
                socket_of(directory, process), limit=_BYTES_MAX
            )
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: {process}\r\n\r\n".encode())
                head, _, body = (await reader.read(_BYTES_MAX)).partition(b"\r\n\r\n")
                while more := await reader.read(_BYTES_MAX):
                    body += more
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    return body.decode() if head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")) else None


def merge(pages: list[str]) -> str:
    """Put pages together so that every metric is in one piece, which the format demands."""
    heads: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for page in pages:
        name = ""
        for line in page.splitlines():
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                heads.setdefault(name, [line])
            elif line.startswith("# TYPE "):
                if len(heads[name]) == 1:
                    heads[name].append(line)
            elif line:
                lines.setdefault(name, []).append(line)
    return "".join("\n".join([*head, *lines.get(name, [])]) + "\n" for name, head in heads.items())


def processes_of(directory: Path) -> list[Process]:
    """Return the supervisor's list, empty where none runs."""
    try:
        run = msgspec.json.decode((directory / "run.json").read_bytes(), type=_Run)
    except (OSError, msgspec.MsgspecError):
        return []
    return [Process(one.name, one.state, one.restarts) for one in run.processes if one.state != "stopped"]


def _sockets(directory: Path) -> Iterator[str]:
    for path in (directory / FOLDER).glob("*.sock"):
        yield path.stem


def _has_page(name: str) -> bool:
    return name != PROCESS and not name.startswith(_NO_PAGE)


def _of_node(
    directory: Path, listed: list[Process], names: list[str], answered: set[str]
) -> Iterator[Sample]:
    for name in names:
        yield sample(metrics.UP, int(name in answered), name)
    for one in listed:
        if not _has_page(one.name) and one.name != PROCESS:
            yield sample(metrics.UP, int(one.state == "running"), one.name)
        yield sample(metrics.RESTARTS, one.restarts, one.name)
    disk = os.statvfs(directory)
    yield sample(metrics.DISK_FREE, disk.f_bavail * disk.f_frsize)
    yield sample(metrics.DISK_SIZE, disk.f_blocks * disk.f_frsize)
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        yield sample(metrics.MEMORY_FREE, int(fields["MemAvailable"].split()[0]) * 1024)
    if (error := clock_error_seconds()) is not None:
        yield sample(metrics.CLOCK_ERROR, error)


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )  # fmt: skip


def clock_error_seconds() -> float | None:
    """Return the kernel's bound of how wrong the clock is, None where it cannot be asked (Linux: adjtimex)."""
    try:
        timex = _Timex()
        if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return float(min(timex.maxerror / _MICROSECONDS, _CLOCK_NEVER_SET_SECONDS))

"""One process's page: `/metrics`, `/health` and `/ready`, for whoever may open its socket.

The process's own loop answers. So `/health` says more than that there is a process: one that hangs is silent, and who
asks takes silence for an answer. Watching never stops what is watched: a page that cannot be served is a line in the
log, and a figure that cannot be computed leaves out its page and not the process.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from inspect import isawaitable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.lines import Hear, listen
from ringfence.monitoring import metrics
from ringfence.monitoring.samples import Sample, expose, sample

log = logging.getLogger(__name__)

FOLDER = "metrics"
PAGE = "RINGFENCE_PAGE"
"""In the environment: where a process serves its page, by the supervisor, which may run two of one kind."""
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_JSON_TYPE = "application/json; charset=utf-8"
HEAD_BYTES_MAX = 8192
_SECONDS = 10.0
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error",
            503: "Service Unavailable"}  # fmt: skip
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Page:
    """What a process says of itself. `measure` gives its samples, `trouble` why it takes no traffic."""

    def __init__(
        self, process: str, measure: Callable[[], Iterable[Sample]] = tuple, trouble: Callable[[], str] = str
    ) -> None:  # fmt: skip
        self.process = process
        self._measure, self._trouble = measure, trouble
        self._started = time.time()

    def answer(self, path: str) -> Answer:
        """Answer a GET."""
        if path == "/metrics":
            return Answer(200, TEXT_TYPE, expose(self._samples(), process=self.process).encode())
        if path == "/health":
            return json_answer(200, {"health": True})
        if path == "/ready":
            trouble = self._trouble()
            return json_answer(503 if trouble else 200, {"ready": not trouble, "because": trouble})
        return json_answer(404, {"error": "there is /metrics, /health and /ready"})

    def _samples(self) -> Iterator[Sample]:
        yield sample(metrics.READY, int(not self._trouble()))
        yield sample(metrics.START, self._started)
        times = os.times()
        yield sample(metrics.CPU, times.user + times.system)
        with contextlib.suppress(OSError):  # not every system has /proc
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            yield sample(metrics.MEMORY, pages * _PAGE_BYTES)
            yield sample(metrics.FILES, len(os.listdir("/proc/self/fd")))
        yield from self._measure()


def json_answer(status: int, value: dict[str, object]) -> Answer:
    return Answer(status, _JSON_TYPE, msgspec.json.encode(value) + b"\n")


def answering(answer: Callable[[str], Answer | Awaitable[Answer]]) -> Hear:
    """Return what answers one GET of a connection and closes it; `answer` gives the answer, or what brings it."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_written(await _answered(*_asked(head), answer)))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # whoever asks for nothing is not answered
        finally:
            writer.close()

    return hear


def _asked(head: bytes) -> tuple[str, str]:
    """Return method and path. Raises ValueError."""
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return method, target.partition("?")[0]


async def _answered(method: str, path: str, answer: Callable[[str], Answer | Awaitable[Answer]]) -> Answer:
    if method != "GET":
        return json_answer(405, {"error": "only GET"})
    try:
        said = answer(path)
        return await said if isawaitable(said) else said
    except Exception:
        log.exception("%s cannot be answered", path[:40])
        return json_answer(500, {"error": "this is our fault and has been logged"})


def _written(said: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {said.status} {_REASONS[said.status]}\r\ncontent-type: {said.content_type}\r\n"
        f"content-length: {len(said.body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + said.body


def socket_of(directory: Path, process: str) -> Path:
    return directory / FOLDER / f"{process}.sock"


@contextlib.asynccontextmanager
async def serving(directory: Path, page: Page) -> AsyncIterator[None]:
    """Serve a page while something runs. A process that ends well takes its socket away; one that is killed does not,
    and is missed."""
    path = Path(os.environ.get(PAGE) or socket_of(directory, page.process))
    page.process = path.stem
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        server = await listen(path, answering(page.answer), line_bytes_max=HEAD_BYTES_MAX)
    except OSError as error:
        log.error("%s is not served, and nobody can watch: %s", path, error)
        yield
        return
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)

"""How many may listen: `python -m benchmarks.crowd [--json] [--quick] [--most N]`.

One core, several gateways on its feed, and up to 100,000 real connections over loopback, each subscribed to the
trades of one instrument. A process may open 20,000 files here, so a gateway and a process of clients share every
17,000 connections. Trades are made at a fixed rate; each delivery is timed, from when the order that trades was sent
until a client has the frame. A few accounts trade meanwhile and are timed too.

Gateways, clients and the core share the machine's processors: on two of them, the clients take about as much as the
gateways. Waits are those of this machine, not of the network; processor microseconds and bytes hold elsewhere as well.
"""

import array
import asyncio
import contextlib
import multiprocessing
import resource
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop

from benchmarks import overload
from benchmarks.overload import Watch, mind_own_business, watches
from ringfence.testing.measure import Result, percentile, report
from ringfence.testing.venue import Venue, cpu_seconds

QUICK = "--quick" in sys.argv[1:]
STEPS = (1_000, 10_000, 25_000, 50_000, 100_000)
EACH_MAX = 17_000
"""Connections of one gateway, and of one process of clients."""
UPDATES_PER_SECOND = 0.5
UPDATES = 5 if QUICK else 10
TRADERS = list(range(3, 11))
MEMORY_LEFT = 8 << 30
"""Bytes that must stay available for others on this machine."""
_LAST_SECONDS = 8.0
"""How long after the last trade a client may still have it counted."""
_UNANSWERED_MAX = 128
_SYMBOL = "XBTUSD"
_LOT = 100
_PING, _PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"
"""Empty ones; their bytes are in no text that is ASCII."""


def groups(target: int, sizes: int = EACH_MAX) -> int:
    """Return how many gateways a crowd needs, four at least."""
    return max(4, -(-target // sizes))


def steps_to(most: int) -> tuple[int, ...]:
    """Return the numbers of clients on the way to so many."""
    return (*(step for step in STEPS if step < most), most)


def shares(total: int, count: int) -> list[int]:
    """Return `total` in so many parts that differ by one at most."""
    return [total // count + (part < total % count) for part in range(count)]


def sizes_in(data: bytes) -> Iterator[int]:
    """Yield the sizes of the trades in what came from a gateway, without those of a partial."""
    at = data.find(b'"action":"insert"')
    while at >= 0:
        start = data.find(b'"size":', at) + 7
        if start < 7:
            return
        end = start
        while data[end : end + 1].isdigit():
            end += 1
        yield int(data[start:end])
        at = data.find(b'"action":"insert"', end)


# ---- clients, in a process of their own


class Clients:
    """Connections of one process to one gateway: counted, and each of their updates timed."""

    def __init__(self, port: int, source: str) -> None:
        self.port, self.source = port, source
        self.open: dict[int, socket.socket] = {}
        self.waiting: set[int] = set()
        self.lost = 0
        self.sizes, self.times = array.array("q"), array.array("d")
        self._poll = select.epoll()
        self._hello = (
            f"GET /realtime?subscribe=trade:{_SYMBOL} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\n"
            "connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()

    def grow(self, target: int) -> float:
        """Connect until there are so many, all of them subscribed; return seconds. Raises TimeoutError."""
        started = time.perf_counter()
        while len(self.open) < target or self.waiting:
            while len(self.open) < target and len(self.waiting) < _UNANSWERED_MAX:
                self._connect()
            self.listen(0.1)
            if time.perf_counter() - started > 120:
                raise TimeoutError(f"{len(self.waiting)} of {len(self.open)} clients had no answer in 120 s")
        return time.perf_counter() - started

    def _connect(self) -> None:
        found = socket.socket()
        found.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: ports are counted for each pair
        found.bind((self.source, 0))
        found.connect(("127.0.0.1", self.port))
        found.send(self._hello)
        found.setblocking(False)
        self.open[found.fileno()] = found
        self.waiting.add(found.fileno())
        self._poll.register(found.fileno(), select.EPOLLIN)

    def listen(self, seconds: float) -> None:
        """Take what has come, or comes in that time."""
        for number, _ in self._poll.poll(seconds, 4096):
            try:
                data = self.open[number].recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                self._poll.unregister(number)
                self.open.pop(number).close()
                self.waiting.discard(number)
                self.lost += 1
                continue
            now = time.monotonic()
            if _PING in data:
                with contextlib.suppress(BlockingIOError):
                    self.open[number].send(_PONG)
            for size in sizes_in(data):
                self.sizes.append(size)
                self.times.append(now)
            if number in self.waiting and b'"partial"' in data:
                self.waiting.discard(number)

    def take(self) -> tuple[bytes, bytes, int]:
        """Return sizes and times of the updates since the last call, and how many connections were lost."""
        found = self.sizes.tobytes(), self.times.tobytes(), self.lost
        self.sizes, self.times = array.array("q"), array.array("d")
        return found


def _serve_clients(port: int, source: str, line: Connection) -> None:
    clients = Clients(port, source)
    while True:
        while not line.poll():
            clients.listen(0.02)
        order, *rest = line.recv()
        if order == "grow":
            line.send(clients.grow(*rest))
        elif order == "take":
            line.send(clients.take())
        else:
            return


class Group:
    """A process of clients, seen from outside."""

    def __init__(self, port: int, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_serve_clients, args=(port, f"127.0.0.{10 + number}", theirs))
        self.process.start()

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.line.send(("end",))
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


# ---- the exchange meanwhile


class Round(NamedTuple):
    """What was measured with one number of clients."""

    clients: int
    connects_per_second: float
    gateway_bytes: float
    """Resident, for each client, beyond what gateways have without any."""
    kernel_bytes: float
    """Of kernel objects and socket buffers, for each client: both ends of a connection."""
    delivered: int
    lost: int
    gateway_us: float
    """Processor time of gateways for each delivered update."""
    waits: np.ndarray
    order_waits: np.ndarray


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"process {pid} has no resident memory: has it ended?")


def memory_bytes(*names: str) -> int:
    """Return the sum of these lines of what the system says about its memory."""
    found = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(found[name].split()[0]) << 10 for name in names)


def kernel_bytes() -> int:
    """Return the memory of kernel objects, as sockets and files are, and of socket buffers."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            pages = int(line.split()[-1])
    return memory_bytes("SUnreclaim") + pages * resource.getpagesize()


async def trade(pair: list[Watch], first: int, count: int) -> dict[int, float]:
    """Let two accounts trade with each other at the fixed rate, each time another size; return when, by size."""
    started, when = time.perf_counter(), {}
    for turn in range(count):
        size = _LOT * (first + turn)
        sign = 1 if turn % 2 else -1
        ahead = started + (turn + 0.5) / UPDATES_PER_SECOND - time.perf_counter()
        await asyncio.sleep(max(0.0, ahead))
        pair[0].say("placeOrder", f"m{first + turn}", symbol=_SYMBOL, orderQty=sign * size, price=10_000)
        await overload.settled(pair[:1])
        when[size] = time.monotonic()
        pair[1].say("placeOrder", f"t{first + turn}", symbol=_SYMBOL, orderQty=-sign * size, price=10_000)
    await overload.settled(pair)
    await asyncio.sleep(_LAST_SECONDS)
    return when


async def play(ports: list[int], first: int, count: int) -> tuple[dict[int, float], np.ndarray]:
    pair, others = await watches(ports, [1, 2]), await watches(ports, TRADERS)
    seconds = (count + 1) / UPDATES_PER_SECOND
    when, _ = await asyncio.gather(
        trade(pair, first, count), mind_own_business(others, f"b{first}-", seconds)
    )
    waits = [wait for watch in others for wait in watch.waits["placeOrder"]]
    for watch in pair + others:
        watch.transport.disconnect()
    return when, np.array(waits)


def rounds(venue: Venue, crowd: list[Group], steps: tuple[int, ...]) -> Iterator[Round]:
    """Grow the crowd step by step as far as memory goes, and measure at each."""
    gateways = [process.pid for name, process in venue.processes.items() if name.startswith("gateway")]
    uvloop.run(play(venue.ports, 1, 1))
    first, before, growth = 2, 0, 0.0
    own = sum(resident_bytes(pid) for pid in gateways)
    kernel, available = kernel_bytes(), memory_bytes("MemAvailable")
    quiet = sum(cpu_seconds(pid) for pid in gateways)
    uvloop.run(play(venue.ports, first, UPDATES))
    quiet = sum(cpu_seconds(pid) for pid in gateways) - quiet
    first += UPDATES
    for target in steps:
        if memory_bytes("MemAvailable") - growth * (target - before) < MEMORY_LEFT:
            return
        started = time.perf_counter()
        for group, share in zip(crowd, shares(target, len(crowd)), strict=True):
            group.line.send(("grow", share))
        for group in crowd:
            group.line.recv()
        took = time.perf_counter() - started
        time.sleep(2)
        gateway_bytes = sum(resident_bytes(pid) for pid in gateways) - own
        of_kernel = max(0, kernel_bytes() - kernel)
        growth = max(0, available - memory_bytes("MemAvailable")) / target
        for group in crowd:
            group.line.send(("take",))
        lost = -sum(group.line.recv()[2] for group in crowd)
        used = sum(cpu_seconds(pid) for pid in gateways)
        when, order_waits = uvloop.run(play(venue.ports, first, UPDATES))
        first += UPDATES
        used = sum(cpu_seconds(pid) for pid in gateways) - used
        waits = []
        for group in crowd:
            group.line.send(("take",))
        for group in crowd:
            sizes, times, gone = group.line.recv()
            lost += gone
            starts = np.array([when.get(int(size), np.nan) for size in np.frombuffer(sizes, np.int64)])
            waits.append(np.frombuffer(times) - starts)
        together = np.concatenate(waits)
        together = together[~np.isnan(together)]
        yield Round(
            target, (target - before) / took, gateway_bytes / target,
            of_kernel / target, len(together), lost,
            max(0.0, used - quiet) * 1e6 / max(1, len(together)), together, order_waits,
        )  # fmt: skip
        before = target


def results(found: Round) -> Iterator[Result]:
    name, sent = f"crowd.{found.clients}", found.clients * UPDATES
    yield Result(f"{name}.connects_per_second", found.connects_per_second, "clients/s")
    yield Result(f"{name}.gateway_bytes", found.gateway_bytes, "bytes/client", "resident memory of gateways")
    yield Result(f"{name}.kernel_bytes", found.kernel_bytes, "bytes/client", "both ends of a connection")
    yield Result(f"{name}.delivered", found.delivered, "updates", "all that were due", found.delivered / sent)
    yield Result(f"{name}.lost", found.lost, "clients", "must be 0")
    yield Result(f"{name}.update_cpu_us", found.gateway_us, "us", "gateways, for one update to one client")
    for point in (50, 99):
        wait = percentile(found.waits, point) * 1e3 if len(found.waits) else float("nan")
        yield Result(f"{name}.update_p{point}", wait, "ms", f"at {UPDATES_PER_SECOND:g} updates/s")
    for point in (50, 99):
        yield Result(f"{name}.order_p{point}", percentile(found.order_waits, point) * 1e3, "ms",
                     f"{len(TRADERS)} accounts at {overload.OTHERS_PER_SECOND:g} requests/s")  # fmt: skip


def measure(folder: Path, steps: tuple[int, ...] = STEPS) -> Iterator[Round]:
    """Start an exchange and measure it with each number of clients."""
    count = groups(max(steps))
    with Venue(folder, accounts=10, history=False, limits=overload.UNLIMITED, gateways=count) as venue:
        crowd = [Group(port, number) for number, port in enumerate(venue.ports)]
        try:
            time.sleep(1)
            yield from rounds(venue, crowd, steps)
        finally:
            for group in crowd:
                group.end()


def main() -> None:
    steps = STEPS[:2] if QUICK else STEPS
    if "--most" in sys.argv:
        steps = steps_to(int(sys.argv[sys.argv.index("--most") + 1]))
    with tempfile.TemporaryDirectory() as folder:
        for found in measure(Path(folder), steps):
            report(results(found))


if __name__ == "__main__":
    main()

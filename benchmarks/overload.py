"""What is promised under load, measured: `python benchmarks/overload.py [--json] [--quick]`.

A real core and gateway. What the gateway can do is measured first, in a closed loop. Then accounts send 1, 2 and 10
times that, open loop, over raw sockets from a process of their own, as fast as the network takes it; meanwhile each of
them cancels orders over a second connection, which is what is timed. Then one account alone sends 100 times its share
beside others who place and cancel at their leisure, against the same others without it.

The gateway has a core of its own; the exchange core, the watch and, in an open loop with less priority, the load share
the other. A wait is counted from the moment when the request was to be sent.
"""

import asyncio
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.gateway import pin, signature
from ringfence.testing.measure import Result, report
from ringfence.testing.venue import Venue

QUICK = "--quick" in sys.argv[1:]
RUNS = 1 if QUICK else 3
SECONDS = 2.0 if QUICK else 5.0
FLOODERS, OTHERS = 40, 10
HOSTILE = FLOODERS + OTHERS + 1
RESTING = 100
"""Orders of each flooder that wait to be cancelled while it floods."""
OTHERS_PER_SECOND = 20.0
"""Requests of each account that minds its own business."""
IN_FLIGHT = 32
UNLIMITED = {"connections_per_address": 0, "connections_at_once": 0}
_TICK = 0.01
_UNSENT_MAX = 64 << 10
_encode = msgspec.json.encode


def masked(payload: bytes) -> bytes:
    """Return a client's text frame. A mask of zeros is a mask too."""
    assert 126 <= len(payload) < 1 << 16
    return b"\x81" + bytes((0x80 | 126,)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def an_order(account: int) -> bytes:
    """An order that is taken and leaves nothing behind: immediate or cancel, away from the market."""
    args = {
        "symbol": "XBTUSD", "orderQty": 100, "price": 9_000 + account, "timeInForce": "ImmediateOrCancel",
        "clOrdID": f"load-{account:04d}",
    }  # fmt: skip
    return masked(_encode({"op": "placeOrder", "id": 7, "reply": "ack", "args": args}))


def credentials(account: int) -> tuple[int, str]:
    expires = int(time.time()) + 3600
    return expires, signature(f"secret-{account}", f"GET/realtime{expires}")


# ---- the load, in a process of its own


class Flood(asyncio.Protocol):
    """One account's connection: frames out, statuses counted."""

    def __init__(self, account: int) -> None:
        self.frame = an_order(account)
        self.account = account
        self.statuses: Counter[bytes] = Counter()
        self.sent = self.unsent = self.closed_loop = 0
        self._tail = b""
        self._is_open = False

    def connection_made(self, transport) -> None:
        self.transport = transport
        expires, signed = credentials(self.account)
        transport.write(
            f"GET /realtime?api-key=key-{self.account}&api-expires={expires}&api-signature={signed} HTTP/1.1\r\n"
            "host: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        answered = 0
        for status in (b'"status":200', b'"status":503', b'"status":4'):
            count = data.count(status)
            self.statuses[status] += count
            answered += count
        # A text that is cut in two is counted with its second half.
        self._tail = data[max(data.rfind(b'"status"'), len(data) - 12) :][1:]
        if self.closed_loop and answered:
            self.send(answered)

    def send(self, count: int) -> None:
        if self.transport.get_write_buffer_size() > _UNSENT_MAX:
            self.unsent += count
            return
        self.transport.write(self.frame * count)
        self.sent += count


class Sent(NamedTuple):
    seconds: float
    sent: int
    unsent: int
    """What the network did not take, because the gateway did not read it."""
    accepted: int
    shed: int
    failed: int


async def flood(
    ports: Sequence[int], accounts: list[int], rate: float, seconds: float, begins: Callable[[], object]
) -> Sent:
    """Send `rate` orders a second, of all accounts together; 0 = each when one before is answered."""
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda a=account: Flood(a), "127.0.0.1", ports[account % len(ports)])
        for account in accounts
    ]
    floods = [found for _, found in made]
    await asyncio.sleep(0.5)
    begins()
    started = time.perf_counter()
    if rate == 0:
        for found in floods:
            found.closed_loop = IN_FLIGHT
            found.send(IN_FLIGHT)
        await asyncio.sleep(seconds)
    else:
        due = 0
        for tick in itertools.count(1):
            until = tick * _TICK
            if until > seconds:
                break
            target = int(rate * until / len(floods))
            for found in floods:
                found.send(target - due)
            due = target
            await asyncio.sleep(max(0.0, started + until - time.perf_counter()))
    took = time.perf_counter() - started
    total: Counter[bytes] = Counter()
    for found in floods:
        total += found.statuses
    result = Sent(
        took, sum(f.sent for f in floods), sum(f.unsent for f in floods), total[b'"status":200'],
        total[b'"status":503'], total[b'"status":4'],
    )  # fmt: skip
    for found in floods:
        found.transport.abort()
    return result


def _flood_apart(
    ports: Sequence[int], accounts: list[int], rate: float, seconds: float, out: Connection
) -> None:
    pin(os.getpid(), 0)
    if rate:
        os.nice(19)  # not a closed loop: one that waits for a processor measures whoever else has it
    out.send(uvloop.run(flood(ports, accounts, rate, seconds, lambda: out.send(None))))


class Apart:
    """A flood in another process; `result` waits for it. An account keeps to one of the gateways' ports."""

    def __init__(self, ports: Sequence[int], accounts: list[int], rate: float, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._in, out = context.Pipe(duplex=False)
        self._process = context.Process(target=_flood_apart, args=(ports, accounts, rate, seconds, out))
        self._process.start()

    def wait_begun(self) -> None:
        """Wait until all are connected and the first order is sent. Call it once, before `result`, or never."""
        assert self._in.recv() is None

    def result(self) -> Sent:
        found: Sent = self._in.recv() or self._in.recv()
        self._process.join()
        return found


# ---- the watch


class Watch(WSListener):
    """One account's own connection, whose every answer is timed."""

    def __init__(self, account: int) -> None:
        self.account = account
        self.ready = asyncio.get_running_loop().create_future()
        self.answers: dict[str, dict] = {}
        self.waits: dict[str, list[float]] = {"placeOrder": [], "cancelOrder": []}
        self.statuses: dict[str, Counter[int]] = {"placeOrder": Counter(), "cancelOrder": Counter()}
        self._starts: dict[str, float] = {}

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        expires, signed = credentials(self.account)
        transport.send(
            WSMsgType.TEXT,
            _encode({"op": "authKeyExpires", "args": [f"key-{self.account}", expires, signed]}),
        )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = msgspec.json.decode(frame.get_payload_as_bytes())
        if "id" not in message:
            if message.get("success") and not self.ready.done():
                self.ready.set_result(None)
            return
        operation, name = message["op"], message["id"]
        self.answers[name] = message
        self.statuses[operation][message["status"]] += 1
        self.waits[operation].append(time.perf_counter() - self._starts.pop(name))

    def say(self, operation: str, name: str, at: float | None = None, **args) -> None:
        self._starts[name] = time.perf_counter() if at is None else at
        message = {"op": operation, "id": name, "reply": "ack", "args": args}
        self.transport.send(WSMsgType.TEXT, _encode(message))

    def forget(self) -> None:
        self.waits = {name: [] for name in self.waits}
        self.statuses = {name: Counter() for name in self.statuses}

    @property
    def unanswered(self) -> int:
        return len(self._starts)


async def watches(ports: Sequence[int], accounts: list[int]) -> list[Watch]:
    found = [
        (await ws_connect(lambda a=account: Watch(a), realtime_url(ports[account % len(ports)])))[1]
        for account in accounts
    ]
    await asyncio.gather(*(watch.ready for watch in found))
    return found


def realtime_url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/realtime"


async def settled(watched: list[Watch], seconds: float = 20.0) -> None:
    """Wait until everything is answered, at most so many seconds."""
    until = time.monotonic() + seconds
    while any(watch.unanswered for watch in watched) and time.monotonic() < until:
        await asyncio.sleep(0.01)


async def place_resting(watched: list[Watch], label: str) -> None:
    """Place what is to be cancelled later."""
    for watch in watched:
        for index in range(RESTING):
            watch.say(
                "placeOrder",
                f"{label}{index}",
                symbol="XBTUSD",
                orderQty=100,
                price=8_000 + watch.account + index,
            )
        await asyncio.sleep(0.02)
    await settled(watched)
    for watch in watched:
        assert watch.statuses["placeOrder"] == {200: RESTING}, watch.statuses
        watch.forget()


async def cancel_evenly(watched: list[Watch], label: str, seconds: float) -> None:
    """Cancel what rests, evenly over the time, one account after another."""
    started, interval = time.perf_counter(), seconds / (RESTING * len(watched))
    turns = [(index, watch) for index in range(RESTING) for watch in watched]
    for number, (index, watch) in enumerate(turns):
        at = started + number * interval
        if (ahead := at - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        order = watch.answers[f"{label}{index}"]["data"]["orderID"]
        watch.say("cancelOrder", f"{label}c{index}", at, orderID=order)
    await settled(watched)


async def mind_own_business(watched: list[Watch], label: str, seconds: float) -> None:
    """Place an order and cancel it, again and again, each account at its leisure."""
    started, interval = time.perf_counter(), 1 / (OTHERS_PER_SECOND * len(watched))
    for number in range(int(seconds / interval)):
        at = started + number * interval
        if (ahead := at - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        watch, turn = watched[number % len(watched)], number // len(watched)
        placed = watch.answers.pop(f"{label}{turn - 1}", None)
        if placed is not None and placed["status"] == 200:
            watch.say("cancelOrder", f"{label}{turn}", at, orderID=placed["data"]["orderID"])
        else:
            watch.say("placeOrder", f"{label}{turn}", at, symbol="XBTUSD", orderQty=100, price=9_000)
    await settled(watched)


def p99(waits: list[float]) -> float:
    """Return milliseconds."""
    return float(np.percentile(np.array(waits) * 1e3, 99))


class Loaded(NamedTuple):
    """One run under load."""

    sent: Sent
    cancel_p99: float
    cancels_shed: int
    cancels_lost: int
    order_p99: float
    """Of accounts that do not flood."""
    orders_shed: int
    """Of the same."""


async def under_load(ports: Sequence[int], rate: float, run: str) -> Loaded:
    everybody = list(range(1, FLOODERS + 1))
    flooders = await watches(ports, everybody)
    others = await watches(ports, list(range(FLOODERS + 1, FLOODERS + OTHERS + 1)))
    await place_resting(flooders, run)
    loading = Apart(ports, everybody, rate, SECONDS + 1)
    await asyncio.sleep(1.5)  # until it has started and sends
    await asyncio.gather(
        cancel_evenly(flooders, run, SECONDS - 0.5), mind_own_business(others, run, SECONDS - 0.5)
    )
    sent = await asyncio.to_thread(loading.result)
    statuses: Counter[int] = sum((watch.statuses["cancelOrder"] for watch in flooders), Counter())
    waits = [wait for watch in flooders for wait in watch.waits["cancelOrder"]]
    placed: Counter[int] = sum((watch.statuses["placeOrder"] for watch in others), Counter())
    order_waits = [wait for watch in others for wait in watch.waits["placeOrder"]]
    lost = sum(watch.unanswered for watch in flooders)
    for watch in flooders + others:
        watch.transport.disconnect()
    await asyncio.sleep(1.0)
    return Loaded(sent, p99(waits), statuses[503], lost, p99(order_waits), placed[503])


async def beside_hostile(ports: Sequence[int], rate: float, run: str) -> tuple[float, float, int, Sent]:
    """Return (p99 of others in peace, p99 beside a hostile account, others' sheds, what it sent)."""
    others = await watches(ports, list(range(FLOODERS + 1, FLOODERS + OTHERS + 1)))
    await mind_own_business(others, f"{run}a", SECONDS)
    idle = p99([wait for watch in others for waits in watch.waits.values() for wait in waits])
    for watch in others:
        watch.forget()
    loading = Apart(ports, [HOSTILE], rate, SECONDS + 1)
    await asyncio.sleep(1.5)
    await mind_own_business(others, f"{run}b", SECONDS - 0.5)
    sent = await asyncio.to_thread(loading.result)
    beside = p99([wait for watch in others for waits in watch.waits.values() for wait in waits])
    shed = sum(counts[503] for watch in others for counts in watch.statuses.values())
    for watch in others:
        watch.transport.disconnect()
    await asyncio.sleep(0.5)
    return idle, beside, shed, sent


def measure(ports: Sequence[int]) -> Iterator[Result]:
    everybody = list(range(1, FLOODERS + 1))
    Apart(ports, everybody, 0, 1.0).result()
    closed = [Apart(ports, everybody, 0, SECONDS).result() for _ in range(RUNS)]
    capacity = median(sent.accepted / sent.seconds for sent in closed)
    yield Result(
        "overload.capacity", capacity, "orders/s", f"closed loop, {FLOODERS} accounts, {IN_FLIGHT} in flight"
    )
    for times in (1, 2, 10):
        runs = [
            uvloop.run(under_load(ports, times * capacity, f"x{times}r{run}-")) for run in range(RUNS)
        ]  # fmt: skip
        name = f"overload.{times}x"
        yield Result(f"{name}.offered", median(r.sent.sent / r.sent.seconds for r in runs), "orders/s",
                     "what the network took of it")  # fmt: skip
        yield Result(f"{name}.goodput", median(r.sent.accepted / r.sent.seconds for r in runs), "orders/s")
        yield Result(f"{name}.shed", median(r.sent.shed / r.sent.seconds for r in runs), "orders/s")
        yield Result(f"{name}.cancel_p99", median(r.cancel_p99 for r in runs), "ms", "the target of 250 ms",
                     median(r.cancel_p99 for r in runs) / 250)  # fmt: skip
        yield Result(f"{name}.cancels_shed", float(sum(r.cancels_shed for r in runs)), "cancels", "must be 0")
        yield Result(
            f"{name}.cancels_unanswered", float(sum(r.cancels_lost for r in runs)), "cancels", "must be 0"
        )
        yield Result(
            f"{name}.others_order_p99", median(r.order_p99 for r in runs), "ms", "accounts that do not flood"
        )
        yield Result(f"{name}.others_orders_shed", float(sum(r.orders_shed for r in runs)), "orders")
    share = capacity / (OTHERS + 1)
    found = [uvloop.run(beside_hostile(ports, 100 * share, f"h{run}-")) for run in range(RUNS)]
    yield Result("overload.hostile.offered", median(f[3].sent / f[3].seconds for f in found), "orders/s",
                 "what the network took of 100 times its share")  # fmt: skip
    yield Result("overload.hostile.goodput", median(f[3].accepted / f[3].seconds for f in found), "orders/s")
    yield Result("overload.hostile.shed", median(f[3].shed / f[3].seconds for f in found), "orders/s")
    yield Result("overload.hostile.idle_p99", median(f[0] for f in found), "ms", "others, without it")
    yield Result("overload.hostile.others_p99", median(f[1] for f in found), "ms", "others without it",
                 median(f[1] / f[0] for f in found))  # fmt: skip
    yield Result("overload.hostile.others_shed", float(sum(f[2] for f in found)), "requests", "must be 0")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Venue(Path(folder), accounts=HOSTILE, history=False, limits=UNLIMITED) as venue,
    ):
        pin(venue.processes["gateway"].pid, 1)
        pin(venue.processes["core"].pid, 0)
        pin(os.getpid(), 0)
        report(measure(venue.ports))


if __name__ == "__main__":
    main()

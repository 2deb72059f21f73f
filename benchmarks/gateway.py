"""How fast the gateway is: `python benchmarks/gateway.py [--json] [--quick]`.

One gateway process with the real core behind it: an order counts when it is acknowledged durable. The
gateway has a core of its own, the exchange core and the load share the other; figures are processor
microseconds of the gateway process, which do not depend on who else is running, and wall-clock rates.
The peer is an app of a mainstream framework that checks the same HMAC, reads the same JSON and answers
the same row, and does nothing else.
"""

import asyncio
import hashlib
import hmac
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ringfence.ports import free_ports
from ringfence.testing.measure import Result, report
from ringfence.testing.venue import Venue, cpu_seconds

QUICK = "--quick" in sys.argv[1:]
RUNS = 1 if QUICK else 3
ORDERS = 4_000 if QUICK else 30_000
REST_ORDERS = 1_000 if QUICK else 8_000
CONNECTIONS = 8
IN_FLIGHT = 32
SUBSCRIBERS = 200
TARGET_WS_US = 20.0
_encode = msgspec.json.encode


def pin(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[core % len(cores)]})


def signature(secret: str, message: str) -> str:
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


_runs = itertools.count()


def an_order(index: int, account: int, label: str) -> dict:
    """A resting order near the mark; every 20th takes what another account left."""
    step = index % 40
    is_taker = index % 20 == 19
    side = 1 if (index + account) % 2 else -1
    price = 10_000 + side * (2 if is_taker else -1 - step) * 0.5
    return {
        "symbol": "XBTUSD",
        "orderQty": side * 100,
        "price": price,
        "clOrdID": f"{label}{account}-{index}",
    }


# ---- WebSocket


class Trader(WSListener):
    """Keeps a number of orders in flight on one connection until it has sent them all."""

    def __init__(self, account: int, orders: int, brief: bool) -> None:
        self.account, self.orders, self.brief = account, orders, brief
        self.sent = self.answered = self.placed = 0
        self.done = asyncio.get_running_loop().create_future()
        self.ready = asyncio.get_running_loop().create_future()
        self.label = f"w{next(_runs)}-"
        self.waits: list[float] = []
        self._starts: dict[int, float] = {}
        self._open: list[str] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        expires = int(time.time()) + 3600
        signed = signature(f"secret-{self.account}", f"GET/realtime{expires}")
        self.say({"op": "authKeyExpires", "args": [f"key-{self.account}", expires, signed]})

    def say(self, message: dict) -> None:
        self.transport.send(WSMsgType.TEXT, _encode(message))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = msgspec.json.decode(frame.get_payload_as_bytes())
        if "id" not in message:
            if message.get("success") and not self.ready.done():
                self.say({"op": "cancelAllOrders", "id": -1, "args": {}})
            return
        if message["id"] == -1:
            self.ready.set_result(None)
            return
        self.waits.append(time.perf_counter() - self._starts.pop(message["id"]))
        self.answered += 1
        if message["status"] == 404:  # it was filled before the cancel came
            self.placed += 1
        elif message["status"] == 200:
            self.placed += 1
            data = message["data"]
            if data["leavesQty"] and message["op"] == "placeOrder":
                self._open.append(data["orderID"])
        if self.answered == self.orders:
            self.done.set_result(None)
        elif self.sent < self.orders and self.pacing is None:
            self.send_next()

    pacing: float | None = None

    def send_next(self) -> None:
        index, self.sent = self.sent, self.sent + 1
        self._starts[index] = time.perf_counter()
        # Half of the flow cancels, so that the book stays the size it is.
        if len(self._open) > 60:
            self.say(
                {"op": "cancelOrder", "id": index, "reply": "ack", "args": {"orderID": self._open.pop(0)}}
            )
            return
        message = {"op": "placeOrder", "id": index, "args": an_order(index, self.account, self.label)}
        if self.brief:
            message["reply"] = "ack"
        self.say(message)


async def drive(
    url: str, orders: int, *, brief: bool, rate: float | None = None
) -> tuple[float, list[float], int]:
    """Return (seconds, waits, accepted) of an order load over WebSocket; `rate` paces it open-loop."""
    each = orders // CONNECTIONS
    traders = []
    for account in range(1, CONNECTIONS + 1):
        _, trader = await ws_connect(lambda a=account: Trader(a, each, brief), url)
        traders.append(trader)
    await asyncio.gather(*(trader.ready for trader in traders))
    started = time.perf_counter()
    if rate is None:
        for trader in traders:
            for _ in range(min(IN_FLIGHT, each)):
                trader.send_next()
    else:
        for trader in traders:
            trader.pacing = rate
        interval = 1 / rate
        for index in range(each * CONNECTIONS):
            planned = started + index * interval
            now = time.perf_counter()
            if planned > now:
                await asyncio.sleep(planned - now)
            trader = traders[index % CONNECTIONS]
            if trader.sent < each:
                trader.send_next()
                trader._starts[trader.sent - 1] = planned
    await asyncio.gather(*(trader.done for trader in traders))
    took = time.perf_counter() - started
    for trader in traders:
        trader.transport.disconnect()
    waits = [wait for trader in traders for wait in trader.waits]
    return took, waits, sum(trader.placed for trader in traders)


def measured(venue: Venue, work) -> tuple[float, object]:
    """Return (gateway processor seconds, what the work returned)."""
    pid = venue.processes["gateway"].pid
    before = cpu_seconds(pid)
    outcome = work()
    time.sleep(0.2)
    return cpu_seconds(pid) - before, outcome


def websocket_orders(venue: Venue) -> Iterator[Result]:
    def run(brief: bool, rate: float | None = None, orders: int = ORDERS):
        return measured(venue, lambda: uvloop.run(drive(venue.realtime_url, orders, brief=brief, rate=rate)))

    run(True, orders=ORDERS // 4)
    for name, brief in (("ws_order", True), ("ws_order_full_row", False)):
        runs = [run(brief) for _ in range(RUNS)]
        micros = median(cpu * 1e6 / len(outcome[1]) for cpu, outcome in runs)
        rate = median(len(outcome[1]) / outcome[0] for _, outcome in runs)
        assert all(outcome[2] > 0.9 * len(outcome[1]) for _, outcome in runs), "too many orders were refused"
        yield Result(
            f"gateway.{name}_cpu_us",
            micros,
            "us",
            f"the target of {TARGET_WS_US:g} us",
            micros / TARGET_WS_US,
        )
        yield Result(f"gateway.{name}s_per_second", rate, "orders/s")
        if brief:
            half = rate / 2
    _, outcome = run(True, rate=half, orders=ORDERS // 2)
    waits = np.array(outcome[1]) * 1e3
    for point in (50, 99):
        yield Result(
            f"gateway.ws_order_latency_ms.half_load.p{point}",
            float(np.percentile(waits, point)),
            "ms",
            f"open loop at {half:.0f} orders/s",
        )


# ---- REST


class RestClient(asyncio.Protocol):
    """Sends prepared requests on one keep-alive connection, each when the one before is answered."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.index = self.ok = 0
        self.waits: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._received = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self._next()

    def _next(self) -> None:
        self._started = time.perf_counter()
        self.transport.write(self.requests[self.index])

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        lowered = self._received[:head].lower()
        at = lowered.find(b"content-length: ") + 16
        end = lowered.find(b"\r\n", at)
        length = int(lowered[at : end if end >= 0 else None])
        if len(self._received) < head + 4 + length:
            return
        self.ok += self._received.startswith(b"HTTP/1.1 200")
        self._received = self._received[head + 4 + length :]
        self.waits.append(time.perf_counter() - self._started)
        self.index += 1
        if self.index == len(self.requests):
            self.transport.close()
            self.done.set_result(None)
        else:
            self._next()


def rest_requests(account: int, count: int, label: str) -> list[bytes]:
    requests = []
    expires = int(time.time()) + 3600
    for index in range(count):
        # Every second request takes away what was placed by the one before.
        if index % 2:
            body = _encode({"clOrdID": f"{label}{account}-{index - 1}"}).decode()
            method = "DELETE"
        else:
            order = an_order(index, account, label)
            order["price"] = 10_000 + (-20 if order["orderQty"] > 0 else 20)
            body, method = _encode(order).decode(), "POST"
        signed = signature(f"secret-{account}", f"{method}/api/v1/order{expires}{body}")
        requests.append(
            (
                f"{method} /api/v1/order HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                f"api-key: key-{account}\r\napi-expires: {expires}\r\napi-signature: {signed}\r\n"
                f"content-length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
    return requests


async def drive_rest(port: int, count: int, label: str) -> tuple[float, list[float], int]:
    loop = asyncio.get_running_loop()
    connections = 4 * CONNECTIONS
    prepared = [
        rest_requests(1 + n % CONNECTIONS, count // connections, f"{label}{n}-") for n in range(connections)
    ]
    started = time.perf_counter()
    clients = []
    for requests in prepared:
        _, client = await loop.create_connection(lambda r=requests: RestClient(r), "127.0.0.1", port)
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - started
    return took, [w for c in clients for w in c.waits], sum(c.ok for c in clients)


def rest_orders(venue: Venue) -> Iterator[Result]:
    peer_cpu, peer_rate = framework_peer()
    uvloop.run(drive_rest(venue.port, REST_ORDERS // 4, "w"))
    runs = []
    for index in range(RUNS):
        label = f"r{index}x"
        runs.append(
            measured(venue, lambda label=label: uvloop.run(drive_rest(venue.port, REST_ORDERS, label)))
        )
    assert all(outcome[2] == len(outcome[1]) for _, outcome in runs), "a request was refused"
    micros = median(cpu * 1e6 / len(outcome[1]) for cpu, outcome in runs)
    rate = median(len(outcome[1]) / outcome[0] for _, outcome in runs)
    peer = "Starlette on uvicorn: HMAC and JSON only, no exchange"
    yield Result("gateway.framework_cpu_us", peer_cpu, "us", peer)
    yield Result("gateway.rest_order_cpu_us", micros, "us", peer, micros / peer_cpu)
    yield Result("gateway.rest_orders_per_second", rate, "orders/s", peer, rate / peer_rate)
    waits = np.array(runs[-1][1][1]) * 1e3
    for point in (50, 99):
        yield Result(f"gateway.rest_order_latency_ms.p{point}", float(np.percentile(waits, point)), "ms")


_PEER = """
import hashlib, hmac, json, sys
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
import uvicorn
SECRETS = {f"key-{n}": f"secret-{n}".encode() for n in range(100)}
async def order(request):
    body = await request.body()
    message = request.method.encode() + request.url.path.encode() + request.headers["api-expires"].encode() + body
    expected = hmac.new(SECRETS[request.headers["api-key"]], message, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers["api-signature"]):
        return Response(status_code=401)
    return JSONResponse({**ROW, **json.loads(body)})
ROW = json.loads(sys.argv[2])
app = Starlette(routes=[Route("/api/v1/order", order, methods=["POST", "DELETE"])])
uvicorn.run(
    app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, loop="uvloop", http="httptools"
)
"""


def framework_peer() -> tuple[float, float]:
    """Return (processor microseconds a request, requests a second) of the peer."""
    port = free_ports(1)[0]
    row = _encode({f"column{n}": None if n % 3 else "2026-01-01T00:00:00.000Z" for n in range(28)}).decode()
    process = subprocess.Popen([sys.executable, "-c", _PEER, str(port), row])
    try:
        pin(process.pid, 1)
        for _ in range(200):
            try:
                uvloop.run(drive_rest(port, 64, "p"))
                break
            except OSError:
                time.sleep(0.05)
        figures = []
        for _ in range(RUNS):
            before = cpu_seconds(process.pid)
            took, waits, ok = uvloop.run(drive_rest(port, REST_ORDERS, "p"))
            assert ok == len(waits)
            figures.append(((cpu_seconds(process.pid) - before) * 1e6 / len(waits), len(waits) / took))
        return median(f[0] for f in figures), median(f[1] for f in figures)
    finally:
        process.terminate()
        process.wait()


# ---- fan-out


class Listener(WSListener):
    def __init__(self) -> None:
        self.frames = self.bytes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.TEXT, b'{"op":"subscribe","args":["orderBookL2_25:XBTUSD"]}')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.frames += 1
        self.bytes += frame.payload_size


async def drive_fanout(venue: Venue, listeners: int, orders: int, rate: float) -> tuple[int, float]:
    found = [await ws_connect(Listener, venue.realtime_url) for _ in range(listeners)]
    await asyncio.sleep(0.5)
    before = sum(listener.frames for _, listener in found)
    started = time.perf_counter()
    await drive(venue.realtime_url, orders, brief=True, rate=rate)
    await asyncio.sleep(0.1)
    took = time.perf_counter() - started
    frames = sum(listener.frames for _, listener in found) - before
    for transport, _ in found:
        transport.disconnect()
    return frames, took


def fanout(venue: Venue) -> Iterator[Result]:
    """The same paced order load with and without listeners: the difference is the fan-out."""
    orders, rate = (400, 200.0) if QUICK else (2_000, 400.0)
    costs, rates = [], []
    for _ in range(RUNS):
        alone, _ = measured(venue, lambda: uvloop.run(drive_fanout(venue, 0, orders, rate)))
        shared, outcome = measured(venue, lambda: uvloop.run(drive_fanout(venue, SUBSCRIBERS, orders, rate)))
        frames, took = outcome
        costs.append((shared - alone) * 1e6 / max(frames, 1))
        rates.append(frames / took)
    yield Result(
        "gateway.fanout_cpu_us", median(costs), "us", f"a book update to one of {SUBSCRIBERS} subscribers"
    )
    yield Result("gateway.fanout_messages_per_second", median(rates), "messages/s", f"at {rate:.0f} orders/s")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Venue(Path(folder), accounts=CONNECTIONS, history=False) as venue,
    ):
        pin(venue.processes["gateway"].pid, 1)
        pin(venue.processes["core"].pid, 0)
        pin(os.getpid(), 0)
        for part in (websocket_orders, rest_orders, fanout):
            report(part(venue))


if __name__ == "__main__":
    main()

"""What an order costs over FIX: `python benchmarks/fix.py [--json] [--quick]`.

One venue. The same orders, one after the other, over FIX with the session's file synced before every answer, over
FIX without that, and over WebSocket, in turns of the same run; every order is durable when it is answered. Then many
at once over FIX. Round trips are medians and 99th percentiles of what the client waits.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from picows import WSFrame, WSTransport

from ringfence.testing.fix import FixClient
from ringfence.testing.measure import Result, report
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue, configure, cpu_seconds

QUICK = "--quick" in sys.argv[1:]
TURNS, ORDERS, BURST = (1, 60, 100) if QUICK else (5, 150, 190)
"""An account has at most 200 orders open."""


def fix_turn(client: FixClient, label: str) -> list[float]:
    waits = []
    for number in range(ORDERS):
        name = f"{label}-{number}"
        began = time.perf_counter()
        client.place(name, "1", 100, "9000")
        while not (client.messages and client.messages[-1].get(11) == name):
            client.poll(1)
        waits.append(time.perf_counter() - began)
    clear(client, label)
    return waits


def clear(client: FixClient, label: str) -> None:
    client.send("q", (11, f"{label}-all"), (530, "7"), (60, "20261201-00:00:00.000"))
    client.report(f"{label}-all")
    client.messages.clear()


class Prompt(Socket):
    """Says at once when a frame has come, so that both clients wait in the kernel and neither looks again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.has_come = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        super().on_ws_frame(transport, frame)
        self.has_come.set()


async def websocket_turn(url: str, label: str) -> list[float]:
    socket = await Prompt.signed(url, 2)
    assert isinstance(socket, Prompt)
    waits = []
    for number in range(ORDERS):
        count = len(socket.frames)
        began = time.perf_counter()
        args = {"symbol": "XBTUSD", "orderQty": 100, "price": 9_000, "clOrdID": f"{label}-{number}"}
        socket.say(op="placeOrder", id=number, args=args)
        while len(socket.frames) == count:
            socket.has_come.clear()
            await socket.has_come.wait()
        waits.append(time.perf_counter() - began)
    await socket.order("cancelAllOrders")
    socket.close()
    return waits


def burst(venue: Venue, client: FixClient, label: str) -> tuple[float, float]:
    """Return seconds of wall clock and of the FIX gateway's processor for each order of many that come at once."""
    pid = venue.processes["fix_gateway"].pid
    raw = b"".join(
        client.raw(
            "D", (11, f"{label}-{n}"), (55, "XBTUSD"), (54, 1), (60, "20261201-00:00:00.000"), (38, 100), (40, 2),
            (44, 9000),
        )
        for n in range(BURST)
    )  # fmt: skip
    cpu, began = cpu_seconds(pid), time.perf_counter()
    client.send_raw(raw)
    while len(client.messages) < BURST:
        client.poll(1)
    took, used = time.perf_counter() - began, cpu_seconds(pid) - cpu
    clear(client, label)
    return took / BURST, used / BURST


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


def measure() -> Iterator[Result]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Venue(Path(folder) / "venue", accounts=2, fix=True) as venue,
    ):
        waits: dict[str, list[float]] = {"websocket": [], "fix, synced": [], "fix, not synced": []}
        bursts = []
        client = FixClient(venue.fix_port, 1)
        for turn in range(TURNS):
            for name, sync in (("fix, synced", True), ("fix, not synced", False)):
                configure(venue.directory, {"fix": {"sync": sync}})
                venue.kill("fix_gateway")
                venue.start("fix_gateway")
                client.log_on()
                waits[name] += fix_turn(client, f"{turn}{sync}")
                if sync:
                    bursts.append(burst(venue, client, f"b{turn}"))
                client.log_out()
            waits["websocket"] += asyncio.run(websocket_turn(venue.realtime_url, f"w{turn}"))
        beside = median(waits["websocket"])
        for name, found in waits.items():
            middle = median(found)
            ratio = None if name == "websocket" else middle / beside
            yield Result(f"order round trip, {name}, median", middle * 1e6, "us", "websocket", ratio)
            yield Result(f"order round trip, {name}, 99th percentile", percentile(found, 0.99) * 1e6, "us")
        yield Result(
            f"{BURST} orders at once over fix, synced, each", median(b[0] for b in bursts) * 1e6, "us"
        )
        yield Result("fix gateway's processor for each of these", median(b[1] for b in bursts) * 1e6, "us")


if __name__ == "__main__":
    report(measure())

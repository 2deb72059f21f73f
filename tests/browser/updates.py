"""A market whose book changes so many times a second: one maker amends its orders in turn, each price by a tick."""

import asyncio
import json
import time
from threading import Event, Thread
from typing import Any

import aiohttp

from ringfence.exchange.users.keys import KeyRecord
from ringfence.testing.client import sign

LEVELS = 25
_GAP = 2
"""Ticks between prices that never meet."""


class Updates(Thread):
    """Orders of one account around a price, amended at a steady rate until `stop`."""

    def __init__(self, url: str, key: KeyRecord, *, price: int, per_second: int) -> None:
        super().__init__(daemon=True)
        self._url, self._key, self._price, self._per_second = url, key, price, per_second
        self._stopped, self.is_running, self.sent = Event(), Event(), 0

    def run(self) -> None:
        asyncio.run(self._run())

    def stop(self) -> None:
        self._stopped.set()
        self.join(10)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{self._url}/realtime") as socket:
            await socket.receive()
            expires = int(time.time()) + 60
            signature = sign(self._key.secret, "GET", "/realtime", expires)
            await self._ask(socket, {"op": "authKeyExpires", "args": [self._key.id, expires, signature]})
            orders = []
            for level in range(LEVELS):
                for side, way in (("Buy", -1), ("Sell", 1)):
                    price = self._price + way * (1 + level * _GAP)
                    args = {"symbol": "XBTUSD", "side": side, "orderQty": 100 * (level + 1), "price": price}
                    answer = await self._ask(socket, {"op": "placeOrder", "id": level, "args": args})
                    orders.append([answer["data"]["orderID"], price, 1])
            self.is_running.set()
            reading = asyncio.create_task(self._drain(socket))
            due = time.monotonic()
            while not self._stopped.is_set():
                order = orders[self.sent % len(orders)]
                order[2] = -order[2]
                args = {"orderID": order[0], "price": order[1] + (0.5 if order[2] < 0 else 0)}
                await socket.send_json({"op": "amendOrder", "id": self.sent, "reply": "ack", "args": args})
                self.sent += 1
                due += 1 / self._per_second
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            reading.cancel()

    async def _ask(self, socket: Any, message: dict[str, Any]) -> dict[str, Any]:
        await socket.send_json(message)
        answer: dict[str, Any] = json.loads((await socket.receive()).data)
        assert answer.get("success") or answer.get("status") == 200, answer
        return answer

    async def _drain(self, socket: Any) -> None:
        async for _ in socket:
            pass


FRAMES = """async (milliseconds) => {
    const times = [];
    let before = window.bookMessages, at = performance.now();
    const began = at;
    await new Promise((done) => {
        const frame = (now) => {
            times.push(now - at);
            at = now;
            now - began < milliseconds ? requestAnimationFrame(frame) : done();
        };
        requestAnimationFrame(frame);
    });
    const seconds = (performance.now() - began) / 1000;
    return {
        frames: times.length / seconds, updates: (window.bookMessages - before) / seconds,
        longest: Math.max(...times),
    };
}"""
"""Counts frames, and messages of the book, of a page that `COUNTS` was told to."""

COUNTS = """window.bookMessages = 0;
window.WebSocket = class extends WebSocket {
    constructor(...args) {
        super(...args);
        this.addEventListener("message", ({ data }) => {
            if (data.startsWith('{"table":"orderBookL2"')) window.bookMessages += 1;
        });
    }
};"""

LOAD = """() => {
    const [navigation] = performance.getEntriesByType("navigation");
    return performance.getEntriesByType("resource").concat(navigation).map(
        ({ name, encodedBodySize, responseEnd }) => ({ name, encodedBodySize, responseEnd }));
}"""
"""What was fetched, as it came over the wire."""

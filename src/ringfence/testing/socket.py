"""A WebSocket client for tests: signed in, every table kept as BitMEX's clients keep it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ringfence.testing.client import sign

Row = dict[str, Any]
_WAIT_SECONDS = 5.0


class Socket(WSListener):  # type: ignore[misc]
    """One connection. `frames` has every JSON frame in order; `tables` the rows after all of them.

    Applying frames is strict: a delta before its partial, an update or delete of a row that is not
    there, or an insert of one that is, raises AssertionError.
    """

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.tables: dict[str, list[Row]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self.texts: list[str] = []
        self.is_closed = False
        self.close_code, self.close_reason = 0, ""
        self.faults: list[str] = []

    @classmethod
    async def open(cls, url: str, **headers: str) -> "Socket":
        """Connect. Raises picows.WSHandshakeError if the server refuses."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        _, listener = await ws_connect(cls, url, extra_headers=named)
        assert isinstance(listener, cls)
        return listener

    @classmethod
    async def signed(cls, url: str, account: int) -> "Socket":
        """Connect and authenticate by message."""
        found = await cls.open(url)
        expires = int(time.time()) + 30
        signature = sign(f"secret-{account}", "GET", "/realtime", expires)
        found.say(op="authKeyExpires", args=[f"key-{account}", expires, signature])
        await found.until(lambda frame: frame.get("success") is True)
        return found

    # ---- picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code().value)
            self.close_reason = (frame.get_close_message() or b"").decode()
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            text = frame.get_payload_as_bytes()
            if text == b"pong":
                self.texts.append("pong")
                return
            message = msgspec.json.decode(text)
            self.frames.append(message)
            if isinstance(message, dict) and "table" in message:
                try:
                    self._keep(message)
                except AssertionError as fault:
                    self.faults.append(str(fault))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_closed = True

    def _keep(self, message: Row) -> None:
        table, action, rows = message["table"], message["action"], message["data"]
        if action == "partial":
            self._keys[table] = tuple(message["keys"])
            self.tables[table] = list(rows)
            return
        assert table in self.tables, f"{table}: {action} before its partial"
        keys, kept = self._keys[table], self.tables[table]
        for row in rows:
            if not keys:
                assert action == "insert", f"{table} has no keys and cannot {action}"
                kept.append(row)
                continue
            name = tuple(row[key] for key in keys)
            found = [index for index, old in enumerate(kept) if tuple(old[key] for key in keys) == name]
            if action == "insert":
                assert not found, f"{table}: {name} was inserted twice"
                kept.append(row)
            else:
                assert found, f"{table}: {action} of {name}, which is not there"
                if action == "update":
                    kept[found[0]] = {**kept[found[0]], **row}
                else:
                    del kept[found[0]]

    # ---- what a test does

    def say(self, **message: Any) -> None:
        self.send_text(msgspec.json.encode(message))

    def send_text(self, text: bytes) -> None:
        self._transport.send(WSMsgType.TEXT, text)

    def close(self) -> None:
        self._transport.disconnect()

    def hold(self) -> None:
        """Read nothing until `release`."""
        self._transport.underlying_transport.pause_reading()

    def release(self) -> None:
        self._transport.underlying_transport.resume_reading()

    async def until(self, matches: Callable[[Any], bool], *, since: int = 0) -> Any:
        """Return the first frame from number `since` on that matches. Raises TimeoutError."""
        return await self.wait(lambda: next((f for f in self.frames[since:] if matches(f)), None))

    async def wait(self, find: Callable[[], Any]) -> Any:
        """Return what `find` returns once it is true. Raises TimeoutError."""
        end = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < end:
            if found := find():
                return found
            await asyncio.sleep(0.005)
        raise TimeoutError(f"not seen; the last frames are {self.frames[-5:]}")

    async def subscribe(self, *topics: str) -> None:
        """Subscribe and wait for every partial."""
        begin = len(self.frames)
        self.say(op="subscribe", args=list(topics))
        missing = {topic.partition(":")[0] for topic in topics}

        def all_seen() -> bool:
            seen = {f["table"] for f in self.frames[begin:] if f.get("action") == "partial"}
            return missing <= seen

        await self.wait(all_seen)

    async def order(self, operation: str = "placeOrder", **args: Any) -> Row:
        """Send an order message and return its reply."""
        number = len(self.frames)
        self.say(op=operation, id=f"n{number}", args={"symbol": "XBTUSD", **args})
        reply: Row = await self.until(lambda f: f.get("id") == f"n{number}")
        return reply

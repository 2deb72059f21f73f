"""One authenticated WebSocket connection, with nothing but what BitMEX's clients do and order entry."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

Row = dict[str, Any]
OnRows = Callable[[str, str, list[Row]], None]
"""Called with a table, an action (partial, insert, update, delete) and its rows."""
OnReply = Callable[["Reply"], None]

_SIGNATURE_SECONDS = 60
_ASK_SECONDS = 10


class _Message(msgspec.Struct):
    table: str | None = None
    action: str = ""
    op: str | None = None
    id: int | None = None
    status: int = 0
    data: Any = None
    error: Any = None


class Reply(msgspec.Struct):
    """What came of one order message."""

    status: int
    data: Any = None
    error: str = ""

    @property
    def is_done(self) -> bool:
        return self.status == 200


_decode = msgspec.json.Decoder(_Message).decode


class Connection(WSListener):  # type: ignore[misc]
    """Made by `connect`. Order messages are carried out in the order in which they are sent."""

    def __init__(self, on_rows: OnRows) -> None:
        self._on_rows = on_rows
        self._transport: WSTransport | None = None
        self._waiting: dict[int, OnReply] = {}
        self._sent = 0
        self.closed = asyncio.Event()

    # ---- out

    def say(self, message: Row) -> None:
        """Send a message that has no reply of its own. Nothing happens once the connection is lost."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode(message))

    def subscribe(self, *topics: str) -> None:
        self.say({"op": "subscribe", "args": topics})

    def unsubscribe(self, *topics: str) -> None:
        self.say({"op": "unsubscribe", "args": topics})

    def order(self, operation: str, args: Row, on_reply: OnReply) -> None:
        """Send an order message; `on_reply` hears what came of it, unless the connection is lost first."""
        self._sent += 1
        self._waiting[self._sent] = on_reply
        self.say({"op": operation, "id": self._sent, "args": args})

    async def ask(self, operation: str, args: Row) -> Reply:
        """Send an order message and wait for its reply. Raises TimeoutError, ConnectionError."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.order(operation, args, lambda reply: None if future.done() else future.set_result(reply))
        closing = asyncio.ensure_future(self.closed.wait())
        done, _ = await asyncio.wait(
            (future, closing), timeout=_ASK_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        closing.cancel()
        if future in done:
            return future.result()
        if not done:
            raise TimeoutError(f"no reply to {operation} within {_ASK_SECONDS} s")
        raise ConnectionError("the gateway hung up")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close()
            self._transport.disconnect()

    # ---- picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = _decode(frame.get_payload_as_bytes())
        if message.table is not None:
            self._on_rows(message.table, message.action, message.data)
        elif message.id is not None:
            on_reply = self._waiting.pop(message.id, None)
            if on_reply is not None:
                error = message.error.get("message", "") if isinstance(message.error, dict) else ""
                on_reply(Reply(message.status, message.data, error))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._waiting.clear()
        self.closed.set()


async def connect(url: str, *, key_id: str, secret: str, on_rows: OnRows) -> Connection:
    """Return an open connection that acts for a key. Raises OSError and picows' WSError."""
    expires = str(int(time.time()) + _SIGNATURE_SECONDS)
    signature = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    headers = {"api-key": key_id, "api-expires": expires, "api-signature": signature}
    _, listener = await ws_connect(lambda: Connection(on_rows), url, extra_headers=headers)
    assert isinstance(listener, Connection)
    return listener

"""One realtime connection: frames in are worked on strictly in order, frames out are gathered."""

import asyncio
import logging
from collections.abc import Hashable
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.authentication import require
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.people import Person
from ringfence.exchange.gateway.rest.order import timer_row
from ringfence.exchange.gateway.rest.route import encode
from ringfence.exchange.gateway.schema import PRIVATE_TOPICS, VERSION, websocket_help
from ringfence.exchange.gateway.turns import has_unread
from ringfence.exchange.gateway.websocket.frame import text_frame
from ringfence.exchange.gateway.websocket.orders import ENTRIES, enter
from ringfence.exchange.gateway.websocket.topics import Topic, parse_topic, partial
from ringfence.exchange.users.keys import ApiKey, Permission
from ringfence.messages.commands import Command
from ringfence.units.time import iso

if TYPE_CHECKING:
    from ringfence.exchange.gateway.gateway import Gateway

log = logging.getLogger(__name__)

UNSENT_BYTES_MAX = 3 << 20
"""A client that falls this far behind is disconnected: its book would be wrong for long anyway."""
UNSENT_SECONDS_MAX = 15.0
"""So is one that has not fetched for so long what was sent to it, while more is sent."""
_FAREWELL_SECONDS = 10.0
"""How long the reason may take to get through to it."""
MESSAGE_BYTES_MAX = 1 << 20
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Session(WSListener):  # type: ignore[misc]
    """One client. Made by the gateway after the headers or the query said who it is, if they did."""

    def __init__(self, gateway: "Gateway", address: str, key: ApiKey | None, query: str) -> None:
        self.gateway, self.address, self.key = gateway, address, key
        self.person: Person | None = None
        """Whose cookie came with it."""
        self._query = query
        self._transport: WSTransport | None = None
        self._out: list[bytes] = []
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._topics: dict[str, Topic] = {}
        self._is_counted = False
        self._sent_bytes = 0
        self._mark: tuple[float, int] | None = None
        """(when, bytes sent by then): what waits to be fetched since then."""
        self.who: Hashable = key.account if key is not None else address
        """Whose messages are counted together."""

    # ---- picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.gateway.sessions.add(self)
        self._is_counted = self.gateway.presence.enter(self.address)
        self.gateway.desk.turns.join(self, self.who)
        self.send(
            {"info": "Welcome to the BitMEX Realtime API.", "version": VERSION,
             "timestamp": iso(self.gateway.now_ns()), "docs": "https://www.bitmex.com/app/wsAPI",
             "heartbeatEnabled": False, "limit": {}}
        )  # fmt: skip
        wanted = dict(parse_qsl(self._query)).get("subscribe", "")
        for text in filter(None, wanted.split(",")):
            self._subscribe(text, {"op": "subscribe", "args": [text]})
        self.write_out()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if transport.is_close_frame_sent and kind != WSMsgType.CLOSE:
            return
        if kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            payload = frame.get_payload_as_bytes()
            if not frame.fin or kind == WSMsgType.CONTINUATION:
                self._parts.append(payload)
                self._parts_bytes += len(payload)
                if self._parts_bytes > MESSAGE_BYTES_MAX:
                    transport.send_close(WSCloseCode.MESSAGE_TOO_BIG)
                    transport.disconnect()
                    return
                if not frame.fin:
                    return
                payload, self._parts, self._parts_bytes = b"".join(self._parts), [], 0
            self.gateway.desk.turns.message(self.who, self)
            self._receive(payload)
            if self._out and frame.last_in_buffer:
                self.write_out()
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gateway.sessions.discard(self)
        if self._is_counted:
            self.gateway.presence.leave(self.address)
            self._is_counted = False
        self.gateway.desk.turns.leave(self, self.who)
        self._leave_topics()
        self._transport = None

    def _leave_topics(self) -> None:
        for topic in self._topics.values():
            self._unlisten(topic)
        self._topics.clear()

    def is_here(self) -> bool:
        """Return whether the client can still be answered."""
        return self._transport is not None and not self._transport.underlying_transport.is_closing()

    # ---- turns

    def pause(self) -> None:
        """Read nothing more for now."""
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self.is_here():
            self._transport.underlying_transport.resume_reading()

    def has_unread(self) -> bool:
        return self._transport is not None and has_unread(self._transport.underlying_transport)

    # ---- frames out

    def send(self, message: Any) -> None:
        self.queue(text_frame(encode(message)))

    def queue(self, frame: bytes) -> None:
        """Add a frame to what `write_out` sends."""
        self._out.append(frame)

    @property
    def unsent_bytes(self) -> int:
        """Return how much the socket has not taken yet."""
        return self._transport.underlying_transport.get_write_buffer_size() if self._transport else 0

    def queue_message(self, message: bytes) -> None:
        self._out.append(text_frame(message))

    def write_out(self) -> None:
        """Hand all gathered frames to the socket in one piece."""
        out, self._out = self._out, []
        transport = self._transport
        if transport is None or not out or transport.is_close_frame_sent:
            return
        socket = transport.underlying_transport
        unsent = socket.get_write_buffer_size()
        if unsent and self._is_too_slow(unsent):
            # Dropped before it is written: the close is the last thing that this client is told.
            self._disconnect_slow(transport, unsent)
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        self._sent_bytes += len(data)
        socket.write(data)

    def _is_too_slow(self, unsent: int) -> bool:
        """Return whether too much waits to be fetched, or has for too long."""
        fetched, now = self._sent_bytes - unsent, asyncio.get_running_loop().time()
        if self._mark is None or fetched >= self._mark[1]:
            self._mark = now, self._sent_bytes
        return unsent > UNSENT_BYTES_MAX or now - self._mark[0] > UNSENT_SECONDS_MAX

    def _disconnect_slow(self, transport: WSTransport, unsent: int) -> None:
        """Send no more data, only why; hang up for good when that does not get through either."""
        self.gateway.figures.slow_cut += 1
        log.warning("a client at %s fell %d bytes behind and was disconnected", self.address, unsent)
        self._leave_topics()
        reason = f"slow consumer: {unsent} bytes were not fetched; reconnect and take new partials"
        transport.send_close(WSCloseCode.TRY_AGAIN_LATER, reason.encode())
        # Not closed yet: a socket that is closed before it was read to its end takes back what it has sent.
        loop = asyncio.get_running_loop()
        loop.call_later(_FAREWELL_SECONDS, transport.underlying_transport.abort)

    def reply_soon(self, message: bytes) -> None:
        """Send a reply that became known outside `on_ws_frame`, with others of the same moment."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self.write_out)
        self._out.append(text_frame(message))

    def close(self, code: WSCloseCode, reason: str) -> None:
        if self._transport is not None:
            self.write_out()
            self._transport.send_close(code, reason.encode())
            self._transport.disconnect()

    # ---- messages in

    def _receive(self, payload: bytes) -> None:
        if payload == b"ping":
            self.queue(text_frame(b"pong"))
            return
        if payload == b"help":
            self.send(websocket_help())
            return
        message: Any = None
        try:
            message = _decode(payload)
            if not isinstance(message, dict):
                raise Refused(400, "A message is a JSON object with `op` and `args`")
            self._obey(message)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self._refuse(Refused(400, f"The message is not valid JSON: {error}"), None)
        except Refused as refused:
            self._refuse(refused, message)

    def _obey(self, message: dict[str, Any]) -> None:
        operation = message.get("op")
        if not isinstance(operation, str):
            raise Refused(400, "Unknown op: a text is expected. See /api/v1/schema/websocketHelp.")
        if operation in ENTRIES:
            enter(self, operation, message)
            return
        args = message.get("args", [])
        if operation in ("subscribe", "unsubscribe"):
            texts = [args] if isinstance(args, str) else args
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
                raise Refused(400, "args is invalid: a topic or a list of topics is expected")
            for text in texts:
                (self._subscribe if operation == "subscribe" else self._unsubscribe)(text, message)
        elif operation == "authKeyExpires":
            self._authenticate(args, message)
        elif operation == "cancelAllAfter":
            self._cancel_all_after(args, message)
        elif operation == "ping":
            self.send({"op": "pong"})
        elif operation == "help":
            self.send(websocket_help())
        else:
            raise Refused(400, f"Unknown op: {operation!r}. See /api/v1/schema/websocketHelp.")

    def _refuse(self, refused: Refused, request: Any) -> None:
        meta = {} if refused.retry_after_seconds is None else {"retryAfter": str(refused.retry_after_seconds)}
        self.send(
            {"status": refused.status, "error": refused.message, "meta": meta, "request": request or {}}
        )

    # ---- who it is

    def _authenticate(self, args: Any, message: dict[str, Any]) -> None:
        if self.key is not None:
            raise Refused(400, "You are already authenticated.")
        if not isinstance(args, list) or len(args) != 3:
            raise Refused(400, "args is invalid: [key, expires, signature] is expected")
        try:
            key = self.gateway.websocket_key(str(args[0]), str(args[1]), str(args[2]), self.address)
        except Refused as refused:
            # Closed after the answer, because some clients would wait for ever on an open socket.
            self._refuse(refused, _without_signature(message))
            self.close(WSCloseCode.POLICY_VIOLATION, "authentication failed")
            return
        turns = self.gateway.desk.turns
        turns.leave(self, self.who)
        self.key, self.who = key, key.account
        turns.join(self, self.who)
        self.send({"success": True, "request": message})

    def account_for(self, permission: Permission | None) -> int:
        """Return the account that this connection acts for. Raises Refused."""
        if self.key is None:
            raise Refused(401, "Authorization Required")
        if permission is not None:
            require(self.key, permission)
        return self.key.account

    # ---- topics

    def _subscribe(self, text: str, request: dict[str, Any]) -> None:
        try:
            topic = self._accept(text)
        except Refused as refused:
            self._refuse(refused, request)
            return
        publisher, views = self.gateway.publisher, self.gateway.desk.views
        publisher.flush()
        self.send({"success": True, "subscribe": text, "request": request})
        account = self.key.account if self.key is not None else 0
        self.send(partial(topic, views, views.accounts.get(account), [self.gateway.load.row()]))
        self._topics[text] = topic
        publisher.add(self, topic, account)

    def _accept(self, text: str) -> Topic:
        if text in self._topics:
            raise Refused(400, f"You are already subscribed to this topic: {text}")
        if len(self._topics) >= self.gateway.limits.subscriptions_max:
            raise Refused(429, "Too many subscriptions on one connection")
        topic = parse_topic(text, self.gateway.desk.views)
        if topic.table in PRIVATE_TOPICS:
            self.account_for(None)
        return topic

    def _unsubscribe(self, text: str, request: dict[str, Any]) -> None:
        topic = self._topics.pop(text, None)
        if topic is None:
            self._refuse(Refused(400, f"You are not subscribed to this topic: {text}"), request)
            return
        self._unlisten(topic)
        self.send({"success": True, "unsubscribe": text, "request": request})

    def _unlisten(self, topic: Topic) -> None:
        self.gateway.publisher.remove(self, topic, self.key.account if self.key else 0)

    def wants_whole_rows(self, number: int) -> bool:
        """Return whether one of its topics names this instrument alone."""
        return any(
            t.table == "instrument" and t.numbers == frozenset((number,)) for t in self._topics.values()
        )

    # ---- dead man's switch

    def _cancel_all_after(self, args: Any, message: dict[str, Any]) -> None:
        account = self.account_for(Permission.ORDER_CANCEL)
        value = args[0] if isinstance(args, list) and len(args) == 1 else args
        timeout = read.integer({"timeout": value}, "timeout", low=0)
        if timeout is None:
            raise Refused(400, "args is invalid: milliseconds are expected")
        desk = self.gateway.desk
        desk.check_open()
        token = desk.token()
        command = commands.pack(Command.CANCEL_ALL_AFTER, request=token, account=account, qty=timeout)

        def answer(outcome: Any) -> None:
            if isinstance(outcome, Refused) or outcome[0].refusal is not None:
                refused = outcome if isinstance(outcome, Refused) else self.gateway.refusal_of(outcome[0])
                self._refuse(refused, message)
                self.write_out()
                return
            row = timer_row(outcome[0].value, timeout, desk.views.timestamp_ns)
            self.reply_soon(encode({**row, "request": message}))

        desk.submit(((token, command),), answer, is_here=self.is_here)


def _without_signature(message: dict[str, Any]) -> dict[str, Any]:
    return {"op": message.get("op"), "args": message.get("args", [])[:1]}

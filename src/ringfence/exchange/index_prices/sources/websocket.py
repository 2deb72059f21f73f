"""Last trades as they happen: one connection a venue, connected again when it is lost or says nothing."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from time import time_ns
from typing import Any

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ringfence.exchange.index_prices.constituents import Index
from ringfence.exchange.index_prices.protection import Tick
from ringfence.exchange.index_prices.sources.formats import FORMATS, Format, Reconnect, parse
from ringfence.exchange.index_prices.sources.http import Market, markets_of
from ringfence.exchange.index_prices.sources.quote import Board
from ringfence.messages.constituents import Reference

log = logging.getLogger(__name__)

_PING_SECONDS = 15.0
_SILENCE_SECONDS = 60.0
"""A connection that brings nothing for so long, not even an answer to a ping, is given up."""
_RETRY_SECONDS, _RETRY_SECONDS_MAX = 1.0, 60.0
_CONNECT_SECONDS = 10.0


class WebSocketSource:
    """Listens to every venue that an index needs. `urls` replaces a venue's address, for tests."""

    def __init__(
        self, indices: Iterable[Index], *, urls: Mapping[Reference, str] | None = None,
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:  # fmt: skip
        self._markets: dict[Reference, list[Market]] = defaultdict(list)
        for market in markets_of(indices):
            self._markets[market.reference].append(market)
        self._urls = {reference: form.websocket_url for reference, form in FORMATS.items()} | dict(urls or {})
        self._retry_seconds = retry_seconds
        self.board = Board()
        self.unreadable = 0
        """Messages of a shape that we do not know."""

    def ticks(self, index: Index, *, now_ns: int) -> list[Tick]:
        return self.board.ticks(index)

    async def run(self) -> None:
        await asyncio.gather(*(self._follow(*item) for item in self._markets.items()))

    async def _follow(self, reference: Reference, markets: list[Market]) -> None:
        form = FORMATS[reference]
        by_name = {form.spell_websocket(market.base, market.quote): market for market in markets}
        pause = self._retry_seconds
        while True:
            connection = _Connection(self, form, by_name)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await ws_connect(lambda listener=connection: listener, self._urls[reference])
                log.info("%s: connected", reference.name)
                await self._keep(connection, form)
                log.warning("%s: the connection is lost", reference.name)
            except (OSError, TimeoutError, WSError) as error:
                log.warning("%s: %s; again in %.0f s", reference.name, error or "no answer", pause)
            finally:
                connection.disconnect()
            if connection.heard:
                pause = self._retry_seconds
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RETRY_SECONDS_MAX)

    async def _keep(self, connection: "_Connection", form: Format) -> None:
        """Ping until the connection ends or has said nothing for too long."""
        heard, silent = connection.heard, 0.0
        while silent < _SILENCE_SECONDS:
            try:
                await asyncio.wait_for(connection.closed.wait(), _PING_SECONDS)
            except TimeoutError:
                silent = silent + _PING_SECONDS if connection.heard == heard else 0.0
                heard = connection.heard
                connection.say(form.ping)
            else:
                return


class _Connection(WSListener):  # type: ignore[misc]
    """One connection. What it cannot read it counts and passes over: the price grows stale by itself."""

    def __init__(self, source: WebSocketSource, form: Format, markets: Mapping[str, Market]) -> None:
        self._source, self._form, self._markets = source, form, markets
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self.heard = 0
        self.closed = asyncio.Event()

    def say(self, message: Any) -> None:
        """Send a message, or a WebSocket ping where the venue has none of its own."""
        if self._transport is None:
            return
        if message is None:
            self._transport.send_ping()
            return
        text = message.encode() if isinstance(message, str) else msgspec.json.encode(message)
        self._transport.send(WSMsgType.TEXT, text)

    def disconnect(self) -> None:
        if self._transport is not None:
            self._transport.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        for message in self._form.subscribe(list(self._markets)):
            self.say(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.heard += 1
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                text = b"".join(self._parts)
                self._parts.clear()
                self._read(transport, text)

    def _read(self, transport: WSTransport, text: bytes) -> None:
        if text == b"pong":
            return
        try:
            quotes = self._form.read_websocket(parse(text))
        except Reconnect:
            transport.disconnect()
            return
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self._source.unreadable += 1
            if self._source.unreadable == 1:
                log.warning("a message that cannot be read: %s: %.200r", error, text)
            return
        for quote in quotes:
            market = self._markets.get(quote.market)
            if market is not None:
                self._source.board.hear(market.reference, market.base, market.quote, quote, now_ns=time_ns())

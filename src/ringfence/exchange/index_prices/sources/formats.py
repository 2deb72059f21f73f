"""How venues say their last trade, over HTTP and over WebSocket, and how they are asked.

Public market data, no keys. A reader takes a message that was parsed with exact numbers and returns
what it says of prices: nothing for greetings, acknowledgements and heartbeats. A message of another
shape raises LookupError, TypeError or ValueError; the connection counts it and goes on, and if nothing
else comes the price grows stale.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from ringfence.exchange.index_prices.sources.quote import Quote
from ringfence.messages.constituents import Reference
from ringfence.units.time import NS_PER_MS, NS_PER_SECOND, parse_iso

MESSAGE_BYTES_MAX = 1 << 20


class Format(NamedTuple):
    """One venue. `{market}` in `http_url` is its name of a market."""

    http_url: str
    read_http: Callable[[Any, str], list[Quote]]
    """(message, market asked for) -> quotes."""
    spell_http: Callable[[str, str], str]
    """(base, quote) -> the venue's name of the market in `http_url`."""
    websocket_url: str
    subscribe: Callable[[list[str]], list[Any]]
    """Market names -> messages to send; text is sent as it is."""
    read_websocket: Callable[[Any], list[Quote]]
    spell_websocket: Callable[[str, str], str]
    ping: Any = None
    """What keeps the connection, every few seconds; None = nothing is needed."""


class Reconnect(Exception):
    """The venue asks us to connect again."""


def parse(text: bytes | str) -> Any:
    """Return a message with exact numbers. NaN and Infinity, which JSON has not, come as text: no price.

    Raises ValueError.
    """
    if len(text) > MESSAGE_BYTES_MAX:
        raise ValueError(f"a message of {len(text)} bytes")
    return json.loads(text, parse_float=Decimal, parse_constant=str)


def _coin(name: str) -> str:
    return "BTC" if name == "XBT" else name


def _joined(between: str, *, lower: bool = False) -> Callable[[str, str], str]:
    def spell(base: str, quote: str) -> str:
        name = f"{_coin(base)}{between}{_coin(quote)}"
        return name.lower() if lower else name

    return spell


def _ms(stamp: Any) -> int:
    return int(stamp) * NS_PER_MS


# ---- Coinbase Exchange


def _coinbase_http(message: Any, market: str) -> list[Quote]:
    return [Quote(market, message["price"], parse_iso(message["time"]))]


def _coinbase_subscribe(markets: list[str]) -> list[Any]:
    return [{"type": "subscribe", "product_ids": markets, "channels": ["ticker"]}]


def _coinbase_websocket(message: Any) -> list[Quote]:
    if message["type"] != "ticker":
        return []
    return [Quote(message["product_id"], message["price"], parse_iso(message["time"]))]


# ---- Kraken: REST 0, WebSocket v2


def _kraken_http(message: Any, market: str) -> list[Quote]:
    if message["error"]:
        raise ValueError(str(message["error"]))
    ((_, ticker),) = message["result"].items()  # under Kraken's own name, XXBTZUSD
    return [Quote(market, ticker["c"][0], 0)]


def _kraken_subscribe(markets: list[str]) -> list[Any]:
    return [{"method": "subscribe", "params": {"channel": "trade", "symbol": markets, "snapshot": True}}]


def _kraken_websocket(message: Any) -> list[Quote]:
    if message.get("channel") != "trade":
        return []
    return [
        Quote(trade["symbol"], trade["price"], parse_iso(trade["timestamp"])) for trade in message["data"]
    ]


# ---- Bitstamp


def _bitstamp_http(message: Any, market: str) -> list[Quote]:
    return [Quote(market, message["last"], int(message["timestamp"]) * NS_PER_SECOND)]


def _bitstamp_subscribe(markets: list[str]) -> list[Any]:
    return [{"event": "bts:subscribe", "data": {"channel": f"live_trades_{market}"}} for market in markets]


def _bitstamp_websocket(message: Any) -> list[Quote]:
    if message["event"] == "bts:request_reconnect":
        raise Reconnect("bts:request_reconnect")
    if message["event"] != "trade":
        return []
    trade = message["data"]
    market = message["channel"].removeprefix("live_trades_")
    return [Quote(market, trade["price_str"], int(trade["microtimestamp"]) * 1_000)]


# ---- Gemini: REST v1, market data v2


def _gemini_http(message: Any, market: str) -> list[Quote]:
    return [Quote(market, trade["price"], _ms(trade["timestampms"])) for trade in reversed(message)]


def _gemini_subscribe(markets: list[str]) -> list[Any]:
    return [{"type": "subscribe", "subscriptions": [{"name": "l2", "symbols": markets}]}]


def _gemini_websocket(message: Any) -> list[Quote]:
    if message["type"] == "trade":
        return [Quote(message["symbol"], message["price"], _ms(message["timestamp"]))]
    if message["type"] == "l2_updates":
        trades = reversed(message.get("trades", ()))  # newest first
        return [Quote(trade["symbol"], trade["price"], _ms(trade["timestamp"])) for trade in trades]
    return []


# ---- Binance spot


def _binance_http(message: Any, market: str) -> list[Quote]:
    return [Quote(market, trade["price"], _ms(trade["time"])) for trade in message]


def _binance_subscribe(markets: list[str]) -> list[Any]:
    return [{"method": "SUBSCRIBE", "params": [f"{market.lower()}@trade" for market in markets], "id": 1}]


def _binance_websocket(message: Any) -> list[Quote]:
    if message.get("e") != "trade":
        return []
    return [Quote(message["s"], message["p"], _ms(message["T"]))]


# ---- OKX v5


def _okx_http(message: Any, market: str) -> list[Quote]:
    if message["code"] != "0":
        raise ValueError(f"{message['code']} {message.get('msg', '')}")
    return [Quote(ticker["instId"], ticker["last"], _ms(ticker["ts"])) for ticker in message["data"]]


def _okx_subscribe(markets: list[str]) -> list[Any]:
    return [{"op": "subscribe", "args": [{"channel": "trades", "instId": market} for market in markets]}]


def _okx_websocket(message: Any) -> list[Quote]:
    if "event" in message or message["arg"]["channel"] != "trades":
        return []
    return [Quote(trade["instId"], trade["px"], _ms(trade["ts"])) for trade in message["data"]]


# ---- Bybit v5 spot


def _bybit_http(message: Any, market: str) -> list[Quote]:
    if message["retCode"] != 0:
        raise ValueError(f"{message['retCode']} {message.get('retMsg', '')}")
    trades = reversed(message["result"]["list"])
    return [Quote(trade["symbol"], trade["price"], _ms(trade["time"])) for trade in trades]


def _bybit_subscribe(markets: list[str]) -> list[Any]:
    return [{"op": "subscribe", "args": [f"publicTrade.{market}" for market in markets]}]


def _bybit_websocket(message: Any) -> list[Quote]:
    if not str(message.get("topic", "")).startswith("publicTrade."):
        return []
    return [Quote(trade["s"], trade["p"], _ms(trade["T"])) for trade in message["data"]]


FORMATS: dict[Reference, Format] = {
    Reference.COINBASE: Format(
        "https://api.exchange.coinbase.com/products/{market}/ticker", _coinbase_http, _joined("-"),
        "wss://ws-feed.exchange.coinbase.com", _coinbase_subscribe, _coinbase_websocket, _joined("-"),
    ),
    Reference.KRAKEN: Format(
        "https://api.kraken.com/0/public/Ticker?pair={market}", _kraken_http,
        lambda base, quote: base + quote,  # Kraken calls it XBT, as we do
        "wss://ws.kraken.com/v2", _kraken_subscribe, _kraken_websocket, _joined("/"), {"method": "ping"},
    ),
    Reference.BITSTAMP: Format(
        "https://www.bitstamp.net/api/v2/ticker/{market}/", _bitstamp_http, _joined("", lower=True),
        "wss://ws.bitstamp.net", _bitstamp_subscribe, _bitstamp_websocket, _joined("", lower=True),
        {"event": "bts:heartbeat"},
    ),
    Reference.GEMINI: Format(
        "https://api.gemini.com/v1/trades/{market}?limit_trades=1", _gemini_http, _joined("", lower=True),
        "wss://api.gemini.com/v2/marketdata", _gemini_subscribe, _gemini_websocket, _joined(""),
    ),
    Reference.BINANCE: Format(
        "https://api.binance.com/api/v3/trades?symbol={market}&limit=1", _binance_http, _joined(""),
        "wss://stream.binance.com:9443/ws", _binance_subscribe, _binance_websocket, _joined(""),
    ),
    Reference.OKX: Format(
        "https://www.okx.com/api/v5/market/ticker?instId={market}", _okx_http, _joined("-"),
        "wss://ws.okx.com:8443/ws/v5/public", _okx_subscribe, _okx_websocket, _joined("-"), "ping",
    ),
    Reference.BYBIT: Format(
        "https://api.bybit.com/v5/market/recent-trade?category=spot&symbol={market}&limit=1", _bybit_http,
        _joined(""),
        "wss://stream.bybit.com/v5/public/spot", _bybit_subscribe, _bybit_websocket, _joined(""),
        {"op": "ping"},
    ),
}  # fmt: skip
"""Shapes as the venues document them; tests/unit/test_index_sources.py has a sample of each."""

"""What is wrong is refused by name, and nothing has changed after it."""

import hashlib
import time
from typing import Any

import pytest

from ringfence.testing.client import Client, sign

ORDER: dict[str, Any] = {"symbol": "XBTUSD", "orderQty": 100, "price": 9_000}


def order(**changed: Any) -> dict[str, Any]:
    """Return a good order with something changed; `...` takes a field away."""
    return {name: value for name, value in {**ORDER, **changed}.items() if value is not ...}


@pytest.fixture(scope="module", autouse=True)
def standing_order(venue: Any) -> dict[str, Any]:
    """Alice has an order in the book and one that waits, so that there is something to lose."""
    Client(venue.port, 1).place(orderQty=100, stopPx=11_000, clOrdID="waits")
    return Client(venue.port, 1).place(orderQty=100, price=8_000, clOrdID="stands").value


def state(venue: Any) -> str:
    """Return a hash of everything that a trader could lose."""
    alice = Client(venue.port, 1)
    paths = ["/order?reverse=true", "/position", "/user/margin?currency=all", "/user/wallet?currency=all",
             "/execution?reverse=true&count=500", "/orderBook/L2?symbol=XBTUSD&depth=0", "/apiKey"]  # fmt: skip
    return hashlib.sha256(b"".join(alice.call("GET", path).body for path in paths)).hexdigest()


DEEP = b'{"symbol":' + b"[" * 50_000 + b"]" * 50_000 + b"}"

# (what is sent as JSON, expected part of the message); all POST /order, refused with 400
BAD_ORDERS: list[tuple[Any, str]] = [
    (order(symbol=...), "symbol is required"),
    (order(symbol=""), "symbol is required"),
    (order(symbol=None), "symbol is required"),
    (order(symbol="NOPE"), "Invalid symbol"),
    (order(symbol=17), "symbol is required"),
    (order(symbol=["XBTUSD"]), "symbol is required"),
    (order(symbol="XBTUSD'; DROP TABLE orders"), "Invalid symbol"),
    (order(symbol=".BXBT"), "Invalid symbol"),
    (order(orderQty=...), "Invalid orderQty"),
    (order(orderQty=0), "Invalid orderQty"),
    (order(orderQty=150), "Invalid orderQty"),
    (order(orderQty=100.5), "Invalid orderQty"),
    (order(orderQty="many"), "Invalid orderQty"),
    (order(orderQty=True), "Invalid orderQty"),
    (order(orderQty=[100]), "Invalid orderQty"),
    (order(orderQty={"a": 1}), "Invalid orderQty"),
    (order(orderQty=-100, side="Buy"), "Invalid orderQty"),
    (order(orderQty=20_000_000), "Invalid orderQty"),
    (order(orderQty=2**62), "Invalid orderQty"),
    (order(orderQty=2**63 - 1), "Invalid orderQty"),
    (order(orderQty="1e400"), "Invalid orderQty"),
    (order(orderQty="9" * 300), "Invalid orderQty"),
    (order(orderQty="NaN"), "Invalid orderQty"),
    (order(orderQty="Infinity"), "Invalid orderQty"),
    (order(orderQty="-Infinity"), "Invalid orderQty"),
    (order(orderQty="1e-30"), "Invalid orderQty"),
    (order(price=0), "Invalid price"),
    (order(price=-5), "Invalid price"),
    (order(price="NaN"), "Invalid price"),
    (order(price="sNaN"), "Invalid price"),
    (order(price="Infinity"), "Invalid price"),
    (order(price=1e300), "Invalid price"),
    (order(price="1e999999999"), "Invalid price"),
    (order(price="1e-999999999"), "Invalid price"),
    (order(price=1_000_001), "Invalid price"),
    (order(price=9_000.05), "Invalid price tickSize"),
    (order(price="9000.00000000000000001"), "Invalid price tickSize"),
    (order(price="cheap"), "Invalid price"),
    (order(price=[9000]), "Invalid price"),
    (order(price=False), "Invalid price"),
    (order(price=..., ordType="Limit"), "Invalid price"),
    (order(price=20_000), "Price greater than limitUpPrice"),
    (order(price=100, orderQty=-500), "Price less than limitDownPrice"),
    (order(side="Long"), "Invalid side"),
    (order(side=1), "Invalid side"),
    (order(side=["Buy"]), "Invalid side"),
    (order(ordType="Stop", stopPx=9_000), "Invalid price for ordType"),
    (order(ordType="MarketIfTouched", stopPx=9_000), "Invalid price for ordType"),
    (order(ordType="Stop", price=...), "Invalid stopPx for ordType"),
    (order(ordType="StopLimit"), "Invalid stopPx for ordType"),
    (order(ordType="LimitIfTouched", stopPx=9_500, price=...), "Invalid price"),
    (order(ordType="Market", price=..., stopPx=9_500), "Invalid stopPx for ordType"),
    (order(ordType="MarketWithLeftOverAsLimit"), "Unsupported ordType"),
    (order(ordType="limit"), "Unsupported ordType"),
    (order(ordType=3), "Unsupported ordType"),
    (order(ordType=["Limit"]), "Unsupported ordType"),
    (order(ordType="Limit", stopPx=9_500), "Invalid stopPx for ordType"),
    (order(price=..., stopPx=0), "Invalid stopPx"),
    (order(price=..., stopPx=-1), "Invalid stopPx"),
    (order(price=..., stopPx=1_000_001), "Invalid stopPx"),
    (order(price=..., stopPx=9_500.05), "Invalid stopPx tickSize"),
    (order(price=..., stopPx="NaN"), "Invalid stopPx"),
    (order(price=..., stopPx="Infinity"), "Invalid stopPx"),
    (order(price=..., stopPx="high"), "Invalid stopPx"),
    (order(price=..., stopPx=[9_500]), "Invalid stopPx"),
    (order(price=..., stopPx=True), "Invalid stopPx"),
    (order(price=..., stopPx=9_500, orderQty=150), "Invalid orderQty"),
    (order(price=..., stopPx=9_500, orderQty=...), "Invalid orderQty"),
    (order(price=..., stopPx=9_500, orderQty=0), "Invalid orderQty"),
    (order(price=..., stopPx=9_500, displayQty=100), "Invalid displayQty"),
    (order(price=..., stopPx=9_500, orderQty=..., execInst="Close"), "Invalid side"),
    (order(price=..., stopPx=9_500, execInst="Close,ParticipateDoNotInitiate"), "Invalid execInst"),
    (order(price=..., stopPx=9_500, execInst="LastPrice,IndexPrice"), "Invalid execInst"),
    (order(price=..., stopPx=9_500, execInst="LastWithinMark"), "Invalid execInst"),
    (order(price=..., stopPx=9_500, execInst="MarkPrice,LastWithinMark"), "Invalid execInst"),
    (order(execInst="LastPrice"), "Invalid ordType for execInst"),
    (order(execInst="Fixed"), "Invalid ordType for execInst"),
    (order(price=..., pegPriceType="PrimaryPeg"), "Invalid execInst"),
    (order(price=..., pegPriceType="MidPricePeg", execInst="Fixed"), "Unsupported pegPriceType"),
    (order(price=..., pegPriceType="LastPeg", execInst="Fixed"), "Unsupported pegPriceType"),
    (order(price=..., pegPriceType=7), "Unsupported pegPriceType"),
    (order(price=..., pegPriceType=["PrimaryPeg"]), "Unsupported pegPriceType"),
    (order(price=..., ordType="Pegged", execInst="Fixed"), "Invalid pegPriceType for ordType"),
    (order(pegPriceType="PrimaryPeg", execInst="Fixed"), "Invalid price for ordType"),
    (order(ordType="Limit", pegPriceType="PrimaryPeg", execInst="Fixed"), "Invalid pegPriceType for ordType"),
    (order(pegOffsetValue=5), "Invalid pegOffsetValue for pegPriceType"),
    (order(price=..., pegPriceType="TrailingStopPeg"), "Invalid pegOffsetValue for pegPriceType"),
    (order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue=0), "Invalid pegOffsetValue"),
    (order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue=-5), "Invalid pegOffsetValue"),
    (
        order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue=5, orderQty=-100),
        "Invalid pegOffsetValue",
    ),
    (
        order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue=0.01),
        "Invalid pegOffsetValue tickSize",
    ),
    (order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue=10**12), "Invalid pegOffsetValue"),
    (order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue="NaN"), "Invalid pegOffsetValue"),
    (order(price=..., pegPriceType="TrailingStopPeg", pegOffsetValue={"a": 1}), "Invalid pegOffsetValue"),
    (
        order(symbol="XBT_USDT", orderQty=1000, price=..., stopPx=9_000, execInst="MarkPrice"),
        "Invalid execInst",
    ),
    (
        order(symbol="XBT_USDT", orderQty=1000, price=..., stopPx=9_000, execInst="IndexPrice"),
        "Invalid execInst",
    ),
    (order(simpleOrderQty=1), "simpleOrderQty is no longer supported"),
    (order(timeInForce="Tomorrow"), "Unsupported timeInForce"),
    (order(timeInForce=7), "Unsupported timeInForce"),
    (order(timeInForce=["Day"]), "Unsupported timeInForce"),
    (order(execInst="AllOrNone"), "Unsupported execInst"),
    (order(execInst="ReduceOnly,Nonsense"), "Unsupported execInst"),
    (order(execInst=8), "Invalid execInst"),
    (order(execInst=["ReduceOnly"]), "Invalid execInst"),
    (order(execInst="ReduceOnly"), "current position is 0"),
    (order(execInst="Close", orderQty=...), "current position is 0"),
    (order(execInst="ParticipateDoNotInitiate", timeInForce="ImmediateOrCancel"), "Invalid execInst"),
    (order(execInst="ParticipateDoNotInitiate", ordType="Market", price=...), "Invalid execInst"),
    (order(symbol="XBT_USDT", orderQty=1000, execInst="ReduceOnly"), "Invalid execInst"),
    (order(displayQty=-1), "Invalid displayQty"),
    (order(displayQty=50), "Invalid displayQty"),
    (order(displayQty=200), "Invalid displayQty"),
    (order(displayQty=1.5), "Invalid displayQty"),
    (order(displayQty=2**40), "Invalid displayQty"),
    (order(displayQty="all"), "Invalid displayQty"),
    (order(clOrdID="x" * 37), "Invalid clOrdID"),
    (order(clOrdID=12345), "Invalid clOrdID"),
    (order(clOrdID="a\u0000b"), "Invalid clOrdID"),
    (order(clOrdID={"$ne": None}), "Invalid clOrdID"),
    (order(clOrdID="stands"), "Duplicate clOrdID"),
    (order(clOrdLinkID="group"), "Invalid clOrdLinkID for contingencyType"),
    (order(contingencyType="OneCancelsTheOther"), "Invalid clOrdLinkID for contingencyType"),
    (order(clOrdLinkID="group", contingencyType="OneUpdatesTheOtherAbsolute"), "Unsupported contingencyType"),
    (order(clOrdLinkID="group", contingencyType=1), "Unsupported contingencyType"),
    (order(clOrdLinkID="x" * 37, contingencyType="OneCancelsTheOther"), "Invalid clOrdLinkID"),
    (order(clOrdLinkID={"a": 1}, contingencyType="OneCancelsTheOther"), "Invalid clOrdLinkID"),
    (order(text="x" * 300), "text is invalid"),
    (order(text={"a": "b"}), "text is invalid"),
    (order(text="bell \u0007"), "text is invalid"),
    (order(orderQty=10_000_000, price=9_900), "insufficient Available Balance|Risk Limit"),
    (order(symbol="XBT_USDT", orderQty=1_000_000_000, price=900_000), "insufficient Available Balance"),
]


@pytest.mark.parametrize(("body", "message"), BAD_ORDERS)
def test_a_bad_order_is_refused_and_nothing_changes(
    venue: Any, alice: Client, body: Any, message: str
) -> None:
    before = state(venue)
    answer = alice.call("POST", "/order", body)
    assert answer.status == 400, answer
    assert any(part in answer.error for part in message.split("|")), answer.error
    assert state(venue) == before


# (method, path, raw body, content type, status, expected part of the message)
BAD_BODIES: list[tuple[str, str, bytes, str, int, str]] = [
    ("POST", "/order", b"{", "application/json", 400, "not valid JSON"),
    ("POST", "/order", b"[]", "application/json", 400, "must be a JSON object"),
    ("POST", "/order", b'"text"', "application/json", 400, "must be a JSON object"),
    ("POST", "/order", b"17", "application/json", 400, "must be a JSON object"),
    ("POST", "/order", b"null", "application/json", 400, "symbol is required"),
    ("POST", "/order", b"", "application/json", 400, "symbol is required"),
    ("POST", "/order", DEEP, "application/json", 400, "not valid JSON"),
    ("POST", "/order", b'{"symbol":"XBTUSD","orderQty":NaN}', "application/json", 400, "not valid JSON"),
    ("POST", "/order", b'{"symbol":"XBTUSD","orderQty":1e999999999999}', "application/json", 400, "orderQty|JSON"),
    ("POST", "/order", b'{"symbol":"XBTUSD","orderQty":' + b"9" * 5000 + b"}",
     "application/json", 400, "orderQty|JSON"),
    ("POST", "/order", b'{"symbol":"XBTUSD","price":0x10}', "application/json", 400, "not valid JSON"),
    ("POST", "/order", b'{"symbol":"\xff\xfe"}', "application/json", 400, "not valid JSON"),
    ("POST", "/order", b'{"symbol":"\\ud800","orderQty":100}', "application/json", 400, "symbol|JSON"),
    ("POST", "/order", b"symbol=XBTUSD&orderQty=abc", "application/x-www-form-urlencoded", 400, "Invalid orderQty"),
    ("POST", "/order", b"symbol=XBTUSD&orderQty=%ff%fe", "application/x-www-form-urlencoded", 400, "cannot be read"),
    ("POST", "/order", b"&".join(b"a%d=1" % n for n in range(300)),
     "application/x-www-form-urlencoded", 400, "cannot be read"),
    ("POST", "/order", b"x" * (1 << 20) + b"yz", "application/json", 413, "longer than"),
    ("POST", "/order/bulk", b'{"orders":[]}', "application/json", 400, "orders is invalid"),
    ("POST", "/order/bulk", b'{"orders":"[1,2]"}', "application/json", 400, "orders is invalid"),
    ("POST", "/order/bulk", b'{"orders":[{"symbol":"XBTUSD","orderQty":100,"price":9000},{"symbol":"NOPE"}]}',
     "application/json", 400, "Invalid symbol"),
    ("PUT", "/order", b"{}", "application/json", 400, "orderID or origClOrdID is required"),
    ("PUT", "/order", b'{"origClOrdID":"never"}', "application/json", 400, "Invalid origClOrdID"),
    ("PUT", "/order", b'{"orderID":"no-such"}', "application/json", 400, "Invalid orderID"),
    ("PUT", "/order", b'{"origClOrdID":"stands"}', "application/json", 400, "Nothing to amend"),
    ("PUT", "/order", b'{"origClOrdID":"stands","orderQty":150}', "application/json", 400, "Invalid orderQty"),
    ("PUT", "/order", b'{"origClOrdID":"stands","orderQty":0}', "application/json", 400, "Invalid orderQty"),
    ("PUT", "/order", b'{"origClOrdID":"stands","price":8000.03}', "application/json", 400, "tickSize"),
    ("PUT", "/order", b'{"origClOrdID":"stands","orderQty":200,"leavesQty":100}', "application/json", 400, "not both"),
    ("PUT", "/order", b'{"origClOrdID":"stands","stopPx":5}', "application/json", 400, "Invalid stopPx"),
    ("PUT", "/order", b'{"origClOrdID":"stands","pegOffsetValue":5}', "application/json", 400,
     "Invalid pegOffsetValue"),
    ("PUT", "/order", b'{"origClOrdID":"waits","stopPx":11000.05}', "application/json", 400, "Invalid stopPx tickSize"),
    ("PUT", "/order", b'{"origClOrdID":"waits","stopPx":-1}', "application/json", 400, "Invalid stopPx"),
    ("PUT", "/order", b'{"origClOrdID":"waits","stopPx":"x"}', "application/json", 400, "Invalid stopPx"),
    ("PUT", "/order", b'{"origClOrdID":"waits","pegOffsetValue":5}', "application/json", 400,
     "Invalid pegOffsetValue"),
    ("PUT", "/order", b'{"origClOrdID":"waits","price":9000}', "application/json", 400, "Invalid price"),
    ("PUT", "/order", b'{"origClOrdID":"waits","orderQty":150}', "application/json", 400, "Invalid orderQty"),
    ("GET", "/order/outcome", b"", "application/json", 400, "orderID or clOrdID is required"),
    ("GET", "/order/outcome?clOrdID=a&orderID=b", b"", "application/json", 400, "not both"),
    ("GET", "/order/outcome?clOrdID=" + "x" * 37, b"", "application/json", 400, "Invalid clOrdID"),
    ("POST", "/user/addSubaccount", b'{"accountName":"x"}', "application/json", 403, "Access Denied"),
    ("POST", "/user/walletTransfer", b'{"currency":"XBt","amount":5,"targetAccountId":2}',
     "application/json", 403, "Access Denied"),
    ("GET", "/user/wallet?targetAccountId=2", b"", "application/json", 403, "Access Denied"),
    ("GET", "/user/walletHistory?targetAccountId=2", b"", "application/json", 403, "Access Denied"),
    ("GET", "/user/margin?targetAccountId=x", b"", "application/json", 400, "Invalid targetAccountId"),
    ("GET", "/user/margin?targetAccountId=-1", b"", "application/json", 400, "Invalid targetAccountId"),
    ("DELETE", "/order", b"{}", "application/json", 400, "orderID or clOrdID is required"),
    ("DELETE", "/order", b'{"orderID":"nope"}', "application/json", 404, "Not Found"),
    ("DELETE", "/order", b'{"orderID":"00000000-0000-8fff-8000-0000000fffff"}', "application/json", 404, "Not Found"),
    ("DELETE", "/order", b'{"clOrdID":"never"}', "application/json", 404, "Not Found"),
    ("DELETE", "/order", b'{"orderID":[1,2]}', "application/json", 400, "orderID is invalid"),
    ("DELETE", "/order/all", b'{"symbol":"NOPE"}', "application/json", 400, "Invalid symbol"),
    ("DELETE", "/order/all", b'{"filter":{"color":"red"}}', "application/json", 400, "filter columns"),
    ("DELETE", "/order/all", b'{"filter":{"side":"Up"}}', "application/json", 400, "filter values"),
    ("POST", "/order/cancelAllAfter", b"{}", "application/json", 400, "timeout is required"),
    ("POST", "/order/cancelAllAfter", b'{"timeout":-1}', "application/json", 400, "Invalid timeout"),
    ("POST", "/order/cancelAllAfter", b'{"timeout":1.5}', "application/json", 400, "Invalid timeout"),
    ("POST", "/order/cancelAllAfter", b'{"timeout":1e15}', "application/json", 400, "Invalid timeout"),
    ("POST", "/position/leverage", b'{"symbol":"XBTUSD"}', "application/json", 400, "Invalid leverage"),
    ("POST", "/position/leverage", b'{"symbol":"XBTUSD","leverage":101}', "application/json", 400, "leverage"),
    ("POST", "/position/leverage", b'{"symbol":"XBTUSD","leverage":-1}', "application/json", 400, "Invalid leverage"),
    ("POST", "/position/leverage", b'{"symbol":"XBTUSD","leverage":2.555}',
     "application/json", 400, "Invalid leverage"),
    ("POST", "/position/leverage", b'{"symbol":"XBT_USDT","leverage":2}', "application/json", 400, "Invalid symbol"),
    ("POST", "/position/riskLimit", b'{"symbol":"XBTUSD","riskLimit":0}', "application/json", 400, "Invalid riskLimit"),
    ("POST", "/position/riskLimit", b'{"symbol":"XBTUSD","riskLimit":9000000000000000}',
     "application/json", 400, "riskLimit"),
    ("POST", "/position/transferMargin", b'{"symbol":"XBTUSD","amount":5}', "application/json", 400, "cross margin"),
    ("POST", "/position/transferMargin", b'{"symbol":"XBTUSD","amount":0}', "application/json", 400, "Invalid amount"),
    ("POST", "/position/isolate", b'{"symbol":"XBTUSD","enabled":"maybe"}',
     "application/json", 400, "enabled is invalid"),
    ("POST", "/user/requestWithdrawal", b'{"currency":"XBt","network":"btc","amount":5}',
     "application/json", 403, "Access Denied"),
    ("GET", "/user/depositAddress?currency=XBt&network=btc", b"", "application/json", 400, "no wallets yet"),
    ("GET", "/order?filter=%7B", b"", "application/json", 400, "filter is not valid"),
    ("GET", "/order?filter=17", b"", "application/json", 400, "filter values"),
    ("GET", '/order?filter={"secret":1}', b"", "application/json", 400, "filter columns"),
    ("GET", '/order?filter={"side":{"$gt":""}}', b"", "application/json", 400, "filter values"),
    ("GET", "/order?columns=%5B%22nope%22%5D", b"", "application/json", 400, "columns are not valid"),
    ("GET", "/order?count=501", b"", "application/json", 400, "count is invalid"),
    ("GET", "/order?count=-1", b"", "application/json", 400, "Invalid count"),
    ("GET", "/order?start=x", b"", "application/json", 400, "Invalid start"),
    ("GET", "/order?startTime=yesterday", b"", "application/json", 400, "startTime is invalid"),
    ("GET", "/order?reverse=perhaps", b"", "application/json", 400, "reverse is invalid"),
    ("GET", "/trade/bucketed?binSize=7m", b"", "application/json", 400, "binSize is invalid"),
    ("GET", "/orderBook/L2", b"", "application/json", 400, "symbol is required"),
    ("GET", "/orderBook/L2?symbol=NOPE", b"", "application/json", 400, "Invalid symbol"),
    ("GET", "/user/margin?currency=EUR", b"", "application/json", 400, "Invalid currency"),
    ("GET", "/nothing/here", b"", "application/json", 404, "Not Found"),
    ("POST", "/trade", b"{}", "application/json", 405, "use GET"),
    ("PATCH", "/order", b"{}", "application/json", 405, "use DELETE, GET, POST, PUT"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "kind", "status", "message"), BAD_BODIES)
def test_a_malformed_request_is_refused_and_nothing_changes(
    venue: Any, alice: Client, method: str, path: str, body: bytes, kind: str, status: int, message: str
) -> None:
    before = state(venue)
    answer = alice.call(method, path.replace('"', "%22").replace("{", "%7B").replace("}", "%7D"), raw=body,
                        content_type=kind)  # fmt: skip
    assert answer.status == status, answer
    assert any(part in answer.error for part in message.split("|")), answer.error
    assert state(venue) == before


def signed(key: str, secret: str, *, expires: int | str | None = None, **wrong: str) -> dict[str, str]:
    stamp = int(time.time()) + 3600 if expires is None else expires
    signature = sign(secret, "GET", "/api/v1/user", stamp)
    return {"api_key": key, "api_expires": str(stamp), "api_signature": signature, **wrong}


NOW = int(time.time())
# (headers of a GET /user, status, expected part of the message)
BAD_CALLERS: list[tuple[dict[str, str], int, str]] = [
    ({}, 401, "Authorization Required"),
    (signed("key-99", "secret-1"), 401, "Invalid API Key."),
    (signed("key-1", "secret-2"), 401, "Signature not valid."),
    (signed("key-1", "secret-1", api_signature="00" * 32), 401, "Signature not valid."),
    (signed("key-1", "secret-1", api_signature=""), 401, "Signature not valid."),
    (signed("key-1", "secret-1", api_signature="\u00e9"), 401, "Signature not valid."),
    (
        signed("key-1", "secret-1", api_signature=sign("secret-1", "GET", "/api/v1/user", NOW + 99)),
        401,
        "Signature",
    ),
    (signed("key-1", "secret-1", expires=NOW - 5), 401, "expired"),
    (signed("key-1", "secret-1", expires="soon"), 401, "Invalid api-expires"),
    (signed("key-1", "secret-1", expires="-5"), 401, "Invalid api-expires"),
    (signed("key-1", "secret-1", expires="9" * 40), 401, "Invalid api-expires"),
    (signed("key-1", "secret-1", api_expires=""), 401, "api-expires is missing"),
    (signed("key-off", "secret-1"), 403, "This key is disabled."),
    (signed("key-elsewhere", "secret-1"), 403, "Access Denied"),
    (signed("key-nobody", "secret-1"), 403, "Invalid account"),
]


@pytest.mark.parametrize(("headers", "status", "message"), BAD_CALLERS)
def test_a_caller_who_is_not_who_he_says_is_turned_away(
    anyone: Client, headers: dict[str, str], status: int, message: str
) -> None:
    answer = anyone.send("GET", "/api/v1/user", **headers)
    assert answer.status == status, answer
    assert message in answer.error


@pytest.mark.parametrize(
    ("key", "method", "path", "body", "status"),
    [
        ("key-read", "POST", "/order", ORDER, 403),
        ("key-read", "DELETE", "/order/all", {}, 403),
        ("key-read", "POST", "/position/leverage", {"symbol": "XBTUSD", "leverage": 3}, 403),
        ("key-cancel", "POST", "/order", ORDER, 403),
        ("key-cancel", "PUT", "/order", {"origClOrdID": "stands", "orderQty": 200}, 403),
        ("key-cancel", "DELETE", "/order", {"clOrdID": "never"}, 404),
        ("key-read", "GET", "/user", None, 200),
    ],
)
def test_a_key_does_what_it_is_permitted_and_no_more(
    venue: Any, anyone: Client, key: str, method: str, path: str, body: Any, status: int
) -> None:
    import msgspec

    raw = b"" if body is None else msgspec.json.encode(body)
    expires = int(time.time()) + 30
    before = state(venue)
    answer = anyone.send(
        method, "/api/v1" + path, raw, api_key=key, api_expires=str(expires), content_type="application/json",
        api_signature=sign("secret-1", method, "/api/v1" + path, expires, raw),
    )  # fmt: skip
    assert answer.status == status, answer
    assert state(venue) == before


def test_a_replayed_order_with_a_client_order_id_is_not_placed_twice(alice: Client) -> None:
    """Nothing stops a copied request before it expires but its clOrdID, so that must."""
    first = alice.place(orderQty=100, price=7_000, clOrdID="once")
    again = alice.place(orderQty=100, price=7_000, clOrdID="once")
    assert first.status == 200
    assert (again.status, again.error) == (400, "Duplicate clOrdID")
    assert alice.call("DELETE", "/order", {"clOrdID": "once"}).status == 200


def test_one_account_cannot_touch_anothers_order(
    venue: Any, bob: Client, standing_order: dict[str, Any]
) -> None:
    before = state(venue)
    theirs = standing_order["orderID"]
    assert bob.call("DELETE", "/order", {"orderID": theirs}).status == 404
    assert bob.call("PUT", "/order", {"orderID": theirs, "orderQty": 200}).status == 400
    assert bob.call("DELETE", "/order/all", {}).status == 200
    assert bob.get(f"/order?filter=%7B%22orderID%22%3A%22{theirs}%22%7D") == []
    assert state(venue) == before

"""The realtime API as its clients meet it: order of frames, images that stay right, clear refusals."""

import asyncio
import time
from typing import Any

import picows
import pytest

from ringfence.exchange.projections import PRIVATE, REST_ONLY, TABLES
from ringfence.testing.client import Client, sign
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue

ERIN, FRANK = 5, 6


@pytest.fixture
def erin(venue: Venue) -> Client:
    return Client(venue.port, ERIN)


@pytest.fixture
def frank(venue: Venue) -> Client:
    return Client(venue.port, FRANK)


def signature(account: int, expires: int) -> str:
    return sign(f"secret-{account}", "GET", "/realtime", expires)


async def test_every_topic_sends_a_partial_with_its_columns(venue: Venue) -> None:
    socket = await Socket.signed(venue.realtime_url, ERIN)
    assert socket.frames[0]["info"].startswith("Welcome")
    assert socket.frames[0]["heartbeatEnabled"] is False
    for name, table in TABLES.items():
        if name in REST_ONLY:
            continue
        await socket.subscribe(name)
        partial = next(f for f in socket.frames if f.get("table") == name)
        assert partial["types"] == table.types
        assert partial["keys"] == list(table.keys)
        assert partial["filter"] == ({"account": ERIN} if name in PRIVATE else {})
        for row in partial["data"]:
            assert set(row) == set(table.names), name
            assert "" not in row.values()
    socket.close()


async def test_three_ways_to_sign_in(venue: Venue) -> None:
    expires = int(time.time()) + 3600
    good = {"api_key": f"key-{ERIN}", "api_expires": str(expires), "api_signature": signature(ERIN, expires)}
    query = "&".join(f"{name.replace('_', '-')}={value}" for name, value in good.items())
    by_header = await Socket.open(venue.realtime_url + "?subscribe=order,trade:XBTUSD", **good)
    by_query = await Socket.open(f"{venue.realtime_url}?{query}")
    by_query.say(op="subscribe", args="order")
    for socket in (by_header, by_query):
        partial = await socket.until(lambda f: f.get("table") == "order")
        assert partial["filter"] == {"account": ERIN}
        socket.close()
    milliseconds = await Socket.open(venue.realtime_url)
    late = expires * 1000
    milliseconds.say(op="authKeyExpires", args=[f"key-{ERIN}", late, signature(ERIN, late)])
    reply = await milliseconds.until(lambda f: "success" in f)
    assert reply["request"]["op"] == "authKeyExpires"
    milliseconds.close()


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"api_signature": "00"}, 401), ({"api_key": "key-77"}, 401), ({"api_expires": "1000000000"}, 401),
        ({"api_key": "key-off"}, 403), ({"api_key": "key-elsewhere"}, 403),
    ],
)  # fmt: skip
async def test_a_wrong_signature_is_refused_at_the_handshake(
    venue: Venue, changed: dict[str, str], status: int
) -> None:
    expires = int(time.time()) + 30
    headers = {
        "api_key": "key-1",
        "api_expires": str(expires),
        "api_signature": signature(1, expires),
        **changed,
    }
    with pytest.raises(picows.WSHandshakeError) as refused:
        await Socket.open(venue.realtime_url, **headers)
    assert refused.value.response is not None
    assert refused.value.response.status == status


async def test_a_wrong_signature_by_message_is_answered_and_then_the_socket_closes(venue: Venue) -> None:
    socket = await Socket.open(venue.realtime_url)
    socket.say(op="authKeyExpires", args=["key-1", int(time.time()) + 30, "00" * 32])
    await socket.wait(lambda: socket.is_closed)
    assert socket.frames[-1]["status"] == 401
    assert socket.frames[-1]["error"] == "Signature not valid."
    assert "00" * 32 not in str(socket.frames[-1])
    assert socket.close_code == 1008


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        (b"{", 400, "not valid JSON"),
        (b"[1,2]", 400, "JSON object"),
        (b'"x"', 400, "JSON object"),
        (b"\xff\xfe", 400, "not valid JSON"),
        (b'{"op":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "JSON|op"),
        (b"{}", 400, "Unknown op"),
        (b'{"op":"dance"}', 400, "Unknown op"),
        (b'{"op":["subscribe"]}', 400, "Unknown op"),
        (b'{"op":"subscribe"}', 400, "args is invalid"),
        (b'{"op":"subscribe","args":[17]}', 400, "args is invalid"),
        (b'{"op":"subscribe","args":{"a":1}}', 400, "args is invalid"),
        (b'{"op":"subscribe","args":["orderBookL10:XBTUSD"]}', 400, "Unknown table"),
        (b'{"op":"subscribe","args":["trade:NOPE"]}', 400, "Unknown or expired symbol"),
        (b'{"op":"subscribe","args":["order"]}', 401, "Authorization Required"),
        (b'{"op":"unsubscribe","args":["trade"]}', 400, "not subscribed"),
        (b'{"op":"authKeyExpires","args":[1]}', 400, "args is invalid"),
        (b'{"op":"cancelAllAfter","args":1000}', 401, "Authorization Required"),
    ],
)
async def test_a_bad_message_is_answered_and_the_socket_lives_on(
    venue: Venue, text: bytes, status: int, error: str
) -> None:
    socket = await Socket.open(venue.realtime_url)
    socket.send_text(text)
    reply = await socket.until(lambda f: "error" in f)
    assert reply["status"] == status
    assert any(part in reply["error"] for part in error.split("|")), reply["error"]
    socket.send_text(b"ping")
    await socket.wait(lambda: socket.texts == ["pong"])
    socket.close()


@pytest.mark.parametrize(
    ("operation", "args", "status"),
    [
        ("placeOrder", {"symbol": "NOPE", "orderQty": 100, "price": 9_000}, 400),
        ("placeOrder", {"symbol": "XBTUSD", "orderQty": 150, "price": 9_000}, 400),
        ("placeOrder", {"symbol": "XBTUSD", "orderQty": 100, "price": "NaN"}, 400),
        ("placeOrder", "buy", 400),
        ("amendOrder", {"origClOrdID": "never", "orderQty": 100}, 400),
        ("cancelOrder", {}, 400),
        ("cancelOrder", {"orderID": "nope"}, 404),
        ("cancelOrder", {"clOrdID": "never"}, 404),
        ("cancelAllOrders", {"symbol": "NOPE"}, 400),
    ],
)
async def test_a_bad_order_message_is_refused_with_its_id(
    venue: Venue, operation: str, args: Any, status: int
) -> None:
    socket = await Socket.signed(venue.realtime_url, ERIN)
    socket.say(op=operation, id=[1, "mine"], args=args)
    reply = await socket.until(lambda f: f.get("op") == operation)
    assert (reply["id"], reply["status"]) == ([1, "mine"], status)
    assert reply["error"]["message"]
    socket.close()


async def test_orders_need_a_signed_connection_and_the_permission(venue: Venue) -> None:
    socket = await Socket.open(venue.realtime_url)
    assert (await socket.order(orderQty=100, price=9_000))["status"] == 401
    expires = int(time.time()) + 30
    socket.say(op="authKeyExpires", args=["key-cancel", expires, signature(1, expires)])
    await socket.until(lambda f: f.get("success") is True)
    assert (await socket.order(orderQty=100, price=9_000))["status"] == 403
    socket.say(op="authKeyExpires", args=["key-1", expires, signature(1, expires)])
    assert (await socket.until(lambda f: "already authenticated" in str(f.get("error"))))["status"] == 400
    socket.close()


async def test_a_fill_tells_execution_order_position_margin_then_the_public(venue: Venue) -> None:
    maker = await Socket.signed(venue.realtime_url, ERIN)
    taker = await Socket.signed(venue.realtime_url, FRANK)
    await maker.subscribe("execution", "order", "position", "margin", "trade:XBTUSD", "quote:XBTUSD")
    placed = (await maker.order(orderQty=-200, price=9_999.5, clOrdID="m1"))["data"]
    # What the placing told the public comes a few milliseconds later; the fill's frames begin after it.
    await maker.until(lambda f: f.get("table") == "quote" and f["data"][0]["askPrice"] == 9_999.5)
    begin = len(maker.frames)
    filled = (await taker.order(orderQty=100, price=9_999.5))["data"]
    assert (filled["ordStatus"], filled["cumQty"]) == ("Filled", 100)
    await maker.until(lambda f: f.get("table") == "trade", since=begin)
    tables = [f["table"] for f in maker.frames[begin:] if "table" in f]
    assert tables[:4] == ["execution", "order", "position", "margin"]
    execution = next(f for f in maker.frames[begin:] if f["table"] == "execution")["data"][0]
    assert (execution["execType"], execution["lastQty"], execution["lastLiquidityInd"]) == (
        "Trade", 100, "AddedLiquidity",
    )  # fmt: skip
    order = next(f for f in maker.frames[begin:] if f["table"] == "order")
    assert order["action"] == "update"
    assert set(order["data"][0]) == set(TABLES["order"].names), "updates of orders are whole rows"
    assert order["data"][0]["orderID"] == placed["orderID"]
    await maker.order("cancelAllOrders")
    assert maker.faults == taker.faults == []
    maker.close()
    taker.close()


async def test_books_kept_from_deltas_equal_the_book(venue: Venue, erin: Client, frank: Client) -> None:
    """A strict keeper follows all four book topics and the instruments through a busy while."""
    early = await Socket.signed(venue.realtime_url, ERIN)
    await early.subscribe(
        "orderBookL2:XBTUSD", "orderBook10:XBTUSD", "orderBookL2_25", "instrument", "order", "position"
    )
    late: Socket | None = None
    for step in range(150):
        side = 1 if step % 2 else -1
        price = 10_000 - side * (20 + (step * 7) % 60) * 0.5
        if step % 5 == 4:
            price = 10_000 + side * 40 * 0.5
        client = early if step % 3 else None
        if client is not None:
            await client.order(orderQty=side * 100 * (1 + step % 4), price=price, clOrdID=f"b{step}")
        else:
            frank.place(orderQty=side * 100, price=price)
        if step % 11 == 0:
            await early.order(
                "amendOrder", origClOrdID=f"b{step - 1}", orderQty=500, price=9_980 if side > 0 else 10_020
            )
        if step == 75:
            late = await Socket.open(venue.realtime_url)
            await late.subscribe("orderBookL2:XBTUSD", "orderBookL2_25:XBTUSD", "instrument:XBTUSD")
    await asyncio.sleep(0.3)
    assert late is not None
    truth = {(r["side"], r["price"]): r["size"] for r in erin.get("/orderBook/L2?symbol=XBTUSD&depth=0")}
    assert len(truth) > 20
    best = {(r["side"], r["price"]): r["size"] for r in erin.get("/orderBook/L2?symbol=XBTUSD&depth=25")}
    for socket in (early, late):
        assert socket.faults == []
        kept = [row for row in socket.tables["orderBookL2"] if row["symbol"] == "XBTUSD"]
        assert {(r["side"], r["price"]): r["size"] for r in kept} == truth
        kept = [row for row in socket.tables["orderBookL2_25"] if row["symbol"] == "XBTUSD"]
        assert {(r["side"], r["price"]): r["size"] for r in kept} == best
        row = next(r for r in socket.tables["instrument"] if r["symbol"] == "XBTUSD")
        real = next(r for r in erin.get("/instrument?symbol=XBTUSD"))
        assert {n: v for n, v in row.items() if n != "timestamp"} == {
            n: v for n, v in real.items() if n != "timestamp"
        }
    ten = early.tables["orderBook10"][0]
    assert [size for _, size in ten["bids"]] == [
        size for (side, _), size in sorted(truth.items(), key=lambda item: -item[0][1]) if side == "Buy"
    ][:10]
    open_now = {row["orderID"] for row in erin.get("/order?filter=%7B%22open%22%3Atrue%7D&count=500")}
    live = {r["orderID"] for r in early.tables["order"] if r["ordStatus"] in ("New", "PartiallyFilled")}
    assert live == open_now
    await early.order("cancelAllOrders")
    frank.call("DELETE", "/order/all")
    early.close()
    late.close()


async def test_a_second_subscription_gets_no_second_partial(venue: Venue) -> None:
    socket = await Socket.open(venue.realtime_url)
    await socket.subscribe("trade:XBTUSD")
    socket.say(op="subscribe", args=["trade:XBTUSD"])
    reply = await socket.until(lambda f: "error" in f)
    assert reply["error"].startswith("You are already subscribed to this topic: trade:XBTUSD")
    assert len([f for f in socket.frames if f.get("action") == "partial"]) == 1
    socket.say(op="unsubscribe", args=["trade:XBTUSD"])
    await socket.until(lambda f: f.get("unsubscribe") == "trade:XBTUSD")
    await socket.subscribe("trade:XBTUSD")
    socket.close()


async def test_private_rows_go_to_their_owner_alone(venue: Venue, erin: Client, frank: Client) -> None:
    socket = await Socket.signed(venue.realtime_url, ERIN)
    await socket.subscribe("order", "execution", "position", "margin", "wallet")
    row = frank.place(orderQty=100, price=9_400).value
    frank.call("DELETE", "/order", {"orderID": row["orderID"]})
    await asyncio.sleep(0.1)
    # Her own rows may come at any time: marks move what she holds.
    told = [row for frame in socket.frames for row in frame.get("data", ())]
    assert {row["account"] for row in told} == {erin.get("/user")["id"]}
    assert row["orderID"] not in {row.get("orderID") for row in told}
    socket.close()


async def test_the_dead_mans_switch_cancels_when_it_is_not_renewed(venue: Venue, erin: Client) -> None:
    socket = await Socket.signed(venue.realtime_url, ERIN)
    await socket.subscribe("order")
    placed = (await socket.order(orderQty=100, price=9_200))["data"]
    socket.say(op="cancelAllAfter", args=300)
    armed = await socket.until(lambda f: "cancelTime" in f)
    assert armed["request"]["op"] == "cancelAllAfter"
    gone = await socket.until(
        lambda f: (
            f.get("table") == "order"
            and f["action"] == "update"
            and f["data"][0]["orderID"] == placed["orderID"]
        )
    )
    assert gone["data"][0]["ordStatus"] == "Canceled"
    assert "timer" in gone["data"][0]["text"]
    assert erin.call("POST", "/order/cancelAllAfter", {"timeout": 0}).value["cancelTime"] is None
    socket.close()


async def test_a_revoked_key_loses_its_connection(tmp_path: Any) -> None:
    from ringfence.testing.venue import key_of

    with Venue(tmp_path, accounts=2, history=False) as venue:
        socket = await Socket.signed(venue.realtime_url, 1)
        other = await Socket.signed(venue.realtime_url, 2)
        venue.set_keys([key_of(2)])
        await socket.wait(lambda: socket.is_closed)
        assert socket.close_code == 1008
        assert not other.is_closed
        other.close()


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}],
)
async def test_a_foreign_page_opens_no_connection(venue: Venue, headers: dict[str, str]) -> None:
    """Not even with a key that signs: it is the browser of a victim that asks."""
    with pytest.raises(picows.WSHandshakeError, match="403"):
        await Socket.open(venue.realtime_url, **headers)


async def test_our_own_page_opens_a_connection(venue: Venue) -> None:
    socket = await Socket.open(venue.realtime_url, origin=venue.url)
    await socket.until(lambda frame: "info" in frame)
    socket.close()

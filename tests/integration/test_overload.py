"""A core that cannot keep up: new orders are turned away, cancels never are, and nothing is forgotten."""

import asyncio
import signal
import time
from pathlib import Path

from ringfence.testing.client import Client
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue

PENDING_MAX = 6
SHARE = PENDING_MAX // 2
"""Of one account, while nobody else has anything waiting: it may hold as much as is free."""
OVERLOADED = "The system is currently overloaded. Please try again later."


def say_orders(socket: Socket, count: int, *, price: int = 9_001) -> None:
    for index in range(count):
        socket.say(
            op="placeOrder", id=index, args={"symbol": "XBTUSD", "orderQty": 100, "price": price + index}
        )


async def test_orders_are_shed_and_cancels_are_not(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=2, history=False, pending_max=PENDING_MAX) as venue:
        socket = await Socket.signed(venue.realtime_url, 1)
        kept = (await socket.order(orderQty=100, price=9_000, clOrdID="kept"))["data"]
        venue.signal("core", signal.SIGSTOP)
        say_orders(socket, PENDING_MAX)
        shed = await socket.wait(lambda: [f for f in socket.frames if f.get("status") == 503])
        assert shed[0]["error"]["message"] == OVERLOADED
        assert shed[0]["error"]["reason"] == "accountShare"
        socket.say(op="cancelOrder", id="c", args={"orderID": kept["orderID"]})
        socket.say(
            op="placeOrder", id="close", args={"symbol": "XBTUSD", "execInst": "Close", "side": "Sell"}
        )
        venue.signal("core", signal.SIGCONT)
        cancelled = await socket.until(lambda f: f.get("id") == "c")
        assert cancelled["data"]["ordStatus"] == "Canceled"
        # A Close of a whole position is let through as well; there is none, so the engine refuses it.
        closed = await socket.until(lambda f: f.get("id") == "close")
        assert closed["status"] == 400
        answered = {f["id"]: f["status"] for f in socket.frames if isinstance(f.get("id"), int)}
        assert answered == {index: 200 if index < SHARE else 503 for index in range(PENDING_MAX)}
        assert (await socket.order(orderQty=100, price=8_900))["status"] == 200
        socket.close()


async def test_one_account_cannot_take_all_the_room(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=2, history=False, pending_max=PENDING_MAX) as venue:
        flood, other = await Socket.signed(venue.realtime_url, 1), await Socket.signed(venue.realtime_url, 2)
        venue.signal("core", signal.SIGSTOP)
        say_orders(flood, 100)
        await flood.wait(lambda: [f for f in flood.frames if f.get("id") == 99])
        say_orders(other, 1)
        venue.signal("core", signal.SIGCONT)
        taken = await other.until(lambda f: f.get("id") == 0)
        assert taken["status"] == 200
        statuses = [f["status"] for f in flood.frames if isinstance(f.get("id"), int)]
        assert statuses.count(503) == 100 - SHARE
        flood.close()
        other.close()


async def test_everybody_is_told_of_shedding_before_anybody_is_refused(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=1, history=False, pending_max=PENDING_MAX) as venue:
        anyone = Client(venue.port, None)
        assert anyone.get("/shed")["state"] == "Open"
        socket = await Socket.signed(venue.realtime_url, 1)
        await socket.subscribe("shed")
        venue.signal("core", signal.SIGSTOP)
        say_orders(socket, PENDING_MAX)
        await socket.until(lambda f: f.get("status") == 503)
        told = [
            n for n, f in enumerate(socket.frames) if f.get("table") == "shed" and f["action"] == "update"
        ]
        first = next(n for n, f in enumerate(socket.frames) if f.get("status") == 503)
        assert told[0] < first
        assert socket.frames[told[0]]["data"][0]["state"] == "Shedding"
        row = anyone.get("/shed")
        assert (row["state"], row["accountShare"], row["shedsPerMinute"]) == ("Shedding", SHARE, SHARE)
        venue.signal("core", signal.SIGCONT)
        await socket.until(lambda f: f.get("table") == "shed" and f["data"][0]["state"] == "Open")
        assert not socket.faults
        socket.close()


def test_a_shed_order_says_why_and_when_to_come_again(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=1, history=False, pending_max=1) as venue:
        client = Client(venue.port, 1)
        orders = [{"symbol": "XBTUSD", "orderQty": 100, "price": 9_000 + n} for n in range(2)]
        refused = client.call("POST", "/order/bulk", {"orders": orders})
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.value["error"] == {
            "message": OVERLOADED,
            "name": "HTTPError",
            "reason": "accountShare",
        }
        assert client.get("/order?filter=%7B%22open%22%3Atrue%7D") == []


async def test_who_does_not_read_is_disconnected_with_a_reason_and_others_are_not(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=1, history=False) as venue:
        reading = await Socket.signed(venue.realtime_url, 1)
        slow = await Socket.open(venue.realtime_url)
        slow.hold()
        until = time.monotonic() + 30
        while "fell" not in (venue.directory / "gateway.log").read_text():
            assert time.monotonic() < until
            for _ in range(200):
                slow.send_text(b"help")
            await asyncio.sleep(0.005)
        assert (await reading.order(orderQty=100, price=9_000))["status"] == 200
        slow.release()
        await slow.wait(lambda: slow.is_closed)
        assert slow.close_code == 1013
        assert slow.close_reason.startswith("slow consumer")
        assert not reading.is_closed
        reading.close()


def test_a_core_that_is_down_is_said_to_be_and_the_book_can_still_be_read(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=1, history=False) as venue:
        client = Client(venue.port, 1)
        assert client.place(orderQty=100, price=9_000).status == 200
        venue.kill("core")
        answer = client.place(orderQty=100, price=9_001)
        assert answer.status == 503
        assert "Nothing was done" in answer.error
        assert len(client.get("/orderBook/L2?symbol=XBTUSD")) == 1
        venue.start("core")
        assert len(client.get("/order?filter=%7B%22open%22%3Atrue%7D")) == 1

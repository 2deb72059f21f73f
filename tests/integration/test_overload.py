"""A core that cannot keep up: new orders are turned away, cancels never are, and nothing is forgotten."""

import signal
from pathlib import Path

from ringfence.testing.client import Client
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue

PENDING_MAX = 5


async def test_orders_are_shed_and_cancels_are_not(tmp_path: Path) -> None:
    with Venue(tmp_path, accounts=2, history=False, pending_max=PENDING_MAX) as venue:
        socket = await Socket.signed(venue.realtime_url, 1)
        kept = (await socket.order(orderQty=100, price=9_000, clOrdID="kept"))["data"]
        venue.signal("core", signal.SIGSTOP)
        for index in range(PENDING_MAX + 3):
            socket.say(
                op="placeOrder", id=index, args={"symbol": "XBTUSD", "orderQty": 100, "price": 9_001 + index}
            )
        shed = await socket.wait(lambda: [f for f in socket.frames if f.get("status") == 503])
        assert {f["id"] for f in shed} <= set(range(PENDING_MAX, PENDING_MAX + 3))
        assert shed[0]["error"]["message"] == "The system is currently overloaded. Please try again later."
        refused = Client(venue.port, 2).place(orderQty=100, price=9_000)
        assert (refused.status, refused.error) == (503, shed[0]["error"]["message"])
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
        assert answered == {index: 200 if index < PENDING_MAX else 503 for index in range(PENDING_MAX + 3)}
        assert (await socket.order(orderQty=100, price=8_900))["status"] == 200
        socket.close()


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

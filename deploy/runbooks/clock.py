"""A clock runs ahead and is put right: signatures expire meanwhile, and the core's time never goes back.

The machine's clock is left alone: core and gateway are started with their own clock moved.
"""

import json
import time
from pathlib import Path

from staging import Clocks, Runbook, Watch, main, ringfence

from ringfence.monitoring import metrics
from ringfence.testing.client import Answer, Client, sign
from ringfence.testing.venue import Venue

_AHEAD_SECONDS = 45


def run(book: Runbook, folder: Path) -> None:
    with Clocks(folder / "clocks") as clocks, Venue(folder / "exchange", accounts=1) as venue:
        client = Client(venue.port, 1)
        page = Watch(venue.directory)
        error = page.look().value(metrics.CLOCK_ERROR)
        book.check(error is not None, "the kernel says how wrong its clock may be")
        book.figure("seconds that it may be wrong", error or 0.0)
        book.check(page.fires("ClockUncertain") == ((error or 0.0) > 1), "ClockUncertain fires above one")
        book.check(client.place(orderQty=100, price=9_000, clOrdID="before").status == 200, "it trades")
        book.step(f"the clock of core and gateway runs {_AHEAD_SECONDS} s ahead")
        _restart(venue, clocks, _AHEAD_SECONDS)
        answer = client.call("GET", "/order")
        book.check(
            answer.status == 401 and "expired" in answer.error, "clients with good clocks see `expired`"
        )
        late = _place_later(client, "ahead")
        book.check(late.status == 200, "who signs for longer is let in")
        ahead = late.value["timestamp"]
        book.check(
            ahead > _iso(time.time() + _AHEAD_SECONDS / 2), "an order has a time that is still to come"
        )
        book.step("the clock is right again")
        _restart(venue, clocks, 0)
        answer = client.place(orderQty=100, price=9_000, clOrdID="after")
        book.check(answer.status == 200, "it trades, and signatures are good")
        book.check(
            answer.value["timestamp"] >= ahead, "the core's time is held where it was, and does not go back"
        )
        done = ringfence("journal", "verify", "--directory", str(venue.directory))
        book.check(done.returncode == 0, "the journal is whole")
        book.check(len(client.get("/order?count=500")) == 3, "every acknowledged order is there")


def _place_later(client: Client, name: str) -> Answer:
    """Place an order with a signature that is good for longer."""
    assert client.key is not None
    body = json.dumps({"symbol": "XBTUSD", "orderQty": 100, "price": 9_000, "clOrdID": name}).encode()
    expires = int(time.time()) + 2 * _AHEAD_SECONDS
    signature = sign(client.key.secret, "POST", "/api/v1/order", expires, body)
    return client.call("POST", "/order", raw=body, api_expires=str(expires), api_signature=signature)


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _restart(venue: Venue, clocks: Clocks, ahead: int) -> None:
    for name in ("gateway", "core"):
        clocks.ahead(name, ahead)
        venue.processes[name].terminate()
        venue.processes[name].wait(60)
    venue.start("core")
    venue.start("gateway")
    venue.wait_ready()


if __name__ == "__main__":
    main(run)

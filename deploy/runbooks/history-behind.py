"""The history database is lost: it is deleted and folded again from the feed, and says the same."""

import time
from pathlib import Path

from staging import Runbook, main

from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=2) as venue:
        client = Client(venue.port, 1)
        for number in range(30):
            side = 1 if number % 2 else -1
            answer = Client(venue.port, 1 + number % 2).place(orderQty=side * 100, price=10_000)
            book.check(answer.status == 200, f"order {number} is acknowledged") if number % 10 == 0 else None
        before = client.get("/execution?count=500")
        book.check(len(before) > 5, "history knows the executions")
        book.step("history is stopped and its database deleted")
        venue.processes["history"].terminate()
        venue.processes["history"].wait(20)
        for path in venue.directory.glob("history.sqlite*"):
            path.unlink()
        book.check(client.place(orderQty=100, price=9_000).status == 200, "trading goes on without history")
        moment = time.monotonic()
        venue.start("history")
        # SQLite alone: the gateway has the deleted file open, and would read it for ever.
        venue.processes["gateway"].terminate()
        venue.processes["gateway"].wait(20)
        venue.start("gateway")
        venue.wait_ready()
        while True:
            answer = client.call("GET", "/execution?count=500")
            if answer.status == 200 and len(answer.value) >= len(before):
                break
            if time.monotonic() - moment > 60:
                raise TimeoutError("history did not come back")
            time.sleep(0.05)
        book.figure("seconds until history was there", time.monotonic() - moment)
        ids = [row["execID"] for row in before]
        again = {row["execID"]: row for row in answer.value}
        book.check(
            all(again.get(row["execID"]) == row for row in before), f"all {len(ids)} executions are the same"
        )


if __name__ == "__main__":
    main(run)

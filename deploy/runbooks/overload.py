"""More comes in than the core takes: what is turned away is said to be so and is not there, the rest is."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from staging import Runbook, main

from ringfence.testing.client import Client
from ringfence.testing.venue import Venue

SENDERS, PENDING_MAX = 24, 8


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1, pending_max=PENDING_MAX) as venue:
        client = Client(venue.port, 1)
        book.check(client.place(orderQty=100, price=9_000, clOrdID="before").status == 200, "it trades")
        book.step("the core is held, and more orders come than may be under way")
        venue.signal("core", signal.SIGSTOP)
        with ThreadPoolExecutor(SENDERS) as senders:
            answers = [
                senders.submit(client.place, orderQty=100, price=9_000, clOrdID=f"burst-{number}")
                for number in range(SENDERS)
            ]
            time.sleep(1)
            venue.signal("core", signal.SIGCONT)
            found = {f"burst-{number}": answer.result() for number, answer in enumerate(answers)}
        taken = {name for name, answer in found.items() if answer.status == 200}
        shed = {
            name for name, answer in found.items() if answer.status == 503 and "overloaded" in answer.error
        }
        book.figure("taken", len(taken))
        book.figure("turned away", len(shed))
        book.check(bool(shed), "some are turned away, with 503 and in words")
        known = {row["clOrdID"] for row in client.get("/order?count=500")}
        book.check(taken <= known, "all that were taken are there")
        book.check(not shed & known, "none that was turned away is there")
        book.check(
            client.place(orderQty=100, price=9_000, clOrdID="after").status == 200, "it trades again at once"
        )


if __name__ == "__main__":
    main(run)

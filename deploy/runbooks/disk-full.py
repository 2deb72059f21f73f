"""The core's disk takes no more bytes: it stops with status 74, and has lost nothing when there is room again."""

import resource
import time
from pathlib import Path

from staging import Runbook, main, place

from ringfence.daemons.core import EXIT_DISK
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1) as venue:
        client = Client(venue.port, 1)
        told = [name for name in map(str, range(20)) if place(client, name) == 200]
        book.check(len(told) == 20, "orders are acknowledged before")
        core = venue.processes["core"]
        book.step("no file of the core may grow beyond what is written: every write fails from now on")
        resource.prlimit(core.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        status = place(client, "while full")
        book.check(status != 200, "nothing is acknowledged that is not on the disk")
        book.check(core.wait(20) == EXIT_DISK, f"the core stops with status {EXIT_DISK}")
        log = (venue.directory / "core.log").read_text()
        book.check("critical" in log, "its log says what failed")
        book.step("there is room again")
        venue.start("core")
        until = time.monotonic() + 60
        while place(client, f"after-{time.monotonic_ns()}") != 200:
            if time.monotonic() > until:
                raise TimeoutError("no order is acknowledged although there is room")
            time.sleep(0.05)
        known = {row["clOrdID"] for row in client.get("/order?count=500")}
        book.check(set(told) <= known, "every acknowledged order is there")


if __name__ == "__main__":
    main(run)

"""Every sync of the core's disk takes 150 ms, and then one fails: orders are slower, then the core stops with 74."""

import json
import time
from pathlib import Path

from staging import Runbook, Watch, disturbed, known, main, place, ringfence, until

from ringfence.daemons.core import EXIT_DISK
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1) as venue:
        client = Client(venue.port, 1)
        told = [name for name in map(str, range(10)) if place(client, name) == 200]
        book.check(len(told) == 10, "orders are acknowledged before")
        watch, core = Watch(venue.directory), venue.processes["core"]
        book.step("every fdatasync of the core takes 150 ms longer")
        with disturbed(core.pid, "delay_exit=150000"):
            moment = time.monotonic()
            told += [
                name for name in (f"slow-{number}" for number in range(10)) if place(client, name) == 200
            ]
            book.figure("seconds an order took", (time.monotonic() - moment) / 10)
            book.check(len(told) == 20, "orders are acknowledged all the same, when they are on the disk")
            watch.look()
        book.check(watch.fires("JournalSyncSlow", goes_on=True), "JournalSyncSlow fires")
        book.step("the disk dies: the next sync fails, once")
        with disturbed(core.pid, "error=EIO:when=1"):
            book.check(place(client, "failed") != 200, "what is not on the disk is not acknowledged")
            status = core.wait(60)
        book.check(status == EXIT_DISK, f"the core stops with status {EXIT_DISK}, and does not try it again")
        verified = ringfence("journal", "verify", "--directory", str(venue.directory), "--json")
        book.check(verified.returncode == 0, "`ringfence journal verify`: the journal is whole")
        book.figure("sequences in it", json.loads(verified.stdout)["commands"])
        venue.start("core")
        until(lambda: place(client, f"after-{time.monotonic_ns()}") == 200, "it trades again")
        book.check(set(told) <= known(client), "every acknowledged order is there")


if __name__ == "__main__":
    main(run)

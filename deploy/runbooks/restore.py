"""A disk is lost with everything on it: the newest backup is restored, proven, and traded on."""

import json
import shutil
import time
from pathlib import Path

from staging import Runbook, main, ringfence

from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    exchange, store, kept = folder / "exchange", str(folder / "store"), folder / "kept-elsewhere"
    kept.mkdir(parents=True)
    recipients: list[str] = []
    for number in range(3):
        made = json.loads(ringfence("backup", "new-key", str(kept / f"{number}.key"), "--json").stdout)
        recipients += ["--recipient", made["recipient"]]
    with Venue(exchange, accounts=2) as venue:
        client = Client(venue.port, 1)
        for number in range(50):
            client.place(orderQty=100, price=9_000 - number, clOrdID=f"told-{number}")
        time.sleep(1.5)
        done = ringfence("backup", "create", store, "--directory", str(exchange), *recipients, "--json")
        book.check(done.returncode == 0, "a backup is taken while the exchange runs")
        taken = json.loads(done.stdout)
        shutil.copy(exchange / "roots" / "venue.pub", kept / "venue.pub")
    book.step("the disk is lost")
    shutil.rmtree(exchange)
    moment = time.monotonic()
    public = ["--venue-key", str(kept / "venue.pub")]
    book.check(ringfence("backup", "verify", store, *public).returncode == 0, "the store is whole")
    one = ["--identity", str(kept / "0.key")]
    again = folder / "again"
    refused = ringfence("backup", "restore", store, str(again), *public, *one)
    book.check(refused.returncode == 65 and not again.exists(), "one recovery key opens nothing")
    done = ringfence(
        "backup", "restore", store, str(again), *public, *one, "--identity", str(kept / "1.key"), "--json"
    )
    book.check(done.returncode == 0, "two recovery keys open it")
    found = json.loads(done.stdout)
    book.check(found["engineDigest"] == taken["engineDigest"], "the state is the one of the backup")
    book.check(found["stateCompared"], "the state is the one whose root was signed")
    book.figure("slots replayed a second", found["commandsPerSecond"])
    venue = Venue(again, accounts=2)
    for name in ("core", "history", "gateway"):
        venue.start(name)
    try:
        venue.wait_ready()
        client = Client(venue.port, 1)
        known = {row["clOrdID"] for row in client.get("/order?count=500")}
        book.check({f"told-{number}" for number in range(50)} <= known, "every order of before is there")
        book.check(client.place(orderQty=100, price=9_000).status == 200, "trading goes on")
        book.figure("seconds from the loss to an acknowledgement", time.monotonic() - moment)
    finally:
        venue.__exit__(None, None, None)


if __name__ == "__main__":
    main(run)

"""An API key is in the wrong hands: it is revoked, a new one is made, and the orders are the account's still."""

import time
from pathlib import Path

from staging import Runbook, main, ringfence

from ringfence.exchange.users.keys import KeyRecord, Permission
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=2) as venue:
        thief, directory = Client(venue.port, 1), str(venue.directory)
        book.check(thief.place(orderQty=100, price=9_000, clOrdID="open").status == 200, "the key can order")
        moment = time.monotonic()
        done = ringfence("key", "revoke", "key-1", "--directory", directory)
        book.check(done.returncode == 0, "`ringfence key revoke` takes it")
        while thief.call("GET", "/order").status == 200:
            if time.monotonic() - moment > 30:
                raise TimeoutError("the revoked key still opens")
            time.sleep(0.02)
        book.figure("seconds until it opens nothing", time.monotonic() - moment)
        book.check(thief.place(orderQty=100, price=9_000).status in (401, 403), "it can order nothing more")
        book.check(Client(venue.port, 2).place(orderQty=100, price=9_000).status == 200, "others trade on")
        book.step("the account gets a new key, and looks at what was done with the old one")
        made = ringfence("key", "create", "--account", "1", "--permission", "order", "--directory", directory)
        record = dict(line.split(maxsplit=1) for line in made.stdout.splitlines())
        owner = Client(venue.port, KeyRecord(
            id=record["id"], secret=record["secret"], account=1, permissions=(Permission.ORDER,),
        ))  # fmt: skip
        until = time.monotonic() + 20
        while owner.call("GET", "/order").status != 200:
            if time.monotonic() > until:
                raise TimeoutError("the new key does not open")
            time.sleep(0.05)
        rows = owner.get("/order?count=500")
        book.check([row["clOrdID"] for row in rows] == ["open"], "the orders of the old key are there")
        book.check(owner.call("DELETE", "/order/all", {}).status == 200, "and the new one cancels them")


if __name__ == "__main__":
    main(run)

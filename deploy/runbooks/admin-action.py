"""An operator halts and changes how the venue works: it is seen, and it is in the journal with their name."""

import json
from pathlib import Path

from staging import Runbook, Watch, found, main, ringfence

from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1) as venue:
        found(venue)
        here = ["--directory", str(venue.directory)]
        client = Client(venue.port, 1)
        watch = Watch(venue.directory)
        book.check(not watch.fires("AdminAction"), "nobody has done anything")
        # The market was opened by an operator, too.
        was = watch.look().value(metrics.ADMIN, kind="set_state") or 0
        done = ringfence("operator", "close-market", "XBTUSD", "--operator", "mallory", *here)
        book.check(done.returncode == 0, "an operator closes a market")
        watch.until(lambda page: (page.value(metrics.ADMIN, kind="set_state") or 0) > was, "it is counted")
        book.check(watch.fires("AdminAction"), "AdminAction fires")
        shown = ringfence("journal", "show", "--kind", "set-state", "--count", "0", "--json", *here)
        last = json.loads(shown.stdout.splitlines()[-1])
        book.check(last["operator"] == "mallory", "the journal has the command with its operator")
        book.check(client.place(orderQty=100, price=9_000).status == 400, "no order is taken there")
        book.step("nobody knows of it, and the operator does not answer: the venue is halted")
        done = ringfence("halt", "now", "--because", "who is mallory?", "--operator", "anna", *here)
        book.check(done.returncode == 0, "`ringfence halt now` halts")
        status = json.loads(ringfence("halt", "status", "--json", *here).stdout)
        (halt,) = status["halted"]
        book.check(
            (halt["by"], halt["text"]) == ("anna", "who is mallory?"),
            "`ringfence halt status` says who and why",
        )
        verified = ringfence("journal", "verify", "--json", *here)
        book.check(verified.returncode == 0, "the journal is whole: the line cannot be taken out again")


if __name__ == "__main__":
    main(run)

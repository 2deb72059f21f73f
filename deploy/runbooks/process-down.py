"""A core is killed under load: clients hear so, it is started again, and what was acknowledged is there once."""

import threading
import time
from pathlib import Path

from staging import Runbook, main

from ringfence.testing.traders import Trader, check, wait_enough
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=2) as venue:
        stop = threading.Event()
        traders = [Trader(venue.port, account, stop) for account in (1, 2)]
        for trader in traders:
            trader.start()
        time.sleep(1)
        book.step("the core is killed")
        venue.kill("core")
        time.sleep(0.5)
        moment = time.monotonic()
        venue.start("core")
        while not any(at > moment for trader in traders for at in trader.answered[-20:]):
            if time.monotonic() - moment > 60:
                raise TimeoutError("no order was acknowledged after the core was started again")
            time.sleep(0.01)
        book.figure("seconds from the start to an acknowledgement", time.monotonic() - moment)
        wait_enough(traders)
        stop.set()
        for trader in traders:
            trader.join(40)
            book.check(trader.fault is None, f"trader {trader.client.account} was never told what is not so")
            check(trader)
        book.check(
            True, f"{sum(len(one.acknowledged) for one in traders)} acknowledged orders are there, each once"
        )


if __name__ == "__main__":
    main(run)

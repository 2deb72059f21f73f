"""A price falls: who is short waits while the market is closed, is taken over when it opens, and winners give."""

import asyncio
from pathlib import Path

import numpy as np
from staging import Runbook, Watch, found, main, ringfence, until

from ringfence.messages.commands import Command, IndexStatus, OrderFlag, VenueParameter
from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.market import INSTRUMENTS
from ringfence.testing.play import command
from ringfence.testing.venue import Venue
from ringfence.units.limits import INDEX_DECIMALS

_FUND, _XBT = 3, 10**8


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=_FUND) as venue:
        found(venue)
        here = ["--operator", "anna", "--directory", str(venue.directory)]
        loser, winner = Client(venue.port, 1), Client(venue.port, 2)

        def submit(*rows: object) -> None:
            asyncio.run(venue.submit(np.concatenate(rows)))

        def fall_to(price: int) -> None:
            units = price * 10**INDEX_DECIMALS
            submit(
                command(Command.INDEX, symbol=INSTRUMENTS[".BXBT"].number, qty=units, type=IndexStatus.LIVE)
            )

        submit(
            command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=_FUND),
            # The loser has a fifth of a coin, the fund a tenth.
            command(Command.WITHDRAW, account=1, symbol=0, qty=99 * _XBT + 8 * _XBT // 10, flags=OrderFlag.DEMO),
            command(Command.WITHDRAW, account=_FUND, symbol=0, qty=99 * _XBT + 9 * _XBT // 10, flags=OrderFlag.DEMO),
        )  # fmt: skip
        fall_to(10_000)
        winner.place(orderQty=-60_000, price=10_000)
        loser.place(orderQty=60_000, price=10_000)
        (held,) = loser.get("/position")
        book.check(held["currentQty"] == 60_000, "somebody is long with little behind it")
        watch = Watch(venue.directory)
        book.step("the market is closed, and the price falls")
        done = ringfence("operator", "close-market", "XBTUSD", *here)
        book.check(done.returncode == 0, "`ringfence operator close-market` closes it")
        for price in (9_900, 9_800, 9_700):
            fall_to(price)
        watch.until(lambda page: page.value(metrics.UNDER_MAINTENANCE) == 1, "somebody is below maintenance")
        book.check(watch.fires("AccountsUnderMaintenance"), "AccountsUnderMaintenance fires")
        book.check(
            loser.get("/position")[0]["currentQty"] == 60_000, "nobody is liquidated while it is closed"
        )
        book.step("it opens")
        ringfence("operator", "open-market", "XBTUSD", *here)
        fall_to(9_690)
        watch.until(lambda page: page.value(metrics.BACKLOG) == 1, "the insurance account holds the position")
        book.check(watch.fires("LiquidationBacklog"), "LiquidationBacklog fires: nobody buys")
        watch.look()
        book.check(not watch.fires("AccountsUnderMaintenance"), "nobody is below maintenance any more")
        book.check(loser.get("/position")[0]["currentQty"] == 0, "the loser has lost the position")
        book.step("the price falls further than the fund can bear")
        fall_to(9_500)
        watch.until(lambda page: page.value(metrics.ADL), "winners are asked")
        book.check(watch.fires("Deleveraging"), "Deleveraging fires")
        until(lambda: winner.get("/position")[0]["currentQty"] > -60_000, "the winner has a smaller position")
        book.figure("left of the winner's position", winner.get("/position")[0]["currentQty"])
        fund = watch.look().value(metrics.FUND, asset="XBt")
        book.figure("left in the fund, XBt", fund if fund is not None else -1)
        book.check(
            fund is not None and fund >= 0,
            "what the fund cannot bear, the winner gives: it is not below nought",
        )
        rows = winner.get("/execution?count=500&reverse=true")
        book.check(any("eleverag" in str(row) for row in rows), "the winner has a receipt")


if __name__ == "__main__":
    main(run)

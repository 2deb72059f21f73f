"""A judge is gone, then a coin appears in the core's memory: what is not checked alerts, what is red halts all."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
from staging import Runbook, Watch, main, place, until
from tests.integration.test_judges import ODD_AMOUNT, flip_in_memory

from ringfence.daemons import founding
from ringfence.daemons.venue import JUDGES
from ringfence.messages.commands import Command
from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.play import command
from ringfence.testing.venue import Venue


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=3) as venue:
        people = founding.put_in_force(founding.ensure_people(venue.directory))
        deposit = command(Command.DEPOSIT, account=3, symbol=2, qty=ODD_AMOUNT)
        asyncio.run(venue.submit(np.concatenate([people, deposit])))
        for judge in JUDGES:
            venue.start(judge)
        client = Client(venue.port, 1)

        def trade_until(page_is: metrics.Metric, value: float) -> None:
            def trade_and_look() -> bool:
                place(client, f"order-{time.monotonic_ns()}")
                return all(watch.look().value(page_is, process=judge) == value for judge in JUDGES)

            until(trade_and_look, f"{page_is.name} is {value:g}", seconds=180)

        watch = Watch(venue.directory)
        trade_until(metrics.JUDGE_CAUGHT_UP, 1)
        book.check(not watch.fires("CheckMissing") and not watch.fires("CheckRed"), "every law is looked at")
        book.step("the auditor is killed")
        venue.kill("auditor")
        watch.look()
        book.check(
            watch.fires("CheckMissing"), "CheckMissing fires: laws that nobody looks at count as broken"
        )
        venue.start("auditor")
        trade_until(metrics.JUDGE_CAUGHT_UP, 1)
        book.check(not watch.fires("CheckMissing"), "it is started, and the alert is over")

        book.step("a coin appears in the core's memory")
        core = venue.processes["core"].pid
        moment = time.monotonic()
        book.check(flip_in_memory(core, ODD_AMOUNT, ODD_AMOUNT + 1) >= 1, "a balance is another one")

        def halts() -> list[Any]:
            place(client, f"order-{time.monotonic_ns()}")
            return [one for one in client.get("/halt/status")["halted"] if one["state"] == "Halted"]

        until(halts, "the exchange is halted")
        book.figure("seconds until it was halted", time.monotonic() - moment)
        halt = halts()[0]
        book.check(client.get("/halt/status")["state"] == "Halted", "the venue is halted already")
        book.figure("law", halt["law"])
        watch.until(lambda page: page.value(metrics.FINDINGS, process=halt["by"]), "the judge says so")
        book.check(watch.fires("JudgeFindings"), "JudgeFindings fires")
        audit = {one["judge"]: one for one in client.get("/audit")}
        book.check(bool(audit[halt["by"]]["findings"]), "`/api/v1/audit` has the finding")
        dumps = list((venue.directory / "judges" / "dumps").glob("*.json"))
        book.check(bool(dumps), "the evidence is in `judges/dumps`")


if __name__ == "__main__":
    main(run)

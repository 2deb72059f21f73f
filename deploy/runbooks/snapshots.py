"""The disk of the snapshots is away, and one is spoiled: a start replays more of the journal, and nothing is lost."""

import asyncio
import time
from pathlib import Path

import numpy as np
from staging import Runbook, Watch, known, main, place, until

from ringfence.configuration import read_configuration
from ringfence.exchange.sequencer import snapshots
from ringfence.messages.commands import Command
from ringfence.monitoring import metrics
from ringfence.testing.client import Client
from ringfence.testing.play import command
from ringfence.testing.venue import Venue

_AT_ONCE = 8_192


def run(book: Runbook, folder: Path) -> None:
    with Venue(folder / "exchange", accounts=1) as venue:
        client, kept = Client(venue.port, 1), venue.directory / "snapshots"
        told = [name for name in map(str, range(10)) if place(client, name) == 200]
        watch = Watch(venue.directory)
        book.step("the disk that the snapshots lie on is away, and one is due")
        aside = kept.rename(kept.with_name("aside"))
        kept.symlink_to("away")
        ticks = np.concatenate([command(Command.TICK)] * _AT_ONCE)
        every = read_configuration(venue.directory).settings.core.snapshot_commands
        for _ in range(every // _AT_ONCE + 1):
            asyncio.run(venue.submit(ticks))
        watch.until(lambda page: page.value(metrics.SNAPSHOTS_FAILED), "a snapshot has failed")
        book.check(watch.fires("SnapshotsFail"), "SnapshotsFail fires")
        book.check("a snapshot failed" in _log(venue), "the core's log says so")
        told.append("without")
        book.check(place(client, "without") == 200, "trading goes on")
        book.step("there is room again; the core is stopped cleanly, and writes one as it ends")
        kept.unlink()
        aside.rename(kept)
        moment = time.monotonic()
        venue.processes["core"].terminate()
        book.check(venue.processes["core"].wait(60) == 0, "it ends with status 0")
        book.check(len(snapshots(venue.directory)) == 1, "there is a snapshot")
        venue.start("core")
        until(lambda: place(client, f"after-{time.monotonic_ns()}") == 200, "it trades again")
        book.figure("seconds from the stop to an acknowledgement", time.monotonic() - moment)
        behind = watch.look().value(metrics.SNAPSHOT_LAG, process="core")
        book.check(behind is not None and behind < _AT_ONCE, "`ringfence_snapshot_behind_slots` has fallen")
        book.step("the core is killed, and its snapshot is spoiled")
        venue.kill("core")
        spoiled = snapshots(venue.directory)[0]
        raw = bytearray(spoiled.read_bytes())
        raw[len(raw) // 2] ^= 1
        spoiled.write_bytes(raw)
        moment = time.monotonic()
        venue.start("core")
        until(lambda: place(client, f"again-{time.monotonic_ns()}") == 200, "it trades again")
        book.figure("seconds to replay a million commands", time.monotonic() - moment)
        book.check("cannot be used" in _log(venue), "the core passes over it, and its log says so")
        book.check(set(told) <= known(client), "every acknowledged order is there")


def _log(venue: Venue) -> str:
    return (venue.directory / "core.log").read_text()


if __name__ == "__main__":
    main(run)

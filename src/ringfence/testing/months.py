"""Months of three machines in virtual time: restarts, backups, lost disks, rot, servers that have lost everything.

    python -m ringfence.testing.months --months 24 --seed 1

Each day there is trade, and timers fire. Each month every machine is stopped and started again in turn, as for an
upgrade; a backup is taken; and one thing goes wrong that an operator mends as the runbooks say. At the end the
machines' states must be one, and be what the journal alone comes to.

The lines between these machines are not TLS and show no passwords, so nothing of that is rotated here: what
`ringfence cluster` rotates is tested on real servers under load.
"""

import argparse
import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ringfence.exchange.journal import Entry, JournalError, read_frames
from ringfence.exchange.journal.frame import encode
from ringfence.exchange.journal.reader import segments
from ringfence.exchange.sequencer import Disks, recover
from ringfence.testing import virtual_time
from ringfence.testing.disk import SimulatedDisk
from ringfence.testing.machines import Machine, Options, SplitError, World
from ringfence.testing.play import START_NS
from ringfence.units.time import NS_PER_DAY

DAY_SECONDS = 86_400.0
DAYS = 30
_HOUR_SECONDS = 3_600.0
TROUBLES = (
    "disk lost", "restored from backup", "rot", "servers lost everything", "power cut of all", "snapshots spoiled",
)  # fmt: skip


class Months(World):
    """Two years, or as many months as are asked for."""

    def __init__(self, seed: int, months: int, on_month: Callable[[int], None] = lambda month: None) -> None:
        calm = Options(look_seconds=1_200.0, orders_per_second=12 / DAY_SECONDS, asks=0.005)
        super().__init__(seed, calm)
        self._months, self._on_month = months, on_month
        self.done: Counter[str] = Counter()
        self._backup: tuple[dict[str, bytes], dict[str, bytes]] = {}, {}
        """Files of a journal, and snapshots."""

    async def live(self) -> dict[str, Any]:
        """Live through it and return what has happened. Raises SplitError."""
        self._tasks = [asyncio.create_task(machine.live()) for machine in self.machines]
        for month in range(1, self._months + 1):
            trouble_on = self.dice.randrange(3, DAYS - 3)
            for day in range(1, DAYS + 1):
                await asyncio.sleep(DAY_SECONDS)
                for task in self._tasks:
                    if task.done():
                        task.result()
                if day == 1:
                    self._take_backup()
                elif day == trouble_on:
                    await self._go_wrong(TROUBLES[month % len(TROUBLES)])
                elif day == DAYS - 1:
                    await self._upgrade()
            self._on_month(month)
        self._heal()
        await asyncio.sleep(DAY_SECONDS)
        await self.end()
        self._compare()
        return {
            **self._replayed(), **self.done, "leads": self.leads, "fenced": self.fenced, "deaths": self.deaths,
            "begun from a snapshot": self.from_snapshot, "told": len(self.told),
        }  # fmt: skip

    def _take_backup(self) -> None:
        """Copy a machine's journal and snapshots while it runs."""
        journal, _, snapshots = self.dice.choice(self.machines).disks_of
        self._backup = _files(journal, ".journal"), _files(snapshots, ".snapshot")
        self.done["backups"] += 1

    async def _upgrade(self) -> None:
        """Stop every machine and start it again, one after the other."""
        for machine in self.machines:
            await machine.stop()
            self.done["restarts"] += 1
            await asyncio.sleep(_HOUR_SECONDS)

    async def _go_wrong(self, trouble: str) -> None:
        machine = self.dice.choice(self.machines)
        self.done[trouble] += 1
        if trouble == "disk lost":
            machine.end()
            machine.new_disks()
        elif trouble == "restored from backup":
            machine.end()
            machine.new_disks(*self._backup)
        elif trouble == "rot":
            self._rot(machine)
        elif trouble == "servers lost everything":
            await self._reseed()
        elif trouble == "snapshots spoiled":
            self._spoil(machine)
        else:
            for one in self.machines:
                one.end(power_cut=True)
        await asyncio.sleep(_HOUR_SECONDS)

    def _rot(self, machine: Machine) -> None:
        """Turn one bit of an old frame: the machine refuses to start, and gets a copy of another one's journal."""
        machine.end()
        disk = machine.disks_of[0]
        names = disk.names(".journal")
        if len(names) < 3:
            return
        disk.rot(names[-2], 200)
        try:
            recover(machine.disks)
        except JournalError:
            self.done["refused to start"] += 1
        else:
            raise SplitError(f"machine {machine.number} starts with a rotten journal")
        other = self.machines[(machine.number + 1) % len(self.machines)].disks_of[0]
        machine.new_disks(_files(other, ".journal"))

    def _spoil(self, machine: Machine) -> None:
        """Turn one bit of each snapshot: the machine starts all the same, from the journal."""
        machine.end()
        disk = machine.disks_of[2]
        for name in disk.names(".snapshot"):
            disk.rot(name, self.dice.randrange(disk.size(name)))
        found = recover(machine.disks)
        if found.replayed != found.engine.next_sequence:
            raise SplitError(f"machine {machine.number} starts with a spoiled snapshot")

    async def _reseed(self) -> None:
        """The servers have nothing any more: fill the stream from the longest journal, as `cluster seed` does."""
        for machine in self.machines:
            machine.end(power_cut=True)
        self.is_down = True
        await asyncio.sleep(_HOUR_SECONDS)
        longest = max(self.machines, key=lambda machine: _end_of(machine.disks))
        self.server.entries.clear()
        for number, frame in enumerate(read_frames(longest.disks.journal), 1):
            raw, digest = encode(
                frame.commands, first_sequence=frame.first_sequence, timestamp_ns=frame.timestamp_ns,
                previous=frame.previous,
            )  # fmt: skip
            self.server.entries.append((Entry(number, raw, {}), digest))
        self.is_down = False

    def _replayed(self) -> dict[str, Any]:
        """Return what the journal alone comes to. Raises SplitError if that is something else."""
        first = self.machines[0]
        alone = Disks(first.disks.journal, SimulatedDisk("feed"), SimulatedDisk("snapshots"))
        engine, theirs = recover(alone).engine, recover(first.disks).engine
        if engine.digest() != theirs.digest():
            raise SplitError("a replay of the journal alone comes to another state")
        days = (engine.timestamp_ns - START_NS) // NS_PER_DAY
        return {"days": days, "commands": engine.next_sequence, "digest": engine.digest().hex()}


def _end_of(disks: Disks) -> int:
    newest = segments(disks.journal)[-1].first_sequence
    return max(frame.next_sequence for frame in read_frames(disks.journal, first_sequence=newest))


def _files(disk: SimulatedDisk, suffix: str) -> dict[str, bytes]:
    return {name: disk.read(name) for name in disk.names(suffix)}


def play(seed: int, months: int, on_month: Callable[[int], None] = lambda month: None) -> dict[str, Any]:
    """Return what so many months come to. Raises SplitError."""

    async def work() -> dict[str, Any]:
        world = Months(seed, months, on_month)
        try:
            return await world.live()
        finally:
            await world.end()

    found: dict[str, Any] = virtual_time.run(work())
    return found


def main() -> None:
    from rich.progress import Progress

    parser = argparse.ArgumentParser(prog="months", description="months of three machines in virtual time")
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with Progress() as progress:
        task = progress.add_task("months", total=given.months)
        found = play(given.seed, given.months, lambda month: progress.update(task, completed=month))
    print(
        json.dumps(
            {**found, "seed": given.seed, "months": given.months, "seconds": round(time.monotonic() - began)}
        )
    )


if __name__ == "__main__":
    main()

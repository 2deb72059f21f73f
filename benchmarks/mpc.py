"""What keys that nobody has cost: `python benchmarks/mpc.py [--json] [--quick]`.

Each party is an engine process of its own, as in production; messages go from one to the other in this process, without
signatures and TLS, so that it is the protocols that are measured. CPU seconds are those of all parties together. Last
the whole way of `ringfence up` is measured: signed messages, HSMs, logs.

The peer is the specification's measurement of bron-crypto (Go, 2 and 3 parties in one process) on a machine of the
same kind; it cannot be run here, since the module proxy does not serve it.
"""

import asyncio
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ringfence.custody.demonstration import PLACES
from ringfence.custody.quorum.mpc.engine import Heard, Operation, Outcome, Run, Said, Scheme, perform
from ringfence.testing.measure import Result, report
from ringfence.testing.mpc import Circle, MpcHardware, make_tokens

QUICK = "--quick" in sys.argv[1:]
RUNS = 3 if QUICK else 7
COMMITTEES = ((2, 3), (4, 5)) if QUICK else ((2, 3), (3, 5), (4, 5), (5, 7))
SPECIFIED = {
    ("ecdsa_sign", 2): 0.5, ("ecdsa_sign", 3): 1.45, ("ecdsa_dkg", 3): 0.03, ("ecdsa_dkg", 5): 0.14,
    ("ed25519_dkg", 5): 0.11, ("ed25519_sign", 3): 0.035,
}  # fmt: skip
"""CPU seconds of all parties, by operation and how many take part."""
NAMES = {Scheme.ECDSA: "ecdsa", Scheme.ED25519: "ed25519"}


class Table:
    """Brings what parties say from one to the other, round by round."""

    def __init__(self, parties: tuple[int, ...]) -> None:
        self._parties = parties
        self._said: dict[int, dict[int, Said]] = {}
        self._full: dict[int, asyncio.Event] = {}

    def seat(self, me: int) -> "Seat":
        return Seat(self, me)

    async def exchange(self, me: int, number: int, said: Said) -> Heard:
        event = self._full.setdefault(number, asyncio.Event())
        round_ = self._said.setdefault(number, {})
        round_[me] = said
        if len(round_) == len(self._parties):
            event.set()
        await event.wait()
        others = {of: one for of, one in round_.items() if of != me}
        return Heard(
            {of: one.broadcast for of, one in others.items() if one.broadcast},
            {of: one.private[me] for of, one in others.items() if me in one.private},
        )


class Seat(NamedTuple):
    table: Table
    me: int

    async def exchange(self, number: int, said: Said) -> Heard:
        return await self.table.exchange(self.me, number, said)


async def together(
    operation: Operation, scheme: Scheme, threshold: int, count: int, shares: dict[int, Outcome]
) -> dict[int, Outcome]:
    """Run an operation with everybody who takes part in it."""
    parties = tuple(range(1, (threshold if operation == Operation.SIGN else count) + 1))
    session, message, table = secrets.token_bytes(32), secrets.token_bytes(32), Table(parties)
    runs = [
        Run(
            operation, scheme, me, threshold, count, parties, session, shares[me].share if shares else b"",
            shares[me].package if shares else b"", message,
        )
        for me in parties
    ]  # fmt: skip
    outcomes = await asyncio.gather(*(perform(run, table.seat(run.me)) for run in runs))
    return dict(zip(parties, outcomes, strict=True))


class Cost(NamedTuple):
    wall: float
    cpu: float


async def measured(work: Callable[[], Awaitable[object]], runs: int) -> Cost:
    """Return the medians of wall and CPU seconds, those of the engines."""
    walls, cpus = [], []
    for _ in range(runs):
        before, began = _children(), time.monotonic()
        await work()
        walls.append(time.monotonic() - began)
        cpus.append(_children() - before)
    return Cost(median(walls), median(cpus))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def one_committee(scheme: Scheme, threshold: int, count: int) -> list[Result]:
    found: list[Result] = []

    def say(what: str, parties: int, cost: Cost) -> None:
        name = f"{NAMES[scheme]}_{what}"
        specified = SPECIFIED.get((name, parties))
        peer = ("bron-crypto as specified", cost.cpu / specified) if specified is not None else (None, None)
        found.append(Result(f"mpc.{name}_cpu_seconds[{threshold} of {count}]", cost.cpu, "s", *peer))
        found.append(Result(f"mpc.{name}_wall_seconds[{threshold} of {count}]", cost.wall, "s"))

    shares: dict[int, Outcome] = {}

    async def generate() -> None:
        shares.update(await together(Operation.DKG, scheme, threshold, count, {}))

    async def sign() -> None:
        await together(Operation.SIGN, scheme, threshold, count, shares)

    async def refresh() -> None:
        await together(Operation.REFRESH, scheme, threshold, count, shares)

    few = 1 if QUICK else 3
    say("dkg", count, await measured(generate, few))
    say("sign", threshold, await measured(sign, RUNS))
    say("refresh", count, await measured(refresh, few))
    return found


async def sustained(seconds: float) -> list[Result]:
    """Sign one after another with five parties as `ringfence up` has them, and say how many a minute."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        make_tokens(Path(folder) / "hardware", "")
        circle = Circle(Path(folder) / "circle", MpcHardware(Path(folder) / "hardware"))
        for scheme in Scheme:
            record = await circle.create(NAMES[scheme], scheme)
            done, began = 0, time.monotonic()
            while time.monotonic() - began < seconds:
                await circle.sign(record, secrets.token_bytes(32), tuple(PLACES)[:4], attempt=done)
                done += 1
            rate = done * 60 / (time.monotonic() - began)
            peer = ("40 as specified", rate / 40) if scheme == Scheme.ECDSA else (None, None)
            found.append(Result(f"mpc.{NAMES[scheme]}_signatures_per_minute", rate, "1/min", *peer))
        circle.close()
    return found


def results() -> Iterator[Result]:
    for scheme in Scheme:
        for threshold, count in COMMITTEES:
            yield from asyncio.run(one_committee(scheme, threshold, count))
    yield from asyncio.run(sustained(5 if QUICK else 20))


if __name__ == "__main__":
    report(results())

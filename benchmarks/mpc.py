"""What keys that nobody has cost: `python benchmarks/mpc.py [--json] [--quick]`.

Each party is an engine process of its own, as in production; messages go from one to the other in this process, without
signatures and TLS, so that it is the protocols that are measured. CPU seconds are those of all parties together,
the start of their processes with them; wall seconds are what it takes on the cores that there are. Last the whole way
of `ringfence up` is measured: signed messages, HSMs, logs. Figures without a committee are of four of five, as custody
has it; each is the median of several runs, of fewer if they take long.

The peer is the specification's measurement of bron-crypto (Go, all parties in one process, on one contended core of a
machine of the same kind): it cannot be run here, since the module proxy does not serve it. It was not measured with
four of five; there its figure for three of five stands in, with which it had less to do. Its CPU seconds compare well,
its wall seconds do not: the core was not its own.
"""

import asyncio
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ringfence.custody.demonstration import PLACES
from ringfence.custody.quorum.mpc.engine import Heard, Operation, Outcome, Run, Said, Scheme, perform
from ringfence.testing.measure import Result, report
from ringfence.testing.mpc import THRESHOLD, Circle, MpcHardware, make_tokens

QUICK = "--quick" in sys.argv[1:]
RUNS = 3 if QUICK else 15
SECONDS_MAX = 5 if QUICK else 16
"""So long one figure is measured, whatever a run takes; it is run once in any case."""
SUSTAINED_SECONDS = 5 if QUICK else 10
NAMES = {Scheme.ECDSA: "ecdsa", Scheme.ED25519: "ed25519"}


class Committee(NamedTuple):
    """How many sign, out of how many."""

    threshold: int
    count: int

    def __str__(self) -> str:
        return f"{self.threshold} of {self.count}"


OURS = Committee(THRESHOLD, len(PLACES))
COMMITTEES = (Committee(2, 3), Committee(3, 5), OURS)
BRON = {
    ("ecdsa_dkg_cpu", Committee(2, 3)): 0.03,
    ("ecdsa_dkg_cpu", Committee(3, 5)): 0.14,
    ("ecdsa_sign_cpu", Committee(2, 3)): 0.5,
    ("ecdsa_sign_cpu", Committee(3, 5)): 1.45,
    ("ecdsa_refresh_wall", Committee(3, 5)): 1.6,
    ("ed25519_dkg_cpu", Committee(3, 5)): 0.11,
    ("ed25519_sign_cpu", Committee(3, 5)): 0.035,
}
"""Seconds, all parties: section 1.4 of the specification."""
SIGNATURES_PER_MINUTE = 40
"""What the specification asks for, of ECDSA."""


# ---- one run of everybody


class Table:
    """Brings what parties say from one to the other, round by round, and keeps it."""

    def __init__(self, parties: tuple[int, ...]) -> None:
        self._parties = parties
        self.said: dict[int, dict[int, Said]] = {}
        """By round, by sender."""
        self._full: dict[int, asyncio.Event] = {}

    def seat(self, me: int) -> "Seat":
        return Seat(self, me)

    async def exchange(self, me: int, number: int, said: Said) -> Heard:
        event = self._full.setdefault(number, asyncio.Event())
        round_ = self.said.setdefault(number, {})
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


class Together(NamedTuple):
    """What has come of a run: for each party, and what they have said to each other."""

    outcomes: dict[int, Outcome]
    said: dict[int, dict[int, Said]]


async def together(
    operation: Operation, scheme: Scheme, committee: Committee, shares: Mapping[int, Outcome], *,
    parties: tuple[int, ...] = (), message: bytes = b"", path: str = "", session: bytes = b"",
) -> Together:  # fmt: skip
    """Run an operation with everybody who takes part in it; who signs is the first ones unless `parties` says it.

    Raises ProtocolAbort.
    """
    threshold, count = committee
    parties = parties or tuple(range(1, (threshold if operation == Operation.SIGN else count) + 1))
    session, table = session or secrets.token_bytes(32), Table(parties)
    nothing = Outcome()
    runs = [
        Run(
            operation, scheme, me, threshold, count, parties, session, shares.get(me, nothing).share,
            shares.get(me, nothing).package, message, path=path,
        )
        for me in parties
    ]  # fmt: skip
    working = [asyncio.ensure_future(perform(run, table.seat(run.me))) for run in runs]
    try:
        outcomes = await asyncio.gather(*working)
    finally:
        # Whoever waits for one that has given up would wait for ever; the others are let end.
        await asyncio.wait(working, timeout=1)
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return Together(dict(zip(parties, outcomes, strict=True)), table.said)


# ---- what it costs


class Cost(NamedTuple):
    """Medians, in seconds."""

    wall: float
    cpu: float


async def measured(work: Callable[[], Awaitable[object]]) -> Cost:
    """Return what some work costs: the CPU time is that of the engines alone."""
    walls: list[float] = []
    cpus: list[float] = []
    while len(walls) < RUNS and sum(walls) < SECONDS_MAX:
        before, began = _children(), time.monotonic()
        await work()
        walls.append(time.monotonic() - began)
        cpus.append(_children() - before)
    return Cost(median(walls), median(cpus))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def figures(what: str, committee: Committee, cost: Cost) -> Iterator[Result]:
    for kind, value in (("cpu", cost.cpu), ("wall", cost.wall)):
        name = f"{what}_{kind}"
        suffix = "" if committee == OURS else f"[{committee}]"
        measured_with = Committee(3, 5) if committee == OURS else committee
        specified = BRON.get((name, measured_with))
        peer, ratio = None, None
        if specified is not None:
            peer, ratio = f"bron-crypto {measured_with} as specified", value / specified
        yield Result(f"mpc.{name}_seconds{suffix}", value, "s", peer, ratio)


async def one_committee(scheme: Scheme, committee: Committee) -> list[Result]:
    found: list[Result] = []
    shares: dict[int, Outcome] = {}

    async def generate() -> None:
        shares.update((await together(Operation.DKG, scheme, committee, {})).outcomes)

    async def sign() -> None:
        await together(Operation.SIGN, scheme, committee, shares, message=secrets.token_bytes(32))

    async def refresh() -> None:
        await together(Operation.REFRESH, scheme, committee, shares)

    for name, work in (("dkg", generate), ("sign", sign), ("refresh", refresh)):
        progress(f"{NAMES[scheme]} {committee}: {name}")
        found += figures(f"{NAMES[scheme]}_{name}", committee, await measured(work))
    return found


async def sustained() -> list[Result]:
    """Sign one after another with five parties as `ringfence up` has them, and say how many a minute."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        make_tokens(Path(folder) / "hardware", "")
        circle = Circle(Path(folder) / "circle", MpcHardware(Path(folder) / "hardware"))
        for scheme in Scheme:
            progress(f"{NAMES[scheme]}: signatures one after another")
            record = await circle.create(NAMES[scheme], scheme)
            done, began = 0, time.monotonic()
            while time.monotonic() - began < SUSTAINED_SECONDS:
                await circle.sign(record, secrets.token_bytes(32), tuple(PLACES)[:THRESHOLD], attempt=done)
                done += 1
            rate = done * 60 / (time.monotonic() - began)
            peer, ratio = None, None
            if scheme == Scheme.ECDSA:
                peer, ratio = f"{SIGNATURES_PER_MINUTE} as specified", rate / SIGNATURES_PER_MINUTE
            found.append(Result(f"mpc.{NAMES[scheme]}_signatures_per_minute", rate, "1/min", peer, ratio))
        circle.close()
    return found


def results() -> Iterator[Result]:
    for scheme in Scheme:
        for committee in COMMITTEES:
            yield from asyncio.run(one_committee(scheme, committee))
    yield from asyncio.run(sustained())


if __name__ == "__main__":
    report(results())

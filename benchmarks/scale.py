"""How far one exchange goes, in one page: `python -m benchmarks.scale [--json] [--quick] [--kills N] [--report FILE]`.

The same exchange three times: with the journal in the core's own files (embedded), on a stream of one server (R1), and
on a stream of three servers with three cores (R3), each behind one to four gateways. What it can do is measured in a
closed loop; then it is offered a quarter of that up to ten times that, while accounts that mind their own business are
timed, and the processor time of every process is counted. Then leaders and stream servers are killed under traders, one
account sends 100 times its share, and a crowd listens.

On a machine of few processors all of these processes share them, the load too, and so the rates are this machine's.
Processor time for each order, and what is lost, are not.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import uvloop
from tests.cluster.three import Cluster

from benchmarks import crowd, failures, overload
from benchmarks.overload import FLOODERS, HOSTILE, OTHERS, UNLIMITED, Apart, mind_own_business, watches
from ringfence.testing.measure import Result, percentile, report
from ringfence.testing.venue import Venue, cpu_seconds

QUICK = "--quick" in sys.argv[1:]
RUNS = 1 if QUICK else 3
SECONDS = 2.0 if QUICK else 2.5
GATEWAYS = (1, 4) if QUICK else (1, 2, 4)
TIMES = (0.5, 1.0, 10.0) if QUICK else (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_QUIET = 0.2
"""Processors that an exchange at rest may use."""
KINDS = ("gateway", "core", "followers", "stream", "history")
EVERYBODY = list(range(1, FLOODERS + 1))
QUIET = list(range(FLOODERS + 1, FLOODERS + OTHERS + 1))


class Exchange(NamedTuple):
    """One that runs."""

    name: str
    """embedded, R1 or R3."""
    ports: list[int]
    processes: Mapping[str, subprocess.Popen[bytes]]
    leader: str
    """The process that matches orders."""

    def kind_of(self, process: str) -> str:
        if process == self.leader:
            return "core"
        return {"nats": "stream", "node": "followers"}.get(found := process.partition("-")[0], found)

    def cpu(self) -> dict[str, float]:
        """Return processor seconds so far, by kind of process."""
        used = dict.fromkeys(KINDS, 0.0)
        for name, process in self.processes.items():
            if process.poll() is None:
                used[self.kind_of(name)] += cpu_seconds(process.pid)
        return used

    def only(self, gateways: int) -> "Exchange":
        """Stop the gateways beyond so many: one that has nobody to serve still follows the journal."""
        names = sorted(name for name in self.processes if name.startswith("gateway"))
        for name in names[gateways:]:
            self.processes[name].terminate()
            self.processes[name].wait()
        return self._replace(ports=self.ports[:gateways])


@contextlib.contextmanager
def exchange(name: str, folder: Path, gateways: int) -> Iterator[Exchange]:
    if name == "embedded":
        with Venue(folder, accounts=HOSTILE, history=False, limits=UNLIMITED, gateways=gateways) as venue:
            yield Exchange(name, venue.ports, venue.processes, "core")
        return
    replicas = int(name[1:])
    with Cluster(folder, accounts=HOSTILE, gateways=gateways, replicas=replicas, limits=UNLIMITED) as cluster:
        # Cores without a stream server of their own follow as well; so does the history, which is no part of an order.
        cluster.processes.pop("history").terminate()
        yield Exchange(name, cluster.ports, cluster.processes, cluster.wait_leader())


# ---- one load, measured


class Point(NamedTuple):
    """One exchange under one load."""

    exchange: str
    gateways: int
    times: float
    """Of what it can do in a closed loop; 0 = the closed loop."""
    offered: float
    """Orders a second that the network took."""
    goodput: float
    shed: float
    waits: np.ndarray
    """Seconds, of the orders of accounts that mind their own business."""
    cpu_us: dict[str, float]
    """For each order that was taken, by kind of process."""

    @property
    def total_us(self) -> float:
        return sum(self.cpu_us.values())


def per_order(before: Mapping[str, float], after: Mapping[str, float], orders: float) -> dict[str, float]:
    """Return processor microseconds for each order. Raises ValueError if there was none."""
    if orders <= 0:
        raise ValueError("no order was taken: its cost is not known")
    return {kind: (after[kind] - before[kind]) * 1e6 / orders for kind in before}


def settle(found: Exchange) -> None:
    """Wait until what was started is quiet, 6 seconds at most."""
    for _ in range(6):
        before = sum(found.cpu().values())
        time.sleep(1)
        if sum(found.cpu().values()) - before < _QUIET:
            return


def load(found: Exchange, times: float, rate: float, run: str) -> Point:
    """Offer so many orders a second, 0 = each when one before is answered. Processor time is that while they come."""

    async def mind(loading: Apart) -> tuple[dict[str, float], np.ndarray, int]:
        quiet = await watches(found.ports, QUIET)
        await asyncio.to_thread(loading.wait_begun)
        before = found.cpu()
        await mind_own_business(quiet, run, SECONDS)
        waits = [wait for watch in quiet for wait in watch.waits["placeOrder"]]
        answered = sum(len(waits) for watch in quiet for waits in watch.waits.values())
        for watch in quiet:
            watch.transport.disconnect()
        return before, np.array(waits), answered

    loading = Apart(found.ports, EVERYBODY, rate, SECONDS + 0.5)
    if times:
        before, waits, answered = uvloop.run(mind(loading))
    else:
        loading.wait_begun()
        before, waits, answered = found.cpu(), np.empty(0), 0
    sent = loading.result()
    cpu = per_order(before, found.cpu(), sent.accepted + answered)
    return Point(
        found.name, len(found.ports), times, sent.sent / sent.seconds, sent.accepted / sent.seconds,
        sent.shed / sent.seconds, waits, cpu,
    )  # fmt: skip


def capacity(found: Exchange) -> Point:
    """Return the closed loop whose goodput is the median."""
    load(found, 0, 0, "warm")
    runs = sorted((load(found, 0, 0, f"c{run}-") for run in range(RUNS)), key=lambda point: point.goodput)
    return runs[len(runs) // 2]


def curves(name: str, folder: Path) -> Iterator[Point]:
    """Measure what an exchange can do behind fewer and fewer gateways; behind the last one, under every load."""
    with exchange(name, folder, max(GATEWAYS)) as whole:
        for gateways in sorted(GATEWAYS, reverse=True):
            found = whole.only(gateways)
            settle(found)
            most = capacity(found)
            yield most
        for times in TIMES:
            yield load(found, times, times * most.goodput, f"x{times:g}-")
        if name != "R1":
            yield from crunch(found, most.goodput)


class Crunch(NamedTuple):
    """Ten times the load, and one hostile account. Milliseconds."""

    exchange: str
    cancel_p99: float
    cancels_shed: int
    cancels_lost: int
    idle_p99: float
    beside_p99: float
    others_shed: int
    hostile_offered: float
    hostile_goodput: float


def crunch(found: Exchange, most: float) -> Iterator[Crunch]:
    tens = [uvloop.run(overload.under_load(found.ports, 10 * most, f"t{run}-")) for run in range(RUNS)]
    share = most / (OTHERS + 1)
    hostile = [
        uvloop.run(overload.beside_hostile(found.ports, 100 * share, f"h{run}-")) for run in range(RUNS)
    ]
    yield Crunch(
        found.name, median(one.cancel_p99 for one in tens), sum(one.cancels_shed for one in tens),
        sum(one.cancels_lost for one in tens), median(one[0] for one in hostile),
        median(one[1] for one in hostile), sum(one[2] for one in hostile),
        median(one[3].sent / one[3].seconds for one in hostile),
        median(one[3].accepted / one[3].seconds for one in hostile),
    )  # fmt: skip


# ---- what follows from it


class Fit(NamedTuple):
    """Gateways' processor time for an order: `own` once, `follow` in each gateway. Microseconds."""

    own: float
    follow: float


def fit(gateways: Sequence[int], micros: Sequence[float]) -> Fit:
    """Return the line through the gateways' time for an order by their number (least squares)."""
    follow, own = np.polyfit(np.array(gateways, float), np.array(micros, float), 1)
    return Fit(float(own), float(follow))


def ceiling(found: Fit, core_us: float, gateways: int) -> float:
    """Return orders a second if the core and each gateway have a processor of their own: computed, not measured."""
    each = found.own / gateways + found.follow
    return 1e6 / max(core_us, each)


# ---- figures


class Measured(NamedTuple):
    points: list[Point]
    crunches: list[Crunch]
    failures: failures.Failures | None
    rounds: list[crowd.Round]

    def closed(self, name: str) -> list[Point]:
        """Return the closed loops of an exchange by the number of gateways."""
        found = [point for point in self.points if point.exchange == name and point.times == 0]
        return sorted(found, key=lambda point: point.gateways)

    def loads(self, name: str) -> list[Point]:
        return [point for point in self.points if point.exchange == name and point.times]

    def fit(self, name: str) -> Fit:
        found = self.closed(name)
        return fit([point.gateways for point in found], [point.cpu_us["gateway"] for point in found])


def point_results(point: Point, peer: Point | None) -> Iterator[Result]:
    name = f"scale.{point.exchange}.gateways_{point.gateways}"
    name += f".load_{point.times:g}x" if point.times else ".closed_loop"
    against = None if peer is None or peer is point else f"embedded, {peer.gateways} gateways"
    ratio = None if against is None else point.goodput / peer.goodput
    yield Result(f"{name}.goodput", point.goodput, "orders/s", against, ratio)
    if point.times:
        yield Result(f"{name}.offered", point.offered, "orders/s")
        yield Result(f"{name}.shed", point.shed, "orders/s")
        for share in (50, 99):
            yield Result(
                f"{name}.order_p{share}",
                percentile(point.waits, share) * 1e3,
                "ms",
                "accounts that do not flood",
            )
    for kind, micros in point.cpu_us.items():
        if micros:
            yield Result(f"{name}.{kind}_cpu_us", micros, "us/order")
    ratio = None if against is None else point.total_us / peer.total_us
    yield Result(f"{name}.cpu_us", point.total_us, "us/order", against, ratio)


def crunch_results(found: Crunch) -> Iterator[Result]:
    name = f"scale.{found.exchange}"
    yield Result(
        f"{name}.10x.cancel_p99", found.cancel_p99, "ms", "the target of 250 ms", found.cancel_p99 / 250
    )
    yield Result(f"{name}.10x.cancels_shed", found.cancels_shed, "cancels", "must be 0")
    yield Result(f"{name}.10x.cancels_unanswered", found.cancels_lost, "cancels", "must be 0")
    yield Result(
        f"{name}.hostile.offered", found.hostile_offered, "orders/s", "what the network took of 100 shares"
    )
    yield Result(f"{name}.hostile.goodput", found.hostile_goodput, "orders/s")
    yield Result(f"{name}.hostile.idle_p99", found.idle_p99, "ms", "others, without it")
    yield Result(f"{name}.hostile.others_p99", found.beside_p99, "ms", "others without it",
                 found.beside_p99 / found.idle_p99)  # fmt: skip
    yield Result(f"{name}.hostile.others_shed", found.others_shed, "requests", "must be 0")


def fit_results(found: Measured, name: str) -> Iterator[Result]:
    line = found.fit(name)
    yield Result(f"scale.{name}.gateway_own_us", line.own, "us/order", "once for each order, fitted")
    yield Result(f"scale.{name}.gateway_follow_us", line.follow, "us/order", "in each gateway, fitted")


def measure(options: argparse.Namespace, folder: Path) -> Iterator[Measured]:
    """Yield what is measured so far, after each part."""
    found = Measured([], [], None, [])
    for name in ("embedded", "R1", "R3"):
        for one in curves(name, folder / name):
            if isinstance(one, Crunch):
                found.crunches.append(one)
                report(crunch_results(one))
                continue
            found.points.append(one)
            peers = [p for p in found.closed("embedded") if p.gateways == one.gateways]
            report(point_results(one, peers[0] if peers and not one.times else None))
        report(fit_results(found, name))
        yield found
    found = found._replace(
        failures=failures.measure(folder / "failures", kills=options.kills, others=1 if QUICK else 3)
    )
    report(failures.results(found.failures))
    yield found
    for one in crowd.measure(folder / "crowd", crowd.steps_to(options.crowd)):
        found.rounds.append(one)
        report(crowd.results(one))
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description="how far one exchange goes")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--quick", action="store_true", help="some two minutes, one run of each, fewer points"
    )
    parser.add_argument("--kills", type=int, default=3 if QUICK else 10, help="leaders to kill")
    parser.add_argument(
        "--crowd", type=int, default=5_000 if QUICK else 100_000, help="clients that listen, at most"
    )
    parser.add_argument("--report", type=Path, help="where to write the page")
    options = parser.parse_args()
    from benchmarks.scale_page import facts, page  # matplotlib takes a second to load

    about = facts()
    with tempfile.TemporaryDirectory() as folder:
        # After each part: a run that is cut short leaves what it has measured.
        for found in measure(options, Path(folder)):
            if options.report is not None:
                options.report.write_text(page(about, found))


if __name__ == "__main__":
    main()

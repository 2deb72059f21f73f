"""How long nobody is answered when machines die, and that nothing is lost or done twice: a part of `scale.py`.

Traders place and cancel without pause at two gateways of a cluster of three machines. A gap is counted from the kill
until the next order that anybody is told is placed; at a hand-over it is the longest time without one.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.cluster.stream_servers import stream_leader
from tests.cluster.test_failover import TRADERS, Crowd, check_journals
from tests.cluster.three import Cluster

from ringfence.testing.measure import Result, percentile
from ringfence.testing.traders import tally

_PATIENCE = 60.0
"""Seconds without any acknowledgement after which a measurement is given up."""


class Failures(NamedTuple):
    """What traders noticed. Gaps in seconds."""

    killed: list[float]
    handed_over: list[float]
    turned_away: list[float]
    """Orders at each hand-over whose traders were told to try again."""
    stream_killed: list[float]
    acknowledged: int
    lost: int
    doubled: int
    untrue: int
    """Orders that were otherwise than a trader was told, and traders who stopped at an answer that cannot be."""
    seconds: float


def longest_silence(answered: Sequence[float], *, since: float) -> float:
    """Return the longest time between an answer and the next one, from a moment on."""
    times = [since, *sorted(at for at in answered if at > since)]
    return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def kill_leader(cluster: Cluster, crowd: Crowd) -> float:
    leader = cluster.wait_leader()
    cluster.kill(leader)
    moment = time.monotonic()
    cluster.wait_leader(other_than=leader)
    cluster.start(leader)
    gap = crowd.first_answer_after(moment, seconds=_PATIENCE)
    cluster.keep()
    return gap


def turned_away(crowd: Crowd) -> int:
    return sum(trader.turned_away for trader in crowd.traders)


def hand_over(cluster: Cluster, crowd: Crowd) -> tuple[float, int]:
    """Return the longest time without an answer, and how many orders were turned away."""
    old = cluster.wait_leader()
    new = next(name for name in cluster.nodes if name != old)
    until = time.monotonic() + 60
    # Who was killed before is still catching up, and is refused until it has.
    while (answer := cluster.ask(old, ask="hand-over", to=new)) != {"node": old, "successor": new}:
        assert time.monotonic() < until, answer
        time.sleep(0.2)
    moment, before = time.monotonic(), turned_away(crowd)
    cluster.wait_leader(other_than=old)
    crowd.first_answer_after(time.monotonic(), seconds=_PATIENCE)
    # A gateway whose line was lost answers within a second, or says that nothing was done.
    time.sleep(1.5)
    # The old leader may still answer what it had: not the next answer counts, but the longest time without one.
    gap = longest_silence([at for trader in crowd.traders for at in list(trader.answered)], since=moment)
    return gap, turned_away(crowd) - before


def kill_stream_leader(cluster: Cluster, crowd: Crowd) -> float:
    victim = asyncio.run(stream_leader(cluster.directory))
    cluster.kill(victim)
    # What was on its way when it died may still be answered, which is no sign of a new leader.
    gap = crowd.first_answer_after(time.monotonic() + 0.2, seconds=_PATIENCE) + 0.2
    cluster.start(victim)
    return gap


def measure(folder: Path, *, kills: int, others: int) -> Failures:
    """Kill the leader so many times, hand over and kill the stream's leader `others` times each."""
    dice = random.Random(2026)
    with Cluster(folder, accounts=TRADERS) as cluster:
        crowd, started = Crowd(cluster), time.monotonic()
        gaps: dict[str, list[float]] = {
            "killed": [],
            "handed_over": [],
            "turned_away": [],
            "stream_killed": [],
        }
        for _ in range(kills):
            time.sleep(dice.uniform(0.3, 1.5))
            gaps["killed"].append(kill_leader(cluster, crowd))
        for _ in range(others):
            time.sleep(dice.uniform(0.3, 1.5))
            gap, away = hand_over(cluster, crowd)
            gaps["handed_over"].append(gap)
            gaps["turned_away"].append(away)
        for _ in range(others):
            time.sleep(dice.uniform(0.3, 1.5))
            gaps["stream_killed"].append(kill_stream_leader(cluster, crowd))
        time.sleep(1)
        took = time.monotonic() - started
        crowd.end()
        found = [tally(trader) for trader in crowd.traders]
        faults = sum(trader.fault is not None for trader in crowd.traders)
        cluster.wait_level(seconds=60)
    check_journals(cluster)
    return Failures(
        **gaps, acknowledged=sum(len(trader.acknowledged) for trader in crowd.traders),
        lost=sum(len(one.lost) for one in found), doubled=sum(len(one.doubled) for one in found),
        untrue=faults + sum(len(one.untrue) for one in found), seconds=took,
    )  # fmt: skip


def results(found: Failures) -> Iterator[Result]:
    kills = f"{len(found.killed)} leaders killed, {found.acknowledged} orders acknowledged"
    yield Result("scale.acked_lost", found.lost, "orders", f"must be 0; {kills}")
    yield Result("scale.acked_doubled", found.doubled, "orders", "must be 0")
    yield Result(
        "scale.acked_untrue", found.untrue, "orders", "must be 0: gone, filled or refused otherwise than told"
    )
    for point in (50, 99):
        gap = percentile(found.killed, point)
        yield Result(
            f"scale.failover_p{point}_seconds", gap, "s", "the target of 5 s for an upgrade's gap", gap / 5
        )
    yield Result(
        "scale.handover_turned_away", sum(found.turned_away), "orders",
        "must be 0: orders wait for the next leader while that takes less than a second",
    )  # fmt: skip
    for name, gaps in (("handover", found.handed_over), ("stream_leader_killed", found.stream_killed)):
        peer = f"{len(gaps)} times"
        yield Result(f"scale.{name}_p50_seconds", percentile(gaps, 50), "s", peer)
        yield Result(f"scale.{name}_worst_seconds", max(gaps), "s", peer)

"""Real machines: the leader dies, freezes, hands over; what was acknowledged stays, once, and clients go on.

RINGFENCE_LEADER_KILLS=200 makes it the long run.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ringfence.daemons.cluster_founding import ETCD, NATS
from ringfence.daemons.stream_server import program_of
from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import read_frames
from ringfence.testing.client import Client
from ringfence.testing.traders import Trader, check, wait_enough
from tests.cluster.stream_servers import stream_leader
from tests.cluster.three import Cluster

KILLS = int(os.environ.get("RINGFENCE_LEADER_KILLS", "3"))
TRADERS = 4
KINDS = [NATS, pytest.param(ETCD, marks=pytest.mark.slow)]


class Crowd:
    """Traders at every gateway."""

    def __init__(self, cluster: Cluster) -> None:
        self._stop = threading.Event()
        ports = cluster.ports
        self.traders = [
            Trader(
                ports[(account - 1) % len(ports)],
                account,
                self._stop,
                host=cluster.hosts[(account - 1) % len(ports)],
            )
            for account in range(1, TRADERS + 1)
        ]
        for trader in self.traders:
            trader.start()

    def first_answer_after(self, moment: float, *, seconds: float = 20) -> float:
        """Wait for the first order that was acknowledged after a moment; return how long after."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = [at for trader in self.traders for at in trader.answered[-50:] if at > moment]
            if found:
                return min(found) - moment
            time.sleep(0.005)
        faults = [trader.fault for trader in self.traders if trader.fault is not None]
        raise TimeoutError(f"no order was acknowledged in {seconds:g} s; traders who stopped: {faults}")

    def answered_between(self, began: float, ended: float) -> tuple[int, float]:
        """Return how many answers came between two moments, and the longest time without one."""
        answers = sorted(at for trader in self.traders for at in trader.answered if began <= at <= ended)
        return len(answers), max(later - earlier for earlier, later in itertools.pairwise(answers))

    def end(self) -> None:
        """Let everybody finish what is under way."""
        self._stop.set()
        for trader in self.traders:
            trader.join(40)

    def stop(self) -> None:
        """Raises AssertionError if a trader was told what is not so, TimeoutError if one is told next to nothing."""
        wait_enough(self.traders)
        self.end()
        for trader in self.traders:
            assert trader.fault is None, trader.fault
        for trader in self.traders:
            check(trader)


def check_journals(cluster: Cluster) -> None:
    """Check that the machines' journals are one, as far as the shortest goes. Raises AssertionError, JournalError."""
    heads = [
        {frame.next_sequence: frame.digest for frame in read_frames(RealDisk(own / "journal", make=False))}
        for own in cluster.nodes.values()
    ]
    end = min(max(known) for known in heads)
    assert len({known[end] for known in heads}) == 1


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@pytest.mark.parametrize("kind", KINDS)
def test_leaders_are_killed_under_load(tmp_path: Path, kind: str) -> None:
    _needs(kind)
    dice = random.Random(2026)
    with Cluster(tmp_path, accounts=TRADERS, kind=kind) as cluster:
        crowd = Crowd(cluster)
        gaps: list[float] = []
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.3, 1.5))
            leader = cluster.wait_leader()
            cluster.kill(leader)
            moment = time.monotonic()
            cluster.wait_leader(other_than=leader)
            cluster.start(leader)
            gaps.append(crowd.first_answer_after(moment))
            cluster.keep()
        time.sleep(1)
        crowd.stop()
        level = cluster.wait_level()
        assert len({(one["number"], one["epoch"]) for one in level}) == 1
        acknowledged = sum(len(trader.acknowledged) for trader in crowd.traders)
        print(
            f"{kind}: {KILLS} leaders killed, {acknowledged} orders acknowledged, 0 lost, 0 doubled; until the next "
            f"acknowledgement p50 {percentile(gaps, 0.5):.2f} s, p99 {percentile(gaps, 0.99):.2f} s"
        )
    check_journals(cluster)


def test_a_frozen_leader_wakes_up_fenced(tmp_path: Path) -> None:
    """It has an order in its hands when it is frozen, and never acknowledges it when it wakes up."""
    with Cluster(tmp_path, accounts=2, gateways=3) as cluster:
        old = cluster.wait_leader()
        place = int(old.partition("-")[2]) - 1
        ours, other = Client(cluster.ports[place], 1), Client(cluster.ports[(place + 1) % 3], 2)
        assert ours.place(orderQty=100, price=9_000, clOrdID="before").status == 200
        cluster.signal(old, signal.SIGSTOP)
        outcome: list[Any] = []

        def ask() -> None:
            with contextlib.suppress(OSError):  # the client's patience ends before ours
                outcome.append(ours.place(orderQty=100, price=9_001, clOrdID="frozen"))

        asking = threading.Thread(target=ask)
        asking.start()
        new = cluster.wait_leader(other_than=old)
        until = time.monotonic() + 10
        while other.place(orderQty=100, price=9_002, clOrdID=f"after-{time.monotonic_ns()}").status != 200:
            assert time.monotonic() < until
        cluster.signal(old, signal.SIGCONT)
        assert cluster.processes[old].wait(20) == 76
        assert "fenced: frame" in (tmp_path / f"{old}.log").read_text()
        cluster.start(old)
        asking.join(30)
        # The gateway of the old leader has asked what became of it: it is there once, or not at all, as it was told.
        found = [row["clOrdID"] for row in ours.get("/order?count=500")]
        if outcome:
            assert outcome[0].status in (200, 503)
            assert found.count("frozen") == (outcome[0].status == 200)
        assert found.count("frozen") <= 1
        assert cluster.wait_leader() == new
        cluster.wait_level()
    check_journals(cluster)


def test_a_hand_over_under_load_loses_nothing(tmp_path: Path) -> None:
    with Cluster(tmp_path, accounts=TRADERS) as cluster:
        crowd = Crowd(cluster)
        gaps = []
        for _ in range(2):
            time.sleep(1)
            old = cluster.wait_leader()
            new = next(name for name in cluster.nodes if name != old)
            cluster.wait_followers(old)
            answer = cluster.ask(old, ask="hand-over", to=new)
            assert answer == {"node": old, "successor": new}
            moment = time.monotonic()
            assert cluster.wait_leader(other_than=old) == new
            gaps.append(crowd.first_answer_after(moment))
            assert cluster.processes[old].poll() is None
        time.sleep(1)
        crowd.stop()
        cluster.wait_level()
        turned_away = sum(trader.turned_away for trader in crowd.traders)
        print(
            f"handed over, first acknowledgement after {', '.join(f'{gap:.2f}' for gap in gaps)} s; "
            f"{turned_away} orders were turned away"
        )
    check_journals(cluster)


def test_nobody_hands_over_to_a_machine_that_is_not_there(tmp_path: Path) -> None:
    with Cluster(tmp_path, accounts=1, gateways=1) as cluster:
        leader = cluster.wait_leader()
        gone, other = (name for name in cluster.nodes if name != leader)
        cluster.kill(gone)
        time.sleep(1.5)
        for to, why in ((gone, "is not here"), (leader, "no other machine"), ("node-9", "no other machine")):
            answer = cluster.ask(leader, ask="hand-over", to=to)
            assert answer is not None
            assert why in answer["error"]
        assert (cluster.ask(other, ask="hand-over", to="") or {})["error"].startswith(
            "this machine does not lead"
        )
        assert cluster.leader() == leader


@pytest.mark.parametrize("kind", KINDS)
def test_the_streams_leader_dies_and_nothing_is_acknowledged_meanwhile(tmp_path: Path, kind: str) -> None:
    _needs(kind)
    with Cluster(tmp_path, accounts=TRADERS, kind=kind) as cluster:
        crowd = Crowd(cluster)
        time.sleep(1)
        victim = asyncio.run(stream_leader(cluster.directory))
        cluster.kill(victim)
        moment = time.monotonic()
        gap = crowd.first_answer_after(moment + 0.2)
        cluster.start(victim)
        time.sleep(1)
        # A leader that could not be heard for so long may have been deposed, and ended.
        cluster.keep()
        cluster.wait_followers(cluster.wait_leader())
        crowd.stop()
        cluster.wait_level()
        print(f"{kind}: the stream's leader was killed: {gap:.2f} s until the next acknowledgement")
    check_journals(cluster)


def _needs(kind: str) -> None:
    if program_of(kind) is None:
        pytest.skip(f"no server of {kind} is installed")


@pytest.mark.slow
def test_a_machine_that_came_to_another_state_stops(tmp_path: Path) -> None:
    """One bit of a follower's memory is another one: it notices at the next root and tells nobody anything."""
    with Cluster(tmp_path, accounts=2, gateways=1) as cluster:
        leader = cluster.wait_leader()
        follower = next(name for name in cluster.nodes if name != leader)
        cluster.wait_level()
        cluster.processes[follower].terminate()
        assert cluster.processes[follower].wait(20) == 0
        newest = sorted((cluster.nodes[follower] / "snapshots").glob("*.snapshot"))[-1]
        _raise_a_balance(newest)
        cluster.start(follower)
        client = Client(cluster.ports[0], 1)
        until = time.monotonic() + 30
        while cluster.processes[follower].poll() is None:
            assert time.monotonic() < until, "nobody noticed"
            client.place(orderQty=100, price=9_000)
            time.sleep(0.2)
        assert cluster.processes[follower].returncode == 70
        assert "compare `ringfence journal replay`" in (tmp_path / f"{follower}.log").read_text()
        assert cluster.wait_leader() == leader


def _raise_a_balance(snapshot: Path) -> None:
    """Give an account one unit more, in a snapshot that is whole."""
    from ringfence.exchange.engine import Engine

    engine = Engine.restore(snapshot.read_bytes(), name=snapshot.name)
    engine.state.margins["wallet"][1] += 1
    engine.save(snapshot)

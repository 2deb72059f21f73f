"""Cables are pulled: of two sides only the one with most of the servers goes on, and nothing is told twice.

RINGFENCE_PARTITIONS=20 makes it the long run.
"""

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import read_frames
from ringfence.messages.batch import LEADER, decode_data
from ringfence.messages.records import COMMAND
from tests.cluster.namespaces import Network, why_not
from tests.cluster.three import Cluster

PARTITIONS = int(os.environ.get("RINGFENCE_PARTITIONS", "2"))
TRADERS = 4


@pytest.fixture
def network() -> Network:
    if reason := why_not():
        pytest.skip(reason)
    return Network()


def epochs(cluster: Cluster) -> list[tuple[int, str]]:
    """Return who began to lead at which sequence, by the journal. Raises AssertionError if machines differ."""
    found = []
    for own in cluster.nodes.values():
        leads = []
        for frame in read_frames(RealDisk(own / "journal", make=False)):
            name = decode_data(np.frombuffer(frame.commands, COMMAND), 0).get(LEADER)
            if name:
                leads.append((frame.first_sequence, name.decode()))
        found.append(leads)
    shortest = min(found, key=len)
    assert all(leads[: len(shortest)] == shortest for leads in found)
    return max(found, key=len)


def test_a_leader_that_is_cut_off_acknowledges_nothing(tmp_path: Path, network: Network) -> None:
    from tests.cluster.test_failover import Crowd, check_journals

    dice = random.Random(2026)
    with (
        network,
        Cluster(
            tmp_path, accounts=TRADERS, gateways=3, hosts=network.hosts, spaces=network.spaces
        ) as cluster,
    ):
        crowd = Crowd(cluster)
        gaps = []
        for turn in range(PARTITIONS):
            time.sleep(dice.uniform(0.5, 1.5))
            leader = cluster.wait_leader()
            number = int(leader.partition("-")[2])
            others = [other for other in (1, 2, 3) if other != number]
            moment = time.monotonic()
            if turn % 2 == 0:
                network.pull(number)
            else:
                for other in others:
                    network.deafen(number, other)
            cluster.wait_leader(other_than=leader)
            gaps.append(crowd.first_answer_after(moment + 0.3) + 0.3)
            time.sleep(1)
            if turn % 2 == 0:
                network.plug(number)
            else:
                for other in others:
                    network.cure(number, other)
            # It finds out at its next entry, and follows when it is started again.
            assert cluster.processes[leader].wait(30) == 76
            cluster.keep()
            cluster.wait_followers(cluster.wait_leader(), seconds=30)
        crowd.stop()
        led = epochs(cluster)
        print(
            f"{PARTITIONS} partitions, {len(led)} leaders; next acknowledgement after {[round(g, 2) for g in gaps]} s"
        )
    check_journals(cluster)


@pytest.mark.slow
def test_without_most_of_the_servers_nobody_acknowledges(tmp_path: Path, network: Network) -> None:
    from ringfence.testing.client import Client

    with (
        network,
        Cluster(tmp_path, accounts=2, gateways=3, hosts=network.hosts, spaces=network.spaces) as cluster,
    ):
        leader = cluster.wait_leader()
        number = int(leader.partition("-")[2])
        client = Client(cluster.ports[number - 1], 1, host=cluster.hosts[number - 1])
        assert client.place(orderQty=100, price=9_000).status == 200
        for other in (1, 2, 3):
            if other != number:
                network.pull(other)
        before = cluster.ask(leader, ask="status")
        with pytest.raises(OSError, match="timed out"):
            client.place(orderQty=100, price=9_001, clOrdID="alone")
        after = cluster.ask(leader, ask="status")
        assert before is not None
        assert after is not None
        assert after["number"] <= before["number"] + 1
        for other in (1, 2, 3):
            if other != number:
                network.plug(other)
        # Whatever had become of it is certain now: it is there once or it is not, and new ones are taken.
        until = time.monotonic() + 60
        while True:
            try:
                if client.place(orderQty=100, price=9_002).status == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < until
            cluster.keep()
            time.sleep(0.3)
        assert [row["clOrdID"] for row in client.get("/order?count=500")].count("alone") <= 1

"""A machine that is held catches up; with two of three servers of the stream away nobody leads, and it is seen."""

import json
import signal
import time
from pathlib import Path

from staging import Cluster, Runbook, Watch, known, main, place, ringfence, until
from tests.cluster.test_failover import check_journals

from ringfence.monitoring import metrics
from ringfence.testing.client import Client


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=1, gateways=3) as cluster:
        leader = cluster.wait_leader()
        cluster.wait_followers(leader)
        follower, held = (name for name in cluster.nodes if name != leader)
        client = Client(cluster.ports[list(cluster.nodes).index(follower)], 1)
        told = [name for name in map(str, range(10)) if place(client, name) == 200]
        book.check(len(told) == 10, "orders are acknowledged before")
        watch = Watch(cluster.nodes[follower])
        rows = _status(cluster)
        book.check(rows[leader]["role"] == "leader", "`ringfence cluster status` says who leads")

        book.step(f"{held} is held, while the others trade")
        cluster.signal(held, signal.SIGSTOP)
        for number in range(150):
            name = f"more-{number}"
            told += [name] if place(client, name, price=8_000 - number) == 200 else []
        book.check(len(told) == 160, "the others go on")
        book.check(_status(cluster)[held]["role"] == "down", "it does not answer")
        cluster.signal(held, signal.SIGCONT)
        cluster.wait_level(seconds=60)
        book.check(_status(cluster)[held]["behind"] == 0, "it catches up by itself")

        book.step(f"two servers of the stream are lost, and {leader}")
        for name in (leader, "nats-2", "nats-3"):
            cluster.kill(name)
        watch.until(lambda page: (page.value(metrics.LEADER_SILENT) or 0) > 3, "nobody hears of a leader")
        book.check(watch.fires("LeaderSilent"), "LeaderSilent fires")
        book.check(watch.fires("NoLeader"), "NoLeader fires on a machine that follows")
        book.check(place(client, "meanwhile") != 200, "nothing is acknowledged without a quorum")
        done = ringfence("cluster", "status", str(cluster.directory))
        book.check(
            done.returncode != 0, "`ringfence cluster status` ends with another status than 0: nobody leads"
        )
        book.step("they are back")

        def is_taken() -> bool:
            cluster.keep()
            return place(client, f"after-{time.monotonic_ns()}") == 200

        until(is_taken, "orders are acknowledged again", seconds=90)
        cluster.wait_level(seconds=60)
        watch.look()
        book.check(not watch.fires("LeaderSilent"), "the alert is over")
        book.check(set(told) <= known(client), "every acknowledged order is there")
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


def _status(cluster: Cluster) -> dict[str, dict[str, object]]:
    said = ringfence("cluster", "status", str(cluster.directory), "--json").stdout
    return {row["node"]: row for row in map(json.loads, said.splitlines())}


if __name__ == "__main__":
    main(run)

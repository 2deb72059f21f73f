"""Two of the stream's three servers are away: nobody acknowledges, nobody leads by mistake; then one is back."""

import time
from pathlib import Path

from staging import Cluster, Runbook, main, place
from tests.cluster.test_failover import check_journals

from ringfence.testing.client import Client


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=1, gateways=3) as cluster:
        leader = cluster.wait_leader()
        # A gateway goes with its machine's core: clients come back at another one.
        elsewhere = next(number for number, name in enumerate(cluster.nodes) if name != leader)
        client = Client(cluster.ports[elsewhere], 1)
        told = [f"before-{number}" for number in range(10) if place(client, f"before-{number}") == 200]
        book.check(len(told) == 10, "orders are acknowledged before")
        book.step(f"{leader} and two servers of the stream are lost at once")
        for name in (leader, "nats-2", "nats-3"):
            cluster.kill(name)
        time.sleep(4)
        book.check(place(client, "meanwhile") != 200, "nothing is acknowledged without a quorum")
        said = [cluster.ask(name, ask="status") for name in cluster.nodes if name != leader]
        book.check(not any(one and one["role"] == "leader" for one in said), "nobody leads without a quorum")
        book.step("one server comes back")
        moment = time.monotonic()
        cluster.start("nats-2")
        while place(client, f"after-{time.monotonic_ns()}") != 200:
            if time.monotonic() - moment > 90:
                raise TimeoutError("nothing is acknowledged although a quorum is back")
            for name in cluster.nodes:
                if name != leader and cluster.processes[name].poll() is not None:
                    cluster.start(name)
            time.sleep(0.1)
        book.figure("seconds from the quorum to an acknowledgement", time.monotonic() - moment)
        for name in (leader, "nats-3"):
            cluster.start(name)
        cluster.wait_level(seconds=60)
        known = {row["clOrdID"] for row in client.get("/order?count=500")}
        book.check(set(told) <= known, "every acknowledged order is there")
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


if __name__ == "__main__":
    main(run)

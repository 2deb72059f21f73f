"""All servers of the stream have lost their stores: it is filled from the machine whose journal goes furthest."""

import time
from pathlib import Path

from staging import Cluster, Runbook, lose_stream, main, ringfence, seed_from, stop
from tests.cluster.test_failover import check_journals

from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import read_frames
from ringfence.testing.client import Client


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=1, gateways=1) as cluster:
        client = Client(cluster.ports[0], 1)
        for number in range(20):
            answer = client.place(orderQty=100, price=9_000 - number, clOrdID=f"told-{number}")
            book.check(answer.status == 200, "orders are acknowledged")
        book.step("the servers' stores are lost")
        moment = time.monotonic()
        for server in cluster.layout.servers:
            cluster.kill(server)
        lose_stream(cluster, *cluster.layout.servers)
        stop(cluster, *cluster.nodes)
        ends = {name: _end(own) for name, own in cluster.nodes.items()}
        furthest = max(ends, key=lambda name: ends[name])
        book.step(f"sequences: {ends}; {furthest} goes furthest")
        verified = ringfence("journal", "verify", "--directory", str(cluster.nodes[furthest]), "--json")
        book.check(verified.returncode == 0, f"the journal of {furthest} is whole")
        for server in cluster.layout.servers:
            cluster.start(server)
        book.figure("frames", seed_from(cluster, furthest))
        for name in cluster.nodes:
            cluster.start(name)
        until = time.monotonic() + 90
        while not _is_taken(client):
            if time.monotonic() > until:
                raise TimeoutError("nothing is acknowledged after the stream was filled")
            time.sleep(0.1)
        book.figure("seconds from the loss to an acknowledgement", time.monotonic() - moment)
        known = {row["clOrdID"] for row in client.get("/order?count=500")}
        book.check({f"told-{number}" for number in range(20)} <= known, "every acknowledged order is there")
        cluster.wait_level(seconds=60)
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


def _is_taken(client: Client) -> bool:
    try:
        return client.place(orderQty=100, price=8_000, clOrdID=f"after-{time.monotonic_ns()}").status == 200
    except OSError:
        return False  # the answer is waited for no longer; the order has a definite outcome all the same


def _end(own: Path) -> int:
    return max(frame.next_sequence for frame in read_frames(RealDisk(own / "journal", make=False)))


if __name__ == "__main__":
    main(run)

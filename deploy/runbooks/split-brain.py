"""A leader is frozen, another one leads, and the first wakes up: it finds itself fenced, and follows."""

import signal
import time
from pathlib import Path

from staging import Cluster, Runbook, main
from tests.cluster.test_failover import check_journals

from ringfence.daemons.cluster import EXIT_FENCED
from ringfence.testing.client import Client


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=2, gateways=3) as cluster:
        old = cluster.wait_leader()
        place = int(old.partition("-")[2]) - 1
        elsewhere = Client(cluster.ports[(place + 1) % 3], 2)
        book.check(elsewhere.place(orderQty=100, price=9_000, clOrdID="before").status == 200, "it trades")
        book.step(f"{old} leads and is frozen")
        cluster.signal(old, signal.SIGSTOP)
        new = cluster.wait_leader(other_than=old)
        until = time.monotonic() + 60
        while (
            elsewhere.place(orderQty=100, price=9_001, clOrdID=f"after-{time.monotonic_ns()}").status != 200
        ):
            if time.monotonic() > until:
                raise TimeoutError("nothing is acknowledged although another machine leads")
            time.sleep(0.05)
        book.check(True, f"{new} leads and acknowledges")
        book.step(f"{old} wakes up and believes that it leads")
        cluster.signal(old, signal.SIGCONT)
        book.check(
            cluster.processes[old].wait(60) == EXIT_FENCED,
            f"it ends with status {EXIT_FENCED}: another leads",
        )
        cluster.start(old)
        cluster.wait_level(seconds=60)
        book.check(cluster.wait_leader() == new, "started again it follows")
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


if __name__ == "__main__":
    main(run)

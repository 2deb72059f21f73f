"""The leader dies under load: another machine leads within seconds, and nothing that was acknowledged is lost."""

import time
from pathlib import Path

from staging import Cluster, Runbook, main, until_traded
from tests.cluster.test_failover import Crowd, check_journals


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=4, gateways=2) as cluster:
        crowd = Crowd(cluster)
        time.sleep(1)
        leader = cluster.wait_leader()
        book.step(f"{leader} leads, and is killed")
        cluster.kill(leader)
        moment = time.monotonic()
        new = cluster.wait_leader(other_than=leader)
        book.figure("seconds until another one leads", time.monotonic() - moment)
        cluster.start(leader)
        book.figure("seconds until an order was acknowledged", crowd.first_answer_after(moment, seconds=60))
        book.check(new != leader, f"{new} leads")
        until_traded(crowd)
        crowd.stop()
        book.check(True, "every trader was told what is so, each order is there once")
        cluster.wait_level(seconds=60)
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


if __name__ == "__main__":
    main(run)

"""The machines' certificates, and their password at the stream's servers, are replaced while they trade."""

import time
from pathlib import Path

from staging import Cluster, Runbook, main, ringfence, until_traded
from tests.cluster.test_failover import Crowd, check_journals

from ringfence.daemons.pinned_tls import fingerprint_of


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=4, gateways=3) as cluster:
        crowd = Crowd(cluster)
        leader = cluster.wait_leader()
        before = {fingerprint_of(own / "cluster" / "tls.crt") for own in cluster.nodes.values()}
        time.sleep(0.5)
        done = ringfence("cluster", "rotate-certificates", str(cluster.directory))
        book.check(done.returncode == 0, "`ringfence cluster rotate-certificates` replaces them")
        after = {fingerprint_of(own / "cluster" / "tls.crt") for own in cluster.nodes.values()}
        book.check(not before & after, "every machine has a new one")
        book.check(cluster.leader() == leader, "who leads has not changed")
        crowd.first_answer_after(time.monotonic(), seconds=60)
        done = ringfence("cluster", "rotate-password", str(cluster.directory))
        book.check(done.returncode == 0, "`ringfence cluster rotate-password` replaces the password")
        crowd.first_answer_after(time.monotonic(), seconds=60)
        book.step("the lead is handed over, so that every gateway makes its line anew")
        follower = next(name for name in cluster.nodes if name != leader)
        cluster.wait_followers(leader)
        cluster.ask(leader, ask="hand-over", to=follower)
        cluster.wait_leader(other_than=leader)
        crowd.first_answer_after(time.monotonic(), seconds=60)
        until_traded(crowd)
        crowd.stop()
        book.check(True, "no order was lost")
        cluster.wait_level(seconds=60)
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


if __name__ == "__main__":
    main(run)

"""Rules come into force while a machine is lost; back with the old release it stops, and goes on with the new one."""

import signal
import time
from pathlib import Path

from staging import Cluster, Runbook, main
from tests.cluster.test_failover import check_journals
from tests.cluster.test_upgrade import activate, have_follow, roll, wait_newer

from ringfence.messages.rules import EXIT_RULES
from ringfence.testing.client import Client
from ringfence.testing.newer_build import NEWER, newer_build


def run(book: Runbook, folder: Path) -> None:
    release = newer_build(folder / "release")
    with Cluster(folder / "exchange", accounts=1, gateways=1) as cluster:
        left, others = "node-3", ("node-2", "node-1")
        have_follow(cluster, left)
        book.step(f"all but {left} get the new release")
        roll(cluster, others, release)
        have_follow(cluster, left)
        cluster.wait_followers(cluster.wait_leader(), seconds=60)
        refused = activate(cluster).stderr
        book.check(f"{left} knows rules up to" in refused, f"nobody puts its rules in force: {left} is old")
        book.step(f"{left} is lost")
        cluster.signal(left, signal.SIGKILL)
        cluster.processes[left].wait()
        time.sleep(1.5)
        book.check(f"{left} is not heard" in activate(cluster).stderr, "it is missed by name")
        book.check(activate(cluster, left).returncode == 0, f"without it rules {NEWER} come into force")
        book.step(f"{left} comes back with the old release")
        moment = time.monotonic()
        cluster.start(left)
        book.check(cluster.processes[left].wait(60) == EXIT_RULES, f"it stops with status {EXIT_RULES}")
        book.figure("seconds until it stopped", time.monotonic() - moment)
        log = (cluster.directory / f"{left}.log").read_text()
        book.check(f"Install a build that knows rules {NEWER}" in log, "its log says what is missing")
        client = Client(cluster.ports[0], 1)
        book.check(client.place(orderQty=100, price=9_000).status == 200, "the others trade on")
        book.step("the new release is installed there")
        cluster.environments[left] = release
        cluster.start(left)
        wait_newer(cluster, left)
        cluster.wait_level(seconds=60)
        book.check(cluster.processes[left].poll() is None, "it goes on where it stopped")
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


if __name__ == "__main__":
    main(run)

"""A release works states out differently: the machine that has it stops, the others go on, the old one comes back."""

import shutil
import time
from pathlib import Path

from staging import ROOT, Cluster, Runbook, main, stop
from tests.cluster.test_failover import check_journals

from ringfence.testing.client import Client

EXIT_BUG = 70
_RIGHT, _WRONG = 'accounts=int(header["n_accounts"])', 'accounts=int(header["n_accounts"]) + 1'


def run(book: Runbook, folder: Path) -> None:
    bad = folder / "bad-release"
    shutil.copytree(ROOT / "src", bad, ignore=shutil.ignore_patterns("__pycache__"))
    source = bad / "ringfence" / "exchange" / "sequencer" / "statements.py"
    text = source.read_text()
    book.check(_RIGHT in text, "the release has one line that is wrong")
    source.write_text(text.replace(_RIGHT, _WRONG))
    with Cluster(folder / "exchange", accounts=1, gateways=1) as cluster:
        client = Client(cluster.ports[0], 1)
        leader = cluster.wait_leader()
        follower = next(name for name in ("node-2", "node-3") if name != leader)
        book.step(f"{follower}, which follows, gets the new release")
        stop(cluster, follower)
        cluster.environments[follower] = {"PYTHONPATH": str(bad)}
        cluster.start(follower)
        moment = time.monotonic()
        while cluster.processes[follower].poll() is None:
            if time.monotonic() - moment > 90:
                raise TimeoutError("nobody notices that the release is bad")
            client.place(orderQty=100, price=9_000)
            time.sleep(0.1)
        book.figure("seconds until it stopped", time.monotonic() - moment)
        status = cluster.processes[follower].returncode
        book.check(
            status == EXIT_BUG, f"it stops with status {EXIT_BUG}: its state is another one than the leader's"
        )
        log = (cluster.directory / f"{follower}.log").read_text()
        book.check("is another one here than at the leader" in log, "its log says at which sequence")
        book.check(client.place(orderQty=100, price=9_000).status == 200, "the others trade on")
        book.step("the old release is put back")
        del cluster.environments[follower]
        cluster.start(follower)
        cluster.wait_level(seconds=60)
        book.check(
            cluster.processes[follower].poll() is None, "it follows again, with nothing to be repaired"
        )
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


if __name__ == "__main__":
    main(run)

"""The disaster drill: the stream's store, two of three machines, the whole site are lost under load, one after another.

    python deploy/drills/disaster.py [--json] [--folder FOLDER]

For each loss it measures how many orders that had been acknowledged are gone (the recovery point) and how long it takes
from the loss until an order is acknowledged again (the recovery time), with the traders' own memory as the measure.
Exit status 1 if a state that came back is not the one that was signed, or if more is gone than may be.
"""

import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runbooks"))

from staging import Runbook, lose_disk, lose_stream, main, seed_from, stop
from tests.cluster.test_failover import Crowd
from tests.cluster.three import Cluster

from ringfence.operations.backup import create, new_identity, open_store, read_identities, restore
from ringfence.testing.client import Client
from ringfence.testing.venue import Venue

ACCOUNTS = 4
"""As many as the crowd of the tests has traders."""


def run(book: Runbook, folder: Path) -> None:
    cluster = Cluster(folder / "exchange", accounts=ACCOUNTS, gateways=1)
    store = folder / "store"
    recipients = [new_identity(folder / f"recovery-{number}.key") for number in range(3)]
    with cluster:
        _lose_stream(book, cluster)
        _lose_two_machines(book, cluster)
        told = _trade(cluster, seconds=1)
        book.step("a backup is taken while the exchange runs")
        taken = create(cluster.directory, store, recipients=recipients)
        book.figure("backup seconds", taken.seconds)
        later = _trade(cluster, seconds=0.5)
    public = (cluster.directory / "roots" / "venue.pub").read_text()
    _lose_site(book, folder, store, public, told, later)


def _trade(cluster: Cluster, *, seconds: float) -> dict[int, set[str]]:
    """Trade for a while and return what every account was told, by clOrdID."""
    told: dict[int, set[str]] = {}
    for account in range(1, ACCOUNTS + 1):
        client, until = Client(cluster.ports[0], account), time.monotonic() + seconds
        told[account] = set()
        while time.monotonic() < until:
            name = f"{time.monotonic_ns()}"
            if client.place(orderQty=100, price=9_000 - len(told[account]) % 50, clOrdID=name).status == 200:
                told[account].add(name)
            if len(told[account]) % 100 == 99:
                client.call("DELETE", "/order/all", {})
    return told


def _missing(port: int, told: dict[int, set[str]]) -> int:
    """Return how many orders that were acknowledged the exchange does not know."""
    missing = 0
    for account, names in told.items():
        client, known, start = Client(port, account), set[str](), 0
        while page := client.get(f"/order?count=500&start={start}"):
            known |= {row["clOrdID"] for row in page}
            start += len(page)
        missing += len(names - known)
    return missing


def _until_acknowledged(port: int, seconds: float = 90) -> None:
    """Raises TimeoutError."""
    client, until = Client(port, 1), time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if client.place(orderQty=100, price=8_000, clOrdID=f"again-{time.monotonic_ns()}").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"no order was acknowledged in {seconds:g} s")


def _lose_stream(book: Runbook, cluster: Cluster) -> None:
    book.step("every server of the stream loses its store")
    told = _trade(cluster, seconds=1)
    servers = list(cluster.layout.servers)
    moment = time.monotonic()
    for server in servers:
        cluster.kill(server)
    lose_stream(cluster, *servers)
    stop(cluster, *cluster.nodes)
    _seed_again(book, cluster, "node-1")
    _until_acknowledged(cluster.ports[0])
    book.figure("stream lost: recovery time, s", time.monotonic() - moment)
    book.figure("stream lost: acknowledged orders lost", lost := _missing(cluster.ports[0], told))
    book.check(lost == 0, "no acknowledged order is lost with the stream's stores")


def _seed_again(book: Runbook, cluster: Cluster, node: str) -> None:
    for server in cluster.layout.servers:
        cluster.start(server)
    book.step(f"the stream is filled from {node}")
    book.figure(f"frames from {node}", seed_from(cluster, node))
    for name in cluster.nodes:
        cluster.start(name)
    cluster.wait_leader()


def _lose_two_machines(book: Runbook, cluster: Cluster) -> None:
    """The leader is among them: what it has acknowledged has to be somewhere else."""
    survivor, lost = "node-1", ("node-2", "node-3")
    if cluster.leader() == survivor:
        cluster.wait_followers(survivor)
        cluster.ask(survivor, ask="hand-over", to=lost[0])
        cluster.wait_leader(other_than=survivor)
    crowd = Crowd(cluster)
    time.sleep(1)
    book.step("two of three machines are lost, with the leader, their disks and their servers' stores")
    moment = time.monotonic()
    for name in (*lost, "nats-2", "nats-3"):
        cluster.kill(name)
    for name in lost:
        lose_disk(cluster, name)
    lose_stream(cluster, *cluster.layout.servers)
    stop(cluster, survivor, "nats-1")
    _seed_again(book, cluster, survivor)
    crowd.first_answer_after(time.monotonic(), seconds=90)
    book.figure("two machines lost: recovery time, s", time.monotonic() - moment)
    time.sleep(0.5)
    crowd.end()
    told = {trader.client.account: set(trader.acknowledged) for trader in crowd.traders}
    gone = _missing(cluster.ports[0], told)
    book.figure("two machines lost: acknowledged orders lost", gone)
    book.figure("two machines lost: acknowledged in all", sum(map(len, told.values())))
    # The promise is for one machine. Of two, what was under way to the third is at stake: a batch.
    book.check(gone <= 2 * ACCOUNTS, "at most what was under way is lost with two machines")
    states = {one["sequence"] for one in cluster.wait_level(seconds=60)}
    book.check(len(states) == 1, "the new machines have come to the same place from the stream alone")


def _lose_site(
    book: Runbook,
    folder: Path,
    store: Path,
    public: str,
    told: dict[int, set[str]],
    later: dict[int, set[str]],
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    book.step("the whole site is lost")
    shutil.rmtree(folder / "exchange")
    moment = time.monotonic()
    opened = open_store(store, Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    identities = read_identities([folder / "recovery-0.key", folder / "recovery-2.key"])
    restored = restore(opened, folder / "again", identities=identities)
    book.check(restored.proved.states == 1, "the restored state is the one whose root was signed")
    venue = Venue(folder / "again", accounts=ACCOUNTS)
    for name in ("core", "history", "gateway"):
        venue.start(name)
    try:
        venue.wait_ready()
        _until_acknowledged(venue.port)
        book.figure("site lost: recovery time, s", time.monotonic() - moment)
        book.figure(
            "site lost: slots replayed a second", restored.proved.commands / restored.replayed_seconds
        )
        book.figure("site lost: acknowledged before the backup, lost", lost := _missing(venue.port, told))
        book.figure("site lost: acknowledged after the backup, lost", _missing(venue.port, later))
        book.check(lost == 0, "no order is lost that was acknowledged before the backup began")
    finally:
        venue.__exit__(None, None, None)


if __name__ == "__main__":
    main(run)

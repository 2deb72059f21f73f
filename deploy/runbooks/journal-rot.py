"""A byte of one machine's journal has changed: it refuses to start, is emptied, and gets all again from the stream."""

from pathlib import Path

from staging import Cluster, Runbook, lose_disk, main, ringfence, stop
from tests.cluster.test_failover import check_journals

from ringfence.daemons.core import EXIT_CORRUPT
from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import JournalReader
from ringfence.testing.client import Client


def run(book: Runbook, folder: Path) -> None:
    with Cluster(folder / "exchange", accounts=1, gateways=1) as cluster:
        leader = cluster.wait_leader()
        rotten = next(name for name in ("node-2", "node-3") if name != leader)
        own = cluster.nodes[rotten]
        client = Client(cluster.ports[0], 1)
        for number in range(20):
            book.check(
                client.place(orderQty=100, price=9_000 - number).status == 200, "orders are acknowledged"
            )
        cluster.wait_level(seconds=60)
        stop(cluster, rotten)
        segment, at = _middle(own)
        book.step(f"byte {at} of {segment.name} on {rotten} changes")
        raw = bytearray(segment.read_bytes())
        raw[at] ^= 1
        segment.write_bytes(raw)
        cluster.start(rotten)
        status = cluster.processes[rotten].wait(60)
        book.check(status == EXIT_CORRUPT, f"it refuses to start, with status {EXIT_CORRUPT}")
        book.check(
            segment.name in (cluster.directory / f"{rotten}.log").read_text(), "its log names the segment"
        )
        verified = ringfence("journal", "verify", "--directory", str(own), "--json")
        book.check(verified.returncode == EXIT_CORRUPT, "`ringfence journal verify` says the same")
        book.check(client.place(orderQty=100, price=8_000).status == 200, "the others trade on meanwhile")
        book.step(f"{rotten} is emptied, but for what a new machine is set up with")
        lose_disk(cluster, rotten)
        cluster.start(rotten)
        cluster.wait_level(seconds=90)
        verified = ringfence("journal", "verify", "--directory", str(own), "--json")
        book.check(verified.returncode == 0, "its journal is whole")
        status = cluster.processes[rotten].poll()
        book.check(status is None, "it follows, and agrees with the leader's roots")
    check_journals(cluster)
    book.check(True, "the machines' journals are one")


def _middle(own: Path) -> tuple[Path, int]:
    """Return the newest segment and a byte in the middle of what is written in it."""
    reader = JournalReader(RealDisk(own / "journal", make=False))
    ends = [(reader.segment, reader.offset) for _ in reader.frames()]
    return own / "journal" / ends[-1][0], ends[-1][1] // 2


if __name__ == "__main__":
    main(run)

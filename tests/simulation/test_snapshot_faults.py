"""A snapshot with any byte changed, cut off anywhere or under another name is never used."""

import errno
import random

import pytest

from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import segment
from ringfence.exchange.sequencer import Cycle, Disks, recover, write_snapshot
from ringfence.testing.disk import SimulatedDisk
from ringfence.testing.play import START_NS, open_venue, opening
from ringfence.testing.workloads import everything


def refuses(raw: bytes) -> bool:
    """Return whether a snapshot is refused, whatever the reader says of it."""
    try:
        Engine.restore(raw, name="snapshot")
    except Exception:
        return True
    return False


def test_every_changed_byte_of_a_snapshot_is_noticed() -> None:
    engine = open_venue(accounts=1)
    engine.step(everything(1, count=40, accounts=1), timestamp_ns=START_NS)
    raw = b"".join(engine.snapshot())
    assert Engine.restore(raw, name="snapshot").digest() == engine.digest()
    changed = bytearray(raw)
    for offset in range(len(raw)):
        changed[offset] ^= 1 << offset % 8
        assert refuses(bytes(changed)), f"byte {offset} of {len(raw)}"
        changed[offset] = raw[offset]
    for size in range(0, len(raw), 61):
        assert refuses(raw[:size])
    assert refuses(raw + b"\0")


@pytest.fixture(scope="module")
def straight() -> tuple[Disks, list[int], bytes]:
    """Disks with two snapshots and batches after them, their sequences, and the digest of the engine."""
    disks = Disks(SimulatedDisk(1), SimulatedDisk(2), SimulatedDisk(3), 65_536, 65_536)
    recovered = recover(disks)
    cycle = Cycle(recovered.engine, recovered.journal, recovered.feed)
    rows = everything(3, count=240, accounts=3)
    taken = []
    for number in range(7):
        commands = (
            rows[40 * (number - 1) : 40 * number].tobytes() if number else opening(accounts=3).tobytes()
        )
        batch = cycle.begin(commands, now_ns=START_NS + number)
        cycle.step(batch)
        cycle.write(batch)
        cycle.publish(batch)
        if number in (2, 4):
            write_snapshot(cycle.engine, disks, is_feed_suspect=True)
            taken.append(cycle.next_sequence)
    return disks, taken, cycle.engine.digest()


def test_recovery_passes_over_a_damaged_snapshot(straight: tuple[Disks, list[int], bytes]) -> None:
    disks, (older, newest), digest = straight
    place = disks.snapshots
    assert isinstance(place, SimulatedDisk)
    name = place.names(".snapshot")[-1]
    raw = place.read(name)
    dice = random.Random(5)
    for _ in range(150):
        place.restore(name, raw)
        place.rot(name, dice.randrange(len(raw)), 1 << dice.randrange(8))
        recovered = recover(disks)
        assert recovered.engine.next_sequence - recovered.replayed == older
        assert recovered.engine.digest() == digest
    place.restore(name, place.read(place.names(".snapshot")[0]))
    assert recover(disks).engine.digest() == digest
    place.restore(name, raw)
    recovered = recover(disks)
    assert recovered.engine.next_sequence - recovered.replayed == newest
    assert recovered.engine.digest() == digest


def test_below_a_snapshot_the_feed_is_durable_though_an_earlier_sync_of_it_had_failed() -> None:
    """The system takes the pages for clean after a failed sync: they are written again first (seed 1218)."""
    feed = SimulatedDisk(2)
    disks = Disks(SimulatedDisk(1), feed, SimulatedDisk(3), 65_536, 65_536)
    recovered = recover(disks)
    cycle = Cycle(recovered.engine, recovered.journal, recovered.feed)
    rows = everything(3, count=80, accounts=3)
    for commands in (opening(accounts=3), rows[:40], rows[40:]):
        batch = cycle.begin(commands.tobytes(), now_ns=START_NS)
        cycle.step(batch)
        cycle.write(batch)
        cycle.publish(batch)
    feed.fail("sync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        write_snapshot(cycle.engine, disks, is_feed_suspect=True)
    published = [feed.read(name) for name in segment.names(feed)]
    write_snapshot(cycle.engine, disks, is_feed_suspect=True)
    feed.power_cut()
    assert [feed.read(name) for name in segment.names(feed)] == published
    assert recover(disks).replayed == 0

"""A core without its socket, for real disks that are cut off: python -m ringfence.testing.iron DIRECTORY.

It recovers, applies batch after batch that follow from their number alone, and says on standard output which
sequence is acknowledged. Whoever stopped it reads that and calls `check`. One thread, so that the so-manieth
system call is the same one every time. Exit status: 0 done, 65 refused to start, 74 the disk failed.
"""

import argparse
import random
import sys
from pathlib import Path

import numpy as np

from ringfence.exchange.feed import FeedReader, FeedWriteError
from ringfence.exchange.journal import JournalError, JournalReadError, JournalWriteError, read_frames
from ringfence.exchange.sequencer import Cycle, Disks, Replay, recover, remove_old_snapshots, write_snapshot
from ringfence.messages.commands import Command, OrderFlag
from ringfence.messages.records import RECORD_BYTES
from ringfence.testing.play import START_NS, command, opening
from ringfence.units.time import NS_PER_MS

EXIT_CORRUPT, EXIT_DISK = 65, 74
_ACCOUNTS = 4
_ORDERS = 6
_SNAPSHOT_EVERY = 6
_SEGMENT_BYTES, _FEED_FILE_BYTES = 4_096, 8_192


def batch(number: int) -> bytes:
    """Return the commands of a batch: the founding, then orders that often trade."""
    if number == 0:
        return opening(accounts=_ACCOUNTS).tobytes()
    dice = random.Random(number)
    rows = [
        command(
            Command.PLACE, account=dice.randrange(1, _ACCOUNTS + 1), symbol=1, qty=100 * dice.randrange(1, 9),
            px=10_000 + dice.randrange(-20, 21), flags=OrderFlag.SELL if dice.random() < 0.5 else 0,
        )
        for _ in range(_ORDERS)
    ]  # fmt: skip
    return np.concatenate(rows).tobytes()


_FOUNDING = len(batch(0)) // RECORD_BYTES


def number_at(sequence: int) -> int:
    """Return the number of the batch that begins at a sequence."""
    if sequence == 0:
        return 0
    number, rest = divmod(sequence - _FOUNDING, _ORDERS)
    assert rest == 0, f"no batch begins at {sequence}"
    return number + 1


def disks_of(directory: Path) -> Disks:
    """Return the disks of a directory, with small files so that new ones are begun all the time."""
    return Disks.of(directory, make=True)._replace(
        segment_bytes=_SEGMENT_BYTES, feed_file_bytes=_FEED_FILE_BYTES
    )


def run(directory: Path, *, batches: int) -> int:
    """Apply so many batches and return the exit status."""
    try:
        disks = disks_of(directory)
        recovered = recover(disks)
        cycle = Cycle(recovered.engine, recovered.journal, recovered.feed)
        say(cycle)
        is_feed_suspect = True
        for _ in range(batches):
            number = number_at(cycle.next_sequence)
            under_way = cycle.begin(batch(number), now_ns=START_NS + number * NS_PER_MS)
            cycle.step(under_way)
            cycle.write(under_way)
            cycle.publish(under_way)
            say(cycle)
            if number % _SNAPSHOT_EVERY == _SNAPSHOT_EVERY - 1:
                write_snapshot(cycle.engine, disks, is_feed_suspect=is_feed_suspect)
                is_feed_suspect = False
                remove_old_snapshots(disks)
    except (OSError, JournalReadError, JournalWriteError, FeedWriteError) as error:
        print(error, file=sys.stderr)
        return EXIT_DISK
    except JournalError as error:
        print(error, file=sys.stderr)
        return EXIT_CORRUPT
    return 0


def say(cycle: Cycle) -> None:
    """Acknowledge everything that is published by now."""
    print(cycle.next_sequence, flush=True)


def acknowledged(said: str) -> int:
    """Return the last sequence that a run acknowledged whole, 0 if none."""
    lines = said.splitlines(keepends=True)
    return max((int(line) for line in lines if line.endswith("\n")), default=0)


def check(directory: Path, below: int) -> int:
    """Recover and check that everything below a sequence is there; return what is there now.

    Raises AssertionError if something was lost, changed or invented; JournalError.
    """
    disks = disks_of(directory)
    recovered = recover(disks)
    there = recovered.journal.next_sequence
    assert there >= below, f"{below} was acknowledged, {there} is there"
    for frame in read_frames(disks.journal):
        number = number_at(frame.first_sequence)
        assert frame.commands == batch(number), f"batch {number} is not what was sent"
    recovered.journal.close()
    recovered.feed.close()
    replay = Replay(directory)
    replay.run()
    assert replay.differences == []
    reader = FeedReader(directory / "feed")
    while reader.read() is not None:
        pass
    assert reader.next_sequence == there, "the feed does not end where the journal ends"
    reader.close()
    return there


def main() -> None:
    parser = argparse.ArgumentParser(prog="iron", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--batches", type=int, default=10**9)
    given = parser.parse_args()
    sys.exit(run(given.directory, batches=given.batches))


if __name__ == "__main__":
    main()

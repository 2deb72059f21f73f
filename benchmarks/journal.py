"""How fast durability is, and how fast a core is back: `python benchmarks/journal.py [--json] [--quick]`.

Appending is held against the same bytes written and synced with nothing around them; the core is timed
as a process, from the fork to the moment at which it takes commands.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from ringfence.configuration import Settings
from ringfence.exchange.journal import Journal, RealDisk, read_frames
from ringfence.exchange.sequencer import Sequencer, recover
from ringfence.messages.records import COMMAND, RECORD_BYTES
from ringfence.testing.measure import Result, report, seconds
from ringfence.testing.venue import configure
from ringfence.testing.workloads import START_NS, workload

QUICK = "--quick" in sys.argv[1:]
RUNS = 2 if QUICK else 5
BATCH = 1024
BATCHES = 100 if QUICK else 400


def batches(count: int) -> list[bytes]:
    commands = workload("m10k").commands
    raw = np.resize(commands, count * BATCH).tobytes()
    size = BATCH * RECORD_BYTES
    return [raw[k * size : (k + 1) * size] for k in range(count)]


def appending() -> Iterator[Result]:
    parts = batches(BATCHES)
    floors, rates, singles = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            descriptor = os.open(Path(folder, "bare"), os.O_RDWR | os.O_CREAT)
            os.posix_fallocate(descriptor, 0, sum(map(len, parts)))
            os.fsync(descriptor)

            def bare(descriptor: int = descriptor) -> None:
                for part in parts:
                    os.write(descriptor, part)
                    os.fdatasync(descriptor)

            floors.append(len(parts) * BATCH / seconds(bare))
            os.close(descriptor)
            journal = Journal(RealDisk(Path(folder, "journal")))

            def append(journal: Journal = journal) -> None:
                for part in parts:
                    journal.append(part, timestamp_ns=START_NS)

            rates.append(len(parts) * BATCH / seconds(append))

            def append_one(journal: Journal = journal) -> None:
                for part in parts:
                    journal.append(part[:RECORD_BYTES], timestamp_ns=START_NS)

            singles.append(seconds(append_one) / len(parts) * 1e6)
            started = time.perf_counter()
            count = sum(
                len(frame.commands) // RECORD_BYTES
                for frame in read_frames(RealDisk(Path(folder, "journal")))
            )
            verified = count / (time.perf_counter() - started)
            journal.close()
    floor, rate = median(floors), median(rates)
    yield Result("journal.bare_write_and_sync_per_second", floor, "commands/s", "write and fdatasync alone")
    yield Result(
        "journal.append_per_second.batch_1024", rate, "commands/s", "write and fdatasync alone", rate / floor
    )
    yield Result("journal.append_us.batch_1", median(singles), "us")
    yield Result("journal.verify_per_second", verified, "commands/s")


def sequencing() -> Iterator[Result]:
    """Journal, engine and feed together: the engine works while the disk writes."""
    parts = batches(BATCHES)
    setup = workload("m10k").setup.tobytes()

    async def run(folder: Path) -> float:
        sequencer = Sequencer(recover(folder), folder)
        for begin in range(0, len(setup), 4096 * RECORD_BYTES):
            await sequencer.apply(setup[begin : begin + 4096 * RECORD_BYTES], timestamp_ns=START_NS)
        started = time.perf_counter()
        for part in parts:
            await sequencer.apply(part, timestamp_ns=START_NS)
        took = time.perf_counter() - started
        sequencer.close(snapshot=False)
        return len(parts) * BATCH / took

    rates = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rates.append(asyncio.run(run(Path(folder))))
    yield Result("sequencer.durable_commands_per_second.batch_1024", median(rates), "commands/s",
                 "the target of 3 M/s", median(rates) / 3e6)  # fmt: skip


def core_seconds(directory: Path) -> float:
    """Return how long a core process takes until it takes commands."""
    (directory / "core.sock").unlink(missing_ok=True)
    configure(directory, {}, before=Settings())
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ringfence.daemons.core", str(directory)], stderr=subprocess.DEVNULL
    )
    try:
        while not (directory / "core.sock").exists():
            assert process.poll() is None
            time.sleep(0.001)
        return time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def starting() -> Iterator[Result]:
    """A million journaled commands: behind a snapshot, and all to be replayed."""
    work = workload("m10k")
    commands = np.concatenate([work.setup, work.commands])
    with tempfile.TemporaryDirectory(dir=".") as folder:
        directory = Path(folder)

        async def fill() -> None:
            sequencer = Sequencer(recover(directory), directory)
            for begin in range(0, len(commands), 4096):
                await sequencer.apply(commands[begin : begin + 4096].tobytes(), timestamp_ns=START_NS)
            sequencer.close(snapshot=True)

        asyncio.run(fill())
        warm = [core_seconds(directory) for _ in range(RUNS)]
        empty = Path(folder, "empty")
        empty.mkdir()
        bare = [core_seconds(empty) for _ in range(RUNS)]
        yield Result("core.start_seconds.empty", median(bare), "s", "mostly Python coming up")
        yield Result(
            "core.start_seconds.1m_behind_a_snapshot",
            median(warm),
            "s",
            "the target of 1 s",
            median(warm) / 1.0,
        )
        recovery = []
        for _ in range(RUNS):
            started = time.perf_counter()
            recovered = recover(directory)
            recovery.append(time.perf_counter() - started)
            recovered.journal.close()
            recovered.feed.close()
        yield Result("core.recovery_seconds.1m_behind_a_snapshot", median(recovery), "s", "a core with nothing",
                     median(recovery) / median(bare))  # fmt: skip
        for snapshot in (directory / "snapshots").iterdir():
            snapshot.unlink()
        started = time.perf_counter()
        recovered = recover(directory)
        took = time.perf_counter() - started
        yield Result("core.recovery_seconds.1m_replayed", took, "s")
        yield Result("core.replay_per_second", recovered.replayed / took, "commands/s", "the target of 8 M/s",
                     recovered.replayed / took / 8e6)  # fmt: skip


def main() -> None:
    assert COMMAND.itemsize == RECORD_BYTES
    for part in (appending, sequencing, starting):
        report(part())


if __name__ == "__main__":
    main()

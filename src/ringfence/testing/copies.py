"""A journal of many commands, and copies of it as standbys and restores make them: one state, whatever runs them.

    python -m ringfence.testing.copies make DIRECTORY --commands N
    python -m ringfence.testing.copies restored DIRECTORY COPY
    python -m ringfence.testing.copies followed DIRECTORY COPY

Each prints one line of JSON. `nox -s copies` asks every Python that is there, with several hash seeds.
"""

import argparse
import asyncio
import hashlib
import json
import platform
import random
import shutil
from pathlib import Path
from typing import Any

from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import Entry, read_frames
from ringfence.exchange.journal.frame import encode
from ringfence.exchange.sequencer import Recovered, Sequencer, recover
from ringfence.messages.records import RECORD_BYTES
from ringfence.testing.play import START_NS, opening
from ringfence.testing.stream import MemoryStream, Network, Server
from ringfence.testing.workloads import everything
from ringfence.units.time import NS_PER_MS

SEED = 20261130
BATCH = 200
_ACCOUNTS = 50


def make(directory: Path, *, commands: int) -> dict[str, Any]:
    """Write a journal of random commands, sane and absurd, and return what it comes to."""
    recovered = recover(directory)
    sequencer = Sequencer(recovered, directory)
    rows = everything(SEED, count=commands, accounts=_ACCOUNTS)

    async def write() -> None:
        await sequencer.apply(opening(accounts=_ACCOUNTS).tobytes(), timestamp_ns=START_NS)
        for number, begin in enumerate(range(0, commands, BATCH), 1):
            batch = rows[begin : begin + BATCH].tobytes()
            await sequencer.apply(batch, timestamp_ns=START_NS + number * NS_PER_MS)

    asyncio.run(write())
    return _said("made", directory, recovered)


def restored(directory: Path, copy: Path) -> dict[str, Any]:
    """Recover from a copy of the journal alone."""
    shutil.copytree(directory / "journal", copy / "journal")
    return _said("restored", copy, recover(copy))


def followed(directory: Path, copy: Path) -> dict[str, Any]:
    """Take the frames one after the other, as a machine that follows does."""
    recovered = recover(copy)
    sequencer = Sequencer(recovered, copy, stream=MemoryStream(Server(), Network(random.Random(0))))

    async def follow() -> None:
        for number, frame in enumerate(read_frames(RealDisk(directory / "journal", make=False)), 1):
            raw, _ = encode(
                frame.commands, first_sequence=frame.first_sequence, timestamp_ns=frame.timestamp_ns,
                previous=frame.previous,
            )  # fmt: skip
            await sequencer.follow(Entry(number, raw, {}))

    asyncio.run(follow())
    return _said("followed", copy, recovered)


def _said(how: str, directory: Path, recovered: Recovered) -> dict[str, Any]:
    events = hashlib.blake2b(digest_size=16)
    for path in sorted((directory / "feed").glob("*.feed")):
        events.update(path.read_bytes())
    engine = recovered.engine
    return {
        "how": how, "python": platform.python_version(), "commands": engine.next_sequence,
        "events": engine.event_count, "state": engine.digest().hex(), "feed": events.hexdigest(),
        "journal": recovered.journal.head.hex(), "bytes": engine.next_sequence * RECORD_BYTES,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="copies", description="a journal and copies of it")
    parser.add_argument("how", choices=("make", "restored", "followed"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("copy", type=Path, nargs="?")
    parser.add_argument("--commands", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.how == "make":
        print(json.dumps(make(given.directory, commands=given.commands)))
        return
    if given.copy is None:
        parser.error("a copy needs a directory of its own")
    print(json.dumps({"restored": restored, "followed": followed}[given.how](given.directory, given.copy)))


if __name__ == "__main__":
    main()

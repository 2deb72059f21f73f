"""The real core, killed with -9 at random moments: nothing acknowledged is lost, nothing is done twice.

RINGFENCE_KILLS=200 makes it the long run; the default is a short one.
"""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ringfence.configuration import Settings
from ringfence.exchange.feed import CoreClient, FeedReader
from ringfence.exchange.sequencer import Replay
from ringfence.messages.batch import CLORDID, encode_data
from ringfence.messages.commands import Command, OrderFlag
from ringfence.messages.events import Event
from ringfence.messages.identifiers import clid_hash
from ringfence.messages.rejects import Reject
from ringfence.testing.play import command, opening
from ringfence.testing.venue import configure

KILLS = int(os.environ.get("RINGFENCE_KILLS", "10"))
ACCOUNTS = 10
WINDOW = 200
LIVE_ORDERS_MAX = 100
_XBTUSD = 1
_ANSWERS = (Event.ACCEPTED, Event.REJECTED, Event.CANCELED)


class Process:
    """One core after another on the same directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        configure(directory, {}, before=Settings())
        self._log = directory.parent / "core.log"
        self._core: subprocess.Popen[bytes] | None = None

    def start(self, *, file_bytes_max: int | None = None) -> None:
        def limit() -> None:
            if file_bytes_max is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

        with open(self._log, "ab") as log:
            self._core = subprocess.Popen(
                [sys.executable, "-m", "ringfence.daemons.core", str(self.directory)],
                stderr=log,
                preexec_fn=limit,
            )

    def end(self, how: int) -> int:
        assert self._core is not None
        self._core.send_signal(how)
        return self._core.wait(60)

    def status(self) -> int:
        """Return its exit status once it has ended by itself."""
        assert self._core is not None
        return self._core.wait(60)

    @property
    def is_running(self) -> bool:
        return self._core is not None and self._core.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def connect(self, client: CoreClient) -> None:
        give_up = time.monotonic() + 60
        while True:
            try:
                await client.connect()
                return
            except OSError:
                assert self.is_running, self.log[-2000:]
                assert time.monotonic() < give_up, self.log[-2000:]
                await asyncio.sleep(0.02)


class Customer:
    """Sends numbered commands, remembers what the feed acknowledged, and sends again what it did not."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reader = FeedReader(directory / "feed")
        self._dice = random.Random(1)
        self._number = 0
        self._news = asyncio.Event()
        self._client: CoreClient | None = None
        self._unanswered: dict[int, bytes] = {}
        """Hash of a clOrdID -> the submission that nobody has answered yet."""
        self._live: dict[int, int] = {}
        """Handle -> account of every open order, oldest first."""
        self._cancelling: set[int] = set()
        self.acknowledged: dict[int, bytes] = {}
        """First sequence of a batch -> commands and events, as the feed had it."""
        self.accepted: Counter[int] = Counter()
        self.refused: Counter[Reject] = Counter()
        self.sent_again = 0

    async def connect(self, process: Process) -> None:
        self._client = CoreClient(self._directory / "core.sock", lambda _: self._news.set(), self._news.set)
        await process.connect(self._client)
        # Blindly, before looking at what the recovered core has published: it must know its orders.
        for submission in self._unanswered.values():
            self._client.submit(submission)
            self.sent_again += 1
        self._cancelling.clear()

    async def trade(self, seconds: float) -> None:
        assert self._client is not None
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._client.is_connected:
            while len(self._unanswered) < WINDOW:
                self._place()
            self._cancel_oldest()
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                break
            self.listen()

    def _place(self) -> None:
        """An order away from the other side: it rests until it is cancelled, so its clOrdID stays known."""
        assert self._client is not None
        self._number += 1
        name = f"order-{self._number}"
        sell = self._number % 2
        px = 10_500 + self._dice.randrange(400) if sell else 9_500 - self._dice.randrange(400)
        row = command(
            Command.PLACE, account=1 + self._number % ACCOUNTS, symbol=_XBTUSD, qty=100, px=px,
            flags=OrderFlag.SELL if sell else 0, clid=clid_hash(name), request=self._number,
        )  # fmt: skip
        submission = row.tobytes() + encode_data([(CLORDID, name.encode())])
        self._unanswered[clid_hash(name)] = submission
        self._client.submit(submission)

    def _cancel_oldest(self) -> None:
        assert self._client is not None
        too_many = max(0, len(self._live) - LIVE_ORDERS_MAX * ACCOUNTS)
        for handle, account in list(islice(self._live.items(), too_many)):
            if handle not in self._cancelling:
                self._cancelling.add(handle)
                self._client.submit(command(Command.CANCEL, account=account, handle=handle).tobytes())

    def listen(self) -> None:
        """Take in what was published: from then on it is acknowledged."""
        while (batch := self._reader.read()) is not None:
            self.acknowledged[batch.first_sequence] = batch.commands.tobytes() + batch.events.tobytes()
            clids = batch.commands["clid"].tolist()
            for event in batch.events[np.isin(batch.events["kind"], _ANSWERS)]:
                if event["kind"] == Event.CANCELED:
                    del self._live[int(event["handle"])]
                    continue
                clid = clids[int(event["sequence"]) - batch.first_sequence]
                self._unanswered.pop(clid, None)
                if event["kind"] == Event.ACCEPTED:
                    self.accepted[clid] += 1
                    self._live[int(event["handle"])] = int(event["account"])
                else:
                    self.refused[Reject(int(event["amount"]))] += 1

    async def finish(self) -> None:
        """Wait for an answer to everything."""
        give_up = time.monotonic() + 30
        while self._unanswered:
            assert time.monotonic() < give_up
            self.listen()
            await asyncio.sleep(0.01)
        assert self._client is not None
        self._client.close()


async def found(process: Process, client: CoreClient) -> None:
    await process.connect(client)
    client.submit(opening(accounts=ACCOUNTS).tobytes())
    while FeedReader(process.directory / "feed", next_sequence=1).read() is None:
        await asyncio.sleep(0.01)
    client.close()


@pytest.mark.slow
async def test_kill_9_at_random_moments_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    dice = random.Random(2026)
    process = Process(tmp_path / "x")
    customer = Customer(process.directory)
    process.start()
    await found(process, CoreClient(process.directory / "core.sock", lambda _: None))
    while_starting = 0
    for number in range(KILLS):
        if number and number % 50 == 0:
            print(f"{number} kills so far", flush=True)
        if dice.random() < 0.2:
            process.end(signal.SIGKILL)
            process.start()
            await asyncio.sleep(dice.uniform(0.2, 1.0))
            while_starting += 1
            process.end(signal.SIGKILL)
            process.start()
        await customer.connect(process)
        await customer.trade(dice.uniform(0.01, 0.4))
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        customer.listen()
        process.start()
    await customer.connect(process)
    await customer.finish()
    assert process.end(signal.SIGTERM) == 0
    customer.listen()

    assert max(customer.accepted.values()) == 1, "a clOrdID was accepted twice"
    # A cancel that was sent again finds its order gone; nothing else may have been refused.
    assert set(customer.refused) <= {Reject.DUPLICATE_CLORDID, Reject.UNKNOWN_ORDER}
    reader = FeedReader(process.directory / "feed")
    kept: dict[int, bytes] = {}
    while (batch := reader.read()) is not None:
        kept[batch.first_sequence] = batch.commands.tobytes() + batch.events.tobytes()
    assert kept == customer.acknowledged, "what was acknowledged is lost or changed"
    replay = Replay(process.directory)
    replay.run()
    assert replay.differences == []
    assert replay.batches == replay.batches_compared == len(kept)
    assert customer.sent_again > KILLS
    print(
        f"{KILLS} kills and {while_starting} more while starting, {len(customer.accepted)} orders accepted in "
        f"{len(kept)} batches, {customer.sent_again} sent again, "
        f"{customer.refused[Reject.DUPLICATE_CLORDID]} of those known already"
    )


def files(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file() and path.name != "core.lock")
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


async def test_a_second_core_leaves_and_a_damaged_journal_is_not_started(tmp_path: Path) -> None:
    process, second = Process(tmp_path / "x"), Process(tmp_path / "x")
    process.start()
    await found(process, CoreClient(process.directory / "core.sock", lambda _: None))
    second.start()
    assert second.status() == 75
    assert process.end(signal.SIGKILL) == -signal.SIGKILL

    (journal,) = (process.directory / "journal").iterdir()
    raw = bytearray(journal.read_bytes())
    raw[1000] ^= 4
    journal.write_bytes(raw)
    before = files(process.directory)
    process.start()
    assert process.status() == 65
    assert f"journal damaged in {journal.name} at byte" in process.log
    assert "Traceback" not in process.log
    assert files(process.directory) == before

    raw[1000] ^= 4
    journal.write_bytes(raw)
    process.start()
    await process.connect(CoreClient(process.directory / "core.sock", lambda _: None))
    assert process.end(signal.SIGTERM) == 0


async def test_a_disk_without_room_stops_the_core_and_it_starts_again_when_there_is(tmp_path: Path) -> None:
    process = Process(tmp_path / "x")
    # Its own first TICK needs a segment, which does not fit.
    process.start(file_bytes_max=1 << 20)
    assert process.status() == 74
    assert "Traceback" not in process.log
    assert "was not acknowledged" in process.log
    process.start()
    await found(process, CoreClient(process.directory / "core.sock", lambda _: None))
    assert process.end(signal.SIGTERM) == 0

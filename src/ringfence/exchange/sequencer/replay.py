"""The whole journal again from nothing, held against the feed and every snapshot.

Nothing is trusted but the commands: the engine begins empty, and what it says must be what was said.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedReader, published_below
from ringfence.exchange.feed.segment import encode
from ringfence.exchange.journal import JournalReader, Progress, RealDisk
from ringfence.exchange.sequencer.recovery import apply, sequence_of, snapshots
from ringfence.messages.batch import Batch, Records
from ringfence.messages.commands import Command
from ringfence.messages.events import Event
from ringfence.messages.records import RECORD_BYTES
from ringfence.units.assets import ASSETS, Asset

DIFFERENCES_MAX = 20


class Difference(NamedTuple):
    """Where what was written down is not what the commands give."""

    sequence: int
    place: str
    what: str


class Totals(NamedTuple):
    """What one asset comes to, in its smallest unit."""

    asset: Asset
    deposited: int
    withdrawn: int
    wallets: int
    locked: int
    fees: int


class Replay:
    """One replay. `run` once, then read what came of it."""

    def __init__(self, directory: Path, *, on_progress: Progress | None = None) -> None:
        """Raises JournalGapError if a segment is missing."""
        self.engine = Engine()
        self.commands = self.batches = self.batches_compared = self.snapshots_compared = 0
        self.differences: list[Difference] = []
        """The first of them; `different` counts all."""
        self.different = 0
        self._events = np.zeros(256, np.int64)
        self._flows = {kind: [0] * len(ASSETS) for kind in (Event.DEPOSITED, Event.WITHDRAWN)}
        self._published = published_below(directory / "feed")
        self._feed: FeedReader | None = FeedReader(directory / "feed")
        self._snapshots = {sequence_of(path): path for path in snapshots(directory)}
        # Listed last: what the feed and the snapshots hold has then been in the journal for a while.
        self._journal = JournalReader(RealDisk(directory / "journal"), on_progress=on_progress)

    def run(self) -> None:
        """Raises JournalError if the journal is damaged; IndexError or AssertionError from the engine."""
        for frame in self._journal.frames():
            batch = apply(self.engine, frame)
            self.batches += 1
            self._count(batch)
            if self._feed is not None:
                self._compare_with_feed(batch)
            if snapshot := self._snapshots.pop(batch.next_sequence, None):
                self._compare_with_snapshot(snapshot)
        if self._feed is not None:
            self._end_feed()
        self._journal.check_end(acknowledged=self._published)
        for sequence, path in sorted(self._snapshots.items()):
            self._differ(sequence, path.name, "no batch of the journal ends at this sequence")

    def _count(self, batch: Batch) -> None:
        self.commands += int(np.count_nonzero(batch.commands["kind"] != Command.DATA))
        kinds = batch.events["kind"]
        self._events += np.bincount(kinds, minlength=256)
        for kind, sums in self._flows.items():
            moved = batch.events[kinds == kind]
            for asset, amount in zip(moved["symbol"].tolist(), moved["amount"].tolist(), strict=True):
                sums[asset] += amount

    def _compare_with_feed(self, batch: Batch) -> None:
        assert self._feed is not None
        published = self._feed.read()
        if published is None:
            if batch.first_sequence < self._published:
                self._differ(batch.first_sequence, "feed", "the batch is missing or damaged")
            self._end_feed()
            return
        self.batches_compared += 1
        if encode(published) == encode(batch):
            return
        self._differ(batch.first_sequence, "feed", _what_differs(batch, published))
        if published.next_sequence != batch.next_sequence:
            self._end_feed()

    def _end_feed(self) -> None:
        """Compare no further: the feed ends here, or does not go on."""
        assert self._feed is not None
        self._feed.close()
        self._feed = None

    def _compare_with_snapshot(self, path: Path) -> None:
        sequence = self.engine.next_sequence
        try:
            found = Engine.load(path)
        except FileNotFoundError:
            return  # the core has just removed an old one
        except Exception as error:
            self._differ(sequence, path.name, f"it cannot be used: {error}")
            return
        self.snapshots_compared += 1
        if found.next_sequence != sequence:
            self._differ(sequence, path.name, f"its state is of sequence {found.next_sequence}")
        elif found.digest() != self.engine.digest():
            what = f"its state is {found.digest().hex()}, replay gives {self.engine.digest().hex()}"
            self._differ(sequence, path.name, what)

    def _differ(self, sequence: int, place: str, what: str) -> None:
        self.different += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(Difference(sequence, place, what))

    # ---- what came of it

    def event_counts(self) -> dict[str, int]:
        counts = {kind.name: int(self._events[kind]) for kind in Event}
        return {name: count for name, count in counts.items() if count}

    def totals(self) -> Iterator[Totals]:
        """Yield the assets that anybody ever had."""
        used = self.engine.state.used()
        instruments = used["instruments"]
        for asset in ASSETS:
            margins = used[f"margins{asset.number}"]
            fees = instruments["fee_pool"][1:][instruments["settle"][1:] == asset.number]
            total = Totals(
                asset,
                self._flows[Event.DEPOSITED][asset.number],
                self._flows[Event.WITHDRAWN][asset.number],
                sum(margins["wallet"].tolist()),
                sum(margins["locked"].tolist()),
                sum(fees.tolist()),
            )
            if any(total[1:]):
                yield total


def _what_differs(batch: Batch, published: Batch) -> str:
    """Name the first thing that is not the same."""
    for name in ("first_sequence", "timestamp_ns", "first_event"):
        mine, theirs = getattr(batch, name), getattr(published, name)
        if mine != theirs:
            return f"{name} is {theirs}, replay gives {mine}"
    if batch.commands.tobytes() != published.commands.tobytes():
        return "the commands are not those of the journal"
    index = _first_different(batch.events, published.events)
    mine, theirs = (_in_words(events, index) for events in (batch.events, published.events))
    return f"event {batch.first_event + index} is {theirs}, replay gives {mine}"


def _first_different(mine: Records, theirs: Records) -> int:
    raw, other = mine.tobytes(), theirs.tobytes()
    index = 0
    while raw[index : index + RECORD_BYTES] == other[index : index + RECORD_BYTES]:
        index += RECORD_BYTES
    return index // RECORD_BYTES


def _in_words(events: Records, index: int) -> str:
    if index >= len(events):
        return "not there"
    row = events[index]
    assert row.dtype.names is not None
    kind = int(row["kind"])
    name = Event(kind).name if kind in set(Event) else f"kind {kind}"
    fields = (field for field in row.dtype.names if field != "kind" and row[field])
    return " ".join([name, *(f"{field}={row[field]}" for field in fields)])

"""From the feed to a folder of Parquet files, one for each instrument and day.

A day is done when the feed goes beyond it. `export.json` says up to where all days are done, and the views of that
moment stand beside it: another run goes on from there. The day that is not over yet is written as well, and anew by
the next run. Days are days of UTC; a bin belongs to the day in which it ends.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from ringfence.exchange.feed import FeedReader, published_below
from ringfence.exchange.projections import Views
from ringfence.exchange.projections.history import checkpoint
from ringfence.exchange.projections.research.columns import Table, rows_of
from ringfence.exchange.projections.research.partition import Partition, path_of
from ringfence.files import replace
from ringfence.instruments.specification import Instrument
from ringfence.messages.batch import Batch
from ringfence.units.limits import INT64_MAX
from ringfence.units.time import NS_PER_DAY, NS_PER_SECOND, floor_to

log = logging.getLogger(__name__)
OnProgress = Callable[[int, int], None]


class ExportError(Exception):
    """Nothing can be exported into this folder from this exchange; the text says why and what to do."""


class Exported(NamedTuple):
    files: int
    rows: int
    next_sequence: int
    """Every command below it is in the files."""
    done_before: str
    """Days before this one are done and are not written again; empty = none."""


class State(msgspec.Struct):
    """`export.json`."""

    source: str
    """Digest of the feed's first batch: another exchange has another one."""
    from_ns: int
    done_before_ns: int = 0
    resume_sequence: int = 0


class Export:
    """One run: `run` writes everything there is of one table between two instants."""

    def __init__(
        self, feed: Path, home: Path, table: str, *, from_ns: int = 0, to_ns: int = INT64_MAX
    ) -> None:
        """`from_ns` and `to_ns` (exclusive) are widened to whole days. `table`: trades, quotes or bins."""
        self._feed, self._table = feed, table
        self._home, self._resume = home, home / f".{table}"
        self._from_ns = floor_to(from_ns, NS_PER_DAY)
        self._to_ns = (
            to_ns if to_ns % NS_PER_DAY == 0 else min(floor_to(to_ns, NS_PER_DAY) + NS_PER_DAY, INT64_MAX)
        )
        self._open: dict[tuple[str, str, int], Partition] = {}
        """By table, symbol and day."""
        self._files = self._rows = 0

    def run(self, on_progress: OnProgress | None = None) -> Exported:
        """Raises ExportError, OSError. What was finished before stays."""
        self._state = self._load_state()
        views = self._start()
        end, reader = published_below(self._feed), FeedReader(self._feed, next_sequence=views.next_sequence)
        day = floor_to(views.timestamp_ns, NS_PER_DAY)
        try:
            while (batch := reader.read()) is not None and batch.next_sequence <= end:
                today = floor_to(batch.timestamp_ns, NS_PER_DAY)
                if today > day and views.next_sequence:
                    checkpoint.save(views, self._resume)
                self._take(batch, views)
                if today > day:
                    self._finish_before(today, batch.first_sequence)
                    day = today
                if on_progress is not None:
                    on_progress(batch.next_sequence, end)
                if today >= self._to_ns:
                    break
            self._finish_before(INT64_MAX, None)
        finally:
            reader.close()
            for partition in self._open.values():
                partition.drop()
        done = self._state.done_before_ns
        return Exported(self._files, self._rows, views.next_sequence, _day(done) if done else "")

    def _load_state(self) -> State:
        reader = FeedReader(self._feed)
        first = reader.read()
        reader.close()
        if first is None:
            raise ExportError(f"there is nothing in {self._feed} yet; nothing was written")
        source = blake2b(
            first.timestamp_ns.to_bytes(8, "little") + first.commands.tobytes(), digest_size=16
        ).hexdigest()
        path = self._resume / "export.json"
        fresh = State(source, self._from_ns)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return fresh
        except msgspec.MsgspecError as error:
            raise ExportError(f"{path} cannot be read; delete it, and everything is written anew") from error
        if found.source != source:
            raise ExportError(
                f"{self._home} holds the {self._table} of another exchange. Nothing was written. Choose another folder."
            )
        return found if found.from_ns <= self._from_ns else fresh

    def _start(self) -> Views:
        """Return the views from which to go on."""
        if self._state.resume_sequence:
            found = checkpoint.load(self._resume, at_most=self._state.resume_sequence)
            if found is not None:
                return found
            log.info("the views of the last run are of other code; folding from the beginning")
        return Views()

    def _take(self, batch: Batch, views: Views) -> None:
        changes = views.apply(batch)
        for table, (of, timestamp_ns, row) in rows_of(self._table, batch.next_sequence - 1, views, changes):
            day = floor_to(timestamp_ns, NS_PER_DAY)
            if max(self._from_ns, self._state.done_before_ns) <= day < self._to_ns:
                key = (table.name, of.symbol, day)
                partition = self._open.get(key)
                if partition is None:
                    partition = self._open[key] = self._partition(table, of, day)
                partition.add(row)

    def _partition(self, table: Table, of: Instrument, day: int) -> Partition:
        metadata = {"source": self._state.source, "day": _day(day)}
        return Partition(path_of(self._home, table, of.symbol, _day(day)), table, of, metadata)

    def _finish_before(self, today: int, next_sequence: int | None) -> None:
        """Put the files of days before `today` in their place; with a sequence, those days are done for good."""
        for key in [key for key in self._open if key[2] < today]:
            self._rows += self._open.pop(key).finish()
            self._files += 1
        if next_sequence is not None:
            self._state.done_before_ns = max(self._state.done_before_ns, min(today, self._to_ns))
            if today <= self._to_ns:
                self._state.resume_sequence = next_sequence
            self._resume.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(self._resume / "export.json", msgspec.json.encode(self._state))


def _day(timestamp_ns: int) -> str:
    return datetime.fromtimestamp(timestamp_ns // NS_PER_SECOND, UTC).strftime("%Y-%m-%d")

"""What judges are shown: a stretch of a venue's life, in a form that a fault can be planted into.

Faults are planted by the drill and by the tests of the laws. Every plant is a small lie about one thing; `place`
chooses which, so that the same kind of lie can be told in twenty places.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringfence.assurance.audit.chains import ChainReader
from ringfence.assurance.audit.cuts import Cut
from ringfence.exchange.engine.state import State
from ringfence.exchange.journal import Frame
from ringfence.messages.batch import Batch
from ringfence.messages.events import Event

PLACES = 20


class NothingToPlantError(LookupError):
    """The stretch has nothing that this fault could be told about."""


class Evidence:
    """Batches, cuts, frames and rows that belong together; all of it may be changed."""

    def __init__(
        self,
        batches: Sequence[Batch],
        *,
        cuts: Callable[[int], State],
        cut_at: Sequence[int],
        place: int = 0,
        database: Path | None = None,
        disk: Any = None,
        chain: ChainReader | None = None,
    ) -> None:
        """`cuts(sequence)` gives a fresh copy of the engine's tables at one of `cut_at`; `disk` has the journal."""
        self.batches = [_writable(batch) for batch in batches]
        self.place = place
        self.cut_at = list(cut_at)
        self._load = cuts
        self.planted_cut: State | None = None
        """The tables of the one cut that is judged, once something looked at it."""
        self.planted_batch = 0
        """Where a planted event stands."""
        self.frames: list[Frame] = []
        self.database, self.disk, self.chain = database, disk, chain
        self.flip_cut_at = -1.0
        """A cut's file in which a bit is flipped, and how far in."""
        self.later_cut: State | None = None
        """Another cut, after the planted one."""

    # ---- where to plant

    def pick(self, candidates: Any) -> Any:
        """Return the candidate of this place. Raises NothingToPlantError if there is none."""
        if not len(candidates):
            raise NothingToPlantError
        return candidates[self.place * len(candidates) // PLACES]

    def event(self, kind: Event, where: Callable[[Any], bool] = lambda event: True) -> Any:
        """Return the event of this kind at this place, to be changed."""
        found = [
            (number, index)
            for number, batch in enumerate(self.batches)
            for index in np.flatnonzero(batch.events["kind"] == kind).tolist()
            if where(batch.events[index])
        ]
        self.planted_batch, index = self.pick(found)
        return self.batches[self.planted_batch].events[index]

    def answer(self, kind: Event, where: Callable[[Any], bool] = lambda event: True) -> Any:
        """Return an event that is all that its command caused."""
        alone: set[int] = set()
        for batch in self.batches:
            sequences, counts = np.unique(batch.events["sequence"], return_counts=True)
            alone.update(sequences[counts == 1].tolist())
        return self.event(kind, lambda event: int(event["sequence"]) in alone and where(event))

    def command_of(self, event: Any) -> Any:
        """Return the command that caused the event that was chosen."""
        batch = self.batches[self.planted_batch]
        return batch.commands[int(event["sequence"]) - batch.first_sequence]

    def drop_events(self, where: Callable[[Batch], Any]) -> None:
        """Leave events out of every batch, and number the others as if those had never been."""
        shift = 0
        for number, batch in enumerate(self.batches):
            kept = batch.events[~where(batch)]
            self.batches[number] = batch._replace(events=kept, first_event=batch.first_event - shift)
            shift += len(batch.events) - len(kept)

    def replace_events(self, events: Any) -> None:
        """Put other events into the batch that was chosen, and count on as if nothing were."""
        batch = self.batches[self.planted_batch]
        shift = len(events) - len(batch.events)
        self.batches[self.planted_batch] = batch._replace(events=events)
        for number in range(self.planted_batch + 1, len(self.batches)):
            later = self.batches[number]
            self.batches[number] = later._replace(first_event=later.first_event + shift)

    def cut(self) -> State:
        """Return the tables of a cut, to be changed."""
        if self.planted_cut is None:
            self.planted_cut = self.true_cut(self.cut_at[self.place * len(self.cut_at) // PLACES])
        return self.planted_cut

    def true_cut(self, sequence: int) -> State:
        return self._load(sequence)

    def rows(self, name: str, where: Callable[[Any], Any]) -> Any:
        """Return the record of a table of the cut at this place: `where` says which rows are candidates."""
        table = getattr(Cut(self.cut(), None), name)
        return table[self.pick(np.flatnonzero(where(table)))]


def _writable(batch: Batch) -> Batch:
    return batch._replace(commands=batch.commands.copy(), events=batch.events.copy())

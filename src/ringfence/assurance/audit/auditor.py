"""The auditor: takes what the exchange wrote down, in any order that it arrives, and says what is broken.

It does no input or output and knows no clock: batches, cuts, frames, rows and the time are handed to it, and
it hands findings back. Whoever runs it halts what the finding names; nothing here can resume.
"""

from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ringfence.assurance.audit.books import Books, BooksError, Court, End, Look
from ringfence.assurance.audit.chains import ChainReader
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import STALE_NS, Law, When
from ringfence.assurance.audit.laws import LAWS
from ringfence.assurance.audit.rows import Ledger, Sweep
from ringfence.exchange.engine import SnapshotError
from ringfence.exchange.journal import Frame
from ringfence.messages.batch import Batch
from ringfence.messages.commands import HaltScope

_SECOND_NS = 10**9
_BEHIND_NS = 60 * _SECOND_NS
"""Batches are kept this long for a cut that is still being written."""


class Standing(NamedTuple):
    """How a law stands, of one way to look at it."""

    law: str
    when: When
    sequence: int
    """Everything below was looked at; -1 = it was never."""
    at_ns: int
    findings: int


class Auditor:
    """Every law, the books that they are held against, and what was found."""

    def __init__(
        self, *, laws: Sequence[type[Law]] = LAWS, without: Collection[When] = (), begun_ns: int = 0
    ) -> None:
        """`without`: what this venue does not have, e.g. When.CHAIN before there is custody; it is not missed.

        `begun_ns`: since when it could have looked. Before anything was, laws count as stale from there.
        """
        self.laws = [law() for law in laws]
        self.books = Books()
        self.findings: list[Finding] = []
        """All of them, oldest first."""
        self.is_lost = False
        """An event did not fit the books: they can say nothing more, and every law that needs them is red."""
        self.ledger = Ledger()
        """What the history database should hold."""
        self._behind = Books()
        """The books at the last cut, and what came after it: a cut arrives when the feed has gone on."""
        self._after: deque[Batch] = deque()
        self._now_ns = begun_ns
        self._last_second_ns = 0
        self._court = _court(self.laws, self.ledger)
        self._standing = {
            (law.id, when): Standing(law.id, when, -1, begun_ns, 0)
            for law in self.laws
            for when in law.when
            if when not in without
        }

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the court, which is put together again: an auditor can be kept in a file."""
        return {name: value for name, value in vars(self).items() if name != "_court"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._court = _court(self.laws, self.ledger)

    @property
    def next_sequence(self) -> int:
        """Everything below was entered: a cut of a later sequence has to wait."""
        return self.books.next_sequence

    # ---- what arrives

    def on_time(self, now_ns: int) -> list[Finding]:
        """Say what time it is: what is looked at every second is, if a second is over."""
        self._now_ns = max(self._now_ns, now_ns)
        if self.is_lost or now_ns - self._last_second_ns < _SECOND_NS:
            return []
        self._last_second_ns = now_ns
        found = [finding for law in self.laws for finding in law.second(self.books)]
        return self._looked(When.SECOND, self.books.next_sequence, found)

    def on_batch(self, batch: Batch) -> list[Finding]:
        """Take the next batch of the feed."""
        if self.is_lost:
            return []
        self._now_ns = max(self._now_ns, batch.timestamp_ns)
        found = [finding for law in self.laws for finding in law.begin(self.books, batch)]
        try:
            found += self.books.fold(batch, self._court)
        except BooksError as error:
            found += error.findings
            if not found:
                found.append(_misfit(self.books.sequence, str(error)))
            self.is_lost = True
        self._after.append(batch)
        self._catch_up(batch.timestamp_ns - _BEHIND_NS)
        return self._looked(When.BATCH, batch.next_sequence, found)

    def on_cut(self, cut: Cut | Path) -> list[Finding]:
        """Judge a cut: the engine's own tables against the books at the same sequence.

        A cut of a sequence that the feed has not reached yet has to be handed in again later; one that is
        older than the last is passed over. Both say nothing, and the laws grow stale.
        """
        if self.is_lost:
            return []
        if isinstance(cut, Path):
            try:
                cut = Cut.load(cut)
            except (SnapshotError, IndexError, AssertionError, KeyError) as error:
                finding = Finding(
                    "I07", HaltScope.VENUE, self.books.next_sequence, "a cut", "one that loads", str(error)
                )
                return self._looked(When.CUT, self.books.next_sequence, [finding])
        if not self._behind.next_sequence <= cut.sequence <= self.books.next_sequence:
            return []
        while self._after and self._behind.next_sequence < cut.sequence:
            self._behind.fold(self._after.popleft())
        if self._behind.next_sequence != cut.sequence:
            finding = Finding(
                "A02",
                HaltScope.VENUE,
                cut.sequence,
                "where a cut is",
                "between two batches",
                str(cut.sequence),
            )
            return self._looked(When.CUT, cut.sequence, [finding])
        found = [finding for law in self.laws for finding in law.cut(cut, self._behind)]
        return self._looked(When.CUT, cut.sequence, found)

    def on_frame(self, frame: Frame) -> list[Finding]:
        """Take the next frame of the journal."""
        found = [finding for law in self.laws for finding in law.frame(frame)]
        return self._looked(When.FRAME, frame.next_sequence, found)

    def on_damage(self, what: str) -> list[Finding]:
        """Take note that something does not read: the journal, the feed, a cut."""
        finding = Finding(
            "I07", HaltScope.VENUE, self.books.next_sequence, "what was written down", "whole", what
        )
        return self._looked(When.FRAME, self.books.next_sequence, [finding])

    def on_rows(self, sweep: Sweep) -> list[Finding]:
        """Judge rows of the history database."""
        if self.is_lost or sweep.next_event > self.books.next_event:
            return []
        found = [finding for law in self.laws for finding in law.sweep(sweep, self.ledger, self.books)]
        self.ledger.looked_at(sweep.rows, next_event=sweep.next_event)
        return self._looked(When.SWEEP, sweep.next_sequence, found)

    def on_chain(self, reader: ChainReader, now_ns: int) -> list[Finding]:
        """Look at a chain and hold it against the books."""
        found = [finding for law in self.laws for finding in law.chain(reader, self.books, now_ns)]
        return self._looked(When.CHAIN, self.books.next_sequence, found)

    # ---- what it stands by

    def _looked(self, when: When, sequence: int, found: list[Finding]) -> list[Finding]:
        self.findings += found
        for key, standing in self._standing.items():
            if key[1] == when:
                broken = sum(finding.law == standing.law for finding in found)
                self._standing[key] = Standing(*key, sequence, self._now_ns, standing.findings + broken)
        return found

    def _catch_up(self, until_ns: int) -> None:
        """Let the books behind follow where no cut has come: what waits for one must not grow for ever."""
        while self._after and self._after[0].timestamp_ns < until_ns and not self.is_lost:
            self._behind.fold(self._after.popleft())

    def is_green(self, now_ns: int) -> bool:
        return all(row["verdict"] == "green" for row in self.report(now_ns))

    def report(self, now_ns: int) -> list[dict[str, Any]]:
        """Return how every law stands, ready for JSON. What was not looked at for too long counts as red."""
        rows = []
        for standing in self._standing.values():
            age_ns = now_ns - standing.at_ns
            stale = age_ns > STALE_NS[standing.when] or (self.is_lost and standing.when != When.CHAIN)
            rows.append(
                {
                    "law": standing.law,
                    "when": standing.when.value,
                    "lastSequence": standing.sequence,
                    "ageMs": max(age_ns, 0) // 10**6,
                    "findings": standing.findings,
                    "verdict": "red" if standing.findings else "stale" if stale else "green",
                }
            )
        return rows


def _court(laws: Sequence[Law], ledger: Ledger) -> Court:
    """Put together who looks at what: laws that have nothing to say at an event cost nothing there."""
    at: dict[int, list[Look]] = {int(kind): [look] for kind, look in ledger.at().items()}
    ends: list[End] = []
    for law in laws:
        for kind, look in law.at().items():
            at.setdefault(int(kind), []).append(look)
        if type(law).end is not Law.end:
            ends.append(law.end)
    return Court(at, ends)


def _misfit(sequence: int, why: str) -> Finding:
    return Finding(
        "I06", HaltScope.VENUE, max(sequence, 0), "an event", "one that fits what was said before", why
    )

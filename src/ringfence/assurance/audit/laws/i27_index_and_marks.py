"""I27: an index follows from what its constituents said, and a mark from the index."""

from collections.abc import Mapping

from ringfence.assurance.audit.arithmetic import lot_value_at_mark, mark_of_index, within_book
from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import Command, HaltScope, IndexStatus
from ringfence.messages.events import Event

_FUNDING = (int(Command.TICK),)


def _mark_elsewhere(evidence: Evidence) -> None:
    evidence.event(Event.MARKED)["qty"] += 1


def _index_elsewhere(evidence: Evidence) -> None:
    evidence.event(Event.INDEXED)["amount"] += 1


def _mark_in_memory(evidence: Evidence) -> None:
    evidence.rows("instruments", lambda table: table["mark"] != 0)["mark_lot_value"] += 1


class IndexAndMarks(Law):
    id = "I27"
    says = "An index is what was published, marks follow from it, and lots are valued at the mark."
    when = (When.BATCH, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a mark that does not follow from its index", _mark_elsewhere),
        Fault("an index price that was not published", _index_elsewhere),
        Fault("a lot that is not valued at the mark", _mark_in_memory),
    )

    def at(self) -> Mapping[Event, Look]:
        return {Event.MARKED: self.marked, Event.INDEXED: self.indexed}

    def indexed(self, books: Books, event: Said) -> Findings:
        asked = books.asked
        published = (asked.kind, asked.symbol, asked.qty, asked.type)
        said = (int(Command.INDEX), event.symbol, event.amount, event.flags)
        if published != said:
            yield self._say(event, "an index price", published, said)
        elif event.flags == IndexStatus.LIVE and (wrong := self._constituents(books, event)):
            yield wrong

    def _constituents(self, books: Books, event: Said) -> Finding | None:
        return None

    def marked(self, books: Books, event: Said) -> Findings:
        """A mark was given outright, follows from the index, or is the index at the instant of a payment."""
        of, asked = books.contracts[event.symbol], books.asked
        if asked.kind == Command.MARK:
            expected = (within_book(of, asked.qty), 0)
        elif asked.kind in _FUNDING and of.next_funding_ns <= books.timestamp_ns:
            expected = (within_book(of, of.index_subticks), 0)
        else:
            expected = mark_of_index(of, books.timestamp_ns)
        if (event.qty, event.amount) != expected:
            yield self._say(event, "the mark, and the basis in it", expected, (event.qty, event.amount))

    def cut(self, cut: Cut, books: Books) -> Findings:
        for number, of in books.contracts.items():
            row = cut.instruments[number]
            expected = (of.mark, lot_value_at_mark(of, of.mark) if of.mark else 0, of.index_subticks)
            found = tuple(int(row[name]) for name in ("mark", "mark_lot_value", "index_subticks"))
            if expected != found:
                what = f"contract {number}: mark, value of a lot at it, index"
                yield self.broken(cut.sequence, what, expected, found, symbol=number)

    def _say(self, event: Said, what: str, expected: object, found: object) -> Finding:
        return self.broken(event.sequence, what, expected, found, symbol=event.symbol)

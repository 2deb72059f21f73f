"""I27: an index follows from what its constituents said, and a mark from the index."""

from collections import deque
from collections.abc import Mapping

import numpy as np

from ringfence.assurance.audit.arithmetic import lot_value_at_mark, mark_of_index, nearest, within_book
from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.batch import CONSTITUENTS, decode_slots
from ringfence.messages.commands import Command, HaltScope, IndexStatus
from ringfence.messages.constituents import Reference, Verdict, decode_constituents
from ringfence.messages.events import Event

_FUNDING = (int(Command.TICK),)
_WINDOW_NS = 30 * 60 * 10**9
"""What an average over time looks back on."""
_AVERAGED_NS = _WINDOW_NS + 10 * 10**9
_FIRST_PRICE = 8
"""Where the price of the first constituent stands: after tag, length, hold, reference, verdict and weight."""


def _mark_elsewhere(evidence: Evidence) -> None:
    evidence.event(Event.MARKED)["qty"] += 1


def _index_elsewhere(evidence: Evidence) -> None:
    evidence.event(Event.INDEXED)["amount"] += 1


def _constituent_elsewhere(evidence: Evidence) -> None:
    """A constituent that says something else than what went into the average."""
    found = [
        (number, at)
        for number, batch in enumerate(evidence.batches)
        for at in np.flatnonzero(batch.commands["kind"] == Command.INDEX).tolist()
        if at + 1 < len(batch.commands) and batch.commands["kind"][at + 1] == Command.DATA
    ]
    evidence.planted_batch, at = evidence.pick(found)
    raw = evidence.batches[evidence.planted_batch].commands[at + 1 : at + 2].view(np.uint8)
    raw[_FIRST_PRICE] ^= 64


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
        Fault("a constituent that said something else", _constituent_elsewhere),
        Fault("a lot that is not valued at the mark", _mark_in_memory),
    )

    def __init__(self) -> None:
        self._published: dict[int, deque[tuple[int, int]]] = {}
        """By index: (instant, price) of the last half hour."""

    def at(self) -> Mapping[Event, Look]:
        return {Event.MARKED: self.marked, Event.INDEXED: self.indexed}

    def indexed(self, books: Books, event: Said) -> Findings:
        asked = books.asked
        published = (asked.kind, asked.symbol, asked.qty, asked.type)
        said = (int(Command.INDEX), event.symbol, event.amount, event.flags)
        if published != said:
            yield self._say(event, "an index price", published, said)
            return
        raw = decode_slots(books.data, books.place).get(CONSTITUENTS)
        if raw is not None:
            yield from self._constituents(books, event, raw)
        history = self._published.setdefault(event.symbol, deque())
        history.append((books.timestamp_ns, event.amount))
        while history[0][0] < books.timestamp_ns - _AVERAGED_NS:
            history.popleft()

    def _averaged(self, books: Books, event: Said, price: int) -> Findings:
        """The average of another index over time: the instants are the price feed's, so the range is known, no more.

        An auditor that has not seen the whole window knows nothing.
        """
        histories = [one for one in self._published.values() if one and one[-1][1] == price]
        if not histories:
            yield self._say(event, "the index that is averaged", "a price of another index", price)
            return
        (oldest, _), prices = histories[0][0], [one for _, one in histories[0]]
        if books.timestamp_ns - oldest > _WINDOW_NS and not min(prices) <= event.amount <= max(prices):
            yield self._say(event, "an average over time", f"{min(prices)} to {max(prices)}", event.amount)

    def _constituents(self, books: Books, event: Said, raw: bytes) -> Findings:
        """A live price is the weighted average of those that count; a frozen one is the last.

        Where the pull of one was limited its price is not in the average as it stands, so that there only the
        range is known: how far one may pull is the operator's to say, and is not in the journal.
        """
        hold, constituents = decode_constituents(raw)
        counted = [one for one in constituents if one.verdict <= Verdict.LIMITED]
        weight = sum(one.weight for one in counted)
        if event.flags != IndexStatus.LIVE:
            last = books.contracts[event.symbol].index_px
            if last and event.amount != last:
                yield self._say(event, "the price of a frozen index", f"the last, {last}", event.amount)
        elif counted and counted[0].reference == Reference.INDEX:
            yield from self._averaged(books, event, counted[0].price)
        elif hold or not weight:
            yield self._say(event, "a live index", "constituents that count", f"hold {hold}, weight {weight}")
        elif any(one.verdict == Verdict.LIMITED for one in counted):
            prices = [one.price for one in counted]
            if not min(prices) <= event.amount <= max(prices):
                yield self._say(event, "an index price", f"{min(prices)} to {max(prices)}", event.amount)
        else:
            average = nearest(sum(one.price * one.weight for one in counted), weight)
            if event.amount != average:
                yield self._say(event, "the average of the constituents", average, event.amount)

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

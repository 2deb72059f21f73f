"""A04: every withdrawal is closed once and in full, every output is credited once, in the order of instructions."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from ringfence.assurance.audit.books import DEMO, Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.batch import FUNDS, decode_slots
from ringfence.messages.commands import Command, HaltScope, VenueParameter
from ringfence.messages.events import Event
from ringfence.messages.funds import Closed, Credit, FundsError, decode


def _close_another(evidence: Evidence) -> None:
    """The coins of a withdrawal come back to somebody else: the command and its event agree on it."""
    event = _of_custody(evidence, Event.TRANSFERRED)
    batch = evidence.batches[evidence.planted_batch]
    other = int(event["maker_account"]) % 3 + 1
    batch.commands["handle"][int(event["sequence"]) - batch.first_sequence] = other
    event["maker_account"] = other


def _settle_more(evidence: Evidence) -> None:
    event = _of_custody(evidence, Event.WITHDRAWN)
    batch = evidence.batches[evidence.planted_batch]
    batch.commands["qty"][int(event["sequence"]) - batch.first_sequence] += 1
    event["amount"] += 1


def _credit_again(evidence: Evidence) -> None:
    """An output is credited a second time, under the next number."""
    first = evidence.event(Event.DEPOSITED, lambda e: not e["flags"] & DEMO)
    batch = evidence.batches[evidence.planted_batch]
    begin = int(first["sequence"]) - batch.first_sequence
    slots = batch.commands[begin:]
    end = begin + 1 + int(np.argmax(np.append(slots[1:]["kind"] != Command.DATA, True)))
    event = first.copy()
    event["sequence"] = batch.next_sequence
    commands = np.concatenate([batch.commands, batch.commands[begin:end]])
    evidence.batches[evidence.planted_batch] = batch._replace(
        commands=commands, events=np.append(batch.events, event)
    )
    del evidence.batches[evidence.planted_batch + 1 :]


def _of_custody(evidence: Evidence, kind: Event) -> np.void:
    """Return an event of custody's own account: it is the one that coins were put aside in."""
    custody = evidence.event(Event.VENUE_SET, lambda e: e["px"] == VenueParameter.CUSTODY_ACCOUNT)["qty"]
    found: np.void = evidence.event(kind, lambda e: e["account"] == custody)
    return found


Text = TypeVar("Text", Credit, Closed)


class Wished(NamedTuple):
    account: int
    asset: int
    locked: int
    """What of it is neither gone nor back."""


class CustodyClosesOnce(Law):
    id = "A04"
    says = "Withdrawals are closed once and in full, to their owner; outputs are credited once; instructions in order."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("coins of a withdrawal that come back to somebody else", _close_another),
        Fault("a withdrawal that takes more than was put aside", _settle_more),
        Fault("an output credited twice", _credit_again),
    )

    def __init__(self) -> None:
        self._wished: dict[int, Wished] = {}
        self._credited: set[str] = set()

    def at(self) -> Mapping[Event, Look]:
        return {
            Event.TRANSFERRED: self.transferred, Event.WITHDRAWN: self.withdrawn, Event.DEPOSITED: self.deposited,
        }  # fmt: skip

    def transferred(self, books: Books, event: Said) -> Findings:
        if not books.custody:
            return
        if event.maker_account == books.custody:
            self._wished[event.sequence] = Wished(event.account, event.symbol, event.amount)
        elif event.account == books.custody:
            yield from self._closes(books, event, event.maker_account)

    def withdrawn(self, books: Books, event: Said) -> Findings:
        if books.custody and event.account == books.custody:
            yield from self._closes(books, event, None)

    def deposited(self, books: Books, event: Said) -> Findings:
        if not books.custody or event.flags & DEMO:
            return
        yield from self._numbered(books, event)
        credit = self._said(books, Credit)
        if not isinstance(credit, Credit):
            yield self.broken(event.sequence, "what is credited", "an output of a chain", credit)
        elif credit.outpoint in self._credited:
            yield self.broken(event.sequence, f"how often {credit.outpoint} is credited", 1, 2)
        else:
            self._credited.add(credit.outpoint)

    def _closes(self, books: Books, event: Said, to: int | None) -> Findings:
        yield from self._numbered(books, event)
        closed = self._said(books, Closed)
        if not isinstance(closed, Closed):
            yield self.broken(event.sequence, "what is closed", "a withdrawal", closed)
            return
        wish = self._wished.get(closed.withdrawal)
        if wish is None:
            yield self.broken(
                event.sequence, f"withdrawal {closed.withdrawal}", "open", "closed, or never asked for"
            )
            return
        if event.symbol != wish.asset or to not in (None, wish.account):
            found = (to or wish.account, event.symbol)
            yield self.broken(event.sequence, "whose withdrawal is closed", (wish.account, wish.asset), found)
        if event.amount > wish.locked:
            what = f"what withdrawal {closed.withdrawal} is closed with"
            yield self.broken(event.sequence, what, f"at most {wish.locked}", event.amount)
        left = wish._replace(locked=wish.locked - event.amount)
        if left.locked > 0:
            self._wished[closed.withdrawal] = left
        else:
            del self._wished[closed.withdrawal]

    def _numbered(self, books: Books, event: Said) -> Findings:
        if books.asked.px != books.instruction_next:
            what = "the number of custody's instruction"
            yield self.broken(event.sequence, what, books.instruction_next, books.asked.px)

    def _said(self, books: Books, kind: type[Text]) -> Text | str:
        raw = decode_slots(books.data, books.place).get(FUNDS, b"")
        try:
            return decode(raw, kind)
        except FundsError as error:
            return str(error)

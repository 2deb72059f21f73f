"""I03: for everybody who is long somebody is short."""

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.assurance.audit.margins import exact_sum
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event


def _settle_less(evidence: Evidence) -> None:
    event = evidence.event(Event.SETTLED)
    event["qty"] -= 100 if event["qty"] > 0 else -100


def _enlarge_position(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["qty"] != 0)["qty"] += 100


class PositionsSumToZero(Law):
    id = "I03"
    says = "The positions of each contract sum to zero, the insurance account's included."
    when = (When.BATCH, When.SECOND, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a settlement that leaves a lot of a position out", _settle_less),
        Fault("a position that is a lot larger", _enlarge_position),
    )

    def end(self, books: Books) -> Findings:
        for number in books.touched:
            if net := books.contracts[number].net_qty:
                return [self.broken(books.sequence, f"contract {number} after this command", 0, net)]
        return ()

    def second(self, books: Books) -> Findings:
        total = exact_sum(books.qty)
        if total:
            yield self.broken(books.next_sequence, "all positions in the auditor's own books", 0, total)

    def cut(self, cut: Cut, books: Books) -> Findings:
        for number, total in enumerate(cut.recount(books).qty):
            if total:
                yield self.broken(cut.sequence, f"the engine's positions in contract {number}", 0, total)

"""I04: what holders of a contract have made is what others have lost."""

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event


def _pay_more_funding(evidence: Evidence) -> None:
    evidence.event(Event.FUNDED)["amount"] += 1


def _lower_cost(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["qty"] != 0)["cost"] -= 1


class ProfitIsConserved(Law):
    id = "I04"
    says = "Realised profit, funding and unrealised profit at one mark sum to zero over the holders of a contract."
    when = (When.BATCH, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a unit of funding that nobody paid", _pay_more_funding),
        Fault("a position that cost a unit less", _lower_cost),
    )

    def end(self, books: Books) -> Findings:
        for number in books.touched:
            of = books.contracts[number]
            still = of.net_cost if of.is_inverse else -of.net_cost
            if of.cleared + still:
                what = f"contract {number}: paid to holders, with what positions cost"
                return [self.broken(books.sequence, what, 0, of.cleared + still)]
        return ()

    def cut(self, cut: Cut, books: Books) -> Findings:
        """At one mark values cancel out, so what is not realised yet is the opposite of what was."""
        made = cut.recount(books).unrealised
        for number, of in books.contracts.items():
            if of.mark and made[number] != -of.cleared:
                what = f"contract {number}: unrealised profit of all holders at mark {of.mark}"
                yield self.broken(cut.sequence, what, -of.cleared, made[number])

"""I17: the insurance fund never owes, and pays for nothing that is not on its list."""

from collections.abc import Mapping

from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event


def _cover_more(evidence: Evidence) -> None:
    evidence.event(Event.COVERED)["amount"] += 1


def _drain_fund(evidence: Evidence) -> None:
    cut = evidence.cut()
    cut.margins["wallet"][int(cut.header["fund_account"])] = -1 - evidence.place


class InsuranceFund(Law):
    id = "I17"
    says = "The insurance fund is never below zero, covers no more than a deficit, and changes by listed events only."
    when = (When.BATCH, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a deficit covered with a unit too much", _cover_more),
        Fault("a fund below zero", _drain_fund),
    )

    def at(self) -> Mapping[Event, Look]:
        return {Event.COVERED: self.covered}

    def covered(self, books: Books, event: Said) -> Findings:
        lacks = -books.wallets[event.symbol][event.account]
        has = books.wallets[event.symbol][books.fund]
        if event.account == books.fund or not 0 < event.amount <= min(lacks, has):
            what = f"what the fund pays for account {event.account}"
            yield self.broken(event.sequence, what, f"no more than {max(min(lacks, has), 0)}", event.amount)
        if any(books.qty[slot] for slot in books.held(event.account, event.symbol)):
            yield self.broken(
                event.sequence, f"what account {event.account} holds when it is covered", 0, "a position"
            )

    def end(self, books: Books) -> Findings:
        fund = books.fund
        if not fund or not books.fund_moved:
            return ()
        found = []
        for asset, wallets in enumerate(books.wallets):
            if wallets[fund] < 0:
                found.append(
                    self.broken(books.sequence, f"the fund of asset {asset}", "0 or more", wallets[fund])
                )
            if wallets[fund] != books.fund_paid[asset]:
                what = f"the fund of asset {asset}, by its listed gains and losses"
                found.append(self.broken(books.sequence, what, books.fund_paid[asset], wallets[fund]))
        return found

    def cut(self, cut: Cut, books: Books) -> Findings:
        if int(cut.header["fund_account"]) != books.fund:
            yield self.broken(
                cut.sequence, "the insurance account", books.fund, int(cut.header["fund_account"])
            )
        elif books.fund:
            for asset, row in enumerate(cut.margins[:, books.fund]):
                if int(row["wallet"]) < 0:
                    yield self.broken(
                        cut.sequence, f"the fund of asset {asset}", "0 or more", int(row["wallet"])
                    )

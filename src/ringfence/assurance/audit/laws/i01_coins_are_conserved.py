"""I01: coins are neither made nor lost."""

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.assurance.audit.margins import exact_sum
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event
from ringfence.units.limits import ASSETS_MAX


def _realise_more(evidence: Evidence) -> None:
    evidence.event(Event.REALISED)["amount"] += 1


def _enrich_wallet(evidence: Evidence) -> None:
    cut = evidence.cut()
    accounts = int(cut.header["n_accounts"])
    cut.margins["wallet"][1 + evidence.place % accounts] += 1


def _enrich_fee_pool(evidence: Evidence) -> None:
    evidence.cut().instruments["fee_pool"][1 + evidence.place % 7] += 1


class CoinsAreConserved(Law):
    id = "I01"
    says = "Wallets, fees and what positions cost add up, per asset, to what came in less what went out."
    when = (When.BATCH, When.SECOND, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a profit stated one unit too high", _realise_more),
        Fault("a unit more in a wallet", _enrich_wallet),
        Fault("a unit more in a fee pool", _enrich_fee_pool),
    )

    def end(self, books: Books) -> Findings:
        if not any(books.residue):
            return ()
        return [
            self.broken(books.sequence, f"asset {asset} after this command", 0, left)
            for asset, left in enumerate(books.residue)
            if left
        ]

    def second(self, books: Books) -> Findings:
        """The columns themselves, not the running count: memory can go bad in a judge as well."""
        for asset in range(ASSETS_MAX):
            held = exact_sum(books.wallets[asset]) + _fees_and_costs(books, asset)
            came = books.deposited[asset] - books.withdrawn[asset]
            if held != came:
                yield self.broken(
                    books.next_sequence, f"the auditor's own books of asset {asset}", came, held
                )

    def cut(self, cut: Cut, books: Books) -> Findings:
        recount = cut.recount(books)
        for asset in range(ASSETS_MAX):
            held = exact_sum(cut.margins[asset, : cut.accounts + 1]["wallet"])
            for number, of in books.contracts.items():
                if of.settle == asset:
                    held += int(cut.instruments["fee_pool"][number])
                    held += recount.cost[number] if of.is_inverse else -recount.cost[number]
            came = books.deposited[asset] - books.withdrawn[asset]
            if held != came:
                yield self.broken(cut.sequence, f"what the engine holds of asset {asset}", came, held)


def _fees_and_costs(books: Books, asset: int) -> int:
    return sum(
        of.fee_pool + (of.net_cost if of.is_inverse else -of.net_cost)
        for of in books.contracts.values()
        if of.settle == asset
    )

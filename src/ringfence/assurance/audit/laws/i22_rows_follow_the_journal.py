"""I22: rows of orders and fills are those that the journal makes."""

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.assurance.audit.laws.i05_ledger_balances import edit, key_of
from ringfence.assurance.audit.rows import Ledger, Sweep, differences
from ringfence.messages.commands import HaltScope


def _better_price(evidence: Evidence) -> None:
    key = key_of(evidence, "execution", "\"execType\" = 'Trade'")
    edit(evidence, f'update execution set "lastPx" = "lastPx" + 0.5 where key = {key}')  # noqa: S608


def _lower_fee(evidence: Evidence) -> None:
    key = key_of(evidence, "execution", "\"execType\" = 'Trade'")
    edit(evidence, f'update execution set "execComm" = "execComm" - 1 where key = {key}')  # noqa: S608


def _remove_fill(evidence: Evidence) -> None:
    key = key_of(evidence, "execution", "\"execType\" = 'Trade'")
    edit(evidence, f"delete from execution where key = {key}")  # noqa: S608


def _larger_order(evidence: Evidence) -> None:
    edit(evidence, f'update "order" set "cumQty" = "cumQty" + 100 where key = {key_of(evidence, "order")}')  # noqa: S608


def _other_trade(evidence: Evidence) -> None:
    edit(evidence, f"update trade set size = size + 100 where key = {key_of(evidence, 'trade', 'size > 0')}")  # noqa: S608


class RowsFollowTheJournal(Law):
    id = "I22"
    says = "Rows of orders, executions and trades in the history database say what the events say."
    when = (When.SWEEP,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a fill at a better price", _better_price),
        Fault("a fill with a lower fee", _lower_fee),
        Fault("a fill that is gone", _remove_fill),
        Fault("an order that is filled further", _larger_order),
        Fault("a public trade of another size", _other_trade),
    )

    def sweep(self, sweep: Sweep, expected: Ledger, books: Books) -> Findings:
        for place, wanted, found in differences(expected, sweep):
            if place.table != "ledger":
                yield self.broken(
                    sweep.next_sequence, f"rows of {place.table}, block {place.block}", wanted, found
                )

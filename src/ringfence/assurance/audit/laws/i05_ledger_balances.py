"""I05: the ledger balances, line by line and in sum."""

import sqlite3

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.assurance.audit.rows import Ledger, Sweep, differences
from ringfence.messages.commands import HaltScope


def edit(evidence: Evidence, statement: str) -> None:
    """Run a statement on the history database, as somebody would who has the password."""
    assert evidence.database is not None
    connection = sqlite3.connect(evidence.database)
    with connection:
        changed = connection.execute(statement).rowcount
    connection.close()
    assert changed, statement


def key_of(evidence: Evidence, table: str, where: str = "1") -> int:
    """Return the key of the row of a table at this place."""
    assert evidence.database is not None
    connection = sqlite3.connect(evidence.database)
    keys = [row[0] for row in connection.execute(f'select key from "{table}" where {where} order by key')]  # noqa: S608
    connection.close()
    return int(evidence.pick(keys))


def _edit_line(evidence: Evidence) -> None:
    edit(evidence, f"update ledger set amount = amount + 1 where key = {key_of(evidence, 'ledger')}")  # noqa: S608


def _remove_line(evidence: Evidence) -> None:
    edit(evidence, f"delete from ledger where key = {key_of(evidence, 'ledger')}")  # noqa: S608


def _edit_balance(evidence: Evidence) -> None:
    edit(evidence, "update balance set amount = amount + 1 where account = 'client:1' and asset = 0")


def _move_line(evidence: Evidence) -> None:
    """A line of somebody else: it balances all the same."""
    key = key_of(evidence, "ledger", "account like 'client:%'")
    edit(evidence, f"update ledger set account = 'client:99' where key = {key}")  # noqa: S608


class LedgerBalances(Law):
    id = "I05"
    says = "Lines of the ledger are those of the events, sum to zero per asset, and balances are their sums."
    when = (When.SWEEP,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a line with another amount", _edit_line),
        Fault("a line that is gone", _remove_line),
        Fault("a balance that is not the sum of its lines", _edit_balance),
        Fault("a line moved to another account", _move_line),
    )

    def sweep(self, sweep: Sweep, expected: Ledger, books: Books) -> Findings:
        for asset, total in sweep.sums:
            if total:
                yield self.broken(sweep.next_sequence, f"the sum of all lines of asset {asset}", 0, total)
        for place, wanted, found in differences(expected, sweep):
            if place.table == "ledger":
                yield self.broken(
                    sweep.next_sequence, f"lines of the ledger, block {place.block}", wanted, found
                )
        for key in expected.balances.keys() | sweep.balances.keys():
            if expected.balance_changed.get(key, -1) < sweep.next_event:
                wanted_amount, found_amount = expected.balances.get(key, 0), sweep.balances.get(key, 0)
                if wanted_amount != found_amount:
                    what = f"the balance of {key[0]} in asset {key[1]}"
                    yield self.broken(sweep.next_sequence, what, wanted_amount, found_amount)

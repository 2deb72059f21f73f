"""I11: nobody is left below zero."""

import numpy as np

from ringfence.assurance.audit.arithmetic import own_margin
from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope, InstrumentState

_STALE_NS = 30 * 10**9
Holding = tuple[int, ...]


def _owe(evidence: Evidence) -> None:
    """The books themselves come to a debt that nobody acts on, twice in a row."""
    evidence.notes["owes"] = True


class NobodyOwes(Law):
    id = "I11"
    says = "No account stays below zero: it is liquidated or covered while marks are fresh and the fund can pay."
    when = (When.CUT,)
    halts = HaltScope.VENUE
    faults = (Fault("a debt that nobody acts on", _owe),)

    def __init__(self) -> None:
        self._owed: dict[tuple[int, int], Holding] = {}
        """(asset, account) below zero at the last cut, with what it held then."""

    def cut(self, cut: Cut, books: Books) -> Findings:
        """Being below zero is an offence only if nothing has happened since the last cut.

        A resting order that fills far from the mark can bring an account there; the next mark, a second later,
        takes it to liquidation. Commands that are left over are gone on with at once, so nothing is said while
        the engine has work in hand.
        """
        before, self._owed = self._owed, {}
        if cut.header["pending"] or not books.fund:
            return
        for asset, account in self._suspects(cut, books):
            if account == books.fund:
                continue
            holding = self._below_zero(books, asset, account)
            if holding is None:
                continue
            self._owed[asset, account] = holding
            if before.get((asset, account)) == holding:
                what = f"account {account} in asset {asset}: below zero at two cuts"
                yield self.broken(cut.sequence, what, "liquidated or covered", f"wallet {holding[0]}")

    def _suspects(self, cut: Cut, books: Books) -> list[tuple[int, int]]:
        found = list(cut.recount(books).short)
        for asset, wallets in enumerate(books.wallets):
            found += [(asset, int(account)) for account in np.flatnonzero(np.array(wallets, np.int64) < 0)]
        return sorted(set(found))

    def _below_zero(self, books: Books, asset: int, account: int) -> Holding | None:
        """Return what an account that owes holds, None if it does not, or if nobody could act on it."""
        wallet = books.wallets[asset][account]
        equity, holding = wallet, [wallet]
        for slot in books.held(account, asset):
            of, qty = books.contracts[books.symbol_of[slot]], books.qty[slot]
            if not qty:
                continue
            holding += [of.number, qty, books.cost[slot]]
            if of.state != InstrumentState.OPEN or books.timestamp_ns - of.marked_ns > _STALE_NS:
                return None
            if books.leverage[slot]:
                equity -= own_margin(
                    of, cost=books.cost[slot], leverage=books.leverage[slot], transferred=books.transferred[slot]
                )
            else:
                equity += books.counted(account, slot)
        if equity >= 0 or (len(holding) == 1 and books.wallets[asset][books.fund] <= 0):
            return None  # the fund is empty: nobody is asked for what a flat account lacks
        return tuple(holding)

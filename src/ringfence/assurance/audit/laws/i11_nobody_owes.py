"""I11: nobody is left below zero."""

import numpy as np

from ringfence.assurance.audit.arithmetic import nearest, own_margin
from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command, ContractKind, HaltScope, InstrumentState
from ringfence.messages.events import Event
from ringfence.messages.records import COMMAND, EVENT

_STALE_NS = 30 * 10**9
Holding = tuple[int, ...]


def _owe(evidence: Evidence) -> None:
    """The mark falls to a hundredth, and nobody is liquidated: neither in the feed nor in the engine's tables."""
    state = evidence.cut()
    sequence = int(state.header["sequence"])
    del evidence.batches[next(n for n, b in enumerate(evidence.batches) if b.next_sequence == sequence) + 1 :]
    positions = state.positions[: int(state.header["n_positions"])]
    longs = (positions["qty"] > 0) & (positions["leverage"] == 0) & (positions["account"] != state.header["fund_account"])
    symbol = int(positions["symbol"][evidence.pick(np.flatnonzero(longs))])
    row = state.instruments[symbol]
    mark = int(row["mark"]) // 100
    for later, kind, event in ((state, Command.MARK, Event.MARKED), (None, Command.TICK, Event.TICKED)):
        if later is None:
            later = evidence.later_cut = evidence.true_cut(sequence)
            for name in ("instruments", "margins", "positions"):
                getattr(later, name)[: len(getattr(state, name))] = getattr(state, name)
            later.set_header_bytes(state.header_bytes())
        last = evidence.batches[-1]
        now, ask, say = last.timestamp_ns + 10**9, np.zeros(1, COMMAND), np.zeros(1, EVENT)
        ask["kind"], ask["symbol"], ask["qty"] = kind, symbol, mark
        say["kind"], say["symbol"], say["qty"], say["sequence"] = event, symbol, mark, last.next_sequence
        evidence.batches.append(Batch(last.next_sequence, now, last.first_event + len(last.events), ask, say))
        later.header["sequence"] += 1
        later.header["event_count"] += 1
        later.header["pending"] = 0
    for later in (state, evidence.later_cut):
        assert later is not None
        later.header["epoch"] += 1
        of = later.instruments[symbol]
        of["mark"], of["marked_ns"] = mark, evidence.batches[-2].timestamp_ns
        value = int(of["factor"])
        inverse = of["kind"] == ContractKind.INVERSE
        of["mark_lot_value"] = nearest(value * 100, mark) if inverse else nearest(value * mark, 100)


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

"""I11: nobody is left below zero."""

import numpy as np

from ringfence.assurance.audit.arithmetic import own_margin
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
    """A mark falls to almost nothing, and nobody is liquidated: neither in the feed nor in the engine's tables."""
    first = evidence.cut()
    sequence = int(first.header["sequence"])
    del evidence.batches[next(n for n, b in enumerate(evidence.batches) if b.next_sequence == sequence) + 1 :]
    evidence.frames.clear()
    evidence.disk = evidence.database = None
    positions, instruments = first.positions[: int(first.header["n_positions"])], first.instruments
    held = (positions["qty"] > 0) & (positions["leverage"] == 0)
    held &= positions["account"] != first.header["fund_account"]
    held &= instruments["kind"][positions["symbol"]] == ContractKind.INVERSE
    fallen = int(positions["symbol"][evidence.pick(np.flatnonzero(held))])
    marked = np.flatnonzero((instruments["mark"] > 0) & (instruments["state"] == InstrumentState.OPEN))
    marks = {int(n): 100 if n == fallen else int(instruments["mark"][n]) for n in marked}
    said = [_say(evidence, Command.MARK, Event.MARKED, marks) for _ in range(2)]
    second = evidence.later_cut = evidence.true_cut(sequence)
    for state, batches in ((first, said[:1]), (second, said)):
        for batch in batches:
            state.header["sequence"] += len(batch.commands)
            state.header["event_count"] += len(batch.events)
        state.header["pending"] = 0
        state.header["epoch"] += len(marks) * len(batches)
        for number, mark in marks.items():
            of = state.instruments[number]
            of["mark"], of["marked_ns"] = mark, batches[-1].timestamp_ns
        # Of the others the mark is what it was, and so is the value of a lot.
        state.instruments["mark_lot_value"][fallen] = state.instruments["factor"][fallen]


def _say(evidence: Evidence, kind: Command, event: Event, marks: dict[int, int]) -> Batch:
    """Add a batch, a second later."""
    last = evidence.batches[-1]
    commands, events = np.zeros(len(marks), COMMAND), np.zeros(len(marks), EVENT)
    commands["kind"], events["kind"] = kind, event
    for rows in (commands, events):
        rows["symbol"], rows["qty"] = list(marks), list(marks.values())
    events["sequence"] = last.next_sequence + np.arange(len(marks))
    batch = Batch(
        last.next_sequence, last.timestamp_ns + 10**9, last.first_event + len(last.events), commands, events
    )
    evidence.batches.append(batch)
    return batch


class NobodyOwes(Law):
    id = "I11"
    says = (
        "No account stays below zero: it is liquidated or covered while marks are fresh and the fund can pay."
    )
    when = (When.CUT,)
    halts = HaltScope.VENUE
    faults = (Fault("a debt that nobody acts on", _owe),)

    def __init__(self) -> None:
        self._owed: dict[tuple[int, int], Holding] = {}
        """(asset, account) below zero at the last cut, with what it held then."""
        self._cut_ns = 0
        """When the last cut was."""

    def cut(self, cut: Cut, books: Books) -> Findings:
        """Being below zero is an offence only if a mark has come since, and nothing was done about it.

        A resting order that fills far from the mark can bring an account there; the next mark, a second later,
        takes it to liquidation. Commands that are left over are gone on with at once, so nothing is said while
        the engine has work in hand.
        """
        before, self._owed = self._owed, {}
        before_ns, self._cut_ns = self._cut_ns, books.timestamp_ns
        if cut.header["pending"] or not books.fund:
            return
        for asset, account in self._suspects(cut, books):
            if account == books.fund:
                continue
            holding = self._below_zero(books, asset, account)
            if holding is None:
                continue
            self._owed[asset, account] = holding
            looked_at = max(of.marked_ns for of in books.contracts.values() if of.settle == asset) > before_ns
            if looked_at and before.get((asset, account)) == holding:
                what = f"account {account} in asset {asset}: below zero at two cuts, and marks between them"
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
                    of,
                    cost=books.cost[slot],
                    leverage=books.leverage[slot],
                    transferred=books.transferred[slot],
                )
            else:
                equity += books.counted(account, slot)
        if equity >= 0 or (len(holding) == 1 and books.wallets[asset][books.fund] <= 0):
            return None  # the fund is empty: nobody is asked for what a flat account lacks
        return tuple(holding)

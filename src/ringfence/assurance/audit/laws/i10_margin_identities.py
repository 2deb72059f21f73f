"""I10: an account has what came in, less what went out, plus what it made, and holds what it traded."""

from collections.abc import Mapping

import numpy as np

from ringfence.assurance.audit.books import Books, Look, Owed, Said
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event
from ringfence.units.limits import ASSETS_MAX

_HELD = ("qty", "cost", "leverage", "tier", "transferred")


def _realise_for_another(evidence: Evidence) -> None:
    event = evidence.event(Event.REALISED)
    event["account"] = event["account"] % 3 + 1


def _leave_profit_out(evidence: Evidence) -> None:
    evidence.event(Event.REALISED)
    batch = evidence.batches[evidence.planted_batch]
    at = int(np.flatnonzero(batch.events["kind"] == Event.REALISED)[0])
    evidence.replace_events(np.delete(batch.events, at))


def _swap_wallets(evidence: Evidence) -> None:
    """Move a unit from one wallet to another: every sum stays as it was."""
    cut = evidence.cut()
    count = int(cut.header["n_accounts"])
    first, second = 1 + evidence.place % count, 1 + (evidence.place + 1) % count
    cut.margins["wallet"][first] += 1
    cut.margins["wallet"][second] -= 1


def _unlock_margin(evidence: Evidence) -> None:
    cut = evidence.cut()
    rows = np.flatnonzero(cut.margins["locked"])
    cut.margins["locked"][evidence.pick(rows)] -= 1


def _lower_tier(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["account"] != 0)["tier"] += 1


def _believe_profit(evidence: Evidence) -> None:
    """Cached profit at the marks that is a unit too high."""
    cut = evidence.cut()
    fresh = np.flatnonzero(cut.margins["epoch"] == cut.header["epoch"])
    cut.margins["unrealised"][evidence.pick(fresh)] += 1


def _hold_nothing(evidence: Evidence) -> None:
    cut = evidence.cut()
    cut.margins["held"][evidence.pick(np.flatnonzero(cut.margins["held"]))] = 0


class MarginIdentities(Law):
    id = "I10"
    says = "Wallets are what came in and was made, positions what was traded, and locked margins sum up."
    when = (When.BATCH, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a profit paid to somebody else", _realise_for_another),
        Fault("a fill whose profit is not stated", _leave_profit_out),
        Fault("a unit moved between two wallets", _swap_wallets),
        Fault("an account that locks a unit less", _unlock_margin),
        Fault("a position in another risk tier", _lower_tier),
        Fault("a cached profit that is too high", _believe_profit),
        Fault("an account that is said to hold nothing", _hold_nothing),
    )

    # ---- event by event

    def at(self) -> Mapping[Event, Look]:
        return {Event.REALISED: self.realised}

    def realised(self, books: Books, event: Said) -> Findings:
        found = Owed(event.account, event.symbol, event.qty, event.amount)
        expected = books.owed[0] if books.owed else None
        if found != expected:
            yield self.broken(event.sequence, "the profit of a fill", expected or "no fill to close", found)

    def end(self, books: Books) -> Findings:
        if books.owed:
            yield self.broken(books.sequence, "fills whose profit was not stated", 0, list(books.owed))

    # ---- the engine's own tables

    def cut(self, cut: Cut, books: Books) -> Findings:
        yield from self._wallets(cut, books)
        yield from self._positions(cut, books)
        for asset, account in cut.recount(books).wrong_margins:
            row = cut.margins[asset, account]
            found = f"locked {row['locked']}, profit {row['unrealised']}, holds {row['held']:b}"
            what = f"what account {account} locks, has made and holds in asset {asset}"
            yield self.broken(cut.sequence, what, "those of its positions", found)

    def _wallets(self, cut: Cut, books: Books) -> Findings:
        if cut.accounts != len(books.accounts) - 1:
            yield self.broken(cut.sequence, "accounts", len(books.accounts) - 1, cut.accounts)
            return
        for asset in range(ASSETS_MAX):
            mine = np.array(books.wallets[asset], np.int64)
            theirs = cut.margins[asset, : len(mine)]["wallet"]
            for account in np.flatnonzero(mine != theirs)[:4].tolist():
                what = f"the wallet of account {account} in asset {asset}"
                yield self.broken(cut.sequence, what, mine[account], theirs[account])

    def _positions(self, cut: Cut, books: Books) -> Findings:
        rows, slots, missing = cut.matched(books)
        positions = cut.positions[rows]
        for name in _HELD:
            mine, theirs = np.array(getattr(books, name), np.int64)[slots], positions[name].astype(np.int64)
            for k in np.flatnonzero(mine != theirs)[:4].tolist():
                what = f"{name} of account {positions['account'][k]} in contract {positions['symbol'][k]}"
                yield self.broken(cut.sequence, what, mine[k], theirs[k])
        for slot in missing.tolist():
            if books.qty[slot] or books.n_orders[slot]:
                what = f"the position of account {books.account_of[slot]} in contract {books.symbol_of[slot]}"
                yield self.broken(cut.sequence, what, books.qty[slot], "no such position")
        if cut.recount(books).positions != len(rows):
            expected = f"{len(rows)}, each in its account's block"
            yield self.broken(cut.sequence, "positions", expected, cut.recount(books).positions)

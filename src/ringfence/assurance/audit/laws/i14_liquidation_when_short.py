"""I14: nobody is liquidated who is not short of margin at a fresh mark."""

from collections.abc import Mapping
from typing import Any

from ringfence.assurance.audit.arithmetic import maintenance, own_margin
from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command, HaltScope, InstrumentState
from ringfence.messages.events import Event

_STALE_NS = 30 * 10**9
_CLIENTS = (int(Command.PLACE), int(Command.AMEND))


def _liquidate_the_healthy(evidence: Evidence) -> None:
    """Let the step be another account's: the richest, who is short of nothing."""
    evidence.event(Event.LIQUIDATION, lambda event: event["account"] != 1)["account"] = 1


def _at_a_stale_mark(evidence: Evidence) -> None:
    """The marks of the minute before a liquidation were never said."""
    event = evidence.event(Event.LIQUIDATION)
    symbol, now = int(event["symbol"]), evidence.batches[evidence.planted_batch].timestamp_ns

    def unheard(batch: Batch) -> Any:
        is_mark = (batch.events["kind"] == Event.MARKED) & (batch.events["symbol"] == symbol)
        return is_mark & (now - 2 * _STALE_NS < batch.timestamp_ns <= now)

    evidence.drop_events(unheard)


class LiquidationWhenShort(Law):
    id = "I14"
    says = "Only who is short of margin at fresh marks in an open market is liquidated."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("a liquidation of somebody who is not short", _liquidate_the_healthy),
        Fault("a liquidation without a mark", _at_a_stale_mark),
    )

    def __init__(self) -> None:
        self._sequence = -1
        self._seen: set[tuple[int, int]] = set()

    def at(self) -> Mapping[Event, Look]:
        return {Event.LIQUIDATION: self.step, Event.ACCEPTED: self.accepted}

    def accepted(self, books: Books, event: Said) -> Findings:
        """An order that the engine placed for somebody else than the fund closes a part of a short position."""
        if books.asked.kind in _CLIENTS or event.account == books.fund:
            return ()
        return self.step(books, event)

    def step(self, books: Books, event: Said) -> Findings:
        """Look at the first sign of each liquidation: what comes after has changed the account."""
        of = books.contracts[event.symbol]
        if books.sequence != self._sequence:
            self._sequence = books.sequence
            self._seen.clear()
        if (event.account, of.settle) in self._seen:
            return
        self._seen.add((event.account, of.settle))
        if event.account == books.fund:
            yield self.broken(
                event.sequence, "who is liquidated", "anybody but the insurance account", event.account
            )
        elif not is_short(books, event.account, of.settle):
            what = f"account {event.account} is short of margin in asset {of.settle}"
            yield self.broken(event.sequence, what, "short, at fresh marks", "not short")


def is_short(books: Books, account: int, asset: int) -> bool:
    """Return whether an isolated position, all cross ones together or the whole account lack margin at fresh marks."""
    free, made, needed, fresh = books.wallets[asset][account], 0, 0, True
    isolated, isolated_fresh = 0, True
    for slot in books.held(account, asset):
        of, qty, cost = books.contracts[books.symbol_of[slot]], books.qty[slot], books.cost[slot]
        if not qty or of.is_spot:
            continue
        leverage = books.leverage[slot]
        stale = books.timestamp_ns - of.marked_ns > _STALE_NS or of.state != InstrumentState.OPEN
        upkeep = maintenance(of, qty=qty, cost=cost, leverage=leverage, tier=books.tier[slot])
        if leverage:
            own = own_margin(of, cost=cost, leverage=leverage, transferred=books.transferred[slot])
            if not stale and own + books.profit_of(slot) < upkeep:
                return True
            free -= own
            isolated += max(own + books.profit_of(slot), 0)
            isolated_fresh = isolated_fresh and not stale
        else:
            fresh = fresh and not stale
            made += books.counted(account, slot)
            needed += upkeep
    if needed <= 0:
        # The account owes more than its isolated positions have gained.
        return fresh and isolated_fresh and free + made + isolated < 0
    # Coins that a spot order may sell at any moment carry no position.
    free -= min(books.base_locked[asset][account], max(free, 0))
    return fresh and free + made < needed

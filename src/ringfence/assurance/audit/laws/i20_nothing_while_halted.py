"""I20: a halt is a halt."""

from collections.abc import Mapping

import numpy as np

from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import Command, HaltScope, InstrumentState, TradingState
from ringfence.messages.events import Event, LiquidationStep

_OF_CONTRACT = (
    Event.ACCEPTED, Event.TRADE, Event.TRIGGERED, Event.FUNDED, Event.LIQUIDATION, Event.DELEVERAGED,
    Event.ADL_BEGUN, Event.SETTLEMENT, Event.SETTLED,
)  # fmt: skip


def _halt_unheard(evidence: Evidence) -> None:
    """The venue was halted before a trade, and traded on."""
    event = evidence.event(Event.TRADE)
    batch = evidence.batches[evidence.planted_batch]
    at = int(np.flatnonzero(batch.events["sequence"] == event["sequence"])[0])
    extra = batch.events[at : at + 1].copy()
    for name in extra.dtype.names or ():
        extra[name] = 0
    extra["sequence"], extra["kind"] = event["sequence"], Event.HALT_SET
    extra["px"], extra["qty"] = HaltScope.VENUE, TradingState.HALTED
    evidence.replace_events(np.concatenate([batch.events[:at], extra, batch.events[at:]]))


class NothingWhileHalted(Law):
    id = "I20"
    says = (
        "Nothing is taken, traded, triggered, funded or liquidated in what is halted; cancels in cancel-only."
    )
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (Fault("a trade while the venue is halted", _halt_unheard),)

    def at(self) -> Mapping[Event, Look]:
        looks: dict[Event, Look] = dict.fromkeys(_OF_CONTRACT, self.in_contract)
        looks |= dict.fromkeys((Event.DEPOSITED, Event.WITHDRAWN, Event.TRANSFERRED), self.of_coins)
        looks |= {Event.CANCELED: self.canceled, Event.COVERED: self.covered}
        return looks

    def in_contract(self, books: Books, event: Said) -> Findings:
        if not books.is_halted(books.contracts[event.symbol]):
            return ()
        if event.kind == Event.LIQUIDATION and event.px < LiquidationStep.REDUCED:
            return ()  # a step of cross positions that are not halted: nothing of this contract is touched
        return self._say(event, f"{Event(event.kind).name} in contract {event.symbol}")

    def canceled(self, books: Books, event: Said) -> Findings:
        if books.contracts[event.symbol].state == InstrumentState.HALTED:
            return self._say(event, f"CANCELED in contract {event.symbol}")
        return ()

    def covered(self, books: Books, event: Said) -> Findings:
        return self._say(event, "COVERED") if books.halted else ()

    def of_coins(self, books: Books, event: Said) -> Findings:
        if books.custody and event.account == books.custody and books.halted != TradingState.HALTED:
            return ()  # it has happened on a chain already
        scope = HaltScope.DEPOSITS if event.kind == Event.DEPOSITED else HaltScope.WITHDRAWALS
        halted = books.halted == TradingState.HALTED or (books.halted and scope == HaltScope.WITHDRAWALS)
        leaves = event.kind != Event.TRANSFERRED or event.maker_account == books.custody
        of_asset = leaves and event.symbol in books.halted_assets[scope]
        if not halted and not of_asset:
            return ()
        return self._say(
            event, f"{Event(event.kind).name} of asset {event.symbol}, asked for by {_name(books)}"
        )

    def _say(self, event: Said, what: str) -> Findings:
        return [self.broken(event.sequence, what, "nothing while halted", "it happened")]


def _name(books: Books) -> str:
    return Command(books.asked.kind).name

"""I12: an order that adds to what an account risks is backed when it is accepted."""

from collections.abc import Mapping

from ringfence.assurance.audit.arithmetic import locked
from ringfence.assurance.audit.books import UNTRIGGERED, Books, Look, Order, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import Command, HaltScope
from ringfence.messages.events import Event

_ASKED = (int(Command.PLACE), int(Command.AMEND))


def _accept_too_much(evidence: Evidence) -> None:
    """An order that no wallet could carry is accepted all the same, and asked for like that."""
    event = evidence.answer(
        Event.ACCEPTED, lambda e: not e["flags"] & UNTRIGGERED and e["symbol"] in (1, 2, 4) and e["qty"] > 0
    )
    event["qty"] = evidence.command_of(event)["qty"] = 2_000_000_000


class MarginAtAcceptance(Law):
    id = "I12"
    says = "Whoever is given an order that locks more than before has that much left."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (Fault("an order that nothing backs", _accept_too_much),)

    def __init__(self) -> None:
        self._order: Order | None = None
        self._handle, self._was_traded = 0, False

    def at(self) -> Mapping[Event, Look]:
        return {Event.ACCEPTED: self.entered, Event.AMENDED: self.entered, Event.TRADE: self.traded}

    def entered(self, books: Books, event: Said) -> Findings:
        if books.asked.kind in _ASKED and books.asked.account == event.account and not self._handle:
            if not event.flags & UNTRIGGERED:
                self._handle = event.handle
        return ()

    def traded(self, books: Books, event: Said) -> Findings:
        self._was_traded = True
        return ()

    def end(self, books: Books) -> Findings:
        """A trade turns order margin into position margin, and pays fees out of it: only what rests is looked at."""
        handle, was_traded = self._handle, self._was_traded
        self._handle, self._was_traded = 0, False
        order = books.orders.get(handle) if handle and not was_traded else None
        if order is None or not order.in_book:
            return ()
        of, asset = books.contracts[order.symbol], books.contracts[order.symbol].settle
        if of.is_spot and order.is_sell:
            asset = of.base
        elif lock(books, order.slot) <= lock(books, order.slot, but=order):
            return ()  # an order that adds no requirement needs nothing
        left = books.available(asset, order.account, locked=lock)
        if left >= 0:
            return ()
        what = f"what account {order.account} has left with order {handle}"
        return [self.broken(books.sequence, what, "0 or more", left)]


def lock(books: Books, slot: int, but: Order | None = None) -> int:
    """Return what a position locks, with its orders or with all but one."""
    buys, sells = books.buys[slot], books.sells[slot]
    of = books.contracts[books.symbol_of[slot]]
    if but is not None:
        value = but.leaves // of.lot_size * but.lot_value
        buys, sells = (buys, sells - value) if but.is_sell else (buys - value, sells)
    return locked(
        of, cost=books.cost[slot], buys=buys, sells=sells, leverage=books.leverage[slot],
        tier=books.tier[slot], transferred=books.transferred[slot],
    )  # fmt: skip

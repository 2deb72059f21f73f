"""I12: an order that adds to what an account risks is backed when it is accepted."""

from collections.abc import Mapping

from ringfence.assurance.audit.arithmetic import locked
from ringfence.assurance.audit.books import UNTRIGGERED, Books, Look, Said
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import Command, HaltScope
from ringfence.messages.events import CancelReason, Event

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
        self._handle, self._was_traded = 0, False
        self._before = (0, 0)
        """What the position locked before the command, and what its sells were."""

    def at(self) -> Mapping[Event, Look]:
        return {
            Event.ACCEPTED: self.entered, Event.AMENDED: self.entered, Event.TRADE: self.traded,
            Event.CANCELED: self.canceled,
        }  # fmt: skip

    def entered(self, books: Books, event: Said) -> Findings:
        asked = books.asked.kind in _ASKED and books.asked.account == event.account
        if asked and not self._handle and not event.flags & UNTRIGGERED:
            self._handle = event.handle
            slot = books.slot(event.account, event.symbol)
            self._before = lock(books, slot), books.sells[slot]
        return ()

    def traded(self, books: Books, event: Said) -> Findings:
        self._was_traded = True
        return ()

    def canceled(self, books: Books, event: Said) -> Findings:
        """An order that met others of its own account was checked at their price, and rests at its own.

        That may lock a little more than there is: the engine's to say, see docs/operating/audit.md.
        """
        if event.flags == CancelReason.SELF_TRADE:
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
            asset, adds = of.base, books.sells[order.slot] > self._before[1]
        else:
            adds = lock(books, order.slot) > self._before[0]
        if not adds:
            return ()  # an order that adds no requirement needs nothing
        left = books.available(asset, order.account, locked=lock)
        if left >= 0:
            return ()
        what = f"what account {order.account} has left with order {handle}"
        return [self.broken(books.sequence, what, "0 or more", left)]


def lock(books: Books, slot: int) -> int:
    """Return what a position locks, with its orders."""
    return locked(
        books.contracts[books.symbol_of[slot]], cost=books.cost[slot], buys=books.buys[slot],
        sells=books.sells[slot], leverage=books.leverage[slot], tier=books.tier[slot],
        transferred=books.transferred[slot],
    )  # fmt: skip

"""I18: deleveraging takes from the other side, in order, at the fund's cost, and nobody through zero."""

from collections.abc import Mapping

from ringfence.assurance.audit.arithmetic import price_of_value, rank_key, toward_zero
from ringfence.assurance.audit.books import SELL, Books, Look, Said
from ringfence.assurance.audit.contract import Contract
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import AdlMethod, HaltScope
from ringfence.messages.events import Event


def _take_more(evidence: Evidence) -> None:
    evidence.event(Event.DELEVERAGED)["amount"] += 1


def _wrong_side(evidence: Evidence) -> None:
    evidence.event(Event.DELEVERAGED)["flags"] ^= SELL


def _jump_the_queue(evidence: Evidence) -> None:
    evidence.event(Event.DELEVERAGED)["px"] += 1


def _another_holder(evidence: Evidence) -> None:
    event = evidence.event(Event.DELEVERAGED)
    event["account"] = event["account"] % 6 + 1


class DeleveragingInOrder(Law):
    id = "I18"
    says = "Deleveraging takes whole lots from the other side in rank order at the fund's cost; nobody passes zero."
    when = (When.BATCH,)
    halts = HaltScope.VENUE
    faults = (
        Fault("lots taken at another price", _take_more),
        Fault("the holder's own side taken", _wrong_side),
        Fault("a place in the queue left out", _jump_the_queue),
        Fault("somebody else's position taken", _another_holder),
    )

    def __init__(self) -> None:
        self._symbol = self._wanted = self._place = 0
        self._key = 0

    def at(self) -> Mapping[Event, Look]:
        return {Event.ADL_BEGUN: self.begun, Event.DELEVERAGED: self.taken}

    def begun(self, books: Books, event: Said) -> Findings:
        of, fund = books.contracts[event.symbol], books.fund_position(event.symbol)
        self._symbol, self._wanted, self._place, self._key = event.symbol, event.qty, 0, 2**62
        if not 0 < event.qty <= abs(books.qty[fund]):
            yield self._say(event, "what the fund cannot carry", f"at most {abs(books.qty[fund])}", event.qty)
            return
        price = price_of_value(of, qty=books.qty[fund], value=abs(books.cost[fund]))
        if price != event.maker_amount:
            yield self._say(event, "the fund's cost price", price, event.maker_amount)

    def taken(self, books: Books, event: Said) -> Findings:
        of, fund = books.contracts[event.symbol], books.fund_position(event.symbol)
        slot = books.slot_of.get(event.account << 6 | event.symbol, 0)
        held, fund_qty = books.qty[slot], books.qty[fund]
        if event.symbol != self._symbol or event.maker_account != books.fund:
            yield self._say(event, "a deleveraging that was begun", self._symbol, event.symbol)
        if not held or (held > 0) == (fund_qty > 0) or bool(event.flags & SELL) != (held > 0):
            yield self._say(
                event, f"account {event.account} holds the other side", f"opposite of {fund_qty}", held
            )
            return
        if not 0 < event.qty <= min(abs(held), self._wanted) or event.qty % of.lot_size:
            most = min(abs(held), self._wanted)
            yield self._say(
                event, f"what is taken from account {event.account}", f"whole lots up to {most}", event.qty
            )
            return
        value = toward_zero(abs(books.cost[fund]) * (event.qty // of.lot_size), abs(fund_qty) // of.lot_size)
        if event.amount != value:
            yield self._say(event, "the value at the fund's cost price", value, event.amount)
        self._wanted -= event.qty
        self._place += 1
        if event.px != self._place:
            yield self._say(event, "the place in the queue", self._place, event.px)
        key = self._rank(books, of, slot)
        if key > self._key:
            yield self._say(event, f"the rank of account {event.account}", f"at most {self._key}", key)
        self._key = key

    def _rank(self, books: Books, of: Contract, slot: int) -> int:
        if of.adl_method != AdlMethod.RANKED:
            return books.profit_of(slot)
        return rank_key(
            of, qty=books.qty[slot], cost=books.cost[slot], leverage=books.leverage[slot],
            tier=books.tier[slot], transferred=books.transferred[slot],
        )  # fmt: skip

    def _say(self, event: Said, what: str, expected: object, found: object) -> Finding:
        return self.broken(event.sequence, what, expected, found, symbol=event.symbol)

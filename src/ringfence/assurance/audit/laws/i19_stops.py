"""I19: a stop is triggered once, and only by a price that has reached it."""

from collections.abc import Mapping

from ringfence.assurance.audit.books import Books, Look, Order, Said
from ringfence.assurance.audit.contract import Contract
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope, OrderType, TriggerPrice
from ringfence.messages.events import Event

_SUBTICKS = 100
_STALE_NS = 30 * 10**9


def _stop_earlier(evidence: Evidence) -> None:
    event = evidence.event(Event.TRIGGERED, lambda e: e["amount"] != 0)
    event["amount"] += 1_000_000 if event["amount"] <= event["px"] * _SUBTICKS else -1_000_000


def _other_stop(evidence: Evidence) -> None:
    evidence.event(Event.TRIGGERED, lambda e: e["amount"] != 0)["px"] += 1


def _trigger_again(evidence: Evidence) -> None:
    """An order that is not waiting any more, or never was."""
    event = evidence.event(Event.CANCELED, lambda e: e["qty"] > 0 and e["px"] > 0)
    event["kind"] = Event.TRIGGERED


class StopsTriggerOnce(Law):
    id = "I19"
    says = "A waiting order is triggered once, by a price that has reached its stop."
    when = (When.BATCH,)
    halts = HaltScope.CONTRACT
    faults = (
        Fault("a stop that no price has reached", _stop_earlier),
        Fault("another stop price than was placed", _other_stop),
        Fault("a stop that is triggered again", _trigger_again),
    )

    def __init__(self) -> None:
        self._traded: dict[int, tuple[int, int]] = {}
        """Contract: (lowest, highest) price in ticks that traded since its stops were last looked at."""

    def at(self) -> Mapping[Event, Look]:
        return {Event.TRIGGERED: self.triggered, Event.TRADE: self.traded}

    def traded(self, books: Books, event: Said) -> Findings:
        low, high = self._traded.get(event.symbol, (event.px, event.px))
        self._traded[event.symbol] = min(low, event.px), max(high, event.px)
        return ()

    def triggered(self, books: Books, event: Said) -> Findings:
        order, of = books.orders.get(event.handle), books.contracts[event.symbol]
        if order is None or not order.untriggered:
            yield self._say(event, f"order {event.handle} waits", "it does", "it does not")
            return
        if event.amount == 0:
            return  # its primary order was filled: no price sets it off
        if event.px != order.stop_px and order.stop_px:
            yield self._say(event, f"the stop price of order {event.handle}", order.stop_px, event.px)
        falls = order.is_sell == (order.type in (OrderType.STOP, OrderType.STOP_LIMIT))
        stop = event.px * _SUBTICKS
        if not (event.amount <= stop if falls else event.amount >= stop):
            way = "at most" if falls else "at least"
            yield self._say(
                event, f"the price that set off order {event.handle}", f"{way} {stop}", event.amount
            )
        elif not self._was_there(books, of, order, event.amount):
            yield self._say(event, "the price that set a stop off", "one that was there", event.amount)

    def _was_there(self, books: Books, of: Contract, order: Order, subticks: int) -> bool:
        if order.source == TriggerPrice.MARK:
            return subticks == of.mark and (of.is_spot or books.timestamp_ns - of.marked_ns <= _STALE_NS)
        if order.source == TriggerPrice.INDEX:
            return subticks == of.index_subticks
        low, high = self._traded.get(of.number, (of.last, of.last))
        return low * _SUBTICKS <= subticks <= high * _SUBTICKS

    def _say(self, event: Said, what: str, expected: object, found: object) -> Finding:
        return self.broken(event.sequence, what, expected, found, symbol=event.symbol)

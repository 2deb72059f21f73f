"""I08: a trade is at the best price with the first in the queue, and no book is crossed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ringfence.assurance.audit.books import SELL, Books, Look, Said
from ringfence.assurance.audit.contract import Contract, Side
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event, EventFlag

_UNTRIGGERED = 16


def _trade_off_price(evidence: Evidence) -> None:
    evidence.event(Event.TRADE)["px"] += 1


def _stand_across(evidence: Evidence) -> None:
    """An order that is asked for at a price that crosses the book, and rests all the same."""
    event = evidence.answer(
        Event.ACCEPTED, lambda e: e["px"] > 100 and not e["flags"] & EventFlag.UNTRIGGERED
    )
    event["px"] = max(1, event["px"] + (-5_000 if event["flags"] & SELL else 5_000))
    evidence.command_of(event)["px"] = event["px"]


def _break_link(evidence: Evidence) -> None:
    row = evidence.rows("orders", lambda table: (table["leaves"] > 0) & (table["flags"] & _UNTRIGGERED == 0))
    row["next"] = row["next"] + 1


def _enlarge_level(evidence: Evidence) -> None:
    row, level = _level(evidence)
    level["qty"][row] += 100


def _behead_level(evidence: Evidence) -> None:
    row, level = _level(evidence)
    level["head"][row] += 1


def _move_touch(evidence: Evidence) -> None:
    evidence.rows("instruments", lambda table: table["state"] == 1)["bid"] += 1


def _level(evidence: Evidence) -> tuple[int, Any]:
    cut = evidence.cut()
    order = evidence.rows(
        "orders", lambda table: (table["leaves"] > 0) & (table["flags"] & _UNTRIGGERED == 0)
    )
    return int(order["px"]), cut.ladders[int(order["symbol"])][0]


class BooksAreWhole(Law):
    id = "I08"
    says = "Trades are at the best price, with the first in its queue; no book is crossed; levels are their orders."
    when = (When.BATCH, When.CUT)
    halts = HaltScope.CONTRACT
    faults = (
        Fault("a trade a tick off", _trade_off_price),
        Fault("an order that rests across the book", _stand_across),
        Fault("a broken link in a queue", _break_link),
        Fault("a level that says more than its orders", _enlarge_level),
        Fault("a level with another head", _behead_level),
        Fault("a best price where no order is", _move_touch),
    )

    def __init__(self) -> None:
        self._touched: set[int] = set()

    # ---- event by event

    def at(self) -> Mapping[Event, Look]:
        return {
            Event.TRADE: self.trade,
            Event.ACCEPTED: self.touch,
            Event.AMENDED: self.touch,
            Event.TRIGGERED: self.touch,
        }

    def touch(self, books: Books, event: Said) -> Findings:
        self._touched.add(event.symbol)
        return ()

    def trade(self, books: Books, event: Said) -> Findings:
        self._touched.add(event.symbol)
        maker, taker = books.orders.get(event.maker_handle), books.orders.get(event.handle)
        if maker is None or taker is None:
            return self._say(event, "the orders of a trade", "both open", "one is not")
        sells = bool(event.flags & SELL)
        if maker.symbol != event.symbol or taker.symbol != event.symbol:
            return self._say(
                event, "the contract of a trade", f"{maker.symbol} and {taker.symbol}", event.symbol
            )
        if (maker.account, taker.account) != (event.maker_account, event.account):
            said = f"{event.maker_account} and {event.account}"
            return self._say(event, "the accounts of a trade", f"{maker.account} and {taker.account}", said)
        if maker is taker or maker.is_sell == sells or taker.is_sell != sells:
            return self._say(event, "the sides of a trade", "opposite ones", "the same")
        if event.px != maker.px:
            return self._say(event, "the price of a trade", maker.px, event.px)
        if taker.px and (event.px > taker.px if not sells else event.px < taker.px):
            return self._say(event, "the price of a trade", f"within {taker.px}", event.px)
        if maker.in_book:
            of = books.contracts[event.symbol]
            return self._in_turn(event, of, books.side(of, maker.is_sell), books)
        return ()

    def _in_turn(self, event: Said, of: Contract, side: Side, books: Books) -> Findings:
        best = side.best()
        if event.px != best:
            return self._say(event, "the price of a trade", f"the best, {best}", event.px)
        queue = side.queues.get(best)
        if queue is None or best in side.hidden:
            return ()  # displayed before hidden is the engine's to say; sums are held at the next cut
        first = next(iter(queue))
        if event.maker_handle != first and all(books.orders[handle].display < 0 for handle in queue):
            return self._say(
                event, "the maker of a trade", f"the first in the queue, {first}", event.maker_handle
            )
        return ()

    def end(self, books: Books) -> Findings:
        if not self._touched:
            return ()
        found = []
        for symbol in self._touched:
            of = books.contracts.get(symbol)
            if of is None:
                continue
            bid, ask = of.bids.best(), of.asks.best()
            if bid and ask and bid >= ask:
                what = "the best bid after a command"
                found.append(self.broken(books.sequence, what, f"below {ask}", bid, symbol=symbol))
        self._touched.clear()
        return found

    def _say(self, event: Said, what: str, expected: object, found: object) -> Findings:
        return [self.broken(event.sequence, what, expected, found, symbol=event.symbol)]

    # ---- the engine's own tables

    def cut(self, cut: Cut, books: Books) -> Findings:
        yield from self._queues(cut, books)
        yield from self._touches(cut, books)
        if cut.levels is not None:
            yield from self._levels(cut, cut.levels)

    def _queues(self, cut: Cut, books: Books) -> Findings:
        """Each queue of the engine is the queue of the books, order by order."""
        orders = cut.orders
        following, before = orders["next"], orders["prev"]
        for number, of in books.contracts.items():
            for side in (of.bids, of.asks):
                for queues in (side.queues, side.hidden):
                    for px, queue in queues.items():
                        slots = [handle & 0xFFFF_FFFF for handle in queue]
                        if max(slots) >= len(orders):
                            yield self.broken(
                                cut.sequence, f"orders at {px}", slots, "not in the table", symbol=number
                            )
                            continue
                        ahead = following[slots].tolist()
                        behind = before[slots].tolist()
                        if ahead != [*slots[1:], 0] or behind != [0, *slots[:-1]]:
                            what = f"the queue at {px}: links ahead and back"
                            yield self.broken(cut.sequence, what, slots, f"{ahead} {behind}", symbol=number)

    def _touches(self, cut: Cut, books: Books) -> Findings:
        for number, of in books.contracts.items():
            row = cut.instruments[number]
            if of.is_index or not of.px_max:
                continue
            expected = (of.bids.best(), of.asks.best() or int(row["ticks"]))
            found = (int(row["bid"]), int(row["ask"]))
            if expected != found:
                yield self.broken(cut.sequence, "best bid and ask", expected, found, symbol=number)

    def _levels(self, cut: Cut, levels: Any) -> Findings:
        """A level is the sum of its orders, and begins and ends with the first and last of them."""
        slots = cut.resting()
        orders = cut.orders[slots]
        shown = np.where(orders["display"] == -1, orders["leaves"], orders["shown"]).astype(np.int64)
        keys = orders["symbol"].astype(np.int64) << 32 | orders["px"]
        found_keys = levels["symbol"] << 32 | levels["px"]
        if len(np.setdiff1d(found_keys, keys)):
            symbol = int(np.setdiff1d(found_keys, keys)[0] >> 32)
            yield self.broken(
                cut.sequence, "prices that hold orders", "those of the orders", "one more", symbol=symbol
            )
        at = np.searchsorted(found_keys, keys)
        expected = np.zeros(len(levels), levels.dtype)
        np.add.at(expected["qty"], at, orders["leaves"].astype(np.int64))
        np.add.at(expected["hidden"], at, orders["leaves"] - shown)
        is_hidden = orders["display"] == 0
        for queue, prefix in ((~is_hidden, ""), (is_hidden, "hidden_")):
            first, last = queue & (orders["prev"] == 0), queue & (orders["next"] == 0)
            expected[prefix + "head"][at[first]] = slots[first]
            expected[prefix + "tail"][at[last]] = slots[last]
        for name in ("qty", "hidden", "head", "tail", "hidden_head", "hidden_tail"):
            for row in np.flatnonzero(expected[name] != levels[name])[:4].tolist():
                what = f"{name} of the level at {levels['px'][row]}"
                symbol = int(levels["symbol"][row])
                yield self.broken(cut.sequence, what, expected[name][row], levels[name][row], symbol=symbol)

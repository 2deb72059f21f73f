"""I21: the book that can be folded from the feed is the engine's."""

from collections import defaultdict
from typing import Any

import numpy as np

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.exchange.engine.records import ORDER_UNTRIGGERED
from ringfence.messages.commands import HaltScope


def _show_less(evidence: Evidence) -> None:
    """An order that hides what it said it would show."""
    row = evidence.rows("orders", lambda table: _standing(table) & (table["display"] == -1))
    row["display"] = row["shown"] = 0


def _vanish(evidence: Evidence) -> None:
    evidence.rows("orders", _standing)["leaves"] = 0


def _standing(table: Any) -> Any:
    return (table["leaves"] > 0) & (table["flags"] & ORDER_UNTRIGGERED == 0)


class MarketData(Law):
    id = "I21"
    says = "What the public sees displayed at each price, folded from the feed, is what the engine's book displays."
    when = (When.CUT,)
    halts = HaltScope.CONTRACT
    faults = (
        Fault("an order that hides what it showed", _show_less),
        Fault("an order that is gone", _vanish),
    )

    def cut(self, cut: Cut, books: Books) -> Findings:
        slots = cut.resting()
        rows = cut.orders[slots]
        shown = np.where(rows["display"] == -1, rows["leaves"], rows["shown"])
        found: defaultdict[tuple[int, int, bool], int] = defaultdict(int)
        columns = (rows["symbol"], rows["px"], rows["flags"] & 1, shown)
        for symbol, px, sells, qty in zip(*(column.tolist() for column in columns), strict=True):
            found[symbol, px, bool(sells)] += qty
        expected: defaultdict[tuple[int, int, bool], int] = defaultdict(int)
        for order in books.orders.values():
            if order.in_book:
                expected[order.symbol, order.px, order.is_sell] += order.shown
        for key in sorted(expected.keys() | found.keys()):
            if expected[key] != found[key]:
                symbol, px, sells = key
                what = f"displayed {'asks' if sells else 'bids'} at {px}"
                yield self.broken(cut.sequence, what, expected[key], found[key], symbol=symbol)

"""I21: the book that can be folded from the feed is the engine's."""

from collections import defaultdict

import numpy as np

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope


def _show_more(evidence: Evidence) -> None:
    """An iceberg that shows more than it said."""
    row = evidence.rows("orders", lambda table: (table["leaves"] > 0) & (table["flags"] & 16 == 0))
    row["display"] = 0 if row["display"] == -1 else -1


def _vanish(evidence: Evidence) -> None:
    evidence.rows("orders", lambda table: (table["leaves"] > 0) & (table["flags"] & 16 == 0))["leaves"] = 0


class MarketData(Law):
    id = "I21"
    says = "What the public sees displayed at each price, folded from the feed, is what the engine's book displays."
    when = (When.CUT,)
    halts = HaltScope.CONTRACT
    faults = (
        Fault("an order that shows more than it said", _show_more),
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

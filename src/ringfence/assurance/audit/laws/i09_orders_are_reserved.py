"""I09: what is open is what was asked for and not yet filled, and the margin for it is locked."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ringfence.assurance.audit.books import Books, Look, Said
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event

_LEAVES_MAX = 2**31
_FIELDS = ("leaves", "filled", "px", "lot_value", "display", "shown", "symbol")
_UNTRIGGERED = 16


def _fill_more(evidence: Evidence) -> None:
    evidence.event(Event.TRADE)["qty"] += 100_000


def _cancel_less(evidence: Evidence) -> None:
    evidence.event(Event.CANCELED, lambda event: event["qty"] > 1)["qty"] -= 1


def _enlarge_order(evidence: Evidence) -> None:
    evidence.rows("orders", _open)["leaves"] += 1


def _reprice_order(evidence: Evidence) -> None:
    evidence.rows("orders", _open)["px"] += 1


def _unlock(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["locked"] != 0)["locked"] -= 1


def _forget_exposure(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["open_buys"] != 0)["open_buys"] -= 1


def _open(table: Any) -> Any:
    return (table["leaves"] > 0) & (table["flags"] & _UNTRIGGERED == 0)


class OrdersAreReserved(Law):
    id = "I09"
    says = (
        "Open quantities are what was asked for and not filled, and positions lock the margin that they need."
    )
    when = (When.BATCH, When.CUT)
    halts = HaltScope.VENUE
    faults = (
        Fault("a fill larger than its order", _fill_more),
        Fault("a cancel of less than was open", _cancel_less),
        Fault("an order that is larger", _enlarge_order),
        Fault("an order at another price", _reprice_order),
        Fault("a position that locks a unit less", _unlock),
        Fault("exposure that nobody counts", _forget_exposure),
    )

    # ---- event by event

    def at(self) -> Mapping[Event, Look]:
        return {
            Event.TRADE: self.trade, Event.CANCELED: self.canceled, Event.AMENDED: self.amended,
            Event.ACCEPTED: self.accepted, Event.TRIGGERED: self.triggered,
        }  # fmt: skip

    def accepted(self, books: Books, event: Said) -> Findings:
        of = books.contracts.get(event.symbol)
        if of is None or not 0 <= event.qty < _LEAVES_MAX or event.qty % of.lot_size:
            return [self.broken(event.sequence, "the quantity of an order", "whole lots", event.qty)]
        return ()

    def trade(self, books: Books, event: Said) -> Findings:
        for handle in (event.handle, event.maker_handle):
            order = books.orders.get(handle)
            if order is not None and not 0 < event.qty <= order.leaves:
                yield self.broken(
                    event.sequence, f"the fill of order {handle}", f"1 to {order.leaves}", event.qty
                )

    def canceled(self, books: Books, event: Said) -> Findings:
        order = books.orders.get(event.handle)
        if order is None:
            return [self.broken(event.sequence, "the order that is cancelled", "an open one", event.handle)]
        # What waited for an account that may not trade any more is cancelled whole, whatever it was cut to.
        cut_short = books.accounts[order.account].disabled and not order.in_book
        if order.leaves and event.qty != order.leaves and not cut_short:
            return [self.broken(event.sequence, "the quantity that is cancelled", order.leaves, event.qty)]
        return self._whose(event, order.account, order.symbol)

    def amended(self, books: Books, event: Said) -> Findings:
        order = books.orders.get(event.handle)
        if order is None:
            return [self.broken(event.sequence, "the order that is amended", "an open one", event.handle)]
        return self._whose(event, order.account, order.symbol)

    def triggered(self, books: Books, event: Said) -> Findings:
        order = books.orders.get(event.handle)
        if order is None:
            return [self.broken(event.sequence, "the order that is triggered", "an open one", event.handle)]
        if order.leaves and event.qty > order.leaves:
            return [self.broken(event.sequence, "the quantity that is triggered", order.leaves, event.qty)]
        return self._whose(event, order.account, order.symbol)

    def _whose(self, event: Said, account: int, symbol: int) -> Findings:
        if (event.account, event.symbol) == (account, symbol):
            return ()
        found = f"{event.account} in {event.symbol}"
        return [
            self.broken(event.sequence, f"whose order {event.handle} is", f"{account} in {symbol}", found)
        ]

    # ---- the engine's own tables

    def cut(self, cut: Cut, books: Books) -> Findings:
        yield from self._exposures(cut, books)
        yield from self._orders(cut, books)
        for row in cut.recount(books).wrong_positions:
            p = cut.positions[row]
            what = f"the margin that account {p['account']} locks in contract {p['symbol']}"
            yield self.broken(cut.sequence, what, "what its contents need", int(p["locked"]))

    def _exposures(self, cut: Cut, books: Books) -> Findings:
        rows, slots, _ = cut.matched(books)
        positions = cut.positions[rows]
        for name, column in (
            ("open_buys", books.buys),
            ("open_sells", books.sells),
            ("n_orders", books.n_orders),
        ):
            mine, theirs = np.array(column, np.int64)[slots], positions[name].astype(np.int64)
            for k in np.flatnonzero(mine != theirs)[:4].tolist():
                what = f"{name} of account {positions['account'][k]} in contract {positions['symbol'][k]}"
                yield self.broken(cut.sequence, what, mine[k], theirs[k])

    def _orders(self, cut: Cut, books: Books) -> Findings:
        """Every open order is in the table as the books have it, and there are no others."""
        table = cut.orders
        live = np.flatnonzero(table["leaves"] > 0)
        said = int(cut.header["n_live"])
        if len(live) != len(books.orders) or said != len(books.orders):
            yield self.broken(
                cut.sequence, "open orders", len(books.orders), f"{len(live)}, counted as {said}"
            )
        handles = (table["sequence"][live].astype(np.uint64) << np.uint64(32)) | live.astype(np.uint64)
        rows = table[live]
        owners = cut.positions["account"][np.minimum(rows["position"], len(cut.positions) - 1)]
        columns = [rows[name].tolist() for name in _FIELDS]
        flags = rows["flags"].tolist()
        for handle, owner, flag, *found in zip(
            handles.tolist(), owners.tolist(), flags, *columns, strict=True
        ):
            order = books.orders.get(handle)
            if order is None:
                yield self.broken(cut.sequence, "an order in the engine's table", "one of the books", handle)
                continue
            expected = [
                order.leaves,
                order.filled,
                order.px,
                order.lot_value,
                order.display,
                order.shown,
                order.symbol,
            ]
            if order.display < 0:
                expected[5] = found[5]  # the slice of an order without slices means nothing
            if order.untriggered:
                # It is in no book: of what it will be there only its price is fixed.
                expected[0] = expected[0] or found[0]
                expected[3], expected[5] = found[3], found[5]
            if expected != found or owner != order.account or bool(flag & 1) != order.is_sell:
                what = f"order {handle}: {', '.join(_FIELDS)}, account, is a sell"
                mine = [*expected, order.account, order.is_sell]
                yield self.broken(cut.sequence, what, mine, [*found, owner, bool(flag & 1)])
            elif bool(flag & _UNTRIGGERED) != order.untriggered:
                yield self.broken(
                    cut.sequence, f"order {handle} waits", order.untriggered, not order.untriggered
                )

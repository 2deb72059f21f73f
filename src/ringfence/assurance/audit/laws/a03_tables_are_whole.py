"""A03: the engine's tables hang together, and orders are what their customers wanted."""

from typing import Any

import numpy as np

from ringfence.assurance.audit.books import Books, Order
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.law import Fault, Findings, Law, When
from ringfence.exchange.engine.records import (
    ORDER_DAY,
    ORDER_LINKED,
    ORDER_POST_ONLY,
    ORDER_REDUCE_ONLY,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
)
from ringfence.messages.commands import HaltScope, OrderFlag, OrderType

_WISHES = ORDER_SELL | ORDER_POST_ONLY | ORDER_REDUCE_ONLY | ORDER_DAY | ORDER_UNTRIGGERED


def _live(table: Any) -> Any:
    return table["leaves"] > 0


def _lose_sibling(evidence: Evidence) -> None:
    evidence.rows("orders", _live)["sibling_next"] += 1


def _lose_orders(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["orders"] != 0)["orders"] = 0


def _change_wish(evidence: Evidence) -> None:
    evidence.rows("orders", _live)["flags"] ^= ORDER_REDUCE_ONLY


def _rename(evidence: Evidence) -> None:
    evidence.rows("orders", _live)["clid"] ^= 1


def _move_stop(evidence: Evidence) -> None:
    cut = evidence.cut()
    waiting = (cut.orders["flags"] & (ORDER_UNTRIGGERED | ORDER_LINKED)) == ORDER_UNTRIGGERED
    slots = np.flatnonzero(waiting & _live(cut.orders))
    cut.triggers["stop_px"][evidence.pick(slots)] += 1


def _give_out_again(evidence: Evidence) -> None:
    cut = evidence.cut()
    cut.header["free_order"] = evidence.pick(np.flatnonzero(_live(cut.orders)))


def _count_wrong(evidence: Evidence) -> None:
    evidence.cut().header[
        ("n_live", "n_reduce_only", "n_untriggered", "n_linked", "n_day")[evidence.place % 5]
    ] += 1


class TablesAreWhole(Law):
    id = "A03"
    says = "Every order is on its position's list, every slot is in use or free, and orders are as customers asked."
    when = (When.CUT,)
    halts = HaltScope.VENUE
    faults = (
        Fault("an order that is on no list", _lose_sibling),
        Fault("a position that has lost its orders", _lose_orders),
        Fault("an order that reduces only, or no longer", _change_wish),
        Fault("an order of another name", _rename),
        Fault("a stop at another price", _move_stop),
        Fault("a slot in use that is given out again", _give_out_again),
        Fault("a count of orders that is wrong", _count_wrong),
    )

    def cut(self, cut: Cut, books: Books) -> Findings:
        live = np.flatnonzero(_live(cut.orders))
        yield from self._lists(cut, live)
        yield from self._slots(cut, live)
        yield from self._wishes(cut, books, live)
        yield from self._counts(cut, live)

    def _lists(self, cut: Cut, live: Any) -> Findings:
        """An order's neighbours on its position's list know it, and the first is where the list begins."""
        orders, positions = cut.orders, cut.positions
        rows = orders[live]
        place = np.minimum(rows["position"], len(positions) - 1)
        after = np.minimum(rows["sibling_next"], len(orders) - 1)
        linked = (orders["sibling_prev"][after] == live) & (orders["position"][after] == rows["position"])
        bad = (rows["sibling_next"] != 0) & ~linked
        bad |= (rows["sibling_prev"] == 0) & (positions["orders"][place] != live)
        for k in np.flatnonzero(bad)[:4].tolist():
            yield self.broken(
                cut.sequence, f"the neighbours of the order in slot {live[k]}", "on one list", "astray"
            )
        heads = int(np.count_nonzero(rows["sibling_prev"] == 0))
        lists = int(np.count_nonzero(positions["orders"][positions["account"] != 0]))
        if heads != lists:
            yield self.broken(cut.sequence, "lists of orders", heads, lists)

    def _slots(self, cut: Cut, live: Any) -> Findings:
        following = cut.orders["next"].tolist()
        used = np.zeros(len(following), np.bool_)
        used[live] = True
        slot = int(cut.header["free_order"])
        free = 0
        while slot and slot < len(following) and not used[slot]:
            used[slot] = True
            slot, free = following[slot], free + 1
        if slot or free + len(live) != len(following) - 1:
            expected = len(following) - 1 - len(live)
            yield self.broken(cut.sequence, "free slots of the order table", expected, f"{free}, then {slot}")

    def _wishes(self, cut: Cut, books: Books, live: Any) -> Findings:
        rows, triggers = cut.orders[live], cut.state.triggers
        columns = (live, rows["sequence"], rows["flags"], rows["clid"])
        for slot, sequence, flags, clid in zip(*(column.tolist() for column in columns), strict=True):
            order = books.orders.get(sequence << 32 | slot)
            if order is None:
                continue
            found = (flags & _WISHES, clid)
            expected = (_flags_of(order), order.clid)
            if expected != found:
                yield self.broken(cut.sequence, f"wishes and name of order {order.handle}", expected, found)
            # What is linked may have been woken by its primary, and then waits for any price.
            if order.untriggered and not flags & ORDER_LINKED and order.type >= OrderType.STOP:
                t = triggers[slot]
                found_stop = tuple(int(t[name]) for name in ("stop_px", "peg_offset", "type", "source"))
                expected_stop = (order.stop_px, order.peg_offset, order.type, order.source)
                if expected_stop != found_stop:
                    what = f"order {order.handle}: stop price, peg, type, source"
                    yield self.broken(cut.sequence, what, expected_stop, found_stop)

    def _counts(self, cut: Cut, live: Any) -> Findings:
        flags = cut.orders["flags"][live]
        waiting = flags & ORDER_UNTRIGGERED != 0
        for name, expected in (
            ("n_live", len(live)),
            ("n_reduce_only", np.count_nonzero(flags & ORDER_REDUCE_ONLY)),
            ("n_day", np.count_nonzero(flags & ORDER_DAY)),
            ("n_untriggered", np.count_nonzero(waiting)),
            ("n_linked", np.count_nonzero(flags & ORDER_LINKED)),
        ):
            if int(cut.header[name]) != int(expected):
                yield self.broken(cut.sequence, f"{name} of the venue", int(expected), int(cut.header[name]))


def _flags_of(order: Order) -> int:
    wanted = ORDER_SELL if order.is_sell else 0
    wanted |= ORDER_POST_ONLY if order.flags & OrderFlag.POST_ONLY else 0
    wanted |= ORDER_REDUCE_ONLY if order.reduces else 0
    wanted |= ORDER_DAY if order.flags & OrderFlag.DAY else 0
    return wanted | (ORDER_UNTRIGGERED if order.untriggered else 0)

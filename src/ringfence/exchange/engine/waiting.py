"""Where orders wait for a price or for each other: heaps, the list of trailing orders, rings.

The untriggered orders of an instrument stand in eight heaps, one for each trigger price and direction, the
first to be reached on top, ties by age. They are skew heaps: merging is all they can do, and all they need.
Linked orders form a ring; an order alone in its ring is its own neighbour.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.listing import NEVER_ABOVE
from ringfence.exchange.engine.records import (
    ORDER_LINKED,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
    ORDER_WAITING,
    PENDING_TRIGGERS,
)
from ringfence.exchange.engine.tables import orders, triggers
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import OrderType, Peg, TriggerPrice

_TRAILING = int(Peg.TRAILING)
_STOP, _IF_TOUCHED = int(OrderType.STOP), int(OrderType.MARKET_IF_TOUCHED)
_LIMIT_IF_TOUCHED = int(OrderType.LIMIT_IF_TOUCHED)
_LAST = int(TriggerPrice.LAST)
LAST_WITHIN_MARK = 3
"""The fourth source: the last price, while it is near the mark."""
N_HEAPS = 8


@compiled
def watches_price(t: Record) -> bool:
    """Return whether an untriggered order waits for a price; if not, only for its primary order."""
    return bool(t.type >= _STOP and t.type <= _LIMIT_IF_TOUCHED)


@compiled
def heap_of(o: Record, t: Record) -> Any:
    """Return which heap an untriggered order belongs to."""
    source = LAST_WITHIN_MARK if t.within_mark else np.int64(t.source)
    sell = np.int64(o.flags & ORDER_SELL)
    # Stops buy into rising prices; if-touched orders buy into falling ones.
    falling = 1 - sell if watches_price(t) and t.type >= _IF_TOUCHED else sell
    return 2 * source + falling


@compiled
def heap_top(ins: Record, k: int) -> Any:
    """Return the slot of the order that heap k reaches first, 0 if it is empty."""
    if k < 4:
        if k < 2:
            return np.int64(ins.heap0) if k == 0 else np.int64(ins.heap1)
        return np.int64(ins.heap2) if k == 2 else np.int64(ins.heap3)
    if k < 6:
        return np.int64(ins.heap4) if k == 4 else np.int64(ins.heap5)
    return np.int64(ins.heap6) if k == 6 else np.int64(ins.heap7)


@compiled
def set_heap_top(h: Record, ins: Record, k: int, slot: int) -> None:
    if k == 0:
        ins.heap0 = slot
    elif k == 1:
        ins.heap1 = slot
    elif k == 2:
        ins.heap2 = slot
    elif k == 3:
        ins.heap3 = slot
    elif k == 4:
        ins.heap4 = slot
    elif k == 5:
        ins.heap5 = slot
    elif k == 6:
        ins.heap6 = slot
    else:
        ins.heap7 = slot
    set_last_thresholds(h, ins)


@compiled
def set_last_thresholds(h: Record, ins: Record) -> None:
    """Keep at hand from where on a trade triggers something: that is asked at every trade."""
    above, below = np.int64(NEVER_ABOVE), np.int64(0)
    for source in (_LAST, LAST_WITHIN_MARK):
        top = heap_top(ins, 2 * source)
        if top != 0:
            above = min(above, np.int64(triggers(h, top).stop_px))
        top = heap_top(ins, 2 * source + 1)
        if top != 0:
            below = max(below, np.int64(triggers(h, top).stop_px))
    ins.stop_above = above
    ins.stop_below = below


@compiled
def is_before(h: Record, a: int, b: int, falling: int) -> bool:
    """Return whether order a is reached before order b."""
    px_a, px_b = np.int64(triggers(h, a).stop_px), np.int64(triggers(h, b).stop_px)
    if px_a != px_b:
        return bool(px_a > px_b) if falling else bool(px_a < px_b)
    age_a, age_b = np.int64(orders(h, a).sequence), np.int64(orders(h, b).sequence)
    if age_a != age_b:
        return bool(age_a < age_b)
    return bool(a < b)


@compiled
def merge(h: Record, a: Any, b: Any, falling: int) -> Any:
    """Return the top of the heap of everything under a and b."""
    if a == 0 or b == 0:
        top = a + b
    else:
        if is_before(h, b, a, falling):
            a, b = b, a
        top = a
        while True:
            t = triggers(h, a)
            right: Any = np.int64(t.right)
            t.right = t.left
            if right == 0:
                t.left = b
                triggers(h, b).parent = a
                break
            if is_before(h, b, right, falling):
                right, b = b, right
            t.left = right
            triggers(h, right).parent = a
            a = right
    if top != 0:
        triggers(h, top).parent = 0
    return np.int64(top)


@compiled
def wait(h: Record, ins: Record, slot: int, o: Record, t: Record) -> None:
    """Put an untriggered order into its heap, and among the trailing ones if it is one."""
    t.left = t.right = t.parent = 0
    if o.flags & ORDER_WAITING:
        return
    if not np.int64(h.pending) & PENDING_TRIGGERS:
        settle_extremes(ins)
    k = heap_of(o, t)
    set_heap_top(h, ins, k, merge(h, heap_top(ins, k), slot, k & 1))
    if t.peg == _TRAILING:
        o.prev = 0
        o.next = ins.trailing
        orders(h, ins.trailing).prev = slot
        ins.trailing = slot


@compiled
def settle_extremes(ins: Record) -> None:
    """The way of the last price has been looked at: what counts from now on begins where it is."""
    ins.last_high = ins.last
    ins.last_low = ins.last


@compiled
def stop_waiting(h: Record, ins: Record, slot: int, o: Record, t: Record) -> None:
    """Take an untriggered order out of its heap and list."""
    if o.flags & ORDER_WAITING:
        return
    k = heap_of(o, t)
    rest = merge(h, np.int64(t.left), np.int64(t.right), k & 1)
    parent = np.int64(t.parent)
    if parent == 0:
        set_heap_top(h, ins, k, rest)
    else:
        above = triggers(h, parent)
        if above.left == slot:
            above.left = rest
        else:
            above.right = rest
        if rest != 0:
            triggers(h, rest).parent = parent
    if t.peg == _TRAILING:
        orders(h, o.next).prev = o.prev
        if o.prev != 0:
            orders(h, o.prev).next = o.next
        else:
            ins.trailing = o.next


@compiled
def leave_waiting(h: Record, ins: Record, slot: int, o: Record) -> None:
    """An untriggered order is none any more: it is triggered, or gone."""
    stop_waiting(h, ins, slot, o, triggers(h, slot))
    o.flags = np.int64(o.flags) & ~(ORDER_UNTRIGGERED | ORDER_WAITING)
    ins.n_untriggered -= 1
    h.n_untriggered -= 1


# ---- rings


@compiled
def join_ring(h: Record, slot: int, member: int) -> None:
    """Link an order with the group of another, or alone (member 0)."""
    t = triggers(h, slot)
    if member == 0:
        t.link_next = t.link_prev = slot
    else:
        last = triggers(h, member)
        first = np.int64(last.link_next)
        t.link_prev, t.link_next = member, first
        last.link_next = slot
        triggers(h, first).link_prev = slot
    h.n_linked += 1


@compiled
def leave_ring(h: Record, slot: int, o: Record) -> None:
    t = triggers(h, slot)
    before, after = np.int64(t.link_prev), np.int64(t.link_next)
    triggers(h, before).link_next = after
    triggers(h, after).link_prev = before
    t.link_next = t.link_prev = slot
    o.flags = np.int64(o.flags) & ~ORDER_LINKED
    h.n_linked -= 1


@compiled
def find_group(h: Record, p: Record, group: Any) -> Any:
    """Return an order of the position that is linked under this clOrdLinkID, 0 if there is none."""
    slot = np.int64(p.orders)
    while slot != 0:
        o = orders(h, slot)
        if o.flags & ORDER_LINKED and triggers(h, slot).group == group:
            return slot
        slot = np.int64(o.sibling_next)
    return np.int64(0)


@compiled
def clear_trigger(h: Record, slot: int) -> Record:
    """Return the TRIGGER of a slot, empty: what an earlier order left there is gone."""
    if slot >= h.n_triggers:
        h.n_triggers = slot + 1
    t = triggers(h, slot)
    t.group = U(0)
    t.reference = 0
    t.left = t.right = t.parent = 0
    t.stop_px = t.peg_offset = 0
    t.link_next = t.link_prev = 0
    t.flags = 0
    t.type = t.source = t.peg = t.contingency = t.within_mark = t.is_primary = 0
    return t

"""The order book of one instrument: two queues a price level, displayed before hidden.

An iceberg stands in the displayed queue with its current slice; what it keeps back is counted in
`level.hidden`. A hidden order stands in the hidden queue and ranks behind everything displayed.

Lists are relinked without branches: a link to nothing is a write to order 0, which nobody reads.
Whether an order has a neighbour cannot be guessed, and a wrong guess costs more than ten writes.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import pick
from ringfence.exchange.engine.ladder import clear_price, next_price, previous_price, set_price
from ringfence.exchange.engine.records import (
    ORDER_DAY,
    ORDER_LINKED,
    ORDER_REDUCE_ONLY,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
)
from ringfence.exchange.engine.tables import cells, levels, orders, positions
from ringfence.exchange.engine.views import Record, U, compiled, inline, mullo
from ringfence.exchange.engine.waiting import leave_ring, leave_waiting

SHOW_ALL = -1
_SPREAD_ACCOUNT = U(0x9E37_79B9_7F4A_7C15)
_SPREAD_HASH = U(0xD6E8_FEB8_6659_FD93)


@inline
def shown_qty(o: Record) -> Any:
    """Return the displayed part of an order's open quantity."""
    if o.display == SHOW_ALL:
        return np.int64(o.leaves)
    return np.int64(o.shown)


@inline
def slice_of(display: int, leaves: int) -> Any:
    """Return how much an order of this display setting shows when it enters its queue."""
    return np.int64(leaves) if display == SHOW_ALL else min(np.int64(display), np.int64(leaves))


# ---- price levels


@inline
def link(h: Record, ins: Record, slot: int, o: Record) -> None:
    """Put an order at the end of its queue."""
    level = levels(ins, o.px)
    was_empty = level.head == 0 and level.hidden_head == 0
    o.next = 0
    if o.display != 0:
        last = np.int64(level.tail)
        o.prev = last
        orders(h, last).next = slot
        level.head = pick(last, np.int64(level.head), slot)
        level.tail = slot
    else:
        o.prev = level.hidden_tail
        if level.hidden_tail != 0:
            orders(h, level.hidden_tail).next = slot
        else:
            level.hidden_head = slot
        level.hidden_tail = slot
    level.qty += o.leaves
    if o.display != SHOW_ALL:
        level.hidden += o.leaves - o.shown
    sell = np.int64(o.flags & ORDER_SELL)
    if was_empty:
        px, bid, ask = np.int64(o.px), np.int64(ins.bid), np.int64(ins.ask)
        set_price(ins, sell, px)
        ins.ask = min(ask, pick(sell, px, ask))
        ins.bid = max(bid, pick(sell, bid, px))
    ins.n_asks += sell
    ins.n_bids += 1 - sell


@inline
def unlink(h: Record, ins: Record, o: Record) -> None:
    """Take an order out of its queue, and its price out of the ladder if it was the last there."""
    level = levels(ins, o.px)
    before, after = np.int64(o.prev), np.int64(o.next)
    orders(h, after).prev = before
    orders(h, before).next = after
    if o.display != 0:
        level.tail = pick(after, np.int64(level.tail), before)
        level.head = pick(before, np.int64(level.head), after)
    else:
        level.hidden_tail = pick(after, np.int64(level.hidden_tail), before)
        level.hidden_head = pick(before, np.int64(level.hidden_head), after)
    level.qty -= o.leaves
    if o.display != SHOW_ALL:
        level.hidden -= o.leaves - o.shown
    sell = np.int64(o.flags & ORDER_SELL)
    if level.head == 0 and level.hidden_head == 0:
        clear_price(ins, sell, o.px)
        if o.px == pick(sell, np.int64(ins.ask), np.int64(ins.bid)):
            if sell:
                ins.ask = next_price(ins, sell, o.px)
            else:
                ins.bid = previous_price(ins, sell, o.px)
    ins.n_asks -= sell
    ins.n_bids -= 1 - sell


@compiled
def resize_iceberg(h: Record, ins: Record, slot: int, o: Record, qty: int, from_hidden: bool) -> None:
    """Take `qty` from an order that does not show everything; a used-up slice goes to the back."""
    level = levels(ins, o.px)
    level.qty -= qty
    level.hidden -= o.leaves - o.shown
    o.leaves -= qty
    if from_hidden:
        o.shown = slice_of(o.display, o.leaves)
    else:
        o.shown -= qty
    level.hidden += o.leaves - o.shown
    if o.display > 0 and o.shown == 0 and o.leaves > 0:
        unlink(h, ins, o)
        o.shown = slice_of(o.display, o.leaves)
        link(h, ins, slot, o)


# ---- the orders of one position, newest first


@inline
def adopt(h: Record, p: Record, slot: int, o: Record) -> None:
    """Add an order to its position's list and counts."""
    o.sibling_prev = 0
    o.sibling_next = p.orders
    orders(h, p.orders).sibling_prev = slot
    p.orders = slot
    p.n_orders += 1
    h.n_live += 1
    if o.flags & (ORDER_REDUCE_ONLY | ORDER_DAY):
        if o.flags & ORDER_REDUCE_ONLY:
            p.n_reduce_only += 1
            h.n_reduce_only += 1
        if o.flags & ORDER_DAY:
            h.n_day += 1


@inline
def retire(h: Record, ins: Record, p: Record, slot: int, o: Record) -> None:
    """Forget an order altogether: book, position, clOrdID, slot."""
    if o.flags & ORDER_UNTRIGGERED:
        leave_waiting(h, ins, slot, o)
    else:
        unlink(h, ins, o)
    newer, older = np.int64(o.sibling_prev), np.int64(o.sibling_next)
    orders(h, newer).sibling_next = older
    orders(h, older).sibling_prev = newer
    p.orders = pick(newer, np.int64(p.orders), older)
    p.n_orders -= 1
    h.n_live -= 1
    if o.flags & (ORDER_REDUCE_ONLY | ORDER_DAY | ORDER_LINKED):
        if o.flags & ORDER_REDUCE_ONLY:
            p.n_reduce_only -= 1
            h.n_reduce_only -= 1
        if o.flags & ORDER_DAY:
            h.n_day -= 1
        if o.flags & ORDER_LINKED:
            leave_ring(h, slot, o)
    if o.clid != U(0):
        forget_clid(h, p.account, slot, o.clid)
    o.leaves = 0
    give_back_slot(h, slot, o)


@inline
def take_slot(h: Record) -> Any:
    """Return a slot for a new order: the one freed last, which is still in the cache."""
    if h.free_order != 0:
        slot = np.int64(h.free_order)
        h.free_order = orders(h, slot).next
    else:
        slot = np.int64(h.n_orders)
        h.n_orders += 1
    return slot


@inline
def give_back_slot(h: Record, slot: int, o: Record) -> None:
    o.next = h.free_order
    h.free_order = slot


# ---- clOrdIDs of open orders: open addressing, linear probing, deletion by backward shift, so that
# the layout depends on history only


@inline
def clid_tag(account: int, clid: Any) -> Any:
    mixed = mullo(clid ^ mullo(U(account), _SPREAD_ACCOUNT), _SPREAD_HASH)
    return np.int64(mixed >> U(32))


@compiled
def find_clid(h: Record, account: int, clid: Any) -> Any:
    """Return the slot of the account's open order with this clOrdID hash, 0 if there is none."""
    mask = h.cap_clids - 1
    tag = clid_tag(account, clid)
    index = tag & mask
    while True:
        cell = cells(h, index)
        slot = np.int64(cell.slot)
        if slot == 0:
            return slot
        if np.int64(cell.tag) == tag:
            o = orders(h, slot)
            if o.clid == clid and positions(h, o.position).account == account:
                return slot
        index = (index + 1) & mask


@compiled
def remember_clid(h: Record, account: int, slot: int, clid: Any) -> None:
    mask = h.cap_clids - 1
    tag = clid_tag(account, clid)
    index = tag & mask
    while cells(h, index).slot != 0:
        index = (index + 1) & mask
    cell = cells(h, index)
    cell.tag = tag
    cell.slot = slot
    h.n_clids += 1


@compiled
def forget_clid(h: Record, account: int, slot: int, clid: Any) -> None:
    mask = h.cap_clids - 1
    hole = clid_tag(account, clid) & mask
    while np.int64(cells(h, hole).slot) != slot:
        assert cells(h, hole).slot != 0
        hole = (hole + 1) & mask
    index = hole
    while True:
        index = (index + 1) & mask
        cell = cells(h, index)
        if cell.slot == 0:
            break
        home = np.int64(cell.tag) & mask
        if ((index - home) & mask) >= ((index - hole) & mask):
            empty = cells(h, hole)
            empty.tag = cell.tag
            empty.slot = cell.slot
            hole = index
    cell = cells(h, hole)
    cell.tag = 0
    cell.slot = 0
    h.n_clids -= 1

"""Crossing the book: best price first, then displayed before hidden, then time.

At a price with hidden quantity the displayed slices that stood there on arrival trade first; only
then the hidden quantity, every order whole in queue order. So no order trades more than twice for
one command, however small its slices are, and the events of a command are bounded.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import lot_value, lots_of, pick
from ringfence.exchange.engine.book import SHOW_ALL, shown_qty
from ringfence.exchange.engine.cancelling import cancel
from ringfence.exchange.engine.clearing import trade
from ringfence.exchange.engine.ladder import next_price, previous_price
from ringfence.exchange.engine.margin import owner_margin, refusal, relock, reserve
from ringfence.exchange.engine.records import (
    MARGIN_SELF_TRADE_MASK,
    MARGIN_SELF_TRADE_SHIFT,
    ORDER_REDUCE_ONLY,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
)
from ringfence.exchange.engine.tables import emit, handle_of, levels, orders, positions
from ringfence.exchange.engine.views import Record, U, compiled, inline
from ringfence.messages.commands import SelfTrade
from ringfence.messages.events import CancelReason, Event, EventFlag

_AMENDED = int(Event.AMENDED)
_SELL, _BY_ENGINE = int(EventFlag.SELL), int(EventFlag.BY_ENGINE)
_KEPT_PRIORITY = int(EventFlag.KEPT_PRIORITY)
_ALLOW_SELF_TRADE = int(SelfTrade.ALLOW)
_CANCEL_TAKING = int(SelfTrade.CANCEL_TAKING)
_BY_SELF_TRADE = int(CancelReason.SELF_TRADE)
_BY_REDUCE_ONLY = int(CancelReason.REDUCE_ONLY)
_BY_MARGIN = int(CancelReason.INSUFFICIENT_MARGIN)
GO_ON = -1


@inline
def self_trade_mode(m: Record) -> Any:
    return (np.int64(m.flags) & MARGIN_SELF_TRADE_MASK) >> MARGIN_SELF_TRADE_SHIFT


@compiled
def shrink(h: Record, ins: Record, p: Record, slot: int, o: Record, by: int, flags: int, clid: Any) -> None:
    """Cut an order's open quantity; it keeps its place in the queue."""
    value = lots_of(ins, by) * o.lot_value
    reserve(h, ins, p, np.int64(o.flags), -value, -by)
    level = levels(ins, o.px)
    level.qty -= by
    if o.display == SHOW_ALL:
        o.leaves -= by
    else:
        level.hidden -= o.leaves - o.shown
        o.leaves -= by
        o.shown = min(o.shown, o.leaves)
        level.hidden += o.leaves - o.shown
    side = _SELL if o.flags & ORDER_SELL else 0
    e = emit(
        h, _AMENDED, side | _KEPT_PRIORITY | flags, handle_of(o, slot), p.account, ins.number,
        np.int64(o.leaves), np.int64(o.px), 0,
    )  # fmt: skip
    e.maker_handle = clid


@compiled
def trim_side(
    h: Record, ins: Record, p: Record, sell: int, allowed: int, only_reduce_only: bool, reason: int
) -> None:
    """Cancel the least aggressive orders of one side until what is left fits `allowed`.

    Reduce-only orders are cut down to the last contract that fits instead of cancelled.
    """
    while True:
        total = np.int64(0)
        worst = np.int64(0)
        slot = np.int64(p.orders)
        while slot != 0:
            o = orders(h, slot)
            counts = o.leaves != 0 and (o.flags & (ORDER_SELL | ORDER_UNTRIGGERED)) == sell
            if counts and (not only_reduce_only or (o.flags & ORDER_REDUCE_ONLY) != 0):
                total += o.leaves
                if worst == 0:
                    worst = slot
                else:
                    w = orders(h, worst)
                    if (o.px > w.px) if sell else (o.px < w.px):
                        worst = slot
            slot = np.int64(o.sibling_next)
        if total <= allowed:
            return
        o = orders(h, worst)
        excess = total - allowed
        if only_reduce_only and o.leaves > excess:
            shrink(h, ins, p, worst, o, excess, _BY_ENGINE, U(0))
            return
        cancel(h, ins, p, worst, o, reason)


@compiled
def enforce_reduce_only(h: Record, ins: Record, m: Record, p: Record) -> None:
    """Cut reduce-only orders to what the position still is."""
    trim_side(h, ins, p, ORDER_SELL, max(p.qty, 0), True, _BY_REDUCE_ONLY)
    trim_side(h, ins, p, 0, max(-p.qty, 0), True, _BY_REDUCE_ONLY)
    relock(ins, m, p)


@compiled
def prevent_self_trade(h: Record, ins: Record, m: Record, p: Record, slot: int, o: Record) -> Any:
    """An account met its own order: GO_ON after the resting one is gone, or why the taker stops."""
    if self_trade_mode(m) == _CANCEL_TAKING:
        return _BY_SELF_TRADE
    cancel(h, ins, p, slot, o, _BY_SELF_TRADE)
    return GO_ON


@inline
def after_maker_fill(h: Record, ins: Record, position: int) -> None:
    mp = positions(h, position)
    if mp.n_reduce_only != 0:
        enforce_reduce_only(h, ins, owner_margin(h, ins, mp), mp)


@compiled
def sweep_level_with_hidden(
    h: Record, ins: Record, m: Record, p: Record, index: int, handle: Any, sell: int, px: int, wanted: int
) -> Any:
    """Trade at a price where not everything is displayed; return (still wanted, GO_ON or reason)."""
    level = levels(ins, px)
    displayed = level.qty - level.hidden
    allow = self_trade_mode(m) == _ALLOW_SELF_TRADE
    while wanted > 0 and (level.head != 0 or level.hidden_head != 0):
        hidden = displayed <= 0
        slot = np.int64(level.head) if level.head != 0 else np.int64(level.hidden_head)
        o = orders(h, slot)
        shown = shown_qty(o)
        if o.position == index and not allow:
            reason = prevent_self_trade(h, ins, m, p, slot, o)
            if reason != GO_ON:
                return wanted, reason
            displayed -= shown
            continue
        qty: Any = min(wanted, np.int64(o.leaves) if hidden else shown)
        maker_position = np.int64(o.position)
        wanted -= qty
        displayed -= qty
        trade(h, ins, m, p, index, handle, sell, slot, o, qty, wanted, hidden)
        after_maker_fill(h, ins, maker_position)
    return wanted, np.int64(GO_ON)


@compiled
def execute(
    h: Record, ins: Record, m: Record, p: Record, index: int, handle: Any, sell: int, limit: int,
    wanted: int, is_market: bool,
) -> Any:  # fmt: skip
    """Take liquidity up to a limit price; return (still wanted, GO_ON or why the rest is cancelled)."""
    first = np.int64(ins.bid) if sell else np.int64(ins.ask)
    while wanted > 0:
        bid, ask = np.int64(ins.bid), np.int64(ins.ask)
        best = pick(sell, bid, ask)
        if pick(sell, best < limit, best > limit):
            break
        if is_market and best != first and not affords_level(h, ins, m, p, sell, best, wanted):
            return wanted, np.int64(_BY_MARGIN)
        level = levels(ins, best)
        if level.hidden != 0:
            wanted, reason = sweep_level_with_hidden(h, ins, m, p, index, handle, sell, best, wanted)
            if reason != GO_ON:
                return wanted, reason
            continue
        slot = np.int64(level.head)
        o = orders(h, slot)
        if o.position == index and self_trade_mode(m) != _ALLOW_SELF_TRADE:
            reason = prevent_self_trade(h, ins, m, p, slot, o)
            if reason != GO_ON:
                return wanted, reason
            continue
        qty: Any = min(wanted, np.int64(o.leaves))
        maker_position = np.int64(o.position)
        wanted -= qty
        trade(h, ins, m, p, index, handle, sell, slot, o, qty, wanted, False)
        after_maker_fill(h, ins, maker_position)
    return wanted, np.int64(GO_ON)


@compiled
def affords_level(h: Record, ins: Record, m: Record, p: Record, sell: int, px: int, wanted: int) -> bool:
    """Return whether a market order may go on at a worse price than the one it was checked at."""
    relock(ins, m, p)
    qty = min(wanted, levels(ins, px).qty)
    code, _ = refusal(h, ins, m, p, sell, lots_of(ins, qty), lot_value(ins, px), qty, 0)
    return bool(code == 0)


@compiled
def fillable(h: Record, ins: Record, index: int, sell: int, limit: int, wanted: int, skip_own: bool) -> bool:
    """Return whether the book holds `wanted` within the limit, not counting the account's own orders."""
    price = np.int64(ins.bid) if sell else np.int64(ins.ask)
    while wanted > 0 and not ((price < limit) if sell else (price > limit)):
        level = levels(ins, price)
        wanted -= level.qty
        if skip_own:
            wanted += own_qty(h, level.head, index) + own_qty(h, level.hidden_head, index)
        price = previous_price(ins, 0, price) if sell else next_price(ins, 1, price)
    return bool(wanted <= 0)


@compiled
def own_qty(h: Record, head: int, index: int) -> Any:
    total = np.int64(0)
    slot = np.int64(head)
    while slot != 0:
        o = orders(h, slot)
        if o.position == index:
            total += o.leaves
        slot = np.int64(o.next)
    return total

"""Orders that are triggered, pegged or linked: how they come in, what sets them off, how they enter the market.

What sets an order off is looked at after the command that moved the price, each order once. A triggered
order enters like a new one: what a new order would be refused for cancels it.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import PPM, lot_value, lots_of, muldiv, pick
from ringfence.exchange.engine.book import (
    SHOW_ALL,
    adopt,
    find_clid,
    remember_clid,
    take_slot,
)
from ringfence.exchange.engine.cancelling import cancel, linked_filled
from ringfence.exchange.engine.margin import SPOT, refusal, relock
from ringfence.exchange.engine.marking import is_stale
from ringfence.exchange.engine.matching import GO_ON, execute, fillable
from ringfence.exchange.engine.orders import (
    WHOLE_POSITION,
    arm_day_end,
    closing_qty,
    collar_error,
    come_to_rest,
    crosses,
    entry_error,
    events_to_cross,
    flags_error,
    outside_mark_collar,
    qty_error,
    reach,
    reduced_qty,
    resting_flags,
    room_to_cross,
    say_waiting,
    skips_own,
    stand,
)
from ringfence.exchange.engine.records import (
    MARGIN_DISABLED,
    ORDER_LINKED,
    ORDER_POST_ONLY,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
    ORDER_WAITING,
    PENDING_TRIGGERS,
)
from ringfence.exchange.engine.tables import (
    ALL,
    emit,
    handle_of,
    instruments,
    margin_of,
    orders,
    position_of,
    positions,
    refuse,
    room_for,
    triggers,
)
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.exchange.engine.waiting import (
    LAST_WITHIN_MARK,
    N_HEAPS,
    clear_trigger,
    find_group,
    heap_top,
    join_ring,
    leave_waiting,
    settle_extremes,
    stop_waiting,
    wait,
    watches_price,
)
from ringfence.messages.commands import (
    Contingency,
    InstrumentState,
    OrderFlag,
    OrderType,
    Peg,
    TriggerPrice,
)
from ringfence.messages.events import CancelReason, Event, EventFlag
from ringfence.messages.records import DISPLAY_ALL
from ringfence.messages.rejects import Reject
from ringfence.units.limits import MARK_SUBTICKS

_ACCEPTED, _AMENDED, _TRIGGERED = int(Event.ACCEPTED), int(Event.AMENDED), int(Event.TRIGGERED)
_SELL_EVENT, _BY_ENGINE = int(EventFlag.SELL), int(EventFlag.BY_ENGINE)
_OPEN = int(InstrumentState.OPEN)
_MARKET, _STOP, _STOP_LIMIT = int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_MARKET_IF_TOUCHED, _LIMIT_IF_TOUCHED = int(OrderType.MARKET_IF_TOUCHED), int(OrderType.LIMIT_IF_TOUCHED)
_PEGGED = int(OrderType.PEGGED)
_TRAILING, _PRIMARY, _MARKET_PEG = int(Peg.TRAILING), int(Peg.PRIMARY), int(Peg.MARKET)
_MARK, _LAST, _INDEX = int(TriggerPrice.MARK), int(TriggerPrice.LAST), int(TriggerPrice.INDEX)
_OCO, _OTO = int(Contingency.ONE_CANCELS_THE_OTHER), int(Contingency.ONE_TRIGGERS_THE_OTHER)
_SELL, _IOC, _FOK, _DAY = (
    int(OrderFlag.SELL), int(OrderFlag.IOC), int(OrderFlag.FOK), int(OrderFlag.DAY),
)  # fmt: skip
_REDUCE, _CLOSE = int(OrderFlag.REDUCE_ONLY), int(OrderFlag.CLOSE)
_BY_IOC, _BY_FOK = int(CancelReason.IMMEDIATE_OR_CANCEL), int(CancelReason.FILL_OR_KILL)
_BY_POST_ONLY, _BY_COLLAR = int(CancelReason.POST_ONLY), int(CancelReason.COLLAR)
_BY_REDUCE_ONLY, _BY_MARGIN = int(CancelReason.REDUCE_ONLY), int(CancelReason.INSUFFICIENT_MARGIN)
_REFUSED = int(CancelReason.REFUSED)
_R_DISABLED, _R_CLOSED = int(Reject.ACCOUNT_DISABLED), int(Reject.MARKET_NOT_OPEN)
_R_QTY, _R_PRICE, _R_STOP = (
    int(Reject.INVALID_ORDER_QTY),
    int(Reject.INVALID_PRICE),
    int(Reject.INVALID_STOP_PX),
)
_R_PEG, _R_STOPS = int(Reject.INVALID_PEG), int(Reject.TOO_MANY_STOPS)
_R_CONTINGENCY, _R_EXEC_INST = int(Reject.INVALID_CONTINGENCY), int(Reject.INVALID_EXEC_INST)
_R_DUPLICATE, _R_TOO_MANY = int(Reject.DUPLICATE_CLORDID), int(Reject.TOO_MANY_ORDERS)
_R_NO_MARK, _R_NO_INDEX = int(Reject.NO_MARK_PRICE), int(Reject.NO_INDEX)
_R_DISPLAY, _R_NO_LIQUIDITY = int(Reject.INVALID_DISPLAY_QTY), int(Reject.NO_LIQUIDITY)
_INSUFFICIENT = int(Reject.INSUFFICIENT_BALANCE)
_TRAIL_STEP_PPM = 1_000
"""A trailing stop follows once its price has moved by this much, 0.1 %."""


# ---- a new order


@compiled
def place_special(h: Record, cmd: Record) -> bool:
    """Place an order that is triggered, pegged or linked. False = the event buffer has no room for it."""
    code = entry_error(h, cmd)
    if code != 0:
        return refuse(h, cmd, code, 0)
    account, symbol = np.int64(cmd.account), np.int64(cmd.symbol)
    ins = instruments(h, symbol)
    m = margin_of(h, ins.settle, account)
    if ins.state != _OPEN:
        return refuse(h, cmd, _R_CLOSED, 0)
    if m.flags & MARGIN_DISABLED:
        return refuse(h, cmd, _R_DISABLED, 0)
    if ins.mark == 0 and ins.kind != SPOT:
        return refuse(h, cmd, _R_NO_MARK, 0)
    index = position_of(h, m, account, symbol)
    p = positions(h, index)
    words = np.int64(cmd.handle & U(0x7FFF_FFFF_FFFF_FFFF))
    kind, sell, flags = np.int64(cmd.type), np.int64(cmd.flags & _SELL), np.int64(cmd.flags)
    peg, contingency = (words >> 40) & 0xFF, (words >> 48) & 0xFF
    code = special_error(ins, cmd, kind, words)
    if code != 0:
        return refuse(h, cmd, code, 0)
    whole = cmd.qty == 0 and flags & _CLOSE != 0 and kind >= _STOP and kind <= _LIMIT_IF_TOUCHED
    if not whole and qty_error(ins, cmd.qty):
        return refuse(h, cmd, _R_QTY, 0)
    if p.n_orders >= ins.orders_max:
        return refuse(h, cmd, _R_TOO_MANY, np.int64(ins.orders_max))
    if cmd.clid != U(0) and find_clid(h, account, cmd.clid) != 0:
        return refuse(h, cmd, _R_DUPLICATE, 0)
    member = find_group(h, p, cmd.orig_clid) if contingency != 0 else np.int64(0)
    waits = member != 0 and primary_of(h, member) != 0
    untriggered = waits or (kind >= _STOP and kind <= _LIMIT_IF_TOUCHED)
    if untriggered and stops_of(h, p) >= ins.stops_max:
        return refuse(h, cmd, _R_STOPS, np.int64(ins.stops_max))
    px = np.int64(cmd.px)
    if kind == _PEGGED:
        px = pegged_price(ins, sell, peg, offset_of(words))
        if px < 1 or px > ins.px_max:
            return refuse(h, cmd, _R_NO_LIQUIDITY if px == 0 else _R_PRICE, 0)
    qty = ins.lot_size if whole else cmd.qty
    if not untriggered:
        code, qty = immediate_error(h, cmd, ins, m, p, sell, px, qty, kind == _MARKET)
        if code != 0:
            return refuse(h, cmd, code, p.qty if flags & (_REDUCE | _CLOSE) else 0)
        if not room_to_cross(h, ins, p, sell, qty):
            return False

    slot = take_slot(h)
    o, t = orders(h, slot), clear_trigger(h, slot)
    o.sequence = h.sequence & 0xFFFFFFFF
    o.clid, o.position, o.symbol = cmd.clid, index, symbol
    o.leaves, o.filled, o.lot_value, o.shown = qty, 0, 0, 0
    o.px = 0 if kind == _MARKET or kind == _STOP or kind == _MARKET_IF_TOUCHED else px
    o.display = SHOW_ALL if cmd.display == DISPLAY_ALL else np.int64(cmd.display)
    o.flags = resting_flags(flags) | (ORDER_UNTRIGGERED if untriggered else 0)
    t.type, t.flags = kind, flags | (WHOLE_POSITION if whole else 0)
    t.source, t.peg = (words >> 32) & 0xFF, peg
    t.within_mark = (words >> 56) & 1
    t.contingency = contingency
    t.peg_offset = offset_of(words)
    t.stop_px = cmd.stop_px
    if t.peg == _TRAILING:
        start_trailing(ins, t, sell)
    adopt(h, p, slot, o)
    if o.clid != U(0):
        remember_clid(h, account, slot, o.clid)
    if flags & _DAY:
        arm_day_end(h)
    if contingency != 0:
        t.group = cmd.orig_clid
        t.is_primary = 1 if contingency == _OTO and member == 0 else 0
        o.flags = np.int64(o.flags) | ORDER_LINKED
        join_ring(h, slot, member)
    if untriggered:
        if waits:
            o.flags = np.int64(o.flags) | ORDER_WAITING
        ins.n_untriggered += 1
        h.n_untriggered += 1
        wait(h, ins, slot, o, t)
        h.pending = np.int64(h.pending) | PENDING_TRIGGERS
        say_waiting(h, ins, p, slot, o, t, _ACCEPTED, 0, U(0))
        return True
    if kind == _MARKET:
        px = reach(ins, sell)
    emit(h, _ACCEPTED, _SELL_EVENT if sell else 0, handle_of(o, slot), account, symbol, qty, px, 0)
    enter(h, ins, m, p, index, slot, o, px, qty, flags, kind == _MARKET, True)
    return True


@compiled
def offset_of(words: int) -> Any:
    """Return the peg offset: the low 32 bits, signed."""
    low = words & 0xFFFFFFFF
    return low - ((low >> 31) << 32)


@compiled
def special_error(ins: Record, cmd: Record, kind: int, words: int) -> Any:
    """Refuse what contradicts itself: types, prices, pegs, links."""
    source, peg = (words >> 32) & 0xFF, (words >> 40) & 0xFF
    contingency, within = (words >> 48) & 0xFF, (words >> 56) & 0x7F
    stop = kind >= _STOP and kind <= _LIMIT_IF_TOUCHED
    offset = offset_of(words)
    if kind > _PEGGED or peg > _TRAILING or source > _INDEX or contingency > _OTO or within > 1:
        return _R_EXEC_INST
    flags = np.int64(cmd.flags)
    if flags_error(flags, kind == _MARKET or kind == _STOP or kind == _MARKET_IF_TOUCHED) != 0:
        return _R_EXEC_INST
    if ins.kind == SPOT and ((source != _LAST and stop) or within or flags & (_REDUCE | _CLOSE)):
        return _R_EXEC_INST
    if source == _INDEX and ins.index == 0:
        return _R_NO_INDEX
    if within and (not stop or source != _LAST):
        return _R_EXEC_INST
    if (peg == _TRAILING) != (peg != 0 and stop) or (kind == _PEGGED) != (
        peg == _PRIMARY or peg == _MARKET_PEG
    ):
        return _R_PEG
    if peg == _TRAILING:
        falling = (flags & _SELL != 0) == (kind == _STOP or kind == _STOP_LIMIT)
        if offset == 0 or (offset < 0) != falling or abs(offset) > ins.px_max:
            return _R_PEG
    if stop and (cmd.stop_px < (0 if peg == _TRAILING else 1) or cmd.stop_px > ins.px_max):
        return _R_STOP
    if not stop and cmd.stop_px != 0:
        return _R_STOP
    limit = kind == 0 or kind == _STOP_LIMIT or kind == _LIMIT_IF_TOUCHED
    if limit and (cmd.px < 1 or cmd.px > ins.px_max):
        return _R_PRICE
    if contingency != 0 and cmd.orig_clid == U(0):
        return _R_CONTINGENCY
    if cmd.display != DISPLAY_ALL and (stop or kind == _MARKET or np.int64(cmd.display) > cmd.qty):
        return _R_DISPLAY
    return 0


@compiled
def immediate_error(
    h: Record, cmd: Record, ins: Record, m: Record, p: Record, sell: int, px: int, qty: int, is_market: bool
) -> Any:
    """Return (Reject or 0, quantity) for a linked or pegged order that enters the market at once."""
    flags = np.int64(cmd.flags)
    if flags & (_REDUCE | _CLOSE):
        code, qty = reduced_qty(ins, p, flags, sell, qty)
        if code != 0:
            return code, qty
    if is_market:
        px = reach(ins, sell)
    code, _ = entry_refusal(h, ins, m, p, sell, px, qty, is_market)
    return code, qty


@compiled
def entry_refusal(
    h: Record, ins: Record, m: Record, p: Record, sell: int, px: int, qty: int, is_market: bool
) -> Any:
    """Return (Reject or 0, figure) of collar and margin for an order of this price."""
    if not is_market and outside_mark_collar(ins, sell, px):
        code = collar_error(ins, sell, px, qty)
        if code != 0:
            return code, np.int64(0)
    aggressive = crosses(ins, sell, px)
    if is_market and not aggressive:
        return 0, np.int64(0)
    bid, ask = np.int64(ins.bid), np.int64(ins.ask)
    valued_at = pick(sell, bid, ask) if is_market else pick(sell, max(bid, px), px)
    code, figure = refusal(h, ins, m, p, sell, lots_of(ins, qty), lot_value(ins, valued_at), qty, 0)
    return code, figure


@compiled
def pegged_price(ins: Record, sell: int, peg: int, offset: int) -> Any:
    """Return the limit price of a pegged order now, 0 if there is no price to peg it to."""
    near = peg == _PRIMARY
    bid, ask = np.int64(ins.bid), np.int64(ins.ask)
    from_ask = (sell != 0) == near
    if (from_ask and ask > ins.px_max) or (not from_ask and bid < 1):
        return np.int64(0)
    return (ask if from_ask else bid) + offset


@compiled
def primary_of(h: Record, member: int) -> Any:
    """Return the unfilled OTO primary of a ring, 0 if it has none."""
    slot = np.int64(member)
    while True:
        t = triggers(h, slot)
        if t.is_primary:
            return slot
        slot = np.int64(t.link_next)
        if slot == member:
            return np.int64(0)


@compiled
def stops_of(h: Record, p: Record) -> Any:
    """Return how many untriggered orders a position has."""
    count = np.int64(0)
    slot = np.int64(p.orders)
    while slot != 0:
        o = orders(h, slot)
        count += 1 if o.flags & ORDER_UNTRIGGERED else 0
        slot = np.int64(o.sibling_next)
    return count


# ---- into the market


@compiled
def enter(
    h: Record, ins: Record, m: Record, p: Record, index: int, slot: int, o: Record, px: int, qty: int, flags: int,
    is_market: bool, checked: bool,
) -> Any:  # fmt: skip
    """Let an order that has a slot and a position but no place in the book trade and rest.

    Returns why its rest was cancelled, GO_ON if it rests or is filled. `checked`: margin was looked at.
    """
    sell = np.int64(o.flags & ORDER_SELL)
    reason = np.int64(GO_ON)
    if not checked:
        code, _ = entry_refusal(h, ins, m, p, sell, px, qty, is_market)
        if code != 0:
            reason = np.int64(_BY_MARGIN if code == _INSUFFICIENT else _REFUSED)
    o.leaves = 0
    rest = np.int64(qty)
    if reason == GO_ON and crosses(ins, sell, px):
        if np.int64(o.flags) & ORDER_POST_ONLY:
            reason = np.int64(_BY_POST_ONLY)
        elif flags & _FOK and not fillable(h, ins, index, sell, px, qty, skips_own(m)):
            reason = np.int64(_BY_FOK)
        else:
            rest, reason = execute(h, ins, m, p, index, handle_of(o, slot), sell, px, qty, is_market)
    o.filled += qty - rest
    if reason == GO_ON and rest > 0:
        if is_market:
            reason = np.int64(_BY_COLLAR)
        elif flags & _FOK:
            reason = np.int64(_BY_FOK)
        elif flags & _IOC:
            reason = np.int64(_BY_IOC)
    if rest != qty and o.flags & ORDER_LINKED:
        linked_filled(h, ins, p, slot, rest == 0)
    come_to_rest(h, ins, m, p, slot, o, px, lot_value(ins, px), rest, reason)
    return reason


# ---- triggers


@compiled
def start_trailing(ins: Record, t: Record, sell: int) -> None:
    """Give a trailing order its first reference, and a stop price if it came without."""
    t.reference = source_price(ins, np.int64(t.source))
    if t.stop_px == 0:
        t.stop_px = trailed(ins, t)


@compiled
def trailed(ins: Record, t: Record) -> Any:
    ticks = t.reference // MARK_SUBTICKS + t.peg_offset
    return min(max(ticks, 1), np.int64(ins.px_max))


@compiled
def source_price(ins: Record, source: int) -> Any:
    """Return the price in subticks that a trigger source stands at, 0 if there is none."""
    if source == _MARK:
        return ins.mark
    if source == _INDEX:
        return ins.index_subticks
    return np.int64(ins.last) * MARK_SUBTICKS


@compiled
def follow_trailing(h: Record, ins: Record, until: int) -> None:
    """Move the stops of trailing orders after a favourable move of their price."""
    slot = np.int64(ins.trailing)
    while slot != 0 and h.cursor < until:
        o, t = orders(h, slot), triggers(h, slot)
        now = source_price(ins, np.int64(t.source))
        moved = now - t.reference if t.peg_offset < 0 else t.reference - now
        if now != 0 and moved > muldiv(t.reference, _TRAIL_STEP_PPM, PPM):
            # In place: the list of trailing orders does not change, only the heap.
            following = np.int64(o.next)
            stop_waiting(h, ins, slot, o, t)
            t.reference = now
            t.stop_px = trailed(ins, t)
            wait(h, ins, slot, o, t)
            say_waiting(h, ins, positions(h, o.position), slot, o, t, _AMENDED, _BY_ENGINE, U(0))
            slot = following
        else:
            slot = np.int64(o.next)


@compiled
def reached(ins: Record, k: int, stop_px: int) -> Any:
    """Return the price in subticks that has reached a stop of heap k, 0 if none has."""
    source, falling = k >> 1, k & 1
    if source == _MARK or source == _INDEX:
        now = source_price(ins, source)
    else:
        now = np.int64(ins.last_low if falling else ins.last_high) * MARK_SUBTICKS
        if source == LAST_WITHIN_MARK and now != 0:
            span = muldiv(ins.mark, np.int64(ins.last_band_ppm), PPM)
            if (now < ins.mark - span) if falling else (now > ins.mark + span):
                return np.int64(0)
    stop = stop_px * MARK_SUBTICKS
    if now != 0 and ((now <= stop) if falling else (now >= stop)):
        return now
    return np.int64(0)


@compiled
def run_triggers(h: Record, until: int, first: bool) -> Any:
    """Activate what prices have reached, while events stay below `until`.

    Returns whether all is done. `first`: nothing was done yet by this command, so one order that needs
    more room than that may have it. False with nothing changed if even that is not there.
    """
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        if ins.n_untriggered == 0 or ins.state != _OPEN:
            settle_extremes(ins)
            continue
        for k in range(N_HEAPS):
            top = heap_top(ins, k)
            if top == 0:
                continue
            unheeded = k >> 1 == _MARK and ins.kind != SPOT and is_stale(h, ins)
            while top != 0:
                # A mark that is too old triggers nothing, but what waited for its primary order comes anyway.
                t = triggers(h, top)
                if unheeded and watches_price(t):
                    break
                at = reached(ins, k, np.int64(t.stop_px)) if watches_price(t) else np.int64(1)
                if at == 0:
                    break
                if room_for(h, events_of(h, ins, top), until, first) != ALL:
                    return False
                first = False
                activate(h, ins, top, at)
                top = heap_top(ins, k)
        settle_extremes(ins)
    return True


@compiled
def events_of(h: Record, ins: Record, slot: int) -> Any:
    """Return how many events the activation of an order may cause at most."""
    o = orders(h, slot)
    p = positions(h, o.position)
    opposite = np.int64(ins.n_bids) if o.flags & ORDER_SELL else np.int64(ins.n_asks)
    qty = abs(p.qty) if triggers(h, slot).flags & WHOLE_POSITION else np.int64(o.leaves)
    return events_to_cross(h, p, min(lots_of(ins, qty), opposite)) + 4


@compiled
def activate(h: Record, ins: Record, slot: int, at: int) -> None:
    """Turn an untriggered order into what it was waiting to be."""
    o, t = orders(h, slot), triggers(h, slot)
    index = np.int64(o.position)
    p = positions(h, index)
    m = margin_of(h, ins.settle, np.int64(p.account))
    sell, flags = np.int64(o.flags & ORDER_SELL), np.int64(t.flags)
    due = not watches_price(t)
    leave_waiting(h, ins, slot, o)
    qty = np.int64(o.leaves)
    reducing = flags & (_REDUCE | _CLOSE)
    if reducing:
        qty = closing_qty(ins, p, sell, np.int64(0) if flags & WHOLE_POSITION else qty)
    stop_px = np.int64(0) if due else np.int64(t.stop_px)
    emit(
        h, _TRIGGERED, _SELL_EVENT if sell else 0, handle_of(o, slot), p.account, ins.number, qty, stop_px,
        np.int64(0) if due else at,
    )  # fmt: skip
    if o.flags & ORDER_LINKED and t.contingency == _OCO and not due:
        linked_filled(h, ins, p, slot, False)
    is_market = o.px == 0
    px = reach(ins, sell) if is_market else np.int64(o.px)
    if qty == 0 or m.flags & MARGIN_DISABLED:
        # Into the book and out of it again, so that there is one way to leave.
        qty = np.int64(o.leaves)
        stand(h, ins, p, slot, o, px, lot_value(ins, px), qty)
        cancel(h, ins, p, slot, o, _BY_REDUCE_ONLY if reducing else _REFUSED)
        relock(ins, m, p)
        return
    if not is_market and outside_mark_collar(ins, sell, px) and crosses(ins, sell, px):
        # It goes as far as an order may and no further; the outside has to know at which price it rests.
        px = pick(sell, max(px, reach(ins, sell)), min(px, reach(ins, sell)))
        side = _SELL_EVENT if sell else 0
        emit(h, _AMENDED, side | _BY_ENGINE, handle_of(o, slot), p.account, ins.number, qty, px, 0)
    enter(h, ins, m, p, index, slot, o, px, qty, flags, is_market, False)

"""Place, amend, cancel: every check first, then the change, then the rest of the order.

Each function returns False only if the event buffer has no room for what the command may cause;
nothing has changed then and the command is applied again with a larger buffer.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import lot_value, lots_of, pick, udiv
from ringfence.exchange.engine.book import (
    SHOW_ALL,
    adopt,
    find_clid,
    forget_clid,
    give_back_slot,
    link,
    remember_clid,
    retire,
    slice_of,
    take_slot,
    unlink,
)
from ringfence.exchange.engine.cancelling import cancel, linked_filled
from ringfence.exchange.engine.margin import SPOT, owner_margin, refusal, release, relock, reserve
from ringfence.exchange.engine.matching import (
    GO_ON,
    enforce_reduce_only,
    execute,
    fillable,
    self_trade_mode,
    shrink,
    trim_side,
)
from ringfence.exchange.engine.records import (
    MARGIN_DISABLED,
    ORDER_DAY,
    ORDER_LINKED,
    ORDER_POST_ONLY,
    ORDER_REDUCE_ONLY,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
    PENDING_TRIGGERS,
)
from ringfence.exchange.engine.tables import (
    emit,
    handle_of,
    has_room,
    instruments,
    levels,
    margin_of,
    names_order,
    orders,
    position_of,
    positions,
    refuse,
    slot_of_handle,
    triggers,
)
from ringfence.exchange.engine.views import Record, U, compiled, inline
from ringfence.exchange.engine.waiting import stop_waiting, wait, watches_price
from ringfence.messages.commands import InstrumentState, OrderFlag, OrderType, Peg, SelfTrade
from ringfence.messages.events import CancelReason, Event, EventFlag
from ringfence.messages.records import DISPLAY_ALL
from ringfence.messages.rejects import Reject
from ringfence.units.time import NS_PER_DAY

_ACCEPTED, _CANCELED, _AMENDED = int(Event.ACCEPTED), int(Event.CANCELED), int(Event.AMENDED)
_SELL_EVENT, _UNTRIGGERED = int(EventFlag.SELL), int(EventFlag.UNTRIGGERED)
_MARKET = int(OrderType.MARKET)
_OPEN = int(InstrumentState.OPEN)
_SELL, _IOC, _FOK, _DAY = (
    int(OrderFlag.SELL), int(OrderFlag.IOC), int(OrderFlag.FOK), int(OrderFlag.DAY),
)  # fmt: skip
_POST, _REDUCE, _CLOSE = int(OrderFlag.POST_ONLY), int(OrderFlag.REDUCE_ONLY), int(OrderFlag.CLOSE)
_AMEND_QTY, _AMEND_LEAVES, _AMEND_PX = (
    int(OrderFlag.AMEND_QTY), int(OrderFlag.AMEND_LEAVES), int(OrderFlag.AMEND_PX),
)  # fmt: skip
_AMEND_STOP, _AMEND_PEG = int(OrderFlag.AMEND_STOP_PX), int(OrderFlag.AMEND_PEG_OFFSET)
_TRAILING = int(Peg.TRAILING)
WHOLE_POSITION = 1 << 15
"""A bit of TRIGGER.flags: a closing stop without a quantity closes whatever there is then."""
_ONLY_BUYS, _ONLY_SELLS = int(OrderFlag.ONLY_BUYS), int(OrderFlag.ONLY_SELLS)
_ALLOW = int(SelfTrade.ALLOW)
_BY_REQUEST, _BY_CANCEL_ALL = int(CancelReason.REQUESTED), int(CancelReason.CANCEL_ALL)
_BY_IOC, _BY_FOK = int(CancelReason.IMMEDIATE_OR_CANCEL), int(CancelReason.FILL_OR_KILL)
_BY_POST_ONLY, _BY_COLLAR = int(CancelReason.POST_ONLY), int(CancelReason.COLLAR)
_BY_CLOSE = int(CancelReason.CLOSE)

_R_SYMBOL, _R_ACCOUNT = int(Reject.INVALID_SYMBOL), int(Reject.INVALID_ACCOUNT)
_R_DISABLED, _R_CLOSED = int(Reject.ACCOUNT_DISABLED), int(Reject.MARKET_NOT_OPEN)
_R_HALTED, _HALTED = int(Reject.VENUE_HALTED), int(InstrumentState.HALTED)
_R_QTY, _R_PRICE = int(Reject.INVALID_ORDER_QTY), int(Reject.INVALID_PRICE)
_R_UNKNOWN, _R_DUPLICATE = int(Reject.UNKNOWN_ORDER), int(Reject.DUPLICATE_CLORDID)
_R_EXEC_INST, _R_DISPLAY = int(Reject.INVALID_EXEC_INST), int(Reject.INVALID_DISPLAY_QTY)
_R_NO_MARK, _R_REDUCE_ONLY = int(Reject.NO_MARK_PRICE), int(Reject.REDUCE_ONLY)
_R_STOP, _R_PEG = int(Reject.INVALID_STOP_PX), int(Reject.INVALID_PEG)
_R_TOO_MANY, _R_NOTHING = int(Reject.TOO_MANY_ORDERS), int(Reject.NOTHING_TO_AMEND)
_R_ABOVE, _R_BELOW = int(Reject.PRICE_ABOVE_COLLAR), int(Reject.PRICE_BELOW_COLLAR)

EVENTS_PER_FILL = 6
"""A trade and the profit of both sides, twice for an order with hidden quantity."""
EVENTS_PER_COMMAND = 8
"""What any command may emit beside its fills and cancels; the kernel keeps this much room."""


@inline
def entry_error(h: Record, cmd: Record) -> Any:
    """Return what is wrong with the account or instrument of an order, 0 if nothing."""
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return _R_SYMBOL
    if cmd.account == 0 or cmd.account > h.n_accounts:
        return _R_ACCOUNT
    return 0


@inline
def qty_error(ins: Record, qty: int) -> bool:
    return bool(qty <= 0 or qty > ins.qty_max or lots_of(ins, qty) * ins.lot_size != qty)


@inline
def crosses(ins: Record, sell: int, px: int) -> bool:
    bid, ask = np.int64(ins.bid), np.int64(ins.ask)
    return bool(pick(sell, bid >= px, ask <= px))


@compiled
def room_to_cross(h: Record, ins: Record, p: Record, sell: int, qty: int) -> bool:
    """Return whether the buffer holds all that an aggressive order of this quantity may cause."""
    opposite = np.int64(ins.n_bids) if sell else np.int64(ins.n_asks)
    fills = min(lots_of(ins, qty), opposite)
    return bool(has_room(h, events_to_cross(h, p, fills)))


@compiled
def events_to_cross(h: Record, p: Record, fills: int) -> Any:
    """Return how many events an aggressive order with so many fills may cause at most."""
    others = np.int64(h.n_reduce_only) + np.int64(h.n_linked) + np.int64(p.n_orders)
    return fills * EVENTS_PER_FILL + others + 2 * EVENTS_PER_COMMAND


@inline
def reach(ins: Record, sell: int) -> Any:
    """Return the worst price at which an aggressive order may execute: the collar around touch and mark.

    Buys reach above the higher of best ask and mark, sells below the lower of best bid and mark.
    """
    if sell:
        low = np.int64(ins.collar_down) if ins.mark != 0 else np.int64(ins.px_max)
        if ins.bid > 0:
            low = min(low, np.int64(ins.bid) - udiv(np.int64(ins.bid) * ins.collar_ppm, 1_000_000))
        return max(low, 1)
    high = np.int64(ins.collar_up) if ins.mark != 0 else np.int64(1)
    if ins.ask <= ins.px_max:
        high = max(high, np.int64(ins.ask) + udiv(np.int64(ins.ask) * ins.collar_ppm, 1_000_000))
    return min(high, np.int64(ins.px_max))


@compiled
def collar_error(ins: Record, sell: int, px: int, qty: int) -> Any:
    """Refuse an order priced beyond the collar that is larger than what the touch displays."""
    touch = np.int64(ins.bid) if sell else np.int64(ins.ask)
    has_touch = touch > 0 and touch <= ins.px_max
    if not has_touch and ins.mark == 0:
        return 0
    limit = reach(ins, sell)
    beyond = px < limit if sell else px > limit
    if not beyond:
        return 0
    level = levels(ins, touch if has_touch else 0)
    if has_touch and qty <= level.qty - level.hidden:
        return 0
    return _R_BELOW if sell else _R_ABOVE


@inline
def outside_mark_collar(ins: Record, sell: int, px: int) -> bool:
    """The quick test: nothing within the collar of the mark needs a closer look."""
    down, up = np.int64(ins.collar_down), np.int64(ins.collar_up)
    return bool(pick(sell, px < down, px > up))


@compiled
def flags_error(flags: int, is_market: bool) -> Any:
    """Refuse instructions that contradict each other."""
    forces = (1 if flags & _IOC else 0) + (1 if flags & _FOK else 0) + (1 if flags & _DAY else 0)
    if forces > 1:
        return _R_EXEC_INST
    if flags & _POST and (is_market or flags & (_IOC | _FOK)):
        return _R_EXEC_INST
    return 0


@compiled
def closing_qty(ins: Record, p: Record, sell: int, qty: int) -> Any:
    """Return how much of `qty` (0 = everything) a reduce-only order may do, 0 if it would not reduce."""
    held = min(p.qty if sell else -p.qty, ins.qty_max)
    if held <= 0:
        return np.int64(0)
    return min(qty, held) if qty != 0 else held


@compiled
def reduced_qty(ins: Record, p: Record, flags: int, sell: int, qty: int) -> Any:
    """Return (Reject or 0, how much of `qty` a ReduceOnly or Close order may do)."""
    if ins.kind == SPOT:
        return _R_EXEC_INST, qty
    if (qty != 0 or not flags & _CLOSE) and qty_error(ins, qty):
        return _R_QTY, qty
    qty = closing_qty(ins, p, sell, qty)
    return (_R_REDUCE_ONLY if qty == 0 else 0), qty


@inline
def place(h: Record, cmd: Record) -> bool:
    code = entry_error(h, cmd)
    if code != 0:
        return refuse(h, cmd, code, 0)
    account, symbol = np.int64(cmd.account), np.int64(cmd.symbol)
    ins = instruments(h, symbol)
    m = margin_of(h, ins.settle, account)
    flags = np.int64(cmd.flags)
    is_market = cmd.type == _MARKET
    sell = flags & _SELL
    qty = np.int64(cmd.qty)
    px = np.int64(cmd.px)
    if ins.state != _OPEN:
        return refuse(h, cmd, _R_CLOSED, 0)
    if m.flags & MARGIN_DISABLED:
        return refuse(h, cmd, _R_DISABLED, 0)
    if cmd.type != 0 or flags & (_IOC | _FOK | _DAY | _POST):
        code = flags_error(flags, is_market)
        if code != 0:
            return refuse(h, cmd, code, 0)
    if ins.mark == 0 and ins.kind != SPOT:
        return refuse(h, cmd, _R_NO_MARK, 0)
    index = position_of(h, m, account, symbol)
    p = positions(h, index)
    reducing = flags & (_REDUCE | _CLOSE)
    if reducing:
        code, qty = reduced_qty(ins, p, flags, sell, qty)
        if code != 0:
            return refuse(h, cmd, code, p.qty if code == _R_REDUCE_ONLY else 0)
    if qty_error(ins, qty):
        return refuse(h, cmd, _R_QTY, 0)
    if is_market:
        px = reach(ins, sell)
    elif px < 1 or px > ins.px_max:
        return refuse(h, cmd, _R_PRICE, 0)
    display = np.int64(SHOW_ALL)
    if cmd.display != DISPLAY_ALL:
        display = np.int64(cmd.display)
        if is_market or display > qty or lots_of(ins, display) * ins.lot_size != display:
            return refuse(h, cmd, _R_DISPLAY, 0)
    if p.n_orders >= ins.orders_max:
        return refuse(h, cmd, _R_TOO_MANY, np.int64(ins.orders_max))
    if cmd.clid != U(0) and find_clid(h, account, cmd.clid) != 0:
        return refuse(h, cmd, _R_DUPLICATE, 0)
    if not is_market and outside_mark_collar(ins, sell, px):
        code = collar_error(ins, sell, px, qty)
        if code != 0:
            return refuse(h, cmd, code, 0)
    bid, ask = np.int64(ins.bid), np.int64(ins.ask)
    touch = pick(sell, bid, ask)
    aggressive = bool(pick(sell, bid >= px, ask <= px))
    valued_at = touch if is_market else pick(sell, max(bid, px), px)
    per_lot = np.int64(0)
    figure = np.int64(0)
    if aggressive or not is_market:
        per_lot = lot_value(ins, valued_at)
        code, figure = refusal(h, ins, m, p, sell, lots_of(ins, qty), per_lot, qty, 0)
        if code != 0:
            return refuse(h, cmd, code, figure)
    if (aggressive or reducing) and not room_to_cross(h, ins, p, sell, qty):
        return False

    slot = take_slot(h)
    o = orders(h, slot)
    o.sequence = h.sequence & 0xFFFFFFFF
    handle = handle_of(o, slot)
    emit(h, _ACCEPTED, _SELL_EVENT if sell else 0, handle, account, symbol, qty, px, 0)
    if flags & _CLOSE:
        trim_side(h, ins, p, ORDER_SELL if sell else 0, abs(p.qty) - qty, False, _BY_CLOSE)
    rest = qty
    reason = np.int64(GO_ON)
    if aggressive:
        if flags & _POST:
            reason = np.int64(_BY_POST_ONLY)
        elif flags & _FOK and not fillable(h, ins, index, sell, px, qty, skips_own(m)):
            reason = np.int64(_BY_FOK)
        else:
            rest, reason = execute(h, ins, m, p, index, handle, sell, px, qty, is_market)
    if rest > 0:
        if reason == GO_ON and is_market:
            reason = np.int64(_BY_COLLAR)
        elif reason == GO_ON and flags & _IOC:
            reason = np.int64(_BY_IOC)
        elif reason == GO_ON and flags & _FOK:
            reason = np.int64(_BY_FOK)
        if reason != GO_ON:
            emit(h, _CANCELED, reason, handle, account, symbol, rest, px, sell)
        else:
            o.clid = cmd.clid
            o.filled = qty - rest
            o.position = index
            o.symbol = symbol
            o.display = display
            o.flags = resting_flags(flags)
            if flags & _DAY:
                arm_day_end(h)
            stand(h, ins, p, slot, o, px, per_lot if px == valued_at else lot_value(ins, px), rest)
            adopt(h, p, slot, o)
            if o.clid != U(0):
                remember_clid(h, account, slot, o.clid)
    if o.leaves == 0:
        give_back_slot(h, slot, o)
    if aggressive or reducing or o.leaves != qty or ins.kind == SPOT:
        relock(ins, m, p)
    else:
        m.locked += figure - p.locked
        p.locked = figure
    if p.n_reduce_only != 0 and (rest != qty or reducing):
        enforce_reduce_only(h, ins, m, p)
    return True


@inline
def skips_own(m: Record) -> bool:
    return bool(self_trade_mode(m) != _ALLOW)


@inline
def resting_flags(flags: int) -> Any:
    return (
        (ORDER_SELL if flags & _SELL else 0)
        | (ORDER_POST_ONLY if flags & _POST else 0)
        | (ORDER_REDUCE_ONLY if flags & (_REDUCE | _CLOSE) else 0)
        | (ORDER_DAY if flags & _DAY else 0)
    )


@compiled
def arm_day_end(h: Record) -> None:
    if h.day_ends_ns == 0:
        h.day_ends_ns = h.timestamp_ns - h.timestamp_ns % NS_PER_DAY + NS_PER_DAY


@inline
def stand(
    h: Record, ins: Record, p: Record, slot: int, o: Record, px: int, per_lot: int, leaves: int
) -> None:
    """Put an order into the book at a price and reserve its exposure."""
    o.px = px
    o.leaves = leaves
    o.lot_value = per_lot
    o.shown = slice_of(np.int64(o.display), leaves)
    reserve(h, ins, p, np.int64(o.flags), lots_of(ins, leaves) * per_lot, leaves)
    link(h, ins, slot, o)


@inline
def find_order(h: Record, cmd: Record) -> Any:
    """Return the slot of the open order that a command names, 0 if it is not the account's."""
    account = np.int64(cmd.account)
    if cmd.handle != U(0):
        if not names_order(h, cmd.handle):
            return np.int64(0)
        slot = slot_of_handle(cmd.handle)
        if positions(h, orders(h, slot).position).account != account:
            return np.int64(0)
        return slot
    if cmd.orig_clid == U(0):
        return np.int64(0)
    return find_clid(h, account, cmd.orig_clid)


@inline
def cancel_one(h: Record, cmd: Record) -> bool:
    slot = find_order(h, cmd)
    if slot == 0:
        return refuse(h, cmd, _R_UNKNOWN, 0)
    o = orders(h, slot)
    ins = instruments(h, o.symbol)
    p = positions(h, o.position)
    if ins.state == _HALTED:
        return refuse(h, cmd, _R_HALTED, 0)
    cancel(h, ins, p, slot, o, _BY_REQUEST)
    relock(ins, owner_margin(h, ins, p), p)
    return True


@inline
def amend(h: Record, cmd: Record) -> bool:
    slot = find_order(h, cmd)
    if slot == 0:
        return refuse(h, cmd, _R_UNKNOWN, 0)
    o = orders(h, slot)
    ins = instruments(h, o.symbol)
    p = positions(h, o.position)
    if ins.state == _HALTED:
        return refuse(h, cmd, _R_HALTED, 0)
    if o.flags & ORDER_UNTRIGGERED:
        return amend_untriggered(h, cmd, ins, p, slot, o)
    flags = np.int64(cmd.flags)
    leaves = np.int64(o.leaves)
    px = np.int64(o.px)
    if flags & _AMEND_QTY:
        leaves = cmd.qty - o.filled
    elif flags & _AMEND_LEAVES:
        leaves = cmd.qty
    if flags & _AMEND_PX:
        px = np.int64(cmd.px)
    if not flags & (_AMEND_QTY | _AMEND_LEAVES | _AMEND_PX) and cmd.clid == U(0):
        return refuse(h, cmd, _R_NOTHING, 0)
    if leaves != o.leaves and qty_error(ins, leaves):
        return refuse(h, cmd, _R_QTY, 0)
    if px < 1 or px > ins.px_max:
        return refuse(h, cmd, _R_PRICE, 0)
    account = np.int64(p.account)
    renamed = cmd.clid != U(0) and cmd.clid != o.clid
    if renamed and find_clid(h, account, cmd.clid) != 0:
        return refuse(h, cmd, _R_DUPLICATE, 0)
    if px == o.px and leaves <= o.leaves:
        if renamed:
            rename(h, account, slot, o, cmd.clid)
        shrink(h, ins, p, slot, o, np.int64(o.leaves) - leaves, 0, cmd.clid if renamed else U(0))
        relock(ins, owner_margin(h, ins, p), p)
        return True
    return requeue(h, cmd, ins, p, slot, o, px, leaves, renamed)


@compiled
def amend_untriggered(h: Record, cmd: Record, ins: Record, p: Record, slot: int, o: Record) -> bool:
    """Amend an order that is in no book: quantity, limit price, stop price, peg offset."""
    t = triggers(h, slot)
    flags = np.int64(cmd.flags)
    leaves, px = np.int64(o.leaves), np.int64(o.px)
    stop_px: Any = np.int64(t.stop_px)
    peg_offset: Any = np.int64(t.peg_offset)
    if flags & (_AMEND_QTY | _AMEND_LEAVES):
        leaves = cmd.qty
    if flags & _AMEND_PX:
        px = np.int64(cmd.px)
    if flags & _AMEND_STOP:
        stop_px = np.int64(cmd.stop_px)
    if flags & _AMEND_PEG:
        peg_offset = np.int64(cmd.display)
        peg_offset -= (peg_offset >> 31) << 32
    renamed = cmd.clid != U(0) and cmd.clid != o.clid
    if not flags & (_AMEND_QTY | _AMEND_LEAVES | _AMEND_PX | _AMEND_STOP | _AMEND_PEG) and not renamed:
        return refuse(h, cmd, _R_NOTHING, 0)
    if leaves != o.leaves and qty_error(ins, leaves):
        return refuse(h, cmd, _R_QTY, 0)
    if (flags & _AMEND_PX and o.px == 0) or px < 0 or px > ins.px_max or (o.px != 0 and px == 0):
        return refuse(h, cmd, _R_PRICE, 0)
    if stop_px != t.stop_px and (not watches_price(t) or stop_px < 1 or stop_px > ins.px_max):
        return refuse(h, cmd, _R_STOP, 0)
    if peg_offset != t.peg_offset and (t.peg != _TRAILING or (peg_offset < 0) != (t.peg_offset < 0)):
        return refuse(h, cmd, _R_PEG, 0)
    account = np.int64(p.account)
    if renamed and find_clid(h, account, cmd.clid) != 0:
        return refuse(h, cmd, _R_DUPLICATE, 0)
    if renamed:
        rename(h, account, slot, o, cmd.clid)
    if t.peg == _TRAILING and peg_offset != t.peg_offset:
        stop_px = min(max(stop_px + peg_offset - t.peg_offset, 1), np.int64(ins.px_max))
    stop_waiting(h, ins, slot, o, t)
    if flags & (_AMEND_QTY | _AMEND_LEAVES):
        t.flags = np.int64(t.flags) & ~WHOLE_POSITION
    o.leaves, o.px = leaves, px
    t.stop_px, t.peg_offset = stop_px, peg_offset
    wait(h, ins, slot, o, t)
    h.pending = np.int64(h.pending) | PENDING_TRIGGERS
    say_waiting(h, ins, p, slot, o, t, _AMENDED, 0, cmd.clid if renamed else U(0))
    return True


@compiled
def say_waiting(
    h: Record, ins: Record, p: Record, slot: int, o: Record, t: Record, kind: int, flags: int, clid: Any
) -> None:
    """Say what an untriggered order is: ACCEPTED or AMENDED."""
    side = _SELL_EVENT if o.flags & ORDER_SELL else 0
    qty = np.int64(0) if t.flags & WHOLE_POSITION else np.int64(o.leaves)
    e = emit(
        h, kind, side | _UNTRIGGERED | flags, handle_of(o, slot), p.account, ins.number, qty,
        np.int64(o.px), np.int64(t.peg_offset),
    )  # fmt: skip
    e.maker_handle = clid
    e.maker_amount = np.int64(t.stop_px) if watches_price(t) else np.int64(0)


@compiled
def rename(h: Record, account: int, slot: int, o: Record, clid: Any) -> None:
    if o.clid != U(0):
        forget_clid(h, account, slot, o.clid)
    o.clid = clid
    remember_clid(h, account, slot, clid)


@compiled
def requeue(
    h: Record, cmd: Record, ins: Record, p: Record, slot: int, o: Record, px: int, leaves: int, renamed: bool
) -> bool:
    """Amend price or upwards quantity: the order loses its place, and may take liquidity."""
    index = np.int64(o.position)
    account = np.int64(p.account)
    m = owner_margin(h, ins, p)
    sell = np.int64(o.flags & ORDER_SELL)
    if ins.state != _OPEN:
        return refuse(h, cmd, _R_CLOSED, 0)
    if m.flags & MARGIN_DISABLED:
        return refuse(h, cmd, _R_DISABLED, 0)
    if o.flags & ORDER_REDUCE_ONLY:
        leaves = closing_qty(ins, p, sell, leaves)
        if leaves == 0:
            return refuse(h, cmd, _R_REDUCE_ONLY, p.qty)
    if outside_mark_collar(ins, sell, px):
        code = collar_error(ins, sell, px, leaves)
        if code != 0:
            return refuse(h, cmd, code, 0)
    replaced = np.int64(o.leaves)
    if ins.kind != SPOT or not sell:
        replaced = lots_of(ins, np.int64(o.leaves)) * o.lot_value
    valued_at = pick(sell, max(np.int64(ins.bid), px), px)
    per_lot = lot_value(ins, valued_at)
    code, figure = refusal(h, ins, m, p, sell, lots_of(ins, leaves), per_lot, leaves, replaced)
    if code != 0:
        return refuse(h, cmd, code, figure)
    aggressive = crosses(ins, sell, px)
    if aggressive and not room_to_cross(h, ins, p, sell, leaves):
        return False

    release(h, ins, p, o)
    unlink(h, ins, o)
    if renamed:
        rename(h, account, slot, o, cmd.clid)
    handle = handle_of(o, slot)
    e = emit(h, _AMENDED, _SELL_EVENT if sell else 0, handle, account, ins.number, leaves, px, 0)
    e.maker_handle = cmd.clid if renamed else U(0)
    rest = leaves
    reason = np.int64(GO_ON)
    if aggressive:
        if o.flags & ORDER_POST_ONLY:
            reason = np.int64(_BY_POST_ONLY)
        else:
            # Out of the book while it takes: nothing may find it as a resting order.
            o.leaves = 0
            rest, reason = execute(h, ins, m, p, index, handle, sell, px, leaves, False)
            o.filled += leaves - rest
            if rest != leaves and o.flags & ORDER_LINKED:
                linked_filled(h, ins, p, slot, rest == 0)
    per_lot = per_lot if px == valued_at else lot_value(ins, px)
    come_to_rest(h, ins, m, p, slot, o, px, per_lot, rest, reason)
    return True


@inline
def come_to_rest(
    h: Record,
    ins: Record,
    m: Record,
    p: Record,
    slot: int,
    o: Record,
    px: int,
    per_lot: int,
    rest: int,
    reason: int,
) -> None:
    """End what an order came to do: its rest stands in the book, or it is filled, or it goes for a reason."""
    stand(h, ins, p, slot, o, px, per_lot, rest)
    if rest == 0:
        retire(h, ins, p, slot, o)
    elif reason != GO_ON:
        cancel(h, ins, p, slot, o, reason)
    relock(ins, m, p)
    if p.n_reduce_only != 0:
        enforce_reduce_only(h, ins, m, p)


@compiled
def cancel_orders(h: Record, m: Record, symbol: int, only: int, reason: int) -> None:
    """Cancel the open orders of one account and asset; `only` = side flag of a CANCEL_ALL or 0."""
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.orders == 0 or (symbol != 0 and p.symbol != symbol):
            continue
        ins = instruments(h, p.symbol)
        if ins.state == _HALTED:
            continue
        slot = np.int64(p.orders)
        while slot != 0:
            o = orders(h, slot)
            following = np.int64(o.sibling_next)
            side = _ONLY_SELLS if o.flags & ORDER_SELL else _ONLY_BUYS
            if only == 0 or only & side:
                linked = (o.flags & ORDER_LINKED) != 0
                cancel(h, ins, p, slot, o, reason)
                if linked:
                    following = np.int64(p.orders)  # others may have gone with it
            slot = following
        relock(ins, m, p)


@compiled
def count_orders(h: Record, m: Record) -> Any:
    total = np.int64(0)
    for k in range(np.int64(m.slots)):
        total += positions(h, np.int64(m.base) + k).n_orders
    return total

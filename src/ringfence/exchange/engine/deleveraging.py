"""Deleveraging: the winners of an instrument take over what the insurance fund can no longer carry.

They trade with the insurance account at its cost price, the average bankruptcy price of what it took over, so
it loses nothing on what they take. Only so much is taken that the fund can carry the rest: it pays before anybody
else does. PRO_RATA asks everybody in profit for
the same share of their profit; RANKED is the queue of the rules, highest profit times leverage first. Holders
without profit are only asked when all profit is used up.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import PPM, lots_held, muldiv, udiv
from ringfence.exchange.engine.clearing import fill
from ringfence.exchange.engine.insurance import fund_position, spendable
from ringfence.exchange.engine.liquidation import price_of_value
from ringfence.exchange.engine.margin import ask_for_scan, maintenance_ppm, own_margin, profit_at_mark, relock
from ringfence.exchange.engine.marking import is_stale
from ringfence.exchange.engine.orders import cancel_orders
from ringfence.exchange.engine.records import PENDING_ADL
from ringfence.exchange.engine.tables import (
    emit,
    find_position,
    has_room,
    instruments,
    margin_of,
    positions,
    ranks,
)
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import AdlMethod, InstrumentState
from ringfence.messages.events import CancelReason, Event, EventFlag

_ADL_BEGUN, _DELEVERAGED = int(Event.ADL_BEGUN), int(Event.DELEVERAGED)
_SELL_EVENT = int(EventFlag.SELL)
_BY_ADL = int(CancelReason.DELEVERAGED)
_OPEN, _RANKED = int(InstrumentState.OPEN), int(AdlMethod.RANKED)
_CANCEL_ONLY = int(InstrumentState.CANCEL_ONLY)
_KEY_MAX = 2**60


@compiled
def deleverage(h: Record) -> bool:
    """Deleverage every instrument whose losses the fund cannot carry; False if the buffer has no room."""
    # All instruments at once: each position is handed over once at most, which says three events.
    worst = np.int64(h.n_live) + 3 * np.int64(h.n_positions) + 8 * np.int64(h.n_instruments) + 64
    if not has_room(h, worst):
        return False
    h.pending = np.int64(h.pending) & ~PENDING_ADL
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        # What has to go goes at the fund's cost price, whatever the mark is; else only a fresh mark counts.
        due = ins.adl_due != 0
        if ins.state >= _CANCEL_ONLY:
            continue  # halted: it has its turn when trading goes on
        ins.adl_due = 0
        if not due and (ins.state != _OPEN or is_stale(h, ins)):
            continue
        index = fund_position(h, ins)
        if positions(h, index).qty == 0:
            continue  # number 0 is nobody's, and flat
        lost = profit_at_mark(ins, positions(h, index)) < 0 and spendable(h, np.int64(ins.settle)) < 0
        if due or lost:
            deleverage_one(h, ins, index, due)
            ask_for_scan(h, np.int64(ins.settle))
    return True


@compiled
def deleverage_one(h: Record, ins: Record, index: int, whole: bool) -> None:
    p = positions(h, index)
    fund = np.int64(h.fund_account)
    fm = margin_of(h, ins.settle, fund)
    cancel_orders(h, fm, np.int64(ins.number), 0, _BY_ADL)
    needed = lots_held(ins, p.qty) if whole else lots_beyond_fund(h, ins, p)
    count = rank_holders(h, ins, p)
    e = emit(
        h,
        _ADL_BEGUN,
        np.int64(ins.adl_method),
        U(0),
        0,
        np.int64(ins.number),
        needed * ins.lot_size,
        0,
        count,
    )
    e.maker_account = fund
    e.maker_amount = price_of_value(ins, abs(p.qty), abs(p.cost))
    sort_ranks(h, count)
    if ins.adl_method == _RANKED:
        left = take_in_order(h, count, needed)
    else:
        left = take_pro_rata(h, count, needed, True)
        left = take_pro_rata(h, count, left, False)
    place = 0
    for k in range(count):
        r = ranks(h, k)
        if r.take != 0:
            place += 1
            hand_over(h, ins, fm, p, index, np.int64(r.position), np.int64(r.take), place)
    relock(ins, fm, p)


@compiled
def lots_beyond_fund(h: Record, ins: Record, p: Record) -> Any:
    """Return how many lots have to go so that the fund can carry the loss of the rest: rounded up."""
    lots = lots_held(ins, p.qty)
    lost = max(-profit_at_mark(ins, p), 1)
    shortfall = min(max(-spendable(h, np.int64(ins.settle)), 0), lost)
    return min(muldiv(shortfall, lots, lost) + 1, lots)


@compiled
def rank_holders(h: Record, ins: Record, fp: Record) -> Any:
    """List the holders of the other side with their keys; return how many there are."""
    count = np.int64(0)
    for account in range(1, np.int64(h.n_accounts) + 1):
        m = margin_of(h, ins.settle, account)
        if m.held == U(0) or account == h.fund_account:
            continue
        index = find_position(m, np.int64(ins.number))
        p = positions(h, index)
        if p.qty == 0 or (p.qty > 0) == (fp.qty > 0):
            continue
        r = ranks(h, count)
        r.position, r.take = index, 0
        r.lots = lots_held(ins, p.qty)
        r.key = rank_key(ins, p) if ins.adl_method == _RANKED else profit_at_mark(ins, p)
        count += 1
    return count


@compiled
def rank_key(ins: Record, p: Record) -> Any:
    """Return profit per cost times (in profit) or by (in loss) the effective leverage, in ppm."""
    profit = profit_at_mark(ins, p)
    value = lots_held(ins, p.qty) * ins.mark_lot_value
    ratio = muldiv(profit, np.int64(PPM), max(abs(p.cost), 1))
    if p.leverage != 0:
        margin = own_margin(ins, p)
    else:
        margin = muldiv(abs(p.cost), maintenance_ppm(ins, p), np.int64(PPM))
    equity = max(margin + profit, 1)
    # Who has next to nothing left has more leverage than 64 bits hold; no more than _KEY_MAX counts.
    leverage: Any = np.int64(_KEY_MAX)
    if udiv(value, equity) <= _KEY_MAX // PPM:
        leverage = min(max(muldiv(value, np.int64(PPM), equity), 1), np.int64(_KEY_MAX))
    if profit > 0:
        return min(muldiv(ratio, min(leverage, np.int64(_KEY_MAX // PPM)), np.int64(PPM)), _KEY_MAX)
    return muldiv(ratio, np.int64(PPM), leverage)


# ---- the order of the queue: highest key first, then lowest position


@compiled
def goes_before(h: Record, a: int, b: int) -> bool:
    x, y = ranks(h, a), ranks(h, b)
    return bool(x.key > y.key or (x.key == y.key and x.position < y.position))


@compiled
def swap(h: Record, a: int, b: int) -> None:
    x, y = ranks(h, a), ranks(h, b)
    key, lots, position, take = x.key, x.lots, np.int64(x.position), np.int64(x.take)
    x.key, x.lots, x.position, x.take = y.key, y.lots, y.position, y.take
    y.key, y.lots, y.position, y.take = key, lots, position, take


@compiled
def sift(h: Record, at: int, count: int) -> None:
    """Let an entry sink until all below it go before it."""
    while True:
        child = 2 * at + 1
        if child >= count:
            return
        if child + 1 < count and goes_before(h, child, child + 1):
            child += 1
        if not goes_before(h, at, child):
            return
        swap(h, at, child)
        at = child


@compiled
def sort_ranks(h: Record, count: int) -> None:
    """Heap sort: in place, and as fast in the worst case as ever."""
    k = count // 2
    while k > 0:
        k -= 1
        sift(h, k, count)
    while count > 1:
        count -= 1
        swap(h, 0, count)
        sift(h, 0, count)


# ---- who gives what


@compiled
def take_in_order(h: Record, count: int, needed: Any) -> Any:
    """Take lots from the front of the queue; return how many nobody had."""
    for k in range(count):
        r = ranks(h, k)
        r.take = min(r.lots, needed, np.int64(2**32 - 1))
        needed -= np.int64(r.take)
    return needed


@compiled
def take_pro_rata(h: Record, count: int, needed: Any, by_profit: bool) -> Any:
    """Take lots in proportion to profit (else to what is held); return how many nobody had.

    Whoever has given everything drops out and the others share the rest; what is too little to share goes
    one lot each along the queue.
    """
    while needed > 0:
        total: Any = np.int64(0)
        for k in range(count):
            total = min(total + weight(h, k, by_profit), 2**62)
        if total == 0:
            return needed
        given = np.int64(0)
        for k in range(count):
            r = ranks(h, k)
            share = muldiv(needed, weight(h, k, by_profit), total)
            share = min(share, r.lots - np.int64(r.take))
            r.take = np.int64(r.take) + share
            given += share
        needed -= given
        if given == 0:
            for k in range(count):
                if needed > 0 and weight(h, k, by_profit) > 0:
                    r = ranks(h, k)
                    r.take = np.int64(r.take) + 1
                    needed -= 1
    return needed


@compiled
def weight(h: Record, k: int, by_profit: bool) -> Any:
    """Return the weight of an entry, 0 if it has given all it has or is not asked yet."""
    r = ranks(h, k)
    if r.take >= r.lots:
        return np.int64(0)
    if by_profit:
        return min(max(r.key, 0), np.int64(2**40))
    return r.lots


@compiled
def hand_over(
    h: Record, ins: Record, fm: Record, fp: Record, fund_index: int, index: int, lots: int, place: int
) -> None:
    """Close so many lots of a holder against the insurance account at the account's cost price."""
    p = positions(h, index)
    m = margin_of(h, ins.settle, np.int64(p.account))
    cancel_orders(h, m, np.int64(ins.number), 0, _BY_ADL)
    qty = lots * ins.lot_size
    value = muldiv(abs(fp.cost), lots, lots_held(ins, fp.qty))
    sell = 1 if p.qty > 0 else 0
    e = emit(h, _DELEVERAGED, _SELL_EVENT if sell else 0, U(0), p.account, ins.number, qty, place, value)
    e.maker_account = h.fund_account
    fill(h, ins, m, p, index, sell, qty, value)
    fill(h, ins, fm, fp, fund_index, 1 - sell, qty, value)
    relock(ins, m, p)

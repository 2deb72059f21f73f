"""What a fill does to both sides: position, realised profit, fees, coins.

Profit is realised at average cost: a reducing fill takes out its share of the cost, rounded towards
zero, and the rest stays with what is left. Fees are rounded half away from zero.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import lots_of, muldiv, round_ppm, udiv
from ringfence.exchange.engine.book import SHOW_ALL, resize_iceberg, retire
from ringfence.exchange.engine.cancelling import linked_filled
from ringfence.exchange.engine.margin import INVERSE, SPOT, ask_for_scan, owner_margin, relock, reserve
from ringfence.exchange.engine.records import (
    FEE_EXEMPT,
    MARGIN_FEE_TIER_MASK,
    MARGIN_FEE_TIER_SHIFT,
    ORDER_LINKED,
    ORDER_SELL,
    PENDING_TRIGGERS,
)
from ringfence.exchange.engine.tables import emit, handle_of, levels, margin_of, positions
from ringfence.exchange.engine.views import Record, U, compiled, inline
from ringfence.messages.events import Event, EventFlag

_TRADE, _REALISED = int(Event.TRADE), int(Event.REALISED)
_SELL, _HIDDEN = int(EventFlag.SELL), int(EventFlag.HIDDEN)
_TAKER_DONE, _MAKER_DONE = int(EventFlag.TAKER_DONE), int(EventFlag.MAKER_DONE)


@inline
def fill(h: Record, ins: Record, m: Record, p: Record, index: int, sell: int, qty: int, value: int) -> None:
    """Move one side's position by a fill; profit of what it closes goes to the wallet."""
    sign = 1 - 2 * sell
    delta_qty = qty * sign
    delta_cost = value * sign
    if p.qty == 0 or (p.qty > 0) == (delta_qty > 0):
        p.qty += delta_qty
        p.cost += delta_cost
    else:
        close(h, ins, m, p, qty, delta_qty, delta_cost)
    slot = U(index - np.int64(m.base))
    if p.qty == 0:
        m.held = m.held & ~(U(1) << slot)
    else:
        m.held = m.held | (U(1) << slot)
    m.epoch = 0


@compiled
def close(h: Record, ins: Record, m: Record, p: Record, qty: int, delta_qty: int, delta_cost: int) -> None:
    """Reduce, close or reverse a position, and realise the profit of the part that is closed."""
    held = abs(p.qty)
    closed = min(qty, held)
    if qty <= held:
        cost_out = muldiv(p.cost, qty, held)
        gain = -delta_cost - cost_out
        p.cost -= cost_out
        p.transferred = muldiv(p.transferred, held - qty, held)
    else:
        exit_value = muldiv(delta_cost, held, qty)
        gain = -exit_value - p.cost
        p.cost = delta_cost - exit_value
        p.transferred = 0
    profit = -gain if ins.kind == INVERSE else gain
    p.qty += delta_qty
    m.wallet += profit
    if m.wallet < 0:
        ask_for_scan(h, np.int64(ins.settle))  # if nothing else is held, that is a deficit to cover
    emit(h, _REALISED, 0, U(0), p.account, p.symbol, closed, 0, profit)


@compiled
def exchange_coins(h: Record, ins: Record, m: Record, account: int, sell: int, qty: int, value: int) -> None:
    """Spot: the base asset goes one way, the quote asset the other."""
    base = margin_of(h, ins.base, account)
    if sell:
        base.wallet -= qty
        m.wallet += value
    else:
        base.wallet += qty
        m.wallet -= value


@inline
def fee_tier(m: Record) -> Any:
    return (np.int64(m.flags) & MARGIN_FEE_TIER_MASK) >> MARGIN_FEE_TIER_SHIFT


@inline
def fee(h: Record, m: Record, value: int, rate_ppm: int) -> Any:
    """Return what an account pays for a trade of this value, negative = receives."""
    if np.int64(m.flags) & MARGIN_FEE_TIER_MASK:
        return tier_fee(h, m, value, rate_ppm)
    return round_ppm(value, rate_ppm)


@compiled
def tier_fee(h: Record, m: Record, value: int, rate_ppm: int) -> Any:
    """Return the fee of a tier: its discount off the rate, rounded to the account's favour; rebates stay."""
    tier = fee_tier(m)
    if tier == FEE_EXEMPT:
        return np.int64(0)
    if rate_ppm > 0:
        discount = np.int64((h.fee_discounts >> U(8 * tier)) & U(0xFF))
        rate_ppm = udiv(rate_ppm * (100 - discount), np.int64(100))
    return round_ppm(value, rate_ppm)


@compiled
def reach_stops(h: Record, ins: Record, px: int) -> None:
    """Remember how far the last price went: stops are triggered after the command, each once."""
    ins.last_high = max(np.int64(ins.last_high), px)
    ins.last_low = px if ins.last_low == 0 else min(np.int64(ins.last_low), px)
    h.pending = np.int64(h.pending) | PENDING_TRIGGERS


@inline
def trade(
    h: Record,
    ins: Record,
    m: Record,
    p: Record,
    index: int,
    handle: Any,
    sell: int,
    slot: int,
    maker: Record,
    qty: int,
    rest: int,
    hidden: bool,
) -> None:
    """Fill `qty` of the maker in `slot` for the taker (position p at `index`), `rest` stays wanted."""
    maker_index = np.int64(maker.position)
    mp = positions(h, maker_index)
    mm = owner_margin(h, ins, mp)
    px = np.int64(maker.px)
    maker_flags = np.int64(maker.flags)
    value = lots_of(ins, qty) * maker.lot_value
    taker_fee = fee(h, m, value, np.int64(ins.taker_ppm))
    maker_fee = fee(h, mm, value, np.int64(ins.taker_ppm) if hidden else np.int64(ins.maker_ppm))
    left = np.int64(maker.leaves) - qty

    e = emit(h, _TRADE, _SELL if sell else 0, handle, p.account, ins.number, qty, px, taker_fee)
    e.maker_handle = handle_of(maker, slot)
    e.maker_account = mp.account
    e.maker_amount = maker_fee
    if rest == 0:
        e.flags |= _TAKER_DONE
    if left == 0:
        e.flags |= _MAKER_DONE
    if hidden:
        e.flags |= _HIDDEN

    m.wallet -= taker_fee
    mm.wallet -= maker_fee
    ins.fee_pool += taker_fee + maker_fee
    ins.last = px
    ins.volume += qty
    if px >= ins.stop_above or px <= ins.stop_below:
        reach_stops(h, ins, px)
    if ins.kind == SPOT:
        exchange_coins(h, ins, m, p.account, sell, qty, value)
        exchange_coins(h, ins, mm, mp.account, 0 if sell else 1, qty, value)
    else:
        fill(h, ins, m, p, index, sell, qty, value)
        fill(h, ins, mm, mp, maker_index, maker_flags & ORDER_SELL, qty, value)
    reserve(h, ins, mp, maker_flags, -value, -qty)
    maker.filled += qty
    if maker.display == SHOW_ALL:
        levels(ins, px).qty -= qty
        maker.leaves = left
    else:
        resize_iceberg(h, ins, slot, maker, qty, hidden)
    if maker_flags & ORDER_LINKED:
        linked_filled(h, ins, mp, slot, left == 0)
    if left == 0:
        retire(h, ins, mp, slot, maker)
    relock(ins, mm, mp)

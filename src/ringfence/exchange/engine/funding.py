"""Funding: what holders of a perpetual pay each other so that its price stays at the index.

Every minute the premium of the book over the mark is sampled. At the end of a period the holders of that
moment pay the rate that was announced a period ago, and the average of the samples, with interest and caps,
becomes the rate that is paid next. Payers round up and receivers down; what that leaves over, at most a unit
a holder, goes to the insurance account under a name of its own.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import lots_held, muldiv, udiv
from ringfence.exchange.engine.insurance import cannot_bear, fund_position
from ringfence.exchange.engine.listing import next_funding, set_next_due
from ringfence.exchange.engine.margin import ask_for_scan, touch_margin
from ringfence.exchange.engine.marking import funding_basis_e8, look_at_book, move_mark, remark
from ringfence.exchange.engine.tables import (
    emit,
    find_position,
    has_room,
    instruments,
    margin_of,
    positions,
)
from ringfence.exchange.engine.views import Record, U, compiled, mullo
from ringfence.messages.commands import InstrumentState
from ringfence.messages.events import Event
from ringfence.units.limits import RATE_E8
from ringfence.units.time import NS_PER_MINUTE

_FUNDED, _FUNDING_SET = int(Event.FUNDED), int(Event.FUNDING_SET)
_OPEN = int(InstrumentState.OPEN)
_CLAMP_E8 = 50_000
"""The premium pulls the rate only where it is more than 0.05 % away from the interest."""
_ROUND_TO_E8 = 100
"""Rates are whole parts per million, as they are published."""


@compiled
def sample_premiums(h: Record) -> None:
    """Take this minute's premium of every perpetual and say what the rate after the next looks like."""
    h.sampled_ns = h.timestamp_ns - h.timestamp_ns % NS_PER_MINUTE
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        if ins.funding_interval_ns == 0 or ins.state != _OPEN or ins.index_subticks == 0:
            continue
        look_at_book(h, ins)
        ins.premium_sum_e8 += premium_e8(h, ins)
        ins.premium_count += 1
        say_funding(h, ins)


@compiled
def premium_e8(h: Record, ins: Record) -> Any:
    """Return how far the book stands from the index, as a rate; an empty side counts as fair."""
    above = max(ins.impact_bid - ins.mark, 0) if ins.impact_bid > 0 else np.int64(0)
    below = max(ins.mark - ins.impact_ask, 0) if ins.impact_ask > 0 else np.int64(0)
    return muldiv(above - below, RATE_E8, ins.index_subticks) + funding_basis_e8(h, ins)


@compiled
def next_rate_e8(ins: Record) -> Any:
    """Return the rate that the samples of this period make: P + clamp(I - P), capped, in whole ppm."""
    premium = np.int64(0)
    if ins.premium_count != 0:
        premium = muldiv(ins.premium_sum_e8, np.int64(1), ins.premium_count)
    rate = premium + min(max(ins.interest_e8 - premium, -_CLAMP_E8), _CLAMP_E8)
    # Three quarters of (initial - maintenance), and no jump of more than as much of maintenance; ppm * 75 = e8.
    cap = (np.int64(ins.initial_ppm) - ins.maintenance_ppm) * 75
    step = np.int64(ins.maintenance_ppm) * 75
    rate = min(max(rate, ins.funding_rate_e8 - step), ins.funding_rate_e8 + step)
    rate = min(max(rate, -cap), cap)
    half = _ROUND_TO_E8 // 2
    if rate < 0:
        return -udiv(-rate + half, np.int64(_ROUND_TO_E8)) * _ROUND_TO_E8
    return udiv(rate + half, np.int64(_ROUND_TO_E8)) * _ROUND_TO_E8


@compiled
def say_funding(h: Record, ins: Record) -> None:
    e = emit(h, _FUNDING_SET, 0, U(0), 0, np.int64(ins.number), ins.next_funding_ns, 0, ins.funding_rate_e8)
    e.maker_amount = next_rate_e8(ins)


@compiled
def fund_one(h: Record, ins: Record) -> bool:
    """Let the holders of one perpetual pay each other; False if the buffer has no room for all of them."""
    if not has_room(h, np.int64(h.n_accounts) + 16):
        return False
    held = positions(h, fund_position(h, ins)).qty  # position 0, if it has none, is flat
    if held != 0 and cannot_bear(h, ins, payment(ins, held, ins.funding_rate_e8)):
        return True  # the payment is still due; winners take the position first
    if ins.index_subticks != 0:
        move_mark(h, ins, ins.index_subticks, 0)  # at this instant nothing of the basis is left
    if ins.mark != 0 and ins.funding_rate_e8 != 0:
        pay(h, ins)
    ins.funding_rate_e8 = next_rate_e8(ins)
    ins.premium_sum_e8 = ins.premium_count = 0
    ins.next_funding_ns = next_funding(ins, h.timestamp_ns)
    set_next_due(h)
    say_funding(h, ins)
    if ins.index_subticks != 0:
        remark(h, ins)
    ask_for_scan(h, np.int64(ins.settle))
    return True


@compiled
def pay(h: Record, ins: Record) -> None:
    symbol, rate = np.int64(ins.number), ins.funding_rate_e8
    left_over = np.int64(0)
    for account in range(1, np.int64(h.n_accounts) + 1):
        m = margin_of(h, ins.settle, account)
        if m.held == U(0):
            continue
        index = find_position(m, symbol)
        p = positions(h, index)
        if index == 0 or p.qty == 0:
            continue
        amount = payment(ins, p.qty, rate)
        m.wallet += amount
        touch_margin(m)
        left_over -= amount
        e = emit(h, _FUNDED, 0, U(0), account, symbol, p.qty, 0, amount)
        e.maker_amount = rate
    if left_over != 0:
        if h.fund_account != 0:
            margin_of(h, ins.settle, h.fund_account).wallet += left_over
        else:
            ins.fee_pool += left_over
        e = emit(h, _FUNDED, 0, U(0), np.int64(h.fund_account), symbol, 0, 0, left_over)
        e.maker_amount = rate


@compiled
def payment(ins: Record, qty: int, rate: int) -> Any:
    """Return what a position receives (negative: pays): payers round up, receivers down."""
    value = lots_held(ins, qty) * ins.mark_lot_value
    size = muldiv(value, abs(rate), RATE_E8)
    if (qty > 0) != (rate > 0):
        return size
    # What is left of the division is below 1e8, so it is the same after the products have wrapped.
    exact = mullo(U(value), U(abs(rate))) == mullo(U(size), U(RATE_E8))
    return -size if exact else -size - 1

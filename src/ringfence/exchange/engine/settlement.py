"""Settlement: at its expiry a contract is closed for everybody at the average of its index.

The average is of the last half hour. A contract that is settled before its time, or whose index was never
seen in that half hour, is closed at the last index price, without an index at the mark.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import INVERSE, ceil_ppm, lot_value_at_mark, lots_held, udiv
from ringfence.exchange.engine.clearing import fee_tier, fill
from ringfence.exchange.engine.insurance import cannot_bear, fund_position
from ringfence.exchange.engine.listing import set_next_due
from ringfence.exchange.engine.margin import ask_for_scan, relock
from ringfence.exchange.engine.orders import cancel_orders
from ringfence.exchange.engine.records import FEE_EXEMPT
from ringfence.exchange.engine.tables import (
    emit,
    find_position,
    has_room,
    instruments,
    margin_of,
    positions,
    refuse,
)
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import ContractKind, InstrumentState
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject
from ringfence.units.limits import MARK_SUBTICKS

_SETTLED, _SETTLEMENT, _STATE_SET = int(Event.SETTLED), int(Event.SETTLEMENT), int(Event.STATE_SET)
_BY_SETTLEMENT = int(CancelReason.SETTLED)
_UNLISTED, _IS_SETTLED = int(InstrumentState.UNLISTED), int(InstrumentState.SETTLED)
_SPOT, _INDEX_KIND = int(ContractKind.SPOT), int(ContractKind.INDEX)
_R_SYMBOL, _R_NO_MARK = int(Reject.INVALID_SYMBOL), int(Reject.NO_MARK_PRICE)


@compiled
def settle_now(h: Record, cmd: Record) -> bool:
    """An operator ends a contract before its time: it expires with this command."""
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return refuse(h, cmd, _R_SYMBOL, 0)
    ins = instruments(h, cmd.symbol)
    if ins.kind == _SPOT or ins.kind == _INDEX_KIND or ins.state == _UNLISTED or ins.state == _IS_SETTLED:
        return refuse(h, cmd, _R_SYMBOL, 0)
    if ins.mark == 0:
        return refuse(h, cmd, _R_NO_MARK, 0)
    ins.expiry_ns = h.timestamp_ns  # if the insurance fund has to be relieved first, a TICK settles
    ins.settle_count = 0
    set_next_due(h)
    return settle(h, ins)


@compiled
def settlement_price(ins: Record) -> Any:
    """Return the price in subticks at which a contract is closed."""
    if ins.settle_count > 0:
        units = ins.settle_count * ins.units_per_subtick
        px = udiv(2 * ins.settle_sum + units, 2 * units)
    elif ins.index_subticks > 0:
        px = ins.index_subticks
    else:
        px = ins.mark
    return min(max(px, MARK_SUBTICKS), np.int64(ins.px_max) * MARK_SUBTICKS)


@compiled
def settle(h: Record, ins: Record) -> bool:
    """Close everybody's position at the settlement price; False if the buffer has no room for all of them."""
    worst = np.int64(h.n_live) + np.int64(h.n_untriggered) + 3 * np.int64(h.n_accounts) + 64
    if not has_room(h, worst):
        return False
    symbol = np.int64(ins.number)
    px = settlement_price(ins)
    if h.fund_account != 0 and fund_position(h, ins) != 0:
        p = positions(h, fund_position(h, ins))
        value = lots_held(ins, p.qty) * lot_value_at_mark(ins, px)
        gain = value - abs(p.cost) if (p.qty > 0) != (ins.kind == INVERSE) else abs(p.cost) - value
        if p.qty != 0 and cannot_bear(h, ins, gain):
            return True  # it is still due; winners take the fund's position first
    emit(h, _SETTLEMENT, 0, U(0), 0, symbol, px, 0, 0)
    ins.mark = px
    ins.mark_lot_value = lot_value_at_mark(ins, px)
    h.epoch += 1
    for account in range(1, np.int64(h.n_accounts) + 1):
        m = margin_of(h, ins.settle, account)
        index = find_position(m, symbol)
        if index == 0 or positions(h, index).account == 0:
            continue
        p = positions(h, index)
        if p.orders != 0:
            cancel_orders(h, m, symbol, 0, _BY_SETTLEMENT)
        if p.qty != 0:
            settle_position(h, ins, m, p, index)
        relock(ins, m, p)
    ins.state = ins.listed = _IS_SETTLED
    ins.funding_interval_ns = ins.next_funding_ns = 0
    set_next_due(h)
    emit(h, _STATE_SET, 0, U(0), 0, symbol, _IS_SETTLED, 0, 0)
    ask_for_scan(h, np.int64(ins.settle))
    return True


@compiled
def settle_position(h: Record, ins: Record, m: Record, p: Record, index: int) -> None:
    qty, sell = abs(p.qty), 1 if p.qty > 0 else 0
    value = lots_held(ins, qty) * ins.mark_lot_value
    fee = np.int64(0) if fee_tier(m) == FEE_EXEMPT else ceil_ppm(value, np.int64(ins.settlement_fee_ppm))
    emit(h, _SETTLED, 0, U(0), p.account, ins.number, p.qty, 0, fee)
    m.wallet -= fee
    ins.fee_pool += fee
    fill(h, ins, m, p, index, sell, qty, value)

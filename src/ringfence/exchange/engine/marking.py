"""Index in, mark out: what a contract is worth, whoever trades it where.

A perpetual's mark is the index plus what funding will still be paid on it; a future's is the index plus a
yearly basis that its own book shows, looked at while that book is liquid. Without index or book the last
one stands. A mark moves unrealised profit and liquidation, never a price that somebody trades at.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import INVERSE, PPM, lot_value, lot_value_at_mark, muldiv, udiv
from ringfence.exchange.engine.ladder import next_price, previous_price
from ringfence.exchange.engine.listing import set_collars
from ringfence.exchange.engine.tables import emit, instruments, levels, refuse
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import ContractKind, IndexStatus, InstrumentState, MarkMethod
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.units.limits import INDEX_UNITS_MAX, MARK_SUBTICKS, RATE_E8
from ringfence.units.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND

_MARKED, _INDEXED, _IMPACT_SET = int(Event.MARKED), int(Event.INDEXED), int(Event.IMPACT_SET)
_SPOT, _INDEX_KIND = int(ContractKind.SPOT), int(ContractKind.INDEX)
_LIVE, _FROZEN = int(IndexStatus.LIVE), int(IndexStatus.FROZEN)
_LAST_PROTECTED = int(MarkMethod.LAST_PROTECTED)
_SETTLED = int(InstrumentState.SETTLED)
_R_SYMBOL, _R_PRICE = int(Reject.INVALID_SYMBOL), int(Reject.INVALID_PRICE)
_R_PARAMETER = int(Reject.INVALID_PARAMETER)

NS_PER_YEAR = 365 * NS_PER_DAY
STALE_NS = 30 * NS_PER_SECOND
"""A mark that is older liquidates nobody and triggers nothing."""
SETTLEMENT_WINDOW_NS = 30 * NS_PER_MINUTE
_BASIS_EVERY_NS = 30 * NS_PER_SECOND
_IMPACT_LEVELS_MAX = 500


@compiled
def set_mark(h: Record, cmd: Record) -> bool:
    """A mark given outright; the next index price replaces it."""
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return refuse(h, cmd, _R_SYMBOL, 0)
    ins = instruments(h, cmd.symbol)
    kind = np.int64(ins.kind)
    if kind == _SPOT or kind == _INDEX_KIND:
        return refuse(h, cmd, _R_PRICE, 0)
    if cmd.qty < MARK_SUBTICKS or cmd.qty > np.int64(ins.px_max) * MARK_SUBTICKS:
        return refuse(h, cmd, _R_PRICE, 0)
    move_mark(h, ins, cmd.qty, 0)
    return True


@compiled
def move_mark(h: Record, ins: Record, subticks: int, basis: int) -> None:
    """Set a contract's mark, within what its book can hold, and say so."""
    ins.mark = min(max(subticks, MARK_SUBTICKS), np.int64(ins.px_max) * MARK_SUBTICKS)
    ins.mark_lot_value = lot_value_at_mark(ins, ins.mark)
    ins.marked_ns = h.timestamp_ns
    set_collars(h, ins)
    h.epoch += 1
    emit(h, _MARKED, 0, U(0), 0, np.int64(ins.number), ins.mark, 0, basis)


@compiled
def set_index(h: Record, cmd: Record) -> bool:
    """Take a price of an index, and with it new marks for all contracts that follow it."""
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return refuse(h, cmd, _R_SYMBOL, 0)
    index = instruments(h, cmd.symbol)
    if index.kind != _INDEX_KIND:
        return refuse(h, cmd, _R_SYMBOL, 0)
    if cmd.qty <= 0 or cmd.qty > INDEX_UNITS_MAX:
        return refuse(h, cmd, _R_PRICE, 0)
    if cmd.type > _FROZEN:
        return refuse(h, cmd, _R_PARAMETER, np.int64(cmd.type))
    index.index_px = cmd.qty
    emit(h, _INDEXED, np.int64(cmd.type), U(0), 0, np.int64(cmd.symbol), 0, 0, cmd.qty)
    if cmd.type == _LIVE:
        for symbol in range(1, np.int64(h.n_instruments) + 1):
            ins = instruments(h, symbol)
            if ins.index == cmd.symbol and ins.state != _SETTLED and ins.px_max != 0:
                follow(h, ins, cmd.qty)
    return True


@compiled
def follow(h: Record, ins: Record, px: int) -> None:
    """Bring a contract's mark up to its index."""
    ins.index_px = px
    ins.index_subticks = udiv(2 * px + ins.units_per_subtick, 2 * ins.units_per_subtick)
    if ins.expiry_ns != 0:
        if h.timestamp_ns > ins.expiry_ns - SETTLEMENT_WINDOW_NS:
            ins.settle_sum += px
            ins.settle_count += 1
        if h.timestamp_ns >= ins.basis_due_ns:
            refresh_basis(h, ins)
    remark(h, ins)


@compiled
def remark(h: Record, ins: Record) -> None:
    """Set the mark that follows from the last index price at this time."""
    index = ins.index_subticks
    if ins.mark_method == _LAST_PROTECTED:
        basis = last_protected(ins, index) - index
    elif ins.expiry_ns != 0:
        left = max(ins.expiry_ns - h.timestamp_ns, 0)
        basis = muldiv(index, muldiv(ins.basis_e8, left, NS_PER_YEAR), RATE_E8)
    else:
        basis = muldiv(index, funding_basis_e8(h, ins), RATE_E8)
    move_mark(h, ins, index + basis, basis)


@compiled
def funding_basis_e8(h: Record, ins: Record) -> Any:
    """Return the part of the current funding rate that is still to come."""
    if ins.funding_interval_ns == 0:
        return np.int64(0)
    left = min(max(ins.next_funding_ns - h.timestamp_ns, 0), ins.funding_interval_ns)
    return muldiv(ins.funding_rate_e8, left, ins.funding_interval_ns)


@compiled
def last_protected(ins: Record, centre: int) -> Any:
    """Return the last price in subticks, no further from a centre than the band; the centre if none traded."""
    if ins.last == 0:
        return centre
    span = muldiv(centre, np.int64(ins.last_band_ppm), PPM)
    return min(max(np.int64(ins.last) * MARK_SUBTICKS, centre - span), centre + span)


# ---- impact prices


@compiled
def impact_price(h: Record, ins: Record, sell: int) -> Any:
    """Return the average price in subticks of selling into the bids (or buying) the impact value, 0 if too thin."""
    wanted = ins.impact_value
    px = np.int64(ins.bid) if sell else np.int64(ins.ask)
    lots_sum, px_sum = np.int64(0), np.int64(0)
    for _ in range(_IMPACT_LEVELS_MAX):
        if px <= 0 or px > ins.px_max:
            return np.int64(0)
        level = levels(ins, px)
        per_lot = ins.lot_size if ins.kind == INVERSE else lot_value(ins, px)
        shown = udiv(level.qty - level.hidden, ins.lot_size)
        lots = min(shown, udiv(wanted + per_lot - 1, per_lot))
        lots_sum += lots
        px_sum += lots * px
        wanted -= lots * per_lot
        if wanted <= 0:
            return udiv(2 * px_sum * MARK_SUBTICKS + lots_sum, 2 * lots_sum) if lots_sum > 0 else np.int64(0)
        px = previous_price(ins, 0, px) if sell else next_price(ins, 1, px)
    return np.int64(0)


@compiled
def look_at_book(h: Record, ins: Record) -> bool:
    """Take the impact prices of a contract; return whether its book is liquid enough to mark from."""
    if ins.p_levels == 0 or ins.impact_value == 0:
        return False
    ins.impact_bid = impact_price(h, ins, 1)
    ins.impact_ask = impact_price(h, ins, 0)
    widest = max(muldiv(ins.mark, np.int64(ins.maintenance_ppm), PPM), np.int64(3 * MARK_SUBTICKS))
    liquid = ins.impact_bid > 0 and ins.impact_ask > 0 and ins.impact_ask - ins.impact_bid < widest
    e = emit(h, _IMPACT_SET, 0, U(0), 0, np.int64(ins.number), 1 if liquid else 0, 0, ins.impact_bid)
    e.maker_amount = ins.impact_ask
    return bool(liquid)


@compiled
def refresh_basis(h: Record, ins: Record) -> None:
    """Look at a future's book for the yearly basis that it shows."""
    ins.basis_due_ns = h.timestamp_ns + _BASIS_EVERY_NS
    left = ins.expiry_ns - h.timestamp_ns
    # In the last hour a tick of noise would be a huge rate a year.
    if left > 60 * NS_PER_MINUTE and look_at_book(h, ins):
        middle = udiv(ins.impact_bid + ins.impact_ask, np.int64(2))
        premium_e8 = muldiv(middle - ins.index_subticks, RATE_E8, ins.index_subticks)
        ins.basis_e8 = muldiv(premium_e8, NS_PER_YEAR, left)


@compiled
def is_stale(h: Record, ins: Record) -> bool:
    """Return whether the mark is too old to take anybody's position for it."""
    return bool(h.timestamp_ns - ins.marked_ns > STALE_NS)

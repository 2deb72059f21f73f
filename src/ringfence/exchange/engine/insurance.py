"""The insurance account: it works what it took over into the book, and asks the winners when it cannot.

Its order in each instrument stands at the price at which the fund neither gains nor loses. Where the mark has
gone beyond that, the fund pays for getting out: in slices, no further from the mark than the maintenance rate
and inside the collar, and only what it can afford. What it cannot afford is deleveraged.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import INVERSE, PPM, lot_value, lots_held, muldiv, udiv
from ringfence.exchange.engine.book import unlink
from ringfence.exchange.engine.cancelling import cancel
from ringfence.exchange.engine.liquidation import FILLS_MAX, open_order, reachable_qty
from ringfence.exchange.engine.margin import profit_at_mark, release, relock
from ringfence.exchange.engine.marking import is_stale
from ringfence.exchange.engine.orders import crosses, events_to_cross, reach
from ringfence.exchange.engine.records import ORDER_SELL, PENDING_ADL
from ringfence.exchange.engine.stops import enter
from ringfence.exchange.engine.tables import (
    ALL,
    MORE,
    ROOM,
    emit,
    find_position,
    handle_of,
    instruments,
    margin_of,
    orders,
    positions,
    room_for,
)
from ringfence.exchange.engine.views import Record, compiled
from ringfence.messages.commands import InstrumentState, OrderFlag
from ringfence.messages.events import CancelReason, Event, EventFlag
from ringfence.units.limits import MARK_SUBTICKS, QTY_MAX

_AMENDED, _SELL_EVENT, _BY_ENGINE = int(Event.AMENDED), int(EventFlag.SELL), int(EventFlag.BY_ENGINE)
_OPEN = int(InstrumentState.OPEN)
_BY_LIQUIDATION, _IOC = int(CancelReason.LIQUIDATION), int(OrderFlag.IOC)
_SLICES = 8
"""Beyond break-even the fund sells an eighth of what it holds for each index price."""


@compiled
def fund_position(h: Record, ins: Record) -> Any:
    """Return the index of the insurance account's position, 0 if it never had one."""
    return find_position(margin_of(h, ins.settle, h.fund_account), np.int64(ins.number))


@compiled
def spendable(h: Record, asset: int) -> Any:
    """Return what the fund of an asset could lose: its wallet after all losses that it holds."""
    m = margin_of(h, asset, h.fund_account)
    left = m.wallet
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.qty != 0:
            left += min(profit_at_mark(instruments(h, p.symbol), p), 0)
    return left


@compiled
def break_even_px(ins: Record, p: Record) -> Any:
    """Return the price in ticks at which the fund's position has its cost, rounded to the fund's favour."""
    lots = lots_held(ins, p.qty)
    cost = max(abs(p.cost), 1)
    highest = np.int64(ins.px_max)
    if ins.kind == INVERSE:
        px = muldiv(ins.factor, lots, cost)
    else:
        px = muldiv(cost, np.int64(1), ins.factor * lots)
    px = min(max(px, 1), highest)
    # One tick further where the division was not exact; being exact a tick off costs nobody anything.
    return px if p.qty < 0 else min(px + 1, highest)


@compiled
def gain_at(ins: Record, p: Record, px: int, qty: int) -> Any:
    """Return what closing `qty` of a position at a price would gain."""
    lots, held = lots_held(ins, qty), lots_held(ins, p.qty)
    value = lots * lot_value(ins, px)
    cost = muldiv(abs(p.cost), lots, held)
    return value - cost if (p.qty > 0) != (ins.kind == INVERSE) else cost - value


@compiled
def spending_px(ins: Record, sell: int) -> Any:
    """Return the worst price that the fund accepts beyond break-even: near the mark and inside the collar."""
    mark = udiv(ins.mark, np.int64(MARK_SUBTICKS))
    span = udiv(mark * ins.maintenance_ppm, np.int64(PPM)) + 1
    if sell:
        return max(mark - span, reach(ins, sell))
    return min(mark + span, reach(ins, sell))


@compiled
def cannot_bear(h: Record, ins: Record, change: int) -> bool:
    """Return whether a change to the fund's wallet would leave it below zero; then its position has to go first."""
    if margin_of(h, ins.settle, h.fund_account).wallet + change >= 0:
        return False
    ins.adl_due = 1
    h.pending = np.int64(h.pending) | PENDING_ADL
    return True


@compiled
def work(h: Record, until: int, alone: bool) -> Any:
    """Bring the fund's order in the next instrument up to date: MORE, ALL when all have had their turn, or ROOM."""
    begun = np.int64(h.work_symbol)
    while h.work_symbol < h.n_instruments:
        ins = instruments(h, np.int64(h.work_symbol) + 1)
        if ins.state == _OPEN and ins.mark != 0 and not is_stale(h, ins):
            index = fund_position(h, ins)
            if index != 0 and positions(h, index).qty != 0:
                p = positions(h, index)
                fits = room_for(h, events_to_cross(h, p, FILLS_MAX), until, alone)
                if fits != ALL:
                    if fits == ROOM:
                        h.work_symbol = begun
                    return fits
                h.work_symbol += 1
                work_position(h, ins, p, index)
                if h.work_symbol < h.n_instruments:
                    # One new order a command: its handle is named after the command.
                    return MORE
                continue
        h.work_symbol += 1
    h.work_symbol = 0
    return ALL


@compiled
def work_position(h: Record, ins: Record, p: Record, index: int) -> None:
    """Choose price and quantity of the fund's order: break-even if the mark allows, else what it can afford."""
    sell, flags = 1 if p.qty > 0 else 0, 0
    px, qty = break_even_px(ins, p), min(abs(p.qty), _ORDER_MAX // ins.lot_size * ins.lot_size)
    if profit_at_mark(ins, p) < 0:
        if spendable(h, np.int64(ins.settle)) < 0:
            h.pending = np.int64(h.pending) | PENDING_ADL
            return
        lots = lots_held(ins, p.qty)
        slice_qty = min(udiv(lots + _SLICES - 1, np.int64(_SLICES)) * ins.lot_size, qty)
        worst = spending_px(ins, sell)
        # Every fill may round a unit against the fund.
        wallet = margin_of(h, ins.settle, h.fund_account).wallet - FILLS_MAX
        if wallet + min(gain_at(ins, p, worst, slice_qty), 0) >= 0 and crosses(ins, sell, worst):
            px, qty, flags = worst, slice_qty, _IOC
    elif sell:
        px = max(px, reach(ins, sell))
    else:
        px = min(px, reach(ins, sell))
    if crosses(ins, sell, px):
        qty = min(qty, max(reachable_qty(h, ins, sell, px, qty), ins.lot_size))
    place_fund_order(h, ins, p, index, sell, px, qty, flags)


_ORDER_MAX = QTY_MAX // 2


@compiled
def place_fund_order(
    h: Record, ins: Record, p: Record, index: int, sell: int, px: int, qty: int, flags: int
) -> None:
    """Place the fund's order, or move the one that is there; it has one in each instrument.

    Beyond break-even it takes and does not rest: what it may cost is what the fund has at this moment.
    """
    m = margin_of(h, ins.settle, h.fund_account)
    slot = np.int64(p.orders)
    if slot != 0:
        o = orders(h, slot)
        if (o.flags & ORDER_SELL) != sell:
            cancel(h, ins, p, slot, o, _BY_LIQUIDATION)
            relock(ins, m, p)
            slot = np.int64(0)
        elif o.px == px and o.leaves == qty and flags == 0 and not crosses(ins, sell, px):
            return
        else:
            release(h, ins, p, o)
            unlink(h, ins, o)
            emit(
                h, _AMENDED, (_SELL_EVENT if sell else 0) | _BY_ENGINE, handle_of(o, slot), p.account,
                ins.number, qty, px, 0,
            )  # fmt: skip
    if slot == 0:
        slot = open_order(h, ins, p, index, sell, px, qty)
    enter(h, ins, m, p, index, slot, orders(h, slot), px, qty, flags, False, True)

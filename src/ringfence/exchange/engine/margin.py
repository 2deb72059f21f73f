"""What an account must lock, and whether it can afford more.

Cross positions lock their maintenance margin and share unrealised profit; isolated positions lock
initial margin, exit fee and what was transferred in. Orders lock initial margin and the taker fee
both ways on what they could add to the position, the worse side counting. Spot orders lock coins.

Twin: `instruments/value.py` has the same formulas in plain Python.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import PPM, ceil_ppm, lots_held, lots_of, udiv
from ringfence.exchange.engine.records import MARGIN_CLASSIC, MARGIN_SELLS_SPOT, ORDER_SELL, PENDING_SCAN
from ringfence.exchange.engine.tables import instruments, margin_of, margins, positions
from ringfence.exchange.engine.views import Record, U, compiled, inline, trailing_zeros
from ringfence.messages.commands import ContractKind
from ringfence.messages.rejects import Reject
from ringfence.units.limits import ORDER_VALUE_MAX, POSITION_COST_MAX, RATE_E8

INVERSE, SPOT = int(ContractKind.INVERSE), int(ContractKind.SPOT)
_ACCEPTED = 0
_RISK_LIMIT = int(Reject.RISK_LIMIT)
_INSUFFICIENT = int(Reject.INSUFFICIENT_BALANCE)
_IMMEDIATE_LIQUIDATION = int(Reject.IMMEDIATE_LIQUIDATION)
_INVALID_QTY = int(Reject.INVALID_ORDER_QTY)
_SUM_LIMIT = 2**62
E8_PER_PPM = RATE_E8 // PPM
"""Funding rates are whole parts per million, counted in 1e-8."""


@inline
def maintenance_ppm(ins: Record, p: Record) -> Any:
    return np.int64(ins.maintenance_ppm) * (1 + np.int64(p.tier))


@inline
def initial_ppm(ins: Record, p: Record) -> Any:
    """Return the initial margin rate of the tier, or of the chosen leverage where that is higher."""
    rate = np.int64(ins.initial_ppm) + np.int64(p.tier) * ins.maintenance_ppm
    if p.leverage != 0:
        leverage = np.int64(p.leverage)
        rate = max(rate, udiv(100 * PPM + leverage - 1, leverage))
    return rate


@compiled
def isolated_margin(ins: Record, p: Record, exposure: int) -> Any:
    """Return what an isolated position of this exposure locks, beside what was transferred in."""
    leverage = np.int64(p.leverage)
    initial = udiv(exposure * 100 + leverage - 1, leverage)
    return initial + ceil_ppm(exposure + initial, max(np.int64(ins.taker_ppm), 0))


@inline
def own_margin(ins: Record, p: Record) -> Any:
    """Return what an isolated position has to lose."""
    return isolated_margin(ins, p, abs(p.cost)) + p.transferred


@inline
def maintenance_of(ins: Record, p: Record, exposure: int, is_long: bool) -> Any:
    """Return the margin below which a position of this exposure is liquidated.

    With the funding that it will pay next; isolated ones keep the fee of closing at bankruptcy as well.
    """
    rate = ins.funding_rate_e8 if is_long else -ins.funding_rate_e8
    needed = ceil_ppm(exposure, maintenance_ppm(ins, p) + udiv(max(rate, 0), np.int64(E8_PER_PPM)))
    if p.leverage == 0:
        return needed
    leverage = np.int64(p.leverage)
    initial = udiv(exposure * 100 + leverage - 1, leverage)
    return needed + ceil_ppm(exposure + initial, max(np.int64(ins.taker_ppm), 0))


@inline
def maintenance(ins: Record, p: Record) -> Any:
    return maintenance_of(ins, p, abs(p.cost), bool(p.qty > 0))


@inline
def worst_exposure(p: Record, buys: int, sells: int) -> Any:
    """Return the exposure if all bids fill or all asks fill, or if nothing does."""
    return max(max(p.cost + buys, sells - p.cost), abs(p.cost))


@inline
def required(ins: Record, p: Record, buys: int, sells: int) -> Any:
    """Return what the position and open orders of these exposures lock, in settlement units."""
    taker: Any = max(np.int64(ins.taker_ppm), 0)
    if ins.kind == SPOT:
        return buys + ceil_ppm(buys, taker)
    exposure = abs(p.cost)
    worst = worst_exposure(p, buys, sells)
    rate = initial_ppm(ins, p) + 2 * taker
    orders = ceil_ppm(worst - exposure, rate)
    if p.leverage == 0:
        return orders + ceil_ppm(exposure, maintenance_ppm(ins, p))
    if exposure == 0:
        return orders
    return orders + isolated_margin(ins, p, exposure) + p.transferred


@inline
def relock(ins: Record, m: Record, p: Record) -> None:
    """Bring the locked margin up to date after a change to the position or its orders."""
    locked = required(ins, p, p.open_buys, p.open_sells)
    m.locked += locked - p.locked
    p.locked = locked


@inline
def reserve(h: Record, ins: Record, p: Record, flags: int, value: int, qty: int) -> None:
    """Add (or, negative, release) one order's share of its position's open exposure."""
    sell = flags & ORDER_SELL
    if ins.kind == SPOT and sell:
        p.open_sells += qty
        base = margin_of(h, ins.base, p.account)
        base.locked += qty
        base.flags = np.int64(base.flags) | MARGIN_SELLS_SPOT
    else:
        p.open_sells += value * sell
        p.open_buys += value * (1 - sell)


@inline
def release(h: Record, ins: Record, p: Record, o: Record) -> None:
    """Take what an order in the book reserves out of its position's open exposure."""
    leaves = np.int64(o.leaves)
    reserve(h, ins, p, np.int64(o.flags), -lots_of(ins, leaves) * o.lot_value, -leaves)


@inline
def profit_at_mark(ins: Record, p: Record) -> Any:
    """Return the unrealised profit of one position in settlement units."""
    exposure = lots_held(ins, p.qty) * ins.mark_lot_value
    value = exposure if p.qty > 0 else -exposure
    return p.cost - value if ins.kind == INVERSE else value - p.cost


@compiled
def sum_unrealised(h: Record, m: Record) -> Any:
    """Return the unrealised profit of the cross positions, of classic accounts only the losses.

    Clamped so that it can never wrap.
    """
    total: Any = np.int64(0)
    held = m.held
    while held != U(0):
        k = np.int64(trailing_zeros(held))
        held = held & (held - U(1))
        p = positions(h, np.int64(m.base) + k)
        if p.leverage == 0:
            profit = profit_at_mark(instruments(h, p.symbol), p)
            if m.flags & MARGIN_CLASSIC:
                profit = min(profit, 0)
            total += profit
            total = min(max(total, -_SUM_LIMIT), _SUM_LIMIT)
    m.unrealised = total
    m.epoch = h.epoch
    return total


@inline
def unrealised(h: Record, m: Record) -> Any:
    """Return the shared unrealised profit: cached until a mark moves or a fill touches the account."""
    return m.unrealised if m.epoch == h.epoch else sum_unrealised(h, m)


@inline
def available(h: Record, m: Record) -> Any:
    return m.wallet + unrealised(h, m) - m.locked


@inline
def withdrawable(h: Record, m: Record) -> Any:
    """Return what may leave: unrealised losses count, unrealised profit does not."""
    return m.wallet + min(unrealised(h, m), 0) - m.locked


@inline
def loss_at_mark(ins: Record, sell: int, lots: int, value_per_lot: int) -> Any:
    """Return what filling at this price would lose against the mark at once; never negative."""
    premium = lots * (value_per_lot - ins.mark_lot_value)
    if (ins.kind == INVERSE) != (sell != 0):
        premium = -premium
    return max(premium, 0)


@inline
def refusal(
    h: Record, ins: Record, m: Record, p: Record, sell: int, lots: int, per_lot: int, qty: int, replaced: int
) -> Any:
    """Return (Reject, figure of its text) for an order of so many lots worth `per_lot` each.

    If it is acceptable: (0, what the position locks with it; spot: nothing).

    `replaced` is the exposure (spot sells: quantity) of the order that it takes the place of. An
    order that adds no requirement is always affordable.
    """
    value = lots * per_lot
    if value > ORDER_VALUE_MAX or value == 0:
        return _INVALID_QTY, np.int64(0)
    if ins.kind == SPOT:
        return spot_refusal(h, ins, m, p, sell, value, np.int64(qty), np.int64(replaced))
    added = value - replaced
    buys = p.open_buys + added * (1 - sell)
    sells = p.open_sells + added * sell
    locked = required(ins, p, buys, sells)
    if locked <= p.locked:
        return _ACCEPTED, locked
    limit = ins.risk_base + np.int64(p.tier) * ins.risk_step
    if worst_exposure(p, buys, sells) > min(limit, POSITION_COST_MAX):
        return _RISK_LIMIT, np.int64(0)
    premium = loss_at_mark(ins, sell, lots, per_lot)
    need = locked - p.locked + premium
    if available(h, m) < need:
        return _INSUFFICIENT, need
    if p.leverage != 0 and liquidates_at_once(ins, p, value, premium, bool(sell == 0)):
        return _IMMEDIATE_LIQUIDATION, np.int64(0)
    return _ACCEPTED, locked


@compiled
def liquidates_at_once(ins: Record, p: Record, value: int, premium: int, is_long: bool) -> bool:
    """Return whether an isolated position opened at this price starts below its maintenance margin."""
    return bool(isolated_margin(ins, p, value) - premium < maintenance_of(ins, p, value, is_long))


@compiled
def spot_refusal(
    h: Record, ins: Record, m: Record, p: Record, sell: int, value: int, qty: int, replaced: int
) -> Any:
    """Spot spends coins that are there: unrealised profit does not count."""
    if sell:
        need = qty - replaced
        free = withdrawable(h, margin_of(h, ins.base, p.account))
    else:
        need = required(ins, p, p.open_buys + value - replaced, p.open_sells) - p.locked
        free = withdrawable(h, m)
    if need > 0 and free < need:
        return _INSUFFICIENT, need
    return _ACCEPTED, np.int64(0)


@inline
def touch_margin(m: Record) -> None:
    """Forget the cached unrealised profit."""
    m.epoch = 0


@inline
def ask_for_scan(h: Record, asset: int) -> None:
    """Have all accounts looked at that hold something in an asset: its wallets or marks have moved."""
    h.scan_assets = np.int64(h.scan_assets) | (1 << np.int64(asset))
    h.scan_account = 0
    h.pending = np.int64(h.pending) | PENDING_SCAN


@inline
def owner_margin(h: Record, ins: Record, p: Record) -> Record:
    return margins(h, np.int64(ins.settle) * h.cap_accounts + np.int64(p.account))

"""Liquidation: what happens to an account whose margin no longer carries its positions.

After a mark has moved, accounts are looked at in slices, so that trading never waits for all of them. One
that is short of margin goes through the steps of the rules, each followed by another look: its risk limit is
lowered to what it needs, its open orders are cancelled, a part is closed in the market where that reaches a
lower tier, and at last the insurance account takes the position over at the bankruptcy price: the price at
which exactly the position's margin is gone. Cross positions of one asset share their margin, so they go
together, each bearing the common margin in proportion to its maintenance; classic cross ones and isolated
ones go one by one.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import INVERSE, lots_held, muldiv, udiv
from ringfence.exchange.engine.book import SHOW_ALL, adopt, take_slot
from ringfence.exchange.engine.clearing import fill
from ringfence.exchange.engine.ladder import next_price, previous_price
from ringfence.exchange.engine.margin import (
    maintenance,
    own_margin,
    profit_at_mark,
    relock,
    touch_margin,
    worst_exposure,
)
from ringfence.exchange.engine.marking import is_stale
from ringfence.exchange.engine.orders import cancel_orders, count_orders, events_to_cross, reach
from ringfence.exchange.engine.records import (
    MARGIN_CLASSIC,
    MARGIN_SELLS_SPOT,
    ORDER_SELL,
    PENDING_ADL,
    PENDING_WORK,
)
from ringfence.exchange.engine.stops import enter
from ringfence.exchange.engine.tables import (
    ALL,
    MORE,
    ROOM,
    emit,
    find_position,
    handle_of,
    instruments,
    levels,
    margin_of,
    orders,
    position_of,
    positions,
    prefetch_position,
    room_for,
)
from ringfence.exchange.engine.views import Record, U, compiled, inline, trailing_zeros
from ringfence.messages.commands import InstrumentState, OrderFlag
from ringfence.messages.events import CancelReason, Event, EventFlag, LiquidationStep
from ringfence.units.limits import MARK_SUBTICKS

_LIQUIDATION, _COVERED, _ACCEPTED = int(Event.LIQUIDATION), int(Event.COVERED), int(Event.ACCEPTED)
_SELL_EVENT, _FOK = int(EventFlag.SELL), int(OrderFlag.FOK)
_TIER_LOWERED, _ORDERS_CANCELED = int(LiquidationStep.TIER_LOWERED), int(LiquidationStep.ORDERS_CANCELED)
_REDUCED, _TAKEN_OVER = int(LiquidationStep.REDUCED), int(LiquidationStep.TAKEN_OVER)
_BY_LIQUIDATION = int(CancelReason.LIQUIDATION)
_OPEN, _HALTED = int(InstrumentState.OPEN), int(InstrumentState.HALTED)

SCAN_SLICE = 1 << 14
"""Accounts looked at by one command: about half a millisecond."""
FILLS_MAX = 500
"""Orders that one step of a liquidation may meet."""
EVENTS_PER_POSITION = 10
_AHEAD = 16
_SUM_LIMIT = 2**62
_ISOLATED_LIMIT = 2**60
CROSS, ISOLATED, BANKRUPT = 1, 2, 4


# ---- who is short of margin


@compiled
def isolated_is_short(h: Record, ins: Record, p: Record) -> bool:
    return bool(own_margin(ins, p) + profit_at_mark(ins, p) < maintenance(ins, p))


@compiled
def is_live(h: Record, ins: Record) -> bool:
    """Return whether positions may be taken for this mark: it is fresh and its market is open."""
    return bool(ins.state == _OPEN and not is_stale(h, ins))


@compiled
def shortage(h: Record, m: Record) -> Any:
    """Return what of an account and asset has to be liquidated, as far as marks are fresh: CROSS, ISOLATED bits.

    BANKRUPT: nothing but isolated positions is left, and the account owes more than they have gained: their
    margins are not there, so all of them go. To let them wait for better marks would be an option at the fund's
    expense.
    """
    free: Any = m.wallet
    made: Any = np.int64(0)
    needed: Any = np.int64(0)
    isolated: Any = np.int64(0)
    found = 0
    fresh = True
    may_be_bankrupt = True
    held = m.held
    while held != U(0):
        k = np.int64(trailing_zeros(held))
        held = held & (held - U(1))
        p = positions(h, np.int64(m.base) + k)
        ins = instruments(h, p.symbol)
        live = is_live(h, ins)
        if p.leverage != 0:
            if live and isolated_is_short(h, ins, p):
                found |= ISOLATED
            may_be_bankrupt = may_be_bankrupt and live
            own = own_margin(ins, p)
            free -= own
            isolated = min(isolated + max(own + profit_at_mark(ins, p), 0), _ISOLATED_LIMIT)
        else:
            fresh = fresh and live
            profit = profit_at_mark(ins, p)
            if m.flags & MARGIN_CLASSIC:
                profit = min(profit, 0)
            made = min(max(made + profit, -_SUM_LIMIT), _SUM_LIMIT)
            needed += maintenance(ins, p)
    if not fresh:
        return found
    if needed <= 0:
        is_bankrupt = may_be_bankrupt and free + made + isolated < 0
        return found | ISOLATED | BANKRUPT if is_bankrupt else found
    return found | CROSS if without_coins_for_sale(h, m, free) + made < needed else found


@compiled
def without_coins_for_sale(h: Record, m: Record, free: int) -> Any:
    """Return what of a free wallet carries positions: coins that a spot order may sell at any moment do not.

    They are what is locked and is not of this asset's own positions.
    """
    if not m.flags & MARGIN_SELLS_SPOT:
        return free
    for_sale = m.locked
    for k in range(np.int64(m.slots)):
        for_sale -= positions(h, np.int64(m.base) + k).locked
    return free - min(for_sale, max(free, 0))


@compiled
def scan(h: Record, until: int, alone: bool) -> Any:
    """Look at the next slice of accounts and liquidate, while events stay below `until`: MORE, ALL or ROOM."""
    asset = np.int64(trailing_zeros(U(h.scan_assets)))
    begun, cursor = np.int64(h.scan_account), h.cursor
    begin: Any = max(begun, 1)
    last: Any = min(begin + SCAN_SLICE, np.int64(h.n_accounts) + 1)
    for account in range(begin, last):
        m = margin_of(h, asset, account)
        ahead = margin_of(h, asset, min(account + _AHEAD, np.int64(h.n_accounts)))
        prefetch_position(h, np.int64(ahead.base))
        if m.held == U(0):
            if m.wallet >= 0:
                continue
        elif shortage(h, m) == 0:
            continue
        done = take_care_of(h, asset, account, m, until, alone and h.cursor == cursor)
        if done != ALL:
            # To be applied again it has to find everything as it was.
            h.scan_account = begun if done == ROOM else account
            return done
    h.scan_account = last
    if last <= h.n_accounts:
        return MORE
    h.scan_account = 0
    h.scan_assets = np.int64(h.scan_assets) & ~(1 << asset)
    return ALL if h.scan_assets == 0 else MORE


@compiled
def take_care_of(h: Record, asset: int, account: int, m: Record, until: int, alone: bool) -> Any:
    """Liquidate an account that is short, or cover what a flat one owes; say what it came to."""
    if account == h.fund_account:
        return ALL
    events = 2 if m.held == U(0) else events_to_liquidate(h, m)
    fits = room_for(h, events, until, alone)
    if fits != ALL:
        return fits
    if m.held == U(0):
        cover(h, asset, account, m)
        return ALL
    if not fund_can_take(h, asset, m, shortage(h, m)):
        h.pending = np.int64(h.pending) | PENDING_ADL
        return MORE
    liquidate(h, account, asset, m)
    return ALL


@compiled
def fund_can_take(h: Record, asset: int, m: Record, short: int) -> bool:
    """Return whether the insurance account could take over an account's positions without falling below zero.

    What it holds on the other side would be closed against them and the difference realised at once: at
    most what it has lost on it at the mark, and what the account lacks. Where the fund cannot pay that,
    winners take what it holds first (adl_due); then nothing is realised.
    """
    fund = margin_of(h, asset, h.fund_account)
    left = cross_equity(h, m)
    lost, opposite = np.int64(0), False
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.qty == 0 or not concerns(h, p, short):
            continue
        ins = instruments(h, p.symbol)
        if p.leverage == 0:
            left += profit_at_mark(ins, p)
        else:
            lost += max(-(own_margin(ins, p) + profit_at_mark(ins, p)), 0)
        if is_opposite(h, fund, p):
            opposite = True
            fp = positions(h, find_position(fund, np.int64(p.symbol)))
            lost += max(-profit_at_mark(ins, fp), 0)
    if not opposite or fund.wallet >= lost + max(-left, 0):
        return True
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.qty != 0 and concerns(h, p, short) and is_opposite(h, fund, p):
            instruments(h, p.symbol).adl_due = 1
    return False


@compiled
def is_opposite(h: Record, fund: Record, p: Record) -> bool:
    """Return whether the insurance account holds the other side of a position's instrument."""
    index = find_position(fund, np.int64(p.symbol))
    if index == 0:
        return False
    qty = positions(h, index).qty
    return bool(qty != 0 and (qty > 0) != (p.qty > 0))


@compiled
def events_to_liquidate(h: Record, m: Record) -> Any:
    """Return how many events the liquidation of one account and asset may cause at most."""
    n_held, n_raised = np.int64(0), np.int64(0)
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.qty != 0:
            n_held += 1
            n_raised += 1 if p.tier != 0 else 0
    # Only what is above its base limit is reduced in the market first.
    crossing = events_to_cross(h, positions(h, np.int64(m.base)), FILLS_MAX) if n_raised != 0 else 0
    return count_orders(h, m) + n_held * EVENTS_PER_POSITION + n_raised * crossing + 8


# ---- the steps


@compiled
def liquidate(h: Record, account: int, asset: int, m: Record) -> None:
    """Take the steps for one account and asset until it is no longer short; in the end nothing is left to be."""
    lower_tiers(h, m, shortage(h, m), True)
    short = shortage(h, m)
    if short != 0:
        cancel_everything(h, m, short)
        lower_tiers(h, m, short, False)
        short = shortage(h, m)
    if short != 0:
        reduce_to_lower_tiers(h, m, short)
        short = shortage(h, m)
    if short != 0:
        take_over_short(h, m, short)
    if m.held == U(0):
        cover(h, asset, account, m)


@inline
def concerns(h: Record, p: Record, short: int) -> bool:
    """Return whether a shortage is this position's: an isolated one's own, or that of all cross ones."""
    if p.leverage == 0:
        return bool(short & CROSS)
    if not short & ISOLATED or p.qty == 0:
        return False
    ins = instruments(h, p.symbol)
    return bool(short & BANKRUPT or (is_live(h, ins) and isolated_is_short(h, ins, p)))


@compiled
def say_step(h: Record, p: Record, step: int) -> None:
    emit(h, _LIQUIDATION, 0, U(0), p.account, p.symbol, p.qty, step, np.int64(p.tier))


@compiled
def tier_for(ins: Record, exposure: int) -> Any:
    """Return the lowest risk tier that covers an exposure."""
    return udiv(max(exposure - ins.risk_base, 0) + ins.risk_step - 1, ins.risk_step)


@compiled
def lower_tiers(h: Record, m: Record, short: int, with_orders: bool) -> None:
    """Lower the risk limit of every short position to what it needs: that lowers its maintenance margin."""
    held = m.held
    while held != U(0):
        k = np.int64(trailing_zeros(held))
        held = held & (held - U(1))
        p = positions(h, np.int64(m.base) + k)
        if p.tier == 0 or not concerns(h, p, short):
            continue
        ins = instruments(h, p.symbol)
        exposure = worst_exposure(p, p.open_buys, p.open_sells) if with_orders else abs(p.cost)
        tier = tier_for(ins, exposure)
        if tier < p.tier:
            p.tier = tier
            relock(ins, m, p)
            say_step(h, p, _TIER_LOWERED)


@compiled
def cancel_everything(h: Record, m: Record, short: int) -> None:
    """Cancel all orders, untriggered ones too, of the instruments that are short; of cross accounts all."""
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.orders != 0 and instruments(h, p.symbol).state != _HALTED and concerns(h, p, short):
            cancel_orders(h, m, np.int64(p.symbol), 0, _BY_LIQUIDATION)
            say_step(h, p, _ORDERS_CANCELED)


@compiled
def reduce_to_lower_tiers(h: Record, m: Record, short: int) -> None:
    """Close in the market, all or nothing, what keeps a position above its base tier."""
    held = m.held
    while held != U(0):
        k = np.int64(trailing_zeros(held))
        held = held & (held - U(1))
        index = np.int64(m.base) + k
        p = positions(h, index)
        if p.qty != 0 and p.tier != 0 and concerns(h, p, short):
            reduce_one(h, m, p, index)


@compiled
def reduce_one(h: Record, m: Record, p: Record, index: int) -> None:
    ins = instruments(h, p.symbol)
    exposure, lots = abs(p.cost), lots_held(ins, p.qty)
    limit = ins.risk_base + (np.int64(p.tier) - 1) * ins.risk_step
    # Rounded up, so that what is left is not above the limit.
    excess = min(muldiv(exposure - limit, lots, exposure) + 1, lots)
    sell = 1 if p.qty > 0 else 0
    px = reach(ins, sell)
    qty = excess * ins.lot_size
    if excess <= 0 or reachable_qty(h, ins, sell, px, qty) < qty:
        return
    slot = open_order(h, ins, p, index, sell, px, qty)
    enter(h, ins, m, p, index, slot, orders(h, slot), px, qty, _FOK, False, True)
    if p.qty != 0:
        tier = tier_for(ins, abs(p.cost))
        if tier < p.tier:
            p.tier = tier
            relock(ins, m, p)
    say_step(h, p, _REDUCED)


@compiled
def open_order(h: Record, ins: Record, p: Record, index: int, sell: int, px: int, qty: int) -> Any:
    """Return the slot of a new order of the liquidation, accepted but not yet in the market."""
    now = h.sequence & 0xFFFFFFFF
    if h.free_order != 0 and orders(h, h.free_order).sequence == now:
        # An order of this very command had that slot: its handle would be used twice.
        slot = np.int64(h.n_orders)
        h.n_orders += 1
    else:
        slot = take_slot(h)
    o = orders(h, slot)
    o.sequence = now
    o.clid, o.position, o.symbol = U(0), index, ins.number
    o.leaves, o.filled, o.lot_value, o.shown, o.px = qty, 0, 0, 0, px
    o.display = SHOW_ALL
    o.flags = ORDER_SELL if sell else 0
    adopt(h, p, slot, o)
    emit(h, _ACCEPTED, _SELL_EVENT if sell else 0, handle_of(o, slot), p.account, ins.number, qty, px, 0)
    return slot


@compiled
def reachable_qty(h: Record, ins: Record, sell: int, limit: int, wanted: int) -> Any:
    """Return how much of `wanted` the first FILLS_MAX orders of the book hold within a limit price."""
    px = np.int64(ins.bid) if sell else np.int64(ins.ask)
    found, met = np.int64(0), 0
    while found < wanted and px > 0 and px <= ins.px_max and not ((px < limit) if sell else (px > limit)):
        level = levels(ins, px)
        for hidden in range(2):
            slot = np.int64(level.hidden_head) if hidden else np.int64(level.head)
            while slot != 0 and found < wanted and met < FILLS_MAX:
                o = orders(h, slot)
                found += o.leaves
                met += 2 if o.display != SHOW_ALL else 1
                slot = np.int64(o.next)
        if met >= FILLS_MAX:
            break
        px = previous_price(ins, 0, px) if sell else next_price(ins, 1, px)
    return min(found, wanted)


# ---- the take-over


@compiled
def take_over_short(h: Record, m: Record, short: int) -> None:
    """Hand what is short to the insurance account."""
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.leverage != 0 and concerns(h, p, short):
            ins = instruments(h, p.symbol)
            take_over(h, ins, m, p, np.int64(m.base) + k, -own_margin(ins, p))
    if shortage(h, m) & CROSS:
        if m.flags & MARGIN_CLASSIC:
            take_over_worst(h, m)
        else:
            take_over_cross(h, m)


@compiled
def cross_equity(h: Record, m: Record) -> Any:
    """Return what the cross positions have to lose: the wallet without isolated margins and coins for sale."""
    free = m.wallet
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.qty != 0 and p.leverage != 0:
            free -= own_margin(instruments(h, p.symbol), p)
    return without_coins_for_sale(h, m, free)


@compiled
def take_over_cross(h: Record, m: Record) -> None:
    """Take over all cross positions; together they lose exactly what there is to lose.

    What the marks have not lost yet is shared by maintenance margin; the last position bears the rest.
    """
    free = cross_equity(h, m)
    profit_sum: Any = np.int64(0)
    needed_sum: Any = np.int64(0)
    last: Any = np.int64(0)
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if p.qty != 0 and p.leverage == 0:
            ins = instruments(h, p.symbol)
            profit_sum += profit_at_mark(ins, p)
            needed_sum += maintenance(ins, p)
            last = k
    left = free + profit_sum
    gains = np.int64(0)
    for k in range(np.int64(m.slots)):
        index = np.int64(m.base) + k
        p = positions(h, index)
        if p.qty == 0 or p.leverage != 0:
            continue
        ins = instruments(h, p.symbol)
        if k == last:
            gain = -free - gains
        else:
            gain = profit_at_mark(ins, p) - muldiv(left, maintenance(ins, p), needed_sum)
        gains += take_over(h, ins, m, p, index, gain)


@compiled
def take_over_worst(h: Record, m: Record) -> None:
    """Classic cross: take over the position that loses most, until what is left is carried."""
    while shortage(h, m) & CROSS:
        worst: Any = np.int64(-1)
        loss: Any = np.int64(1)
        for k in range(np.int64(m.slots)):
            p = positions(h, np.int64(m.base) + k)
            if p.qty != 0 and p.leverage == 0:
                profit = profit_at_mark(instruments(h, p.symbol), p)
                if worst < 0 or profit < loss:
                    worst, loss = k, profit
        if worst < 0:
            return
        index = np.int64(m.base) + worst
        p = positions(h, index)
        take_over(
            h,
            instruments(h, p.symbol),
            m,
            p,
            index,
            -max(cross_equity(h, m) - kept_by_others(h, m, worst), 0),
        )


@compiled
def kept_by_others(h: Record, m: Record, but: int) -> Any:
    """Return what the other classic cross positions have lost and must keep: it is not this one's to lose."""
    kept: Any = np.int64(0)
    for k in range(np.int64(m.slots)):
        p = positions(h, np.int64(m.base) + k)
        if k != but and p.qty != 0 and p.leverage == 0:
            ins = instruments(h, p.symbol)
            kept += maintenance(ins, p) - min(profit_at_mark(ins, p), 0)
    return kept


@compiled
def value_of_gain(ins: Record, p: Record, gain: int) -> Any:
    """Return the value at which closing a position gains so much (negative: loses); never below zero."""
    rises = (p.qty > 0) != (ins.kind == INVERSE)
    return max(abs(p.cost) + gain if rises else abs(p.cost) - gain, 0)


@compiled
def take_over(h: Record, ins: Record, m: Record, p: Record, index: int, gain: int) -> Any:
    """Move a position to the insurance account at the value where its holder gains `gain`; return the gain."""
    value = value_of_gain(ins, p, gain)
    qty, sell = abs(p.qty), 1 if p.qty > 0 else 0
    before = m.wallet
    e = emit(h, _LIQUIDATION, 0, U(0), p.account, p.symbol, p.qty, _TAKEN_OVER, value)
    e.maker_amount = price_of_value(ins, qty, value)
    fill(h, ins, m, p, index, sell, qty, value)
    p.tier = 0
    relock(ins, m, p)
    fund = np.int64(h.fund_account)
    fm = margin_of(h, ins.settle, fund)
    fund_index = position_of(h, fm, fund, np.int64(ins.number))
    fp = positions(h, fund_index)
    if fp.orders != 0:
        # Its price was break-even before; what it is now, the next step says.
        cancel_orders(h, fm, np.int64(ins.number), 0, _BY_LIQUIDATION)
    fill(h, ins, fm, fp, fund_index, 1 - sell, qty, value)
    relock(ins, fm, fp)
    h.pending = np.int64(h.pending) | PENDING_WORK
    return m.wallet - before


@compiled
def price_of_value(ins: Record, qty: int, value: int) -> Any:
    """Return the price in subticks at which a quantity has this value, towards zero; at most the highest."""
    lots = lots_held(ins, qty)
    highest = np.int64(ins.px_max) * MARK_SUBTICKS
    if ins.kind == INVERSE:
        if value <= muldiv(ins.factor, lots, np.int64(ins.px_max)):
            return highest
        return min(muldiv(ins.factor * MARK_SUBTICKS, lots, value), highest)
    return min(muldiv(value, np.int64(MARK_SUBTICKS), ins.factor * lots), highest)


@compiled
def cover(h: Record, asset: int, account: int, m: Record) -> None:
    """Pay an account's deficit from the insurance fund, as far as the fund reaches: nobody is asked for it."""
    fund = margin_of(h, asset, h.fund_account)
    amount = min(-m.wallet, max(fund.wallet, 0))
    if amount <= 0:
        return
    m.wallet += amount
    fund.wallet -= amount
    touch_margin(m)
    emit(h, _COVERED, 0, U(0), account, asset, 0, 0, amount)

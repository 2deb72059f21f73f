"""What an account must lock, and whether it can afford more. Nothing here is remembered: all of it is worked out.

Source: docs/reference/contracts.md, "Margin", "Risk limits" and "Liquidation". All in settlement units.
"""

from typing import NamedTuple

from ringfence.assurance.shadow.accounts import Account, Position
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.messages.rejects import Reject
from ringfence.units.limits import ORDER_VALUE_MAX, POSITION_COST_MAX, RATE_E8
from ringfence.units.rounding import PPM, ceil_div

_SUM_MAX = 2**62
"""Sums of unrealised profit end here, on both sides."""
_E8_PER_PPM = RATE_E8 // PPM

# ---- rates


def maintenance_ppm(position: Position) -> int:
    return position.instrument.maintenance_ppm * (1 + position.tier)


def initial_ppm(position: Position) -> int:
    """Return the initial margin rate of the tier, or of the chosen leverage where that is higher."""
    instrument = position.instrument
    rate = instrument.initial_ppm + position.tier * instrument.maintenance_ppm
    return max(rate, ceil_div(100 * PPM, position.leverage)) if position.leverage else rate


def taker_ppm(instrument: Instrument) -> int:
    """Return the taker rate as margin counts it: a rebate is not counted on."""
    return max(instrument.taker_ppm, 0)


# ---- one position


def initial_margin(position: Position, exposure: int) -> int:
    return ceil_div(exposure * 100, position.leverage)


def exit_fee(position: Position, exposure: int) -> int:
    """Return the taker fee of leaving an isolated position at bankruptcy."""
    at_bankruptcy = exposure + initial_margin(position, exposure)
    return ceil_div(at_bankruptcy * taker_ppm(position.instrument), PPM)


def isolated_margin(position: Position, exposure: int) -> int:
    """Return what an isolated position of this exposure locks, beside what was transferred in."""
    return initial_margin(position, exposure) + exit_fee(position, exposure)


def own_margin(position: Position) -> int:
    """Return what an isolated position has to lose."""
    return isolated_margin(position, abs(position.cost)) + position.transferred


def maintenance_of(position: Position, exposure: int, *, is_long: bool) -> int:
    """Return the margin below which a position of this exposure is liquidated, with the funding it pays next."""
    rate = position.instrument.funding_rate_e8
    pays_e8 = max(rate if is_long else -rate, 0)
    needed = ceil_div(exposure * (maintenance_ppm(position) * _E8_PER_PPM + pays_e8), RATE_E8)
    return needed + exit_fee(position, exposure) if position.is_isolated else needed


def maintenance(position: Position) -> int:
    return maintenance_of(position, abs(position.cost), is_long=position.qty > 0)


def profit_at_mark(position: Position) -> int:
    """Return the unrealised profit of a position."""
    instrument = position.instrument
    value = instrument.value_at_mark(position.qty)
    if position.qty < 0:
        value = -value
    return position.cost - value if instrument.is_inverse else value - position.cost


def isolated_is_short(position: Position) -> bool:
    return own_margin(position) + profit_at_mark(position) < maintenance(position)


# ---- its orders


class Exposure(NamedTuple):
    """What the orders in the book of one position are worth; of spot asks the quantity."""

    buys: int
    sells: int

    def plus(self, added: int, *, sell: bool) -> "Exposure":
        return Exposure(self.buys, self.sells + added) if sell else Exposure(self.buys + added, self.sells)


def open_exposure(position: Position) -> Exposure:
    buys = sells = 0
    instrument = position.instrument
    for order in position.orders.values():
        if not order.in_book:
            continue
        if not order.sell:
            buys += instrument.value(order.px, order.leaves)
        elif instrument.is_spot:
            sells += order.leaves
        else:
            sells += instrument.value(order.px, order.leaves)
    return Exposure(buys, sells)


def worst_exposure(position: Position, orders: Exposure) -> int:
    """Return the exposure if all bids fill, or all asks, or nothing does."""
    return max(position.cost + orders.buys, orders.sells - position.cost, abs(position.cost))


def required(position: Position, orders: Exposure) -> int:
    """Return what a position locks with orders of this exposure."""
    instrument = position.instrument
    taker = taker_ppm(instrument)
    if instrument.is_spot:
        return orders.buys + ceil_div(orders.buys * taker, PPM)
    exposure = abs(position.cost)
    added = worst_exposure(position, orders) - exposure
    for_orders = ceil_div(added * (initial_ppm(position) + 2 * taker), PPM)
    if not position.is_isolated:
        return for_orders + ceil_div(exposure * maintenance_ppm(position), PPM)
    return for_orders + own_margin(position) if exposure else for_orders


def locked_by(position: Position) -> int:
    """Return what a position and its orders lock now."""
    if not position.orders and not position.cost:
        return 0
    return required(position, open_exposure(position))


# ---- all of an account's, in one asset


def locked(account: Account, asset: int) -> int:
    """Return what is locked: margins, and the coins that spot orders may spend."""
    total = sum(locked_by(position) for position in account.in_asset(asset).positions.values())
    return total + coins_for_sale(account, asset)


def coins_for_sale(account: Account, asset: int) -> int:
    """Return the coins that orders on spot markets may sell."""
    return sum(
        open_exposure(position).sells
        for holdings in account.assets.values()
        for position in holdings.positions.values()
        if position.instrument.is_spot and position.instrument.base == asset
    )


def unrealised(account: Account, asset: int) -> int:
    """Return the unrealised profit that cross positions share; of classic accounts only the losses."""
    total = 0
    for position in account.in_asset(asset).held():
        if not position.is_isolated:
            profit = profit_at_mark(position)
            total += min(profit, 0) if account.classic else profit
            total = min(max(total, -_SUM_MAX), _SUM_MAX)
    return total


def available(account: Account, asset: int) -> int:
    """Return what new orders and positions may lock."""
    return account.in_asset(asset).wallet + unrealised(account, asset) - locked(account, asset)


def withdrawable(account: Account, asset: int) -> int:
    """Return what may leave: unrealised losses count, unrealised profit does not."""
    return account.in_asset(asset).wallet + min(unrealised(account, asset), 0) - locked(account, asset)


# ---- may this order be


class Refusal(NamedTuple):
    reject: int
    figure: int


def loss_at_mark(instrument: Instrument, *, sell: bool, lots: int, per_lot: int) -> int:
    """Return what filling at this price would lose against the mark at once; never negative."""
    mark = instrument.lot_value_at(instrument.mark) if instrument.mark else 0
    premium = lots * (per_lot - mark)
    return max(-premium if instrument.is_inverse != sell else premium, 0)


def refusal(
    position: Position, *, sell: bool, px: int, qty: int, replaced: int = 0, locked_before: int | None = None
) -> Refusal | None:
    """Return why an order of this quantity, valued at this price, is refused; None if it is not.

    `replaced` is the exposure (spot asks: quantity) of the order that it takes the place of; `locked_before`
    what the position locked before, if orders were taken away for it. What adds no requirement is always
    affordable.
    """
    instrument, account = position.instrument, position.account
    lots, per_lot = instrument.lots(qty), instrument.lot_value(px)
    value = lots * per_lot
    if value > ORDER_VALUE_MAX or value == 0:
        return Refusal(Reject.INVALID_ORDER_QTY, 0)
    if instrument.is_spot:
        return _spot_refusal(position, sell=sell, value=value, qty=qty, replaced=replaced)
    now = open_exposure(position)
    then = now.plus(value - replaced, sell=sell)
    lock = required(position, then)
    lock_now = required(position, now)
    before = lock_now if locked_before is None else locked_before
    if lock <= before:
        return None
    if worst_exposure(position, then) > min(instrument.risk_limit(position.tier), POSITION_COST_MAX):
        return Refusal(Reject.RISK_LIMIT, 0)
    premium = loss_at_mark(instrument, sell=sell, lots=lots, per_lot=per_lot)
    # What was taken away for it is free again, so it counts on neither side.
    if available(account, instrument.settle) + lock_now < lock + premium:
        return Refusal(Reject.INSUFFICIENT_BALANCE, lock - before + premium)
    if position.is_isolated and _liquidates_at_once(position, value, premium, is_long=not sell):
        return Refusal(Reject.IMMEDIATE_LIQUIDATION, 0)
    return None


def _liquidates_at_once(position: Position, value: int, premium: int, *, is_long: bool) -> bool:
    """Return whether an isolated position opened at this price starts below its maintenance margin."""
    needed = maintenance_of(position, value, is_long=is_long)
    return isolated_margin(position, value) - premium < needed


def _spot_refusal(position: Position, *, sell: bool, value: int, qty: int, replaced: int) -> Refusal | None:
    """Spot spends coins that are there: unrealised profit does not count."""
    instrument = position.instrument
    if sell:
        need, asset = qty - replaced, instrument.base
    else:
        now = open_exposure(position)
        need = required(position, now.plus(value - replaced, sell=False)) - required(position, now)
        asset = instrument.settle
    if need > 0 and withdrawable(position.account, asset) < need:
        return Refusal(Reject.INSUFFICIENT_BALANCE, need)
    return None

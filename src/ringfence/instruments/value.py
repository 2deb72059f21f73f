"""What contracts are worth, in exact integers: the formulas of the reference page, once.

Values here are never negative: the *exposure* of a quantity in settlement units. A position's cost is
exposure with the sign of its quantity, for every kind of contract; only profit and the wire turn the
sign round for inverse contracts.

Twin: exchange/engine/arithmetic.py, margin.py, liquidation.py and deleveraging.py compute the same in
compiled code.
"""

from ringfence.instruments.specification import Instrument
from ringfence.units.limits import MARK_SUBTICKS, RATE_E8
from ringfence.units.rounding import PPM, ceil_div, muldiv, round_div


def lot_value(instrument: Instrument, px_ticks: int) -> int:
    """Return the settlement units of one lot at a price, rounded half up: rounding is per lot."""
    assert px_ticks > 0
    if instrument.is_inverse:
        return round_div(instrument.lot_value_factor, px_ticks)
    return instrument.lot_value_factor * px_ticks


def lot_value_at_mark(instrument: Instrument, mark_subticks: int) -> int:
    """Return the settlement units of one lot at a mark price in subticks, rounded half up."""
    assert mark_subticks > 0
    if instrument.is_inverse:
        return round_div(instrument.lot_value_factor * MARK_SUBTICKS, mark_subticks)
    return round_div(instrument.lot_value_factor * mark_subticks, MARK_SUBTICKS)


def order_value(instrument: Instrument, px_ticks: int, qty: int) -> int:
    """Return the exposure of `qty` contracts (whole lots) at a price."""
    lots, rest = divmod(qty, instrument.lot_size)
    assert rest == 0
    return lots * lot_value(instrument, px_ticks)


def mark_value(instrument: Instrument, mark_subticks: int, qty: int) -> int:
    """Return the signed exposure of a signed position at the mark."""
    lots = abs(qty) // instrument.lot_size
    exposure = lots * lot_value_at_mark(instrument, mark_subticks)
    return exposure if qty >= 0 else -exposure


def profit(instrument: Instrument, *, cost: int, value: int) -> int:
    """Return what a position that cost `cost` gains when it is worth `value`, both signed exposures."""
    return cost - value if instrument.is_inverse else value - cost


def fee(value: int, rate_ppm: int) -> int:
    """Return the fee on a value, half away from zero; negative is a rebate."""
    return round_div(value * rate_ppm, PPM)


def discounted_ppm(rate_ppm: int, percent: int) -> int:
    """Return a fee rate less a discount, rounded to the trader's favour; rebates are left alone."""
    return rate_ppm * (100 - percent) // 100 if rate_ppm > 0 else rate_ppm


def settlement_fee(instrument: Instrument, value: int) -> int:
    return ceil_div(value * instrument.settlement_fee_ppm, PPM)


def risk_tier(instrument: Instrument, risk_limit: int) -> int:
    """Return how many steps above its base a risk limit is, rounded up."""
    return max(0, ceil_div(risk_limit - instrument.risk_limit_base, instrument.risk_limit_step))


def maintenance_ppm(instrument: Instrument, tier: int) -> int:
    return instrument.maintenance_margin_ppm * (1 + tier)


def initial_ppm(instrument: Instrument, tier: int, leverage_hundredths: int) -> int:
    """Return the initial margin rate: the tier's, or that of the chosen leverage where it is higher."""
    rate = instrument.initial_margin_ppm + tier * instrument.maintenance_margin_ppm
    if leverage_hundredths == 0:
        return rate
    return max(rate, ceil_div(100 * PPM, leverage_hundredths))


def position_margin(
    instrument: Instrument, *, cost: int, tier: int, leverage_hundredths: int, transferred: int
) -> int:
    """Return what a position locks.

    Cross locks the maintenance margin only; isolated locks the initial margin, the taker fee of
    closing at bankruptcy, and what was transferred in. Rounded up.
    """
    exposure = abs(cost)
    if leverage_hundredths == 0:
        return ceil_div(exposure * maintenance_ppm(instrument, tier), PPM)
    if exposure == 0:
        return 0
    fee = exit_commission(instrument, cost, leverage_hundredths)
    return initial_margin(cost, leverage_hundredths) + fee + transferred


def order_margin(
    instrument: Instrument,
    *,
    cost: int,
    open_buys: int,
    open_sells: int,
    tier: int,
    leverage_hundredths: int,
) -> int:
    """Return what open orders lock beside the position: the worse of all bids and all asks filling.

    Orders that reduce the position need nothing; the rest is charged initial margin and the taker
    fee both ways. Rounded up.
    """
    worst = max(cost + open_buys, open_sells - cost, abs(cost))
    rate = initial_ppm(instrument, tier, leverage_hundredths) + 2 * max(instrument.taker_fee_ppm, 0)
    return ceil_div((worst - abs(cost)) * rate, PPM)


# ---- liquidation and what comes after it


def initial_margin(cost: int, leverage_hundredths: int) -> int:
    """Return an isolated position's initial margin (posInit), rounded up; 0 for cross."""
    return ceil_div(abs(cost) * 100, leverage_hundredths) if leverage_hundredths else 0


def exit_commission(instrument: Instrument, cost: int, leverage_hundredths: int) -> int:
    """Return the taker fee of leaving an isolated position at bankruptcy (posComm), rounded up; 0 for cross."""
    if not leverage_hundredths:
        return 0
    exposure = abs(cost) + initial_margin(cost, leverage_hundredths)
    return ceil_div(exposure * max(instrument.taker_fee_ppm, 0), PPM)


def maintenance_share(cost: int, *, rate_ppm: int, funding_e8: int = 0) -> int:
    """Return the maintenance margin of a cost, with the funding that it will pay, rounded up.

    `funding_e8` is the rate with the position's sign; what it would receive does not count.
    """
    return ceil_div(abs(cost) * (rate_ppm * (RATE_E8 // PPM) + max(funding_e8, 0)), RATE_E8)


def maintenance_margin(
    instrument: Instrument, *, cost: int, tier: int, leverage_hundredths: int, funding_e8: int = 0
) -> int:
    """Return the margin below which the engine liquidates a position (posMaint).

    `funding_e8` is the rate that is paid next, with the sign of the wire. An isolated position keeps the fee
    of closing at bankruptcy as well. Twin: engine/margin.py, `maintenance`.
    """
    paid = funding_e8 if cost > 0 else -funding_e8
    needed = maintenance_share(cost, rate_ppm=maintenance_ppm(instrument, tier), funding_e8=paid)
    return needed + exit_commission(instrument, cost, leverage_hundredths)


def value_of_gain(instrument: Instrument, *, cost: int, gain: int) -> int:
    """Return the exposure at which closing a position gains so much (negative: loses); may be below zero."""
    rises = (cost > 0) != instrument.is_inverse
    return abs(cost) + gain if rises else abs(cost) - gain


def ticks_of_value(instrument: Instrument, *, qty: int, value: int) -> int | None:
    """Return the price at which a position has this exposure: up to a tick for longs, down for shorts.

    That is against the holder. None if no price of the book is that value.
    """
    lots = abs(qty) // instrument.lot_size
    if not lots or value <= 0:
        return None
    top, bottom = instrument.lot_value_factor * lots, value
    if not instrument.is_inverse:
        top, bottom = bottom, top
    ticks = ceil_div(top, bottom) if qty > 0 else top // bottom
    return ticks if 1 <= ticks <= instrument.px_ticks_max else None


def rank_key(instrument: Instrument, *, cost: int, value: int, gain: int, margin: int) -> int:
    """Return what orders the queue of deleveraging: profit per cost times effective leverage, in ppm.

    In loss it is divided by the leverage instead. `value` is the exposure at the mark, `margin` what the
    position has to lose before profit. Twin: engine/deleveraging.py, `rank_key`.
    """
    ratio = muldiv(gain, PPM, max(abs(cost), 1))
    leverage = min(max(muldiv(value, PPM, max(margin + gain, 1)), 1), _KEY_MAX)
    if gain > 0:
        return min(muldiv(ratio, min(leverage, _KEY_MAX // PPM), PPM), _KEY_MAX)
    return muldiv(ratio, PPM, leverage)


def quintile(part: int, whole: int) -> float:
    """Return the fifth in which a share falls, counted up: 0.2, 0.4 ... 1."""
    return ceil_div(5 * part, whole) / 5


_KEY_MAX = 2**60

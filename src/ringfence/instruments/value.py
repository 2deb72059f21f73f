"""What contracts are worth, in exact integers: the formulas of the reference page, once.

Values here are never negative: the *exposure* of a quantity in settlement units. A position's cost is
exposure with the sign of its quantity, for every kind of contract; only profit and the wire turn the
sign round for inverse contracts.

Twin: exchange/engine/arithmetic.py and margin.py compute the same in compiled code.
"""

from ringfence.instruments.specification import Instrument
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.rounding import PPM, ceil_div, round_div


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
    initial = ceil_div(exposure * 100, leverage_hundredths)
    return initial + ceil_div((exposure + initial) * instrument.taker_fee_ppm, PPM) + transferred


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

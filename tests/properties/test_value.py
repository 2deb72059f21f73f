"""What contracts are worth, in fractions: each formula of `instruments/value` written again without a rounding."""

from fractions import Fraction
from math import ceil, floor

from hypothesis import given
from hypothesis import strategies as st

from ringfence.instruments import value as of
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.specification import Instrument
from ringfence.testing.play import START_NS
from ringfence.units.limits import MARK_SUBTICKS, RATE_E8
from ringfence.units.rounding import PPM

CONTRACTS = [instrument for instrument in start_instruments(START_NS) if instrument.is_contract]
contracts = st.sampled_from(CONTRACTS)
prices, costs = st.integers(1, 2**22), st.integers(-(2**50), 2**50) | st.integers(-3, 3)
leverages = st.just(0) | st.integers(1, 10_000)
amounts = st.integers(0, 2**50)


def nearest(exact: Fraction) -> int:
    """Return a value that is not negative rounded half up."""
    return floor(exact + Fraction(1, 2))


def towards_zero(exact: Fraction) -> int:
    return floor(exact) if exact >= 0 else ceil(exact)


@given(contracts, prices, st.integers(-10_000, 10_000))
def test_a_position_is_worth_its_lots_each_rounded(instrument: Instrument, px: int, lots: int) -> None:
    factor, qty = Fraction(instrument.lot_value_factor), lots * instrument.lot_size
    lot = nearest(factor / px if instrument.is_inverse else factor * px)
    assert of.lot_value(instrument, px) == lot
    assert of.order_value(instrument, px, abs(qty)) == abs(lots) * lot
    mark = Fraction(px, MARK_SUBTICKS)
    at_mark = nearest(factor / mark if instrument.is_inverse else factor * mark)
    assert of.lot_value_at_mark(instrument, px) == at_mark
    assert of.mark_value(instrument, px, qty) == lots * at_mark


@given(contracts, costs, costs)
def test_longs_gain_when_the_price_rises(instrument: Instrument, cost: int, value: int) -> None:
    rises = value - cost
    assert of.profit(instrument, cost=cost, value=value) == (-rises if instrument.is_inverse else rises)


@given(contracts, amounts, st.integers(-5_000, 5_000), st.integers(0, 100))
def test_fees(instrument: Instrument, value: int, rate: int, percent: int) -> None:
    whole = nearest(Fraction(value * abs(rate), PPM))
    assert of.fee(value, rate) == (whole if rate >= 0 else -whole)
    assert of.discounted_ppm(rate, percent) == (
        rate if rate <= 0 else floor(Fraction(rate * (100 - percent), 100))
    )
    assert of.settlement_fee(instrument, value) == ceil(Fraction(value * instrument.settlement_fee_ppm, PPM))


@given(contracts, st.integers(0, 40), st.integers(-3, 3), leverages)
def test_tiers_and_rates(instrument: Instrument, steps: int, more: int, leverage: int) -> None:
    limit = instrument.risk_limit_base + steps * instrument.risk_limit_step + more
    assert of.risk_tier(instrument, limit) == max(0, steps + (more > 0))
    assert of.maintenance_ppm(instrument, steps) == instrument.maintenance_margin_ppm * (steps + 1)
    of_tier = instrument.initial_margin_ppm + steps * instrument.maintenance_margin_ppm
    chosen = ceil(Fraction(PPM) / Fraction(leverage, 100)) if leverage else 0
    assert of.initial_ppm(instrument, steps, leverage) == max(of_tier, chosen)


@given(contracts, costs, st.integers(0, 10), leverages, st.integers(0, 10**9))
def test_what_a_position_locks(
    instrument: Instrument, cost: int, tier: int, leverage: int, transferred: int
) -> None:
    exposure, taker = Fraction(abs(cost)), Fraction(instrument.taker_fee_ppm, PPM)
    initial = ceil(exposure / Fraction(leverage, 100)) if leverage else 0
    leaving = ceil((exposure + initial) * max(taker, Fraction(0))) if leverage else 0
    assert of.initial_margin(cost, leverage) == initial
    assert of.exit_commission(instrument, cost, leverage) == leaving
    kept = of.position_margin(
        instrument, cost=cost, tier=tier, leverage_hundredths=leverage, transferred=transferred
    )
    if leverage == 0:
        assert kept == ceil(exposure * instrument.maintenance_margin_ppm * (1 + tier) / PPM)
    else:
        assert kept == (initial + leaving + transferred if cost else 0)


@given(contracts, costs, st.integers(0, 10), leverages, st.integers(-(10**6), 10**6))
def test_what_keeps_a_position_from_liquidation(
    instrument: Instrument, cost: int, tier: int, leverage: int, funding: int
) -> None:
    pays = max(funding if cost > 0 else -funding, 0)
    rate = Fraction(instrument.maintenance_margin_ppm * (1 + tier), PPM) + Fraction(pays, RATE_E8)
    needed = of.maintenance_margin(
        instrument, cost=cost, tier=tier, leverage_hundredths=leverage, funding_e8=funding
    )
    assert needed == ceil(abs(cost) * rate) + of.exit_commission(instrument, cost, leverage)


@given(contracts, costs, amounts, amounts, st.integers(0, 10), leverages)
def test_what_open_orders_lock(
    instrument: Instrument, cost: int, buys: int, sells: int, tier: int, leverage: int
) -> None:
    exposures = [abs(cost), cost + buys, -(cost - sells)]
    rate = of.initial_ppm(instrument, tier, leverage) + 2 * max(instrument.taker_fee_ppm, 0)
    found = of.order_margin(
        instrument, cost=cost, open_buys=buys, open_sells=sells, tier=tier, leverage_hundredths=leverage
    )
    assert found == ceil(Fraction((max(exposures) - abs(cost)) * rate, PPM))


@given(contracts, st.integers(1, 10_000), st.booleans(), prices)
def test_the_price_of_a_value_is_the_next_tick_against_the_holder(
    instrument: Instrument, lots: int, long: bool, value: int
) -> None:
    exact = Fraction(instrument.lot_value_factor * lots, value)
    exact = exact if instrument.is_inverse else 1 / exact
    ticks = ceil(exact) if long else floor(exact)
    qty = lots * instrument.lot_size * (1 if long else -1)
    there = ticks if 1 <= ticks <= instrument.px_ticks_max else None
    assert of.ticks_of_value(instrument, qty=qty, value=value) == there
    assert of.ticks_of_value(instrument, qty=qty, value=0) is None
    assert of.ticks_of_value(instrument, qty=0, value=value) is None


@given(contracts, prices, st.booleans())
def test_the_ends_of_the_ladder_are_prices(instrument: Instrument, lots: int, long: bool) -> None:
    """A position of the value that it has at an end of the ladder is there, and beyond it nowhere."""
    if instrument.is_inverse:
        return
    qty = lots * instrument.lot_size * (1 if long else -1)
    for ticks, there in (
        (1, 1),
        (instrument.px_ticks_max, instrument.px_ticks_max),
        (instrument.px_ticks_max + 1, None),
    ):
        value = instrument.lot_value_factor * lots * ticks
        assert of.ticks_of_value(instrument, qty=qty, value=value) == there


@given(contracts, costs, st.integers(-(2**50), 2**50))
def test_which_exposure_a_gain_needs(instrument: Instrument, cost: int, gain: int) -> None:
    rises = (cost > 0) != instrument.is_inverse
    assert of.value_of_gain(instrument, cost=cost, gain=gain) == abs(cost) + (gain if rises else -gain)


@given(contracts, costs, amounts, st.integers(-(2**40), 2**40), amounts)
def test_who_is_deleveraged_first(
    instrument: Instrument, cost: int, value: int, gain: int, margin: int
) -> None:
    ratio = towards_zero(Fraction(gain * PPM, max(abs(cost), 1)))
    leverage = min(max(towards_zero(Fraction(value * PPM, max(margin + gain, 1))), 1), 2**60)
    found = of.rank_key(instrument, cost=cost, value=value, gain=gain, margin=margin)
    if gain > 0:
        assert found == min(ratio * min(leverage, 2**60 // PPM) // PPM, 2**60)
    else:
        assert found == towards_zero(Fraction(ratio * PPM, leverage))


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_fifths(part: int, whole: int) -> None:
    part = min(part, whole)
    assert of.quintile(part, whole) == ceil(Fraction(5 * part, whole)) / 5

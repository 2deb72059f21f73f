"""The figures that BitMEX publishes come out of our formulas (bitmex-spec B2, B5, B6, B11, B15)."""

import msgspec
import pytest

from ringfence.exchange.projections.market import Market
from ringfence.exchange.projections.positions import Margin, Position
from ringfence.exchange.projections.ranking import Ranking
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.fee_tiers import FEE_TIERS, tier_of
from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import (
    discounted_ppm,
    exit_commission,
    initial_margin,
    maintenance_share,
    mark_value,
    order_value,
    position_margin,
    profit,
    quintile,
    ticks_of_value,
    value_of_gain,
)
from ringfence.messages.commands import InstrumentState
from ringfence.testing.play import START_NS
from ringfence.units.assets import XBT
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.time import NS_PER_DAY, NS_PER_HOUR

LISTED = {instrument.symbol: instrument for instrument in start_instruments(START_NS)}
# ETHUSDT as it was in the sample of an isolated linear position.
ETHUSDT = msgspec.structs.replace(LISTED["ETHUSDT"], maintenance_margin_ppm=10_000, initial_margin_ppm=20_000)
XBTUSD = LISTED["XBTUSD"]
QTY, COST, LEVERAGE = 2_000, 39_260_000, 300
"""2000 contracts of 0.01 mETH at 1963: 39.26 USDT, three times leveraged."""


def price_of_gain(of: Instrument, *, qty: int, cost: int, gain: int) -> float:
    ticks = ticks_of_value(of, qty=qty, value=value_of_gain(of, cost=cost, gain=gain))
    assert ticks is not None
    return of.price(ticks)


def test_an_isolated_linear_position() -> None:
    assert order_value(ETHUSDT, 1963 * 20, QTY) == COST
    initial = initial_margin(COST, LEVERAGE)
    commission = exit_commission(ETHUSDT, COST, LEVERAGE)
    needed = maintenance_share(COST, rate_ppm=10_000, funding_e8=10_000) + commission
    assert (initial, commission, needed) == (13_086_667, 39_261, 435_787)
    margin = position_margin(ETHUSDT, cost=COST, tier=0, leverage_hundredths=LEVERAGE, transferred=0)
    assert margin == initial + commission
    assert price_of_gain(ETHUSDT, qty=QTY, cost=COST, gain=needed - margin) == 1328.5
    assert price_of_gain(ETHUSDT, qty=QTY, cost=COST, gain=commission - margin) == 1308.7
    # A fraction of a tick above the exact prices, against the holder of a long.
    assert COST - (margin - needed) == pytest.approx(1328.49 * QTY * 10, abs=100)
    assert COST - (margin - commission) == pytest.approx(1308.67 * QTY * 10, abs=100)
    value = mark_value(ETHUSDT, round(1964.195 * 20 * MARK_SUBTICKS), QTY)
    assert value == 39_283_900
    assert profit(ETHUSDT, cost=COST, value=value) == 23_900
    assert margin + 23_900 == 13_149_828


def test_an_inverse_position() -> None:
    """Its posComm of 694 is not explained by any formula (spec, D1); with it the rest follows."""
    cost = 912_269
    assert initial_margin(cost, 10_000) == 9_123
    assert exit_commission(XBTUSD, cost, 10_000) == 692
    assert maintenance_share(cost, rate_ppm=3_500) + 694 == 3_887
    value = mark_value(XBTUSD, (43_772 * 10) * MARK_SUBTICKS, 400)
    assert value == 913_828
    assert profit(XBTUSD, cost=cost, value=value) == -1_559
    half = msgspec.structs.replace(XBTUSD, tick_units=5, px_ticks_max=2_000_000)
    assert price_of_gain(half, qty=400, cost=cost, gain=684) == 43_880


def test_a_cross_position_of_the_new_margin_system() -> None:
    cost = 8_639_330
    assert maintenance_share(cost, rate_ppm=5_000, funding_e8=10_000) == 44_061
    assert exit_commission(LISTED["XBTUSDT"], cost, 0) == initial_margin(cost, 0) == 0
    assert price_of_gain(LISTED["XBTUSDT"], qty=100, cost=cost, gain=4_320) == 86_436.5


def test_longs_round_up_and_shorts_down_and_what_cannot_be_reached_is_none() -> None:
    assert ticks_of_value(XBTUSD, qty=100, value=9_999_999) == 10_001
    assert ticks_of_value(XBTUSD, qty=-100, value=9_999_999) == 10_000
    linear = LISTED["XBTUSDT"]
    factor = linear.lot_value_factor
    assert ticks_of_value(linear, qty=100, value=factor * 500 + 1) == 501
    assert ticks_of_value(linear, qty=-100, value=factor * 500 + 1) == 500
    for value in (0, -5, 1):
        assert ticks_of_value(XBTUSD, qty=-100, value=value) is None
    assert ticks_of_value(linear, qty=100, value=-1) is None
    assert ticks_of_value(linear, qty=-100, value=factor * (linear.px_ticks_max + 1)) is None


def test_the_published_quintiles() -> None:
    quantities = (10, 20, 30, 10, 10, 20)
    sums = [sum(quantities[: k + 1]) for k in range(6)]
    assert [quintile(part, 100) for part in sums] == [0.2, 0.4, 0.6, 0.8, 0.8, 1.0]


class Held:
    def __init__(self, qty: int, rank_key: int) -> None:
        self.qty, self.rank_key = qty, rank_key


def test_the_first_in_the_queue_of_a_side_has_percentile_one() -> None:
    ranking = Ranking()
    longs = [Held(qty, -index) for index, qty in enumerate((20, 10, 10, 30, 20, 10))]
    for account, held in enumerate([*longs, Held(-500, 10**9)]):
        ranking.note(account, held)
    assert [ranking.percentile(held, 1) for held in longs] == [1.0, 0.8, 0.8, 0.6, 0.4, 0.2][:1] + [
        quintile(part, 100) for part in (80, 70, 60, 30, 10)
    ]
    assert ranking.percentile(Held(-500, 10**9), 1) == 1.0
    assert ranking.percentile(Held(0, 0), 1) is None


def test_everybody_is_ranked_at_most_once_a_second() -> None:
    ranking = Ranking()
    first, second = Held(10, 5), Held(10, 1)
    ranking.note(1, first)
    ranking.note(2, second)
    assert ranking.percentile(first, 10**9) == 1.0
    second.rank_key = 9
    assert ranking.percentile(first, 10**9 + 1) == 1.0
    assert ranking.percentile(second, 10**9 + 1) == 1.0, "its own key is the present one"
    assert ranking.percentile(first, 2 * 10**9) == 0.6


def market_of(of: Instrument, mark: float) -> Market:
    market = Market(of)
    market.state = InstrumentState.OPEN
    market.mark_subticks = round(mark * MARK_SUBTICKS * 10**of.tick_decimals / of.tick_units)
    return market


def test_the_basis_of_a_perpetual_is_its_funding_a_year() -> None:
    market = market_of(XBTUSD, 97_849.7)
    market.set_funding_interval(8 * NS_PER_HOUR, START_NS)
    for rate, yearly in ((11_000, 0.12045), (59_700, 0.653715)):
        market.take_funding(rate_e8=rate, next_rate_e8=0, next_ns=market.funding_ns)
        row = market.row()
        assert (row["fundingRate"], row["fairBasisRate"]) == (rate / 1e8, yearly)
    assert row["fundingTimestamp"][11:] in ("04:00:00.000Z", "12:00:00.000Z", "20:00:00.000Z")
    assert row["fundingInterval"] == "2000-01-01T08:00:00.000Z"
    market.basis_subticks = round(5.98 * 1000)
    market.index_units = 978_437_700
    assert market.row()["fairBasis"] == 5.98


def test_the_basis_of_a_future_is_a_yearly_rate() -> None:
    of = next(i for i in LISTED.values() if i.expiry_ns)
    market = market_of(of, 102.0)
    market.basis_subticks = 2 * 2 * MARK_SUBTICKS
    assert of.expiry_ns is not None
    market.timestamp_ns = of.expiry_ns - 73 * NS_PER_DAY
    assert market.row()["fairBasisRate"] == pytest.approx(0.02 * 5)
    assert market.row()["fundingRate"] is None


def test_a_payment_is_told_when_the_next_one_is_announced() -> None:
    market = market_of(XBTUSD, 1000)
    market.set_funding_interval(8 * NS_PER_HOUR, START_NS)
    due = market.funding_ns
    assert market.take_funding(rate_e8=10_000, next_rate_e8=5_000, next_ns=due) is None
    paid = market.take_funding(rate_e8=5_000, next_rate_e8=0, next_ns=due + 8 * NS_PER_HOUR)
    assert paid is not None
    row = paid.row()
    assert (row["fundingRate"], row["fundingRateDaily"]) == (0.0001, 0.0003)
    assert row["timestamp"].endswith(("04:00:00.000Z", "12:00:00.000Z", "20:00:00.000Z"))


def test_the_last_price_is_held_within_the_band_around_the_mark() -> None:
    market = market_of(XBTUSD, 1000)
    market.last_px = 9_000
    assert market.row()["lastPriceProtected"] == 950.0
    market.last_px = 10_100
    assert market.row()["lastPriceProtected"] == 1010.0


def position_of(margin: Margin, market: Market, *, qty: int, px: float, leverage: int) -> Position:
    position = Position(1, market.instrument, market)
    margin.positions.append(position)
    position.leverage = leverage
    ticks = round(px * 10**market.instrument.tick_decimals / market.instrument.tick_units)
    value = order_value(market.instrument, ticks, abs(qty))
    position.fill(qty, value if qty > 0 else -value)
    return position


def test_a_cross_position_without_danger_has_prices_of_zero() -> None:
    margin = Margin(1, XBT)
    margin.wallet = 100 * 10**8
    position = position_of(margin, market_of(XBTUSD, 1000), qty=-100, px=1000, leverage=0)
    row = position.row(margin)
    assert (row["liquidationPrice"], row["bankruptPrice"], row["marginCallPrice"]) == (0.0, 0.0, 0.0)
    position.fill(100, 10_000_000)
    assert position.row(margin)["liquidationPrice"] is None


def test_cross_positions_stand_for_each_other() -> None:
    """What one wins, another may lose; on classic accounts only what one loses."""
    margin = Margin(1, XBT)
    margin.wallet = 10**8
    market = market_of(XBTUSD, 1000)
    position = position_of(margin, market, qty=10_000, px=1000, leverage=0)
    alone = position.row(margin)["liquidationPrice"]
    eth = position_of(margin, market_of(LISTED["ETHUSD"], 110), qty=1_000, px=100, leverage=0)
    assert eth.unrealised > 0
    eth_upkeep = eth.maintenance
    backing, needed = margin.cross_backing(position)
    assert (backing, needed) == (10**8 + eth.unrealised, position.maintenance + eth_upkeep)
    margin.is_classic = True
    assert margin.cross_backing(position) == (10**8, needed)
    assert position.row(margin)["liquidationPrice"] >= alone


def test_margin_rows_add_up() -> None:
    margin = Margin(1, XBT)
    margin.wallet = 10**9
    market = market_of(XBTUSD, 1010)
    position_of(margin, market, qty=10_000, px=1000, leverage=1_000)
    position_of(margin, market_of(LISTED["ETHUSD"], 99), qty=1_000, px=100, leverage=0)
    row = margin.row()
    assert row["marginBalance"] == row["walletBalance"] + row["unrealisedPnl"]
    assert row["excessMargin"] == row["marginBalance"] - row["maintMargin"] - row["initMargin"]
    assert row["availableMargin"] == max(0, row["excessMargin"]) == margin.available
    assert row["maintMargin"] == sum(p.row(margin)["maintMargin"] for p in margin.positions)
    used = (row["maintMargin"] + row["initMargin"]) / row["marginBalance"]
    assert row["marginUsedPcnt"] == round(used, 4)
    assert row["riskValue"] == sum(p.row(margin)["riskValue"] for p in margin.positions)


def test_what_closing_realises_stays_together() -> None:
    """The fee and the profit of the last fill, and what was realised before, are one figure."""
    position = position_of(Margin(1, XBT), market_of(XBTUSD, 1000), qty=200, px=1000, leverage=0)
    position.realise(-100)
    position.fill(-100, -10_000_000)
    position.realise(70)
    position.fill(-100, -10_000_000)
    position.realise(-5)
    position.realise(3)
    assert (position.realised, position.prev_realised) == (0, -100 + 70 - 5 + 3)


def test_fee_tiers() -> None:
    assert tier_of(0) == tier_of(FEE_TIERS[0].usd_min * 100 - 1) == 0
    assert tier_of(FEE_TIERS[0].usd_min * 100) == 1
    assert tier_of(10**18) == 6
    assert discounted_ppm(750, 5) == 712
    assert discounted_ppm(-100, 50) == -100

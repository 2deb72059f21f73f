"""Index, mark and funding, as a trader reads them. Prices in dollars, rates in per cent."""

import pytest

from ringfence.messages.commands import IndexStatus
from ringfence.messages.events import Event
from ringfence.testing.market import FUTURE, INSTRUMENTS, Market, kinds
from ringfence.units.time import NS_PER_HOUR

PERPETUAL = INSTRUMENTS["XBTUSD"]


def mark_of(market: Market, symbol: str) -> float:
    of = INSTRUMENTS[symbol]
    return of.mark_price(int(market.engine.instrument(of.number)["mark"]))


def rate_of(market: Market) -> float:
    return int(market.engine.instrument(PERPETUAL.number)["funding_rate_e8"]) / 1e6


def to_next_funding(market: Market) -> float:
    return (int(market.engine.instrument(PERPETUAL.number)["next_funding_ns"]) - market.now_ns) / 1e9


@pytest.mark.parametrize(
    ("rate_percent", "hours_left", "index", "mark"),
    [
        (0.0, 4.0, 10_000, 10_000.0),
        (0.01, 8.0, 10_000, 10_001.0),
        (0.01, 4.0, 10_000, 10_000.5),
        (-0.375, 8.0, 10_000, 9_962.5),
        (0.01, 1e-6, 10_000, 10_000.0),
        # The published row: 97843.77 x 0.011 % x 4.44 h / 8 h = 5.98 (BitMEX shows 5.99).
        (0.011, 4.44, 97_843.77, 97_849.743),
    ],
)
def test_a_perpetual_is_marked_at_its_index_and_what_funding_is_still_to_come(
    rate_percent: float, hours_left: float, index: float, mark: float
) -> None:
    market = Market()
    next_ns = market.now_ns + round(hours_left * NS_PER_HOUR)
    market.pretend("XBTUSD", funding_rate_e8=round(rate_percent * 1e6), next_funding_ns=next_ns)
    market.index(".BXBT", index)
    assert mark_of(market, "XBTUSD") == pytest.approx(mark, abs=0.002)


def test_without_a_live_index_the_last_mark_stands() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    before = mark_of(market, "XBTUSD")
    assert kinds(market.index(".BXBT", 12_000, status=IndexStatus.FROZEN)) == ["INDEXED"]
    assert mark_of(market, "XBTUSD") == before


@pytest.mark.parametrize(
    ("bid", "ask", "basis_percent_a_year"),
    [
        (10_100, 10_110, 1.05 * 365 / 90),  # the middle is 1.05 % above the index, 90 days to go
        (10_000, 10_400, 0.0),  # wider than the maintenance margin: not liquid, the old basis stands
    ],
)
def test_a_future_is_marked_with_the_yearly_basis_of_a_liquid_book(
    bid: float, ask: float, basis_percent_a_year: float
) -> None:
    market = Market()
    of = INSTRUMENTS[FUTURE]
    assert of.expiry_ns is not None
    market.now_ns = of.expiry_ns - 90 * 24 * NS_PER_HOUR
    market.index(".BXBT", 10_000)
    market.order(1, FUTURE, 300_000, bid)
    market.order(2, FUTURE, -300_000, ask)
    market.now_ns += 31 * 10**9
    market.index(".BXBT", 10_000)
    basis = int(market.engine.instrument(of.number)["basis_e8"]) / 1e6
    assert basis == pytest.approx(basis_percent_a_year, abs=0.01)
    assert mark_of(market, FUTURE) == pytest.approx(10_000 * (1 + basis / 100 * 90 / 365), abs=0.1)


@pytest.mark.parametrize(
    ("bid", "ask", "announced_percent"),
    [
        (None, None, 0.01),  # no premium: the interest
        (10_002, None, 0.01),  # 0.02 % above: inside the clamp, still the interest
        (10_010, None, 0.1 - 0.05),  # 0.1 % above: the premium less what the clamp takes
        (10_020, None, 0.2 - 0.05),
        (None, 9_980, -0.2 + 0.05),
        (10_400, None, 0.375),  # capped at three quarters of initial less maintenance margin
        (None, 9_600, -0.375),
    ],
)
def test_the_rate_is_premium_plus_clamped_interest_and_capped(
    bid: float | None, ask: float | None, announced_percent: float
) -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    if bid:
        market.order(1, "XBTUSD", 100_000, bid)
    if ask:
        market.order(1, "XBTUSD", -100_000, ask)
    market.pretend("XBTUSD", premium_sum_e8=0, premium_count=0)  # the empty book before is not of interest
    for _ in range(3):
        market.after(60)
        market.index(".BXBT", 10_000)
    market.after(to_next_funding(market))
    assert rate_of(market) == pytest.approx(announced_percent, abs=0.0001)
    assert abs(rate_of(market)) <= 0.375


def test_longs_pay_shorts_to_the_last_satoshi_and_rounding_has_a_name() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    for buyer, seller, qty in ((1, 2, 100_000), (3, 4, 300), (5, 4, 700)):
        market.trade(buyer, seller, "XBTUSD", qty, 10_000)
    market.pretend("XBTUSD", funding_rate_e8=12_300)
    market.after(to_next_funding(market))
    paid = {e.account: e.amount for e in market.history if e.kind == Event.FUNDED}
    # 100,000 USD are 10 XBT at 10,000; 0.0123 % of them are 123,000 XBt.
    assert paid == {1: -123_000, 2: 123_000, 3: -369, 4: 1_230, 5: -861}
    assert sum(paid.values()) == 0
    market.pretend("XBTUSD", funding_rate_e8=10_001)
    market.history.clear()
    market.index(".BXBT", 9_999.5)
    market.after(to_next_funding(market))
    paid = {e.account: e.amount for e in market.history if e.kind == Event.FUNDED}
    assert sum(paid.values()) == 0
    assert 0 < paid[market.fund] <= 5, "payers round up, receivers down; the rest is the insurance fund's"


def test_who_is_flat_at_the_instant_pays_nothing() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    market.trade(1, 2, "XBTUSD", 1_000, 10_000)
    market.pretend("XBTUSD", funding_rate_e8=10_000)
    market.trade(2, 1, "XBTUSD", 1_000, 10_000)
    market.after(to_next_funding(market))
    assert Event.FUNDED not in [e.kind for e in market.history]

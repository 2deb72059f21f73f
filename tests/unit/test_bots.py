"""The maker's ladder: from any orders to those that are wanted, without crossing and without churn."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.daemons.bots.contract import Contract
from ringfence.daemons.bots.ladder import LEVELS, Change, Quote, best_bid_level, changes, wanted

QUANTITIES = [100 * (k + 2) for k in range(LEVELS)]
STEP = 10


def ladder(level: int) -> dict[tuple[bool, int], int]:
    return wanted(bid_level=level, ask_level=level + 1, step=STEP, bid_qty=QUANTITIES, ask_qty=QUANTITIES)


def quotes_of(want: dict[tuple[bool, int], int]) -> list[Quote]:
    return [Quote(f"{side}", is_sell=side[0], px=side[1], leaves=qty) for side, qty in want.items()]


def carry_out(held: list[Quote], sent: list[Change]) -> list[Quote]:
    """Apply the messages one by one as an exchange would, and see that no state in between is crossed."""
    now = list(held)
    for change in sent:
        if change.quote is None:
            now.append(Quote("new", is_sell=change.is_sell, px=change.px, leaves=change.qty))
        elif change.qty:
            change.quote.px, change.quote.leaves = change.px, change.qty
        else:
            now.remove(change.quote)
        bids = [quote.px for quote in now if not quote.is_sell]
        asks = [quote.px for quote in now if quote.is_sell]
        assert not bids or not asks or max(bids) < min(asks)
    return now


@given(st.integers(20, 1_000), st.integers(-15, 15), st.data())
def test_any_ladder_becomes_the_wanted_one_and_never_crosses(
    level: int, moved: int, data: st.DataObject
) -> None:
    held = quotes_of(ladder(level))
    lost = data.draw(st.sets(st.integers(0, len(held) - 1)))
    held = [quote for index, quote in enumerate(held) if index not in lost]
    want = ladder(level + moved)
    now = carry_out(held, changes(held, want, rising=moved >= 0))
    assert sorted((q.is_sell, q.px) for q in now) == sorted(want)


def test_one_step_moves_one_order_a_side() -> None:
    held = quotes_of(ladder(100))
    sent = changes(held, ladder(101), rising=True)
    moved = [(change.is_sell, change.px) for change in sent if change.quote and change.px != change.quote.px]
    assert moved == [(True, 1_110), (False, 1_010)]


def test_a_small_fill_moves_nothing() -> None:
    held = quotes_of(ladder(100))
    held[0].leaves -= 100
    assert changes(held, ladder(100), rising=True) == []


def test_a_large_fill_is_made_good() -> None:
    held = quotes_of(ladder(100))
    held[3].leaves = 1
    assert changes(held, ladder(100), rising=True) == [Change(held[3], False, held[3].px, QUANTITIES[3])]


def test_a_price_that_trembles_on_the_edge_moves_nothing() -> None:
    level = best_bid_level(1_009.0, STEP, None)
    assert level == 100
    assert best_bid_level(1_012.0, STEP, level) == level
    assert best_bid_level(998.0, STEP, level) == level
    assert best_bid_level(1_013.0, STEP, level) == level + 1
    assert best_bid_level(997.0, STEP, level) == level - 1


def contract(**columns: object) -> Contract:
    row = {
        "symbol": "X", "tickSize": 0.5, "lotSize": 100, "maxOrderQty": 10_000, "typ": "FFWCSX", "isInverse": False,
        "isQuanto": False, "multiplier": 1, "underlyingToPositionMultiplier": 1_000_000, "state": "Open",
        "markPrice": 100_000.0, "bidPrice": None, "askPrice": None,
    }  # fmt: skip
    return Contract(row | columns)


def test_quantities_are_worth_what_was_asked_in_whole_lots() -> None:
    linear = contract()
    assert linear.qty_of(100.0, 100_000.0) == 1_000
    assert linear.qty_of(0.0, 100_000.0) == 100
    assert linear.qty_of(10**9, 100_000.0) == 10_000
    assert contract(isInverse=True).qty_of(500.0, 100_000.0) == 500
    quanto = contract(isQuanto=True, multiplier=100, markPrice=3_500.0, lotSize=1)
    assert quanto.qty_of(700.0, 100_000.0) == 2


def test_a_spot_pair_follows_its_perpetual() -> None:
    spot = contract(symbol="XBT_USDT", typ="IFXXXP")
    assert spot.reference is None
    assert spot.reference_symbol == "XBTUSDT"

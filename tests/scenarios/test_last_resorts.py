"""Liquidation, insurance fund, deleveraging, settlement: what happens to whom, in order and to the satoshi."""

import numpy as np
import pytest

from ringfence.messages.commands import (
    AccountParameter,
    AdlMethod,
    Command,
    Contingency,
    CrossMode,
    IndexStatus,
    InstrumentParameter,
    InstrumentState,
    VenueParameter,
    instructions,
)
from ringfence.messages.events import CancelReason, Event, LiquidationStep
from ringfence.messages.rejects import Reject
from ringfence.testing.market import FUTURE, INSTRUMENTS, Happened, Market, kinds, refusals
from ringfence.testing.play import command

P = "XBTUSD"
XBT = 10**8


def keep(market: Market, account: int, amount: int) -> None:
    """Withdraw everything but so much XBt."""
    market.run(command(Command.WITHDRAW, account=account, symbol=0, qty=market.wallet(account) - amount))


def steps(happened: list[Happened]) -> list[LiquidationStep]:
    return [LiquidationStep(e.px) for e in happened if e.kind == Event.LIQUIDATION]


def taken_over(happened: list[Happened]) -> list[Happened]:
    return [e for e in happened if e.kind == Event.LIQUIDATION and e.px == LiquidationStep.TAKEN_OVER]


@pytest.mark.parametrize(
    ("leverage", "side", "safe", "gone"),
    [
        (10, 1, 9_140, 9_120), (25, 1, 9_672, 9_660), (50, 1, 9_858, 9_850), (100, 1, 9_955, 9_945),
        (10, -1, 11_040, 11_070), (50, -1, 10_148, 10_160),
    ],
)  # fmt: skip
def test_an_isolated_position_is_taken_over_when_its_own_margin_is_at_maintenance(
    leverage: float, side: int, safe: float, gone: float
) -> None:
    """The more leverage, the nearer; and never more is lost than the position's margin."""
    market = Market()
    market.index(".BXBT", 10_000)
    market.leverage(1, P, leverage)
    market.trade(*((1, 2) if side > 0 else (2, 1)), P, 10_000, 10_000)
    before = market.wallet(1)
    market.index(".BXBT", safe)
    assert market.position(1, P)["qty"] == 10_000 * side
    locked = int(market.position(1, P)["locked"])
    happened = market.index(".BXBT", gone)
    assert steps(happened) == [LiquidationStep.TAKEN_OVER]
    assert market.position(1, P)["qty"] == 0
    assert before - market.wallet(1) == locked, "exactly the position's margin is lost"


@pytest.mark.parametrize(("gain_in_ether", "is_kept"), [(520, False), (600, True)])
def test_an_isolated_position_waits_for_nothing_while_its_account_owes_more_than_it_has_gained(
    gain_in_ether: float, is_kept: bool
) -> None:
    """What closing far from the mark has lost beyond the wallet is not carried at the fund's risk (seed 2204)."""
    market = Market()
    for index, price in ((".BXBT", 10_000), (".BETH", 500)):
        market.index(index, price)
    keep(market, 1, XBT // 20)
    market.leverage(1, "ETHUSD", 50)
    market.trade(1, 2, "ETHUSD", 1_000, 500)
    market.trade(1, 2, P, 20_000, 10_000)
    market.index(".BETH", gain_in_ether)
    market.trade(2, 1, P, 20_000, 9_550)
    market.index(".BXBT", 10_001)
    assert market.position(1, P)["qty"] == 0
    assert (market.position(1, "ETHUSD")["qty"] == 1_000) == is_kept
    assert ("COVERED" in kinds(market.history)) != is_kept
    assert (market.wallet(1) < 0) == is_kept


def test_the_fund_covers_no_more_than_it_has_and_the_rest_when_it_has_more() -> None:
    market = Market(fund_xbt=10**6)
    market.index(".BXBT", 10_000)
    keep(market, 1, XBT // 20)
    market.trade(1, 2, P, 20_000, 10_000)
    market.trade(2, 1, P, 20_000, 9_550)
    market.index(".BXBT", 10_001)
    assert [e.amount for e in market.history if e.kind == Event.COVERED] == [10**6]
    owed = -market.wallet(1)
    assert owed > 0
    assert market.wallet(market.fund) == 0
    market.run(command(Command.DEPOSIT, account=market.fund, symbol=0, qty=XBT))
    market.index(".BXBT", 10_002)
    assert market.wallet(1) == 0
    assert market.wallet(market.fund) == XBT - owed


def test_cross_positions_go_together_and_leave_nothing() -> None:
    market = Market()
    for index, price in ((".BXBT", 10_000), (".BETH", 500)):
        market.index(index, price)
    keep(market, 1, XBT // 10)
    market.trade(1, 2, P, 20_000, 10_000)
    market.trade(1, 2, "ETHUSD", 1_000, 500)
    happened = market.index(".BXBT", 9_500)
    assert [e.symbol for e in taken_over(happened)] == [1, 2]
    assert market.wallet(1) == 0


def test_shared_cross_lets_profit_support_a_loss_and_classic_does_not() -> None:
    outcomes = {}
    for mode in CrossMode:
        market = Market()
        for index, price in ((".BXBT", 10_000), (".BETH", 500)):
            market.index(index, price)
        market.run(command(Command.CONFIGURE_ACCOUNT, account=1, type=AccountParameter.CROSS_MODE, qty=mode))
        keep(market, 1, XBT // 20)
        market.trade(1, 2, P, 10_000, 10_000)
        market.trade(1, 2, "ETHUSD", 1_000, 500)
        market.index(".BETH", 600)
        market.index(".BXBT", 9_400)
        outcomes[mode] = (int(market.position(1, P)["qty"]), int(market.position(1, "ETHUSD")["qty"]))
    assert outcomes == {CrossMode.SHARED: (10_000, 1_000), CrossMode.CLASSIC: (0, 1_000)}


def test_the_steps_come_in_order_lower_limit_cancel_orders_then_the_rest() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    market.run(command(Command.SET_RISK_LIMIT, account=1, symbol=1, qty=500 * XBT))
    keep(market, 1, XBT)
    market.trade(1, 2, P, 400_000, 10_000)
    market.order(1, P, 10_000, 9_000)
    happened: list[Happened] = []
    for price in (9_900, 9_850, 9_800, 9_780, 9_700):
        market.now_ns += 10**9
        happened += market.index(".BXBT", price)
    assert steps(happened) == [
        LiquidationStep.TIER_LOWERED, LiquidationStep.ORDERS_CANCELED, LiquidationStep.TAKEN_OVER,
    ]  # fmt: skip
    cancelled = [e for e in happened if e.kind == Event.CANCELED and e.account == 1]
    assert [e.flags for e in cancelled] == [CancelReason.LIQUIDATION]


def test_a_large_position_is_cut_to_a_lower_tier_before_it_is_taken_over() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    for account in (1, 2, 3):
        market.run(command(Command.DEPOSIT, account=account, symbol=0, qty=1_000 * XBT))
    for account in (1, 2):
        market.run(command(Command.SET_RISK_LIMIT, account=account, symbol=1, qty=500 * XBT))
    for _ in range(4):
        market.trade(1, 2, P, 750_000, 10_000)
    keep(market, 1, 69 * XBT // 10)
    market.order(3, P, 1_500_000, 9_900)
    happened: list[Happened] = []
    for price in (9_950, 9_900, 9_860):
        market.now_ns += 10**9
        happened += market.index(".BXBT", price)
        if LiquidationStep.REDUCED in steps(happened):
            break
    assert LiquidationStep.REDUCED in steps(happened)
    assert 0 < market.position(1, P)["qty"] < 3_000_000


@pytest.mark.parametrize("stale", ["old mark", "frozen index"])
def test_nobody_is_liquidated_on_a_stale_mark(stale: str) -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    market.leverage(1, P, 100)
    market.trade(1, 2, P, 10_000, 10_000)
    if stale == "frozen index":
        market.index(".BXBT", 5_000, status=IndexStatus.FROZEN)
    else:
        market.engine.state.instruments[1]["mark_lot_value"] *= 2
        market.now_ns += 60 * 10**9
        market.index(".BETH", 500)
    assert market.position(1, P)["qty"] == 10_000


def test_what_is_better_than_the_bankruptcy_price_is_the_funds_gain() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    market.leverage(1, P, 50)
    market.trade(1, 2, P, 10_000, 10_000)
    market.order(3, P, 10_000, 9_845)
    fund = market.wallet(market.fund)
    happened = market.index(".BXBT", 9_850)
    (over,) = taken_over(happened)
    trade = next(e for e in happened if e.kind == Event.TRADE and e.account == market.fund)
    assert trade.amount == 0, "the insurance fund pays no fees"
    assert trade.px * 100 > over.maker_amount, "sold above the bankruptcy price"
    assert market.wallet(market.fund) > fund
    assert market.position(market.fund, P)["qty"] == 0


def shorts_against_one_long(method: AdlMethod, *, fund: int = 0) -> tuple[Market, list[Happened]]:
    """One long of 60,000 against three shorts with different entries; no bids, an empty fund."""
    market = Market(fund_xbt=fund)
    market.run(command(Command.CONFIGURE, symbol=1, type=InstrumentParameter.ADL_METHOD, qty=method))
    market.index(".BXBT", 10_000)
    keep(market, 1, XBT // 5)
    for seller, price in ((2, 10_000), (3, 10_020), (4, 10_040)):
        market.trade(1, seller, P, 20_000, price)
    happened: list[Happened] = []
    for price in (9_900, 9_800, 9_700, 9_600):
        market.now_ns += 10**9
        happened += market.index(".BXBT", price)
    return market, [e for e in happened if e.kind in (Event.ADL_BEGUN, Event.DELEVERAGED)]


def test_the_queue_takes_highest_profit_and_leverage_first() -> None:
    market, happened = shorts_against_one_long(AdlMethod.RANKED)
    begun, *taken = happened
    assert (begun.qty, begun.amount, begun.flags) == (60_000, 3, AdlMethod.RANKED)
    assert [(e.account, e.qty, e.px) for e in taken] == [(4, 20_000, 1), (3, 20_000, 2), (2, 20_000, 3)]
    assert [int(market.position(a, P)["qty"]) for a in (1, 2, 3, 4, market.fund)] == [0] * 5


def test_nobody_is_deleveraged_while_trading_is_closed() -> None:
    market = Market(fund_xbt=XBT // 10)
    market.index(".BXBT", 10_000)
    keep(market, 1, XBT // 5)
    market.trade(1, 2, P, 60_000, 10_000)
    for price in (9_900, 9_800, 9_700, 9_600):
        market.now_ns += 10**9
        market.index(".BXBT", price)
    assert market.position(market.fund, P)["qty"] == 60_000
    market.run(command(Command.SET_STATE, symbol=1, qty=InstrumentState.CLOSED))
    market.now_ns += 10**9
    assert "DELEVERAGED" not in kinds(market.index(".BXBT", 9_000))
    market.run(command(Command.SET_STATE, symbol=1, qty=InstrumentState.OPEN))
    market.now_ns += 10**9
    assert "DELEVERAGED" in kinds(market.index(".BXBT", 8_999))


@pytest.mark.parametrize(
    ("method", "taken"),
    [
        (AdlMethod.RANKED, {4: 20_000, 3: 10_000}),
        (AdlMethod.PRO_RATA, None),
    ],
)
def test_deleveraging_takes_no_lot_beyond_need(method: AdlMethod, taken: dict[int, int] | None) -> None:
    """Half of the position belongs to somebody who can carry it; only the other half is asked for."""
    market = Market(fund_xbt=0)
    market.run(command(Command.CONFIGURE, symbol=1, type=InstrumentParameter.ADL_METHOD, qty=method))
    market.index(".BXBT", 10_000)
    keep(market, 1, XBT // 10)
    for seller, price in ((2, 10_000), (3, 10_020), (4, 10_040)):
        market.trade(1, seller, P, 10_000, price)
        market.trade(5, seller, P, 10_000, price)
    for price in (9_900, 9_800, 9_700, 9_600):
        market.now_ns += 10**9
        market.index(".BXBT", price)
    gave = {e.account: e.qty for e in market.history if e.kind == Event.DELEVERAGED}
    assert sum(gave.values()) == 30_000
    if taken is not None:
        assert gave == taken
    else:
        # In proportion to profit: whoever sold highest gives most, and nobody gives everything.
        assert gave[4] > gave[3] > gave[2] > 0
        assert max(gave.values()) < 20_000


def test_orders_of_the_deleveraged_are_cancelled_and_holders_without_positions_never_asked() -> None:
    market = Market(fund_xbt=0)
    market.index(".BXBT", 10_000)
    keep(market, 1, XBT // 10)
    market.trade(1, 2, P, 30_000, 10_000)
    market.order(2, P, -5_000, 10_400)
    wallets = [market.wallet(a) for a in (3, 4, 5, 6)]
    for price in (9_800, 9_600):
        market.now_ns += 10**9
        market.index(".BXBT", price)
    assert CancelReason.DELEVERAGED in [e.flags for e in market.history if e.kind == Event.CANCELED]
    assert [market.wallet(a) for a in (3, 4, 5, 6)] == wallets


def test_a_deficit_is_covered_and_nobody_is_asked_for_it() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    keep(market, 1, XBT // 100)
    market.trade(1, 2, P, 8_000, 10_000)
    market.order(3, P, 8_000, 9_550)
    fund = market.wallet(market.fund)
    # Closing far below the mark costs more than there is.
    market.order(1, P, -8_000, 9_550)
    assert market.wallet(1) == 0
    (covered,) = [e for e in market.history if e.kind == Event.COVERED]
    assert fund - market.wallet(market.fund) == covered.amount > 0


@pytest.mark.parametrize(
    ("prices", "settled"),
    [
        ([(20, 10_000), (10, 10_100), (5, 10_400)], 10_166.67),  # the mean of the last half hour
        ([(60, 9_000), (20, 10_000)], 10_000.0),  # an hour before does not count
        ([(60, 9_000)], 9_000.0),  # nothing in the half hour: the last price
    ],
)
def test_a_future_settles_at_the_mean_of_its_index(prices: list[tuple[int, float]], settled: float) -> None:
    market = Market()
    of = INSTRUMENTS[FUTURE]
    assert of.expiry_ns is not None
    market.now_ns = of.expiry_ns - 24 * 3600 * 10**9
    market.index(".BXBT", 10_000)
    market.trade(1, 2, FUTURE, 10_000, 10_000)
    market.order(3, FUTURE, 100, 9_900)
    wallets = [market.wallet(a) for a in (1, 2)]
    for minutes, price in prices:
        market.now_ns = of.expiry_ns - minutes * 60 * 10**9
        market.index(".BXBT", price)
    market.now_ns = of.expiry_ns
    happened = market.after(0)
    (said,) = [e for e in happened if e.kind == Event.SETTLEMENT]
    assert of.mark_price(said.qty) == pytest.approx(settled, abs=0.01)
    assert [e.flags for e in happened if e.kind == Event.CANCELED] == [CancelReason.SETTLED]
    gains = {e.account: e.amount for e in happened if e.kind == Event.REALISED}
    fees = {e.account: e.amount for e in happened if e.kind == Event.SETTLED}
    assert gains[1] == -gains[2]
    assert [market.wallet(a) - w for a, w in zip((1, 2), wallets, strict=True)] == [
        gains[a] - fees[a] for a in (1, 2)
    ]
    assert refusals(market.order(1, FUTURE, 100, 10_000)) == [Reject.MARKET_NOT_OPEN]


@pytest.mark.parametrize(("tier", "fee"), [(0, 750), (1, 675), (3, 375)])
def test_a_fee_tier_takes_its_discount_and_leaves_rebates(tier: int, fee: int) -> None:
    market = Market()
    discounts = [
        command(Command.CONFIGURE_VENUE, type=VenueParameter.FEE_DISCOUNT_1 + k, qty=percent)
        for k, percent in enumerate((10, 25, 50))
    ]
    market.run(np.concatenate(discounts))
    market.index(".BXBT", 10_000)
    for account in (1, 2):
        market.run(
            command(Command.CONFIGURE_ACCOUNT, account=account, type=AccountParameter.FEE_TIER, qty=tier)
        )
    trade = next(e for e in market.trade(1, 2, P, 10_000, 10_000) if e.kind == Event.TRADE)
    assert (trade.amount, trade.maker_amount) == (XBT * fee // 10**6, -XBT * 100 // 10**6)


def test_coins_move_within_a_family_only() -> None:
    market = Market()
    child = market.fund + 1
    market.run(command(Command.OPEN_ACCOUNT, account=child, handle=1))
    moved = market.run(command(Command.TRANSFER, account=1, handle=child, symbol=0, qty=XBT))
    assert kinds(moved) == ["TRANSFERRED"]
    assert market.wallet(child) == XBT
    rows = [
        ((child, 1, 2 * XBT), Reject.INSUFFICIENT_BALANCE),
        ((1, 2, XBT), Reject.NOT_ONE_FAMILY),
        ((1, 1, XBT), Reject.NOT_ONE_FAMILY),
        ((1, child, 0), Reject.INVALID_AMOUNT),
        ((1, 99, 1), Reject.INVALID_ACCOUNT),
    ]
    for (source, to, qty), reject in rows:
        refused = market.run(command(Command.TRANSFER, account=source, handle=to, symbol=0, qty=qty))
        assert refusals(refused) == [reject]


def test_a_crowd_of_linked_orders_keeps_nobody_from_being_liquidated() -> None:
    """What one step may write at most is more than a piece of upkeep has room for: it gets a piece of its own."""
    market = Market(traders=100)
    market.index(".BXBT", 10_000)
    market.run(command(Command.SET_RISK_LIMIT, account=1, symbol=1, qty=500 * XBT))
    market.run(command(Command.DEPOSIT, account=1, symbol=0, qty=300 * XBT))
    market.run(command(Command.DEPOSIT, account=2, symbol=0, qty=300 * XBT))
    market.run(command(Command.SET_RISK_LIMIT, account=2, symbol=1, qty=500 * XBT))
    for _ in range(3):
        market.trade(1, 2, P, 700_000, 10_000)
    keep(market, 1, 5 * XBT)
    crowd = np.concatenate([
        command(
            Command.PLACE, account=account, symbol=1, qty=100, px=50_000 + k, orig_clid=1 + k,
            handle=instructions(contingency=Contingency.ONE_CANCELS_THE_OTHER),
        )
        for account in range(10, 100)
        for k in range(199)
    ])  # fmt: skip
    market.run(crowd)
    assert market.engine.state.header["n_linked"] > 16_384
    happened: list[Happened] = []
    for price in (9_900, 9_800, 9_700, 9_600):
        market.now_ns += 10**9
        happened += market.index(".BXBT", price)
    assert LiquidationStep.TAKEN_OVER in steps(happened)
    assert market.position(1, P)["qty"] == 0


def test_nobody_but_the_engine_trades_for_the_insurance_account() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    assert refusals(market.order(market.fund, P, 100, 10_000)) == [Reject.ACCOUNT_DISABLED]
    assert refusals(market.order(market.fund, P, 100, stop=10_100)) == [Reject.ACCOUNT_DISABLED]
    assert refusals(market.leverage(market.fund, P, 10)) == [Reject.INVALID_ACCOUNT]
    opened = AccountParameter.TRADING_DISABLED
    freed = market.run(command(Command.CONFIGURE_ACCOUNT, account=market.fund, type=opened, qty=0))
    assert refusals(freed) == [Reject.INVALID_PARAMETER]
    again = command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=1)
    assert refusals(market.run(again)) == [Reject.INVALID_PARAMETER]


def test_a_contract_without_a_mark_is_not_settled() -> None:
    market = Market()
    market.pretend(P, mark=0)
    assert refusals(market.run(command(Command.SETTLE, symbol=1))) == [Reject.NO_MARK_PRICE]


def test_the_account_that_was_opened_last_is_settled_too() -> None:
    market = Market()
    last = market.fund + 1
    market.run(command(Command.OPEN_ACCOUNT, account=last))
    market.run(command(Command.DEPOSIT, account=last, symbol=0, qty=10 * XBT))
    market.index(".BXBT", 10_000)
    market.trade(last, 2, P, 10_000, 10_000)
    market.run(command(Command.SETTLE, symbol=1))
    assert [int(market.position(account, P)["qty"]) for account in (last, 2)] == [0, 0]

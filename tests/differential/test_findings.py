"""What the shadow found in the engine, each with its smallest market; both have to agree on all of it now."""

import numpy as np
import pytest

from ringfence.exchange.engine.records import PENDING_ADL
from ringfence.messages.commands import (
    Command,
    Contingency,
    ContractKind,
    HaltScope,
    InstrumentParameter,
    InstrumentState,
    MissedFunding,
    OrderFlag,
    OrderType,
    Peg,
    TradingState,
)
from ringfence.messages.events import Event, LiquidationStep
from ringfence.messages.rejects import Reject
from ringfence.testing.market import INSTRUMENTS, Market, kinds, refusals, ticks
from ringfence.testing.play import command, rows_of

P = "XBTUSD"
NUMBER = INSTRUMENTS[P].number
OTO = Contingency.ONE_TRIGGERS_THE_OTHER


def halt(market: Market, scope: HaltScope, symbol: int = 0) -> int:
    happened = market.run(command(Command.HALT, type=scope, symbol=symbol, qty=TradingState.HALTED))
    return next(event.handle for event in happened if event.kind == Event.HALT_SET)


def resume(market: Market, handle: int, scope: HaltScope, symbol: int, missed: MissedFunding) -> None:
    market.run(command(Command.RESUME, type=scope, symbol=symbol, handle=handle, qty=missed))


@pytest.mark.parametrize("qty", [100, -100])
def test_a_pegged_order_comes_when_its_primary_is_filled(qty: int) -> None:
    """It stood in the heap of the wrong direction, so no price ever reached it."""
    market = Market()
    market.mark(P, 10_000)
    market.order(2, P, 1_000, 9_990)
    market.order(3, P, -1_000, 10_010)
    market.order(1, P, 100, 10_000, link=7, contingency=OTO)
    market.order(1, P, qty, kind=OrderType.PEGGED, peg=Peg.PRIMARY, link=7, contingency=OTO)
    market.order(4, P, -100, 10_000)
    happened = market.run(command(Command.TICK))
    assert "TRIGGERED" in kinds(market.history), kinds(happened)


def test_a_mark_that_is_too_old_triggers_nothing_beside_an_order_that_is_due() -> None:
    """The age of the mark was asked once for a heap, by the order on top of it."""
    market = Market()
    market.mark(P, 10_050)
    market.order(2, P, 10_000, 9_900)
    stop = market.order(3, P, -100, stop=9_900)[0].handle
    market.order(1, P, 100, 9_990, link=7, contingency=OTO)
    market.order(1, P, -100, 10_050, link=7, contingency=OTO)
    market.now_ns += 60 * 10**9
    # The last mark is below the stop now, but it is a minute old.
    row = command(
        Command.AMEND,
        account=3,
        handle=stop,
        flags=OrderFlag.AMEND_STOP_PX,
        stop_px=ticks(INSTRUMENTS[P], 10_100),
    )
    assert refusals(market.run(row)) == []
    market.order(4, P, -100, 9_990)
    triggered = [event.account for event in market.history if event.kind == Event.TRIGGERED]
    assert 3 not in triggered
    assert 1 in triggered


def test_upkeep_goes_on_after_perpetuals_are_closed_for_good() -> None:
    """The payment of a contract that was settled by hand stayed due, and nothing else had its turn."""
    market = Market()
    for of in INSTRUMENTS.values():
        if of.funding_interval_hours:
            market.run(command(Command.SET_STATE, symbol=of.number, qty=InstrumentState.SETTLED))
    market.now_ns += 9 * 3_600 * 10**9
    for _ in range(5):
        market.run(command(Command.TICK))
    assert any(event.kind == Event.TICKED for event in market.history)
    assert not 0 < market.engine.wake_at_ns <= market.now_ns


def test_a_contract_whose_first_opening_was_refused_may_open_with_more_prices() -> None:
    """Its ladder was allocated with the highest price of the refused attempt."""
    market = Market()
    number = len(INSTRUMENTS) + 1
    settings = {
        InstrumentParameter.LOT_SIZE: 1, InstrumentParameter.LOT_VALUE_FACTOR: 1,
        InstrumentParameter.PX_TICKS_MAX: 1_000,
        InstrumentParameter.INITIAL_MARGIN_PPM: 10_000, InstrumentParameter.MAINTENANCE_MARGIN_PPM: 5_000,
        InstrumentParameter.RISK_LIMIT_BASE: 10**9, InstrumentParameter.RISK_LIMIT_STEP: 10**9,
    }  # fmt: skip
    rows = [command(Command.LIST, symbol=number, type=1)]
    rows += [
        command(Command.CONFIGURE, symbol=number, type=key, qty=value) for key, value in settings.items()
    ]
    opening = command(Command.SET_STATE, symbol=number, qty=InstrumentState.OPEN)
    assert refusals(market.run(np.concatenate([*rows, opening]))) == [Reject.INSTRUMENT_LIMITS]
    more = {InstrumentParameter.QTY_MAX: 1_000, InstrumentParameter.PX_TICKS_MAX: 1_000_000}
    market.run(
        np.concatenate(
            [command(Command.CONFIGURE, symbol=number, type=key, qty=v) for key, v in more.items()]
        )
    )
    market.run(np.concatenate([opening, command(Command.MARK, symbol=number, qty=90_000_000)]))
    happened = market.run(command(Command.PLACE, account=1, symbol=number, qty=5, px=900_000))
    assert kinds(happened) == ["ACCEPTED"]


def test_a_bankruptcy_price_is_exact_near_the_highest_price() -> None:
    """Where a lot is worth a few units there, every price of the same whole units was called the highest."""
    market = Market()
    number = len(INSTRUMENTS) + 1
    settings = {
        InstrumentParameter.LOT_SIZE: 1, InstrumentParameter.LOT_VALUE_FACTOR: 30_000,
        InstrumentParameter.PX_TICKS_MAX: 10_000, InstrumentParameter.QTY_MAX: 10_000,
        InstrumentParameter.INITIAL_MARGIN_PPM: 10_000, InstrumentParameter.MAINTENANCE_MARGIN_PPM: 5_000,
        InstrumentParameter.RISK_LIMIT_BASE: 10**9, InstrumentParameter.RISK_LIMIT_STEP: 10**9,
        InstrumentParameter.COLLAR_PPM: 50_000,
    }  # fmt: skip
    rows = [command(Command.LIST, symbol=number, type=ContractKind.INVERSE)]
    rows += [
        command(Command.CONFIGURE, symbol=number, type=key, qty=value) for key, value in settings.items()
    ]
    rows += [
        command(Command.SET_STATE, symbol=number, qty=InstrumentState.OPEN),
        command(Command.MARK, symbol=number, qty=900_000),
        command(Command.SET_LEVERAGE, account=1, symbol=number, qty=10_000),
        command(Command.PLACE, account=2, symbol=number, qty=1_000, px=9_000, flags=OrderFlag.SELL),
        command(Command.PLACE, account=1, symbol=number, qty=1_000, px=9_000),
        command(Command.MARK, symbol=number, qty=500_000),
    ]
    happened = market.run(np.concatenate(rows))
    (over,) = [e for e in happened if e.kind == Event.LIQUIDATION and e.px == LiquidationStep.TAKEN_OVER]
    assert over.maker_amount == 30_000 * 100 * 1_000 // over.amount < 1_000_000


def test_a_parent_beyond_all_accounts_is_refused() -> None:
    """Numbers from 2**63 on were read as negative, and there is no such row."""
    market = Market()
    opened = market.run(command(Command.OPEN_ACCOUNT, account=market.fund + 1, handle=2**63 + 5))
    assert refusals(opened) == [Reject.INVALID_ACCOUNT]


def test_a_mark_before_the_factor_counts_with_it() -> None:
    """What a lot is worth at the mark was worked out with the mark, and the factor was 0 then."""
    market = Market()
    number = len(INSTRUMENTS) + 1
    settings = {
        InstrumentParameter.LOT_SIZE: 1, InstrumentParameter.LOT_VALUE_FACTOR: 30,
        InstrumentParameter.QTY_MAX: 10_000, InstrumentParameter.INITIAL_MARGIN_PPM: 10_000,
        InstrumentParameter.MAINTENANCE_MARGIN_PPM: 5_000, InstrumentParameter.RISK_LIMIT_BASE: 10**9,
        InstrumentParameter.RISK_LIMIT_STEP: 10**9, InstrumentParameter.COLLAR_PPM: 50_000,
    }  # fmt: skip
    rows = [
        command(Command.LIST, symbol=number, type=ContractKind.LINEAR),
        command(Command.CONFIGURE, symbol=number, type=InstrumentParameter.PX_TICKS_MAX, qty=10_000),
        command(Command.MARK, symbol=number, qty=900_000),
    ]
    rows += [
        command(Command.CONFIGURE, symbol=number, type=key, qty=value) for key, value in settings.items()
    ]
    rows.append(command(Command.SET_STATE, symbol=number, qty=InstrumentState.OPEN))
    market.run(np.concatenate(rows))
    market.engine.compare_state()


@pytest.mark.parametrize(
    "parameter",
    [
        InstrumentParameter.INITIAL_MARGIN_PPM,
        InstrumentParameter.MAINTENANCE_MARGIN_PPM,
        InstrumentParameter.TAKER_FEE_PPM,
    ],
)
def test_what_is_locked_follows_the_rates(parameter: InstrumentParameter) -> None:
    """It was only brought up to date when the position or its orders changed."""
    market = Market()
    market.mark(P, 10_000)
    market.trade(1, 2, P, 1_000, 10_000)
    market.order(1, P, 1_000, 9_990)
    market.run(command(Command.CONFIGURE, symbol=NUMBER, type=parameter, qty=9_000))
    market.engine.compare_state()


def test_a_negative_collar_is_refused() -> None:
    """Divided without a sign it allowed every price."""
    market = Market()
    row = command(Command.CONFIGURE, symbol=NUMBER, type=InstrumentParameter.COLLAR_PPM, qty=-1)
    assert refusals(market.run(row)) == [Reject.INVALID_PARAMETER]


def test_nobody_is_liquidated_in_a_halted_contract() -> None:
    """An isolated position there went with one that was short elsewhere."""
    market = Market()
    other = "ETHUSD"
    for index, symbol in ((".BXBT", P), (".BETH", other)):
        market.index(index, 10_000 if symbol == P else 500)
        market.leverage(1, symbol, 50)
    market.trade(1, 2, P, 10_000, 10_000)
    market.trade(1, 2, other, 1_000, 500)
    halt(market, HaltScope.CONTRACT, NUMBER)
    market.index(".BXBT", 5_000)
    market.index(".BETH", 250)
    assert market.position(1, P)["qty"] == 10_000
    assert market.position(1, other)["qty"] == 0


def test_a_cancelled_step_is_not_said_of_a_halted_contract() -> None:
    """Its orders stay, so ORDERS_CANCELED was not true of it."""
    market = Market()
    market.index(".BXBT", 10_000)
    market.index(".BETH", 500)
    market.order(1, "ETHUSD", 100, 499)
    market.trade(1, 2, P, 1_900_000, 10_000)
    halt(market, HaltScope.CONTRACT, INSTRUMENTS["ETHUSD"].number)
    market.index(".BXBT", 2_000)
    said = [
        e for e in market.history if e.kind == Event.LIQUIDATION and e.px == LiquidationStep.ORDERS_CANCELED
    ]
    assert INSTRUMENTS["ETHUSD"].number not in [event.symbol for event in said]
    assert market.book("ETHUSD")[0]


def test_trailing_stops_of_a_halted_contract_stand_still() -> None:
    market = Market()
    market.index(".BXBT", 10_000)
    market.order(1, P, -100, peg=Peg.TRAILING, offset=-100)
    halt(market, HaltScope.CONTRACT, NUMBER)
    assert "AMENDED" not in kinds(market.index(".BXBT", 11_000))


def test_a_venue_that_went_on_without_missed_funding_does_not_skip_a_later_one() -> None:
    """What the RESUME of the venue said was remembered for the contracts' own halts for ever."""
    market = Market()
    market.index(".BXBT", 10_000)
    market.trade(1, 2, P, 1_000, 10_000)
    resume(market, halt(market, HaltScope.VENUE), HaltScope.VENUE, 0, MissedFunding.SKIP)
    market.after(1)
    handle = halt(market, HaltScope.CONTRACT, NUMBER)
    market.pretend(P, funding_rate_e8=10_000)
    market.now_ns += 9 * 3_600 * 10**9
    market.index(".BXBT", 10_000)
    resume(market, handle, HaltScope.CONTRACT, NUMBER, MissedFunding.PAY)
    market.after(1)
    assert Event.FUNDED in [event.kind for event in market.history]


def test_one_command_deleverages_all_instruments_whatever_room_the_process_has() -> None:
    """The second one waited for the next TICK where the event buffer was nearly full after the first."""
    market = Market()
    for index, symbol, price in ((".BXBT", P, 10_000), (".BETH", "ETHUSD", 500)):
        market.index(index, price)
        market.leverage(1, symbol, 50)
        market.trade(1, 2, symbol, 1_000, price)
        market.index(index, price * 0.95)
        assert market.position(market.fund, symbol)["qty"] == 1_000
    # As many as just fit the buffer that an engine begins with, four events for each.
    everybody = rows_of(8_175 - market.fund, Command.OPEN_ACCOUNT)
    everybody["account"] = market.fund + 1 + np.arange(len(everybody))
    market.run(everybody)
    for symbol in (P, "ETHUSD"):
        market.engine.state.instruments[INSTRUMENTS[symbol].number]["adl_due"] = 1
        market.engine.shadow.venue.instruments[INSTRUMENTS[symbol].number].must_be_deleveraged = True
    market.engine.state.header["pending"] |= PENDING_ADL
    market.engine.shadow.venue.must_deleverage = True
    happened = market.run(command(Command.TICK), pump=False)
    assert kinds(happened).count("ADL_BEGUN") == 2

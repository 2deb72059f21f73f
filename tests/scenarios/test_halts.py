"""What a halt stops, what it lets through, and how trading goes on."""

import pytest

from ringfence.messages.commands import (
    ALL_ASSETS,
    Command,
    HaltScope,
    InstrumentState,
    MissedFunding,
    OrderFlag,
    Peg,
    TradingState,
    VenueParameter,
)
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.testing.market import INSTRUMENTS, Happened, Market, kinds, refusals
from ringfence.testing.play import command
from ringfence.units.time import NS_PER_SECOND

_MINUTES = 60
_XBTUSD = INSTRUMENTS["XBTUSD"].number
_USDT_PERPETUAL = INSTRUMENTS["XBTUSDT"].number


def _market() -> Market:
    """Trader 1 is long and trader 2 short; trader 3 has a bid in the book."""
    market = Market()
    qty = 5 * _MINUTES * NS_PER_SECOND
    market.run(command(Command.CONFIGURE_VENUE, type=VenueParameter.CANCEL_ONLY_NS, qty=qty))
    market.trade(1, 2, "XBTUSD", 1000, 1000)
    market.order(3, "XBTUSD", 100, 998)
    return market


def _halt(
    market: Market,
    state: TradingState = TradingState.HALTED,
    scope: HaltScope = HaltScope.VENUE,
    symbol: int = 0,
) -> int:
    """Halt and return the sequence that a RESUME has to name."""
    happened = market.run(command(Command.HALT, type=scope, symbol=symbol, qty=state))
    (said,) = [event for event in happened if event.kind == Event.HALT_SET]
    return said.handle


def _resume(
    market: Market, halt: int, scope: HaltScope = HaltScope.VENUE, symbol: int = 0,
    funding: MissedFunding = MissedFunding.PAY,
) -> list[Happened]:  # fmt: skip
    return market.run(command(Command.RESUME, type=scope, symbol=symbol, handle=halt, qty=funding))


def _handle(market: Market) -> int:
    return next(event.handle for event in reversed(market.history) if event.kind == Event.ACCEPTED)


def test_a_halted_venue_takes_nothing_not_even_a_cancel() -> None:
    market = _market()
    handle = _handle(market)
    _halt(market)
    for refused in (
        market.order(4, "XBTUSD", 100, 998),
        market.run(command(Command.DEPOSIT, account=4, symbol=0, qty=5)),
        market.run(command(Command.WITHDRAW, account=4, symbol=0, qty=5)),
        market.run(command(Command.CANCEL, account=3, handle=handle)),
        market.run(command(Command.AMEND, account=3, handle=handle, flags=OrderFlag.AMEND_QTY, qty=50)),
        market.run(command(Command.CANCEL_ALL, account=3)),
        market.run(command(Command.SETTLE, symbol=_XBTUSD)),
        market.run(command(Command.OPEN_ACCOUNT, account=market.fund + 1)),
        market.leverage(1, "XBTUSD", 10),
    ):
        assert refusals(refused) in ([Reject.VENUE_HALTED], [Reject.MARKET_NOT_OPEN])
    assert market.book("XBTUSD") == ([(9980, 100)], [])


def test_cancel_only_takes_cancels_and_coins_in_and_nothing_else() -> None:
    market = _market()
    market.leverage(1, "XBTUSD", 10)
    _halt(market, TradingState.CANCEL_ONLY)
    assert refusals(market.order(4, "XBTUSD", 100, 998)) == [Reject.MARKET_NOT_OPEN]
    assert refusals(market.leverage(1, "XBTUSD", 5)) == [Reject.CANCEL_ONLY]
    assert refusals(market.run(command(Command.WITHDRAW, account=4, symbol=0, qty=5))) == [Reject.CANCEL_ONLY]
    margin = command(Command.TRANSFER_MARGIN, account=1, symbol=_XBTUSD, qty=1000)
    assert kinds(market.run(margin)) == ["POSITION_SET"]
    assert kinds(market.run(command(Command.DEPOSIT, account=4, symbol=0, qty=5))) == ["DEPOSITED"]
    assert kinds(market.run(command(Command.CANCEL, account=3, handle=_handle(market)))) == ["CANCELED"]


def test_nobody_is_liquidated_triggered_or_funded_while_it_is_halted_and_everybody_is_afterwards() -> None:
    market = _market()
    market.leverage(1, "XBTUSD", 50)
    market.order(2, "XBTUSD", -100, stop=980)
    halt = _halt(market)
    assert "LIQUIDATION" not in kinds(market.mark("XBTUSD", 940))
    assert kinds(market.after(9 * 3600)) == []
    assert market.engine.wake_at_ns == 0
    assert not market.engine.has_more_to_do
    _resume(market, halt)
    market.after(6 * _MINUTES)
    happened = kinds(market.mark("XBTUSD", 940))
    assert "TRIGGERED" in happened
    assert "LIQUIDATION" in happened


def test_trading_goes_on_after_five_minutes_of_cancels_only() -> None:
    market = _market()
    halt = _halt(market)
    happened = _resume(market, halt)
    assert (happened[0].qty, happened[0].amount) == (TradingState.CANCEL_ONLY, TradingState.HALTED)
    reopens_ns = market.now_ns + 5 * _MINUTES * NS_PER_SECOND
    assert happened[0].maker_amount == market.engine.wake_at_ns == reopens_ns
    market.after(5 * _MINUTES - 1)
    assert refusals(market.order(4, "XBTUSD", 100, 998)) == [Reject.MARKET_NOT_OPEN]
    assert "HALT_SET" in kinds(market.after(1))
    assert kinds(market.order(4, "XBTUSD", 100, 998)) == ["ACCEPTED"]


def test_a_new_halt_stops_the_reopening_and_the_old_resume_is_worth_nothing() -> None:
    market = _market()
    first = _halt(market)
    _resume(market, first)
    second = _halt(market, TradingState.CANCEL_ONLY)
    market.after(6 * _MINUTES)
    assert refusals(market.order(4, "XBTUSD", 100, 998)) == [Reject.MARKET_NOT_OPEN]
    assert refusals(_resume(market, first)) == [Reject.NOT_THAT_HALT]
    assert "HALT_SET" in kinds(_resume(market, second))


@pytest.mark.parametrize(("funding", "paid"), [(MissedFunding.PAY, True), (MissedFunding.SKIP, False)])
def test_funding_that_was_missed_is_paid_once_or_skipped_as_was_decided(
    funding: MissedFunding, paid: bool
) -> None:
    market = _market()
    market.index(".BXBT", 1000)
    for _ in range(3):  # a rate of its own has to build up: the first period's is zero
        market.after(8 * 3600)
        market.index(".BXBT", 1000)
    rate = int(market.engine.instrument(_XBTUSD)["funding_rate_e8"])
    assert rate != 0
    halt = _halt(market)
    market.after(17 * 3600)  # two payments fall due
    _resume(market, halt, funding=funding)
    market.index(".BXBT", 1000)
    happened = market.after(5 * _MINUTES)
    holders = [event.account for event in happened if event.kind == Event.FUNDED and event.qty]
    assert holders == ([1, 2] if paid else [])


def test_a_halted_contract_leaves_the_others_alone() -> None:
    market = _market()
    halt = _halt(market, TradingState.HALTED, HaltScope.CONTRACT, _XBTUSD)
    assert market.engine.instrument(_XBTUSD)["state"] == InstrumentState.HALTED
    assert market.engine.instrument(_USDT_PERPETUAL)["state"] == InstrumentState.OPEN
    assert refusals(market.order(4, "XBTUSD", 100, 998)) == [Reject.MARKET_NOT_OPEN]
    assert kinds(market.run(command(Command.CANCEL_ALL, account=3))) == []
    assert "TRADE" in kinds(market.trade(4, 5, "XBTUSDT", 1000, 1000))
    _resume(market, halt, HaltScope.CONTRACT, _XBTUSD)
    assert market.engine.instrument(_XBTUSD)["state"] == InstrumentState.CANCEL_ONLY
    market.after(5 * _MINUTES)
    assert market.engine.instrument(_XBTUSD)["state"] == InstrumentState.OPEN


def test_a_trailing_stop_does_not_follow_while_its_contract_is_halted() -> None:
    """As when the venue is; the shadow disagreed with the engine on seed 61 of the world."""
    market = _market()
    market.order(1, "XBTUSD", -100, peg=Peg.TRAILING, offset=-5)
    halt = _halt(market, TradingState.CANCEL_ONLY, HaltScope.CONTRACT, _XBTUSD)
    assert Event.AMENDED not in {event.kind for event in market.mark("XBTUSD", 1030)}
    _resume(market, halt, HaltScope.CONTRACT, _XBTUSD)
    market.after(5 * _MINUTES)
    assert Event.AMENDED in {event.kind for event in market.mark("XBTUSD", 1031)}


def test_a_contract_that_is_halted_stays_so_when_the_venue_goes_on() -> None:
    market = _market()
    _halt(market, TradingState.CANCEL_ONLY, HaltScope.CONTRACT, _XBTUSD)
    halt = _halt(market)
    _resume(market, halt)
    market.after(5 * _MINUTES)
    assert market.engine.instrument(_XBTUSD)["state"] == InstrumentState.CANCEL_ONLY
    assert market.engine.instrument(_USDT_PERPETUAL)["state"] == InstrumentState.OPEN


def test_coins_of_one_asset_or_of_all_can_be_stopped_and_go_on_at_once() -> None:
    market = _market()
    deposit = command(Command.DEPOSIT, account=4, symbol=0, qty=5)
    withdraw = command(Command.WITHDRAW, account=4, symbol=0, qty=5)
    one = _halt(market, TradingState.HALTED, HaltScope.DEPOSITS, 0)
    assert refusals(market.run(deposit)) == [Reject.FUNDS_HALTED]
    assert kinds(market.run(withdraw)) == ["WITHDRAWN"]
    assert kinds(market.order(4, "XBTUSD", 100, 998)) == ["ACCEPTED"]
    _resume(market, one, HaltScope.DEPOSITS, 0)
    assert kinds(market.run(deposit)) == ["DEPOSITED"]
    every = _halt(market, TradingState.HALTED, HaltScope.WITHDRAWALS, ALL_ASSETS)
    assert refusals(market.run(withdraw)) == [Reject.FUNDS_HALTED]
    _resume(market, every, HaltScope.WITHDRAWALS, ALL_ASSETS)
    assert kinds(market.run(withdraw)) == ["WITHDRAWN"]


def test_collars_are_half_as_wide_for_five_minutes_after_a_halt() -> None:
    market = _market()
    usual = market.engine.instrument(_XBTUSD)["collar_up"]
    _resume(market, _halt(market))
    market.after(5 * _MINUTES)
    mark = int(market.engine.instrument(_XBTUSD)["mark"]) // 100
    narrow = market.engine.instrument(_XBTUSD)["collar_up"]
    assert narrow - mark == (usual - mark) // 2
    market.after(5 * _MINUTES)
    market.mark("XBTUSD", 1000)
    assert market.engine.instrument(_XBTUSD)["collar_up"] == usual


@pytest.mark.parametrize(
    ("fields", "reject"),
    [
        ({"type": 5, "qty": 2}, Reject.INVALID_PARAMETER),
        ({"type": HaltScope.VENUE, "qty": 0}, Reject.INVALID_PARAMETER),
        ({"type": HaltScope.VENUE, "qty": 3}, Reject.INVALID_PARAMETER),
        ({"type": HaltScope.VENUE, "qty": -1}, Reject.INVALID_PARAMETER),
        ({"type": HaltScope.VENUE, "qty": 2, "symbol": 1}, Reject.INVALID_SYMBOL),
        ({"type": HaltScope.CONTRACT, "qty": 2, "symbol": 0}, Reject.INVALID_SYMBOL),
        ({"type": HaltScope.CONTRACT, "qty": 2, "symbol": 63}, Reject.INVALID_SYMBOL),
        ({"type": HaltScope.CONTRACT, "qty": 2, "symbol": 8}, Reject.INVALID_SYMBOL),
        ({"type": HaltScope.DEPOSITS, "qty": 1, "symbol": 0}, Reject.INVALID_PARAMETER),
        ({"type": HaltScope.WITHDRAWALS, "qty": 2, "symbol": 64}, Reject.INVALID_SYMBOL),
    ],
)
def test_a_halt_that_means_nothing_is_refused(fields: dict[str, int], reject: Reject) -> None:
    assert refusals(_market().run(command(Command.HALT, **fields))) == [reject]


def test_what_is_not_halted_cannot_be_resumed() -> None:
    market = _market()
    assert refusals(_resume(market, 0)) == [Reject.NOT_THAT_HALT]
    halt = _halt(market, TradingState.HALTED, HaltScope.SIGNERS)
    assert refusals(_resume(market, halt)) == [Reject.NOT_THAT_HALT]
    assert kinds(_resume(market, halt, HaltScope.SIGNERS)) == ["HALT_SET"]

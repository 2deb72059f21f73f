"""Stops, trailing stops, pegs, brackets: each row is a trader's order and what the price does then."""

from typing import Any

import pytest

from ringfence.messages.commands import (
    AccountParameter,
    Command,
    Contingency,
    InstrumentParameter,
    OrderFlag,
    OrderType,
    Peg,
    SelfTrade,
    TriggerPrice,
)
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject
from ringfence.testing.market import INSTRUMENTS, Market, kinds, refusals
from ringfence.testing.play import command

P = "XBTUSD"
LAST, INDEX = TriggerPrice.LAST, TriggerPrice.INDEX
OCO, OTO = Contingency.ONE_CANCELS_THE_OTHER, Contingency.ONE_TRIGGERS_THE_OTHER
MIT, LIT = OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED


def liquid(mark: float = 10_000) -> Market:
    """A market with bids and asks around the index."""
    market = Market()
    market.index(".BXBT", mark)
    market.order(5, P, 100_000, mark * 0.97)
    market.order(6, P, -100_000, mark * 1.03)
    return market


@pytest.mark.parametrize(
    ("qty", "more", "prices", "triggered"),
    [
        (500, {"stop": 10_100}, (10_050, 10_099.9), False),
        (500, {"stop": 10_100}, (10_050, 10_100), True),
        (-500, {"stop": 9_900}, (9_950, 9_900), True),
        (-500, {"stop": 9_900}, (10_100, 9_900.1), False),
        (500, {"stop": 9_900, "kind": MIT}, (9_950, 9_900), True),
        (-500, {"stop": 10_100, "kind": MIT}, (9_900, 10_100), True),
        (-500, {"stop": 10_100, "kind": MIT}, (9_900, 10_099), False),
        (500, {"stop": 10_100, "price": 10_100}, (10_100,), True),
        (500, {"stop": 10_100, "trigger": INDEX}, (10_100,), True),
    ],
)
def test_a_stop_waits_for_its_price_and_is_triggered_once(
    qty: int, more: dict[str, Any], prices: tuple[float, ...], triggered: bool
) -> None:
    market = liquid()
    market.order(1, P, qty, **more)
    for price in prices:
        market.now_ns += 10**9
        market.index(".BXBT", price)
        market.index(".BXBT", price)
    assert kinds(market.history).count("TRIGGERED") == int(triggered)
    market.index(".BXBT", 10_000)
    assert kinds(market.history).count("TRIGGERED") == int(triggered)


def test_an_untriggered_order_locks_nothing_and_stands_in_no_book() -> None:
    market = liquid()
    before = market.book(P), int(market.engine.margin(0, 1)["locked"])
    assert kinds(market.order(1, P, 5_000, 10_200, stop=10_100)) == ["ACCEPTED"]
    assert (market.book(P), int(market.engine.margin(0, 1)["locked"])) == before


def test_a_last_price_stop_sees_a_price_that_was_only_touched() -> None:
    market = liquid()
    market.order(1, P, -500, stop=9_980, trigger=LAST)
    market.trade(2, 3, P, 100, 9_990)
    assert "TRIGGERED" not in kinds(market.history)
    market.order(4, P, 100, 9_980)
    market.order(4, P, 100, 9_990)
    happened = market.order(2, P, -200, 9_980)
    assert kinds(happened).count("TRIGGERED") == 1


@pytest.mark.parametrize(("last", "triggered"), [(9_920, True), (9_700, False)])
def test_last_within_mark_ignores_a_last_price_far_from_the_mark(last: float, triggered: bool) -> None:
    market = Market()
    band = InstrumentParameter.LAST_BAND_PPM
    market.run(command(Command.CONFIGURE, symbol=INSTRUMENTS[P].number, type=band, qty=10_000))
    market.index(".BXBT", 10_000)
    market.order(1, P, -500, stop=9_950, trigger=LAST, within_mark=True)
    market.trade(2, 3, P, 100, last)
    assert ("TRIGGERED" in kinds(market.history)) == triggered


def test_a_trailing_stop_follows_up_and_never_down() -> None:
    market = liquid()
    market.order(1, P, -500, peg=Peg.TRAILING, offset=-200)
    stops = []
    for price in (10_005, 10_100, 10_250, 10_240, 10_100, 10_051, 10_049):
        market.now_ns += 10**9
        for event in market.index(".BXBT", price):
            if event.kind in (Event.AMENDED, Event.TRIGGERED):
                stop = event.maker_amount if event.kind == Event.AMENDED else event.px
                stops.append((event.kind.name, stop / 10))
    # 10,005 is less than 0.1 % away: the stop stays at 9,800.
    assert stops == [("AMENDED", 9_900), ("AMENDED", 10_050), ("TRIGGERED", 10_050)]


@pytest.mark.parametrize(
    ("qty", "peg", "offset", "price"),
    [
        (100, Peg.PRIMARY, 0, 9_700), (100, Peg.PRIMARY, -5, 9_695), (100, Peg.MARKET, -5, 10_295),
        (-100, Peg.PRIMARY, 0, 10_300), (-100, Peg.MARKET, 10, 9_710),
    ],
)  # fmt: skip
def test_a_pegged_order_takes_its_price_from_the_touch_on_entry(
    qty: int, peg: Peg, offset: float, price: float
) -> None:
    market = liquid()
    accepted = market.order(1, P, qty, kind=OrderType.PEGGED, peg=peg, offset=offset)[0]
    assert (accepted.kind, accepted.px / 10) == (Event.ACCEPTED, price)
    market.index(".BXBT", 10_010)
    assert accepted.px / 10 == price


@pytest.mark.parametrize(
    ("qty", "more", "reject"),
    [
        (500, {"stop": 0.0}, Reject.INVALID_STOP_PX),
        (500, {"stop": 10_100, "price": 0.0}, Reject.INVALID_PRICE),
        (500, {"peg": Peg.TRAILING, "offset": -10}, Reject.INVALID_PEG),
        (-500, {"peg": Peg.TRAILING, "offset": 10}, Reject.INVALID_PEG),
        (-500, {"peg": Peg.TRAILING, "offset": 0}, Reject.INVALID_PEG),
        (500, {"kind": OrderType.PEGGED}, Reject.INVALID_PEG),
        (500, {"stop": 10_100, "contingency": OCO}, Reject.INVALID_CONTINGENCY),
        (500, {"stop": 10_100, "within_mark": True}, Reject.INVALID_EXEC_INST),
        (500, {"stop": 10_100, "flags": OrderFlag.POST_ONLY}, Reject.INVALID_EXEC_INST),
        (150, {"stop": 10_100}, Reject.INVALID_ORDER_QTY),
    ],
)
def test_what_contradicts_itself_is_refused(qty: int, more: dict[str, Any], reject: Reject) -> None:
    assert refusals(liquid().order(1, P, qty, **more)) == [reject]


def test_ten_stops_a_symbol_and_no_more() -> None:
    market = liquid()
    for k in range(10):
        assert kinds(market.order(1, P, 100, stop=10_100 + k)) == ["ACCEPTED"]
    assert refusals(market.order(1, P, 100, stop=10_200)) == [Reject.TOO_MANY_STOPS]


def test_a_closing_stop_without_quantity_closes_whatever_there_is_then() -> None:
    market = liquid()
    market.trade(1, 2, P, 1_000, 10_000)
    of = INSTRUMENTS[P]
    market.run(
        command(Command.PLACE, account=1, symbol=of.number, type=OrderType.STOP, stop_px=99_000,
                flags=OrderFlag.SELL | OrderFlag.CLOSE)
    )  # fmt: skip
    market.trade(1, 2, P, 500, 10_000)
    market.index(".BXBT", 9_890)
    assert market.position(1, P)["qty"] == 0


def test_a_stop_that_its_account_cannot_afford_is_cancelled_when_it_is_triggered() -> None:
    market = liquid()
    market.order(1, P, 100_000, stop=10_100)
    market.run(command(Command.WITHDRAW, account=1, symbol=0, qty=market.wallet(1) - 1_000))
    happened = [e for e in market.index(".BXBT", 10_100) if e.account == 1]
    assert kinds(happened) == ["TRIGGERED", "CANCELED"]
    assert happened[-1].flags == CancelReason.INSUFFICIENT_MARGIN


def test_a_triggered_limit_beyond_the_collar_says_at_which_price_it_rests() -> None:
    market = liquid()
    market.order(1, P, 200_000, 12_000, stop=10_100)
    happened = market.index(".BXBT", 10_100)
    amended = next(e for e in happened if e.kind == Event.AMENDED)
    rests = market.book(P)[0][0]
    assert rests[0] == amended.px < 120_000
    assert rests[1] == 100_000


def test_one_cancels_the_other_on_the_first_fill() -> None:
    market = liquid()
    market.trade(1, 2, P, 1_000, 10_000)
    market.order(1, P, -1_000, 10_100, link=7, contingency=OCO)
    market.order(1, P, -1_000, stop=9_900, link=7, contingency=OCO)
    happened = market.order(3, P, 100, 10_100)
    gone = [e for e in happened if e.kind == Event.CANCELED]
    assert [e.flags for e in gone] == [CancelReason.LINKED]
    market.index(".BXBT", 9_800)
    assert market.position(1, P)["qty"] == 900


def test_a_bracket_waits_for_its_primary_and_then_one_cancels_the_other() -> None:
    market = liquid()
    market.order(1, P, 1_000, 9_990, link=9, contingency=OTO)
    market.order(1, P, -1_000, 10_100, link=9, contingency=OCO)
    market.order(1, P, -1_000, stop=9_900, link=9, contingency=OCO)
    assert market.book(P)[1] == [(103_000, 100_000)], "the children wait"
    market.order(2, P, -400, 9_990)
    assert market.book(P)[1] == [(103_000, 100_000)], "half a fill wakes nobody"
    market.order(2, P, -600, 9_990)
    assert market.book(P)[1][0] == (101_000, 1_000)
    happened = market.index(".BXBT", 9_890)
    assert kinds(happened).count("TRIGGERED") == 1
    assert market.position(1, P)["qty"] == 0
    assert market.book(P)[1] == [(103_000, 100_000)], "the stop took the profit order with it"


def test_children_go_with_a_primary_that_is_cancelled() -> None:
    market = liquid()
    handle = market.order(1, P, 1_000, 9_990, link=9, contingency=OTO)[0].handle
    market.order(1, P, -1_000, 10_100, link=9, contingency=OCO)
    happened = market.run(command(Command.CANCEL, account=1, handle=handle))
    assert [e.flags for e in happened] == [CancelReason.LINKED, CancelReason.REQUESTED]
    assert market.engine.state.header["n_live"] == 2


def test_linked_orders_that_meet_each_other_end_whole() -> None:
    """An account that allows self-trades lets two orders of one group trade: the taker is in no book then."""
    market = liquid()
    mode = AccountParameter.SELF_TRADE
    market.run(command(Command.CONFIGURE_ACCOUNT, account=1, type=mode, qty=SelfTrade.ALLOW))
    market.order(1, P, -1_000, 10_000, link=3, contingency=OCO, clid=11)
    market.order(1, P, 400, 10_000, link=3, contingency=OCO, clid=12)
    assert market.position(1, P)["qty"] == 0
    assert market.book(P) == ([(97_000, 100_000)], [(103_000, 100_000)])
    assert kinds(market.order(1, P, 100, 9_800, clid=12)) == ["ACCEPTED"], "the clOrdIDs are free again"

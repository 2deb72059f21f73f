"""What a client writes of stops, pegs and links, as the command that the engine gets; or the refusal."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.projections import Market, Order, Views
from ringfence.exchange.projections.orders import Condition
from ringfence.exchange.projections.positions import Account
from ringfence.instruments.catalogue import start_instruments
from ringfence.messages.batch import CLORDLINKID, decode_slots
from ringfence.messages.commands import (
    Contingency,
    OrderFlag,
    OrderType,
    Peg,
    TriggerPrice,
    read_instructions,
)
from ringfence.messages.identifiers import clid_hash
from ringfence.messages.records import COMMAND
from ringfence.testing.play import START_NS


@pytest.fixture(scope="module")
def views() -> Views:
    made = Views()
    for instrument in start_instruments(START_NS):
        market = Market(instrument)
        made.markets[instrument.number] = made.symbols[instrument.symbol] = market
    made.accounts[1] = Account(1, START_NS)
    return made


def exact(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return numbers as the gateway's parser reads them."""
    return {k: Decimal(str(v)) if isinstance(v, float) else v for k, v in parameters.items()}


def place(views: Views, **parameters: Any) -> tuple[Any, bytes]:
    """Return the record of an order of 100 XBTUSD, with its slots."""
    raw = commands.place(views, 1, {"symbol": "XBTUSD", "orderQty": 100, **exact(parameters)}, 7)
    return np.frombuffer(raw[:64], COMMAND)[0], raw


STOPS = {
    "stopPx": ({"stopPx": 9000}, OrderType.STOP),
    "stopPx and price": ({"stopPx": 9000, "price": 9001}, OrderType.STOP_LIMIT),
    "trailing": ({"pegPriceType": "TrailingStopPeg", "pegOffsetValue": 5}, OrderType.STOP),
    "trailing with price": (
        {"pegPriceType": "TrailingStopPeg", "pegOffsetValue": 5, "price": 9000},
        OrderType.STOP_LIMIT,
    ),
    "peg": ({"pegPriceType": "PrimaryPeg", "execInst": "Fixed"}, OrderType.PEGGED),
    "price": ({"price": 9000}, OrderType.LIMIT),
    "nothing": ({}, OrderType.MARKET),
    "empty fields": (
        {"price": 9000, "stopPx": "", "pegPriceType": None, "contingencyType": ""},
        OrderType.LIMIT,
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_the_type_is_inferred_as_on_bitmex(views: Views, case: str) -> None:
    parameters, expected = STOPS[case]
    assert place(views, **parameters)[0]["type"] == expected


def test_a_stop_says_when_it_triggers(views: Views) -> None:
    record, _ = place(views, side="Sell", stopPx=8999.5, execInst="LastPrice,LastWithinMark,ReduceOnly")
    assert int(record["stop_px"]) == 89_995
    assert int(record["px"]) == 0
    assert int(record["flags"]) == OrderFlag.SELL | OrderFlag.REDUCE_ONLY
    assert read_instructions(int(record["handle"])) == (
        TriggerPrice.LAST,
        Peg.NONE,
        0,
        Contingency.NONE,
        True,
    )


def test_the_mark_triggers_unless_something_else_is_said(views: Views) -> None:
    record, _ = place(views, stopPx=9_000)
    assert read_instructions(int(record["handle"]))[0] == TriggerPrice.MARK
    spot, _ = place(views, symbol="XBT_USDT", orderQty=100_000, stopPx=9_000)
    assert read_instructions(int(spot["handle"]))[0] == TriggerPrice.LAST


@pytest.mark.parametrize(
    ("side", "kind", "offset"),
    [
        ("Sell", "Stop", -5), ("Buy", "Stop", 5), ("Buy", "MarketIfTouched", -5), ("Sell", "MarketIfTouched", 5),
    ],
)  # fmt: skip
def test_a_trailing_offset_has_the_sign_of_its_side(
    views: Views, side: str, kind: str, offset: float
) -> None:
    asked = {"side": side, "ordType": kind, "pegPriceType": "TrailingStopPeg"}
    record, _ = place(views, **asked, pegOffsetValue=offset)
    assert read_instructions(int(record["handle"]))[1:3] == (Peg.TRAILING, offset * 10)
    with pytest.raises(Refused, match="Invalid pegOffsetValue for pegPriceType"):
        place(views, **asked, pegOffsetValue=-offset)


def test_a_link_is_known_by_its_hash_and_remembered_as_text(views: Views) -> None:
    record, raw = place(
        views, stopPx=9_000, clOrdLinkID="bracket-1", contingencyType="OneCancelsTheOther", clOrdID="a"
    )
    assert int(record["orig_clid"]) == clid_hash("bracket-1")
    assert read_instructions(int(record["handle"]))[3] == Contingency.ONE_CANCELS_THE_OTHER
    assert decode_slots(raw, 0)[CLORDLINKID] == b"bracket-1"


def test_a_closing_stop_needs_no_quantity_but_a_side(views: Views) -> None:
    record, _ = place(views, orderQty=None, side="Sell", stopPx=9_000, execInst="Close")
    assert (int(record["qty"]), int(record["flags"])) == (0, OrderFlag.CLOSE | OrderFlag.SELL)
    with pytest.raises(Refused, match="Invalid side"):
        place(views, orderQty=None, stopPx=9_000, execInst="Close")


def test_a_market_stop_may_end_with_the_day(views: Views) -> None:
    assert place(views, stopPx=9_000, timeInForce="Day")[0]["flags"] == OrderFlag.DAY
    assert place(views, stopPx=9_000, timeInForce="ImmediateOrCancel")[0]["flags"] == 0


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ordType": "Stop"}, "Invalid stopPx for ordType"),
    ({"ordType": "StopLimit", "price": 9000}, "Invalid stopPx for ordType"),
    ({"ordType": "Market", "stopPx": 9000}, "Invalid stopPx for ordType"),
    ({"ordType": "Limit", "price": 9000, "stopPx": 9000}, "Invalid stopPx for ordType"),
    ({"ordType": "Stop", "stopPx": 9000, "price": 9000}, "Invalid price for ordType"),
    ({"ordType": "StopLimit", "stopPx": 9000}, "Invalid price"),
    ({"stopPx": 9000.05}, "Invalid stopPx tickSize"),
    ({"stopPx": -1}, "Invalid stopPx"),
    ({"price": 9000, "pegOffsetValue": 5}, "Invalid pegOffsetValue for pegPriceType"),
    ({"pegPriceType": "TrailingStopPeg"}, "Invalid pegOffsetValue for pegPriceType"),
    ({"pegPriceType": "TrailingStopPeg", "pegOffsetValue": 0}, "Invalid pegOffsetValue for pegPriceType"),
    ({"pegPriceType": "TrailingStopPeg", "pegOffsetValue": 0.03}, "Invalid pegOffsetValue tickSize"),
    ({"ordType": "Limit", "price": 9000, "pegPriceType": "TrailingStopPeg", "pegOffsetValue": 5},
     "Invalid pegPriceType for ordType"),
    ({"ordType": "Stop", "stopPx": 9000, "pegPriceType": "PrimaryPeg"}, "Invalid pegPriceType for ordType"),
    ({"ordType": "Pegged", "execInst": "Fixed"}, "Invalid pegPriceType for ordType"),
    ({"pegPriceType": "PrimaryPeg"}, "Invalid execInst"),
    ({"pegPriceType": "MidPricePeg", "execInst": "Fixed"}, "Unsupported pegPriceType"),
    ({"price": 9000, "execInst": "Fixed"}, "Invalid ordType for execInst"),
    ({"price": 9000, "execInst": "LastPrice"}, "Invalid ordType for execInst"),
    ({"stopPx": 9000, "execInst": "LastPrice,MarkPrice"}, "Invalid execInst"),
    ({"stopPx": 9000, "execInst": "LastWithinMark"}, "Invalid execInst"),
    ({"symbol": "XBT_USDT", "stopPx": 9000, "execInst": "MarkPrice"}, "Invalid execInst"),
    ({"price": 9000, "clOrdLinkID": "a"}, "Invalid clOrdLinkID for contingencyType"),
    ({"price": 9000, "contingencyType": "OneCancelsTheOther"}, "Invalid clOrdLinkID for contingencyType"),
    ({"price": 9000, "clOrdLinkID": "a", "contingencyType": "OneUpdatesTheOther"}, "Unsupported contingencyType"),
    ({"price": 9000, "simpleOrderQty": 1}, "simpleOrderQty is no longer supported"),
    ({"ordType": "MarketWithLeftOverAsLimit"}, "Unsupported ordType"),
    ({"price": 9000, "execInst": "AllOrNone"}, "Unsupported execInst"),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "message"), REFUSED)
def test_what_contradicts_itself_is_refused(views: Views, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        place(views, **parameters)
    assert refused.value.status == 400
    assert refused.value.message.startswith(message)


def waiting(views: Views, *, ordtype: OrderType, peg: Peg, untriggered: bool = True) -> Order:
    condition = Condition(90_000, 0, peg, -50 if peg else 0, 0, False, None, untriggered)
    return Order(
        instrument=views.symbols["XBTUSD"].instrument, sequence=1, handle=1, account=1, flags=1, ordtype=ordtype,
        px=0, qty=100, display=-1, clordid=None, text="", timestamp_ns=START_NS, condition=condition,
    )  # fmt: skip


def amend(views: Views, order: Order, **parameters: Any) -> Any:
    raw = commands.amend(order, 1, exact(parameters), views.symbols["XBTUSD"], 7)
    return np.frombuffer(raw[:64], COMMAND)[0]


def test_an_untriggered_order_takes_a_new_stop_price_and_offset(views: Views) -> None:
    record = amend(views, waiting(views, ordtype=OrderType.STOP, peg=Peg.NONE), stopPx=8_900)
    assert (int(record["flags"]), int(record["stop_px"])) == (OrderFlag.AMEND_STOP_PX, 89_000)
    record = amend(views, waiting(views, ordtype=OrderType.STOP, peg=Peg.TRAILING), pegOffsetValue=-7.5)
    assert int(record["flags"]) == OrderFlag.AMEND_PEG_OFFSET
    assert int(record["display"].astype(np.int32)) == -75


@pytest.mark.parametrize(
    ("peg", "untriggered", "asked", "message"),
    [
        (Peg.NONE, False, {"stopPx": 8_900}, "Invalid stopPx for ordType"),
        (Peg.NONE, True, {"stopPx": 8_900.01}, "Invalid stopPx tickSize"),
        (Peg.NONE, True, {"pegOffsetValue": -5}, "Invalid pegOffsetValue for pegPriceType"),
        (Peg.TRAILING, True, {"pegOffsetValue": 5}, "Invalid pegOffsetValue for pegPriceType"),
        (Peg.TRAILING, False, {"pegOffsetValue": -5}, "Invalid pegOffsetValue for pegPriceType"),
    ],
)
def test_what_cannot_be_amended_is_refused(
    views: Views, peg: Peg, untriggered: bool, asked: dict[str, Any], message: str
) -> None:
    order = waiting(views, ordtype=OrderType.STOP, peg=peg, untriggered=untriggered)
    with pytest.raises(Refused, match=message):
        amend(views, order, **asked)

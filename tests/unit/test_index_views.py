"""An index as clients see it: a row, trades of size 0, bins, and what it was made of."""

from typing import Any

import numpy as np

from ringfence.exchange.gateway.websocket.topics import parse_topic, partial
from ringfence.exchange.projections import TABLES, Changes, Views
from ringfence.messages.batch import CONSTITUENTS, Batch, Records, encode_data
from ringfence.messages.commands import Command, IndexStatus, OrderFlag
from ringfence.messages.constituents import Hold, Reference, Said, Verdict, encode_constituents
from ringfence.messages.records import COMMAND
from ringfence.testing.play import START_NS, Engine, command, opening
from ringfence.units.time import NS_PER_SECOND

GOOD = (
    Said(Reference.COINBASE, Verdict.COUNTED, 6000, 10_000_000, 250),
    Said(Reference.KRAKEN, Verdict.LIMITED, 2000, 10_200_000, 1_000),
    Said(Reference.BITSTAMP, Verdict.OUTLIER, 2000, 20_000_000, 0),
)


class Exchange:
    """An engine and its views, one command a second."""

    def __init__(self) -> None:
        self.engine, self.views = Engine(accounts=64, orders=64), Views()
        self.now_ns = START_NS
        self.take(opening(accounts=2))

    def take(self, commands: Records, seconds: int = 1) -> Changes:
        self.now_ns += seconds * NS_PER_SECOND
        first, events_before = self.engine.next_sequence, self.views.next_event
        events = self.engine.step(commands, timestamp_ns=self.now_ns)
        return self.views.apply(Batch(first, self.now_ns, events_before, commands, events.copy()))

    def index(
        self, dollars: int, said: tuple[Said, ...] = GOOD, hold: int = 0, symbol: int = 8, seconds: int = 1
    ) -> Changes:
        status = IndexStatus.FROZEN if hold else IndexStatus.LIVE
        row = command(Command.INDEX, symbol=symbol, qty=dollars * 10_000, type=status)
        data = encode_data([(CONSTITUENTS, encode_constituents(hold, said))])
        return self.take(np.concatenate([row, np.frombuffer(data, COMMAND)]), seconds)

    def row(self, symbol: str) -> dict[str, Any]:
        return self.views.symbols[symbol].row()


def test_an_index_is_an_instrument_that_is_not_traded() -> None:
    exchange = Exchange()
    before = exchange.row(".BXBT")
    assert (before["lastPrice"], before["markPrice"]) == (None, None)
    exchange.index(1_000)
    row = exchange.row(".BXBT")
    assert set(row) == set(TABLES["instrument"].names)
    assert {name: row[name] for name in ("typ", "state", "lastPrice", "markPrice", "markMethod", "tickSize")} == {
        "typ": "MRCXXX", "state": "Unlisted", "lastPrice": 1_000.0, "markPrice": 1_000.0,
        "markMethod": "LastPrice", "tickSize": 0.0001,
    }  # fmt: skip
    for name in (
        "bidPrice",
        "askPrice",
        "fundingRate",
        "fairPrice",
        "settlCurrency",
        "maxOrderQty",
        "expiry",
    ):
        assert row[name] is None, name
    assert row["hasLiquidity"] is False


def test_contracts_show_the_index_they_settle_at_and_the_engines_mark() -> None:
    exchange = Exchange()
    exchange.index(1_234)
    for symbol in ("XBTUSD", exchange.views.markets[6].instrument.symbol):
        row = exchange.row(symbol)
        assert row["indicativeSettlePrice"] == 1_234.0
        assert row["markPrice"] == row["fairPrice"]
        assert row["markPrice"] == 1_234.0 + row["fairBasis"]
    assert exchange.row("XBTUSD")["referenceSymbol"] == ".BXBT"
    assert exchange.row("ETHUSD")["indicativeSettlePrice"] is None, "its own index has no price yet"


def test_the_engines_look_at_the_book_is_shown() -> None:
    exchange = Exchange()
    future = exchange.views.markets[6].instrument.symbol
    assert exchange.row(future)["impactBidPrice"] is None
    exchange.index(10_000)
    assert exchange.row(future)["hasLiquidity"] is False
    for account, px, flags in ((1, 19_998, 0), (2, 20_002, int(OrderFlag.SELL))):
        exchange.take(command(Command.PLACE, account=account, symbol=6, qty=250_000, px=px, flags=flags))
    exchange.index(10_000, seconds=31)
    row = exchange.row(future)
    assert (row["impactBidPrice"], row["impactAskPrice"], row["impactMidPrice"]) == (
        9_999.0,
        10_001.0,
        10_000.0,
    )
    assert row["hasLiquidity"] is True


def test_one_price_in_five_seconds_is_a_trade_and_all_are_in_the_bins() -> None:
    exchange = Exchange()
    trades = []
    for second in range(120):
        changes = exchange.index(1_000 + second % 7)
        trades += [trade.row() for trade in changes.trades]
    assert 23 <= len(trades) <= 25
    assert {(trade["symbol"], trade["size"], trade["side"]) for trade in trades} == {(".BXBT", 0, "Buy")}
    assert trades[0]["tickDirection"] in ("PlusTick", "ZeroPlusTick")
    assert len({trade["trdMatchID"] for trade in trades}) == len(trades)
    market = exchange.views.symbols[".BXBT"]
    assert len(market.trades) == len(trades)
    closed = market.closed["1m"].row(market.instrument)
    assert (closed["trades"], closed["volume"], closed["low"], closed["high"]) == (60, 0, 1_000.0, 1_006.0)
    assert closed["vwap"] is None
    row = exchange.row(".BXBT")
    assert (row["highPrice"], row["lowPrice"]) == (1_006.0, 1_000.0)


def test_a_composite_says_what_counts_and_why_the_rest_does_not() -> None:
    exchange = Exchange()
    assert exchange.views.symbols[".BXBT"].composite_rows() == []
    exchange.index(1_000)
    rows = exchange.views.symbols[".BXBT"].composite_rows()
    assert [set(row) == set(TABLES["compositeIndex"].names) for row in rows] == [True] * 4
    assert [(row["reference"], row["lastPrice"], row["weight"], row["dropReason"]) for row in rows] == [
        ("COINBASE", 1_000.0, 0.75, None), ("KRAKEN", 1_020.0, 0.25, "Limited"),
        ("BITSTAMP", 2_000.0, 0, "Outlier"), ("BMI", 1_000.0, None, None),
    ]  # fmt: skip
    assert rows[1]["timestamp"] < rows[0]["timestamp"] < rows[3]["timestamp"] == rows[3]["logged"]


def test_a_frozen_index_says_why_and_counts_nobody() -> None:
    exchange = Exchange()
    exchange.index(1_000)
    mark = exchange.row("XBTUSD")["markPrice"]
    exchange.index(1_000, GOOD, Hold.TOO_FEW)
    rows = exchange.views.symbols[".BXBT"].composite_rows()
    assert [(row["weight"], row["dropReason"]) for row in rows[::3]] == [(0, None), (None, "TooFew")]
    assert exchange.row("XBTUSD")["markPrice"] == mark


def test_an_index_can_be_subscribed_to_and_has_no_book() -> None:
    exchange = Exchange()
    exchange.index(1_000)
    views = exchange.views
    for topic, rows in (
        ("instrument:.BXBT", 1), ("trade:.BXBT", 1), ("instrument:INDICES", 6), ("quote:.BXBT", 0),
        ("orderBook10:.BXBT", 0), ("orderBookL2_25:.BXBT", 0), ("quoteBin1m:.BXBT", 0),
    ):  # fmt: skip
        assert len(partial(parse_topic(topic, views), views, None)["data"]) == rows, topic

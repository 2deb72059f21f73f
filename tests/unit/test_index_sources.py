"""Prices from the world: every venue's real shapes, and servers here that speak them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType, web

from ringfence.exchange.index_prices import (
    FIRST,
    NAME,
    Configuration,
    Constituent,
    Index,
    Publication,
    Rules,
    Tick,
    averages_of,
    indices_of,
    read_configuration,
    source_of,
)
from ringfence.exchange.index_prices.protection import NO_TICK
from ringfence.exchange.index_prices.sources import (
    Board,
    HttpSource,
    Quote,
    RecordedSource,
    SimulatedSource,
    WebSocketSource,
    read_price,
)
from ringfence.exchange.index_prices.sources.formats import FORMATS, Reconnect, parse
from ringfence.instruments.catalogue import start_instruments
from ringfence.messages.batch import CONSTITUENTS, Batch, command_positions, decode_data
from ringfence.messages.commands import Command, IndexStatus
from ringfence.messages.constituents import Reference, Verdict, decode_constituents
from ringfence.messages.records import EVENT
from ringfence.units.time import NS_PER_MINUTE, NS_PER_SECOND

R = Reference
START_NS = 1_790_000_000_000_000_000

# Samples as the venues document them, with their decimals and their quirks.
HTTP = {
    R.COINBASE: (
        '{"ask":"97312.45","bid":"97312.44","volume":"7541.85","trade_id":738291046,"price":"97312.45",'
        '"size":"0.00012","time":"2024-11-25T12:00:01.250000Z","rfq_volume":"23.1"}',
        Quote("BTC-USD", "97312.45", 1_732_536_001_250_000_000),
    ),
    R.KRAKEN: (
        '{"error":[],"result":{"XXBTZUSD":{"a":["97312.50000","1","1.000"],"b":["97312.40000","2","2.000"],'
        '"c":["97312.40000","0.00080000"],"v":["1920.83610601","7954.00219674"],"p":["97389.9","97398.3"],'
        '"t":[23329,80463],"l":["96600.0","96500.0"],"h":["98000.0","98100.0"],"o":"97280.40000"}}}',
        Quote("XBTUSD", "97312.40000", 0),
    ),
    R.BITSTAMP: (
        '{"timestamp":"1732536001","open":"97300","high":"98000","low":"96500","last":"97310","volume":"213.2",'
        '"vwap":"97400","bid":"97309","ask":"97311","side":"0","open_24":"97000","percent_change_24":"0.32"}',
        Quote("btcusd", "97310", 1_732_536_001_000_000_000),
    ),
    R.GEMINI: (
        '[{"timestamp":1732536001,"timestampms":1732536001357,"tid":5335307668,"price":"97310.85",'
        '"amount":"0.27413495","exchange":"gemini","type":"buy"}]',
        Quote("btcusd", "97310.85", 1_732_536_001_357_000_000),
    ),
    R.BINANCE: (
        '[{"id":28457,"price":"97312.01000000","qty":"0.00012000","quoteQty":"11.67","time":1732536001590,'
        '"isBuyerMaker":true,"isBestMatch":true}]',
        Quote("BTCUSDT", "97312.01000000", 1_732_536_001_590_000_000),
    ),
    R.OKX: (
        '{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","last":"97311.9","lastSz":"0.1",'
        '"askPx":"97312","askSz":"11","bidPx":"97311.9","bidSz":"5","open24h":"97000","ts":"1732536001085"}]}',
        Quote("BTC-USDT", "97311.9", 1_732_536_001_085_000_000),
    ),
    R.BYBIT: (
        '{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"2100000000007764263",'
        '"symbol":"BTCUSDT","price":"97312.49","size":"0.00012","side":"Buy","time":"1732536001758",'
        '"isBlockTrade":false}]},"retExtInfo":{},"time":1732536001852}',
        Quote("BTCUSDT", "97312.49", 1_732_536_001_758_000_000),
    ),
}
WEBSOCKET = {
    R.COINBASE: (
        '{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD"]}]}',
        '{"type":"ticker","sequence":37475248783,"product_id":"BTC-USD","price":"97312.45","open_24h":"97000",'
        '"volume_24h":"7541.8","best_bid":"97312.44","best_ask":"97312.45","side":"buy",'
        '"time":"2024-11-25T12:00:01.250000Z","trade_id":738291046,"last_size":"0.00012"}',
    ),
    R.KRAKEN: (
        '{"channel":"status","type":"update","data":[{"version":"2.0.0","system":"online","api_version":"v2"}]}',
        '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":97312.45,"qty":0.1,'
        '"ord_type":"market","trade_id":4665906,"timestamp":"2024-11-25T12:00:01.250000Z"}]}',
    ),
    R.BITSTAMP: (
        '{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}',
        '{"data":{"id":373213,"timestamp":"1732536001","amount":0.00012,"amount_str":"0.00012000","price":97312.45,'
        '"price_str":"97312.45","type":0,"microtimestamp":"1732536001250000","buy_order_id":1,"sell_order_id":2},'
        '"channel":"live_trades_btcusd","event":"trade"}',
    ),
    R.GEMINI: (
        '{"type":"heartbeat","timestamp":1732536001000}',
        '{"type":"trade","symbol":"BTCUSD","event_id":3575573053,"timestamp":1732536001250,"price":"97312.45",'
        '"quantity":"0.00012","side":"buy"}',
    ),
    R.BINANCE: (
        '{"result":null,"id":1}',
        '{"e":"trade","E":1732536001282,"s":"BTCUSDT","t":12345,"p":"97312.45000000","q":"0.00012",'
        '"T":1732536001250,"m":true,"M":true}',
    ),
    R.OKX: (
        '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a4d3ae55"}',
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",'
        '"px":"97312.45","sz":"0.00012","side":"buy","ts":"1732536001250","count":"3"}]}',
    ),
    R.BYBIT: (
        '{"success":true,"ret_msg":"","conn_id":"2324d924","op":"subscribe"}',
        '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1732536001486,"data":[{"T":1732536001250,'
        '"s":"BTCUSDT","S":"Buy","v":"0.00012","p":"97312.45","L":"PlusTick","i":"20f43950","BT":false}]}',
    ),
}
USD, USDT = (R.COINBASE, R.KRAKEN, R.BITSTAMP, R.GEMINI), (R.BINANCE, R.OKX, R.BYBIT)


def quote_of(reference: Reference) -> str:
    return "USD" if reference in USD else "USDT"


def index(references: tuple[Reference, ...], quote: str) -> Index:
    first = 10_000 - 1_000 * (len(references) - 1)
    weights = [first, *[1_000] * (len(references) - 1)]
    return Index(
        symbol=f".X{quote}", number=8, base="XBT", quote=quote, rules=Rules(),
        constituents=tuple(Constituent(*pair) for pair in zip(references, weights, strict=True)),
    )  # fmt: skip


# ---- shapes


@pytest.mark.parametrize("reference", FORMATS)
def test_a_venues_answer_over_http_is_read(reference: Reference) -> None:
    form, (text, quote) = FORMATS[reference], HTTP[reference]
    name = form.spell_http("XBT", quote_of(reference))
    assert form.read_http(parse(text), name) == [quote]
    assert name == quote.market
    assert read_price(quote.price, at_ns=1).price // 10_000 in range(97_310, 97_313)


@pytest.mark.parametrize("reference", FORMATS)
def test_a_venues_messages_are_read(reference: Reference) -> None:
    form, (greeting, trade) = FORMATS[reference], WEBSOCKET[reference]
    assert form.read_websocket(parse(greeting)) == []
    (quote,) = form.read_websocket(parse(trade))
    assert quote.market == form.spell_websocket("XBT", quote_of(reference))
    assert read_price(quote.price, at_ns=quote.at_ns) == Tick(973_124_500, 1_732_536_001_250_000_000)


def test_a_venue_that_asks_for_it_is_connected_again() -> None:
    with pytest.raises(Reconnect):
        FORMATS[R.BITSTAMP].read_websocket(parse('{"event":"bts:request_reconnect","channel":"","data":""}'))


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (R.KRAKEN, '{"error":["EQuery:Unknown asset pair"]}'), (R.OKX, '{"code":"51001","msg":"no","data":[]}'),
        (R.BYBIT, '{"retCode":10001,"retMsg":"params error","result":{}}'),
    ],
)  # fmt: skip
def test_a_venues_error_is_an_error(reference: Reference, text: str) -> None:
    with pytest.raises(ValueError, match=r"Unknown|51001|10001"):
        FORMATS[reference].read_http(parse(text), "X")


@pytest.mark.parametrize(
    ("said", "units", "fault"),
    [
        ("0", 0, Verdict.NOT_A_PRICE), ("-1", 0, Verdict.NOT_A_PRICE), ("NaN", 0, Verdict.NOT_A_PRICE),
        ("Infinity", 0, Verdict.NOT_A_PRICE), ("", 0, Verdict.NOT_A_PRICE), (None, 0, Verdict.NOT_A_PRICE),
        (True, 0, Verdict.NOT_A_PRICE), (1.5, 0, Verdict.NOT_A_PRICE), ("1e999999", 0, Verdict.OUT_OF_RANGE),
        ("1e-999999", 0, Verdict.OUT_OF_RANGE), ("0.00004", 0, Verdict.OUT_OF_RANGE),
        ("0.0001", 1, Verdict.COUNTED), ("9e11", 0, Verdict.OUT_OF_RANGE), ("97312.45", 973_124_500, Verdict.COUNTED),
    ],
)  # fmt: skip
def test_text_becomes_a_price_or_a_reason(said: object, units: int, fault: Verdict) -> None:
    assert read_price(said, at_ns=7) == Tick(units, 7, fault)


def test_nan_in_json_is_no_price() -> None:
    message = parse(WEBSOCKET[R.KRAKEN][1].replace("97312.45", "NaN"))
    (quote,) = FORMATS[R.KRAKEN].read_websocket(message)
    assert read_price(quote.price, at_ns=7) == Tick(0, 7, Verdict.NOT_A_PRICE)


def test_a_stamp_makes_a_price_older_and_never_younger() -> None:
    board, of = Board(), index((R.COINBASE, R.KRAKEN), "USD")
    board.hear(R.COINBASE, "XBT", "USD", Quote("", "10", 2_000), now_ns=1_000)
    assert board.ticks(of) == [Tick(100_000, 1_000), NO_TICK]
    board.hear(R.COINBASE, "XBT", "USD", Quote("", "11", 500), now_ns=1_001)
    assert board.ticks(of)[0].price == 100_000, "an older trade is no news"
    board.hear(R.COINBASE, "XBT", "USD", Quote("", "0", 500), now_ns=1_002)
    assert board.ticks(of)[0].fault == Verdict.NOT_A_PRICE, "what is no price always is"


# ---- servers that speak the formats


Serve = Callable[[web.Application], Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(app: web.Application) -> str:
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        assert site._server is not None
        return f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]

    yield start
    for runner in runners:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("references", [USD, USDT])
async def test_every_venue_is_asked_over_http(references: tuple[Reference, ...], serve: Serve) -> None:
    broken: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        name = request.match_info["venue"]
        assert request.match_info["market"] == HTTP[R[name]][1].market
        text = "<html>too many requests" if name in broken else HTTP[R[name]][0]
        return web.Response(text=text, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{venue}/{market}", answer)
    address = await serve(app)
    of = index(references, quote_of(references[0]))
    urls = {one: f"http://{address}/{one.name}/{{market}}" for one in references}
    source = HttpSource([of], seconds=0.05, urls=urls)
    task = asyncio.create_task(source.run())
    try:
        await until(lambda: NO_TICK not in source.ticks(of, now_ns=0))
        heard = source.ticks(of, now_ns=0)
        assert all(tick.price // 10_000 in range(97_310, 97_313) for tick in heard)
        broken.add(references[0].name)
        await until(lambda: source.failures > 2)
        kept = source.ticks(of, now_ns=0)[0]
        assert kept.price == heard[0].price, "what was heard stands, and grows old"
    finally:
        task.cancel()


@pytest.mark.parametrize("references", [USD, USDT])
async def test_every_venue_is_listened_to_and_connected_again(
    references: tuple[Reference, ...], serve: Serve
) -> None:
    connections: list[str] = []
    zeros: set[str] = set()

    async def speak(request: web.Request) -> web.WebSocketResponse:
        name = request.match_info["venue"]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        asked = await socket.receive_json()
        market = FORMATS[R[name]].spell_websocket("XBT", quote_of(R[name]))
        assert market.lower() in json.dumps(asked).lower()
        connections.append(name)
        greeting, trade = WEBSOCKET[R[name]]
        await socket.send_str(greeting)
        await socket.send_str("{ this is no JSON")
        await socket.send_str('{"shape": "new"}')
        await socket.send_str(trade.replace("97312.45", "0") if name in zeros else trade)
        if connections.count(name) == 1:
            await socket.close()
        else:
            async for message in socket:
                assert message.type == WSMsgType.TEXT
        return socket

    app = web.Application()
    app.router.add_get("/{venue}", speak)
    address = await serve(app)
    of = index(references, quote_of(references[0]))
    urls = {one: f"ws://{address}/{one.name}" for one in references}
    source = WebSocketSource([of], urls=urls, retry_seconds=0.3)
    task = asyncio.create_task(source.run())
    try:
        await until(lambda: NO_TICK not in source.ticks(of, now_ns=0))
        assert source.ticks(of, now_ns=0) == [Tick(973_124_500, 1_732_536_001_250_000_000)] * len(references)
        zeros.update(one.name for one in references)
        await until(lambda: all(tick.fault for tick in source.ticks(of, now_ns=0)))
        assert {tick.fault for tick in source.ticks(of, now_ns=0)} == {Verdict.NOT_A_PRICE}
        assert all(connections.count(one.name) == 2 for one in references)
        assert source.unreadable >= len(references)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# ---- simulated and recorded


def test_simulated_venues_fail_one_at_a_time_and_the_index_never_freezes() -> None:
    listed = [of for of in start_instruments(START_NS) if of.is_index]
    averages = averages_of(listed)
    indices = indices_of(Configuration(), [of for of in listed if not of.symbol.endswith("30M")])
    publication, source = Publication(indices, averages), SimulatedSource()
    verdicts: set[Verdict] = set()
    prices: list[int] = []
    for second in range(0, 6 * 3_600, 20):
        commands = publication.commands(source, now_ns=START_NS + second * NS_PER_SECOND)
        rows = commands[commands["kind"] == Command.INDEX]
        assert rows["symbol"].tolist() == [8, 13, 9, 10, 11, 12]
        assert set(rows["type"].tolist()) == {IndexStatus.LIVE}
        prices.append(int(rows["qty"][0]))
        for position in command_positions(commands):
            hold, said = decode_constituents(decode_data(commands, position)[CONSTITUENTS])
            assert not hold
            assert sum(not Verdict(one.verdict).counts for one in said) <= 1
            verdicts |= {Verdict(one.verdict) for one in said}
    assert verdicts >= {Verdict.STALE, Verdict.OUTLIER, Verdict.NOT_A_PRICE, Verdict.RETURNING}
    steps = [abs(after - before) * 1_000_000 // before for before, after in pairwise(prices)]
    assert max(steps) < 2_000


def test_a_price_feed_that_is_started_again_goes_on_from_the_journal() -> None:
    listed = [of for of in start_instruments(START_NS) if of.symbol in (".BXBT", ".BXBT30M")]

    def fresh() -> Publication:
        return Publication(indices_of(Configuration(), listed[:1]), averages_of(listed))

    source, publication = SimulatedSource(), fresh()
    batches = []
    now_ns = START_NS
    for number in range(2_000):
        now_ns += NS_PER_SECOND
        commands = publication.commands(source, now_ns=now_ns)
        batches.append(Batch(number, now_ns, 0, commands, np.zeros(0, EVENT)))
    again = fresh()
    for batch in batches:
        if batch.timestamp_ns >= now_ns - 31 * NS_PER_MINUTE:
            again.recall(batch)
    now_ns += NS_PER_SECOND
    one, other = publication.commands(source, now_ns=now_ns), again.commands(source, now_ns=now_ns)
    assert one["qty"].tolist() == other["qty"].tolist()
    assert one.tobytes() == other.tobytes()


def test_a_recording_is_played_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "incident.jsonl"
    path.write_text(
        '{"ms": 0, "index": ".XUSD", "reference": "COINBASE", "price": "100.5"}\n'
        '{"ms": 500, "index": ".XUSD", "reference": "KRAKEN", "price": "0"}\n\n'
        '{"ms": 999, "index": ".XUSD", "reference": "COINBASE", "price": "101"}\n'
    )
    source, of = RecordedSource(path, started_ns=START_NS), index((R.COINBASE, R.KRAKEN), "USD")
    ms = 1_000_000
    for round_ns in (START_NS, START_NS + 1_000 * ms):
        assert source.ticks(of, now_ns=round_ns + 499 * ms) == [Tick(1_005_000, round_ns), NO_TICK]
        bad = Tick(0, round_ns + 500 * ms, Verdict.NOT_A_PRICE)
        assert source.ticks(of, now_ns=round_ns + 999 * ms) == [Tick(1_010_000, round_ns + 999 * ms), bad]


@pytest.mark.parametrize("line", ["{", '{"ms": 5, "index": "x", "reference": "MOON", "price": "1"}'])
def test_a_recording_that_is_none_is_refused_by_its_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "incident.jsonl"
    path.write_text(line)
    with pytest.raises(ValueError, match="line 1"):
        RecordedSource(path, started_ns=0)


# ---- configuration


def test_a_new_exchange_says_that_its_prices_are_simulated(tmp_path: Path) -> None:
    assert read_configuration(tmp_path) == Configuration()
    (tmp_path / NAME).write_text(FIRST)
    assert read_configuration(tmp_path) == Configuration()
    assert "SIMULATED" in FIRST
    (tmp_path / NAME).write_text(FIRST.replace("# [index", "[index").replace("# weights", "weights").replace(
        "# rules", "rules").replace('"simulated"', '"websocket"'))  # fmt: skip
    configuration = read_configuration(tmp_path)
    listed = [of for of in start_instruments(START_NS) if of.is_index and of.symbol != ".BXBT30M"]
    indices = indices_of(configuration, listed)
    assert [one.reference for one in indices[0].constituents] == list(USD)
    assert indices[0].rules.tolerance_ppm == 250_000
    assert indices[1].rules.tolerance_ppm == 500_000
    assert isinstance(source_of(configuration, indices, tmp_path, now_ns=0), WebSocketSource)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('source = "moon"', "source"), ("sauce = 1", "sauce"), ("[", "cannot be read"),
        ('[index.".BXBT"]\nrules = { tolerance = 5 }', "rules"),
        ('[index.".BXBT"]\nrules = { stale_ms = 0 }', "above 0"),
        ('[index.".BXBT"]\nweights = { MOON = 10000 }', "nobody is called MOON"),
        ('[index.".BXBT"]\nweights = { KRAKEN = 5000, COINBASE = 4999 }', "add up"),
        ('[index.".MOON"]\nrules = {}', "listed as .MOON"),
        ('source = "http"\n[index.".BXBT"]\nweights = { SIMULATED_A = 5000, KRAKEN = 5000 }', "no venue"),
        ('source = "http"\n[addresses]\nMOON = "http://x"', "nobody is called MOON"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_good_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    listed = [of for of in start_instruments(START_NS) if of.symbol == ".BXBT"]

    def start() -> None:
        configuration = read_configuration(tmp_path)
        source_of(configuration, indices_of(configuration, listed), tmp_path, now_ns=0)

    with pytest.raises(ValueError, match=words):
        start()

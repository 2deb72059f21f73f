"""Funding, liquidation, deleveraging and settlement as clients meet them: routes, topics, their own rows."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringfence.messages.commands import (
    Command,
    InstrumentParameter,
    InstrumentState,
    OrderFlag,
    VenueParameter,
)
from ringfence.testing.client import Client
from ringfence.testing.play import command
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue
from ringfence.units.time import NS_PER_MINUTE

ALICE, BOB, CAROL, FUND = 1, 2, 3, 4
INDEX, ETH_INDEX, XBTUSD, ETHUSD, FUTURE = 8, 9, 1, 2, 6
TICKS = 100_000
"""XBTUSD at 10000; an index unit is a tenth of a subtick there."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder: Path = tmp_path_factory.mktemp("outcomes")
    with Venue(folder, accounts=4) as running:
        yield running


async def tell(market: Venue, *parts: Any) -> None:
    await market.submit(np.concatenate(parts))


async def until(ask: Callable[[], Any]) -> Any:
    """Return the first answer that is not empty: the core goes through accounts in pieces, the gateway comes after."""
    for _ in range(50):
        if found := ask():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("nothing came")


def index(ticks: int) -> Any:
    return command(Command.INDEX, symbol=INDEX, qty=ticks * 1_000)


def place(account: int, symbol: int, qty: int, px: int) -> Any:
    flags = OrderFlag.SELL if qty < 0 else 0
    return command(Command.PLACE, account=account, symbol=symbol, px=px, qty=abs(qty), flags=flags)


async def test_trouble_is_told_to_everybody_and_to_those_it_happens_to(market: Venue) -> None:
    """Alice is liquidated, the fund cannot carry her position, Bob is deleveraged; the future settles."""
    anyone, alice, bob = Client(market.port, None), Client(market.port, ALICE), Client(market.port, BOB)
    public = await Socket.open(market.realtime_url)
    await public.subscribe("liquidation", "settlement", "funding", "insurance", "instrument:XBTUSD")
    private = await Socket.signed(market.realtime_url, ALICE)
    await private.subscribe("execution", "position")
    await tell(
        market,
        command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=FUND),
        command(Command.WITHDRAW, account=FUND, symbol=0, qty=100 * 10**8 - 1_000),
        index(TICKS),
        command(Command.SET_LEVERAGE, account=ALICE, symbol=XBTUSD, qty=2_000),
        place(BOB, XBTUSD, -50_000, TICKS),
        place(ALICE, XBTUSD, 50_000, TICKS),
        place(BOB, FUTURE, 1_000, TICKS // 5),
        place(CAROL, FUTURE, -1_000, TICKS // 5),
    )
    (held,) = await until(lambda: [row for row in alice.get("/position") if row["symbol"] == "XBTUSD"])
    assert 9_500 < held["liquidationPrice"] < 9_600
    assert held["bankruptPrice"] < held["liquidationPrice"]
    (short,) = [row for row in bob.get("/position") if row["symbol"] == "XBTUSD"]
    assert short["deleveragePercentile"] == 1
    assert anyone.get("/liquidation") == []

    await tell(market, index(95_500))
    (order,) = await until(lambda: anyone.get("/liquidation?symbol=XBTUSD"))
    assert set(order) == {"orderID", "symbol", "side", "price", "leavesQty"}
    assert (order["side"], order["leavesQty"]) == ("Sell", 50_000)
    frame = await public.until(lambda f: f.get("table") == "liquidation" and f["action"] == "insert")
    assert frame["data"] == [order]
    taken = await private.until(
        lambda f: f.get("table") == "execution" and any(row["execType"] == "Liquidation" for row in f["data"])
    )
    assert taken["data"][0]["text"] == "Liquidation"
    (event,) = alice.get("/userEvent")
    assert (event["type"], event["eventMeta"]["symbol"]) == ("positionStateLiquidated", "XBTUSD")
    mine = alice.get("/execution/tradeHistory?symbol=XBTUSD&reverse=true&count=1")
    assert [row["execType"] for row in mine] == ["Liquidation"]

    # Far beyond bankruptcy nobody buys, and the fund has a thousand satoshis.
    await tell(market, index(93_000), command(Command.TICK))
    await tell(market, command(Command.TICK))
    (receipt,) = await until(lambda: anyone.get("/deleverage?symbol=XBTUSD"))
    assert (receipt["shortfallQty"], receipt["takenQty"]) == (50_000, 50_000)
    (own,) = bob.get("/user/deleverage")
    assert [share["pseudonym"] for share in receipt["ranked"]] == [own["pseudonym"]]
    assert (own["id"], own["qty"], own["place"]) == (receipt["id"], 50_000, 1)
    assert alice.get("/user/deleverage") == []
    (deleveraged,) = [
        row for row in bob.get("/execution/tradeHistory?symbol=XBTUSD") if row["text"] == "Deleverage"
    ]
    assert (deleveraged["execType"], deleveraged["commission"]) == ("Liquidation", 0)
    assert [row["type"] for row in bob.get("/userEvent")] == ["deleverageExecution"]
    await public.until(lambda f: f.get("table") == "liquidation" and f["action"] == "delete")
    assert anyone.get("/liquidation") == []
    assert {row["currency"] for row in anyone.get("/insurance")} >= {"XBt", "USDt"}

    await tell(market, command(Command.SETTLE, symbol=FUTURE))
    (settlement,) = await until(lambda: anyone.get("/settlement"))
    assert settlement["settlementType"] == "Settlement"
    (row,) = [r for r in anyone.get("/instrument/active") if r["symbol"] == settlement["symbol"]]
    assert (row["state"], row["settledPrice"]) == ("Settled", settlement["settledPrice"])
    assert bob.get("/execution/tradeHistory?filter=%7B%22execType%22%3A%22Settlement%22%7D")
    await public.until(lambda f: f.get("table") == "settlement" and f["action"] == "insert")
    public.close()
    private.close()


@pytest.mark.slow
async def test_funding_is_paid_and_told(market: Venue) -> None:
    """Every minute here, the shortest interval there is, so this takes up to two."""
    anyone, bob = Client(market.port, None), Client(market.port, BOB)
    public = await Socket.open(market.realtime_url)
    await public.subscribe("funding", "instrument:ETHUSD")
    interval = command(
        Command.CONFIGURE, symbol=ETHUSD, type=InstrumentParameter.FUNDING_INTERVAL_NS, qty=NS_PER_MINUTE
    )
    await tell(market, interval, place(BOB, ETHUSD, 100, TICKS), place(CAROL, ETHUSD, -100, TICKS))
    paid = []
    for _ in range(130):
        await tell(market, command(Command.INDEX, symbol=ETH_INDEX, qty=TICKS * 500))
        paid = [row for row in anyone.get("/funding?symbol=ETHUSD") if row["fundingRate"]]
        if paid:
            break
        await asyncio.sleep(1)
    assert paid[0]["fundingInterval"] == "2000-01-01T00:01:00.000Z"
    assert paid[0]["fundingRateDaily"] == pytest.approx(paid[0]["fundingRate"] * 1440)
    (mine, *_) = bob.get("/execution/tradeHistory?symbol=ETHUSD&reverse=true")
    assert (mine["execType"], mine["commission"]) == ("Funding", paid[0]["fundingRate"])
    assert mine["execComm"] > 0
    (row,) = anyone.get("/instrument?symbol=ETHUSD")
    assert row["fundingTimestamp"] > paid[0]["timestamp"]
    assert row["fairMethod"] == "FundingRate"
    await public.until(lambda f: f.get("table") == "funding" and f["action"] == "insert")
    public.close()


async def test_fee_tiers_follow_from_thirty_days(market: Venue) -> None:
    """Yesterday's volume is put into the database by hand; a history daemon that starts sets the tier."""
    alice = Client(market.port, ALICE)
    await tell(market, command(Command.CONFIGURE_VENUE, type=VenueParameter.FEE_DISCOUNT_1, qty=10))
    assert alice.get("/user/commission")["XBTUSD"]["takerFee"] == 0.00075
    market.kill("history")
    database = sqlite3.connect(market.directory / "history.sqlite")
    with database:
        database.execute(
            'insert into "tradingVolume" (key, timestamp, account, "contractCents", "spotCents") '
            "values (1, strftime('%Y-%m-%dT00:00:00.000Z', 'now', '-1 day'), ?, ?, ?)",
            (ALICE, 100 * 3_000_000, 100 * 3_000),
        )
    database.close()
    market.start("history")
    for _ in range(100):
        if alice.get("/user/commission")["XBTUSD"]["takerFee"] == 0.000675:
            break
        await asyncio.sleep(0.1)
    commission = alice.get("/user/commission")["XBTUSD"]
    assert (commission["makerFee"], commission["takerFee"]) == (-0.0001, 0.000675)
    (volume,) = alice.get("/user/tradingVolume")
    assert volume == {"advUsd": 100_100.0, "advUsdSpot": 100.0, "advUsdContract": 100_000.0}
    await tell(market, command(Command.SET_STATE, symbol=ETHUSD, qty=InstrumentState.CLOSED))

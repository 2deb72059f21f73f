"""Funding, liquidation, deleveraging and settlement: the folds agree with the engine, and the books balance."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringfence.exchange.engine import Engine
from ringfence.exchange.projections import TABLES, Changes, Views
from ringfence.exchange.projections.history import HistoryReader, HistoryWriter, Query, checkpoint
from ringfence.exchange.projections.last_resort import pseudonym
from ringfence.messages.batch import Batch
from ringfence.messages.commands import AdlMethod, Command, InstrumentState, OrderFlag, VenueParameter
from ringfence.messages.events import Event, LiquidationStep
from ringfence.messages.records import EVENT
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.turbulence import FUND, FUTURE, TRADERS, Turbulence
from ringfence.units.assets import ASSETS
from tests.properties.test_history_rebuild import content, facts, told

COUNT = 120
SECRET = b"a secret of this venue"


def play(seed: int) -> tuple[Turbulence, list[Batch]]:
    turbulence = Turbulence(seed, adl_method=AdlMethod(seed % 2))
    return turbulence, list(turbulence.batches(COUNT))


def check_engine(turbulence: Turbulence, views: Views) -> None:
    """Raises AssertionError unless views and engine agree about every coin and contract."""
    engine = turbulence.engine
    for account in range(1, FUND + 1):
        held = views.accounts[account]
        for asset in ASSETS:
            record, margin = engine.margin(asset.number, account), held.margin(asset.number)
            assert margin.wallet == int(record["wallet"]), (account, asset.asset)
            assert margin.locked == int(record["locked"]), (account, asset.asset)
        for number, position in held.positions.items():
            found = engine.position(account, number)
            assert found is not None
            assert (position.qty, position.cost) == (int(found["qty"]), int(found["cost"]))
            assert position.tier == int(found["tier"])
            assert position.transferred == int(found["transferred"])
    for number, market in views.markets.items():
        record = engine.instrument(number)
        if market.instrument.is_contract:
            assert market.mark_subticks == int(record["mark"])
            assert market.funding_e8 == int(record["funding_rate_e8"]) or market.settled is not None
            assert market.funding_ns == int(record["next_funding_ns"])
            longs = sum(
                max(a.positions[number].qty, 0) for a in views.accounts.values() if number in a.positions
            )
            assert market.open_interest == longs


@pytest.mark.parametrize("seed", range(8))
def test_views_follow_the_engine_through_trouble(seed: int) -> None:
    turbulence = Turbulence(seed, adl_method=AdlMethod(seed % 2))
    views, kinds = Views(), Counter[int]()
    for batch in turbulence.batches(COUNT):
        views.apply(batch)
        kinds.update(batch.events["kind"].tolist())
        check_engine(turbulence, views)
    assert all(kinds[kind] for kind in (Event.LIQUIDATION, Event.FUNDED, Event.SETTLED))
    future = views.markets[FUTURE]
    assert future.state == InstrumentState.SETTLED
    assert future.open_interest == 0
    assert future.row()["state"] == "Settled"
    assert future.row()["settledPrice"] > 0


@pytest.mark.parametrize("seed", range(4))
def test_every_event_balances_and_the_three_purses_stand_apart(seed: int) -> None:
    turbulence, batches = play(seed)
    views, balances = Views(), Counter[tuple[str, int]]()
    for batch in batches:
        entries = Counter[tuple[int, int]]()
        for line in views.apply(batch).lines:
            entries[line.number, line.asset] += line.amount
            balances[line.account, line.asset] += line.amount
        assert not any(entries.values())
    for number, account in views.accounts.items():
        for asset, margin in account.margins.items():
            purse = "insurance" if number == FUND else f"client:{number}"
            assert balances[purse, asset] == margin.wallet
    assert not balances[f"client:{FUND}", 0]
    # A settled contract owes nobody anything; its clearing account is closed.
    assert balances[f"clearing:{views.markets[FUTURE].instrument.symbol}", 0] == 0
    pools = Counter[int]()
    for number, market in views.markets.items():
        if not market.instrument.is_index:
            pools[market.instrument.settle_asset] += int(turbulence.engine.instrument(number)["fee_pool"])
    assert {asset: balances["fees", asset] for asset in pools} == pools


def rows_of(changes: Changes) -> dict[str, list[Any]]:
    return {
        "execution": [execution.row() for execution in changes.executions],
        "funding": [paid.row() for paid in changes.fundings],
        "settlement": [found.row() for found in changes.settlements],
        "insurance": [fund.row() for fund in changes.funds],
        "deleverage": [receipt.row(SECRET) for receipt in changes.receipts],
        "userDeleverage": [row for receipt in changes.receipts for row in receipt.user_rows(SECRET)],
        "userEvent": [notice.row() for notice in changes.notices],
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_history_holds_what_the_builders_made_after_any_restart(seed: int, tmp_path: Path) -> None:
    _, batches = play(seed)
    urls = [f"sqlite:///{tmp_path}/{name}.sqlite" for name in ("whole", "restarted")]
    made: dict[str, list[Any]] = {}
    views, writer = Views(), HistoryWriter(urls[0], receipt_secret=SECRET)
    for batch in batches:
        changes = views.apply(batch)
        writer.apply(batch, changes)
        for name, rows in rows_of(changes).items():
            made.setdefault(name, []).extend(rows)
        writer.commit()
    writer.close()
    reader = HistoryReader(urls[0])
    for name, rows in made.items():
        found = reader.rows(Query(table=name, count=10**6))
        key = (lambda row: (row["timestamp"], row["symbol"])) if name == "funding" else None
        assert found == rows if key is None else sorted(found, key=key) == sorted(rows, key=key)
        assert rows, name
        for row in rows:
            assert tuple(row) == TABLES[name].names
            assert "" not in row.values()
    volumes = reader.volumes(since="2020-01-01T00:00:00.000Z", before="2100-01-01T00:00:00.000Z")
    assert set(volumes) <= set(range(1, FUND + 1))
    assert volumes[1].contract_cents > 0
    reader.close()
    for _ in range(2):
        views, writer = Views(), HistoryWriter(urls[1], receipt_secret=SECRET)
        for batch in batches if _ else batches[: len(batches) // 2]:
            writer.apply(batch, views.apply(batch))
        writer.commit()
        writer.close()
    assert content(urls[0]) == content(urls[1])


@pytest.mark.slow
def test_folding_on_from_a_checkpoint_is_folding_from_the_beginning(tmp_path: Path) -> None:
    _, batches = play(3)
    views, restored = Views(), Views()
    for index, batch in enumerate(batches):
        if index % 10 == 0:
            checkpoint.save(restored, tmp_path)
            loaded = checkpoint.load(tmp_path)
            assert loaded is not None
            restored = loaded
        assert told(restored.apply(batch)) == told(views.apply(batch))
        assert facts(restored) == facts(views)


def test_a_receipt_shows_each_trader_their_own_share_and_nobody_elses_name() -> None:
    receipts = []
    for seed in range(6):
        views = Views()
        for batch in play(seed)[1]:
            for receipt in views.apply(batch).receipts:
                receipts.append(receipt)
    assert len(receipts) > 3
    for receipt in receipts:
        row = receipt.row(SECRET)
        assert row["takenQty"] == sum(share.qty for share in receipt.shares) <= row["shortfallQty"]
        assert [share.place for share in receipt.shares] == list(range(1, len(receipt.shares) + 1))
        for share, own in zip(receipt.shares, receipt.user_rows(SECRET), strict=True):
            assert own["pseudonym"] == pseudonym(SECRET, receipt.number, share.account)
            assert own["pseudonym"] in row["ranked"]
            assert own["account"] == share.account
    names = {pseudonym(SECRET, receipt.number, 1) for receipt in receipts}
    assert len(names) == len(receipts), "an account has another name on every receipt"


def test_percentiles_agree_with_the_keys() -> None:
    views = Views()
    for batch in play(5)[1][:-1]:
        views.apply(batch)
    seen = set()
    for account in range(1, TRADERS + 1):
        for row in views.accounts[account].position_rows():
            assert (row["deleveragePercentile"] is None) == (row["currentQty"] == 0)
            seen.add(row["deleveragePercentile"])
    assert 1.0 in seen


class Exchange:
    """An engine, the views of its events, and an insurance fund in account 4."""

    def __init__(self) -> None:
        self.engine, self.views, self.changes = Engine(accounts=64, orders=64), Views(), Changes(0)
        fund = command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=4)
        self.step(opening(accounts=4), fund)

    def step(self, *parts: Any) -> Counter[tuple[int, int]]:
        """Return how often each (event, parameter) happened."""
        rows = np.concatenate(parts)
        sequence, event = self.engine.next_sequence, self.engine.event_count
        events = self.engine.step(rows, timestamp_ns=START_NS).copy()
        assert not (events["kind"] == Event.REJECTED).any()
        self.changes = self.views.apply(Batch(sequence, START_NS, event, rows, events))
        return Counter(events[["kind", "px"]].tolist())


@pytest.mark.parametrize("symbol", [1, 2, 3, 6])
@pytest.mark.parametrize("is_sell", [False, True])
@pytest.mark.parametrize("leverage", [0, 2_000])
def test_the_liquidation_price_is_where_the_engine_liquidates(
    symbol: int, is_sell: bool, leverage: int
) -> None:
    """A tick before its price it does not yet; two ticks beyond it does."""
    exchange = Exchange()
    of = exchange.views.markets[symbol].instrument
    deposited = 100 * 10**8 if of.settle_asset == 0 else 10**6 * 10**6
    wallet = of.risk_limit_base // 20
    per_lot = int(exchange.engine.instrument(symbol)["mark_lot_value"])
    qty = wallet * 5 // per_lot * of.lot_size
    place = {"symbol": symbol, "px": 10_000, "qty": qty}
    taker, maker = (int(OrderFlag.SELL), 0) if is_sell else (0, int(OrderFlag.SELL))
    exchange.step(
        command(Command.DEPOSIT, account=2, symbol=of.settle_asset, qty=10**14),
        command(Command.WITHDRAW, account=1, symbol=of.settle_asset, qty=deposited - wallet),
        command(Command.SET_LEVERAGE, account=1, symbol=symbol, qty=leverage),
        command(Command.PLACE, account=2, flags=maker, **place),
        command(Command.PLACE, account=1, flags=taker, **place),
    )
    account = exchange.views.accounts[1]
    (row,) = [row for row in account.position_rows() if row["currentQty"]]
    ticks = round(row["liquidationPrice"] * 10**of.tick_decimals / of.tick_units)
    assert 0 < ticks != 10_000
    away = 1 if is_sell else -1
    taken = (int(Event.LIQUIDATION), int(LiquidationStep.TAKEN_OVER))
    assert not exchange.step(command(Command.MARK, symbol=symbol, qty=(ticks - away) * 100))[taken]
    while exchange.engine.has_more_to_do:
        assert not exchange.step(command(Command.TICK))[taken]
    assert account.positions[symbol].qty
    kinds = exchange.step(command(Command.MARK, symbol=symbol, qty=(ticks + 2 * away) * 100))
    while exchange.engine.has_more_to_do and not kinds[taken]:
        kinds += exchange.step(command(Command.TICK))
    assert kinds[taken] == 1
    assert not account.positions[symbol].qty
    (execution,) = (e.row() for e in exchange.changes.executions if e.account == 1)
    names = ("execType", "text", "ordType", "orderID")
    assert [execution[name] for name in names] == [
        "Liquidation", "Liquidation", "Limit", "00000000-0000-0000-0000-000000000000",
    ]  # fmt: skip
    assert execution["price"] == pytest.approx(row["bankruptPrice"], rel=1e-3)
    while exchange.engine.has_more_to_do:
        exchange.step(command(Command.TICK))
    orders = exchange.views.liquidations()
    assert [order.liquidation_row()["side"] for order in orders] == ["Buy" if is_sell else "Sell"]


def test_a_deficit_is_covered_by_the_fund_and_both_wallets_say_so() -> None:
    """Made by hand: the engine hardly ever lets a wallet fall below nothing."""
    exchange = Exchange()
    views = exchange.views
    events = np.zeros(1, EVENT)
    events["kind"], events["account"], events["amount"] = Event.COVERED, 1, 5_000
    events["sequence"] = views.next_sequence
    before = [views.accounts[n].margin(0).wallet for n in (1, 4)]
    changes = views.apply(
        Batch(views.next_sequence, START_NS, views.next_event, command(Command.TICK), events)
    )
    after = [views.accounts[n].margin(0).wallet for n in (1, 4)]
    assert after == [before[0] + 5_000, before[1] - 5_000]
    assert [(line.account, line.amount) for line in changes.lines] == [
        ("client:1", 5_000), ("insurance", -5_000),
    ]  # fmt: skip
    assert [(t.account, t.kind, t.amount, t.wallet) for t in changes.transactions] == [
        (1, "Transfer", 5_000, after[0]), (4, "Transfer", -5_000, after[1]),
    ]  # fmt: skip

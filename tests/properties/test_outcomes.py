"""Funding, liquidation, deleveraging and settlement: the folds agree with the engine, and the books balance."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ringfence.exchange.projections import TABLES, Changes, Views
from ringfence.exchange.projections.history import HistoryReader, HistoryWriter, Query, checkpoint
from ringfence.exchange.projections.last_resort import pseudonym
from ringfence.messages.batch import Batch
from ringfence.messages.commands import AdlMethod, InstrumentState
from ringfence.messages.events import Event
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
    assert kinds[Event.LIQUIDATION] and kinds[Event.FUNDED] and kinds[Event.SETTLED]
    future = views.markets[FUTURE]
    assert future.state == InstrumentState.SETTLED
    assert future.open_interest == 0
    assert future.row()["state"] == "Settled" and future.row()["settledPrice"] > 0


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
    assert set(volumes) <= set(range(1, FUND + 1)) and volumes[1].contract_cents > 0
    reader.close()
    for _ in range(2):
        views, writer = Views(), HistoryWriter(urls[1], receipt_secret=SECRET)
        for batch in batches if _ else batches[: len(batches) // 2]:
            writer.apply(batch, views.apply(batch))
        writer.commit()
        writer.close()
    assert content(urls[0]) == content(urls[1])


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


def test_percentiles_agree_with_the_keys(seed: int = 5) -> None:
    views = Views()
    for batch in play(seed)[1][:-1]:
        views.apply(batch)
    seen = set()
    for account in range(1, TRADERS + 1):
        for row in views.accounts[account].position_rows():
            assert (row["deleveragePercentile"] is None) == (row["currentQty"] == 0)
            seen.add(row["deleveragePercentile"])
    assert 1.0 in seen

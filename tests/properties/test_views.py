"""The views are folds of events alone, and agree with the engine's own state to the last unit."""

from collections.abc import Iterator

import numpy as np
import pytest

from ringfence.exchange.engine import Engine
from ringfence.exchange.projections import Changes, Views
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command
from ringfence.testing.play import START_NS, opening
from ringfence.testing.workloads import everything
from ringfence.units.assets import ASSETS

ACCOUNTS = 5


def fold(seed: int, *, count: int = 900, accounts: int = ACCOUNTS) -> tuple[Engine, Views, list[Changes]]:
    """Return an engine, the views of its events, and what each batch changed."""
    engine, views, changes = Engine(accounts=64, orders=64), Views(), []
    commands = everything(seed, count=count, accounts=accounts)
    batches = [opening(accounts=accounts), *(commands[k : k + 60] for k in range(0, len(commands), 60))]
    for index, rows in enumerate(batches):
        stamp = START_NS + index * 10**9
        sequence, event = engine.next_sequence, engine.event_count
        events = engine.step(rows, timestamp_ns=stamp).copy()
        changes.append(views.apply(Batch(sequence, stamp, event, rows, events)))
    return engine, views, changes


@pytest.mark.parametrize("seed", range(200, 208))
def test_views_equal_the_engine(seed: int) -> None:
    engine, views, _ = fold(seed)
    for account in range(1, ACCOUNTS + 1):
        held = views.accounts[account]
        for asset in ASSETS:
            record, margin = engine.margin(asset.number, account), held.margin(asset.number)
            assert margin.wallet == int(record["wallet"])
            assert margin.locked == int(record["locked"])
        for number, position in held.positions.items():
            found = engine.position(account, number)
            assert found is not None
            if not position.instrument.is_spot:
                assert (position.qty, position.cost) == (int(found["qty"]), int(found["cost"]))
                assert position.transferred == int(found["transferred"])
                assert position.leverage == int(found["leverage"])
                assert position.sell_value == int(found["open_sells"])
            assert position.buy_value == int(found["open_buys"])
    for number, market in views.markets.items():
        bids, asks = engine.book(number)
        assert sorted(market.bids.levels.items(), reverse=True) == bids
        assert sorted(market.asks.levels.items()) == asks
        assert market.bids.prices == sorted(market.bids.levels)
        assert market.total_volume == int(engine.instrument(number)["volume"])
        longs = sum(max(a.positions[number].qty, 0) for a in views.accounts.values() if number in a.positions)
        assert market.open_interest == (0 if market.instrument.is_spot else longs)
    open_handles = {
        (int(o["sequence"]), int(o["leaves"])) for n in views.markets for o in engine.live_orders(n)
    }
    assert {(order.sequence & 0xFFFFFFFF, order.leaves) for order in views.orders.values()} == open_handles


def test_a_close_order_amended_upwards_is_cut_by_the_same_command() -> None:
    """It leaves the book, is cut to the position before it stands again, and the fold follows."""
    engine, views, _ = fold(500, accounts=4)
    assert len(views.orders) == sum(len(engine.live_orders(number)) for number in views.markets)


@pytest.mark.parametrize("seed", [300, 301])
def test_ledger_lines_balance_and_add_up_to_the_wallets(seed: int) -> None:
    _, views, changes = fold(seed)
    balances: dict[tuple[str, int], int] = {}
    for batch in changes:
        per_entry: dict[tuple[int, int], int] = {}
        for line in batch.lines:
            per_entry[line.number, line.asset] = per_entry.get((line.number, line.asset), 0) + line.amount
            balances[line.account, line.asset] = balances.get((line.account, line.asset), 0) + line.amount
        assert not any(per_entry.values())
    for number, account in views.accounts.items():
        for asset, margin in account.margins.items():
            assert balances.get((f"client:{number}", asset), 0) == margin.wallet


def test_every_row_has_every_column_and_no_empty_text() -> None:
    """Clients need each key; some stop altogether at an empty string (bitmex-spec A4.5)."""
    from ringfence.exchange.projections import TABLES

    _, views, changes = fold(400)
    rows = {"order": [], "execution": [], "position": [], "margin": [], "instrument": [], "trade": []}
    for batch in changes:
        rows["order"] += [order.row() for order, _ in batch.orders.values()]
        rows["execution"] += [execution.row() for execution in batch.executions]
        rows["trade"] += [trade.row() for trade in batch.trades]
    for account in views.accounts.values():
        rows["position"] += account.position_rows()
        rows["margin"] += account.margin_rows()
    rows["instrument"] = [market.row() for market in views.markets.values()]
    for name, found in rows.items():
        assert found, name
        for row in found:
            assert tuple(row) == TABLES[name].names
            assert "" not in row.values()


def requested(*, count: int) -> Iterator[Batch]:
    """Yield the batches of a play in which every command has a request token."""
    engine = Engine(accounts=64, orders=64)
    commands = everything(207, count=count, accounts=ACCOUNTS)
    for index, rows in enumerate([opening(accounts=ACCOUNTS), *np.array_split(commands, 10)]):
        stamp, sequence, event = START_NS + index * 10**9, engine.next_sequence, engine.event_count
        asking = rows["kind"] != Command.DATA
        rows["request"][asking] = sequence + 1 + np.flatnonzero(asking)
        events = engine.step(rows, timestamp_ns=stamp).copy()
        yield Batch(sequence, stamp, event, rows, events)


def test_reports_are_made_for_the_accounts_that_are_asked_for() -> None:
    """And nothing else depends on who asks: the orders' rows are the same."""
    everyone, second, reported = Views(), Views(), 0
    for batch in requested(count=600):
        whole, part = everyone.apply(batch), second.apply(batch, reports_for={2})
        wanted = [execution.row() for execution in whole.executions if execution.account == 2]
        assert [execution.row() for execution in part.executions] == wanted
        assert [(order.row(), is_new) for order, is_new in part.orders.values()] == [
            (order.row(), is_new) for order, is_new in whole.orders.values()
        ]
        reported += len(wanted)
    assert reported > 20


def test_every_command_has_its_result_in_the_order_of_commands() -> None:
    views = Views()
    for batch in requested(count=600):
        asked = batch.commands[batch.commands["kind"] != Command.DATA]
        results = views.apply(batch).results
        assert [(r.request, r.kind) for r in results] == asked[["request", "kind"]].tolist()

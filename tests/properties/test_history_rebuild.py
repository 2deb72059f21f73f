"""However often a writer stops, and wherever it starts again, the history is the same to the last row."""

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ringfence.exchange.projections import Changes, Views
from ringfence.exchange.projections.history import HistoryWriter, checkpoint
from ringfence.exchange.projections.history.schema import METADATA, open_engine
from ringfence.messages.batch import Batch
from ringfence.units.assets import ASSETS
from tests.unit.test_history import DATABASES, batches_of, empty_database, write


def content(url: str) -> dict[str, list[Any]]:
    """Return every row of every table, progress included."""
    engine = open_engine(url)
    with engine.connect() as connection:
        found = {
            table.name: [
                tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in METADATA.sorted_tables
        }
    engine.dispose()
    return found


def facts(views: Views) -> list[Any]:
    """Return everything that can be asked of views, in a form that can be compared."""
    accounts, markets = list(views.accounts.values()), list(views.markets.values())
    margins = [account.margin(asset.number) for account in accounts for asset in ASSETS]
    closed = [(market.instrument, done) for market in markets for done in market.closed.values()]
    return [
        (views.next_sequence, views.next_event, views.timestamp_ns),
        [order.row() for order in views.orders.values()],
        [(account.name, account.cancel_all_at_ns, list(account.orders)) for account in accounts],
        [account.position_rows() for account in accounts],
        [(margin.row(), margin.wallet_row()) for margin in margins],
        [(market.row(), market.book_rows(0)) for market in markets],
        [trade.row() for market in markets for trade in market.trades],
        [(done.row(of), done.quote_row(of)) for of, done in closed],
    ]


def told(changes: Changes) -> list[Any]:
    """Return what a batch changed, in its order."""
    return [
        [(order.row(), is_new) for order, is_new in changes.orders.values()],
        [execution.row() for execution in changes.executions],
        [trade.row() for trade in changes.trades],
        [changes.lines, changes.transactions, changes.levels, changes.quotes, list(changes.markets)],
        [(size, done.row(market.instrument)) for market, size, done in changes.bins],
        [(position.account, position.instrument.number) for position in changes.positions.values()],
        [margin.row() for margin in changes.margins.values()],
    ]


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("seed", range(600, 604))
def test_restarts_leave_no_trace(kind: str, seed: int, tmp_path: Path) -> None:
    """Processes die between batches, with or without a commit, and start from any checkpoint or none."""
    batches = batches_of(seed)
    url = empty_database(kind, tmp_path)
    write(url, batches)
    wanted = content(url)
    (tmp_path / "history.sqlite").unlink(missing_ok=True)
    url = empty_database(kind, tmp_path)
    dice = random.Random(seed)
    while True:
        writer = HistoryWriter(url)
        loaded = checkpoint.load(tmp_path / "checkpoints", at_most=writer.next_sequence)
        views = loaded if loaded is not None and dice.random() < 0.7 else Views()
        for batch in _from(batches, views.next_sequence):
            writer.apply(batch, views.apply(batch))
            if dice.random() < 0.4:
                writer.commit()
                if dice.random() < 0.3:
                    checkpoint.save(views, tmp_path / "checkpoints")
            if dice.random() < 0.15:
                break
        else:
            writer.commit()
            writer.close()
            break
        writer.close()
    assert content(url) == wanted


@pytest.mark.parametrize("seed", [610, 611, 612])
def test_folding_on_from_a_checkpoint_is_folding_from_the_beginning(seed: int, tmp_path: Path) -> None:
    """Each batch is folded by views that live for ever and by views that a checkpoint brought back."""
    views, restored = Views(), Views()
    for batch in batches_of(seed):
        checkpoint.save(restored, tmp_path)
        loaded = checkpoint.load(tmp_path)
        assert loaded is not None
        restored = loaded
        assert told(restored.apply(batch)) == told(views.apply(batch))
        assert facts(restored) == facts(views)


def _from(batches: list[Batch], sequence: int) -> list[Batch]:
    return [batch for batch in batches if batch.first_sequence >= sequence]

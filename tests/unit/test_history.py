"""History answers with the rows that the builders made, and refuses what it cannot trust."""

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

from ringfence.daemons.history import CHECK_SECONDS, EXIT_LOCKED, EXIT_REFUSED, History, lock
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedWriter, Load, encode_status
from ringfence.exchange.projections import TABLES, Views
from ringfence.exchange.projections.history import (
    HISTORY_TABLES,
    HistoryError,
    HistoryReader,
    HistoryWriter,
    Query,
    checkpoint,
    transaction_row,
)
from ringfence.exchange.projections.history.reader import _select
from ringfence.messages.batch import CLORDID, TEXT, Batch, Records, encode_data
from ringfence.messages.commands import Command
from ringfence.messages.identifiers import clid_hash
from ringfence.messages.records import COMMAND
from ringfence.testing import postgres
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.workloads import everything
from ringfence.units.time import NS_PER_HOUR

Row = dict[str, Any]
ACCOUNTS = 4
STAMP = "2026-11-24T12:00:00.000Z"
DATABASES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())),
]


def empty_database(kind: str, tmp_path: Path) -> str:
    """Return the URL of a database without tables."""
    return f"sqlite:///{tmp_path}/history.sqlite" if kind == "sqlite" else postgres.shared().new_database()


def batches_of(seed: int, *, count: int = 900) -> list[Batch]:
    """Return batches of everything, two hours apart, so that bins close and a session ends."""
    engine = Engine(accounts=64, orders=64)
    named = command(
        Command.PLACE, account=1, symbol=1, qty=100, px=9_990, clid=clid_hash("märz"), request=7
    ).tobytes() + encode_data([(CLORDID, "märz".encode()), (TEXT, b"one\ntwo")])
    commands = everything(seed, count=count, accounts=ACCOUNTS)
    parts = [
        opening(accounts=ACCOUNTS), *(commands[k : k + 60] for k in range(0, len(commands), 60)),
    ]  # fmt: skip
    parts.insert(1, _records(named))
    batches = []
    for index, rows in enumerate(parts):
        stamp = START_NS + index * 2 * NS_PER_HOUR
        sequence, event = engine.next_sequence, engine.event_count
        events = engine.step(rows, timestamp_ns=stamp).copy()
        batches.append(Batch(sequence, stamp, event, rows, events))
    return batches


def _records(raw: bytes) -> Records:
    return np.frombuffer(bytearray(raw), COMMAND)


def write(url: str, batches: list[Batch]) -> Views:
    """Fold and write batches, one transaction each."""
    views, writer = Views(), HistoryWriter(url)
    for batch in batches:
        writer.apply(batch, views.apply(batch))
        writer.commit()
    writer.close()
    return views


def rows_made_by_the_builders(batches: list[Batch]) -> dict[str, list[Row]]:
    """Return what each table should hold, oldest first, without any SQL."""
    views = Views()
    rows: dict[str, list[Row]] = {name: [] for name in HISTORY_TABLES}
    orders: dict[int, Row] = {}
    for batch in batches:
        changes = views.apply(batch)
        orders |= {order.number: order.row() for order, _ in changes.orders.values()}
        rows["execution"] += [execution.row() for execution in changes.executions]
        rows["trade"] += [trade.row() for trade in changes.trades]
        rows["transact"] += [transaction_row(line) for line in changes.transactions]
        for market, size, closed in changes.bins:
            rows[f"tradeBin{size}"].append(closed.row(market.instrument))
            if not market.instrument.is_index:
                rows[f"quoteBin{size}"].append(closed.quote_row(market.instrument))
    rows["order"] = [orders[sequence] for sequence in sorted(orders)]
    for name, found in rows.items():
        if "Bin" in name:
            # Markets close their bins one market after the other; history tells them by time.
            numbers = {symbol: market.instrument.number for symbol, market in views.symbols.items()}
            found.sort(key=lambda row: (row["timestamp"], numbers[row["symbol"]]))
    return rows


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return batches_of(500)


@pytest.fixture(scope="module")
def made(batches: list[Batch]) -> dict[str, list[Row]]:
    return rows_made_by_the_builders(batches)


@pytest.fixture(scope="module", params=DATABASES)
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, batches: list[Batch]
) -> HistoryReader:
    url = empty_database(request.param, tmp_path_factory.mktemp("history"))
    write(url, batches)
    return HistoryReader(url)


# ---- rows


OUTCOMES = frozenset(
    ("funding", "insurance", "settlement", "deleverage", "userDeleverage", "userEvent", "tradingVolume")
)
"""What needs a market in trouble: see tests/properties/test_outcomes.py."""


@pytest.mark.parametrize("table", sorted(HISTORY_TABLES.keys() - OUTCOMES))
def test_rows_come_out_as_the_builders_made_them(
    reader: HistoryReader, made: dict[str, list[Row]], table: str
) -> None:
    """Equal values of equal types in the order of the wire, so that JSON of both is the same."""
    found = reader.rows(Query(table=table, count=10**6))
    assert found == made[table]
    assert len(found) > 0
    for row, wanted in zip(found, made[table], strict=True):
        assert tuple(row) == TABLES[table].names
        assert [type(value) for value in row.values()] == [type(value) for value in wanted.values()]


def _where(**allowed: Any) -> Callable[[Row], bool]:
    return lambda row: all(row[name] in values for name, values in allowed.items())


FILTERS: list[tuple[str, dict[str, tuple[Any, ...]]]] = [
    ("order", {}),
    ("order", {"account": (2,)}),
    ("order", {"account": (1,), "symbol": ("XBTUSD",)}),
    ("order", {"account": (1,), "clOrdID": ("märz",)}),
    ("order", {"account": (1,), "clOrdID": ("märz", "nobody's")}),
    ("order", {"clOrdID": (None,)}),
    ("order", {"clOrdID": (None, "märz")}),
    ("order", {"clOrdID": ("mä\0rz", "\ud800")}),
    ("order", {"text": ("one\ntwo",)}),
    ("order", {"ordStatus": ("New", "PartiallyFilled"), "account": (1, 3)}),
    ("order", {"workingIndicator": (True,)}),
    ("order", {"workingIndicator": (False, None)}),
    ("order", {"workingIndicator": ("true",)}),
    ("order", {"leavesQty": (0,)}),
    ("order", {"leavesQty": (0.5,)}),
    ("order", {"leavesQty": (10**30, -(10**30))}),
    ("order", {"leavesQty": ("0",)}),
    ("order", {"price": (float("nan"), float("inf"))}),
    ("order", {"symbol": (1, [], None)}),
    ("order", {"symbol": ()}),
    ("execution", {"account": (3,), "execType": ("Trade",)}),
    ("execution", {"account": (3,), "execType": ("New", "Canceled"), "symbol": ("ETHUSD", "XBTUSD")}),
    ("execution", {"lastQty": (None,)}),
    ("trade", {"symbol": ("XBTUSD",), "side": ("Sell",)}),
    ("trade", {"symbol": ("NOSUCH",)}),
    ("transact", {"account": (1,), "currency": ("XBt",)}),
    ("transact", {"transactType": ("RealisedPNL",)}),
    ("tradeBin1h", {"symbol": ("XBTUSD",)}),
    ("quoteBin1d", {"bidSize": (None,)}),
]


@pytest.mark.parametrize(("table", "equal"), FILTERS)
def test_a_filter_returns_the_rows_whose_columns_have_an_allowed_value(
    reader: HistoryReader, made: dict[str, list[Row]], table: str, equal: dict[str, tuple[Any, ...]]
) -> None:
    wanted = [row for row in made[table] if _where(**equal)(row)]
    assert reader.rows(Query(table=table, equal=equal, count=10**6)) == wanted
    newest_first = reader.rows(Query(table=table, equal=equal, count=10**6, reverse=True))
    assert newest_first == wanted[::-1]


@pytest.mark.parametrize("table", ["order", "execution", "trade", "transact", "tradeBin5m", "quoteBin1h"])
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_meet_without_a_gap_or_a_double(
    reader: HistoryReader, made: dict[str, list[Row]], table: str, reverse: bool
) -> None:
    wanted = made[table][::-1] if reverse else made[table]
    for start, count in ((0, 7), (7, 7), (14, 0), (len(wanted) - 3, 10), (len(wanted), 5)):
        found = reader.rows(Query(table=table, start=start, count=count, reverse=reverse))
        assert found == wanted[start : start + count]


@pytest.mark.parametrize("table", ["order", "execution", "trade", "transact", "tradeBin1m"])
def test_a_time_range_includes_both_ends(
    reader: HistoryReader, made: dict[str, list[Row]], table: str
) -> None:
    stamps = sorted({row["timestamp"] for row in made[table]})
    first, last = stamps[len(stamps) // 4], stamps[len(stamps) // 2]
    for start, end in ((first, last), (first, None), (None, last), (last, first), (None, None)):
        wanted = [
            row
            for row in made[table]
            if (start is None or row["timestamp"] >= start) and (end is None or row["timestamp"] <= end)
        ]
        assert reader.rows(Query(table=table, start_time=start, end_time=end, count=10**6)) == wanted


def test_columns_narrow_a_row_and_its_key_comes_always(reader: HistoryReader) -> None:
    found = reader.rows(Query(table="order", columns=("price", "clOrdID"), count=3))
    assert [tuple(row) for row in found] == [("orderID", "clOrdID", "price")] * 3
    found = reader.rows(Query(table="trade", columns=("size",), count=3))
    assert [tuple(row) for row in found] == [("size",)] * 3


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (Query(table="position"), "no history is kept of 'position'"),
        (Query(table="order", equal={"key": (1,)}), "'key' is no column of order"),
        (Query(table="order", columns=("orderID; drop table",)), "is no column of order"),
        (Query(table="order", start_time="2026"), "'2026' is not a time"),
        (Query(table="order", end_time="2026-11-24T12:00:00.000+"), "is not a time"),
        (Query(table="order", count=-1), "whole numbers from 0"),
        (Query(table="order", start=2**63), "whole numbers from 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(
    reader: HistoryReader, query: Query, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        reader.rows(query)


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        (Query(table="order", equal={"account": (1,)}), "order_by_account_key"),
        (Query(table="order", equal={"account": (1,), "symbol": ("A",)}), "order_by_account_symbol_key"),
        (Query(table="order", equal={"account": (1,), "orderID": ("A",)}), "order_by_account_orderID"),
        (
            Query(table="execution", equal={"account": (1,), "clOrdID": ("A", "B"), "symbol": ("C",)}),
            "execution_by_account_clOrdID",
        ),
        (
            Query(table="execution", equal={"account": (1,), "orderID": ("A",)}, start_time=STAMP),
            "execution_by_account_orderID",
        ),
        (
            Query(table="execution", equal={"account": (1,), "execType": ("Trade",)}, reverse=True),
            "execution_by_account_timestamp_key_execType",
        ),
        (Query(table="trade", reverse=True), "trade_by_timestamp_key"),
        (Query(table="trade", start_time=STAMP), "trade_by_timestamp_key"),
        (Query(table="trade", equal={"symbol": ("A",)}, end_time=STAMP), "trade_by_symbol_timestamp_key"),
        (Query(table="tradeBin1m", equal={"symbol": ("A",)}), "tradeBin1m_by_symbol_timestamp_key"),
        (Query(table="transact", equal={"account": (1,)}, reverse=True), "transact_by_account_key"),
    ],
)
def test_what_clients_ask_most_is_found_by_an_index_that_fits(
    tmp_path: Path, query: Query, plan: str
) -> None:
    """In the order of the answer; only the few rows that have an identifier are sorted."""
    url = empty_database("sqlite", tmp_path)
    HistoryWriter(url).close()
    _, statement = _select(query)
    engine = create_engine(url)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def explain(_: Any, __: Any, text: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        return f"explain query plan {text}", parameters

    with engine.connect() as connection:
        steps = [row[3] for row in connection.execute(statement).cursor.fetchall()]
    assert [step.split()[4] for step in steps if " USING INDEX " in step] == [plan], steps
    if "ID" not in plan:
        assert not any("ORDER BY" in step for step in steps), steps


def test_a_question_that_takes_too_long_is_given_up(url: str, batches: list[Batch]) -> None:
    write(url, batches)
    reader = HistoryReader(url, seconds_max=0.0)

    def ask_for_long() -> None:
        """A millisecond is PostgreSQL's shortest, and it may read one table in that."""
        for table in ("tradeBin1m", "quoteBin1m") * 50:
            reader.rows(Query(table=table, equal={"symbol": ("XBTUSD", None)}, count=10**6))

    with pytest.raises(TimeoutError, match="narrow it"):
        ask_for_long()
    for _ in range(100):
        # Of PostgreSQL's millisecond it may need more than one.
        with contextlib.suppress(OperationalError):
            assert reader.next_sequence() == batches[-1].next_sequence
            return
    raise AssertionError("it never answers again")


def test_the_first_close_has_the_quote_of_that_moment(reader: HistoryReader, batches: list[Batch]) -> None:
    """Nothing happens between two batches, so all bins that close in one have the best before it."""
    views = Views()
    views.apply(batches[0])
    views.apply(batches[1])
    market = views.symbols["XBTUSD"]
    assert market.best[1] == 9_990
    (bin_row,) = reader.rows(Query(table="quoteBin1h", equal={"symbol": ("XBTUSD",)}, count=1))
    assert {**bin_row, "timestamp": None} == {**market.quote_row(), "timestamp": None}


# ---- the ledger


def test_balances_are_the_sums_of_the_lines_and_the_wallets_of_the_clients(
    reader: HistoryReader, batches: list[Batch]
) -> None:
    views = Views()
    for batch in batches:
        views.apply(batch)
    sums: dict[tuple[str, int], int] = {}
    lines = reader.lines(count=10**6)
    for line in lines:
        sums[line.account, line.asset] = sums.get((line.account, line.asset), 0) + line.amount
    balances = reader.balances()
    assert balances == sums
    for asset in (0, 1):
        assert sum(amount for (_, of), amount in balances.items() if of == asset) == 0
    for number, account in views.accounts.items():
        wallets = {(f"client:{number}", asset): margin.wallet for asset, margin in account.margins.items()}
        assert reader.balances(f"client:{number}") == {key: sum_ for key, sum_ in wallets.items() if sum_}
    assert reader.lines("fees", count=2) == [line for line in lines if line.account == "fees"][:2]
    assert reader.lines(after_key=lines[5].key, count=2) == lines[6:8]


# ---- the database


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path)


def test_a_reader_that_is_first_sees_an_empty_history(url: str, batches: list[Batch]) -> None:
    reader = HistoryReader(url)
    assert reader.next_sequence() == 0
    write(url, batches[:2])
    assert reader.next_sequence() == batches[1].next_sequence


def test_what_is_not_committed_is_not_there(url: str, batches: list[Batch]) -> None:
    views, writer, reader = Views(), HistoryWriter(url), HistoryReader(url)
    for batch in batches[:3]:
        writer.apply(batch, views.apply(batch))
    assert writer.next_sequence == batches[2].next_sequence
    assert reader.next_sequence() == 0
    writer.close()
    again = HistoryWriter(url)
    assert again.next_sequence == 0
    again.close()


def test_a_second_writer_is_found_out_before_anything_is_doubled(
    tmp_path: Path, batches: list[Batch]
) -> None:
    """SQLite: by the rows; PostgreSQL already when it is opened."""
    url = empty_database("sqlite", tmp_path)
    first, second = HistoryWriter(url), HistoryWriter(url)
    for writer in (first, second):
        views = Views()
        writer.apply(batches[0], views.apply(batches[0]))
        if writer is second:
            # One of the two conditions strikes, depending on what the batch inserts.
            with pytest.raises(Exception, match=r"another process writes|UNIQUE"):
                writer.commit()
        else:
            writer.commit()
    assert HistoryReader(url).next_sequence() == batches[0].next_sequence


def test_text_that_the_database_cannot_hold_does_not_stop_the_history(url: str) -> None:
    """A client can put NUL into a clOrdID; PostgreSQL refuses it."""
    batches = batches_of(1, count=0)
    place = command(Command.PLACE, account=1, symbol=1, qty=100, px=9_000, clid=5).tobytes()
    rows = _records(place + encode_data([(CLORDID, b"a\0b")]))
    engine = Engine(accounts=64, orders=64)
    for batch in batches:
        engine.step(batch.commands, timestamp_ns=batch.timestamp_ns)
    last = batches[-1]
    sequence, event = engine.next_sequence, engine.event_count
    events = engine.step(rows, timestamp_ns=last.timestamp_ns).copy()
    write(url, [*batches, Batch(sequence, last.timestamp_ns, event, rows, events)])
    (row,) = HistoryReader(url).rows(Query(table="order", reverse=True, count=1))
    assert row["clOrdID"] == ("a\0b" if url.startswith("sqlite") else "a\ufffdb")


def test_the_file_is_private_to_its_owner(tmp_path: Path, batches: list[Batch]) -> None:
    url = empty_database("sqlite", tmp_path)
    writer = HistoryWriter(url)
    views = Views()
    writer.apply(batches[0], views.apply(batches[0]))
    writer.commit()
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


# ---- checkpoints


def _saved(directory: Path, batches: list[Batch]) -> list[int]:
    """Write a checkpoint after each batch and return the sequences."""
    views, sequences = Views(), []
    for batch in batches:
        views.apply(batch)
        checkpoint.save(views, directory)
        sequences.append(views.next_sequence)
    return sequences


def _loaded_sequence(directory: Path, **at_most: int) -> int | None:
    views = checkpoint.load(directory, **at_most)
    return views.next_sequence if views else None


def test_the_newest_two_checkpoints_are_kept_private(tmp_path: Path, batches: list[Batch]) -> None:
    sequences = _saved(tmp_path / "checkpoints", batches[:4])
    paths = sorted((tmp_path / "checkpoints").iterdir())
    assert [int(path.stem) for path in paths] == sequences[-2:]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert _loaded_sequence(tmp_path / "checkpoints") == sequences[-1]
    assert _loaded_sequence(tmp_path / "checkpoints", at_most=sequences[-1] - 1) == sequences[-2]
    assert _loaded_sequence(tmp_path / "checkpoints", at_most=sequences[-2] - 1) is None
    assert _loaded_sequence(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda raw: b"", "no checkpoint"),
        (lambda raw: raw[:50], "no checkpoint"),
        (lambda raw: b"RFVIEWS0" + raw[8:], "no checkpoint"),
        (lambda raw: raw[:9] + bytes((raw[9] ^ 1,)) + raw[10:], "another version"),
        (lambda raw: raw[:30] + bytes((raw[30] ^ 1,)) + raw[31:], "damaged"),
        (lambda raw: raw[:-1], "damaged"),
        (lambda raw: raw + b"\0", "damaged"),
        (lambda raw: raw[:999] + bytes((raw[999] ^ 64,)) + raw[1000:], "damaged"),
        (lambda raw: _forged(raw), "it names os.system|it names posix.system"),
    ],
)
def test_a_checkpoint_that_cannot_be_trusted_is_passed_over(
    tmp_path: Path,
    batches: list[Batch],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    why: str,
) -> None:
    """The older one is used instead, and the log says why."""
    sequences = _saved(tmp_path, batches[:3])
    newest = max(tmp_path.iterdir())
    newest.write_bytes(damage(newest.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert _loaded_sequence(tmp_path) == sequences[-2]
    assert newest.name in caplog.text
    assert any(part in caplog.text for part in why.split("|"))


class _Forged:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def _forged(raw: bytes) -> bytes:
    body = pickle.dumps({"next_sequence": _Forged()})
    return raw[:24] + checkpoint._digest(body) + body


# ---- the daemon


def feed_of(directory: Path, batches: list[Batch]) -> None:
    writer = FeedWriter(directory / "feed")
    for batch in batches:
        writer.append(batch)
    writer.close()


class FakeCore:
    """Says how far the journal reaches, as the core does when somebody connects."""

    def __init__(self, directory: Path, next_sequence: int) -> None:
        self._path, self._next_sequence = directory / "core.sock", next_sequence
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "FakeCore":
        self._server = await asyncio.start_unix_server(self._greet, str(self._path))
        return self

    async def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(encode_status(self._next_sequence, 1, Load()))

    def tell(self, next_sequence: int) -> None:
        self._next_sequence = next_sequence
        for writer in self._writers:
            writer.write(encode_status(next_sequence, 1, Load()))

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        self._server.close()
        self._path.unlink()


async def until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


async def test_the_daemon_follows_the_core_and_the_feed_alone(
    tmp_path: Path, url: str, batches: list[Batch]
) -> None:
    """With the core, without it, and with the core again; then another daemon goes on."""
    reader = HistoryReader(url)
    history = History(tmp_path, HistoryWriter(url))
    running = asyncio.create_task(history.run())
    reached = lambda k: reader.next_sequence() == batches[k].next_sequence  # noqa: E731
    feed_of(tmp_path, batches[:2])
    await until(lambda: reached(1))
    async with FakeCore(tmp_path, batches[1].next_sequence) as core:
        await until(lambda: history._core.is_connected)
        feed_of(tmp_path, batches[:5])
        core.tell(batches[4].next_sequence)
        await until(lambda: reached(4), seconds=0.95 * CHECK_SECONDS)
    feed_of(tmp_path, batches[:7])
    await until(lambda: reached(6))
    async with FakeCore(tmp_path, batches[6].next_sequence):
        await until(lambda: history._core.is_connected)
    history.stop()
    await running
    history.close()
    assert _loaded_sequence(tmp_path / "checkpoints") == batches[6].next_sequence
    history._writer.close()
    again = History(tmp_path, HistoryWriter(url))
    assert again.views.next_sequence == batches[6].next_sequence
    feed_of(tmp_path, batches)
    running = asyncio.create_task(again.run())
    await until(lambda: reached(-1))
    again.stop()
    await running
    made = rows_made_by_the_builders(batches)
    for table in HISTORY_TABLES.keys() - OUTCOMES:
        assert reader.rows(Query(table=table, count=10**6)) == made[table]


async def test_a_feed_that_is_being_rewritten_is_waited_for(
    tmp_path: Path, url: str, batches: list[Batch]
) -> None:
    write(url, batches[:4])
    feed_of(tmp_path, batches[:2])
    history = History(tmp_path, HistoryWriter(url))
    running = asyncio.create_task(history.run())
    await asyncio.sleep(0.15)
    assert not running.done()
    feed_of(tmp_path, batches[:6])
    await until(lambda: history.views.next_sequence == batches[5].next_sequence)
    history.stop()
    await running


async def test_a_history_ahead_of_the_journal_is_refused(
    tmp_path: Path, url: str, batches: list[Batch]
) -> None:
    write(url, batches[:4])
    feed_of(tmp_path, batches[:3])
    history = History(tmp_path, HistoryWriter(url))
    async with FakeCore(tmp_path, batches[2].next_sequence):
        with pytest.raises(HistoryError, match="delete this history database"):
            await history.run()


async def test_a_feed_with_a_hole_is_refused_rather_than_waited_for(
    tmp_path: Path, batches: list[Batch]
) -> None:
    history = History(tmp_path, HistoryWriter(empty_database("sqlite", tmp_path)))
    async with FakeCore(tmp_path, batches[2].next_sequence):
        with pytest.raises(HistoryError, match="does not hold sequence 0"):
            await history.run()


def _daemon(directory: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "ringfence.daemons.history", str(directory)], stderr=subprocess.PIPE
    )


def test_the_process_stops_cleanly_when_asked(tmp_path: Path, batches: list[Batch]) -> None:
    feed_of(tmp_path, batches[:3])
    reader = HistoryReader(empty_database("sqlite", tmp_path))
    process = _daemon(tmp_path)
    end = time.monotonic() + 30
    while reader.next_sequence() < batches[2].next_sequence and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told.decode()
    assert f"stopped at sequence {batches[2].next_sequence}" in told.decode()
    assert _loaded_sequence(tmp_path / "checkpoints") == batches[2].next_sequence


def test_the_process_refuses_the_history_of_another_venue(tmp_path: Path, batches: list[Batch]) -> None:
    feed_of(tmp_path, batches)
    write(empty_database("sqlite", tmp_path), batches_of(501)[:3])
    process = _daemon(tmp_path)
    _, told = process.communicate(timeout=30)
    assert process.returncode == EXIT_REFUSED
    assert "of another journal" in told.decode()


def test_two_daemons_do_not_share_a_directory(tmp_path: Path) -> None:
    held = lock(tmp_path)
    process = _daemon(tmp_path)
    _, told = process.communicate(timeout=30)
    os.close(held)
    assert process.returncode == EXIT_LOCKED, told.decode()

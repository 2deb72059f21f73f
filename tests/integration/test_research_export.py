"""Parquet files say what history says, to the last unit; a run that is cut short is gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from ringfence.exchange.projections import Views
from ringfence.exchange.projections.history import HistoryReader, Query
from ringfence.exchange.projections.research import TABLES, Export, Exported, ExportError
from ringfence.exchange.projections.research.columns import BIN_SIZES
from ringfence.messages.batch import Batch
from ringfence.testing.play import START_NS
from ringfence.testing.up import RINGFENCE
from ringfence.units.time import NS_PER_DAY, floor_to, iso
from tests.unit.test_history import batches_of, feed_of, write

Row = dict[str, Any]


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    """Two hours apart: three days."""
    return batches_of(740, count=2_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, batches: list[Batch]) -> Path:
    """An exchange's directory with its feed and its history, and everything exported to `out`."""
    directory = tmp_path_factory.mktemp("exchange")
    feed_of(directory, batches)
    write(f"sqlite:///{directory}/history.sqlite", batches)
    for table in TABLES:
        Export(directory / "feed", directory / "out", table).run()
    return directory


def history(home: Path, table: str) -> list[Row]:
    return HistoryReader(f"sqlite:///{home}/history.sqlite").rows(Query(table=table, count=10**6))


def read(folder: Path) -> list[Row]:
    found: list[Row] = ds.dataset(folder, partitioning="hive").to_table().to_pylist()
    return found


@cache
def tick(folder: Path, symbol: str) -> tuple[int, int]:
    """Return what the file itself says of a tick: units and decimals."""
    path = next((folder / f"instrument={symbol}").rglob("*.parquet"))
    said = next(one.metadata for one in pq.read_schema(path) if one.metadata[b"unit"] == b"tick")
    return int(said[b"tick_units"]), int(said[b"tick_decimals"])


def price(folder: Path, ticks: int | None, symbol: str) -> float | None:
    units, decimals = tick(folder, symbol)
    return None if ticks is None else ticks * units / 10**decimals


def test_trades_are_those_of_history(home: Path) -> None:
    folder = home / "out" / "trades"
    rows = sorted(read(folder), key=lambda row: row["number"])
    wanted = history(home, "trade")
    assert len(rows) == len(wanted) > 100
    for row, was in zip(rows, wanted, strict=True):
        assert was["timestamp"] == iso(row["timestamp_ns"])
        assert was["timestamp"].startswith(str(row["day"]))
        assert was["symbol"] == row["instrument"]
        assert was["side"] == ("Sell" if row["is_sell"] else "Buy")
        assert was["price"] == price(folder, row["price_ticks"], row["instrument"])
        assert (was["size"], was["grossValue"]) == (row["qty"], row["value"])
        assert was["tickDirection"] == row["tick_direction"]


@pytest.mark.parametrize("size", BIN_SIZES)
def test_bins_are_those_of_history(home: Path, size: str) -> None:
    folder = home / "out" / "bins" / f"size={size}"
    rows = sorted(read(folder), key=lambda row: (row["end_ns"], row["instrument"]))
    wanted = sorted(history(home, f"tradeBin{size}"), key=lambda row: (row["timestamp"], row["symbol"]))
    quotes = {(row["timestamp"], row["symbol"]): row for row in history(home, f"quoteBin{size}")}
    assert len(rows) == len(wanted) > 0
    for row, was in zip(rows, wanted, strict=True):
        symbol = row["instrument"]
        assert (was["timestamp"], was["symbol"]) == (iso(row["end_ns"]), symbol)
        for name in ("open", "high", "low", "close"):
            assert was[name] == price(folder, row[f"{name}_ticks"], symbol)
        assert [was[name] for name in ("trades", "volume", "turnover", "lastSize")] == [
            row[name] for name in ("trades", "volume", "turnover", "last_qty")
        ]
        one = price(folder, 1, symbol)
        assert one is not None
        average = round(one * int(row["price_times_qty"]) / row["volume"], 4) if row["volume"] else None
        assert was["vwap"] == average
        assert was["homeNotional"] == round(row["home"], 8)
        assert was["foreignNotional"] == round(row["foreign"], 8)
        quote = quotes.get((was["timestamp"], symbol))
        if quote is not None:
            assert [quote["bidSize"], quote["askSize"]] == [row["bid_qty"], row["ask_qty"]]
            assert [quote["bidPrice"], quote["askPrice"]] == [
                price(folder, row[name], symbol) for name in ("bid_ticks", "ask_ticks")
            ]


def test_quotes_are_every_change_of_the_best(home: Path, batches: list[Batch]) -> None:
    wanted: list[tuple[Any, ...]] = []
    views, last = Views(), {}
    for batch in batches:
        views.apply(batch)
        for market in views.markets.values():
            if market.best != last.get(market.instrument.number, (0, 0, 0, 0)):
                last[market.instrument.number] = market.best
                best = tuple(figure or None for figure in market.best)
                wanted.append((batch.next_sequence - 1, batch.timestamp_ns, market.instrument.symbol, *best))
    names = ("sequence", "timestamp_ns", "instrument", "bid_qty", "bid_ticks", "ask_ticks", "ask_qty")
    found = [tuple(row[name] for name in names) for row in read(home / "out" / "quotes")]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert len(found) > 20


def test_a_column_says_what_its_figures_are_worth(home: Path) -> None:
    path = next((home / "out" / "trades" / "instrument=XBTUSD").rglob("*.parquet"))
    schema = pq.read_schema(path)
    assert schema.field("value").metadata[b"currency"] == b"XBt"
    assert schema.field("value").metadata[b"scale"] == b"8"
    assert schema.field("price_ticks").metadata[b"currency"] == b"USD"
    assert schema.field("timestamp_ns").metadata[b"unit"].startswith(b"ns since 1970")
    assert schema.metadata[b"instrument"] == b"XBTUSD"
    floats = [
        one.name
        for table in TABLES.values()
        for part in table
        for one in part.fields
        if "double" in str(one.kind)
    ]
    assert set(floats) == {"home", "foreign"}
    assert {pq.ParquetFile(path).metadata.row_group(0).column(k).compression for k in range(4)} == {"ZSTD"}


def test_a_range_is_whole_days(home: Path, tmp_path: Path) -> None:
    first = floor_to(START_NS, NS_PER_DAY) + NS_PER_DAY
    done = Export(home / "feed", tmp_path, "trades", from_ns=first + 5, to_ns=first + 6).run()
    assert done.rows > 0
    assert {str(row["day"]) for row in read(tmp_path / "trades")} == {iso(first)[:10]}


@pytest.mark.slow
def test_a_later_run_goes_on_and_comes_to_the_same(tmp_path: Path, home: Path, batches: list[Batch]) -> None:
    """Days that are done are not touched again; the day that was not over is written anew."""
    out = tmp_path / "out"
    for table in TABLES:
        (tmp_path / table).mkdir()
        feed_of(tmp_path / table, batches[:17])
        first = Export(tmp_path / table / "feed", out, table).run()
        assert first.done_before
        before = {path: path.stat().st_ino for path in (out / table).rglob("*.parquet")}
        feed_of(tmp_path / table, batches)
        second = Export(tmp_path / table / "feed", out, table).run()
        assert second.next_sequence == batches[-1].next_sequence
        kept = [path for path in before if path.parent.name.removeprefix("day=") < first.done_before]
        assert kept
        assert all(path.stat().st_ino == before[path] for path in kept)
        assert _content(out / table) == _content(home / "out" / table)


def _content(folder: Path) -> dict[str, list[Row]]:
    return {
        str(path.relative_to(folder)): pq.read_table(path).to_pylist() for path in folder.rglob("*.parquet")
    }


def test_another_exchange_is_refused(tmp_path: Path, home: Path) -> None:
    first, *_ = batches_of(741, count=0)
    feed_of(tmp_path, [first._replace(timestamp_ns=first.timestamp_ns + 1)])
    with pytest.raises(ExportError, match="another exchange"):
        Export(tmp_path / "feed", home / "out", "trades").run()
    (tmp_path / "empty" / "feed").mkdir(parents=True)
    with pytest.raises(ExportError, match="nothing in"):
        Export(tmp_path / "empty" / "feed", tmp_path / "out", "trades").run()


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_whole_files(tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    text = (
        "import sys, time; from pathlib import Path; from ringfence.exchange.projections.research import Export; "
        "Export(Path(sys.argv[1]), Path(sys.argv[2]), 'bins').run(lambda done, end: (print('x', flush=True), "
        "time.sleep(0.02)))"
    )
    for batches_seen in (3, 16, 25):
        running = subprocess.Popen(
            [sys.executable, "-c", text, str(home / "feed"), str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert running.stdout is not None
        for _ in range(batches_seen):
            running.stdout.readline()
        running.send_signal(signal.SIGKILL)
        running.wait()
        for path in out.rglob("*.parquet"):
            assert pq.read_table(path).num_rows > 0
    Export(home / "feed", out, "bins").run()
    assert _content(out / "bins") == _content(home / "out" / "bins")


def test_the_command_line_exports(tmp_path: Path, home: Path) -> None:
    words = [RINGFENCE, "export", "quotes", str(tmp_path), "--directory", str(home), "--json"]
    began = time.monotonic()
    said = json.loads(subprocess.run(words, capture_output=True, check=True, timeout=60).stdout)
    assert said["ok"]
    assert said["rows"] == len(read(home / "out" / "quotes"))
    assert time.monotonic() - began < 60
    assert set(Exported._fields) <= set(said)
    wrong = subprocess.run(
        [*words, "--from", "2027", "--to", "2026"], capture_output=True, check=False, timeout=60
    )
    assert wrong.returncode == 65
    assert os.listdir(tmp_path)

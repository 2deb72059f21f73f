"""What PostgreSQL adds to the history: one writer by a lock, whole commits under kill -9, exact decimals, roles."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from ringfence.assurance.audit.rows import TABLES, Place, read_sweep
from ringfence.daemons.history import EXIT_DISK
from ringfence.exchange.feed import FeedWriter
from ringfence.exchange.projections import Views
from ringfence.exchange.projections.history import HistoryReader, HistoryWriter, Query
from ringfence.exchange.projections.history.loading import WriterBusyError
from ringfence.exchange.projections.history.schema import open_engine
from ringfence.messages.batch import Batch
from ringfence.testing import postgres
from ringfence.testing.postgres import Postgres, database_of
from tests.properties.test_history_rebuild import content
from tests.unit.test_history import batches_of, write

pytestmark = pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return batches_of(700)


@pytest.fixture
def url() -> str:
    return postgres.shared().new_database()


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of its own, to be killed."""
    made = Postgres()
    yield made
    made.stop()


def test_a_second_writer_is_refused_and_comes_in_when_the_first_is_gone(
    url: str, batches: list[Batch]
) -> None:
    first = HistoryWriter(url)
    with pytest.raises(WriterBusyError, match="Nothing was written"):
        HistoryWriter(url)
    first.close()
    HistoryWriter(url).close()


def test_a_writer_whose_lock_was_taken_from_it_doubles_nothing(url: str, batches: list[Batch]) -> None:
    """A server that ends its connection lets another in; the row of the progress is what it then runs into."""
    views, first = Views(), HistoryWriter(url)
    first.apply(batches[0], views.apply(batches[0]))
    name = database_of(url)
    postgres.shared().run(
        name, f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND "
        f"database = (SELECT oid FROM pg_database WHERE datname = '{name}')",
    )  # fmt: skip
    second = HistoryWriter(url)
    views = Views()
    second.apply(batches[0], views.apply(batches[0]))
    second.commit()
    with pytest.raises(SQLAlchemyError):
        first.commit()
    assert HistoryReader(url).next_sequence() == batches[0].next_sequence
    second.close()


@pytest.mark.slow
def test_a_server_that_is_killed_has_whole_commits_and_no_row_twice(
    server: Postgres, batches: list[Batch]
) -> None:
    """It dies after any batch, before or after the commit; the writer starts anew from what is there."""
    wanted_url = server.new_database()
    write(wanted_url, batches)
    wanted = content(wanted_url)
    url = server.new_database()
    for dies_at in itertools.count(2, 5):
        views, writer = Views(), HistoryWriter(url)
        reached = writer.next_sequence
        try:
            for number, batch in enumerate(batches):
                writer.apply(batch, views.apply(batch))
                if number == dies_at and dies_at % 2:
                    server.kill()
                writer.commit()
                assert writer.next_sequence >= reached
                if number == dies_at and server._process is not None:
                    server.kill()
        except SQLAlchemyError:
            pass
        writer.close()
        if server._process is not None:
            break
        server.start()
        assert HistoryReader(url).next_sequence() >= reached
    assert content(url) == wanted


def _daemon(directory: Path, url: str) -> "subprocess.Popen[bytes]":
    (directory / "database.url").write_text(url)
    (directory / "database.url").chmod(0o600)
    return subprocess.Popen(
        [sys.executable, "-m", "ringfence.daemons.history", str(directory)], stderr=subprocess.DEVNULL
    )


def _until_it_reaches(reader: HistoryReader, sequence: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while reader.next_sequence() < sequence:
        assert process.poll() is None, process.returncode
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.slow
def test_a_daemon_that_is_killed_goes_on_where_it_was(tmp_path: Path, url: str, batches: list[Batch]) -> None:
    """Its lock goes with it, at once; the address of the database is in a file and not among its arguments."""
    wanted_url = postgres.shared().new_database()
    write(wanted_url, batches)
    reader = HistoryReader(url)
    feed = FeedWriter(tmp_path / "feed")
    for part in (batches[:4], batches[4:9], batches[9:]):
        for batch in part:
            feed.append(batch)
        process = _daemon(tmp_path, url)
        # The last part is not waited for before the kill.
        _until_it_reaches(reader, part[-1 if part[-1] is not batches[-1] else 0].next_sequence, process)
        assert b"postgresql" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()
        process.wait()
    process = _daemon(tmp_path, url)
    _until_it_reaches(reader, batches[-1].next_sequence, process)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 0
    feed.close()
    assert content(url) == content(wanted_url)


def test_a_daemon_whose_database_is_away_says_so_and_may_be_started_again(
    tmp_path: Path, server: Postgres
) -> None:
    url = server.new_database()
    server.kill()
    assert _daemon(tmp_path, url).wait(30) == EXIT_DISK


def test_the_auditor_reads_the_same_from_both_databases(
    tmp_path: Path, url: str, batches: list[Batch]
) -> None:
    sqlite = f"sqlite:///{tmp_path}/history.sqlite"
    for one in (sqlite, url):
        write(one, batches)
    places = [Place(table, block) for table in TABLES for block in range(3)]
    swept = [read_sweep(open_engine(one), places) for one in (sqlite, url)]
    assert swept[0] == swept[1]
    assert sum(map(len, swept[0].rows.values())) > 0


def test_decimals_are_exact(url: str, batches: list[Batch]) -> None:
    """What the wire shows of a price is what PostgreSQL holds, and its sums have no error."""
    write(url, batches)
    rows = HistoryReader(url).rows(Query(table="trade", count=10**6))
    found = postgres.shared().run(
        database_of(url), 'SELECT sum(price), sum("homeNotional") FROM history.trade'
    )
    assert found == [
        (
            sum(Decimal(repr(row["price"])) for row in rows),
            sum(Decimal(repr(row["homeNotional"])) for row in rows),
        )
    ]


def test_a_reader_cannot_write_whatever_its_role_may(url: str, batches: list[Batch]) -> None:
    write(url, batches[:2])
    reader = HistoryReader(url)
    with reader._engine.connect() as connection, pytest.raises(SQLAlchemyError, match="read-only"):
        connection.exec_driver_sql("DELETE FROM trade")


def test_a_reader_outlives_a_restart_of_the_server(server: Postgres, batches: list[Batch]) -> None:
    url = server.new_database()
    write(url, batches[:2])
    reader = HistoryReader(url)
    assert reader.next_sequence() == batches[1].next_sequence
    server.kill()
    server.start()
    assert reader.next_sequence() == batches[1].next_sequence

"""One conformance check for both homes of a chained log's lines: a file, and a table of PostgreSQL."""

import errno
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.exc import DBAPIError

from ringfence.chained_log import GENESIS, Entry, FileLines, Lines, Log, LogError, entries_of
from ringfence.database.accounts import migrations
from ringfence.database.addresses import DatabaseAwayError
from ringfence.database.log_table import LogTable, open_accounts
from ringfence.testing import postgres
from ringfence.testing.postgres import Postgres, database_of

needs_postgres = pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())
Open = Callable[[], Lines]


def accounts_database(server: Postgres | None = None) -> str:
    """Return the URL of a database with the tables of accounts."""
    url = (server or postgres.shared()).new_database()
    engine = open_accounts(url)
    migrations().upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture(params=["file", pytest.param("postgresql", marks=needs_postgres)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same lines each time."""
    if request.param == "file":
        return lambda: FileLines(tmp_path / "log.jsonl")
    url = accounts_database()
    return lambda: LogTable(url, "users")


def log_of(lines: Lines) -> tuple[Log, list[Entry]]:
    seen: list[Entry] = []
    return Log(lines, on_entry=seen.append), seen


def test_lines_come_back_as_they_were_written(opened: Open) -> None:
    """Whatever is in a body: a JSON text knows no NUL, no end of line, and every other letter."""
    log, seen = log_of(opened())
    bodies: list[dict[str, object]] = [
        {"user": "a\0b\nc"}, {"agent": "märz \U0001f4b0 \u2028 \\ ' \" %s {}"}, {"n": -(2**63), "deep": {"x": [None]}},
    ]  # fmt: skip
    for number, body in enumerate(bodies):
        entry = log.append("said", body, now_ns=number)
        assert entry.number == number
    head = log.head
    log.close()
    again, found = log_of(opened())
    assert found == seen
    assert (again.head, again.count) == (head, 3)
    assert again.append("more", {}, now_ns=9).previous == head
    again.close()


def test_an_empty_log_begins_at_the_beginning(opened: Open) -> None:
    log, seen = log_of(opened())
    assert (log.head, log.count, seen) == (GENESIS, 0, [])
    log.close()


def test_a_second_writer_forks_nothing(opened: Open) -> None:
    """Both read the same lines; the slower one is refused, says so for ever, and goes on after it has read anew."""
    first, _ = log_of(opened())
    second, _ = log_of(opened())
    first.append("first", {}, now_ns=1)
    with pytest.raises(OSError, match="another process has written") as refused:
        second.append("second", {}, now_ns=2)
    assert refused.value.errno == errno.ESTALE
    with pytest.raises(OSError, match="start again"):
        second.append("second", {}, now_ns=2)
    first.append("third", {}, now_ns=3)
    second.close()
    again, seen = log_of(opened())
    assert [entry.kind for entry in seen] == ["first", "third"]
    again.append("fourth", {}, now_ns=4)
    for log in (first, again):
        log.close()


def _write_as_fast_as_you_can(opened: tuple[str, str], kind: str, others: Barrier) -> None:
    """Write fifty lines; who is refused reads anew."""
    others.wait(120)
    left = 50
    while left:
        lines: Lines = FileLines(Path(opened[1])) if opened[0] == "file" else LogTable(opened[1], "users")
        try:
            log = Log(lines, on_entry=lambda _: None)
            while left:
                log.append(kind, {}, now_ns=0)
                left -= 1
        except OSError as error:
            assert error.errno == errno.ESTALE, error  # noqa: PT017
        finally:
            lines.close()


@pytest.mark.parametrize("kind", ["file", pytest.param("postgresql", marks=needs_postgres)])
def test_processes_that_race_leave_one_chain(kind: str, tmp_path: Path) -> None:
    where = (kind, str(tmp_path / "log.jsonl") if kind == "file" else accounts_database())
    context = multiprocessing.get_context("spawn")
    others = context.Barrier(3)
    racing = [
        context.Process(target=_write_as_fast_as_you_can, args=(where, f"by {k}", others)) for k in range(3)
    ]
    for process in racing:
        process.start()
    for process in racing:
        process.join(180)
        assert process.exitcode == 0
    lines: Lines = FileLines(tmp_path / "log.jsonl") if kind == "file" else LogTable(where[1], "users")
    found = list(entries_of(lines.read()))
    lines.close()
    assert Counter(entry.kind for entry in found) == {f"by {k}": 50 for k in range(3)}
    assert [entry.number for entry in found] == list(range(150))


# ---- what only a table has to show


@pytest.fixture
def url() -> Iterator[str]:
    if postgres.missing():
        pytest.skip(postgres.missing())
    return accounts_database()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts.line SET line = '{}'",
        "UPDATE accounts.line SET number = 7 WHERE number = 1",
        "DELETE FROM accounts.line WHERE number = 1",
        "TRUNCATE accounts.line",
        "INSERT INTO accounts.line VALUES ('users', 1, repeat('0', 64), '', '{}')",
        "INSERT INTO accounts.line VALUES ('users', 2, repeat('1', 64), '', '{}')",
        "INSERT INTO accounts.line VALUES ('users', 3, repeat('0', 64), '', '{}')",
        "INSERT INTO accounts.line SELECT 'users', 3, digest, '', '{}' FROM accounts.line WHERE number = 1",
    ],
)
def test_not_even_the_owner_changes_a_line_by_mistake(url: str, statement: str) -> None:
    log, _ = log_of(LogTable(url, "users"))
    for _ in range(2):
        log.append("said", {}, now_ns=1)
    engine = open_accounts(url)
    with engine.connect() as connection, pytest.raises(DBAPIError, match=r"appended|does not follow"):
        connection.exec_driver_sql(statement)
    engine.dispose()
    log.append("goes on", {}, now_ns=2)
    log.close()


def test_an_owner_who_means_it_is_found_out(url: str) -> None:
    """Triggers are off for who turns them off; the chain is what then shows it."""
    log, _ = log_of(LogTable(url, "users"))
    for _ in range(3):
        log.append("said", {"qty": 1}, now_ns=1)
    log.close()
    for statement in (
        "ALTER TABLE accounts.line DISABLE TRIGGER ALL",
        """UPDATE accounts.line SET line = replace(line, '"qty":1', '"qty":2') WHERE number = 1""",
    ):
        postgres.shared().run(database_of(url), statement)
    with pytest.raises(LogError, match="line 3 of the log does not follow"):
        log_of(LogTable(url, "users"))


def test_logs_of_one_table_do_not_mix(url: str) -> None:
    users, _ = log_of(LogTable(url, "users"))
    console, _ = log_of(LogTable(url, "console"))
    for number in range(3):
        users.append("user", {}, now_ns=number)
        console.append("operator", {}, now_ns=number)
    assert users.head != console.head
    for log in (users, console):
        log.close()
    again, seen = log_of(LogTable(url, "console"))
    assert {entry.kind for entry in seen} == {"operator"}
    again.close()


@needs_postgres
def test_a_line_that_was_acknowledged_survives_the_server() -> None:
    server = Postgres()
    try:
        url = accounts_database(server)
        log, _ = log_of(LogTable(url, "users"))
        for number in range(50):
            log.append("said", {}, now_ns=number)
        server.kill()
        with pytest.raises(DatabaseAwayError):
            log.append("unsaid", {}, now_ns=50)
        with pytest.raises(OSError, match="start again"):
            log.append("unsaid", {}, now_ns=50)
        log.close()
        with pytest.raises(DatabaseAwayError):
            LogTable(url, "users")
        server.start()
        again, seen = log_of(LogTable(url, "users"))
        assert len(seen) == 50
        again.close()
        server.run("postgres", "ALTER SYSTEM SET fsync = off")
        server.run("postgres", "SELECT pg_reload_conf()")
        time.sleep(0.3)
        with pytest.raises(OSError, match="fsync = off"):
            LogTable(url, "users")
    finally:
        server.stop()


def _end_connections(url: str) -> None:
    name = database_of(url)
    postgres.shared().run(
        "postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )


def test_a_lost_connection_is_made_again_and_a_line_goes_in_once(url: str) -> None:
    log, seen = log_of(LogTable(url, "users"))
    for number in range(3):
        log.append("said", {}, now_ns=number)
        _end_connections(url)
    log.close()
    again, found = log_of(LogTable(url, "users"))
    assert found == seen
    again.close()


def test_a_line_whose_answer_was_lost_is_known_for_ones_own(url: str) -> None:
    """It went in and the connection ended: sent once more it is there. A stranger's line is not taken for it."""
    table, other = LogTable(url, "users"), LogTable(url, "users")
    entry = Entry(0, 1, "said", {}, GENESIS)
    line = msgspec.json.encode(entry, order="sorted") + b"\n"
    other.append(entry, line)
    _end_connections(url)
    table.append(entry, line)
    _end_connections(url)
    twin = msgspec.structs.replace(entry, kind="unsaid")
    with pytest.raises(OSError, match="another process"):
        table.append(twin, msgspec.json.encode(twin, order="sorted") + b"\n")
    assert table.read() == line
    for one in (table, other):
        one.close()


def test_an_error_repeats_nothing_of_a_line(url: str) -> None:
    log, _ = log_of(LogTable(url, "users"))
    postgres.shared().run(database_of(url), "DROP TABLE accounts.line")
    with pytest.raises(OSError, match="ringfence database upgrade") as refused:
        log.append("said", {"email": "somebody@example.org"}, now_ns=1)
    assert "somebody" not in str(refused.value)
    log.close()

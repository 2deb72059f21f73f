"""Who may do what in an exchange's database, where its address is, and how an exchange moves into it."""

from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from ringfence.chained_log import Log, LogError
from ringfence.cli import app
from ringfence.daemons.databases import PrepareError, prepare
from ringfence.database import addresses, stores
from ringfence.database.addresses import Addresses, Purpose
from ringfence.database.log_table import LogTable
from ringfence.exchange.projections.history import HistoryReader, HistoryWriter
from ringfence.exchange.users.key_table import KeyTable
from ringfence.exchange.users.keys import KeyFile, KeyRecord, Keys, KeyStore, keys_of
from ringfence.messages.batch import Batch
from ringfence.testing import postgres
from ringfence.testing.postgres import database_of
from tests.unit.test_history import batches_of, write

pytestmark = pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing())


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return batches_of(730, count=120)


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        app(list(map(str, words)))
    code = left.value.code
    return code if isinstance(code, int) else 1 if code else 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Addresses:
    """The addresses that `ringfence database roles` writes, for a database with all tables."""
    home = tmp_path_factory.mktemp("roles")
    owner, output = private(home / "owner.url", postgres.shared().new_database()), home / "database.url"
    assert run("database", "roles", owner, "--output", output) == 0
    assert output.stat().st_mode & 0o777 == 0o600
    return addresses.read(output)


def connect(made: Addresses, purpose: Purpose) -> "psycopg.Connection[tuple[object, ...]]":
    plain = made.of(purpose).replace("postgresql+psycopg://", "postgresql://")
    return psycopg.connect(plain, autocommit=True)


FORBIDDEN = {
    Purpose.HISTORY: [
        "DELETE FROM history.trade", "TRUNCATE history.trade", "DROP TABLE history.trade",
        "CREATE TABLE history.own (x int)", "UPDATE history.migration SET version_num = '1'",
        "SELECT * FROM accounts.line", "SELECT * FROM accounts.api_key",
        "CREATE TABLE public.own (x int)", "CREATE SCHEMA own",
    ],
    Purpose.READER: [
        "INSERT INTO history.trade (key) VALUES (1)", "UPDATE history.balance SET amount = 0",
        "DELETE FROM history.ledger", "CREATE TEMPORARY TABLE own (x int)", "SELECT * FROM accounts.line",
        "SELECT * FROM accounts.api_key", "SELECT pg_sleep(6)",
    ],
    Purpose.ACCOUNTS: [
        "UPDATE accounts.line SET line = ''", "DELETE FROM accounts.line", "TRUNCATE accounts.line",
        "ALTER TABLE accounts.line DISABLE TRIGGER ALL", "DROP TRIGGER chained ON accounts.line",
        "SET session_replication_role = replica", "SELECT * FROM history.trade",
        "CREATE OR REPLACE FUNCTION accounts.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    ],
    Purpose.GATEWAY: [
        "SELECT * FROM accounts.line", "INSERT INTO accounts.api_key (id, record) VALUES ('a', '{}')",
        "UPDATE accounts.api_key SET record = '{}'", "INSERT INTO history.trade (key) VALUES (1)", "SELECT pg_sleep(6)",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("purpose", "statement"), [(role, text) for role, texts in FORBIDDEN.items() for text in texts]
)
def test_a_role_may_not_what_its_process_does_not_do(
    made: Addresses, purpose: Purpose, statement: str
) -> None:
    wanted = (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.errors.QueryCanceled,
    )
    with connect(made, purpose) as connection, pytest.raises(wanted):
        connection.execute(statement.encode())


def test_each_process_can_do_its_work_by_its_role(made: Addresses, batches: list[Batch]) -> None:
    write(made.of(Purpose.HISTORY), batches)
    for purpose in (Purpose.READER, Purpose.GATEWAY):
        assert HistoryReader(made.of(purpose)).next_sequence() == batches[-1].next_sequence
    log = Log(LogTable(made.of(Purpose.ACCOUNTS), "users"), on_entry=lambda _: None)
    log.append("said", {}, now_ns=1)
    log.close()
    with KeyTable(made.of(Purpose.ACCOUNTS)).changing() as records:
        records.append(KeyRecord(id="one", secret="known", account=1))
    assert KeyStore(KeyTable(made.of(Purpose.GATEWAY))).get("one") is not None


def test_new_passwords_end_the_old_ones(tmp_path: Path) -> None:
    """The owner is no superuser: it has the database, and may create roles."""
    server = postgres.shared()
    name = database_of(server.new_database())
    server.run("postgres", f"CREATE ROLE own_{name} LOGIN CREATEROLE PASSWORD 'known'")
    server.run("postgres", f"ALTER DATABASE {name} OWNER TO own_{name}")
    owner = private(tmp_path / "owner.url", f"postgresql://own_{name}:known@127.0.0.1:{server.port}/{name}")
    for name in ("first", "second"):
        assert run("database", "roles", owner, "--output", tmp_path / name) == 0
    connect(addresses.read(tmp_path / "second"), Purpose.READER).close()
    with pytest.raises(psycopg.OperationalError):
        connect(addresses.read(tmp_path / "first"), Purpose.READER)


def test_a_role_without_rights_says_who_has_to_migrate(tmp_path: Path) -> None:
    url = postgres.shared().new_database()
    role = f"nobody_{database_of(url)}"
    postgres.shared().run(database_of(url), f"CREATE ROLE {role} LOGIN PASSWORD 'known'")
    poor = f"postgresql://{role}:known@127.0.0.1:{postgres.shared().port}/{database_of(url)}"
    with pytest.raises(Exception, match="ringfence database upgrade"):
        HistoryWriter(poor)
    file = private(tmp_path / "poor.url", f"history {poor}\naccounts {poor}\n")
    assert run("database", "check", "--url-file", file) == 1
    assert run("database", "upgrade", "--url-file", file) == 1


# ---- addresses


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("postgresql://a:known@h/d", 0o640, "others may read"),
        ("", 0o600, "is empty"),
        ("sqlite:///x", 0o600, "names no PostgreSQL"),
        ("mysql://a:known@h/d", 0o600, "SQLite or PostgreSQL, not mysql"),
        ("nonsense known", 0o600, "neither a URL nor a purpose"),
        ("reader a b", 0o600, "neither a URL nor a purpose"),
        ("postgresql://h/d\npostgresql://h/e", 0o600, "line 2"),
        ("::known::", 0o600, "that is no database URL"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_unsaid(
    tmp_path: Path, text: str, mode: int, why: str
) -> None:
    path = private(tmp_path / "database.url", text)
    path.chmod(mode)
    with pytest.raises(ValueError, match=why) as refused:
        addresses.read(path)
    assert "known" not in str(refused.value)


def test_a_password_among_the_arguments_is_refused(tmp_path: Path) -> None:
    assert (
        run("database", "current", "--url", "postgresql://a:known@127.0.0.1/d", "--directory", tmp_path) == 66
    )


def test_the_command_line_migrates_sqlite_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/history.sqlite"
    assert run("database", "check", "--url", url) == 1
    assert run("database", "upgrade", "--url", url) == 0
    assert run("database", "check", "--directory", tmp_path) == 0
    capsys.readouterr()
    assert run("database", "current", "--json", "--directory", tmp_path) == 0
    assert '"is_current": true' in capsys.readouterr().out


# ---- keys


@pytest.fixture(params=["file", "postgresql"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys:
    if request.param == "file":
        return KeyFile(tmp_path / "keys.json")
    private(tmp_path / "database.url", postgres.shared().new_database())
    prepare(tmp_path, None)
    return keys_of(tmp_path)


def test_keys_are_made_and_revoked_in_both_homes_alike(keys: Keys) -> None:
    store = KeyStore(keys)
    assert keys.read() == ()
    first, second = (
        KeyRecord(id=name, secret="known", account=1, name="märz") for name in ("first", "second")
    )
    with keys.changing() as records:
        records += [first, second]
    assert keys.read() == (first, second)
    assert store.get("first") is None
    store.refresh()
    assert store.get("first") is not None
    stamp = keys.stamp()
    with keys.changing() as records:
        assert records == [first, second]
    assert keys.stamp() == stamp

    def change_your_mind() -> None:
        with keys.changing() as records:
            records.clear()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_your_mind()
    assert keys.read() == (first, second)
    with keys.changing() as records:
        records[:] = [second]
    store.refresh()
    assert store.get("first") is None
    assert store.get("second") is not None


# ---- moving


def test_an_exchange_moves_into_the_database_and_nothing_begins_anew(tmp_path: Path) -> None:
    for name in (stores.USERS, stores.SECURITY):
        path = tmp_path / {"users": "accounts", "security": "security"}[name] / "log.jsonl"
        path.parent.mkdir()
        log = Log(path, on_entry=lambda _: None)
        for number in range(3):
            log.append(name, {"n": number}, now_ns=number)
        log.close()
    before = {name: stores.read_lines(tmp_path, name) for name in (stores.USERS, stores.SECURITY)}
    with KeyFile(tmp_path / "keys.json").changing() as records:
        records.append(KeyRecord(id="one", secret="known", account=1))
    given = private(tmp_path / "given.url", postgres.shared().new_database())
    with pytest.raises(PrepareError, match="ringfence database import"):
        prepare(tmp_path, given)
    with pytest.raises(LogError, match="ringfence database import"):
        stores.log_lines(tmp_path, stores.USERS)
    for _ in range(2):
        assert run("database", "import", "--directory", tmp_path) == 0
    prepare(tmp_path, None)
    assert {name: stores.read_lines(tmp_path, name) for name in before} == before
    assert [record.id for record in keys_of(tmp_path).read()] == ["one"]
    goes_on = Log(stores.log_lines(tmp_path, stores.USERS), on_entry=lambda _: None)
    assert goes_on.append("more", {}, now_ns=9).number == 3
    goes_on.close()
    (tmp_path / "database.url").unlink()
    with pytest.raises(LogError, match=r"database\.url is gone"):
        stores.log_lines(tmp_path, stores.USERS)


def test_a_log_that_was_changed_does_not_move(tmp_path: Path) -> None:
    (tmp_path / "accounts").mkdir()
    path = tmp_path / "accounts" / "log.jsonl"
    log = Log(path, on_entry=lambda _: None)
    for number in range(3):
        log.append("said", {"n": number}, now_ns=number)
    log.close()
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))
    private(tmp_path / "database.url", postgres.shared().new_database())
    assert run("database", "import", "--directory", tmp_path) == 1
    assert path.exists()


def test_a_database_that_is_away_is_said_without_its_password(tmp_path: Path) -> None:
    given = private(tmp_path / "given.url", "postgresql://somebody:known@127.0.0.1:1/x")
    with pytest.raises(PrepareError, match="does not answer") as refused:
        prepare(tmp_path, given)
    assert "known" not in str(refused.value)
    with pytest.raises(SQLAlchemyError):
        HistoryWriter("postgresql://somebody:known@127.0.0.1:1/x")

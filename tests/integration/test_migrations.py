"""The tables are made by migrations alone: they end where the code begins, old ones follow, strange ones stay."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from ringfence.database.migrating import MigrationError
from ringfence.exchange.projections.history import HistoryError, HistoryReader, HistoryWriter, Query
from ringfence.exchange.projections.history.migrations import migrations
from ringfence.exchange.projections.history.schema import METADATA, open_engine
from ringfence.messages.batch import Batch
from tests.unit.test_history import DATABASES, batches_of, empty_database, write


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return batches_of(720, count=200)


def shape(engine: Engine) -> dict[str, object]:
    """Return what a database says of its tables: columns with types, keys, indexes."""
    found = inspect(engine)
    return {
        name: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)),
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((i["name"], i["column_names"], i["unique"]) for i in found.get_indexes(name)),
        )
        for name in found.get_table_names()
        if name != "migration"
    }


def test_migrations_end_at_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    """By Alembic's own comparison, and by what a database says that was made from the code at once."""
    migrated = open_engine(url)
    assert migrations().upgrade(migrated)
    with migrated.connect() as connection:
        options = {"version_table": "migration", "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []
    kind = migrated.dialect.name
    (tmp_path / "other").mkdir()
    made = open_engine(empty_database(kind, tmp_path / "other"))
    with made.begin() as connection:
        if kind == "postgresql":
            connection.exec_driver_sql("CREATE SCHEMA history")
        METADATA.create_all(connection)
    assert shape(made) == shape(migrated)


def test_an_older_database_is_brought_forward_with_its_rows(url: str, batches: list[Batch]) -> None:
    """The first tables are filled by today's statements, which know nothing of `layout`."""
    engine = open_engine(url)
    assert migrations().upgrade(engine, to="0001")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO progress (id, layout, next_sequence, next_event, last_batch, transactions, lines) "
            "VALUES (1, 'x', 0, 0, '', 0, 0)"
        )
        connection.exec_driver_sql("INSERT INTO trade (key, price) VALUES (7, 0.30000000000000004)")
        connection.exec_driver_sql("INSERT INTO trade (key, price) VALUES (8, 98765.5)")
    assert migrations().standing(engine).revision == "0001"
    with pytest.raises(MigrationError, match="ringfence database upgrade"):
        migrations().check(engine)
    HistoryWriter(url).close()
    migrations().check(engine)
    rows = HistoryReader(url).rows(Query(table="trade", columns=("price",)))
    assert [row["price"] for row in rows] == [0.30000000000000004, 98765.5]


def test_a_database_from_before_migrations_is_adopted(tmp_path: Path) -> None:
    engine = open_engine(empty_database("sqlite", tmp_path))
    migrations().upgrade(engine, to="0001")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE migration")
        connection.exec_driver_sql(
            "INSERT INTO progress VALUES (1, '6a46b58de7d6eadc', 5, 9, 'digest', 1, 2)"
        )
    writer = HistoryWriter(str(engine.url))
    assert writer.next_sequence == 5
    writer.close()


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (
            ["UPDATE migration SET version_num = '9999'"],
            "9999, which this code does not know: a newer version",
        ),
        (["DROP TABLE migration"], "tables that no migration of ours has made"),
        (["DROP TABLE migration", "ALTER TABLE progress ADD COLUMN layout text"], "no migration of ours"),
    ],
)
def test_a_newer_or_a_strange_database_is_refused_untouched(
    url: str, statements: list[str], why: str
) -> None:
    engine = open_engine(url)
    migrations().upgrade(engine)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    before = shape(engine)
    with pytest.raises(HistoryError, match=why) as refused:
        HistoryWriter(url)
    assert "Nothing was changed" in str(refused.value)
    assert shape(engine) == before


def test_a_migration_that_fails_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the tables would be worse than none."""
    engine, ours = open_engine(url), migrations()
    second = ours._script.get_revision("0002")
    assert second is not None

    def fail() -> None:
        raise RuntimeError("the power is gone")

    monkeypatch.setattr(second.module, "upgrade", fail)
    with pytest.raises(RuntimeError):
        ours.upgrade(engine)
    assert shape(engine) == {}
    HistoryWriter(url).close()


def test_two_that_migrate_at_once_do_it_once(url: str, batches: list[Batch]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrations().upgrade(open_engine(url)), range(4)))
    assert sum(done) == 1
    write(url, batches[:2])

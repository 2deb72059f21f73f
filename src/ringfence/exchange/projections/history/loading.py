"""How rows get into tables: the quickest way of each database, within a transaction that somebody else keeps.

SQLite takes statements with positions for parameters as they are: SQLAlchemy's own way through each value of each row
costs more than SQLite's work on it, and SQLite's own way through named parameters costs as much again. PostgreSQL
takes COPY; rows that change others go by way of a temporary table.
"""

import time
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Dialect, Insert, MetaData, Table, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateTable

from ringfence.exchange.projections.history.schema import (
    BALANCE,
    HISTORY_TABLES,
    LEDGER,
    REFUSAL,
    HistoryError,
)
from ringfence.exchange.projections.orders import Row
from ringfence.exchange.projections.tables import TABLES

_LOADED: dict[str, Table] = {**HISTORY_TABLES, "ledger": LEDGER, "refusal": REFUSAL, "balance": BALANCE}
_VOLUMES = ("contractCents", "spotCents")
# What an amend cannot change. Left out of updates, their indexes need not be touched.
_FIXED = frozenset(("orderID", "account", "symbol", "side", "currency", "settlCurrency", "ordType"))
_CHANGING = ("order", "balance", "tradingVolume")
_SINGLE_WRITER = 0x52464849  # "RFHI"
_FREED_SECONDS = 3.0
"""So long a server may take to notice that the writer before has hung up."""


class WriterBusyError(HistoryError):
    """Another process writes to this history."""


class Loader(Protocol):
    takes_nul: bool
    """Whether text may hold NUL."""

    def begin(self, connection: Connection) -> None:
        """Make a connection ready to load by. Raises WriterBusyError."""
        ...

    def load(self, connection: Connection, name: str, rows: list[Row]) -> None: ...


def loader_of(dialect: Dialect) -> Loader:
    return PostgresLoader(dialect) if dialect.name == "postgresql" else SqliteLoader(dialect)


class _Statement(NamedTuple):
    text: str
    values_of: Callable[[Row], tuple[Any, ...]]
    """Returns the parameters of a row in the order of the text."""


class SqliteLoader:
    takes_nul = True

    def __init__(self, dialect: Dialect) -> None:
        found: dict[str, Any] = {name: insert(table) for name, table in _LOADED.items()}
        found |= {name: _on_conflict(name, sqlite.insert(_LOADED[name])) for name in _CHANGING}
        compiled = {name: statement.compile(dialect=dialect) for name, statement in found.items()}
        self._statements = {
            name: _Statement(str(one), itemgetter(*one.positiontup)) for name, one in compiled.items()
        }

    def begin(self, connection: Connection) -> None:
        return

    def load(self, connection: Connection, name: str, rows: list[Row]) -> None:
        text, values_of = self._statements[name]
        connection.exec_driver_sql(text, [values_of(row) for row in rows])


class PostgresLoader:
    takes_nul = False

    def __init__(self, dialect: Dialect) -> None:
        from sqlalchemy.dialects import postgresql

        quote = dialect.identifier_preparer.quote
        self._copies: dict[str, _Statement] = {}
        self._moves: dict[str, str] = {}
        self._temporary: list[str] = []
        for name, table in _LOADED.items():
            names = [column.name for column in table.columns]
            into = quote(name)
            if name in _CHANGING:
                aside = Table(f"{name}_changed", MetaData(), *(c._copy() for c in table.columns),
                              prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")  # fmt: skip
                making = CreateTable(aside)
                self._temporary.append(str(making.compile(dialect=dialect)))
                into = quote(aside.name)
                move = _on_conflict(name, postgresql.insert(table).from_select(names, aside.select()))
                self._moves[name] = str(move.compile(dialect=dialect))
            columns = ", ".join(map(quote, names))
            self._copies[name] = _Statement(f"COPY {into} ({columns}) FROM STDIN", itemgetter(*names))

    def begin(self, connection: Connection) -> None:
        """Take the lock that the one writer holds as long as its connection lives."""
        until = time.monotonic() + _FREED_SECONDS
        while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_SINGLE_WRITER})").scalar():
            if time.monotonic() > until:
                raise WriterBusyError(
                    "another process writes to this history database. Nothing was written. Run one history daemon for "
                    "each database."
                )
            time.sleep(_FREED_SECONDS / 50)
        for statement in self._temporary:
            connection.exec_driver_sql(statement)

    def load(self, connection: Connection, name: str, rows: list[Row]) -> None:
        import psycopg

        text, values_of = self._copies[name]
        driver: Any = connection.connection.cursor()
        try:
            with driver, driver.copy(text) as copy:
                for row in rows:
                    copy.write_row(values_of(row))
        except psycopg.Error as error:
            # SQLAlchemy does not know COPY; its callers know SQLAlchemy's errors.
            raise OperationalError(text, None, error) from None
        if name in self._moves:
            connection.exec_driver_sql(self._moves[name])


def _on_conflict(name: str, statement: Any) -> Insert:
    """Add what becomes of a row that is there already: orders are replaced, sums grow."""
    table = _LOADED[name]
    if name == "order":
        changed = {
            column: statement.excluded[column] for column in TABLES["order"].names if column not in _FIXED
        }
    else:
        sums = ("amount",) if name == "balance" else _VOLUMES
        changed = {column: table.c[column] + statement.excluded[column] for column in sums}
    by = [column.name for column in table.primary_key.columns]
    found: Insert = statement.on_conflict_do_update(index_elements=by, set_=changed)
    return found

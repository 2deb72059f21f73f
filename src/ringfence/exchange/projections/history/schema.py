"""The SQL tables, made from the wire's column lists, and how a database is opened.

Every table has an integer `key` that orders its rows for ever and is the same after a rebuild:

| table              | key                                                                    |
|--------------------|------------------------------------------------------------------------|
| order              | number of the event that accepted it                                   |
| refusal            | number of its event                                                    |
| execution          | twice the number of its event, plus 1 for the maker's side             |
| trade              | number of its event                                                    |
| tradeBin, quoteBin | minutes from 1970 to its end, times 64, plus the instrument's number   |
| funding            | minutes from 1970, times 64, plus the instrument's number              |
| insurance          | minutes from 1970, times 64, plus the asset's number                   |
| settlement, deleverage, userEvent | number of its event                                     |
| userDeleverage     | number of its receipt times 2**24, plus its place                      |
| tradingVolume      | days from 1970 times 2**24, plus the account; grows until the day ends |
| transact, ledger   | how many rows came before; `progress` counts them                      |

Timestamps are the wire's ISO text, which sorts. They ascend with the key in every table but `order`,
whose rows go on changing. The names under which a receipt of deleveraging lists accounts come from a secret
beside the database: with another secret they are made anew as other names.
"""

import os
import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.types import TypeEngine

from ringfence.exchange.projections.tables import BIN_NAMES, TABLES


class HistoryError(Exception):
    """The database does not fit what is to be written to it; nothing in it was changed."""


# "C": byte order on every server, which is what ISO text needs, and the quickest.
_TEXT: TypeEngine[Any] = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite makes a row's own address of a primary key only if its type is spelled INTEGER.
_KEY: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")
_TYPES: dict[str, TypeEngine[Any]] = {"long": BigInteger(), "float": Double(), "boolean": Boolean()}

# What queries filter by, each with the order in which they want the rows. execType stands at the end, so
# that a trade history passes over the index entries of a thousand cancels and not over their rows.
_PUBLIC = (("symbol", "timestamp", "key"), ("timestamp", "key"))
_INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "order": (("account", "key"), ("account", "symbol", "key"), ("account", "clOrdID"), ("account", "orderID")),
    "execution": (
        ("account", "timestamp", "key", "execType"), ("account", "symbol", "timestamp", "key", "execType"),
        ("account", "clOrdID"), ("account", "orderID"),
    ),
    "transact": (("account", "key"),),
    "funding": _PUBLIC, "settlement": _PUBLIC, "insurance": (("timestamp", "key"),), "deleverage": _PUBLIC,
    "userDeleverage": (("account", "timestamp", "key"),), "userEvent": (("account", "timestamp", "key"),),
    "tradingVolume": (("timestamp", "key"), ("account", "timestamp", "key")),
    **dict.fromkeys(("trade", *(f"{kind}Bin{size}" for kind in ("trade", "quote") for size in BIN_NAMES)), _PUBLIC),
}  # fmt: skip

_LOCK_SECONDS = 10
"""How long SQLite waits for another process's lock."""

METADATA = MetaData()


def _table(name: str) -> Table:
    columns = [Column(column.name, _TYPES.get(column.type, _TEXT)) for column in TABLES[name].columns]
    indexes = [Index(f"{name}_by_{'_'.join(by)}", *by) for by in _INDEXES[name]]
    return Table(
        name, METADATA, Column("key", _KEY, primary_key=True, autoincrement=False), *columns, *indexes
    )


HISTORY_TABLES: dict[str, Table] = {name: _table(name) for name in _INDEXES}
"""By the name of the wire table."""

LEDGER = Table(
    "ledger", METADATA,
    Column("key", _KEY, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("account", _TEXT, nullable=False),
    Column("asset", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("kind", _TEXT, nullable=False),
    Column("timestamp", _TEXT, nullable=False),
    Index("ledger_by_account_key", "account", "key"),
)  # fmt: skip

# New orders that the engine refused: they are no orders, so that only who asks for one by its clOrdID,
# because the answer was lost, is told of it.
REFUSAL = Table(
    "refusal", METADATA,
    Column("key", _KEY, primary_key=True, autoincrement=False),
    Column("account", BigInteger, nullable=False),
    Column("clOrdID", _TEXT, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("reject", Integer, nullable=False),
    Column("figure", BigInteger, nullable=False),
    Column("symbol", Integer, nullable=False),
    Column("timestamp", _TEXT, nullable=False),
    Index("refusal_by_account_clOrdID", "account", "clOrdID", "key"),
)  # fmt: skip

# The sums of the lines, kept as they grow: adding up all lines takes longer every day.
BALANCE = Table(
    "balance", METADATA,
    Column("account", _TEXT, primary_key=True),
    Column("asset", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
)  # fmt: skip

PROGRESS = Table(
    "progress", METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("layout", _TEXT, nullable=False),
    Column("next_sequence", BigInteger, nullable=False),
    Column("next_event", BigInteger, nullable=False),
    Column("last_batch", _TEXT, nullable=False),
    Column("transactions", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
)  # fmt: skip


def layout() -> str:
    """Return a name of the tables as they are now; a database that has another one is made again."""
    tables = [
        (table.name, [(column.name, str(column.type)) for column in table.columns], _index_names(table))
        for table in METADATA.sorted_tables
    ]
    return blake2b(repr(tables).encode(), digest_size=8).hexdigest()


def _index_names(table: Table) -> list[str]:
    return sorted(str(index.name) for index in table.indexes)


def open_engine(url: str) -> Engine:
    """Return the engine of a database URL; a file of SQLite is made, private to its owner."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, paramstyle="format")
    if parsed.database:
        os.close(os.open(Path(parsed.database), os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(parsed, paramstyle="qmark", connect_args={"timeout": _LOCK_SECONDS})
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    """Readers do not wait for the writer, and commits do not wait for the disk.

    A power cut can take the newest commits with it, whole ones; they are folded again.
    """
    for pragma in (
        "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536",
        "wal_autocheckpoint=4000", "journal_size_limit=67108864",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")

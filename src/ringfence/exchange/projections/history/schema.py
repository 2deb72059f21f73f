"""The SQL tables, after the wire's column lists, and how their database is opened. `migrations` make them.

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
    Numeric,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from ringfence.database import engines
from ringfence.exchange.projections.history.migrations import SCHEMA
from ringfence.exchange.projections.tables import BIN_NAMES, TABLES


class HistoryError(Exception):
    """The database does not fit what is to be written to it; nothing in it was changed."""


# "C": byte order on every server, which is what ISO text needs, and the quickest.
_TEXT: TypeEngine[Any] = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite makes a row's own address of a primary key only if its type is spelled INTEGER.
_KEY: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")
# Prices and rates are decimals: PostgreSQL keeps each digit and adds them up without an error. SQLite has no
# decimals; what it keeps is the double that the wire shows.
_DECIMAL: TypeEngine[Any] = Double().with_variant(Numeric(asdecimal=False), "postgresql")
_TYPES: dict[str, TypeEngine[Any]] = {"long": BigInteger(), "float": _DECIMAL, "boolean": Boolean()}

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
    Column("next_sequence", BigInteger, nullable=False),
    Column("next_event", BigInteger, nullable=False),
    Column("last_batch", _TEXT, nullable=False),
    Column("transactions", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
)  # fmt: skip


def open_engine(url: str, *, is_pinged: bool = False, isolation: str | None = None) -> Engine:
    """Return the engine of a history database. Raises HistoryError if it can be no such one, OSError."""
    try:
        return engines.open_engine(url, schema=SCHEMA, is_pinged=is_pinged, isolation=isolation)
    except ValueError as error:
        raise HistoryError(f"the history cannot be kept there: {error}") from error

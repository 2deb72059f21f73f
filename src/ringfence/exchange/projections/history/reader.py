"""Answers questions about the past: wire rows, and the ledger's balances and lines."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, and_, event, false, func, inspect, or_, select
from sqlalchemy.exc import OperationalError

from ringfence.exchange.projections.history.schema import (
    BALANCE,
    HISTORY_TABLES,
    LEDGER,
    PROGRESS,
    REFUSAL,
    open_engine,
)
from ringfence.exchange.projections.orders import Row
from ringfence.exchange.projections.tables import TABLES
from ringfence.units.limits import INT64_MAX

_IDENTIFIERS = frozenset(("clOrdID", "orderID"))
_STAMP_LENGTH = len("2026-11-24T12:00:00.000Z")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one table.

    `equal` holds the allowed values of columns, None for "empty". Times are the wire's ISO text, both
    ends included. `columns` narrows a row; the columns that identify it come always. `start` rows are
    passed over before `count` are returned, oldest first unless `reverse`.
    """

    table: str
    equal: dict[str, tuple[Any, ...]] = {}
    start_time: str | None = None
    end_time: str | None = None
    columns: tuple[str, ...] | None = None
    count: int = 100
    start: int = 0
    reverse: bool = False


class Volume(NamedTuple):
    """What an account traded, in US cents."""

    contract_cents: int
    spot_cents: int


class LedgerLine(NamedTuple):
    """One side of an entry, as it was written. `number` is the event's; its lines sum to zero per asset."""

    key: int
    number: int
    account: str
    asset: int
    amount: int
    kind: str
    timestamp: str


class RefusedOrderLine(NamedTuple):
    """A new order that the engine refused; `reject` and `figure` make its text."""

    sequence: int
    reject: int
    figure: int
    symbol: int
    timestamp: str


class HistoryReader:
    """Reads a history database, while another process writes it. Use it from one thread at a time.

    A question that takes longer than `seconds_max`, because no index helps with it, raises TimeoutError:
    anybody may ask one, and it must not keep the others waiting.
    """

    def __init__(self, url: str, *, seconds_max: float = 5.0) -> None:
        self._engine = open_engine(url, is_pinged=True)
        self._seconds_max = seconds_max
        self._give_up_at = math.inf
        event.listen(self._engine, "connect", self._limit)
        self._is_made = False
        self._progress = select(PROGRESS.c.next_sequence)

    def next_sequence(self) -> int:
        """Return what the rows reach: every command below it is in them. 0 before the first."""
        with self._engine.connect() as connection:
            if not self._is_made:
                self._is_made = inspect(connection).has_table(PROGRESS.name)
                if not self._is_made:
                    return 0
            return connection.execute(self._progress).scalar() or 0

    def rows(self, query: Query) -> list[Row]:
        """Return wire rows in the order of their making. Raises ValueError for what cannot be asked."""
        names, statement = _select(query)
        return [dict(zip(names, found, strict=True)) for found in self._ask(statement)]

    def last_refusal(self, account: int, clordid: str) -> RefusedOrderLine | None:
        """Return the newest refusal of an account's new order with this clOrdID, None if there is none."""
        statement = select(*(REFUSAL.c[name] for name in RefusedOrderLine._fields))
        statement = statement.where(REFUSAL.c.account == account, REFUSAL.c.clOrdID == clordid)
        found = self._ask(statement.order_by(REFUSAL.c.key.desc()).limit(1))
        return RefusedOrderLine(*found[0]) if found else None

    def balances(self, account: str | None = None) -> dict[tuple[str, int], int]:
        """Return the balance of each (ledger account, asset); their sum is zero for every asset."""
        statement = select(BALANCE.c.account, BALANCE.c.asset, BALANCE.c.amount)
        if account is not None:
            statement = statement.where(BALANCE.c.account == account)
        found = self._ask(statement.order_by(BALANCE.c.account, BALANCE.c.asset))
        return {(name, asset): amount for name, asset, amount in found}

    def lines(
        self, account: str | None = None, *, after_key: int = -1, count: int = 1_000
    ) -> list[LedgerLine]:
        """Return lines of one ledger account, or of all, oldest first, from the one after `after_key`."""
        statement = select(*(LEDGER.c[name] for name in LedgerLine._fields)).where(LEDGER.c.key > after_key)
        if account is not None:
            statement = statement.where(LEDGER.c.account == account)
        return [LedgerLine(*line) for line in self._ask(statement.order_by(LEDGER.c.key).limit(count))]

    def volumes(self, *, since: str, before: str) -> dict[int, Volume]:
        """Return what each account traded in the days from `since` up to `before`, ISO text."""
        table = HISTORY_TABLES["tradingVolume"]
        statement = (
            select(table.c.account, func.sum(table.c.contractCents), func.sum(table.c.spotCents))
            .where(table.c.timestamp >= _stamp(since), table.c.timestamp < _stamp(before))
            .group_by(table.c.account)
        )
        return {account: Volume(int(contract), int(spot)) for account, contract, spot in self._ask(statement)}

    def _ask(self, statement: Select[Any]) -> Sequence[Any]:
        self._give_up_at = time.monotonic() + self._seconds_max
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement).all()
        except OperationalError as error:
            if time.monotonic() < self._give_up_at:
                raise
            raise TimeoutError(
                f"the question takes longer than {self._seconds_max} s; narrow it by account, symbol or time"
            ) from error
        finally:
            self._give_up_at = math.inf

    def _limit(self, connection: Any, _record: object) -> None:
        if self._engine.dialect.name == "sqlite":
            connection.set_progress_handler(lambda: time.monotonic() >= self._give_up_at, 10_000)
            return
        with connection.cursor() as cursor:
            # Zero would be for ever. A role with rights to do so could write, and a reader must not.
            cursor.execute(f"SET statement_timeout = {max(1, int(self._seconds_max * 1000))}")
            cursor.execute("SET default_transaction_read_only = on")
        connection.commit()

    def close(self) -> None:
        self._engine.dispose()


def _select(query: Query) -> tuple[tuple[str, ...], Select[Any]]:
    """Return the names of the columns and the statement. Raises ValueError."""
    table = HISTORY_TABLES.get(query.table)
    if table is None:
        raise ValueError(f"no history is kept of '{query.table}'")
    wire = TABLES[query.table]
    for name in (*query.equal, *(query.columns or ())):
        if name not in wire.types:
            raise ValueError(f"'{name}' is no column of {query.table}")
    if not (0 <= query.count <= INT64_MAX and 0 <= query.start <= INT64_MAX):
        raise ValueError("count and start are whole numbers from 0")
    wanted = wire.names if query.columns is None else {*query.columns, *wire.keys}
    names = tuple(name for name in wire.names if name in wanted)

    def allowed(within: FromClause, name: str) -> ColumnElement[bool]:
        return _is_one_of(within.c[name], wire.types[name], query.equal[name])

    source: FromClause = table
    # Everywhere else the two orders are the same one, and indexes end with both columns.
    order = ("key",) if query.table in ("order", "transact") else ("timestamp", "key")
    if identifier := _IDENTIFIERS & query.equal.keys():
        # These few rows first: SQLite would rather walk through all that the account ever did, because
        # that is in the right order. An offset, be it none, is a fence to planners.
        narrow = [allowed(table, name) for name in ("account", min(identifier)) if name in query.equal]
        source, order = select(table).where(*narrow).offset(0).subquery(), ("key",)
    statement = select(*(source.c[name] for name in names))
    statement = statement.where(*(allowed(source, name) for name in query.equal))
    if query.start_time is not None:
        statement = statement.where(source.c.timestamp >= _stamp(query.start_time))
    if query.end_time is not None:
        statement = statement.where(source.c.timestamp <= _stamp(query.end_time))
    by = [source.c[name].desc() if query.reverse else source.c[name].asc() for name in order]
    return names, statement.order_by(*by).limit(query.count).offset(query.start)


def _is_one_of(column: ColumnElement[Any], kind: str, values: tuple[Any, ...]) -> ColumnElement[bool]:
    """Return the condition. What a column of this type cannot hold is equal to no row, and no error."""
    fitting = [value for value in values if value is not None and _fits(value, kind)]
    found: list[ColumnElement[bool]] = [column.in_(fitting)] if len(fitting) > 1 else []
    if len(fitting) == 1:
        found = [column == fitting[0]]
    if None in values:
        found.append(column.is_(None))
    return or_(*found) if found else and_(false())


def _fits(value: Any, kind: str) -> bool:
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind in ("long", "float"):
        is_number = isinstance(value, int | float) and -INT64_MAX <= value <= INT64_MAX
        return is_number and (kind == "float" or value == int(value))
    # Neither NUL nor half a surrogate pair can be asked of every database.
    return isinstance(value, str) and "\0" not in value and value == value.encode(errors="ignore").decode()


def _stamp(text: str) -> str:
    if len(text) != _STAMP_LENGTH or not text.endswith("Z"):
        raise ValueError(f"'{text}' is not a time like 2026-11-24T12:00:00.000Z")
    return text

"""Table queries: BitMEX's `filter`, `columns`, `count`, `start`, `reverse`, `startTime`, `endTime`."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, invalid
from ringfence.exchange.gateway.parameters import Parameters
from ringfence.exchange.projections import TABLES, Market, Views
from ringfence.exchange.projections.history import Query
from ringfence.messages.commands import InstrumentState

Row = dict[str, Any]
COUNT_DEFAULT = 100
_TERMINAL = ("Filled", "Canceled", "Rejected", "Expired")
OPEN_STATES = ("New", "PartiallyFilled")
"""ordStatus of an order that can still trade."""


class TableQuery(NamedTuple):
    """A query as it was asked, checked against a table's columns."""

    table: str
    equal: dict[str, tuple[Any, ...]]
    start_time: str | None
    end_time: str | None
    columns: tuple[str, ...] | None
    limit: int
    start: int
    reverse: bool

    def for_history(self) -> Query:
        return Query(
            table=self.table, equal=self.equal, start_time=self.start_time, end_time=self.end_time,
            columns=self.columns, count=self.limit, start=self.start, reverse=self.reverse,
        )  # fmt: skip

    def of_rows(self, rows: Iterable[Row]) -> list[Row]:
        """Answer from rows at hand, oldest first."""
        found = [row for row in rows if self._matches(row)]
        if self.reverse:
            found.reverse()
        found = found[self.start : self.start + self.limit]
        return [self._narrow(row) for row in found] if self.columns else found

    def _matches(self, row: Row) -> bool:
        for column, allowed in self.equal.items():
            if row.get(column) not in allowed:
                return False
        stamp = row.get("timestamp")
        if self.start_time is not None and (stamp is None or stamp < self.start_time):
            return False
        return not (self.end_time is not None and (stamp is None or stamp > self.end_time))

    def _narrow(self, row: Row) -> Row:
        wanted = {*TABLES[self.table].keys, *(self.columns or ())}
        return {name: value for name, value in row.items() if name in wanted}


def table_query(
    parameters: Parameters,
    table: str,
    views: Views,
    *,
    account: int | None = None,
    count_max: int = 500,
    reverse: bool = False,
) -> TableQuery:
    """Return the query in a request's parameters. Raises Refused with BitMEX's words."""
    names = TABLES[table].names
    equal: dict[str, tuple[Any, ...]] = {}
    start_time = read.timestamp(parameters, "startTime")
    end_time = read.timestamp(parameters, "endTime")
    given = read.json_value(parameters, "filter")
    if given is not None:
        if not isinstance(given, dict):
            raise invalid("filter values are not valid")
        for column, value in given.items():
            if column in ("startTime", "endTime"):
                stamp = read.timestamp({column: value}, column)
                start_time, end_time = (stamp, end_time) if column == "startTime" else (start_time, stamp)
            elif column == "open":
                equal["ordStatus"] = (
                    OPEN_STATES if read.boolean({column: value}, column, default=True) else _TERMINAL
                )
            elif column == "ordStatus.isTerminated":
                equal["ordStatus"] = (
                    _TERMINAL if read.boolean({column: value}, column, default=True) else OPEN_STATES
                )
            elif column in names:
                equal[column] = _allowed(value)
            else:
                raise invalid("filter columns are not valid")
    if "symbol" in names and read.given(parameters, "symbol") is not None:
        equal["symbol"] = tuple(symbols_of(views, parameters))
    if account is not None:
        equal["account"] = (account,)
    columns = tuple(read.texts(parameters, "columns")) or None
    if columns and not set(columns) <= set(names):
        raise invalid("columns are not valid")
    count = read.integer(parameters, "count", low=0, high=1_000_000)
    if count is not None and count > count_max:
        raise invalid(f"count is invalid: at most {count_max}")
    return TableQuery(
        table, equal, start_time, end_time, columns, min(COUNT_DEFAULT, count_max) if count is None else count,
        read.integer(parameters, "start", low=0, high=10_000_000) or 0,
        read.boolean(parameters, "reverse", default=reverse),
    )  # fmt: skip


def _allowed(value: Any) -> tuple[Any, ...]:
    items = value if isinstance(value, list) else [value]
    plain: list[Any] = []
    for item in items:
        if isinstance(item, Decimal):
            plain.append(int(item) if item == int(item) else float(item))
        elif item is None or isinstance(item, str | int):
            plain.append(item)
        else:
            raise invalid("filter values are not valid")
    return tuple(plain)


def symbols_of(views: Views, parameters: Parameters) -> list[str]:
    """Return what `symbol` stands for: a symbol in any case, `ROOT` (the nearest contract), `ROOT:series`.

    A symbol that is not listed finds no rows, as on BitMEX.
    """
    text = read.text(parameters, "symbol")
    assert text is not None
    upper = text.upper()
    if upper in views.symbols:
        return [upper]
    for symbol in views.symbols:
        if symbol.upper() == upper:
            return [symbol]
    root, _, series = upper.partition(":")
    family = [m for m in views.markets.values() if m.instrument.root_symbol == root and _trades(m)]
    if not family or series not in _SERIES:
        return [text]
    found = [m for m in family if _SERIES[series](m)]
    return [min(found, key=_nearness).instrument.symbol] if found else [text]


def _trades(market: Market) -> bool:
    return market.state not in (InstrumentState.UNLISTED, InstrumentState.CLOSED, InstrumentState.SETTLED)


def _nearness(market: Market) -> tuple[bool, int, int]:
    """Dated contracts by expiry first, then perpetuals in order of listing."""
    of = market.instrument
    return of.expiry_ns is None, of.expiry_ns or 0, of.number


def _is_dated(market: Market) -> bool:
    return market.instrument.expiry_ns is not None


def _is_perpetual(market: Market) -> bool:
    return market.instrument.expiry_ns is None and not market.instrument.is_spot


_SERIES: dict[str, Callable[[Market], bool]] = {
    "": _is_perpetual, "PERPETUAL": _is_perpetual, "NEAREST": _is_dated, "QUARTERLY": _is_dated,
    "BIQUARTERLY": lambda market: False, "MONTHLY": lambda market: False,
    "WEEKLY": lambda market: False, "DAILY": lambda market: False,
}  # fmt: skip


def required_market(views: Views, parameters: Parameters) -> Market:
    """Return the one market that a symbol names, in any case or by its root. Raises Refused."""
    if read.given(parameters, "symbol") is None:
        raise invalid("symbol is required")
    market = views.symbols.get(symbols_of(views, parameters)[0])
    if market is None:
        raise Refused(400, "Invalid symbol", "ValidationError")
    return market

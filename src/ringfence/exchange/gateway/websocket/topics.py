"""Topics: `table` or `table:SYMBOL`, what each sends first, and what it says of its columns."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.schema import PRIVATE_TOPICS, PUBLIC_TOPICS, attributes, foreign_keys
from ringfence.exchange.projections import BIN_SIZES, TABLES, Account, Market, Views

Row = dict[str, Any]

_BIN_TOPICS = {f"{prefix}{size}": (prefix, size) for prefix in ("tradeBin", "quoteBin") for size in BIN_SIZES}
_WITHOUT_SYMBOL = frozenset(
    ("affiliate", "announcement", "chat", "connected", "halt", "insurance", "margin", "shed", "transact",
     "wallet", "publicNotifications", "privateNotifications")
)  # fmt: skip
_GROUPS: dict[str, Callable[[Market], bool]] = {
    "CONTRACTS": lambda market: market.instrument.is_contract,
    "DERIVATIVES": lambda market: market.instrument.is_contract,
    "SPOT": lambda market: market.instrument.is_spot,
    "INDICES": lambda market: market.instrument.is_index,
}  # fmt: skip


class Topic(NamedTuple):
    """One subscription. `numbers` are the instruments it is narrowed to, None = all."""

    text: str
    table: str
    numbers: frozenset[int] | None
    is_private: bool

    def wants(self, number: int) -> bool:
        return self.numbers is None or number in self.numbers

    @property
    def is_narrow(self) -> bool:
        return self.numbers is not None and len(self.numbers) == 1


def parse_topic(text: str, views: Views) -> Topic:
    """Return what a client's topic text means. Raises Refused (400)."""
    table, _, narrowed = text.partition(":")
    if table not in PUBLIC_TOPICS | PRIVATE_TOPICS:
        raise Refused(400, f"Unknown table: {table}. See /api/v1/schema/websocketHelp.")
    numbers: frozenset[int] | None = None
    if narrowed and narrowed != "*" and table not in _WITHOUT_SYMBOL:
        market = views.symbols.get(narrowed) or views.symbols.get(narrowed.upper())
        if market is not None:
            numbers = frozenset((market.instrument.number,))
        elif table == "instrument" and narrowed in _GROUPS:
            belongs = _GROUPS[narrowed]
            numbers = frozenset(n for n, market in views.markets.items() if belongs(market))
        else:
            raise Refused(400, f"Unknown or expired symbol: {narrowed}")
    return Topic(text, table, numbers, table in PRIVATE_TOPICS)


def partial(topic: Topic, views: Views, account: Account | None, load: Sequence[Row] = ()) -> Row:
    """Return the first frame of a subscription: everything that is there, with its description.

    `load` are the rows of the topic `shed`, which no view knows.
    """
    table = TABLES[topic.table]
    markets = [m for n, m in views.markets.items() if topic.numbers is None or n in topic.numbers]
    if topic.is_private:
        assert account is not None
        rows = _private_rows(topic, account)
        narrowed: Row = {"account": account.number}
    elif topic.table == "shed":
        rows, narrowed = list(load), {}
    elif topic.table == "insurance":
        rows, narrowed = [fund.row() for fund in views.funds()], {}
    elif topic.table == "halt":
        rows, narrowed = [halt.row() for halt in views.halts.history], {}
    elif topic.table == "liquidation":
        rows = [o.liquidation_row() for o in views.liquidations() if topic.wants(o.instrument.number)]
        narrowed = {}
    else:
        rows = [row for market in markets for row in _market_rows(topic.table, market)]
        narrowed = {}
    if topic.is_narrow:
        narrowed["symbol"] = markets[0].instrument.symbol
    return {
        "table": topic.table, "action": "partial", "keys": list(table.keys), "types": table.types,
        "foreignKeys": foreign_keys(table), "attributes": attributes(table), "filter": narrowed, "data": rows,
    }  # fmt: skip


def _private_rows(topic: Topic, account: Account) -> list[Row]:
    def wanted(number: int) -> bool:
        return topic.numbers is None or number in topic.numbers

    if topic.table == "order":
        return [o.row() for o in account.orders.values() if wanted(o.instrument.number)]
    if topic.table == "position":
        return account.position_rows(topic.numbers)
    if topic.table == "margin":
        return account.margin_rows()
    if topic.table == "wallet":
        return account.wallet_rows()
    return []


def _market_rows(table: str, market: Market) -> Iterable[Row]:
    if table == "instrument":
        return [market.row()]
    if market.instrument.is_index and (table.startswith("quote") or table == "orderBook10"):
        return []
    if table == "orderBookL2":
        return market.book_rows(0)
    if table == "orderBookL2_25":
        return market.book_rows(25)
    if table == "orderBook10":
        return [market.book10_row()]
    if table == "quote":
        return [market.quote_row()]
    if table == "trade":
        return [market.trades[-1].row()] if market.trades else []
    if table == "funding":
        return [market.funded.row()] if market.funded is not None else []
    if table == "settlement":
        return [market.settled.row()] if market.settled is not None else []
    if table in _BIN_TOPICS:
        prefix, size = _BIN_TOPICS[table]
        closed = market.closed.get(size)
        if closed is None:
            return []
        return [
            closed.row(market.instrument) if prefix == "tradeBin" else closed.quote_row(market.instrument)
        ]
    return []

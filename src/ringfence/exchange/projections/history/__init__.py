"""What is kept for ever, in SQL: orders, executions, trades, bins, funding, wallet history, the ledger.

The rows are a fold like every view: a database that is lost, damaged or of an older layout is deleted
and made again from the feed. SQLAlchemy Core writes the same statements for SQLite and PostgreSQL.

| module     | what is in it                                                                 |
|------------|-------------------------------------------------------------------------------|
| schema     | the tables, made from the wire's column lists; opening a database             |
| writer     | `HistoryWriter`: rows and progress move in one transaction                     |
| reader     | `HistoryReader`: `Query` in, wire rows out; balances and lines of the ledger   |
| checkpoint | `save` and `load`: the views in a file, so that nobody folds from the beginning |
"""

from ringfence.exchange.projections.history.reader import (
    HistoryReader,
    LedgerLine,
    Query,
    RefusedOrderLine,
    Volume,
)
from ringfence.exchange.projections.history.schema import HISTORY_TABLES, HistoryError
from ringfence.exchange.projections.history.writer import HistoryWriter, transaction_row

__all__ = [
    "HISTORY_TABLES", "HistoryError", "HistoryReader", "HistoryWriter", "LedgerLine", "Query",
    "RefusedOrderLine", "Volume", "transaction_row",
]  # fmt: skip

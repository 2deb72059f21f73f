"""What is kept for ever, in SQL: orders, executions, trades, bins, funding, wallet history, the ledger.

The rows are a fold like every view: a database that is lost or damaged is deleted and made again from the
feed. SQLAlchemy Core writes the same statements for SQLite and PostgreSQL.

| module     | what is in it                                                                 |
|------------|-------------------------------------------------------------------------------|
| schema     | the tables, after the wire's column lists; opening a database                 |
| migrations | how they came to be; the only way in which they are made                       |
| loading    | how rows get into SQLite and into PostgreSQL                                  |
| writer     | `HistoryWriter`: rows and progress move in one transaction                     |
| reader     | `HistoryReader`: `Query` in, wire rows out; balances and lines of the ledger   |
| checkpoint | `save` and `load`: the views in a file, so that nobody folds from the beginning |
"""

from ringfence.exchange.projections.history.loading import WriterBusyError
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
    "RefusedOrderLine", "Volume", "WriterBusyError", "transaction_row",
]  # fmt: skip

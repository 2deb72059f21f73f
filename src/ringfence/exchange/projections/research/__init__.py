"""Trades, quotes and bins in columns, for research: Parquet files folded from the feed, in integers.

| module   | what is in it                                                        |
|----------|----------------------------------------------------------------------|
| columns  | the columns of each table, with the units that a file says of them   |
| partition | one file: of one instrument and day, whole or not there              |
| export   | `Export`: from the feed to a folder, going on where it was            |
"""

from ringfence.exchange.projections.research.columns import TABLES
from ringfence.exchange.projections.research.export import Export, Exported, ExportError

__all__ = ["TABLES", "Export", "ExportError", "Exported"]

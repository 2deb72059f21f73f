"""Folds of what happened: everything a client can ask for, built from batches and from nothing else.

| module     | what is in it                                                                  |
|------------|--------------------------------------------------------------------------------|
| views      | `Views.apply(batch) -> Changes`: the fold, and what changed, in wire order      |
| orders     | orders and executions, and their rows                                           |
| positions  | positions, margins and wallets of accounts, and their rows                      |
| market     | one instrument's book, quote, trades, bins, funding, and its row                 |
| outcomes   | the fold of funding, liquidation, deleveraging, settlement, insurance           |
| halts      | what is halted, and the history of halts                                        |
| last_resort| receipts of deleveraging, notices to accounts, the insurance fund's balance     |
| ranking    | where the holders of an instrument stand in the queue of deleveraging           |
| ledger     | double-entry lines: every event that moves coins, balanced                      |
| tables     | the columns of every wire table, their types and keys: the one home             |
| history    | what is kept for ever, in SQL                                                   |
"""

from ringfence.exchange.projections.market import BIN_SIZES, Market, TradeView
from ringfence.exchange.projections.orders import Execution, Order
from ringfence.exchange.projections.positions import Account, Margin, Position
from ringfence.exchange.projections.tables import PRIVATE, REST_ONLY, TABLES, Column, Table
from ringfence.exchange.projections.views import Changes, Result, Views

__all__ = [
    "BIN_SIZES", "PRIVATE", "REST_ONLY", "TABLES", "Account", "Changes", "Column", "Execution", "Margin", "Market",
    "Order", "Position", "Result", "Table", "TradeView", "Views",
]  # fmt: skip

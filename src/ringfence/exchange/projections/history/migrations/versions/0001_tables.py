"""The tables as they were when migrations began."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TYPES: dict[str, Any] = {"text": _TEXT, "long": sa.BigInteger(), "real": sa.Double(), "flag": sa.Boolean()}
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_ORDER = """orderID text, clOrdID text, clOrdLinkID text, account long, symbol text, side text,
orderQty long, price real, displayQty long, stopPx real, pegOffsetValue real, pegPriceType text,
currency text, settlCurrency text, ordType text, timeInForce text, execInst text, contingencyType
text, ordStatus text, triggered text, workingIndicator flag, ordRejReason text, leavesQty long,
cumQty long, avgPx real, text text, transactTime text, timestamp text"""
_EXECUTION = f"""execID text, {_ORDER}, lastQty long, lastPx real, lastLiquidityInd text, execType text,
commission real, feeType text, tradePublishIndicator text, trdMatchID text, execCost long, execComm long,
homeNotional real, foreignNotional real"""
_TRADE_BIN = """timestamp text, symbol text, open real, high real, low real, close real, trades long, volume long,
vwap real, lastSize long, turnover long, homeNotional real, foreignNotional real"""
_QUOTE_BIN = "timestamp text, symbol text, bidSize long, bidPrice real, askPrice real, askSize long"
_SIZES = ("1m", "5m", "1h", "1d")
_TABLES = {
    "order": _ORDER,
    "execution": _EXECUTION,
    "transact": """transactID text, account long, currency text, network text, transactType text, amount long, fee long,
        transactStatus text, address text, tx text, text text, transactTime text, walletBalance long, memo text,
        timestamp text""",
    "funding": "timestamp text, symbol text, fundingInterval text, fundingRate real, fundingRateDaily real",
    "settlement": """timestamp text, symbol text, settlementType text, settledPrice real, optionStrikePrice real,
        optionUnderlyingPrice real, bankrupt long, taxBase long, taxRate real""",
    "insurance": "currency text, timestamp text, walletBalance long",
    "deleverage": """id long, timestamp text, symbol text, side text, price real, shortfallQty long, takenQty long,
        method text, rankedAccounts long, ranked text""",
    "userDeleverage": """id long, account long, timestamp text, symbol text, side text, price real, pseudonym text,
        place long, qty long, value long""",
    "userEvent": "id long, account long, timestamp text, type text, status text, eventMeta text",
    "tradingVolume": "timestamp text, account long, contractCents long, spotCents long",
    "trade": """timestamp text, symbol text, side text, size long, price real, tickDirection text, trdMatchID text,
        grossValue long, homeNotional real, foreignNotional real, trdType text""",
    **{f"tradeBin{size}": _TRADE_BIN for size in _SIZES},
    **{f"quoteBin{size}": _QUOTE_BIN for size in _SIZES},
}

_PUBLIC = ("symbol timestamp key", "timestamp key")
_INDEXES = {
    "order": ("account key", "account symbol key", "account clOrdID", "account orderID"),
    "execution": (
        "account timestamp key execType", "account symbol timestamp key execType", "account clOrdID", "account orderID",
    ),
    "transact": ("account key",),
    "insurance": ("timestamp key",), "userDeleverage": ("account timestamp key",),
    "userEvent": ("account timestamp key",), "tradingVolume": ("timestamp key", "account timestamp key"),
    "ledger": ("account key",),
}  # fmt: skip


def _key() -> sa.Column[int]:
    return sa.Column("key", _KEY, primary_key=True, autoincrement=False)


def _must(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    for name, columns in _TABLES.items():
        pairs = (item.split() for item in columns.split(","))
        op.create_table(name, _key(), *(sa.Column(column, _TYPES[kind]) for column, kind in pairs))
    op.create_table(
        "ledger", _key(), _must("number", sa.BigInteger()), _must("account", _TEXT), _must("asset", sa.BigInteger()),
        _must("amount", sa.BigInteger()), _must("kind", _TEXT), _must("timestamp", _TEXT),
    )  # fmt: skip
    op.create_table(
        "refusal", _key(), _must("account", sa.BigInteger()), _must("clOrdID", _TEXT),
        _must("sequence", sa.BigInteger()), _must("reject", sa.Integer()), _must("figure", sa.BigInteger()),
        _must("symbol", sa.Integer()), _must("timestamp", _TEXT),
    )  # fmt: skip
    op.create_table(
        "balance", sa.Column("account", _TEXT, primary_key=True),
        sa.Column("asset", sa.BigInteger(), primary_key=True, autoincrement=False), _must("amount", sa.BigInteger()),
    )  # fmt: skip
    op.create_table(
        "progress", sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False), _must("layout", _TEXT),
        _must("next_sequence", sa.BigInteger()), _must("next_event", sa.BigInteger()), _must("last_batch", _TEXT),
        _must("transactions", sa.BigInteger()), _must("lines", sa.BigInteger()),
    )  # fmt: skip
    op.create_index("refusal_by_account_clOrdID", "refusal", ["account", "clOrdID", "key"])
    for name in (*_TABLES, "ledger"):
        for by in _INDEXES.get(name, _PUBLIC):
            op.create_index(f"{name}_by_{by.replace(' ', '_')}", name, by.split())

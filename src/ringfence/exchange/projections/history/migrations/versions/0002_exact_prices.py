"""PostgreSQL keeps prices and rates as the decimals that they are; `progress.layout` is what migrations say now."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

_REAL = {
    "order": "price stopPx pegOffsetValue avgPx",
    "execution": "price stopPx pegOffsetValue avgPx lastPx commission homeNotional foreignNotional",
    "funding": "fundingRate fundingRateDaily",
    "settlement": "settledPrice optionStrikePrice optionUnderlyingPrice taxRate",
    "deleverage": "price",
    "userDeleverage": "price",
    "trade": "price homeNotional foreignNotional",
    **dict.fromkeys(
        ("tradeBin1m", "tradeBin5m", "tradeBin1h", "tradeBin1d"),
        "open high low close vwap homeNotional foreignNotional",
    ),
    **dict.fromkeys(("quoteBin1m", "quoteBin5m", "quoteBin1h", "quoteBin1d"), "bidPrice askPrice"),
}


def upgrade() -> None:
    op.drop_column("progress", "layout")
    if op.get_context().dialect.name != "postgresql":
        return
    for table, columns in _REAL.items():
        for column in columns.split():
            # By way of text, which has every digit; a cast keeps fifteen.
            op.alter_column(table, column, type_=sa.Numeric(), postgresql_using=f'"{column}"::text::numeric')

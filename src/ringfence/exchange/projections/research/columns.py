"""The columns of the exported tables. Every figure is an integer; what one of it is worth stands at its column.

`price = ticks * tick_units / 10**tick_decimals`, `amount = value / 10**scale` of its currency. Prices that are not
there are null, never zero.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from ringfence.exchange.projections.market import Bin, Market
from ringfence.exchange.projections.views import Changes, Views
from ringfence.instruments.specification import Instrument

BIN_SIZES = ("1m", "5m", "1h", "1d")
Row = tuple[Any, ...]


class Kept(NamedTuple):
    """A row, and which file it belongs to."""

    instrument: Instrument
    timestamp_ns: int
    row: Row


class Field(NamedTuple):
    name: str
    kind: pa.DataType
    unit: str
    """`tick`, `contract` and `settlement` are explained by the instrument."""
    says: str


class Table(NamedTuple):
    name: str
    fields: tuple[Field, ...]

    def schema(self, of: Instrument, metadata: dict[str, str]) -> pa.Schema:
        """Return the schema of the files of one instrument."""
        fields = [
            pa.field(
                one.name, one.kind, metadata={"unit": one.unit, "says": one.says, **_scale(of, one.unit)}
            )
            for one in self.fields
        ]
        return pa.schema(fields, metadata={"instrument": of.symbol, "table": self.name, **metadata})


_INT, _TIME = pa.int64(), pa.int64()
_NUMBER = Field("number", _INT, "event", "number of the event; orders rows for ever")
_AT = Field(
    "timestamp_ns", _TIME, "ns since 1970-01-01T00:00:00Z", "when it happened, by the sequencer's clock"
)

TRADES = Table(
    "trades",
    (
        _NUMBER, _AT,
        Field("is_sell", pa.bool_(), "", "whether the taker sold"),
        Field("qty", _INT, "contract", "quantity; 0 = a price of an index"),
        Field("price_ticks", _INT, "tick", "price"),
        Field("value", _INT, "settlement", "what it is worth"),
        Field("tick_direction", pa.dictionary(pa.int8(), pa.string()), "", "against the trade before"),
    ),
)  # fmt: skip
QUOTES = Table(
    "quotes",
    (
        Field("sequence", _INT, "command", "last command of the batch that changed the best bid or offer"), _AT,
        Field("bid_qty", _INT, "contract", "displayed quantity at the best bid"),
        Field("bid_ticks", _INT, "tick", "best bid"),
        Field("ask_ticks", _INT, "tick", "best offer"),
        Field("ask_qty", _INT, "contract", "displayed quantity at the best offer"),
    ),
)  # fmt: skip


def _bins(size: str) -> Table:
    return Table(
        f"bins/size={size}",
        (
            Field(
                "end_ns", _TIME, "ns since 1970-01-01T00:00:00Z", "end of the bin; it holds what came before"
            ),
            *(
                Field(f"{name}_ticks", _INT, "tick", f"{name} price")
                for name in ("open", "high", "low", "close")
            ),
            Field("trades", _INT, "", "number of trades"),
            Field("volume", _INT, "contract", "quantity traded"),
            Field("turnover", _INT, "settlement", "what was traded is worth"),
            Field("last_qty", _INT, "contract", "quantity of the last trade"),
            Field(
                "price_times_qty",
                pa.decimal128(38, 0),
                "tick x contract",
                "divided by volume: the average price",
            ),
            Field("home", pa.float64(), "base currency", "for display: a sum of rounded doubles"),
            Field("foreign", pa.float64(), "quote currency", "for display: a sum of rounded doubles"),
            Field("bid_qty", _INT, "contract", "displayed quantity at the best bid, at the end"),
            Field("bid_ticks", _INT, "tick", "best bid, at the end"),
            Field("ask_ticks", _INT, "tick", "best offer, at the end"),
            Field("ask_qty", _INT, "contract", "displayed quantity at the best offer, at the end"),
        ),
    )


TABLES: dict[str, tuple[Table, ...]] = {
    "trades": (TRADES,), "quotes": (QUOTES,), "bins": tuple(_bins(size) for size in BIN_SIZES),
}  # fmt: skip


def _scale(of: Instrument, unit: str) -> dict[str, str]:
    if unit == "tick":
        return {
            "currency": of.quote_currency,
            "tick_units": str(of.tick_units),
            "tick_decimals": str(of.tick_decimals),
        }
    if unit == "settlement":
        return {"currency": of.settle.currency, "coin": of.settle.asset, "scale": str(of.settle.scale)}
    if unit == "contract":
        per = "" if of.underlying_to_position is None else str(of.underlying_to_position)
        return {"multiplier": str(of.multiplier), "contracts_per_underlying": per}
    return {}


def rows_of(table: str, sequence: int, views: Views, changes: Changes) -> Iterator[tuple[Table, Kept]]:
    """Yield what a batch adds to the files of `trades`, `quotes` or `bins`."""
    if table == "trades":
        for trade in changes.trades:
            row: Row = (
                trade.number, trade.timestamp_ns, trade.is_sell, trade.qty, trade.px, trade.value, trade.tick_direction,
            )  # fmt: skip
            yield TRADES, Kept(trade.instrument, trade.timestamp_ns, row)
    elif table == "quotes":
        for number, before in changes.quotes.items():
            market = views.markets[number]
            if market.best != before:
                row = (sequence, changes.timestamp_ns, *_best(market.best))
                yield QUOTES, Kept(market.instrument, changes.timestamp_ns, row)
    else:
        for market, size, closed in changes.bins:
            yield _BINS[size], _bin(market, closed)


_BINS = dict(zip(BIN_SIZES, TABLES["bins"], strict=True))


def _bin(market: Market, of: Bin) -> Kept:
    prices = (px or None for px in (of.open, of.high, of.low, of.close))
    last = of.last_size if of.trades else None
    row = (
        of.end_ns, *prices, of.trades, of.volume, of.turnover, last, of.px_qty, of.home, of.foreign, *_best(of.quote),
    )  # fmt: skip
    return Kept(market.instrument, of.end_ns, row)


def _best(best: tuple[int, int, int, int]) -> Iterator[int | None]:
    return (figure or None for figure in best)

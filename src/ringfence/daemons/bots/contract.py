"""What a bot needs to know of an instrument, from the row that everybody gets."""

from typing import Any

Row = dict[str, Any]

_STEP_TICKS = {"XBTUSD": 10, "XBTUSDT": 10, "XBT_USDT": 10}
"""Ticks between two levels of a maker, where a tick is too fine. Elsewhere two."""


class Contract:
    """One instrument, kept up to date with rows of the `instrument` topic. Prices are in ticks."""

    def __init__(self, row: Row) -> None:
        self.symbol: str = row["symbol"]
        self.tick_size: float = row["tickSize"]
        self.lot: int = row["lotSize"]
        self.qty_max: int = row["maxOrderQty"]
        self.is_spot = row["typ"] == "IFXXXP"
        self._is_inverse: bool = row["isInverse"]
        self._is_quanto: bool = row["isQuanto"]
        self._multiplier: int = row["multiplier"]
        self._units: int = row["underlyingToPositionMultiplier"] or 1
        self.step = _STEP_TICKS.get(self.symbol, 2)
        self.is_open = False
        self.reference: float | None = None
        """The price in ticks around which a maker quotes."""
        self.bid: int | None = None
        self.ask: int | None = None
        self.update(row)

    def update(self, row: Row) -> None:
        """Take over the columns that a row has."""
        if "state" in row:
            self.is_open = row["state"] == "Open"
        if not self.is_spot and row.get("markPrice"):
            self.reference = row["markPrice"] / self.tick_size
        if "bidPrice" in row:
            self.bid = None if row["bidPrice"] is None else round(row["bidPrice"] / self.tick_size)
        if "askPrice" in row:
            self.ask = None if row["askPrice"] is None else round(row["askPrice"] / self.tick_size)

    @property
    def reference_symbol(self) -> str | None:
        """The contract whose mark a spot pair follows, since it has none: XBT_USDT follows XBTUSDT."""
        return self.symbol.replace("_", "") if self.is_spot else None

    def price(self, ticks: int) -> float:
        return round(ticks * self.tick_size, 8)

    def usd(self, qty: int, xbt_usd: float) -> float:
        """Return about how many dollars a quantity is worth; `xbt_usd` is the price of a coin."""
        if self._is_inverse:
            return float(qty)
        price = (self.reference or 0) * self.tick_size
        if self._is_quanto:
            return qty * self._multiplier * price / 1e8 * xbt_usd
        return qty / self._units * price

    def qty_of(self, usd: float, xbt_usd: float) -> int:
        """Return the whole lots that are worth about so many dollars, at least one."""
        lot_usd = self.usd(self.lot, xbt_usd)
        lots = max(1, round(usd / lot_usd)) if lot_usd > 0 else 1
        return min(lots * self.lot, self.qty_max)

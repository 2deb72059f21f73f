"""What is traded: an instrument's parameters, its prices, and what a lot of it is worth.

Source: docs/reference/contracts.md, "What a lot is worth" and "Profit".
"""

from dataclasses import dataclass, field

from ringfence.assurance.shadow.book import Book
from ringfence.assurance.shadow.orders import Order
from ringfence.messages.commands import (
    AdlMethod,
    ContractKind,
    InstrumentState,
    MarkMethod,
    TradingState,
    TriggerPrice,
)
from ringfence.units.limits import MARK_SUBTICKS, ORDERS_PER_POSITION_MAX
from ringfence.units.rounding import PPM, round_div

STALE_NS = 30 * 1_000_000_000
"""A mark that is older liquidates nobody and triggers nothing."""

WaitingKey = tuple[int, int, int]
"""How an untriggered order queues: the price that is reached first, then age, then slot."""


@dataclass(slots=True)
class Instrument:
    """One instrument. Prices are ticks, marks and indices in subticks (1/100 tick), rates ppm or 1e-8."""

    number: int
    kind: int
    state: int = InstrumentState.UNLISTED
    """What it is now: its listing, and the halts of venue and contract."""
    listed: int = InstrumentState.UNLISTED
    """What it is without halts."""
    halted: int = TradingState.RUNNING
    """How far this contract alone is halted."""
    reopens_ns: int = 0
    skips_funding: bool = False
    """What was missed in the halt is not paid."""
    narrow_until_ns: int = 0
    """After a halt the collar around the mark is half as wide until then..."""
    is_narrow: bool = False
    """...as far as a mark has been set since: how wide it is is decided with the mark."""
    # What CONFIGURE sets.
    lot_size: int = 0
    factor: int = 0
    settle: int = 0
    base: int = 0
    px_max: int = 0
    qty_max: int = 0
    initial_ppm: int = 0
    maintenance_ppm: int = 0
    risk_base: int = 0
    risk_step: int = 0
    maker_ppm: int = 0
    taker_ppm: int = 0
    settlement_fee_ppm: int = 0
    collar_ppm: int = 0
    orders_max: int = ORDERS_PER_POSITION_MAX
    stops_max: int = 0
    last_band_ppm: int = 0
    index: int = 0
    units_per_subtick: int = 1
    funding_interval_ns: int = 0
    funding_offset_ns: int = 0
    interest_e8: int = 0
    impact_value: int = 0
    expiry_ns: int = 0
    mark_method: int = MarkMethod.FAIR
    adl_method: int = AdlMethod.PRO_RATA
    # What the market does.
    was_open: bool = False
    """It was open once, so it has a book."""
    mark: int = 0
    marked_ns: int = 0
    index_px: int = 0
    index_subticks: int = 0
    last: int = 0
    last_high: int = 0
    """How far the last price went since stops were looked at."""
    last_low: int = 0
    volume: int = 0
    fee_pool: int = 0
    impact_bid: int = 0
    impact_ask: int = 0
    funding_rate_e8: int = 0
    next_funding_ns: int = 0
    premium_sum_e8: int = 0
    premium_count: int = 0
    basis_e8: int = 0
    basis_due_ns: int = 0
    settle_sum: int = 0
    settle_count: int = 0
    must_be_deleveraged: bool = False
    """The insurance account's position has to go before it can do what comes next."""
    book: Book = field(default_factory=Book)
    waiting: dict[tuple[int, bool], list[WaitingKey]] = field(default_factory=dict)
    """Untriggered orders by (trigger price, reached by falling prices), sorted."""
    trailing: dict[int, Order] = field(default_factory=dict)
    """Trailing orders by slot; the one that came or moved last at the end."""

    @property
    def is_inverse(self) -> bool:
        return self.kind == ContractKind.INVERSE

    @property
    def is_spot(self) -> bool:
        return self.kind == ContractKind.SPOT

    # ---- what it is worth, in settlement units

    def lot_value(self, px: int) -> int:
        """Return the value of one lot at a price in ticks, rounded half up."""
        return round_div(self.factor, px) if self.kind == ContractKind.INVERSE else self.factor * px

    def lot_value_at(self, subticks: int) -> int:
        """Return the value of one lot at a price in subticks, rounded half up."""
        if self.is_inverse:
            return round_div(self.factor * MARK_SUBTICKS, subticks)
        return round_div(self.factor * subticks, MARK_SUBTICKS)

    def lots(self, qty: int) -> int:
        """Return the lots of a quantity, whatever its sign."""
        return abs(qty) // self.lot_size

    def value(self, px: int, qty: int) -> int:
        """Return the exposure of a quantity at a price in ticks."""
        return self.lots(qty) * self.lot_value(px)

    def value_at_mark(self, qty: int) -> int:
        """Return the exposure of a quantity at the mark; without a mark it is worth nothing yet."""
        return self.lots(qty) * self.lot_value_at(self.mark) if self.mark and qty else 0

    def risk_limit(self, tier: int) -> int:
        return self.risk_base + tier * self.risk_step

    def tier_for(self, exposure: int) -> int:
        """Return the lowest risk tier whose limit covers an exposure."""
        above = max(exposure - self.risk_base, 0)
        return -(-above // self.risk_step) if self.risk_step else 0

    # ---- prices

    def is_stale(self, now_ns: int) -> bool:
        """Return whether the mark is too old to take anybody's position for it."""
        return now_ns - self.marked_ns > STALE_NS

    @property
    def is_halted(self) -> bool:
        """Return whether it stands as it is: not even a cancel is taken."""
        return self.state == InstrumentState.HALTED

    @property
    def is_halted_or_cancel_only(self) -> bool:
        return self.state in (InstrumentState.CANCEL_ONLY, InstrumentState.HALTED)

    def set_width(self, now_ns: int) -> None:
        """Decide how wide the collar around the mark is."""
        self.is_narrow = now_ns < self.narrow_until_ns

    def collar_of_mark(self) -> tuple[int, int]:
        """Return (lowest, highest) price in ticks within the collar around the mark."""
        mark = self.mark // MARK_SUBTICKS
        span = mark * self.collar_ppm // PPM
        if self.is_narrow:
            span //= 2
        return max(mark - span, 1), min(mark + span, self.px_max)

    def reach(self, sell: bool) -> int:
        """Return the worst price at which an aggressive order may execute.

        Buys reach a collar above the higher of best ask and mark, sells below the lower of best bid and mark.
        """
        bid, ask = self.book.bid, self.book.ask
        down, up = self.collar_of_mark()
        if sell:
            low = down if self.mark else self.px_max
            if bid:
                low = min(low, bid - bid * self.collar_ppm // PPM)
            return max(low, 1)
        high = up if self.mark else 1
        if ask <= self.px_max:
            high = max(high, ask + ask * self.collar_ppm // PPM)
        return min(high, self.px_max)

    def trigger_price(self, source: int) -> int:
        """Return where the price that triggers look at stands, in subticks; 0 = there is none."""
        if source == TriggerPrice.MARK:
            return self.mark
        if source == TriggerPrice.INDEX:
            return self.index_subticks
        return self.last * MARK_SUBTICKS

    def forget_extremes(self) -> None:
        """The way of the last price has been looked at: what counts from now on begins where it is."""
        self.last_high = self.last_low = self.last

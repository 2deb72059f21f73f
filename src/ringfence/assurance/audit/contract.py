"""One instrument as the auditor has heard of it: what was configured, and what has happened since."""

from heapq import heappop, heappush

from ringfence.messages.commands import ContractKind, InstrumentParameter, InstrumentState
from ringfence.units.limits import ORDERS_PER_POSITION_MAX

PARAMETERS = {
    InstrumentParameter.LOT_SIZE: "lot_size",
    InstrumentParameter.LOT_VALUE_FACTOR: "factor",
    InstrumentParameter.SETTLE_ASSET: "settle",
    InstrumentParameter.BASE_ASSET: "base",
    InstrumentParameter.PX_TICKS_MAX: "px_max",
    InstrumentParameter.QTY_MAX: "qty_max",
    InstrumentParameter.INITIAL_MARGIN_PPM: "initial_ppm",
    InstrumentParameter.MAINTENANCE_MARGIN_PPM: "maintenance_ppm",
    InstrumentParameter.RISK_LIMIT_BASE: "risk_base",
    InstrumentParameter.RISK_LIMIT_STEP: "risk_step",
    InstrumentParameter.MAKER_FEE_PPM: "maker_ppm",
    InstrumentParameter.TAKER_FEE_PPM: "taker_ppm",
    InstrumentParameter.COLLAR_PPM: "collar_ppm",
    InstrumentParameter.ORDERS_PER_ACCOUNT_MAX: "orders_max",
    InstrumentParameter.INDEX: "index",
    InstrumentParameter.INDEX_UNITS_PER_SUBTICK: "units_per_subtick",
    InstrumentParameter.FUNDING_INTERVAL_NS: "funding_interval_ns",
    InstrumentParameter.FUNDING_OFFSET_NS: "funding_offset_ns",
    InstrumentParameter.INTEREST_E8: "interest_e8",
    InstrumentParameter.IMPACT_VALUE: "impact_value",
    InstrumentParameter.EXPIRY_NS: "expiry_ns",
    InstrumentParameter.SETTLEMENT_FEE_PPM: "settlement_fee_ppm",
    InstrumentParameter.MARK_METHOD: "mark_method",
    InstrumentParameter.ADL_METHOD: "adl_method",
    InstrumentParameter.STOPS_PER_ACCOUNT_MAX: "stops_max",
    InstrumentParameter.LAST_BAND_PPM: "last_band_ppm",
}
"""Field of Contract, and of the engine's INSTRUMENT record, for each parameter."""


class Contract:
    """An instrument. Money in settlement units, prices in ticks or subticks as the names of events say."""

    def __init__(self, number: int, kind: int) -> None:
        self.number, self.kind = number, kind
        self.is_inverse = kind == ContractKind.INVERSE
        self.is_spot = kind == ContractKind.SPOT
        self.is_index = kind == ContractKind.INDEX
        self.lot_size = self.factor = self.settle = self.base = self.px_max = self.qty_max = 0
        self.initial_ppm = self.maintenance_ppm = self.risk_base = self.risk_step = 0
        self.maker_ppm = self.taker_ppm = self.collar_ppm = self.settlement_fee_ppm = 0
        self.orders_max = ORDERS_PER_POSITION_MAX
        self.index = self.impact_value = self.expiry_ns = self.mark_method = self.adl_method = 0
        self.units_per_subtick = 1
        self.funding_interval_ns = self.funding_offset_ns = self.interest_e8 = 0
        self.stops_max = self.last_band_ppm = 0
        # What has happened.
        self.state = self.listed = int(InstrumentState.UNLISTED)
        """As halts let it trade, and without them."""
        self.halted = self.skip_funding = 0
        self.mark = self.mark_lot_value = self.basis = self.marked_ns = 0
        self.index_px = self.index_subticks = 0
        self.last = self.volume = self.fee_pool = 0
        self.impact_bid = self.impact_ask = self.basis_e8 = 0
        self.funding_rate_e8 = self.next_funding_ns = self.premium_sum_e8 = self.premium_count = 0
        self.settle_sum = self.settle_count = 0
        self.net_qty = self.net_cost = 0
        """Sums over all positions: quantity, cost."""
        self.cleared = 0
        """What holders were paid in profit and funding since the beginning, in sum."""
        self.bids, self.asks = Side(is_sell=False), Side(is_sell=True)


class Side:
    """One side of a book: at each price in ticks the handles of its orders, in time priority.

    Hidden orders stand in queues of their own, behind everything displayed.
    """

    def __init__(self, *, is_sell: bool) -> None:
        self.queues: dict[int, dict[int, None]] = {}
        self.hidden: dict[int, dict[int, None]] = {}
        self._sign = 1 if is_sell else -1
        self._heap: list[int] = []
        """Prices, the best on top; those that are gone are passed over when they come up."""

    def best(self) -> int:
        """Return the best price, 0 = there is none."""
        heap = self._heap
        while heap:
            px = self._sign * heap[0]
            if px in self.queues or px in self.hidden:
                return px
            heappop(heap)
        return 0

    def add(self, px: int, handle: int, *, is_hidden: bool) -> None:
        queues = self.hidden if is_hidden else self.queues
        if px not in queues:
            queues[px] = {}
            heappush(self._heap, self._sign * px)
        queues[px][handle] = None

    def remove(self, px: int, handle: int, *, is_hidden: bool) -> None:
        queues = self.hidden if is_hidden else self.queues
        queue = queues[px]
        del queue[handle]
        if not queue:
            del queues[px]

"""Orders and executions: what they are while they live, and their rows on the wire.

Most executions report what became of an order; funding, settlement, liquidation and deleveraging move
positions and balances without one, and are `Movement`s.
"""

from typing import Any, NamedTuple

from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import lot_value
from ringfence.messages.commands import (
    Contingency,
    OrderFlag,
    OrderType,
    Peg,
    TriggerPrice,
    read_instructions,
)
from ringfence.messages.events import CancelReason
from ringfence.messages.identifiers import EXECUTION, TRADE, order_id, wire_id
from ringfence.messages.records import DISPLAY_ALL
from ringfence.units.rounding import PPM
from ringfence.units.time import iso

Row = dict[str, Any]

SHOW_ALL = -1
DEFAULT_TEXT = "Submitted via API."
LIQUIDATION_TEXT = "Liquidation"
"""Of the orders that the engine places itself, to reduce what cannot be held."""
NO_ORDER = "00000000-0000-0000-0000-000000000000"
TEXT_LENGTH_MAX = 1_000
CANCEL_TEXTS: dict[int, str] = {
    CancelReason.REQUESTED: "Canceled: Canceled via API.",
    CancelReason.CANCEL_ALL: "Canceled: Cancel all orders via API.",
    CancelReason.IMMEDIATE_OR_CANCEL: "Canceled: Order had timeInForce of ImmediateOrCancel",
    CancelReason.FILL_OR_KILL: "Canceled: Order had timeInForce of FillOrKill",
    CancelReason.POST_ONLY: "Canceled: Order had execInst of ParticipateDoNotInitiate",
    CancelReason.COLLAR: "Canceled: Order reached its execution price limit",
    CancelReason.SELF_TRADE: "Canceled: Order would have traded with the account's own order",
    CancelReason.TIMER: "Canceled: Cancel all orders by cancelAllAfter timer",
    CancelReason.DAY_ENDED: "Canceled: Order had timeInForce of Day",
    CancelReason.REDUCE_ONLY: "Canceled: Order had execInst of ReduceOnly",
    CancelReason.CLOSE: "Canceled: Another order with execInst of Close was placed",
    CancelReason.INSUFFICIENT_MARGIN: "Canceled: Account has insufficient Available Balance",
    CancelReason.INSTRUMENT_CLOSED: "Canceled: Market was closed",
    CancelReason.LIQUIDATION: "Canceled: Position in liquidation",
    CancelReason.LINKED: "Canceled: Linked order was filled, triggered or canceled",
    CancelReason.DELEVERAGED: "Canceled: Position was deleveraged",
    CancelReason.SETTLED: "Canceled: Instrument has settled",
    CancelReason.REFUSED: "Canceled: Order was refused when it was triggered",
}
assert set(CANCEL_TEXTS) == set(map(int, CancelReason))

_SELL, _IOC, _FOK, _DAY = (int(f) for f in (OrderFlag.SELL, OrderFlag.IOC, OrderFlag.FOK, OrderFlag.DAY))
_MARKET, _STOP, _LIMIT_IF_TOUCHED = map(int, (OrderType.MARKET, OrderType.STOP, OrderType.LIMIT_IF_TOUCHED))
ORDER_TYPES = {
    int(OrderType.LIMIT): "Limit", int(OrderType.MARKET): "Market", int(OrderType.STOP): "Stop",
    int(OrderType.STOP_LIMIT): "StopLimit", int(OrderType.MARKET_IF_TOUCHED): "MarketIfTouched",
    int(OrderType.LIMIT_IF_TOUCHED): "LimitIfTouched", int(OrderType.PEGGED): "Pegged",
}  # fmt: skip
PEGS = {
    int(Peg.PRIMARY): "PrimaryPeg", int(Peg.MARKET): "MarketPeg", int(Peg.TRAILING): "TrailingStopPeg",
}  # fmt: skip
CONTINGENCIES = {
    int(Contingency.ONE_CANCELS_THE_OTHER): "OneCancelsTheOther",
    int(Contingency.ONE_TRIGGERS_THE_OTHER): "OneTriggersTheOther",
}
TRIGGERS = {
    int(TriggerPrice.MARK): "MarkPrice", int(TriggerPrice.LAST): "LastPrice", int(TriggerPrice.INDEX): "IndexPrice",
}  # fmt: skip
LAST_WITHIN_MARK, FIXED = "LastWithinMark", "Fixed"
TRIGGERED = "StopOrderTriggered"
_MARKET_TYPES = frozenset(map(int, (OrderType.MARKET, OrderType.STOP, OrderType.MARKET_IF_TOUCHED)))
_PEGGED = int(OrderType.PEGGED)
_EXEC_INST = [
    (int(OrderFlag.POST_ONLY), "ParticipateDoNotInitiate"), (int(OrderFlag.REDUCE_ONLY), "ReduceOnly"),
    (int(OrderFlag.CLOSE), "Close"),
]  # fmt: skip
_ANY_EXEC_INST = sum(bit for bit, _ in _EXEC_INST)


def time_in_force(flags: int, ordtype: int) -> str:
    if flags & _FOK:
        return "FillOrKill"
    if flags & _DAY:
        return "Day"
    return "ImmediateOrCancel" if flags & _IOC or ordtype in _MARKET_TYPES else "GoodTillCancel"


def exec_inst(flags: int, ordtype: int, condition: "Condition | None") -> str | None:
    words = [name for bit, name in _EXEC_INST if flags & bit]
    if condition is not None:
        if _STOP <= ordtype <= _LIMIT_IF_TOUCHED:
            words.append(TRIGGERS[condition.trigger])
        if condition.within_mark:
            words.append(LAST_WITHIN_MARK)
        if ordtype == _PEGGED:
            words.append(FIXED)
    return ",".join(words) or None


class Condition(NamedTuple):
    """When and where an order that is triggered, pegged or linked enters the market. Prices in ticks.

    A plain order has none, so that the many do not pay for the few.
    """

    stop_px: int
    trigger: int
    peg: int
    peg_offset: int
    contingency: int
    within_mark: bool
    link: str | None
    """Its clOrdLinkID."""
    is_untriggered: bool
    triggered: str | None = None


def condition_of(
    word: int, *, stop_px: int, peg_offset: int, link: str | None, is_untriggered: bool
) -> Condition:
    """Return the condition of a new order from its command's instructions and what was said of it.

    An untriggered order's stop price and offset are the event's: a trailing stop may come without a price.
    """
    trigger, peg, offset, contingency, within_mark = read_instructions(word)
    return Condition(
        stop_px, trigger, peg, peg_offset if is_untriggered else offset, contingency, within_mark, link, is_untriggered
    )  # fmt: skip


class OrderState(NamedTuple):
    """What changes about an order, at one moment: with the order itself it makes a row."""

    clordid: str | None
    qty: int
    px: int
    status: str
    leaves: int
    cum_qty: int
    px_value: float
    text: str
    transact_ns: int
    timestamp_ns: int
    condition: Condition | None


class Order:
    """One order. `leaves` is open quantity, `shown` the part that others can see."""

    __slots__ = (
        "account", "clordid", "condition", "cum_qty", "display", "flags", "handle", "in_book", "instrument",
        "is_new", "is_sell", "leaves", "lot_value", "number", "order_id", "ordtype", "px", "px_value", "qty",
        "sequence", "shown", "status", "text", "timestamp_ns", "transact_ns",
    )  # fmt: skip

    def __init__(
        self, *, instrument: Instrument, sequence: int, handle: int, account: int, flags: int, ordtype: int,
        px: int, qty: int, display: int, clordid: str | None, text: str, timestamp_ns: int, number: int,
        condition: Condition | None = None,
    ) -> None:  # fmt: skip
        """`number` is that of the event that accepted it: unlike `sequence` it is no other order's."""
        self.instrument, self.number, self.condition = instrument, number, condition
        self.sequence, self.handle, self.account = sequence, handle, account
        self.order_id = order_id(sequence, handle)
        self.flags, self.ordtype = flags, ordtype
        self.is_sell = bool(flags & _SELL)
        self.px, self.qty = px, qty
        self.lot_value = lot_value(instrument, px) if px else 0
        self.display = SHOW_ALL if display == DISPLAY_ALL else display
        self.clordid, self.text = clordid, text
        self.leaves, self.cum_qty = qty, 0
        self.px_value = 0.0
        self.shown = 0
        self.in_book = False
        self.is_new = True
        self.status = "New"
        self.timestamp_ns = self.transact_ns = timestamp_ns

    @property
    def is_open(self) -> bool:
        return self.leaves > 0

    @property
    def is_untriggered(self) -> bool:
        """Return whether it waits for a price or for another order, in no book and without margin."""
        return self.condition is not None and self.condition.is_untriggered

    @property
    def open_value(self) -> int:
        """Exposure of what is open, in settlement units."""
        return self.leaves // self.instrument.lot_size * self.lot_value

    def show_slice(self) -> None:
        """Enter the queue: a fresh slice of an iceberg is displayed."""
        self.shown = self.leaves if self.display == SHOW_ALL else min(self.display, self.leaves)

    def fill(self, qty: int, px: int, *, was_hidden: bool) -> None:
        self.leaves -= qty
        self.cum_qty += qty
        self.px_value += qty / px if self.instrument.is_inverse else qty * px
        self.status = "Filled" if self.leaves == 0 else "PartiallyFilled"
        if self.display == SHOW_ALL or was_hidden:
            self.show_slice()
        else:
            self.shown -= qty
            if self.shown <= 0:
                self.show_slice()

    def add_text(self, line: str) -> None:
        """Put a line above the others, unless it stands there already; the oldest words fall off.

        A maker's order is amended thousands of times, and every report of it is a row for ever.
        """
        if self.text != line and not self.text.startswith(f"{line}\n"):
            self.text = (f"{line}\n{self.text}" if self.text else line)[:TEXT_LENGTH_MAX]

    def liquidation_row(self) -> Row:
        """Return the public row of an open order of the insurance account."""
        return {
            "orderID": self.order_id,
            "symbol": self.instrument.symbol,
            "side": "Sell" if self.is_sell else "Buy",
            "price": self.instrument.price(self.px),
            "leavesQty": self.leaves,
        }

    def state(self) -> OrderState:
        return OrderState(
            self.clordid, self.qty, self.px, self.status, self.leaves, self.cum_qty, self.px_value, self.text,
            self.transact_ns, self.timestamp_ns, self.condition,
        )  # fmt: skip

    def row(self, state: OrderState | None = None) -> Row:
        """Return the wire row, of now or of an earlier moment."""
        of, now = self.instrument, self if state is None else state
        condition = now.condition
        row: Row = {
            "orderID": self.order_id,
            "clOrdID": now.clordid,
            "clOrdLinkID": None,
            "account": self.account,
            "symbol": of.symbol,
            "side": "Sell" if self.is_sell else "Buy",
            "orderQty": now.qty or None,
            "price": of.price(now.px) if now.px else None,
            "displayQty": None if self.display == SHOW_ALL else self.display,
            "stopPx": None,
            "pegOffsetValue": None,
            "pegPriceType": None,
            "currency": of.quote_currency,
            "settlCurrency": of.settle.currency,
            "ordType": ORDER_TYPES[self.ordtype],
            "timeInForce": time_in_force(self.flags, self.ordtype),
            "execInst": exec_inst(self.flags, self.ordtype, condition)
            if self.flags & _ANY_EXEC_INST or condition is not None
            else None,
            "contingencyType": None,
            "ordStatus": now.status,
            "triggered": None,
            "workingIndicator": now.leaves > 0,
            "ordRejReason": None,
            "leavesQty": now.leaves,
            "cumQty": now.cum_qty,
            "avgPx": average_price(of, now.cum_qty, now.px_value),
            "text": now.text,
            "transactTime": iso(now.transact_ns),
            "timestamp": iso(now.timestamp_ns),
        }
        if condition is not None:
            self._add_condition(row, condition)
        return row

    def _add_condition(self, row: Row, condition: Condition) -> None:
        of = self.instrument
        row["clOrdLinkID"] = condition.link
        row["contingencyType"] = CONTINGENCIES.get(condition.contingency)
        row["stopPx"] = of.price(condition.stop_px) if condition.stop_px else None
        if condition.peg:
            row["pegPriceType"] = PEGS[condition.peg]
            row["pegOffsetValue"] = of.price(condition.peg_offset)
        row["triggered"] = condition.triggered
        row["workingIndicator"] = row["workingIndicator"] and not condition.is_untriggered


def average_price(of: Instrument, cum_qty: int, px_value: float) -> float | None:
    """Return the average fill price. For display only."""
    if not cum_qty:
        return None
    ticks = cum_qty / px_value if of.is_inverse else px_value / cum_qty
    return round(float(ticks * of.tick_units / 10**of.tick_decimals), 4)


class Execution:
    """One execution report: an order at one moment, and what happened then."""

    __slots__ = (
        "commission_ppm", "cost", "fee", "is_maker", "kind", "number", "order", "px", "qty", "state",
    )  # fmt: skip

    def __init__(
        self, order: Order, *, number: int, kind: str, qty: int = 0, px: int = 0, cost: int = 0, fee: int = 0,
        commission_ppm: int = 0, is_maker: bool = False,
    ) -> None:  # fmt: skip
        """`number` is the event's, for ever; a trade says the rest of the fill too."""
        self.order, self.state = order, order.state()
        self.number, self.kind = number, kind
        self.qty, self.px, self.cost, self.fee = qty, px, cost, fee
        self.commission_ppm, self.is_maker = commission_ppm, is_maker

    @property
    def side_index(self) -> int:
        """Tells the two reports of one trade apart: 0 the taker's, 1 the maker's."""
        return int(self.is_maker)

    @property
    def account(self) -> int:
        return self.order.account

    @property
    def instrument(self) -> Instrument:
        return self.order.instrument

    @property
    def execution_id(self) -> str:
        return wire_id(EXECUTION, self.number, self.side_index)

    def row(self) -> Row:
        of, is_trade = self.order.instrument, self.kind == "Trade"
        row: Row = {"execID": self.execution_id, **self.order.row(self.state)}
        home, foreign = notionals(of, self.qty, self.px, self.order.is_sell)
        liquidity = "AddedLiquidity" if self.is_maker else "RemovedLiquidity"
        row.update(
            lastQty=self.qty if is_trade else None,
            lastPx=of.price(self.px) if is_trade else None,
            lastLiquidityInd=liquidity if is_trade else None,
            execType=self.kind,
            commission=self.commission_ppm / PPM if is_trade else None,
            feeType=("Maker" if self.is_maker else "Taker") if is_trade else None,
            tradePublishIndicator=("DoNotPublishTrade" if self.is_maker else "PublishTrade")
            if is_trade
            else None,
            trdMatchID=trade_id(self.number) if is_trade else None,
            execCost=self.cost if is_trade else None,
            execComm=self.fee if is_trade else None,
            homeNotional=home if is_trade else None,
            foreignNotional=foreign if is_trade else None,
        )
        return row


class Movement(NamedTuple):
    """An execution without an order: a position or a balance was moved by the rules.

    Prices are in subticks, amounts in settlement units; `qty` is what the wire's lastQty says. `fee` is
    what was paid, `commission` its rate: for funding the funding rate.
    """

    instrument: Instrument
    number: int
    account: int
    kind: str
    """Funding, Settlement or Liquidation."""
    text: str
    is_sell: bool | None
    qty: int
    subticks: int
    cost: int
    fee: int
    commission: float
    timestamp_ns: int

    @property
    def side_index(self) -> int:
        return 0

    @property
    def execution_id(self) -> str:
        return wire_id(EXECUTION, self.number)

    def row(self) -> Row:
        of, price = self.instrument, self.instrument.mark_price(self.subticks)
        moved = self.is_sell is not None
        home, foreign = (
            notionals_at(of, -self.qty if self.is_sell else self.qty, price) if moved else (None, None)
        )
        stamp = iso(self.timestamp_ns)
        return {
            "execID": self.execution_id,
            "orderID": NO_ORDER,
            "clOrdID": None,
            "clOrdLinkID": None,
            "account": self.account,
            "symbol": of.symbol,
            "side": None if self.is_sell is None else "Sell" if self.is_sell else "Buy",
            "orderQty": self.qty,
            "price": price,
            "displayQty": None,
            "stopPx": None,
            "pegOffsetValue": None,
            "pegPriceType": None,
            "currency": of.quote_currency,
            "settlCurrency": of.settle.currency,
            "ordType": "Limit",
            "timeInForce": "ImmediateOrCancel" if self.kind == "Liquidation" else "AtTheClose",
            "execInst": None,
            "contingencyType": None,
            "ordStatus": "Filled",
            "triggered": None,
            "workingIndicator": False,
            "ordRejReason": None,
            "leavesQty": 0,
            "cumQty": self.qty,
            "avgPx": price,
            "text": self.text,
            "transactTime": stamp,
            "timestamp": stamp,
            "lastQty": self.qty,
            "lastPx": price,
            "lastLiquidityInd": None,
            "execType": self.kind,
            "commission": self.commission,
            "feeType": self.kind if self.fee else None,
            "tradePublishIndicator": "DoNotPublishTrade",
            "trdMatchID": trade_id(self.number),
            "execCost": self.cost,
            "execComm": self.fee,
            "homeNotional": home,
            "foreignNotional": foreign,
        }


def trade_id(number: int) -> str:
    return wire_id(TRADE, number)


def notionals(of: Instrument, qty: int, px_ticks: int, is_sell: bool) -> tuple[float, float]:
    """Return (size in the base currency, size in the quote currency), signed: a buy's home is positive."""
    price = of.price(px_ticks)
    return notionals_at(of, -qty if is_sell else qty, price)


def notionals_at(of: Instrument, signed_qty: int, price: float) -> tuple[float, float]:
    """Return signed (home, foreign) notional of contracts at a price. For display only."""
    if not signed_qty or not price:
        return 0.0, 0.0
    if of.is_inverse:
        home, foreign = signed_qty / price, -float(signed_qty)
    elif of.is_quanto:
        home = float(signed_qty)
        foreign = -signed_qty * price
    else:
        per_contract = 1 / (of.underlying_to_position or 1)
        home, foreign = signed_qty * per_contract, -signed_qty * per_contract * price
    return round(home, 8), round(foreign, 8)

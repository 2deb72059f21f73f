"""Executions and refusals in FIX's words. Prices are exact decimals, made of ticks; AvgPx alone is an average."""

from decimal import Decimal

from ringfence.exchange.fix.dictionary import Tag
from ringfence.exchange.fix.entry import TIMES, TYPES
from ringfence.exchange.fix.message import time_text
from ringfence.exchange.fix.store import Asked
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.projections import Execution, Order
from ringfence.exchange.projections.orders import (
    ORDER_TYPES,
    Movement,
    OrderState,
    average_price,
    time_in_force,
    trade_id,
)
from ringfence.instruments.specification import Instrument
from ringfence.messages.commands import OrderFlag
from ringfence.messages.rejects import TEXTS, Reject

Pairs = list[tuple[int, str]]
NONE = "NONE"
"""OrderID of an order that there is not."""
_STATUSES = {"New": "0", "PartiallyFilled": "1", "Filled": "2", "Canceled": "4"}
_KINDS = {
    "New": "0", "Trade": "F", "Canceled": "4", "Replaced": "5", "TriggeredOrActivatedBySystem": "L",
    "Liquidation": "F", "Settlement": "F",
}  # fmt: skip
REJECTED, STATUS = "8", "I"
# FIX 4.4 has no limit-if-touched; like a stop limit it waits for a price and then has a limit.
_TYPES = {name: code for code, name in TYPES.items()} | {"LimitIfTouched": "4", "Pegged": "P"}
_TIMES = {name: code for code, name in TIMES.items()}
_ORD_REJ_REASONS = {
    Reject.INVALID_SYMBOL: "1", Reject.MARKET_NOT_OPEN: "2", Reject.VENUE_HALTED: "2", Reject.CANCEL_ONLY: "2",
    Reject.INSUFFICIENT_BALANCE: "3", Reject.RISK_LIMIT: "3", Reject.TOO_MANY_ORDERS: "3", Reject.TOO_MANY_STOPS: "3",
    Reject.DUPLICATE_CLORDID: "6", Reject.INVALID_ORDER_QTY: "13", Reject.INVALID_ACCOUNT: "15",
}  # fmt: skip
_TEXTS = {text: reject for reject, text in TEXTS.items() if "{" not in text}
_OTHER, DUPLICATE, UNKNOWN, TOO_LATE = "99", "6", "1", "0"
UNKNOWN_ORDER = "5"


def plain(value: Decimal) -> str:
    """Return a decimal as digits, without an exponent or zeros at its end."""
    return f"{value.normalize():f}"


def price_text(of: Instrument, ticks: int) -> str:
    return plain(Decimal(ticks * of.tick_units).scaleb(-of.tick_decimals))


def average_text(of: Instrument, state: OrderState | Order) -> str:
    average = average_price(of, state.cum_qty, state.px_value)
    return "0" if average is None else plain(Decimal(repr(average)))


def order_fields(order: Order, state: OrderState) -> Pairs:
    """Return what an order is at a moment."""
    of = order.instrument
    fields: Pairs = [
        (Tag.ORDER_ID, order.order_id), (Tag.ORD_STATUS, _STATUSES[state.status]), (Tag.ACCOUNT, str(order.account)),
        (Tag.SYMBOL, of.symbol), (Tag.SIDE, "2" if order.is_sell else "1"), (Tag.ORDER_QTY, str(state.qty)),
        (Tag.ORD_TYPE, _TYPES[ORDER_TYPES[order.ordtype]]),
        (Tag.TIME_IN_FORCE, _TIMES[time_in_force(order.flags, order.ordtype)]),
        (Tag.LEAVES_QTY, str(state.leaves)), (Tag.CUM_QTY, str(state.cum_qty)),
        (Tag.AVG_PX, average_text(of, state)), (Tag.TRANSACT_TIME, time_text(state.transact_ns)),
    ]  # fmt: skip
    if state.px:
        fields.append((Tag.PRICE, price_text(of, state.px)))
    condition = state.condition
    if condition is not None:
        if condition.stop_px:
            fields.append((Tag.STOP_PX, price_text(of, condition.stop_px)))
        fields.append((Tag.WORKING, "N" if condition.is_untriggered or not state.leaves else "Y"))
    words = [
        word for bit, word in ((OrderFlag.POST_ONLY, "6"), (OrderFlag.REDUCE_ONLY, "E")) if order.flags & bit
    ]
    if words:
        fields.append((Tag.EXEC_INST, " ".join(words)))
    if order.display >= 0:
        fields.append((Tag.MAX_FLOOR, str(order.display)))
    if state.text:
        fields.append((Tag.TEXT, state.text))
    return fields


def of_execution(execution: Execution, asked: Asked | None, *, is_copy: bool) -> Pairs:
    """Return an ExecutionReport. `asked` is the request that brought it about, if that was a cancel or replace."""
    order, state = execution.order, execution.state
    clordid, orig = state.clordid or "", ""
    if asked is not None:
        clordid, orig = asked.clordid, asked.orig
    fields = [(int(Tag.EXEC_ID), execution.execution_id), (int(Tag.EXEC_TYPE), _KINDS[execution.kind])]
    if clordid:
        fields.append((Tag.CLORDID, clordid))
    if orig:
        fields.append((Tag.ORIG_CLORDID, orig))
    fields += order_fields(order, state)
    if execution.kind == "Trade":
        fields += [
            (Tag.LAST_QTY, str(execution.qty)), (Tag.LAST_PX, price_text(order.instrument, execution.px)),
            (Tag.LAST_LIQUIDITY, "1" if execution.is_maker else "2"),
            (Tag.SECONDARY_EXEC_ID, trade_id(execution.number)), (Tag.COMMISSION, str(execution.fee)),
            (Tag.COMM_TYPE, "3"), (Tag.COMM_CURRENCY, order.instrument.settle.currency),
        ]  # fmt: skip
    if is_copy:
        fields += [(Tag.COPY_MSG, "Y"), (Tag.EXEC_KIND, execution.kind)]
    return fields


def of_movement(moved: Movement) -> Pairs:
    """Return the ExecutionReport of a liquidation or a settlement: a fill without an order."""
    of = moved.instrument
    price = of.mark_text(moved.subticks)
    return [
        (Tag.EXEC_ID, moved.execution_id), (Tag.EXEC_TYPE, _KINDS[moved.kind]), (Tag.ORDER_ID, NONE),
        (Tag.ORD_STATUS, "2"), (Tag.ACCOUNT, str(moved.account)), (Tag.SYMBOL, of.symbol),
        (Tag.SIDE, "2" if moved.is_sell else "1"), (Tag.ORDER_QTY, str(moved.qty)), (Tag.LEAVES_QTY, "0"),
        (Tag.CUM_QTY, str(moved.qty)), (Tag.AVG_PX, price), (Tag.LAST_QTY, str(moved.qty)), (Tag.LAST_PX, price),
        (Tag.SECONDARY_EXEC_ID, trade_id(moved.number)), (Tag.COMMISSION, str(moved.fee)), (Tag.COMM_TYPE, "3"),
        (Tag.COMM_CURRENCY, of.settle.currency), (Tag.TRANSACT_TIME, time_text(moved.timestamp_ns)),
        (Tag.TEXT, moved.text), (Tag.COPY_MSG, "Y"), (Tag.EXEC_KIND, moved.kind),
    ]  # fmt: skip


def of_status(order: Order, clordid: str) -> Pairs:
    """Return the ExecutionReport of an open order that was asked for; nothing happened to it."""
    return [
        (Tag.EXEC_ID, "0"), (Tag.EXEC_TYPE, STATUS), (Tag.CLORDID, order.clordid or clordid),
        *order_fields(order, order.state()),
    ]  # fmt: skip


_OF_THE_FILL = {
    Tag.LAST_QTY, Tag.LAST_PX, Tag.LAST_LIQUIDITY, Tag.SECONDARY_EXEC_ID, Tag.COMMISSION, Tag.COMM_TYPE,
    Tag.COMM_CURRENCY,
}  # fmt: skip


def of_last(fields: Pairs) -> Pairs:
    """Return a report again as an answer to who asks for the state of an order that is over."""
    changed = {int(Tag.EXEC_ID): "0", int(Tag.EXEC_TYPE): STATUS}
    return [(tag, changed.get(tag, value)) for tag, value in fields if tag not in _OF_THE_FILL]


def of_refusal(asked: Asked, refused: Refused, reject: Reject | None, sent_ns: int) -> Pairs:
    """Return the ExecutionReport of an order that was not taken. Nothing was done."""
    reject = _TEXTS.get(refused.message) if reject is None else reject
    reason = _OTHER if reject is None else _ORD_REJ_REASONS.get(reject, _OTHER)
    return [
        (Tag.ORDER_ID, NONE), (Tag.EXEC_ID, f"R{asked.token}"), (Tag.EXEC_TYPE, REJECTED), (Tag.ORD_STATUS, REJECTED),
        (Tag.CLORDID, asked.clordid), (Tag.SYMBOL, asked.symbol), (Tag.SIDE, asked.side),
        (Tag.ORDER_QTY, asked.qty), (Tag.LEAVES_QTY, "0"), (Tag.CUM_QTY, "0"), (Tag.AVG_PX, "0"),
        (Tag.TRANSACT_TIME, time_text(sent_ns)), (Tag.ORD_REJ_REASON, reason), (Tag.TEXT, refused.message),
        (Tag.HTTP_STATUS, str(refused.status)),
    ]  # fmt: skip


def of_unknown(asked: Asked, sent_ns: int) -> Pairs:
    """Return the ExecutionReport of an order that was asked for and that there is not."""
    return [
        (Tag.ORDER_ID, NONE), (Tag.EXEC_ID, "0"), (Tag.EXEC_TYPE, STATUS), (Tag.ORD_STATUS, REJECTED),
        (Tag.CLORDID, asked.clordid), (Tag.SYMBOL, asked.symbol), (Tag.SIDE, asked.side), (Tag.ORDER_QTY, "0"),
        (Tag.LEAVES_QTY, "0"), (Tag.CUM_QTY, "0"), (Tag.AVG_PX, "0"), (Tag.TRANSACT_TIME, time_text(sent_ns)),
        (Tag.ORD_REJ_REASON, UNKNOWN_ORDER), (Tag.TEXT, "Not Found"),
    ]  # fmt: skip


def of_cancel_refusal(
    asked: Asked,
    refused: Refused,
    reject: Reject | None,
    order: Order | None,
    *,
    was_known: bool,
    is_replace: bool,
) -> Pairs:
    """Return the OrderCancelReject of a cancel or a replace. The order is what it was."""
    reject = _TEXTS.get(refused.message) if reject is None else reject
    if reject == Reject.DUPLICATE_CLORDID:
        reason = DUPLICATE
    elif order is None and (refused.status == 404 or reject == Reject.UNKNOWN_ORDER):
        reason = TOO_LATE if was_known else UNKNOWN
    else:
        reason = _OTHER
    return [
        (Tag.ORDER_ID, order.order_id if order else asked.order_id or NONE), (Tag.CLORDID, asked.clordid),
        (Tag.ORIG_CLORDID, asked.orig), (Tag.ORD_STATUS, _STATUSES[order.status] if order else REJECTED),
        (Tag.CXL_REJ_RESPONSE_TO, "2" if is_replace else "1"), (Tag.CXL_REJ_REASON, reason),
        (Tag.TEXT, refused.message), (Tag.HTTP_STATUS, str(refused.status)),
    ]  # fmt: skip


def of_mass_cancel(asked: Asked, cancelled: int, refused: Refused | None) -> Pairs:
    """Return the OrderMassCancelReport."""
    fields: Pairs = [
        (Tag.CLORDID, asked.clordid), (Tag.ORDER_ID, f"M{asked.token}"), (Tag.MASS_CANCEL_TYPE, asked.extra),
        (Tag.MASS_CANCEL_RESPONSE, "0" if refused else asked.extra), (Tag.TOTAL_AFFECTED, str(cancelled)),
    ]  # fmt: skip
    if asked.symbol:
        fields.append((Tag.SYMBOL, asked.symbol))
    if refused is not None:
        fields += [
            (Tag.MASS_CANCEL_REJECT_REASON, _OTHER), (Tag.TEXT, refused.message),
            (Tag.HTTP_STATUS, str(refused.status)),
        ]  # fmt: skip
    return fields

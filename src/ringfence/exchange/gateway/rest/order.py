"""/order: place, amend, cancel, list."""

from collections.abc import Sequence
from typing import Any

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.desk import Desk
from ringfence.exchange.gateway.errors import Refused, invalid, not_found, of_reject
from ringfence.exchange.gateway.parameters import Parameters
from ringfence.exchange.gateway.pending import DoneEach, Outcome
from ringfence.exchange.gateway.rest.query import OPEN_STATES, required_market, table_query
from ringfence.exchange.gateway.rest.route import (
    LATER,
    SYMBOL,
    TABLE_PARAMETERS,
    Request,
    optional,
    required,
    route,
)
from ringfence.exchange.gateway.values import client_order_id
from ringfence.exchange.projections import Order, Result
from ringfence.exchange.projections.history import Query
from ringfence.exchange.users.keys import Permission
from ringfence.messages.commands import Command, OrderFlag
from ringfence.messages.identifiers import parse_wire_id
from ringfence.messages.rejects import Reject
from ringfence.units.time import NS_PER_MS, iso

Row = dict[str, Any]
BULK_MAX = 100

PLACE_PARAMETERS = (
    required("symbol"), optional("side", description="Buy or Sell; a negative orderQty sells too."),
    optional("orderQty", "number"), optional("price", "number"), optional("displayQty", "number"),
    optional("stopPx", "number", "What triggers a Stop, StopLimit, MarketIfTouched or LimitIfTouched."),
    optional("clOrdID", description="Yours, at most 36 characters, unique while open."),
    optional("clOrdLinkID", description="Orders of one symbol with the same text are linked; see contingencyType."),
    optional("pegOffsetValue", "number", "Distance of a trailing stop or a pegged order, with its sign."),
    optional("pegPriceType", description="TrailingStopPeg, PrimaryPeg or MarketPeg."),
    optional("ordType", description="Limit, Market, Stop, StopLimit, MarketIfTouched, LimitIfTouched, Pegged."),
    optional("timeInForce"),
    optional("execInst", description="ParticipateDoNotInitiate, ReduceOnly, Close, Fixed, LastWithinMark, and one of "
             "MarkPrice, LastPrice, IndexPrice."),
    optional("contingencyType", description="OneCancelsTheOther or OneTriggersTheOther, with a clOrdLinkID."),
    optional("text"),
)  # fmt: skip
AMEND_PARAMETERS = (
    optional("orderID"), optional("origClOrdID"), optional("clOrdID"), optional("orderQty", "number"),
    optional("leavesQty", "number"), optional("price", "number"), optional("stopPx", "number"),
    optional("pegOffsetValue", "number"), optional("text"),
)  # fmt: skip


# ---- place


def sheds(parameters: Parameters) -> bool:
    """Return whether an order may be turned away under load: all but a Close of the whole position and reduce-only."""
    words = str(parameters.get("execInst") or "")
    return "ReduceOnly" not in words and (
        "Close" not in words or read.given(parameters, "orderQty") is not None
    )


def check_place(desk: Desk, account: int, asked: Sequence[Parameters]) -> None:
    """Raise Refused if orders cannot be taken now."""
    shed = sum(map(sheds, asked))
    if shed:
        desk.check_room(account, commands=shed)
    else:
        desk.check_open()


@route(
    "POST", "/order", "Order.new", *PLACE_PARAMETERS, returns="Order", permission=Permission.ORDER,
    moves_orders=True,
)  # fmt: skip
def new(request: Request) -> object:
    """Create a new order."""
    desk = request.gateway.desk
    check_place(desk, request.account, (request.parameters,))
    token = desk.token()
    command = commands.place(desk.views, request.account, request.parameters, token)
    return request.carry_out(token, command, _first_row)


def _first_row(result: Result) -> Row:
    return result.orders[0].row()


@route(
    "POST", "/order/bulk", "Order.newBulk", required("orders", "JSON"), returns="Order[]",
    permission=Permission.ORDER, moves_orders=True,
)  # fmt: skip
def new_bulk(request: Request) -> object:
    """Create several orders; none is placed if one of them is malformed."""
    desk = request.gateway.desk
    asked = _bulk(request.parameters)
    check_place(desk, request.account, asked)
    sent = []
    for parameters in asked:
        token = desk.token()
        sent.append((token, commands.place(desk.views, request.account, parameters, token)))
    desk.submit(sent, _bulk_answer(request, asked), is_here=request.is_here)
    return LATER


def _bulk(parameters: Parameters) -> list[Parameters]:
    asked = read.json_value(parameters, "orders")
    if not isinstance(asked, list) or not asked or not all(isinstance(item, dict) for item in asked):
        raise invalid("orders is invalid: a list of orders is expected")
    if len(asked) > BULK_MAX:
        raise invalid(f"orders is invalid: at most {BULK_MAX} orders")
    return asked


def _bulk_answer(request: Request, asked: list[Parameters]) -> DoneEach:
    return lambda outcome: _answer_bulk(request, asked, outcome)


def _answer_bulk(request: Request, asked: list[Parameters], outcome: Sequence[Outcome] | Refused) -> None:
    """Each order's row; one that was refused or shed is a row with ordStatus Rejected and why."""
    if isinstance(outcome, Refused):
        request.refuse(outcome)
        return
    rows = []
    for parameters, result in zip(asked, outcome, strict=False):
        if isinstance(result, Result) and result.refusal is None:
            rows.append(result.orders[0].row())
        else:
            refused = request.gateway.refusal_of(result) if isinstance(result, Result) else result
            why = refused.message
            known = {
                name: parameters.get(name) for name in ("symbol", "clOrdID", "orderQty", "price", "side")
            }
            rows.append({**known, "account": request.account, "ordStatus": "Rejected", "ordRejReason": why})
    request.answer(rows)


# ---- amend


@route(
    "PUT", "/order", "Order.amend", *AMEND_PARAMETERS, returns="Order", permission=Permission.ORDER,
    moves_orders=True,
)  # fmt: skip
def amend(request: Request) -> object:
    """Amend the quantity or price of an open order, the stop price or offset of an untriggered one."""
    desk = request.gateway.desk
    desk.check_room(request.account)
    order_id, clordid = _named(request.parameters)
    order = commands.find_open(desk.views, request.account, order_id=order_id, clordid=clordid)
    if order is None:
        return _refuse_amend(request, order_id, clordid)
    token = desk.token()
    command = _amend_command(request, request.parameters, order, token)
    return request.carry_out(token, command, _first_row)


def _amend_command(request: Request, parameters: Parameters, order: Order, token: int) -> bytes:
    market = request.gateway.desk.views.markets[order.instrument.number]
    return commands.amend(order, request.account, parameters, market, token)


def _named(parameters: Parameters) -> tuple[str | None, str | None]:
    order_id = read.text(parameters, "orderID")
    clordid = client_order_id(parameters, "origClOrdID")
    if order_id is None and clordid is None:
        raise invalid("orderID or origClOrdID is required")
    return order_id, clordid


async def _refuse_amend(request: Request, order_id: str | None, clordid: str | None) -> object:
    """Tell an order that is over from one that never was; clients match the first text exactly."""
    rows = await _closed(request, [order_id] if order_id else [], [clordid] if clordid else [])
    if rows:
        raise Refused(400, "Invalid ordStatus")
    raise invalid("Invalid orderID" if order_id is not None else "Invalid origClOrdID")


@route(
    "PUT", "/order/bulk", "Order.amendBulk", required("orders", "JSON"), returns="Order[]",
    permission=Permission.ORDER, moves_orders=True,
)  # fmt: skip
def amend_bulk(request: Request) -> object:
    """Amend several orders; none is amended if one of them is malformed or not open."""
    desk = request.gateway.desk
    asked, sent = _bulk(request.parameters), []
    desk.check_room(request.account, commands=len(asked))
    for parameters in asked:
        order_id, clordid = _named(parameters)
        order = commands.find_open(desk.views, request.account, order_id=order_id, clordid=clordid)
        if order is None:
            raise Refused(400, "Invalid ordStatus")
        token = desk.token()
        sent.append((token, _amend_command(request, parameters, order, token)))
    desk.submit(sent, _bulk_answer(request, asked), is_here=request.is_here)
    return LATER


# ---- cancel


@route(
    "DELETE", "/order", "Order.cancel", optional("orderID", "JSON"), optional("clOrdID", "JSON"), optional("text"),
    returns="Order[]", permission=Permission.ORDER_CANCEL, moves_orders=True,
)  # fmt: skip
def cancel(request: Request) -> object:
    """Cancel orders by orderID or clOrdID, one or many."""
    desk, parameters = request.gateway.desk, request.parameters
    desk.check_open()
    order_ids, clordids = read.texts(parameters, "orderID"), read.texts(parameters, "clOrdID")
    if not order_ids and not clordids:
        raise invalid("orderID or clOrdID is required")
    words = read.text(parameters, "text", length_max=200)
    sent: list[tuple[int, bytes]] = []
    names: dict[int, tuple[str | None, str | None]] = {}
    for order_id, clordid in [*((i, None) for i in order_ids), *((None, c) for c in clordids)]:
        token = desk.token()
        command = commands.cancel(request.account, words, token, order_id=order_id, clordid=clordid)
        if command is not None:
            names[token] = (order_id, clordid)
            sent.append((token, command))
    if not sent:
        raise not_found()
    desk.submit(sent, lambda outcome: _answer_cancel(request, names, outcome), is_here=request.is_here)
    return LATER


def _answer_cancel(
    request: Request, names: dict[int, tuple[str | None, str | None]], outcome: Sequence[Result] | Refused
) -> None:
    if isinstance(outcome, Refused):
        request.refuse(outcome)
        return
    rows = [order.row() for result in outcome for order in result.orders]
    missed = [names[result.request] for result in outcome if result.refusal is not None]
    halted = [result for result in outcome if result.refusal and result.refusal.reject == Reject.VENUE_HALTED]
    if not missed:
        request.answer(rows)
    elif halted and not rows:
        request.refuse(request.gateway.refusal_of(halted[0]))
    else:
        request.gateway.run(request.answer_when(_with_closed(request, rows, missed)))


async def _with_closed(
    request: Request, rows: list[Row], missed: list[tuple[str | None, str | None]]
) -> list[Row]:
    """Add the rows of orders that were over already, each with the error that clients look for.

    An order that went with another of the same request, because they are linked, is there already.
    """
    gone = {row[name] for row in rows for name in ("orderID", "clOrdID")}
    missed = [names for names in missed if gone.isdisjoint(filter(None, names))]
    closed = await _closed(request, [i for i, _ in missed if i], [c for _, c in missed if c])
    for row in closed:
        row["error"] = f"Unable to cancel order due to existing state: {row['ordStatus']}"
    if not rows and not closed:
        raise not_found()
    return rows + closed


async def _closed(request: Request, order_ids: list[str], clordids: list[str]) -> list[Row]:
    """Return the rows of an account's orders, newest first and one for each name, from history."""
    found: dict[str, Row] = {}
    for column, names in (("orderID", order_ids), ("clOrdID", clordids)):
        if not names:
            continue
        query = Query(
            table="order", equal={"account": (request.account,), column: tuple(names)},
            count=len(names) * 4, reverse=True,
        )  # fmt: skip
        for row in await request.gateway.history(query):
            found.setdefault(row[column], row)
    return list(found.values())


@route(
    "DELETE", "/order/all", "Order.cancelAll", SYMBOL, optional("filter", "JSON"), optional("text"),
    returns="Order[]", permission=Permission.ORDER_CANCEL, moves_orders=True,
)  # fmt: skip
def cancel_all(request: Request) -> object:
    """Cancel all open orders, of one symbol or of one side if that is asked."""
    desk, parameters = request.gateway.desk, request.parameters
    desk.check_open()
    number, flags = 0, 0
    if read.given(parameters, "symbol") is not None:
        number = required_market(desk.views, parameters).instrument.number
    wanted = read.json_value(parameters, "filter")
    if wanted:
        if not isinstance(wanted, dict) or not set(wanted) <= {"side", "symbol"}:
            raise invalid("filter columns are not valid: side and symbol are understood")
        sides = {"Buy": OrderFlag.ONLY_BUYS, "Sell": OrderFlag.ONLY_SELLS}
        if "side" in wanted:
            if wanted["side"] not in sides:
                raise invalid("filter values are not valid")
            flags = int(sides[wanted["side"]])
        if "symbol" in wanted:
            number = commands.market_of(desk.views, wanted).instrument.number
    token = desk.token()
    command = commands.pack(
        Command.CANCEL_ALL, request=token, account=request.account, symbol=number, flags=flags
    )
    return request.carry_out(token, command, lambda result: [order.row() for order in result.orders])


@route(
    "POST", "/order/cancelAllAfter", "Order.cancelAllAfter",
    required("timeout", "number", "Milliseconds from now; 0 disarms."), permission=Permission.ORDER_CANCEL,
)  # fmt: skip
def cancel_all_after(request: Request) -> object:
    """Cancel everything after a while unless it is called again: a dead man's switch."""
    desk = request.gateway.desk
    timeout = read.integer(request.parameters, "timeout", low=0)
    if timeout is None:
        raise invalid("timeout is required")
    desk.check_open()
    token = desk.token()
    command = commands.pack(Command.CANCEL_ALL_AFTER, request=token, account=request.account, qty=timeout)
    return request.carry_out(
        token, command, lambda result: timer_row(result.value, timeout, desk.views.timestamp_ns)
    )


def timer_row(fires_ns: int, timeout_ms: int, now_ns: int) -> Row:
    """Return `{now, cancelTime}`; cancelTime is null when the timer was disarmed."""
    if not timeout_ms:
        return {"now": iso(now_ns), "cancelTime": None}
    return {"now": iso(fires_ns - timeout_ms * NS_PER_MS), "cancelTime": iso(fires_ns)}


@route(
    "POST", "/order/closePosition", "Order.closePosition", required("symbol"), optional("price", "number"),
    returns="Order", permission=Permission.ORDER, moves_orders=True,
)  # fmt: skip
def close_position(request: Request) -> object:
    """Close a position, with a market order if no price is given."""
    request.parameters = {
        "symbol": request.parameters.get("symbol"), "price": request.parameters.get("price"), "execInst": "Close",
    }  # fmt: skip
    return new(request)


# ---- list


@route("GET", "/order", "Order.getOrders", *TABLE_PARAMETERS, returns="Order[]", key=True)
def get_orders(request: Request) -> object:
    """Get your orders, open and closed."""
    gateway = request.gateway
    query = table_query(request.parameters, "order", gateway.desk.views, account=request.account)
    if query.equal.get("ordStatus") == OPEN_STATES:
        held = gateway.desk.views.accounts[request.account].orders.values()
        return query.of_rows(order.row() for order in sorted(held, key=lambda order: order.number))
    return gateway.history(query.for_history())


# ---- what became of it


@route(
    "GET", "/order/outcome", "Order.getOutcome", optional("clOrdID"), optional("orderID"), returns="OrderOutcome",
    key=True,
)  # fmt: skip
def get_outcome(request: Request) -> object:
    """Get what became of an order whose answer was lost: Accepted, Rejected, or Unknown, for good."""
    parameters = request.parameters
    order_id, clordid = read.text(parameters, "orderID"), client_order_id(parameters)
    if (order_id is None) == (clordid is None):
        raise invalid("orderID or clOrdID is required, not both")
    request.gateway.desk.check_open()
    return _outcome(request, order_id, clordid)


async def _outcome(request: Request, order_id: str | None, clordid: str | None) -> Row:
    gateway, account = request.gateway, request.account
    await gateway.desk.barrier()
    order = commands.find_open(gateway.desk.views, account, order_id=order_id, clordid=clordid)
    if order is not None:
        return _accepted_row(order.row())
    rows = await _closed(request, [order_id] if order_id else [], [clordid] if clordid else [])
    accepted = _accepted_row(rows[0]) if rows else None
    if clordid is not None:
        name = clordid
        refusal = await gateway.past(lambda reader: reader.last_refusal(account, name))
        if refusal is not None and (accepted is None or refusal.sequence > accepted["sequence"]):
            why = of_reject(Reject(refusal.reject), refusal.figure, gateway.currency_of(refusal.symbol))
            return _outcome_row(
                "Rejected", clOrdID=clordid, ordStatus="Rejected", cumQty=0, leavesQty=0,
                sequence=refusal.sequence, timestamp=refusal.timestamp, text=why.message,
            )  # fmt: skip
    return accepted or _outcome_row("Unknown", clOrdID=clordid, orderID=order_id)


def _accepted_row(row: Row) -> Row:
    named = parse_wire_id(row["orderID"])
    assert named is not None
    same = ("clOrdID", "orderID", "ordStatus", "cumQty", "leavesQty", "timestamp", "text")
    return _outcome_row("Accepted", sequence=named[1], **{name: row[name] for name in same})


def _outcome_row(outcome: str, **known: Any) -> Row:
    names = (
        "clOrdID", "orderID", "outcome", "ordStatus", "cumQty", "leavesQty", "sequence", "timestamp", "text",
    )  # fmt: skip
    return {**dict.fromkeys(names), "outcome": outcome, **known}

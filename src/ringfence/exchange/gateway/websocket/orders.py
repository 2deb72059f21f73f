"""Order entry over an authenticated connection: BitMEX has none, and it costs a third of REST.

    {"op": "placeOrder", "id": 7, "args": {...what POST /order takes...}}
    {"op": "placeOrder", "id": 7, "status": 200, "data": {...the order...}}

`id` is the client's and comes back. With `"reply": "ack"` the data is orderID, clOrdID, ordStatus,
leavesQty and cumQty only.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, invalid, not_found
from ringfence.exchange.gateway.parameters import Parameters
from ringfence.exchange.gateway.rest.order import sheds
from ringfence.exchange.gateway.rest.route import encode
from ringfence.exchange.projections import Order, Result, Views
from ringfence.exchange.users.keys import Permission
from ringfence.messages.commands import Command

if TYPE_CHECKING:
    from ringfence.exchange.gateway.websocket.session import Session


def _amend(views: Views, account: int, args: Parameters, token: int) -> bytes:
    order = commands.find_open(
        views, account, order_id=read.text(args, "orderID"), clordid=read.text(args, "origClOrdID")
    )
    if order is None:
        raise Refused(400, "Invalid ordStatus")
    return commands.amend(order, account, args, views.markets[order.instrument.number], token)


def _cancel(views: Views, account: int, args: Parameters, token: int) -> bytes:
    order_id, clordid = read.text(args, "orderID"), read.text(args, "clOrdID")
    if order_id is None and clordid is None:
        raise invalid("orderID or clOrdID is required")
    command = commands.cancel(account, read.text(args, "text"), token, order_id=order_id, clordid=clordid)
    if command is None:
        raise not_found()
    return command


def _cancel_all(views: Views, account: int, args: Parameters, token: int) -> bytes:
    symbol = 0
    if read.given(args, "symbol") is not None:
        symbol = commands.market_of(views, args).instrument.number
    return commands.pack(Command.CANCEL_ALL, request=token, account=account, symbol=symbol)


Entry = tuple[Permission, bool, Callable[[Views, int, Parameters, int], bytes]]
ENTRIES: dict[Any, Entry] = {
    "placeOrder": (Permission.ORDER, True, commands.place),
    "amendOrder": (Permission.ORDER, True, _amend),
    "cancelOrder": (Permission.ORDER_CANCEL, False, _cancel),
    "cancelAllOrders": (Permission.ORDER_CANCEL, False, _cancel_all),
}


def enter(session: "Session", operation: str, message: dict[str, Any]) -> None:
    """Carry out one order message; its reply goes out when the order is durable."""
    gateway, client_id = session.gateway, message.get("id")
    desk = gateway.desk
    permission, may_shed, build = ENTRIES[operation]
    try:
        account = session.account_for(permission)
        args = message.get("args")
        if not isinstance(args, dict):
            raise Refused(400, "args is invalid: an object with the order's fields is expected")
        assert session.key is not None
        gateway.count_order(session.key)
        if may_shed and sheds(args):
            desk.check_room(account)
        else:
            desk.check_open()
        token = desk.token()
        command = build(desk.views, account, args, token)
    except Refused as refused:
        session.queue_message(_refusal(operation, client_id, refused))
        return
    brief = message.get("reply") == "ack"
    desk.submit(
        ((token, command),),
        lambda outcome: session.reply_soon(_reply(session, operation, client_id, brief, outcome)),
        is_here=session.is_here,
    )


def _refusal(operation: str, client_id: Any, refused: Refused) -> bytes:
    return encode({"op": operation, "id": client_id, "status": refused.status, "error": refused.error()})


def _reply(
    session: "Session", operation: str, client_id: Any, brief: bool, outcome: Sequence[Result] | Refused
) -> bytes:
    if isinstance(outcome, Refused):
        return _refusal(operation, client_id, outcome)
    result = outcome[0]
    if result.refusal is not None:
        return _refusal(operation, client_id, session.gateway.refusal_of(result))
    show: Callable[[Order], dict[str, Any]] = _brief if brief else Order.row
    data: Any = list(map(show, result.orders)) if operation == "cancelAllOrders" else show(result.orders[0])
    return encode({"op": operation, "id": client_id, "status": 200, "data": data})


def _brief(order: Order) -> dict[str, Any]:
    return {
        "orderID": order.order_id, "clOrdID": order.clordid, "ordStatus": order.status,
        "leavesQty": order.leaves, "cumQty": order.cum_qty,
    }  # fmt: skip

"""Orders in FIX's words into the fields of order entry, which decides what they mean.

Nothing is checked here that `exchange.gateway` checks: what is made here is what `POST /order` takes.
"""

from decimal import Decimal
from typing import Any

from ringfence.exchange.fix.dictionary import Tag
from ringfence.exchange.fix.message import Message
from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.errors import Refused, invalid, not_found
from ringfence.exchange.gateway.parameters import number
from ringfence.exchange.gateway.values import ticks_of
from ringfence.exchange.projections import Order, Views
from ringfence.exchange.projections.orders import ORDER_TYPES
from ringfence.messages.commands import Command, OrderFlag

SIDES = {"1": "Buy", "2": "Sell"}
TYPES = {"1": "Market", "2": "Limit", "3": "Stop", "4": "StopLimit", "J": "MarketIfTouched"}
TIMES = {"0": "Day", "1": "GoodTillCancel", "3": "ImmediateOrCancel", "4": "FillOrKill"}
INSTRUCTIONS = {"6": "ParticipateDoNotInitiate", "E": "ReduceOnly"}
TRIGGERS = {"1": "MarkPrice", "2": "LastPrice", "3": "IndexPrice"}
_ONLY = {"1": OrderFlag.ONLY_BUYS, "2": OrderFlag.ONLY_SELLS}
_BY_SYMBOL = "1"


def new_order(message: Message) -> dict[str, Any]:
    """Return the fields of POST /order. Raises Refused."""
    words = []
    for word in message.get(Tag.EXEC_INST).split():
        if word not in INSTRUCTIONS:
            raise invalid("Unsupported execInst")
        words.append(INSTRUCTIONS[word])
    if message.get(Tag.TRIGGER_PRICE):
        words.append(TRIGGERS[message.get(Tag.TRIGGER_PRICE)])
    if message.has_flag(Tag.CLOSE_POSITION):
        words.append("Close")
    shown = {message.get(tag) for tag in (Tag.MAX_FLOOR, Tag.DISPLAY_QTY)} - {""}
    if len(shown) > 1:
        raise invalid("Invalid displayQty")
    asked = {
        "symbol": message.get(Tag.SYMBOL), "clOrdID": message.get(Tag.CLORDID),
        "side": SIDES[message.get(Tag.SIDE)], "ordType": TYPES[message.get(Tag.ORD_TYPE)],
        "orderQty": message.get(Tag.ORDER_QTY), "price": message.get(Tag.PRICE), "stopPx": message.get(Tag.STOP_PX),
        "timeInForce": TIMES.get(message.get(Tag.TIME_IN_FORCE), ""), "execInst": ",".join(words),
        "displayQty": next(iter(shown), ""), "text": message.get(Tag.TEXT),
    }  # fmt: skip
    return {name: value for name, value in asked.items() if value}


def check_same(order: Order, message: Message) -> None:
    """Raise Refused if a request names an order and says something else of it than is true."""
    if message.get(Tag.SYMBOL) != order.instrument.symbol:
        raise invalid("Invalid symbol: it is not the order's")
    if SIDES[message.get(Tag.SIDE)] != ("Sell" if order.is_sell else "Buy"):
        raise invalid("Invalid side: it is not the order's")
    kind = message.get(Tag.ORD_TYPE)
    if kind and TYPES[kind] != ORDER_TYPES[order.ordtype]:
        raise invalid("Invalid ordType: it cannot be changed")


def replacement(order: Order, message: Message, views: Views) -> dict[str, Any]:
    """Return the fields of PUT /order: only what is to become different. Raises Refused.

    A FIX client says everything of the order again. An amendment of the price to what it is would cost the
    order its place in the queue.
    """
    market = views.markets[order.instrument.number]
    asked: dict[str, Any] = {"orderID": order.order_id, "clOrdID": message.get(Tag.CLORDID)}
    if message.get(Tag.TEXT):
        asked["text"] = message.get(Tag.TEXT)
    qty = message.get(Tag.ORDER_QTY)
    if qty and Decimal(qty) != order.qty:
        asked["orderQty"] = qty
    for tag, name, now in (
        (Tag.PRICE, "price", order.px),
        (Tag.STOP_PX, "stopPx", order.condition.stop_px if order.condition else 0),
    ):
        price = number({name: message.get(tag)}, name)
        if price is not None and ticks_of(market, price, name=name) != now:
            asked[name] = message.get(tag)
    return asked


def cancel(order_id: str, orig_clordid: str, account: int, text: str, token: int) -> bytes:
    """Return the CANCEL command of an order that is named by its OrderID or else its ClOrdID. Raises Refused."""
    command = commands.cancel(
        account, text or None, token, order_id=order_id or None, clordid=None if order_id else orig_clordid
    )
    if command is None:
        raise not_found()
    return command


def mass_cancel(message: Message, account: int, views: Views, token: int) -> bytes:
    """Return the CANCEL_ALL command of a mass cancel. Raises Refused."""
    symbol = message.get(Tag.SYMBOL)
    number_ = 0
    if message.get(Tag.MASS_CANCEL_TYPE) == _BY_SYMBOL:
        number_ = commands.market_of(views, {"symbol": symbol}).instrument.number
    elif symbol:
        raise invalid("Invalid symbol: MassCancelRequestType 7 is of every symbol")
    flags = int(_ONLY[message.get(Tag.SIDE)]) if message.get(Tag.SIDE) else 0
    return commands.pack(Command.CANCEL_ALL, request=token, account=account, symbol=number_, flags=flags)


def check_account(message: Message, account: int) -> None:
    """Raise Refused if a message names another account than its session's."""
    named = message.get(Tag.ACCOUNT)
    if named and named != str(account):
        raise Refused(403, "Invalid account")

"""Parameters into command records: the edge where text becomes binary."""

from collections.abc import Mapping
from typing import Any

from ringfence.exchange.gateway import conditions
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.conditions import infer_type, read_change, read_conditions
from ringfence.exchange.gateway.errors import invalid
from ringfence.exchange.gateway.values import client_order_id, ticks_of
from ringfence.exchange.projections import Market, Order, Views
from ringfence.exchange.projections.orders import ORDER_TYPES
from ringfence.messages.batch import CLORDID, CLORDLINKID, TEXT, encode_data
from ringfence.messages.commands import Command, OrderFlag, OrderType
from ringfence.messages.identifiers import clid_hash, handle_of
from ringfence.messages.layouts import COMMAND_NAMES, COMMAND_STRUCT, DISPLAY_ALL
from ringfence.units.limits import INT64_MAX, QTY_MAX

Parameters = Mapping[str, Any]

assert COMMAND_NAMES == (
    "handle", "qty", "clid", "orig_clid", "request", "px", "stop_px", "account", "display", "symbol",
    "kind", "type", "flags", "origin",
)  # fmt: skip

_IMMEDIATE, _DAY, _FILL_OR_KILL = int(OrderFlag.IOC), int(OrderFlag.DAY), int(OrderFlag.FOK)
_POST, _REDUCE, _CLOSE = int(OrderFlag.POST_ONLY), int(OrderFlag.REDUCE_ONLY), int(OrderFlag.CLOSE)
_SELL = int(OrderFlag.SELL)
_PLACE, _LIMIT, _MARKET = int(Command.PLACE), int(OrderType.LIMIT), int(OrderType.MARKET)
_ORDER_TYPES = {name: number for number, name in ORDER_TYPES.items()}
_TIME_IN_FORCE = {
    "GoodTillCancel": 0, "GTC": 0, "ImmediateOrCancel": _IMMEDIATE, "IOC": _IMMEDIATE, "FillOrKill": _FILL_OR_KILL,
    "FOK": _FILL_OR_KILL, "Day": _DAY, "PO": _POST, "PostOnly": _POST,
}  # fmt: skip
_EXEC_INST = {
    "ParticipateDoNotInitiate": _POST, "ReduceOnly": _REDUCE, "Close": _CLOSE, **conditions.WORDS,
}  # fmt: skip
_SIDES = {"Buy": 0, "Sell": _SELL, "buy": 0, "sell": _SELL}
_TEXT_MAX = 255


def pack(
    kind: int,
    *,
    request: int,
    account: int = 0,
    symbol: int = 0,
    qty: int = 0,
    px: int = 0,
    stop_px: int = 0,
    handle: int = 0,
    clid: int = 0,
    orig_clid: int = 0,
    display: int = DISPLAY_ALL,
    type: int = 0,
    flags: int = 0,
    data: list[tuple[int, bytes]] | None = None,
) -> bytes:
    """Return one command with its DATA slots."""
    record = COMMAND_STRUCT.pack(
        handle, qty, clid, orig_clid, request, px, stop_px, account, display, symbol, kind, type, flags, 0
    )
    return record + encode_data(data) if data else record


def market_of(views: Views, parameters: Parameters) -> Market:
    """Return the market that `symbol` names exactly, whatever its case; an index is none. Raises Refused."""
    symbol = parameters.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise invalid("symbol is required")
    market = views.symbols.get(symbol) or views.symbols.get(symbol.upper())
    if market is None or market.instrument.is_index:
        raise invalid("Invalid symbol")
    return market


def _quantity(parameters: Parameters, name: str) -> int | None:
    value = read.number(parameters, name)
    if value is None:
        return None
    whole = int(value)
    if whole != value or not -INT64_MAX <= whole <= INT64_MAX:
        raise invalid(f"Invalid {name}")
    return whole


def _display(parameters: Parameters) -> int:
    value = _quantity(parameters, "displayQty")
    if value is None:
        return DISPLAY_ALL
    if not 0 <= value <= QTY_MAX:
        raise invalid("Invalid displayQty")
    return value


def _instructions(parameters: Parameters) -> int:
    """Return the flags that execInst sets, and above them the bits of `conditions.WORDS`."""
    value = parameters.get("execInst")
    if not value:
        return 0
    if not isinstance(value, str):
        raise invalid("Invalid execInst")
    flags = 0
    for word in value.split(","):
        name = word.strip()
        if not name:
            continue
        bit = _EXEC_INST.get(name)
        if bit is None:
            raise invalid("Unsupported execInst")
        flags |= bit
    return flags


def _order_type(parameters: Parameters, *, has_price: bool, is_plain: bool) -> int:
    value = parameters.get("ordType")
    if not value:
        if is_plain:
            return _LIMIT if has_price else _MARKET
        return infer_type(parameters, has_price=has_price)
    kind = _ORDER_TYPES.get(value) if isinstance(value, str) else None
    if kind is None:
        raise invalid("Unsupported ordType")
    return kind


def place(views: Views, account: int, parameters: Parameters, request: int) -> bytes:
    """Return the PLACE command of a POST /order. Raises Refused."""
    market = market_of(views, parameters)
    qty = _quantity(parameters, "orderQty")
    price = read.number(parameters, "price")
    flags = _instructions(parameters) if "execInst" in parameters else 0
    # What is neither triggered nor pegged nor linked is most of what comes, and is not looked at twice.
    is_plain = conditions.FIELDS.isdisjoint(parameters)
    kind = _order_type(parameters, has_price=price is not None, is_plain=is_plain)
    force = parameters.get("timeInForce")
    if force:
        bits = _TIME_IN_FORCE.get(force) if isinstance(force, str) else None
        if bits is None:
            raise invalid("Unsupported timeInForce")
        if kind in conditions.MARKETS:
            # It never rests, so good-till-cancelled and immediate-or-cancel say nothing new.
            bits &= _FILL_OR_KILL | _POST if kind == _MARKET else ~_IMMEDIATE
        flags |= bits
    side = parameters.get("side")
    if side:
        bit = _SIDES.get(side) if isinstance(side, str) else None
        if bit is None:
            raise invalid("Invalid side")
        flags |= bit
    elif qty is not None and qty < 0:
        flags |= _SELL
    elif qty is None and flags & _CLOSE:
        if kind in conditions.STOPS:
            raise invalid("Invalid side")
        held = views.accounts[account].positions.get(market.instrument.number)
        flags |= _SELL if held is not None and held.qty > 0 else 0
    if qty is None:
        if not flags & _CLOSE:
            raise invalid("Invalid orderQty")
        qty = 0
    elif qty < 0:
        qty = -qty
        if not flags & _SELL:
            raise invalid("Invalid orderQty")
    px = 0
    if kind in conditions.LIMITS:
        if price is None:
            raise invalid("Invalid price")
        px = ticks_of(market, price)
    clordid = client_order_id(parameters)
    data = [] if clordid is None else [(CLORDID, clordid.encode())]
    words = parameters.get("text")
    if words:
        data.append((TEXT, _checked_text(parameters)))
    word = stop_px = link_hash = 0
    if not is_plain or kind > _MARKET or flags > conditions.FLAGS_MAX:
        word, stop_px, link = read_conditions(
            parameters, market, kind=kind, has_price=price is not None, is_sell=bool(flags & _SELL), words=flags
        )  # fmt: skip
        flags &= conditions.FLAGS_MAX
        if link is not None:
            data.append((CLORDLINKID, link.encode()))
            link_hash = clid_hash(link)
    display = _display(parameters) if "displayQty" in parameters else DISPLAY_ALL
    record = COMMAND_STRUCT.pack(
        word, qty, clid_hash(clordid) if clordid else 0, link_hash, request, px, stop_px, account, display,
        market.instrument.number, _PLACE, kind, flags, 0,
    )  # fmt: skip
    return record + encode_data(data) if data else record


def _checked_text(parameters: Parameters) -> bytes:
    words = read.text(parameters, "text", length_max=_TEXT_MAX)
    return (words or "").encode()


def amend(order: Order, account: int, parameters: Parameters, market: Market, request: int) -> bytes:
    """Return the AMEND command of a PUT /order. Raises Refused."""
    flags = 0
    qty = _quantity(parameters, "orderQty")
    leaves = _quantity(parameters, "leavesQty")
    price = read.number(parameters, "price")
    if qty is not None and leaves is not None:
        raise invalid("Invalid leavesQty: orderQty or leavesQty, not both")
    if qty is not None:
        flags |= OrderFlag.AMEND_QTY
        qty = abs(qty)
    elif leaves is not None:
        flags |= OrderFlag.AMEND_LEAVES
        qty = abs(leaves)
    px = 0
    if price is not None:
        flags |= OrderFlag.AMEND_PX
        px = ticks_of(market, price)
    stop_px, display = 0, DISPLAY_ALL
    if not conditions.FIELDS.isdisjoint(parameters):
        change, stop_px, display = read_change(parameters, market, order)
        flags |= change
    clordid = client_order_id(parameters)
    data = [] if clordid is None else [(CLORDID, clordid.encode())]
    if parameters.get("text"):
        data.append((TEXT, _checked_text(parameters)))
    return pack(
        Command.AMEND, request=request, account=account, symbol=market.instrument.number, qty=qty or 0, px=px,
        stop_px=stop_px, display=display, handle=order.handle, clid=clid_hash(clordid) if clordid else 0,
        flags=flags, data=data,
    )  # fmt: skip


def cancel(
    account: int, text: str | None, request: int, *, order_id: str | None = None, clordid: str | None = None
) -> bytes | None:
    """Return the CANCEL command of an order; the engine knows whether it is open and whose it is.

    None if the orderID cannot be one of ours.
    """
    handle = 0
    if order_id is not None:
        named = handle_of(order_id)
        if named is None:
            return None
        handle = named
    data = [(TEXT, f"Canceled: {text}".encode())] if text else None
    return pack(
        Command.CANCEL, request=request, account=account, handle=handle,
        orig_clid=clid_hash(clordid) if clordid else 0, data=data,
    )  # fmt: skip


def find_open(
    views: Views, account: int, *, order_id: str | None = None, clordid: str | None = None
) -> Order | None:
    """Return an account's open order by orderID or clOrdID, None if it has none such."""
    held = views.accounts[account]
    if order_id is not None:
        handle = handle_of(order_id)
        return None if handle is None else held.orders.get(handle)
    return None if clordid is None else held.by_clordid.get(clordid)

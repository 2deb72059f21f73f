"""When and where a new order enters: stops, trailing stops, pegs and links, as a client writes them.

What contradicts itself is refused here, in BitMEX's words, and nothing is sent. What depends on the state
of the market is the engine's to refuse.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, invalid
from ringfence.exchange.gateway.values import client_order_id, offset_of, ticks_of
from ringfence.exchange.projections import Market, Order
from ringfence.exchange.projections.orders import CONTINGENCIES, PEGS
from ringfence.messages.commands import Contingency, OrderFlag, OrderType, Peg, TriggerPrice, instructions

Parameters = Mapping[str, Any]

FIELDS = frozenset(
    ("stopPx", "pegPriceType", "pegOffsetValue", "contingencyType", "clOrdLinkID", "simpleOrderQty")
)
"""An order that has none of them, nor a word of `WORDS` in its execInst, is a plain one."""

# Words of execInst that are no flags of a command; their bits are ours, above those of the flags.
MARK_PRICE, LAST_PRICE, INDEX_PRICE, WITHIN_MARK, FIXED = (1 << bit for bit in range(16, 21))
WORDS = {
    "MarkPrice": MARK_PRICE, "LastPrice": LAST_PRICE, "IndexPrice": INDEX_PRICE,
    "LastWithinMark": WITHIN_MARK, "Fixed": FIXED,
}  # fmt: skip
FLAGS_MAX = (1 << 16) - 1
_TRIGGERS = {
    MARK_PRICE: TriggerPrice.MARK, LAST_PRICE: TriggerPrice.LAST, INDEX_PRICE: TriggerPrice.INDEX,
}  # fmt: skip
_ANY_TRIGGER = MARK_PRICE | LAST_PRICE | INDEX_PRICE

_PEG_TYPES = {name: Peg(number) for number, name in PEGS.items()}
_CONTINGENCY_TYPES = {name: Contingency(number) for number, name in CONTINGENCIES.items()}

_LIMIT, _STOP_LIMIT, _LIMIT_IF_TOUCHED = map(
    int, (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED)
)
_MARKET, _STOP, _MARKET_IF_TOUCHED = map(int, (OrderType.MARKET, OrderType.STOP, OrderType.MARKET_IF_TOUCHED))
LIMITS = frozenset((_LIMIT, _STOP_LIMIT, _LIMIT_IF_TOUCHED))
MARKETS = frozenset((_MARKET, _STOP, _MARKET_IF_TOUCHED))
STOPS = frozenset((_STOP, _STOP_LIMIT, _MARKET_IF_TOUCHED, _LIMIT_IF_TOUCHED))
_STOP_LOSSES = frozenset((_STOP, _STOP_LIMIT))
"""They are triggered by a price that moves against what they would have got."""


class Conditions(NamedTuple):
    """What a PLACE command says beside what every order says. Prices in ticks."""

    word: int
    stop_px: int
    link: str | None


def infer_type(parameters: Parameters, *, has_price: bool) -> int:
    """Return the type of an order that names none, as BitMEX infers it."""
    peg = parameters.get("pegPriceType")
    if peg and peg != "TrailingStopPeg":
        return OrderType.PEGGED
    if peg or read.given(parameters, "stopPx") is not None:
        return OrderType.STOP_LIMIT if has_price else OrderType.STOP
    return OrderType.LIMIT if has_price else OrderType.MARKET


def read_conditions(
    parameters: Parameters, market: Market, *, kind: int, has_price: bool, is_sell: bool, words: int
) -> Conditions:
    """Return the conditions of a new order. `words` are the bits of its execInst. Raises Refused."""
    if read.given(parameters, "simpleOrderQty") is not None:
        raise Refused(400, "simpleOrderQty is no longer supported: use orderQty", "ValidationError")
    if kind in MARKETS and kind in STOPS and has_price:
        raise invalid("Invalid price for ordType")
    peg, offset = _peg(parameters, market, kind=kind, is_sell=is_sell, words=words)
    if kind == OrderType.PEGGED and has_price:
        raise invalid("Invalid price for ordType")
    contingency, link = _link(parameters)
    word = instructions(
        trigger=_trigger(market, kind=kind, words=words), peg=peg, peg_offset=offset, contingency=contingency,
        within_mark=bool(words & WITHIN_MARK),
    )  # fmt: skip
    return Conditions(word, _stop_px(parameters, market, kind=kind, peg=peg), link)


def _stop_px(parameters: Parameters, market: Market, *, kind: int, peg: Peg) -> int:
    """Return the ticks of stopPx; 0 = none, or a trailing stop that begins where the market is."""
    price = read.number(parameters, "stopPx")
    if price is None:
        if kind in STOPS and peg != Peg.TRAILING:
            raise invalid("Invalid stopPx for ordType")
        return 0
    if kind not in STOPS:
        raise invalid("Invalid stopPx for ordType")
    return ticks_of(market, price, name="stopPx")


def _peg(parameters: Parameters, market: Market, *, kind: int, is_sell: bool, words: int) -> tuple[Peg, int]:
    name = read.given(parameters, "pegPriceType")
    peg = Peg.NONE
    if name is not None:
        found = _PEG_TYPES.get(name) if isinstance(name, str) else None
        if found is None:
            raise invalid("Unsupported pegPriceType")
        peg = found
    if (kind == OrderType.PEGGED) != (peg in (Peg.PRIMARY, Peg.MARKET)):
        raise invalid("Invalid pegPriceType for ordType")
    if peg == Peg.TRAILING and kind not in STOPS:
        raise invalid("Invalid pegPriceType for ordType")
    if (kind == OrderType.PEGGED) != bool(words & FIXED):
        raise invalid("Invalid execInst" if kind == OrderType.PEGGED else "Invalid ordType for execInst")
    value = read.number(parameters, "pegOffsetValue")
    if value is None and peg != Peg.TRAILING:
        return peg, 0
    if value is None or peg == Peg.NONE:
        raise invalid("Invalid pegOffsetValue for pegPriceType")
    offset = offset_of(market, value)
    # A trailing order follows from below what falls to it, and from above what rises to it.
    if peg == Peg.TRAILING and (offset == 0 or (offset < 0) != (is_sell == (kind in _STOP_LOSSES))):
        raise invalid("Invalid pegOffsetValue for pegPriceType")
    return peg, offset


def _trigger(market: Market, *, kind: int, words: int) -> TriggerPrice:
    asked = words & _ANY_TRIGGER
    is_spot = market.instrument.is_spot
    if kind not in STOPS:
        if asked or words & WITHIN_MARK:
            raise invalid("Invalid ordType for execInst")
        return TriggerPrice.MARK
    # Spot has no mark and no index.
    found = _TRIGGERS.get(asked or (LAST_PRICE if is_spot else MARK_PRICE))
    if found is None or (is_spot and (found != TriggerPrice.LAST or words & WITHIN_MARK)):
        raise invalid("Invalid execInst")
    if words & WITHIN_MARK and found != TriggerPrice.LAST:
        raise invalid("Invalid execInst")
    return found


def _link(parameters: Parameters) -> tuple[Contingency, str | None]:
    name = read.given(parameters, "contingencyType")
    link = client_order_id(parameters, "clOrdLinkID")
    found = Contingency.NONE
    if name is not None:
        kind = _CONTINGENCY_TYPES.get(name) if isinstance(name, str) else None
        if kind is None:
            raise invalid("Unsupported contingencyType")
        found = kind
    if (found == Contingency.NONE) != (link is None):
        raise invalid("Invalid clOrdLinkID for contingencyType")
    return found, link


class ConditionChange(NamedTuple):
    """What an AMEND command says of an untriggered order."""

    flags: int
    stop_px: int
    display: int
    """The peg offset as the command carries it."""


def read_change(parameters: Parameters, market: Market, order: Order) -> ConditionChange:
    """Return the change of stop price and offset that is asked for. Raises Refused."""
    condition = order.condition
    flags = stop_px = display = 0
    price = read.number(parameters, "stopPx")
    if price is not None:
        if condition is None or not condition.is_untriggered or order.ordtype not in STOPS:
            raise invalid("Invalid stopPx for ordType")
        flags |= OrderFlag.AMEND_STOP_PX
        stop_px = ticks_of(market, price, name="stopPx")
    value = read.number(parameters, "pegOffsetValue")
    if value is not None:
        if condition is None or not condition.is_untriggered or condition.peg != Peg.TRAILING:
            raise invalid("Invalid pegOffsetValue for pegPriceType")
        offset = offset_of(market, value)
        if offset == 0 or (offset < 0) != (condition.peg_offset < 0):
            raise invalid("Invalid pegOffsetValue for pegPriceType")
        flags |= OrderFlag.AMEND_PEG_OFFSET
        display = offset & 0xFFFFFFFF
    return ConditionChange(flags, stop_px, display)

"""A market's numbers and a client's identifiers, as exact text becomes them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ringfence.exchange.gateway.errors import invalid
from ringfence.exchange.projections import Market

CLORDID_MAX = 36


def ticks_of(market: Market, price: Decimal | int, *, name: str = "price") -> int:
    """Return the whole ticks of an exact price. Raises Refused."""
    of = market.instrument
    if not 0 < price <= of.price_max:
        raise invalid(f"Invalid {name}")
    numerator, denominator = price.as_integer_ratio()
    ticks, rest = divmod(numerator * int(10**of.tick_decimals), denominator * of.tick_units)
    if rest:
        raise invalid(f"Invalid {name} tickSize")
    return ticks


def offset_of(market: Market, value: Decimal | int) -> int:
    """Return the whole ticks, with their sign, of a pegOffsetValue. Raises Refused."""
    name = "pegOffsetValue"
    if not value:
        return 0
    limit = market.instrument.price_max
    if not -limit <= value <= limit:
        raise invalid(f"Invalid {name} for pegPriceType")
    ticks = ticks_of(market, -value if value < 0 else value, name=name)
    return -ticks if value < 0 else ticks


def client_order_id(parameters: Mapping[str, Any], name: str = "clOrdID") -> str | None:
    """Return a clOrdID or clOrdLinkID, None if it is not given. Raises Refused."""
    value = parameters.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > CLORDID_MAX or not value.isprintable():
        raise invalid(f"Invalid {name}: at most {CLORDID_MAX} printable characters")
    return value

"""Exact integer arithmetic of the kernel. Every division names its rounding.

Twin: `units/rounding.py`; a property test holds the two against each other.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.views import Record, U, compiled, inline, mulhi, mullo
from ringfence.messages.commands import ContractKind
from ringfence.units.limits import MARK_SUBTICKS

PPM = 1_000_000
INVERSE = int(ContractKind.INVERSE)
_ZERO, _ONE, _TOP_BIT = U(0), U(1), U(63)
_SMALL = 2**40
"""Times any rate below 2**22 ppm this fits 63 bits."""


@inline
def udiv(a: int, d: int) -> Any:
    """Return a // d for a >= 0 and d > 0: the bare hardware divide."""
    return np.int64(U(a) // U(d))


@inline
def lots_of(ins: Record, qty: int) -> Any:
    """Return qty // lot_size for 0 <= qty < 2**31, exactly, without a divide.

    With r = ceil(2**62 / lot_size) the error of qty * r / 2**62 is below qty / 2**62 * lot_size, too
    small to reach the next whole number while both are below 2**31.
    """
    return mulhi(qty << 2, ins.per_lot)


@inline
def lots_held(ins: Record, qty: int) -> Any:
    """Return the whole lots of a position's size; without a divide while it is no larger than an order."""
    size = abs(qty)
    return lots_of(ins, size) if size < 2**31 else udiv(size, ins.lot_size)


@compiled
def muldiv_wide(a: int, b: int, d: int) -> Any:
    """Return a*b/d towards zero through a 128-bit product and a restoring division; d > 0."""
    negative = (a < 0) != (b < 0)
    a = abs(a)
    b = abs(b)
    divisor = U(d)
    remainder = U(mulhi(a, b)) % divisor
    low = mullo(U(a), U(b))
    quotient = _ZERO
    for _ in range(64):
        carry = remainder >> _TOP_BIT
        remainder = (remainder << _ONE) | (low >> _TOP_BIT)
        low <<= _ONE
        quotient <<= _ONE
        if carry != _ZERO or remainder >= divisor:
            remainder -= divisor
            quotient |= _ONE
    return -np.int64(quotient) if negative else np.int64(quotient)


@inline
def muldiv(a: int, b: int, d: int) -> Any:
    """Return a*b/d rounded towards zero; the product may need 128 bits, the result must fit 64."""
    high = mulhi(a, b)
    if high == 0 or high == -1:
        product = a * b
        if (product < 0) == (high < 0):
            return -udiv(-product, d) if product < 0 else udiv(product, d)
    return muldiv_wide(a, b, d)


@inline
def pick(sell: int, if_sell: Any, if_buy: Any) -> Any:
    """Return one of two values that are both at hand.

    Sides alternate at random, so a branch on them is guessed wrong every other time, for as long as
    twenty instructions take. Loading both and choosing costs one.
    """
    return if_sell if sell else if_buy


@inline
def ceil_ppm(value: int, ppm: int) -> Any:
    """Return value * ppm / 1e6 rounded up; value, ppm >= 0. Split where the product could overflow."""
    if value < _SMALL:
        return udiv(value * ppm + (PPM - 1), PPM)
    millions = udiv(value, PPM)
    rest = value - millions * PPM
    return millions * ppm + udiv(rest * ppm + (PPM - 1), PPM)


@inline
def round_ppm(value: int, ppm: int) -> Any:
    """Return value * ppm / 1e6 rounded half away from zero; value >= 0, ppm of either sign."""
    rate = abs(ppm)
    if value < _SMALL:
        small = udiv(value * rate + PPM // 2, PPM)
        return -small if ppm < 0 else small
    millions = udiv(value, PPM)
    rest = value - millions * PPM
    magnitude = millions * rate + udiv(rest * rate + PPM // 2, PPM)
    return -magnitude if ppm < 0 else magnitude


@inline
def lot_value(ins: Record, px: int) -> Any:
    """Return the settlement units of one lot at a price in ticks, rounded half up."""
    if ins.kind == INVERSE:
        return udiv(2 * ins.factor + px, 2 * px)
    return ins.factor * px


@compiled
def lot_value_at_mark(ins: Record, subticks: int) -> Any:
    """Return the settlement units of one lot at a mark in subticks, rounded half up."""
    if ins.kind == INVERSE:
        return udiv(2 * ins.factor * MARK_SUBTICKS + subticks, 2 * subticks)
    return udiv(2 * ins.factor * subticks + MARK_SUBTICKS, 2 * MARK_SUBTICKS)

"""Exact integer division with a named rounding. Python integers, so no product can wrap.

The engine has compiled twins of these in `exchange/engine/arithmetic.py`; a property test holds the
two against each other over the whole 64-bit range.
"""

PPM = 1_000_000
"""Rates are integers in parts per million of the value they apply to."""


def floor_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded towards minus infinity."""
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded towards plus infinity."""
    return -(-numerator // denominator)


def trunc_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded towards zero, for a positive denominator."""
    assert denominator > 0
    return -(-numerator // denominator) if numerator < 0 else numerator // denominator


def round_div(numerator: int, denominator: int) -> int:
    """Return the quotient rounded to nearest, halves away from zero, for a positive denominator.

    This is the rounding of contract values and fees (BitMEX sample records reproduce with it).
    """
    assert denominator > 0
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -magnitude if numerator < 0 else magnitude


def muldiv(a: int, b: int, denominator: int) -> int:
    """Return a*b/denominator rounded towards zero; the product is exact however large."""
    return trunc_div(a * b, denominator)

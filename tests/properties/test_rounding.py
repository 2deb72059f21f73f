"""Laws of the exact arithmetic, for the compiled kernel and for plain Python alike."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange.engine.arithmetic import ceil_ppm, muldiv, round_ppm
from ringfence.exchange.engine.compiler import njit
from ringfence.exchange.engine.views import COMPILED
from ringfence.units.rounding import PPM, ceil_div, round_div


def from_outside(part: Callable[..., int], arity: int) -> Callable[..., int]:
    """Return a part of the kernel as a function that Python can call."""
    if not COMPILED:
        return part
    if arity == 2:
        return njit("i8(i8,i8)")(lambda a, b: part(a, b))  # type: ignore[no-any-return]
    return njit("i8(i8,i8,i8)")(lambda a, b, c: part(a, b, c))  # type: ignore[no-any-return]


call_muldiv = from_outside(muldiv, 3)
call_round_ppm = from_outside(round_ppm, 2)
call_ceil_ppm = from_outside(ceil_ppm, 2)
amounts = st.integers(-(2**62), 2**62)


@given(amounts, st.integers(1, 2**31), st.integers(1, 2**31))
def test_muldiv_is_exact_through_128_bits_and_truncates(value: int, part: int, more: int) -> None:
    whole = part + more
    exact = abs(value) * part // whole
    assert call_muldiv(value, part, whole) == (exact if value >= 0 else -exact)


@given(st.integers(0, 2**53), st.integers(-PPM, PPM))
def test_fees_round_half_away_from_zero(value: int, rate_ppm: int) -> None:
    assert call_round_ppm(value, rate_ppm) == round_div(value * rate_ppm, PPM)


@given(st.integers(0, 2**56), st.integers(0, PPM))
def test_margins_round_up(value: int, rate_ppm: int) -> None:
    assert call_ceil_ppm(value, rate_ppm) == ceil_div(value * rate_ppm, PPM)


@given(amounts, st.integers(1, 2**40))
def test_rounding_up_covers_the_value_and_one_less_does_not(value: int, divisor: int) -> None:
    quotient = ceil_div(value, divisor)
    assert quotient * divisor >= value
    assert (quotient - 1) * divisor < value

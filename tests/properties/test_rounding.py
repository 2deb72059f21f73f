"""Laws of the exact arithmetic, for the compiled kernel and for plain Python alike."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange.engine.arithmetic import muldiv, round_ppm
from ringfence.units.rounding import PPM, ceil_div, round_div

amounts = st.integers(-(2**62), 2**62)


@given(amounts, st.integers(1, 2**31), st.integers(1, 2**31))
def test_muldiv_is_exact_through_128_bits_and_truncates(value: int, part: int, more: int) -> None:
    whole = part + more
    exact = abs(value) * part // whole
    assert muldiv(value, part, whole) == (exact if value >= 0 else -exact)


@given(st.integers(0, 2**53), st.integers(-PPM, PPM))
def test_fees_round_half_away_from_zero(value: int, rate_ppm: int) -> None:
    assert round_ppm(value, rate_ppm) == round_div(value * rate_ppm, PPM)


@given(amounts, st.integers(1, 2**40))
def test_rounding_up_covers_the_value_and_one_less_does_not(value: int, divisor: int) -> None:
    quotient = ceil_div(value, divisor)
    assert quotient * divisor >= value
    assert (quotient - 1) * divisor < value

"""Laws of the exact arithmetic, for the compiled kernel and for plain Python alike."""

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange.engine.arithmetic import (
    ceil_ppm,
    lot_value,
    lot_value_at_mark,
    lots_held,
    lots_of,
    muldiv,
    muldiv_wide,
    round_ppm,
)
from ringfence.exchange.engine.compiler import njit
from ringfence.exchange.engine.insurance import break_even_px, gain_at
from ringfence.exchange.engine.views import COMPILED
from ringfence.messages.commands import ContractKind
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.rounding import PPM, ceil_div, round_div

plain_only = pytest.mark.skipif(
    COMPILED, reason="takes an instrument, which only plain Python hands over: RINGFENCE_ENGINE=python"
)


def from_outside(part: Callable[..., int], arity: int) -> Callable[..., int]:
    """Return a part of the kernel as a function that Python can call."""
    if not COMPILED:
        return part
    if arity == 2:
        return njit("i8(i8,i8)")(lambda a, b: part(a, b))  # type: ignore[no-any-return]
    return njit("i8(i8,i8,i8)")(lambda a, b, c: part(a, b, c))  # type: ignore[no-any-return]


call_muldiv_wide = from_outside(muldiv_wide, 3)
call_muldiv = from_outside(muldiv, 3)
call_round_ppm = from_outside(round_ppm, 2)
call_ceil_ppm = from_outside(ceil_ppm, 2)
amounts = st.integers(-(2**62), 2**62)


@given(amounts, st.integers(1, 2**31), st.integers(1, 2**31))
def test_muldiv_is_exact_through_128_bits_and_truncates(value: int, part: int, more: int) -> None:
    whole = part + more
    exact = abs(value) * part // whole
    assert call_muldiv(value, part, whole) == (exact if value >= 0 else -exact)


@given(amounts, st.integers(-(2**31), 2**31), st.integers(1, 2**62))
def test_the_wide_way_gives_what_the_short_one_does(value: int, factor: int, divisor: int) -> None:
    exact = abs(value * factor) // divisor
    if exact < 2**63:
        assert call_muldiv_wide(value, factor, divisor) == (exact if value * factor >= 0 else -exact)


@pytest.mark.parametrize(("value", "factor", "divisor", "exact"), [
    (2**62, 4, 2**62, 4), (2**63 - 1, 2**62, 2**62, 2**63 - 1), (-(2**62), 2, 1 << 61, -4), (0, -5, 7, 0),
    (3, 2**62, 3 * 2**60, 4), (2**62, 2, 3, 2**63 // 3), (2**62, -2, 3, -(2**63 // 3)),
    (2**62, -1, 3, -(2**62 // 3)), (-1, 2**62, 3, -(2**62 // 3)), (-1, -1, 1, 1), (1, -1, 1, -1),
])  # fmt: skip
def test_products_at_the_edge_of_64_bits(value: int, factor: int, divisor: int, exact: int) -> None:
    assert call_muldiv(value, factor, divisor) == call_muldiv_wide(value, factor, divisor) == exact


@plain_only
@given(st.integers(1, 2**31 - 1), st.integers(-(2**40), 2**40))
def test_lots_are_whole(lot_size: int, qty: int) -> None:
    ins = SimpleNamespace(lot_size=lot_size, per_lot=ceil_div(2**62, lot_size))
    assert lots_held(ins, qty) == abs(qty) // lot_size
    if 0 <= qty < 2**31:
        assert lots_of(ins, qty) == qty // lot_size


@plain_only
@given(st.sampled_from(list(ContractKind)), st.integers(1, 2**40), st.integers(1, 2**20))
def test_a_lot_is_worth_the_nearest_whole_unit(kind: ContractKind, factor: int, px: int) -> None:
    ins = SimpleNamespace(kind=int(kind), factor=factor)
    of_ticks = round_div(factor, px) if kind == ContractKind.INVERSE else factor * px
    assert lot_value(ins, px) == of_ticks
    of_subticks = (
        round_div(factor * MARK_SUBTICKS, px)
        if kind == ContractKind.INVERSE
        else round_div(factor * px, MARK_SUBTICKS)
    )
    assert lot_value_at_mark(ins, px) == of_subticks


@given(st.integers(0, 2**53), st.integers(-PPM, PPM) | st.integers(-2, 2))
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


def an_instrument(kind: ContractKind, factor: int, lot_size: int) -> SimpleNamespace:
    return SimpleNamespace(
        kind=int(kind), factor=factor, lot_size=lot_size, per_lot=ceil_div(2**62, lot_size), px_max=2**20
    )


kinds = st.sampled_from([ContractKind.INVERSE, ContractKind.LINEAR])
quantities = st.integers(1, 10_000).flatmap(lambda lots: st.sampled_from([lots, -lots]))


@plain_only
@given(kinds, st.integers(1, 2**40), st.integers(1, 1_000), quantities, st.integers(0, 2**50))
def test_the_fund_leaves_at_its_cost_or_a_tick_to_its_favour(
    kind: ContractKind, factor: int, lot_size: int, lots: int, cost: int
) -> None:
    ins, p = an_instrument(kind, factor, lot_size), SimpleNamespace(qty=lots * lot_size, cost=cost)
    size, paid = abs(lots), max(cost, 1)
    exact = Fraction(factor * size, paid) if kind == ContractKind.INVERSE else Fraction(paid, factor * size)
    px = min(max(exact.__floor__(), 1), ins.px_max)
    assert break_even_px(ins, p) == (px if lots < 0 else min(px + 1, ins.px_max))


@plain_only
@given(
    kinds, st.integers(1, 2**30), st.integers(1, 1_000), quantities, st.integers(0, 2**40), st.integers(1, 2**20),
    st.integers(1, 10_000),
)  # fmt: skip
def test_what_leaving_a_part_gains(
    kind: ContractKind, factor: int, lot_size: int, lots: int, cost: int, px: int, part: int
) -> None:
    ins, p = an_instrument(kind, factor, lot_size), SimpleNamespace(qty=lots * lot_size, cost=cost)
    part = min(part, abs(lots))
    gain = part * lot_value(ins, px) - cost * part // abs(lots)
    rises = (lots > 0) != (kind == ContractKind.INVERSE)
    assert gain_at(ins, p, px, part * lot_size) == (gain if rises else -gain)


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="this is plain Python already")
def test_plain_python_keeps_these_laws_and_those_of_instruments() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        words, env=os.environ | {"RINGFENCE_ENGINE": "python"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

"""The kernel's formulas against their twins in `instruments/value`, for every start instrument."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.assurance.audit import arithmetic as audit
from ringfence.assurance.audit.contract import Contract
from ringfence.exchange.engine import deleveraging, funding, margin, settlement
from ringfence.exchange.engine.views import COMPILED
from ringfence.instruments import value as of
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.specification import Instrument
from ringfence.messages.commands import ContractKind
from ringfence.testing.play import START_NS
from ringfence.units.limits import RATE_E8
from ringfence.units.rounding import PPM, ceil_div, muldiv

plain_only = pytest.mark.skipif(
    COMPILED, reason="takes an instrument, which only plain Python hands over: RINGFENCE_ENGINE=python"
)
CONTRACTS = [instrument for instrument in start_instruments(START_NS) if instrument.is_contract]


class Held(NamedTuple):
    """An instrument as the kernel and as `instruments` has it, and a position in it."""

    instrument: Instrument
    ins: SimpleNamespace
    p: SimpleNamespace

    @property
    def settings(self) -> dict[str, int]:
        return {"cost": self.p.cost, "tier": self.p.tier, "leverage_hundredths": self.p.leverage}

    @property
    def value(self) -> int:
        """What it is worth at the mark, with the sign of its quantity."""
        value = abs(self.p.qty) // self.instrument.lot_size * self.ins.mark_lot_value
        return int(value if self.p.qty > 0 else -value)


@st.composite
def positions(draw: st.DrawFn) -> Held:
    instrument = msgspec.structs.replace(
        draw(st.sampled_from(CONTRACTS)), taker_fee_ppm=draw(st.sampled_from([-100, -1, 0, 1, 750]))
    )
    kind = ContractKind.INVERSE if instrument.is_inverse else ContractKind.LINEAR
    ins = SimpleNamespace(
        kind=int(kind), factor=instrument.lot_value_factor, lot_size=instrument.lot_size,
        per_lot=ceil_div(2**62, instrument.lot_size), mark_lot_value=draw(st.integers(1, 2**30)),
        maintenance_ppm=instrument.maintenance_margin_ppm, initial_ppm=instrument.initial_margin_ppm,
        taker_ppm=instrument.taker_fee_ppm, funding_rate_e8=draw(st.integers(-5_000, 5_000)) * (RATE_E8 // PPM),
    )  # fmt: skip
    sign, lots = draw(st.sampled_from([1, -1])), draw(st.integers(1, 10**6))
    p = SimpleNamespace(
        qty=sign * lots * instrument.lot_size,
        cost=sign * lots * draw(st.integers(1, 2**24)),  # an order worth nothing is refused
        leverage=draw(st.just(0) | st.integers(100, 10_000)), tier=draw(st.integers(0, 10)), transferred=0,
        locked=0,
    )  # fmt: skip
    if p.leverage:
        p.transferred = draw(st.integers(0, 2**40))
    return Held(instrument, ins, p)


@plain_only
@given(positions(), st.integers(0, 2**44), st.integers(0, 2**44))
def test_what_is_locked(held: Held, buys: int, sells: int) -> None:
    orders = of.order_margin(held.instrument, open_buys=buys, open_sells=sells, **held.settings)
    position = of.position_margin(held.instrument, transferred=held.p.transferred, **held.settings)
    assert margin.required(held.ins, held.p, buys, sells) == orders + position
    if held.p.leverage:
        assert margin.own_margin(held.ins, held.p) == position


@plain_only
@given(positions())
def test_what_keeps_it_alive(held: Held) -> None:
    needed = of.maintenance_margin(held.instrument, funding_e8=held.ins.funding_rate_e8, **held.settings)
    assert margin.maintenance(held.ins, held.p) == needed


@plain_only
@given(positions())
def test_profit_at_the_mark(held: Held) -> None:
    profit = of.profit(held.instrument, cost=held.p.cost, value=held.value)
    assert margin.profit_at_mark(held.ins, held.p) == profit


@plain_only
@given(positions())
def test_the_rank_in_the_queue(held: Held) -> None:
    gain = of.profit(held.instrument, cost=held.p.cost, value=held.value)
    if held.p.leverage:
        own = of.position_margin(held.instrument, transferred=held.p.transferred, **held.settings)
    else:
        own = muldiv(abs(held.p.cost), of.maintenance_ppm(held.instrument, held.p.tier), PPM)
    wanted = of.rank_key(held.instrument, cost=held.p.cost, value=abs(held.value), gain=gain, margin=own)
    assert deleveraging.rank_key(held.ins, held.p) == wanted
    assert audited_rank(held) == wanted


def audited_rank(held: Held) -> int:
    contract = Contract(held.instrument.number, held.ins.kind)
    for name in ("factor", "lot_size", "mark_lot_value", "maintenance_ppm", "initial_ppm", "taker_ppm"):
        setattr(contract, name, getattr(held.ins, name))
    p = held.p
    return audit.rank_key(
        contract, qty=p.qty, cost=p.cost, leverage=p.leverage, tier=p.tier, transferred=p.transferred
    )


@plain_only
def test_whoever_has_nothing_left_has_the_highest_leverage_that_counts_for_everybody() -> None:
    """The auditor counted more, and would have halted the venue at the deleveraging of such a position."""
    instrument = next(one for one in CONTRACTS if not one.is_inverse)
    ins = SimpleNamespace(
        kind=int(ContractKind.LINEAR), factor=instrument.lot_value_factor, lot_size=instrument.lot_size,
        per_lot=ceil_div(2**62, instrument.lot_size), mark_lot_value=2**24, maintenance_ppm=5_000,
        initial_ppm=10_000, taker_ppm=750, funding_rate_e8=0,
    )  # fmt: skip
    lots = 10**6
    p = SimpleNamespace(qty=-lots * instrument.lot_size, cost=-lots, leverage=0, tier=0, transferred=0)
    loss_ppm = -(ins.mark_lot_value - 1) * PPM
    wanted = muldiv(loss_ppm, PPM, 2**60)
    assert wanted != muldiv(loss_ppm, PPM, lots * ins.mark_lot_value * PPM)
    assert deleveraging.rank_key(ins, p) == audited_rank(Held(instrument, ins, p)) == wanted


@plain_only
@given(positions(), st.integers(0, 1), st.integers(1, 1_000), st.integers(1, 2**30))
def test_an_order_that_crosses_the_mark_loses_the_difference_at_once(
    held: Held, sell: int, lots: int, worth: int
) -> None:
    premium = lots * (worth - held.ins.mark_lot_value)
    dearer = premium if (sell == 0) != held.instrument.is_inverse else -premium
    assert margin.loss_at_mark(held.ins, sell, lots, worth) == max(dearer, 0)


@pytest.mark.skipif(not COMPILED, reason="this is plain Python already")
def test_plain_python_agrees_with_its_twins() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        words, env=os.environ | {"RINGFENCE_ENGINE": "python"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@plain_only
def test_the_queue_takes_no_more_at_once_than_its_record_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    holders = [SimpleNamespace(lots=lots, take=0) for lots in (2**33, 5, 7)]
    monkeypatch.setattr(deleveraging, "ranks", lambda _, place: holders[place])
    assert deleveraging.take_in_order(None, 3, 2**32 + 5) == 0
    assert [one.take for one in holders] == [2**32 - 1, 5, 1]
    assert deleveraging.take_in_order(None, 3, 2**33) == 2**33 - (2**32 - 1) - 12


@plain_only
@pytest.mark.filterwarnings("error")
def test_without_a_premium_the_rate_is_the_interest() -> None:
    ins = SimpleNamespace(
        premium_sum_e8=0, premium_count=0, interest_e8=10_000, initial_ppm=10_000, maintenance_ppm=5_000,
        funding_rate_e8=0,
    )  # fmt: skip
    assert funding.next_rate_e8(ins) == 10_000


@plain_only
@pytest.mark.parametrize(("count", "total", "price"), [(0, 0, 500), (1, 700 * 30, 700), (2, 900 * 30, 450)])
def test_a_contract_settles_at_the_average_of_as_many_samples_as_there_are(
    count: int, total: int, price: int
) -> None:
    ins = SimpleNamespace(
        settle_count=count, settle_sum=total, units_per_subtick=30, index_subticks=500, mark=400, px_max=10**6
    )
    assert settlement.settlement_price(ins) == price

"""The liquidation price moves the way a trader expects: further off with less leverage and more margin."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.specification import Instrument
from ringfence.instruments.value import (
    maintenance_margin,
    order_value,
    position_margin,
    ticks_of_value,
    value_of_gain,
)
from ringfence.testing.play import START_NS

CONTRACTS = [instrument for instrument in start_instruments(START_NS) if instrument.is_contract]


def distance(
    of: Instrument, *, lots: int, long: bool, px: int, leverage: int, transferred: int, tier: int
) -> int:
    """Return how many ticks the price can move against an isolated position; the whole ladder if without end."""
    qty = lots * of.lot_size * (1 if long else -1)
    cost = order_value(of, px, abs(qty)) * (1 if long else -1)
    settings = {"cost": cost, "tier": tier, "leverage_hundredths": leverage}
    margin = position_margin(of, transferred=transferred, **settings)
    gain = maintenance_margin(of, **settings) - margin
    ticks = ticks_of_value(of, qty=qty, value=value_of_gain(of, cost=cost, gain=gain))
    if ticks is None:
        return of.px_ticks_max
    return min(max(px - ticks if long else ticks - px, -of.px_ticks_max), of.px_ticks_max)


@given(
    of=st.sampled_from(CONTRACTS), lots=st.integers(1, 10_000), long=st.booleans(),
    px=st.integers(1_000, 200_000), leverages=st.lists(st.integers(100, 10_000), min_size=2, max_size=2),
    transfers=st.lists(st.integers(0, 10**9), min_size=2, max_size=2), tier=st.integers(0, 5),
)  # fmt: skip
def test_less_leverage_and_more_margin_never_bring_it_nearer(
    of: Instrument, lots: int, long: bool, px: int, leverages: list[int], transfers: list[int], tier: int
) -> None:
    low, high = sorted(leverages)
    little, much = sorted(transfers)
    same = {"lots": lots, "long": long, "px": px, "tier": tier}
    assert distance(of, leverage=low, transferred=little, **same) >= distance(
        of, leverage=high, transferred=little, **same
    )
    assert distance(of, leverage=high, transferred=much, **same) >= distance(
        of, leverage=high, transferred=little, **same
    )

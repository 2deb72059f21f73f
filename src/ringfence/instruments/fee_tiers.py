"""Who trades more pays less: the tiers of fees, the one home of their figures.

The tier follows from what an account traded in thirty whole days, in US dollars, spot and contracts
together. The discount is off the taker and maker fee; rebates are left alone.
"""

from typing import NamedTuple

from ringfence.messages.commands import VenueParameter

VOLUME_DAYS = 30


class FeeTier(NamedTuple):
    number: int
    usd_min: int
    """Traded in thirty days."""
    discount_percent: int


FEE_TIERS: tuple[FeeTier, ...] = (
    FeeTier(1, 1_000_000, 5), FeeTier(2, 10_000_000, 10), FeeTier(3, 50_000_000, 20),
    FeeTier(4, 250_000_000, 30), FeeTier(5, 1_000_000_000, 40), FeeTier(6, 5_000_000_000, 50),
)  # fmt: skip
"""Tier 0 is everybody else: the list price."""
assert [tier.number for tier in FEE_TIERS] == list(range(1, 7))


def tier_of(traded_cents: int) -> int:
    """Return the tier of an account that traded so many US cents in thirty days."""
    return max((tier.number for tier in FEE_TIERS if traded_cents >= tier.usd_min * 100), default=0)


def venue_discounts() -> tuple[tuple[VenueParameter, int], ...]:
    """Return what a new venue is configured with."""
    first = VenueParameter.FEE_DISCOUNT_1
    return tuple((VenueParameter(first + tier.number - 1), tier.discount_percent) for tier in FEE_TIERS)

"""Who is who in the custody that `ringfence up` founds, and its first policy: for coins that are worth nothing."""

import msgspec

from ringfence.custody.intents import Kind
from ringfence.custody.nomination import Role
from ringfence.custody.policy import Policy
from ringfence.custody.policy.policy import Tier, Window
from ringfence.custody.wallets.owners import Owner
from ringfence.units.assets import Asset

XBT = 10**8
PLACES = {
    "ops-1": (Role.OPERATIONS, "alpha", "zurich"), "ops-2": (Role.OPERATIONS, "beta", "singapore"),
    "ops-3": (Role.OPERATIONS, "gamma", "toronto"), "policy-1": (Role.POLICY, "delta", "oslo"),
    "policy-2": (Role.POLICY, "epsilon", "lisbon"),
}  # fmt: skip
PEOPLE = {"custody-anna": "operations", "custody-bert": "risk"}
CLIENTS_KEYS = 48
"""Of each co-signer: for as many deposit addresses, and for the change of as many payments."""


def sizes(clients: int) -> dict[str, tuple[int, int]]:
    """Return how many keys each token has, for receiving and for change, by owner."""
    return {Owner.CLIENTS.text: (clients, clients), Owner.INSURANCE.text: (4, 4), Owner.COMPANY.text: (4, 4)}


FIRST_POLICY = Policy(
    version=1, chain="regtest", kinds=(Kind.WITHDRAWAL, Kind.REFILL), asset="XBt", cap=100 * XBT,
    per_account=(Window(24, 200 * XBT, 100),), per_destination=(Window(24, 200 * XBT, 100),),
    whole_exchange=(Window(1, 500 * XBT, 500), Window(24, 2_000 * XBT, 5_000)), wallet_share_ppm=900_000,
    allow_list_delay_hours=0, first_use_cap=10 * XBT,
    unsigned_max=50 * XBT, unsigned=(Window(24, 500 * XBT, 1_000),),
    tiers=(Tier(0, 0, 0, 0), Tier(20 * XBT, 1, 1, 0), Tier(50 * XBT, 2, 2, 0)),
    closed_hours_utc=(), fee_max=2_000_000, fee_ppm_max=100_000, fee_rate_times_max=20, hot_max=5 * XBT,
    approval_minutes_max=60, evidence_seconds_max=60, cool_down_hours=0, reconciled_minutes_max=10,
    change_delay_hours=24,
)  # fmt: skip
"""For coins that are worth nothing: wide, without delays."""


def first_policy(asset: Asset, *, chain: str, coins: int, fee_max: int) -> Policy:
    """Return the same for another asset: `coins` whole ones are as much as one XBT, fees in the chain's own unit."""
    one = coins * 10**asset.scale

    def windows(of: tuple[Window, ...]) -> tuple[Window, ...]:
        return tuple(Window(each.hours, each.amount // XBT * one, each.count) for each in of)

    first = FIRST_POLICY
    return msgspec.structs.replace(
        first, chain=chain, asset=asset.currency, kinds=(Kind.WITHDRAWAL, Kind.SWEEP), cap=100 * one,
        per_account=windows(first.per_account), per_destination=windows(first.per_destination),
        whole_exchange=windows(first.whole_exchange), first_use_cap=10 * one, unsigned_max=50 * one,
        unsigned=windows(first.unsigned),
        tiers=tuple(Tier(t.from_amount // XBT * one, t.approvers, t.groups, t.wait_hours) for t in first.tiers),
        wallet_share_ppm=1_000_000, fee_max=fee_max,
    )  # fmt: skip


def hot_policy(chain: str) -> Policy:
    """Return that of the hot wallet: small payments, which no people look at."""
    return msgspec.structs.replace(
        FIRST_POLICY, chain=chain, kinds=(Kind.WITHDRAWAL,), cap=XBT, tiers=(Tier(0, 0, 0, 0),),
        wallet_share_ppm=1_000_000,
    )  # fmt: skip

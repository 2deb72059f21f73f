"""Who is who in the custody that `ringfence up` founds, and its first policy: for coins that are worth nothing."""

from ringfence.custody.intents import Kind
from ringfence.custody.nomination import Role
from ringfence.custody.policy import Policy
from ringfence.custody.policy.policy import Tier, Window
from ringfence.custody.wallets.owners import Owner

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
    version=1, chain="regtest", kinds=(Kind.WITHDRAWAL,), assets=("XBt",), cap_sats=100 * XBT,
    per_account=(Window(24, 200 * XBT, 100),), per_destination=(Window(24, 200 * XBT, 100),),
    whole_exchange=(Window(1, 500 * XBT, 500), Window(24, 2_000 * XBT, 5_000)), wallet_share_ppm=900_000,
    allow_list_delay_hours=0, first_use_cap_sats=10 * XBT,
    unsigned_sats_max=50 * XBT, unsigned=(Window(24, 500 * XBT, 1_000),),
    tiers=(Tier(0, 0, 0, 0), Tier(20 * XBT, 1, 1, 0), Tier(50 * XBT, 2, 2, 0)),
    closed_hours_utc=(), fee_sats_max=2_000_000, fee_ppm_max=100_000, fee_rate_times_max=20, hot_sats_max=0,
    approval_minutes_max=60, evidence_seconds_max=60, cool_down_hours=0, reconciled_minutes_max=10,
    change_delay_hours=24,
)  # fmt: skip
"""For coins that are worth nothing: wide, without delays."""

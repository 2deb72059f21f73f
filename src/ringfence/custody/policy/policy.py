"""The policy document: the numbers of all rules, in a version that a quorum has signed.

A new version is signed by two people of different roles and comes into force after a delay, unless it only
tightens. Tightening is what anybody on the list may do alone, at once.
"""

import hashlib
from typing import Any, NamedTuple

import msgspec

NS_PER_HOUR = 3600 * 10**9


class PolicyError(ValueError):
    """This policy is not in force. Nothing is signed under it."""


class Window(msgspec.Struct, frozen=True):
    """At most so much and so many within a sliding time."""

    hours: int
    amount: int
    count: int


class Tier(msgspec.Struct, frozen=True):
    """From an amount on: who must approve, and how long it waits."""

    from_amount: int
    approvers: int
    groups: int
    """From at least so many different groups."""
    wait_hours: int


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The numbers for one asset, in its smallest ledger unit; shares in ppm."""

    version: int
    chain: str
    kinds: tuple[str, ...]
    asset: str
    cap: int
    per_account: tuple[Window, ...]
    per_destination: tuple[Window, ...]
    whole_exchange: tuple[Window, ...]
    wallet_share_ppm: int
    allow_list_delay_hours: int
    first_use_cap: int
    unsigned_max: int
    """How much leaves an account that has no withdrawal key, without people looking."""
    unsigned: tuple[Window, ...]
    """The same for all such accounts together."""
    tiers: tuple[Tier, ...]
    """Ascending by amount; the first begins at 0."""
    closed_hours_utc: tuple[int, ...]
    """Hours of the day in which nothing is signed."""
    fee_max: int
    """Of a transaction, in the ledger unit of what the chain takes fees in."""
    fee_ppm_max: int
    fee_rate_times_max: int
    """No fee of more than so many times what it would be by the own node."""
    hot_max: int
    approval_minutes_max: int
    evidence_seconds_max: int
    cool_down_hours: int
    reconciled_minutes_max: int
    change_delay_hours: int
    housekeeper: int = 0
    """The account of the company's that pays for making few coins of many, by withdrawing to a deposit address."""

    @property
    def digest(self) -> str:
        return hashlib.blake2b(msgspec.json.encode(self, order="sorted"), digest_size=32).hexdigest()


class SignedPolicy(msgspec.Struct, frozen=True):
    """A policy with who has signed its digest, and when it was put before the co-signers."""

    policy: Policy
    signers: tuple[tuple[str, str], ...]
    """(person, role), each signature checked by whoever built this."""
    announced_ns: int


class Amendment(NamedTuple):
    """What a new version changes."""

    loosens: tuple[str, ...]
    tightens: tuple[str, ...]


_LOWER_IS_TIGHTER = (
    "cap", "wallet_share_ppm", "first_use_cap", "unsigned_max", "fee_max", "fee_ppm_max",
    "fee_rate_times_max", "hot_max", "approval_minutes_max", "evidence_seconds_max", "reconciled_minutes_max",
)  # fmt: skip
_HIGHER_IS_TIGHTER = ("allow_list_delay_hours", "cool_down_hours", "change_delay_hours")
_LESS_IS_TIGHTER = ("kinds",)
_MORE_IS_TIGHTER = ("closed_hours_utc",)
_WINDOWS = ("per_account", "per_destination", "whole_exchange", "unsigned")


def compare(old: Policy, new: Policy) -> Amendment:
    """Return what becomes looser and what tighter; what cannot be told counts as looser."""
    loosens: list[str] = []
    tightens: list[str] = []
    for name in Policy.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before == after or name == "version":
            continue
        (tightens if _is_tighter(name, before, after) else loosens).append(name)
    return Amendment(tuple(loosens), tuple(tightens))


def _is_tighter(name: str, before: Any, after: Any) -> bool:
    if name in _LOWER_IS_TIGHTER:
        return bool(after < before)
    if name in _HIGHER_IS_TIGHTER:
        return bool(after > before)
    if name in _LESS_IS_TIGHTER:
        return set(after) < set(before)
    if name in _MORE_IS_TIGHTER:
        return set(after) > set(before)
    if name in _WINDOWS:
        return all(any(_covers(new, old) for new in after) for old in before)
    if name == "tiers":
        return _tiers_tighter(before, after)
    return False


def _covers(new: Window, old: Window) -> bool:
    """Return whether a window stops everything that another one stops."""
    return new.hours >= old.hours and new.amount <= old.amount and new.count <= old.count


def _tiers_tighter(before: tuple[Tier, ...], after: tuple[Tier, ...]) -> bool:
    """Return whether at every amount at least as many must approve, from as many groups, after as long a wait."""
    amounts = sorted({tier.from_amount for tier in before + after})
    for amount in amounts:
        old, new = tier_of(before, amount), tier_of(after, amount)
        if (new.approvers, new.groups, new.wait_hours) != (
            max(old.approvers, new.approvers), max(old.groups, new.groups), max(old.wait_hours, new.wait_hours),
        ):  # fmt: skip
            return False
    return True


def tier_of(tiers: tuple[Tier, ...], amount: int) -> Tier:
    """Return the tier of an amount. Raises PolicyError if none begins at or below it."""
    found = [tier for tier in tiers if tier.from_amount <= amount]
    if not found:
        raise PolicyError(f"no tier holds {amount}")
    return max(found, key=lambda tier: tier.from_amount)


def check_change(old: Policy, new: SignedPolicy, *, now_ns: int) -> None:
    """Return if a new version may come into force now. Raises PolicyError.

    Two people of different roles sign what loosens anything, and it waits for the delay of the old version; one person
    is enough for what only tightens.
    """
    policy = new.policy
    if policy.version != old.version + 1:
        raise PolicyError(f"version {policy.version} cannot follow version {old.version}")
    if (policy.chain, policy.asset) != (old.chain, old.asset):
        raise PolicyError("a policy does not move to another chain or asset")
    if not policy.tiers or policy.tiers[0].from_amount != 0:
        raise PolicyError("the first tier must begin at 0")
    people, roles = {person for person, _ in new.signers}, {role for _, role in new.signers}
    if not people:
        raise PolicyError("nobody has signed it")
    loosens = compare(old, policy).loosens
    if not loosens:
        return
    if len(people) < 2 or len(roles) < 2:
        raise PolicyError(f"it loosens {', '.join(loosens)}: two people of different roles must sign")
    waited = now_ns - new.announced_ns
    if waited < old.change_delay_hours * NS_PER_HOUR:
        raise PolicyError(
            f"it loosens {', '.join(loosens)}: it comes into force {old.change_delay_hours} h later"
        )

"""What a chain of accounts holds of ours, and how much of it the ledger explains; to the chain's smallest unit.

    held = credited - left                            what the ledger says that the chain holds
         + what has come in and is credited to nobody yet, and what of a deposit is below the ledger's unit
         + what the company has paid in for fees, less the fees that no client pays
         - payments that have left the chain and that the ledger has not closed
         + what closed payments were charged beyond what they took: fees are rounded up

Nobody is believed but the chain and the ledger: a payment is explained if a withdrawal of the ledger asked for exactly
it, once. Every co-signer and the auditor work this out for themselves; the coordinator does too, from what it has sent.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ringfence.custody.chains.accounts import AccountFollower, AccountRoom, Leg, Spent
from ringfence.custody.ledger import Ledger, Withdrawal
from ringfence.units.assets import BY_CURRENCY
from ringfence.units.rounding import ceil_div


class Explained(NamedTuple):
    """Of one asset, in the chain's smallest unit."""

    held: int
    """By everything that has come and gone."""
    backed: int
    """What the ledger says: credited less left."""
    uncredited: int
    """What has come to deposit addresses and is credited to nobody yet, crumbs below the ledger's unit included."""
    company: int
    """What the company has paid in for fees, less those that no client pays; below zero if it has not paid enough."""
    unclosed: int
    """What payments have taken that the ledger has not closed yet."""
    overcharged: int
    """What closed payments were charged beyond what they took: fees are rounded up to the ledger's unit."""
    unexplained: tuple[str, ...]
    """Transactions that have taken what no withdrawal has asked for."""

    @property
    def difference(self) -> int:
        """Return what is there less what ought to be; not zero means that something is missing, or was made."""
        known = self.uncredited + self.company - self.unclosed + self.overcharged
        return self.held - self.backed - known


class _Asked(NamedTuple):
    """A payment that the ledger knows."""

    to: str
    raw: int


def explain(
    follower: AccountFollower, room: AccountRoom, ledger: Ledger, asset: str, *, factor: int
) -> Explained:
    """Hold what the chain has done to an asset of ours against the ledger."""
    number = BY_CURRENCY[asset].number
    is_native = asset == room.native
    credited, uncredited, company = ledger.credited, 0, 0
    for one in follower.received.values():
        if one.asset != asset:
            continue
        if room.number_of(one.address) == 0:
            company += one.raw
        else:
            uncredited += one.raw - credited.get(one.outpoint, 0) * factor
    withdrawals = [one for one in ledger.withdrawals.values() if one.asset == number]
    closed = {one.txid: one for one in withdrawals if one.left}
    asked = _open_payments(withdrawals, factor)
    overcharged = sum(one.left for one in withdrawals) * factor
    unclosed, unexplained = 0, []
    for spent in follower.spent.values():
        leaving = [leg for leg in spent.legs if leg.asset == asset and room.number_of(leg.to) is None]
        taken = sum(leg.raw for leg in leaving)
        fee = spent.fee_raw if is_native else 0
        if spent.txid in closed and _is_of(closed[spent.txid], spent, leaving, factor):
            overcharged -= taken + fee
        elif not leaving:
            company -= fee
        elif _is_asked(leaving, asked):
            unclosed += taken + fee
        else:
            unexplained.append(spent.txid)
            company -= fee
    return Explained(
        follower.total(asset), ledger.backed.get(number, 0) * factor, uncredited, company, unclosed, overcharged,
        tuple(unexplained),
    )  # fmt: skip


def _is_of(one: Withdrawal, spent: Spent, leaving: list[Leg], factor: int) -> bool:
    """Return whether a transaction has paid a withdrawal, or has failed to; who closes it may name any other."""
    if not leaving:
        return spent.is_failed
    assert one.wish is not None
    return [leg[1:] for leg in leaving] == [(one.wish.address, leaving[0].asset, one.wish.amount * factor)]


def _open_payments(withdrawals: Iterable[Withdrawal], factor: int) -> "Counter[_Asked]":
    return Counter(
        _Asked(one.wish.address, one.wish.amount * factor)
        for one in withdrawals
        if one.wish is not None and one.locked and not one.left
    )


def _is_asked(leaving: list[Leg], asked: "Counter[_Asked]") -> bool:
    """Return whether a withdrawal has asked for exactly this; it explains one payment."""
    if len(leaving) != 1:
        return False
    what = _Asked(leaving[0].to, leaving[0].raw)
    if not asked[what]:
        return False
    asked[what] -= 1
    return True


def charged(spent: Spent, asset: str, *, native: str, factor: int) -> int:
    """Return what the owner of a payment is charged, in ledger units: what it has moved, and the fee if that is taken
    in the same asset; rounded up."""
    moved = sum(leg.raw for leg in spent.legs if leg.asset == asset)
    return ceil_div(moved + (spent.fee_raw if asset == native else 0), factor)

"""From the ledger to the policy: what clients have said and signed."""

from ringfence.custody.ledger import Ledger, Withdrawal
from ringfence.custody.policy.facts import ClientFacts, Unsigned


def client_facts(ledger: Ledger, asset: int) -> ClientFacts:
    """Return what the ledger says of clients and of the withdrawals of one asset."""
    asked = [one for one in ledger.withdrawals.values() if one.asset == asset and one.wish is not None]
    return ClientFacts(
        clients={str(one.number): one.standing for one in asked if one.standing is not None},
        unsigned=tuple(_unsigned(one) for one in asked if _is_unsigned(one) and (one.locked or one.left)),
    )


def _unsigned(one: Withdrawal) -> Unsigned:
    assert one.wish is not None
    return Unsigned(str(one.number), one.asked_ns, one.wish.amount)


def _is_unsigned(one: Withdrawal) -> bool:
    """Return whether the gateway's word is all that stands behind it."""
    return one.standing is not None and one.standing.is_signed is not False and not one.standing.is_trusted

"""P9: No client is paid to an address of ours, and none that screening objects to.

The company's housekeeper may pay to a deposit address: it is credited again, and pays the fee for making few coins of
many. Never to an address for change, which nobody would be credited for.
"""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    intent = case.intent
    own = known(case.facts.own_addresses, "our own addresses")
    if intent.kind != Kind.WITHDRAWAL:
        return intent.destination in own, "own coins go to an own address only"
    if intent.destination in own:
        if intent.account != case.policy.housekeeper or not intent.account:
            return False, "a client would be paid to an address of ours"
        outputs = known(case.facts.transaction, "the transaction").outputs
        is_deposit = [not one.owner for one in outputs if one.address == intent.destination]
        return all(is_deposit), "the housekeeper pays to a deposit address, and to none for change"
    screened = known(case.facts.screened, "the screening").get(intent.destination)
    return (
        screened is True,
        "screening has nothing against it" if screened else "screening has not cleared it",
    )


RULE = Rule("P9", "No client is paid to an address of ours, and none that screening objects to.", _look)

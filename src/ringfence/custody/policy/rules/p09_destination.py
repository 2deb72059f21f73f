"""P9: No client is paid to an address of ours, and none that screening objects to."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    intent = case.intent
    own = known(case.facts.own_addresses, "our own addresses")
    if intent.kind != Kind.WITHDRAWAL:
        return intent.destination in own, "own coins go to an own address only"
    if intent.destination in own:
        return False, "a client would be paid to an address of ours"
    screened = known(case.facts.screened, "the screening").get(intent.destination)
    return (
        screened is True,
        "screening has nothing against it" if screened else "screening has not cleared it",
    )


RULE = Rule("P9", "No client is paid to an address of ours, and none that screening objects to.", _look)

"""P5: The first movement to a destination is small."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    signed, intent = known(case.facts.signed, "what was signed before"), case.intent
    used = any(one.destination == intent.destination and one.id != intent.id for one in signed)
    cap = case.policy.first_use_cap
    if used or intent.kind != Kind.WITHDRAWAL:
        return True, "the destination is known"
    return (
        intent.amount <= cap,
        f"{intent.amount} {case.intent.asset} to a new destination, {cap} are allowed",
    )


RULE = Rule("P5", "The first movement to a destination is small.", _look)

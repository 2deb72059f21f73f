"""P20: The hot wallet is filled no higher than its ceiling."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.REFILL:
        return True, "no refill"
    after = known(case.facts.hot, "what the hot wallet holds") + case.intent.amount
    return (
        after <= case.policy.hot_max,
        f"{after} {case.intent.asset} would be hot, {case.policy.hot_max} may be",
    )


RULE = Rule("P20", "The hot wallet is filled no higher than its ceiling.", _look)

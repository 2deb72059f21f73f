"""P25: The HSMs of the others have shown lately that nobody has touched them."""

from ringfence.custody.policy.rule import Case, Rule, known
from ringfence.units.time import NS_PER_SECOND


def _look(case: Case) -> tuple[bool, str]:
    seconds = known(case.facts.evidence_age_ns, "the evidence of the other HSMs") // NS_PER_SECOND
    limit = case.policy.evidence_seconds_max
    return 0 <= seconds <= limit, f"the oldest evidence is {seconds} s old, {limit} s are allowed"


RULE = Rule("P25", "The HSMs of the others have shown lately that nobody has touched them.", _look)

"""P1: No movement is larger than the cap."""

from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    amount, cap = case.intent.amount, case.policy.cap
    return 0 < amount <= cap, f"{amount} {case.intent.asset}, the cap is {cap}"


RULE = Rule("P1", "No movement is larger than the cap.", _look)

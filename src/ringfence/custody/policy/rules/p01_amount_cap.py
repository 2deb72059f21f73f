"""P1: No movement is larger than the cap."""

from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    amount, cap = case.intent.amount_sats, case.policy.cap_sats
    return 0 < amount <= cap, f"{amount} sats, the cap is {cap}"


RULE = Rule("P1", "No movement is larger than the cap.", _look)

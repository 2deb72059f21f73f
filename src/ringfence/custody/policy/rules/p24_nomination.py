"""P24: Only who was nominated for this batch signs it."""

from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    nominated = known(case.facts.nominated, "who was nominated")
    return case.facts.me in nominated, f"nominated are {', '.join(sorted(nominated))}"


RULE = Rule("P24", "Only who was nominated for this batch signs it.", _look)

"""P28: Nothing moves from an account on which there is a hold."""

from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    held = known(case.facts.held_accounts, "holds on accounts")
    return case.intent.account not in held, f"account {case.intent.account}"


RULE = Rule("P28", "Nothing moves from an account on which there is a hold.", _look)

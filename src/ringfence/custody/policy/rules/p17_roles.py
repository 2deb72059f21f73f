"""P17: Who asks, who approves and who signs are different people."""

from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    people = [case.intent.requested_by, *(one.person for one in case.approvals)]
    if case.facts.me in people:
        return False, f"{case.facts.me} asks or approves, and signs"
    return len(set(people)) == len(people), f"{len(set(people))} people in {len(people)} parts"


RULE = Rule("P17", "Who asks, who approves and who signs are different people.", _look)

"""P27: After a change of its withdrawal key an account waits."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.WITHDRAWAL:
        return True, "no client's movement"
    standing = known(case.facts.clients, "changes of keys").get(case.intent.id)
    if standing is None:
        return False, f"nothing is known of the client of {case.intent.id}"
    changed = standing.key_changed_ns
    if changed is None:
        return True, "the account has no withdrawal key"
    hours, needed = (case.facts.now_ns - changed) // NS_PER_HOUR, case.policy.cool_down_hours
    return hours >= needed, f"the withdrawal key was changed {hours} h ago, {needed} h are needed"


RULE = Rule("P27", "After a change of its withdrawal key an account waits.", _look)

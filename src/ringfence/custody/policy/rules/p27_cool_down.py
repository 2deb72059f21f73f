"""P27: After a change of password, second factor, e-mail or list an account waits."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.WITHDRAWAL:
        return True, "no client's movement"
    changed = known(case.facts.account_changed_ns, "changes of accounts").get(case.intent.account)
    if changed is None:
        return True, "nothing was changed"
    hours, needed = (case.facts.now_ns - changed) // NS_PER_HOUR, case.policy.cool_down_hours
    return hours >= needed, f"something was changed {hours} h ago, {needed} h are needed"


RULE = Rule("P27", "After a change of password, second factor, e-mail or list an account waits.", _look)

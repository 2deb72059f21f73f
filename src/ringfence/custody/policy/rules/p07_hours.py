"""P7: Nothing is signed in the hours that are closed."""

from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    hour = case.facts.now_ns // NS_PER_HOUR % 24
    return hour not in case.policy.closed_hours_utc, f"it is {hour} o'clock UTC"


RULE = Rule("P7", "Nothing is signed in the hours that are closed.", _look)

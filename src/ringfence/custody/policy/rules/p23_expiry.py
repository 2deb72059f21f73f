"""P23: Intent and approvals are fresh, and approve this very movement."""

from ringfence.custody.policy.rule import Case, Rule
from ringfence.units.time import NS_PER_MINUTE


def _look(case: Case) -> tuple[bool, str]:
    intent, now = case.intent, case.facts.now_ns
    if not intent.requested_ns <= now < intent.expires_ns:
        return False, "the intent is not valid now"
    strange = [one.person for one in case.approvals if one.digest != intent.digest]
    if strange:
        return False, f"{', '.join(strange)} approved something else"
    limit = case.policy.approval_minutes_max * NS_PER_MINUTE
    stale = [one.person for one in case.approvals if not 0 <= now - one.at_ns <= limit]
    return not stale, f"the approval of {', '.join(stale)} is too old" if stale else "all fresh"


RULE = Rule("P23", "Intent and approvals are fresh, and approve this very movement.", _look)

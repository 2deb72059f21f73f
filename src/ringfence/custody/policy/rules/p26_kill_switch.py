"""P26: Nothing is signed while signing is frozen or chain and ledger disagree."""

from ringfence.custody.policy.rule import Case, Rule, known
from ringfence.units.time import NS_PER_MINUTE


def _look(case: Case) -> tuple[bool, str]:
    if known(case.facts.is_frozen, "whether signing is frozen"):
        return False, "signing is frozen"
    since = case.facts.now_ns - known(case.facts.last_reconciled_ns, "when chain and ledger agreed last")
    minutes, limit = since // NS_PER_MINUTE, case.policy.reconciled_minutes_max
    return 0 <= minutes <= limit, f"chain and ledger agreed {minutes} min ago, {limit} min are allowed"


RULE = Rule(
    "P26",
    "Nothing is signed while signing is frozen or chain and ledger disagree.",
    _look,
)

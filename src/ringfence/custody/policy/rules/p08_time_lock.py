"""P8: A large movement waits, so that somebody can stop it."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import NS_PER_HOUR, tier_of
from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.WITHDRAWAL:
        return True, "nothing leaves the wallet"
    tier = tier_of(case.policy.tiers, case.intent.amount)
    waited = (case.facts.now_ns - case.intent.requested_ns) // NS_PER_HOUR
    return waited >= tier.wait_hours, f"asked for {waited} h ago, {tier.wait_hours} h are needed"


RULE = Rule("P8", "A large movement waits, so that somebody can stop it.", _look)

"""P10: Only kinds of movement, the asset and the chain that the policy names."""

from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    intent, policy = case.intent, case.policy
    named = intent.kind in policy.kinds and intent.asset == policy.asset and intent.chain == policy.chain
    return named, f"{intent.kind} of {intent.asset} on {intent.chain}"


RULE = Rule("P10", "Only kinds of movement, the asset and the chain that the policy names.", _look)

"""P6: From each amount on as many people of as many groups approve, and never who asked for it."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import tier_of
from ringfence.custody.policy.rule import Case, Rule


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.WITHDRAWAL:
        return True, "nothing leaves the wallet"
    intent, tier = case.intent, tier_of(case.policy.tiers, case.intent.amount)
    valid = {one.person: one.group for one in case.approvals if one.digest == intent.digest}
    valid.pop(intent.requested_by, None)
    groups = len(set(valid.values()))
    enough = len(valid) >= tier.approvers and groups >= tier.groups
    wanted = f"{tier.approvers} people of {tier.groups} groups"
    return enough, f"{len(valid)} people of {groups} groups approve this very movement; {wanted} are needed"


RULE = Rule(
    "P6", "From each amount on as many people of as many groups approve, and never who asked for it.", _look
)

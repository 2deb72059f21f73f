"""P22: One intent, one payment: another transaction for it must use up what the first uses, if that can still come."""

from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    signed, intent = known(case.facts.signed, "what was signed before"), case.intent
    transaction = known(case.facts.transaction, "the transaction")
    before = [one for one in signed if one.id == intent.id]
    if not before:
        return True, "it was never signed"
    if any(one.intent != intent.digest for one in before):
        return False, "another movement was signed under this number"
    dead = known(case.facts.dead, "what can never confirm any more")
    conflicts = all(set(one.inputs) & ({*transaction.inputs} | dead) for one in before)
    return (
        conflicts,
        "it replaces the one before" if conflicts else "both could confirm: it would be paid twice",
    )


RULE = Rule(
    "P22",
    "One intent, one payment: another transaction must use up what the first uses, if that can still come.",
    _look,
)

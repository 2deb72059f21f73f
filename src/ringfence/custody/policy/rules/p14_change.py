"""P14: Every output pays an intent or comes back to the same owner."""

from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    transaction, intent = known(case.facts.transaction, "the transaction"), case.intent
    if set(transaction.input_owners) != {intent.owner}:
        return False, f"the inputs belong to {', '.join(sorted(set(transaction.input_owners))) or 'nobody'}"
    strange = [
        output
        for output in transaction.outputs
        if output.owner != intent.owner and output.address not in case.paid | {intent.destination}
    ]
    where = ", ".join(
        f"{one.amount} {case.intent.asset} to {one.address or 'a strange script'}" for one in strange
    )
    return not strange, where or "every output pays an intent or comes back"


RULE = Rule("P14", "Every output pays an intent or comes back to the same owner.", _look)

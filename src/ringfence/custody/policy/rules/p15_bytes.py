"""P15: The bytes pay exactly what the intent says: the amount, once, to its destination."""

from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    transaction, intent = known(case.facts.transaction, "the transaction"), case.intent
    paid = [one.amount for one in transaction.outputs if one.address == intent.destination]
    if transaction.sighash_types and set(transaction.sighash_types) - {0, 1}:
        return False, "a signature would not cover the whole transaction"
    right = paid.count(intent.amount) == 1 if case.paid else paid == [intent.amount]
    return right, f"{paid} {case.intent.asset} go to {intent.destination}, {intent.amount} were asked for"


RULE = Rule("P15", "The bytes pay exactly what the intent says: the amount, once, to its destination.", _look)

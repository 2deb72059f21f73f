"""P21: The ledger has set these coins aside, unpaid, and all that is owed is there."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    intent = case.intent
    assets, owed = known(case.facts.held, "assets"), known(case.facts.liabilities, "liabilities")
    if intent.kind != Kind.WITHDRAWAL:
        return assets >= owed, f"{assets} {case.intent.asset} held, {owed} owed"
    entry = known(case.facts.ledger, "the ledger").get(intent.id)
    if entry is None:
        return False, f"the ledger knows no withdrawal {intent.id}"
    said = (intent.account, intent.asset, intent.amount, intent.destination, "locked")
    if tuple(entry) != said:
        return False, f"the ledger has {tuple(entry)}, the intent says {said}"
    return assets >= owed, f"{assets} {case.intent.asset} held, {owed} owed afterwards"


RULE = Rule(
    "P21",
    "The ledger has set these coins aside, unpaid, and all that is owed is there.",
    _look,
)

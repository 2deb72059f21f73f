"""P3: No movement takes more than its share of a wallet."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known
from ringfence.units.rounding import PPM


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.WITHDRAWAL:
        return True, "it stays in the wallet"
    wallet = known(case.facts.wallet, "what the wallet holds")
    limit = wallet * case.policy.wallet_share_ppm // PPM
    return (
        case.intent.amount <= limit,
        f"{case.intent.amount} {case.intent.asset}, {limit} of {wallet} may go at once",
    )


RULE = Rule("P3", "No movement takes more than its share of a wallet.", _look)

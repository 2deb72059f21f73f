"""P3: No movement takes more than its share of a wallet."""

from ringfence.custody.policy.rule import Case, Rule, known
from ringfence.units.rounding import PPM


def _look(case: Case) -> tuple[bool, str]:
    wallet = known(case.facts.wallet_sats, "what the wallet holds")
    limit = wallet * case.policy.wallet_share_ppm // PPM
    return (
        case.intent.amount_sats <= limit,
        f"{case.intent.amount_sats} sats, {limit} of {wallet} may go at once",
    )


RULE = Rule("P3", "No movement takes more than its share of a wallet.", _look)

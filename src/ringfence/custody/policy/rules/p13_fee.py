"""P13: The fee stays below its caps, and the rate near what the own node says."""

from ringfence.custody.policy.rule import Case, Rule, known
from ringfence.units.rounding import PPM, ceil_div


def _look(case: Case) -> tuple[bool, str]:
    transaction, policy = known(case.facts.transaction, "the transaction"), case.policy
    rate = known(case.facts.fee_rate_sats_per_kvb, "the fee rate")
    fee, amount = transaction.fee_sats, sum(output.amount_sats for output in transaction.outputs)
    # A small payment may cost more than its share, as long as the rate is what a confirmation costs, rounded up as
    # whoever builds the transaction rounds it.
    at_rate = rate * transaction.vsize * policy.fee_rate_times_max // 1000
    caps = {
        "the policy's cap": policy.fee_sats_max,
        "the intent's cap": case.intent.fee_sats_max,
        f"{policy.fee_rate_times_max} times the node's rate": at_rate,
        "its share": max(amount * policy.fee_ppm_max // PPM, ceil_div(rate * transaction.vsize, 1000)),
    }
    over = [f"{what} of {cap}" for what, cap in caps.items() if fee > cap]
    return fee >= 0 and not over, f"a fee of {fee} sats" + (f", over {', '.join(over)}" if over else "")


RULE = Rule("P13", "The fee stays below its caps, and the rate near what the own node says.", _look)

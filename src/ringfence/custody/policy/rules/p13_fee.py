"""P13: The fee stays below its caps and near what the own node says, and whoever pays it has it."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.rule import Case, Rule, known
from ringfence.units.rounding import PPM


def _look(case: Case) -> tuple[bool, str]:
    transaction, policy = known(case.facts.transaction, "the transaction"), case.policy
    due, fee = known(case.facts.fee_due, "what the network takes"), transaction.fee
    caps = {
        "the policy's cap": policy.fee_max,
        f"{policy.fee_rate_times_max} times what the node says": due * policy.fee_rate_times_max,
    }
    if case.intent.kind == Kind.WITHDRAWAL and transaction.fee_asset == case.intent.asset:
        amount = sum(output.amount for output in transaction.outputs)
        caps["the intent's cap"] = case.intent.fee_max
        # A small payment may cost more than its share, as long as it costs what a confirmation does.
        caps["its share"] = max(amount * policy.fee_ppm_max // PPM, due)
    else:
        caps["what the company has put aside for fees"] = known(case.facts.company_fees, "money for fees")
    over = [f"{what} of {cap}" for what, cap in caps.items() if fee > cap]
    said = f"a fee of {fee} {transaction.fee_asset}"
    return fee >= 0 and not over, said + (f", over {', '.join(over)}" if over else "")


RULE = Rule(
    "P13", "The fee stays below its caps and near what the own node says, and whoever pays it has it.", _look
)

"""P2: No account, no destination and not the whole exchange moves more than its windows allow."""

from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    signed, intent = known(case.facts.signed, "what was signed before"), case.intent
    policy = case.policy
    for what, windows, counts in (
        ("the account", policy.per_account, lambda one: one.account == intent.account),
        ("the destination", policy.per_destination, lambda one: one.destination == intent.destination),
        ("the exchange", policy.whole_exchange, lambda one: True),
    ):
        for window in windows:
            since = case.facts.now_ns - window.hours * NS_PER_HOUR
            # The same movement again, with a higher fee, is no second one.
            others = [one for one in signed if one.at_ns > since and counts(one) and one.id != intent.id]
            moved = sum({one.id: one.amount_sats for one in others}.values()) + intent.amount_sats
            count = len({one.id for one in others}) + 1
            if moved > window.sats or count > window.count:
                limits = f"{window.sats} sats and {window.count} movements in {window.hours} h"
                return (
                    False,
                    f"{what} would have moved {moved} sats in {count} movements; {limits} are allowed",
                )
    return True, "within every window"


RULE = Rule(
    "P2", "No account, no destination and not the whole exchange moves more than its windows allow.", _look
)

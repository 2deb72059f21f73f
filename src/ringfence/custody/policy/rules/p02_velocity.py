"""P2: No account, no destination and not the whole exchange moves more than its windows allow."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    signed, intent = known(case.facts.signed, "what was signed before"), case.intent
    policy = case.policy
    if intent.kind != Kind.WITHDRAWAL:
        return _within_count(case, [one.id for one in signed if not one.account and one.id != intent.id])
    for what, windows, counts in (
        ("the account", policy.per_account, lambda one: one.account == intent.account),
        ("the destination", policy.per_destination, lambda one: one.destination == intent.destination),
        ("the exchange", policy.whole_exchange, lambda one: bool(one.account)),
    ):
        for window in windows:
            since = case.facts.now_ns - window.hours * NS_PER_HOUR
            # The same movement again, with a higher fee, is no second one.
            others = [one for one in signed if one.at_ns > since and counts(one) and one.id != intent.id]
            moved = sum({one.id: one.amount for one in others}.values()) + intent.amount
            count = len({one.id for one in others}) + 1
            if moved > window.amount or count > window.count:
                limits = (
                    f"{window.amount} {case.intent.asset} and {window.count} movements in {window.hours} h"
                )
                return (
                    False,
                    f"{what} would have moved {moved} {case.intent.asset} in {count} movements; {limits} are allowed",
                )
    return True, "within every window"


def _within_count(case: Case, others: list[str]) -> tuple[bool, str]:
    """Coins that stay ours cost fees alone, so it is their number that is bounded: by the day's of the exchange."""
    most = max(window.count for window in case.policy.whole_exchange)
    return len(
        set(others)
    ) < most, f"{len(set(others))} movements between our own addresses, {most} are allowed"


RULE = Rule(
    "P2", "No account, no destination and not the whole exchange moves more than its windows allow.", _look
)

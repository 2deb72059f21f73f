"""P29: A client's own key signs each withdrawal; without a key little leaves, unless people look."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule, known

PEOPLE = 2


def _look(case: Case) -> tuple[bool, str]:
    intent = case.intent
    if intent.kind != Kind.WITHDRAWAL:
        return True, "no client's movement"
    standing = known(case.facts.clients, "what clients have signed").get(intent.id)
    if standing is None:
        return False, f"nothing is known of the client of {intent.id}"
    if standing.is_signed is False or standing.is_trusted:
        signed = bool(standing.is_signed)
        return signed, f"the key of account {intent.account} has {'' if signed else 'not '}signed it"
    too_much = _too_much(case)
    valid = {one.person: one.group for one in case.approvals if one.digest == intent.digest}
    if not too_much or (len(valid) >= PEOPLE and len(set(valid.values())) >= PEOPLE):
        return (
            True,
            too_much or f"account {intent.account} has no key that is trusted yet, and this is little",
        )
    why = f"account {intent.account} has no withdrawal key that is trusted yet"
    return False, f"{why}: {too_much}, or {PEOPLE} people of {PEOPLE} groups"


def _too_much(case: Case) -> str:
    """Return what an unsigned movement exceeds; in a window those count that were asked for before it."""
    amount, asked_ns, policy = case.intent.amount, case.intent.requested_ns, case.policy
    if amount > policy.unsigned_max:
        return f"{amount} {case.intent.asset}, {policy.unsigned_max} leave without one"
    others = known(case.facts.unsigned, "withdrawals without a signature")
    for window in policy.unsigned:
        since = case.facts.now_ns - window.hours * NS_PER_HOUR
        before = [
            one for one in others if one.at_ns > since and (one.at_ns, one.id) < (asked_ns, case.intent.id)
        ]
        total = sum(one.amount for one in before) + amount
        if total > window.amount or len(before) + 1 > window.count:
            return f"{total} {case.intent.asset} and {len(before) + 1} withdrawals without one in {window.hours} h"
    return ""


RULE = Rule(
    "P29",
    "A client's own key signs each withdrawal; without a key little leaves, unless people look.",
    _look,
)

"""P4: A client is paid where its list has named the destination for long enough."""

from ringfence.custody.intents import Kind
from ringfence.custody.policy.policy import NS_PER_HOUR
from ringfence.custody.policy.rule import Case, Rule, known


def _look(case: Case) -> tuple[bool, str]:
    if case.intent.kind != Kind.WITHDRAWAL:
        return True, "no client's movement"
    standing = known(case.facts.clients, "the lists of destinations").get(case.intent.id)
    since = standing.listed_since_ns if standing is not None else None
    if since is None:
        return False, f"{case.intent.destination} is not on the list of account {case.intent.account}"
    hours = (case.facts.now_ns - since) // NS_PER_HOUR
    needed = case.policy.allow_list_delay_hours
    return hours >= needed, f"on the list for {hours} h, {needed} h are needed"


RULE = Rule("P4", "A client is paid where its list has named the destination for long enough.", _look)

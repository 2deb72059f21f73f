"""All rules over one case. Nothing is allowed that any rule does not allow."""

from collections.abc import Sequence
from typing import NamedTuple

from ringfence.custody.intents import Approval, Intent
from ringfence.custody.policy.facts import ClientFacts, Facts
from ringfence.custody.policy.policy import Policy
from ringfence.custody.policy.rule import Case, Rule, Verdict
from ringfence.custody.policy.rules import RULES
from ringfence.units.time import NS_PER_MINUTE

_OF_PEOPLE_AND_TIME = ("P4", "P6", "P7", "P8", "P27", "P29")
"""Rules whose verdict changes by waiting; they look at no fact but the clock and what clients have said."""
OF_NOW = (*_OF_PEOPLE_AND_TIME, "P13", "P25", "P26")
"""Rules that deny for now, not for ever."""


class Decision(NamedTuple):
    allows: bool
    verdicts: tuple[Verdict, ...]
    policy: str
    """Digest of the policy that it was made under."""
    intent: str
    """Digest of what was decided about."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was denied, rule by rule."""
        return tuple(f"{one.rule}: {one.reason}" for one in self.verdicts if not one.allows)


def decide(case: Case, rules: Sequence[Rule] = RULES) -> Decision:
    """Return every rule's verdict. Without rules nothing is allowed."""
    verdicts = tuple(rule.verdict(case) for rule in rules)
    allows = bool(verdicts) and all(verdict.allows for verdict in verdicts)
    return Decision(allows, verdicts, case.policy.digest, case.intent.digest)


def is_fresh(approval: Approval, policy: Policy, *, now_ns: int) -> bool:
    """Return whether an approval still counts; one that does not is asked for again."""
    return 0 <= now_ns - approval.at_ns <= policy.approval_minutes_max * NS_PER_MINUTE


def waits_for(
    intent: Intent, approvals: Sequence[Approval], policy: Policy, clients: ClientFacts, *, now_ns: int
) -> str:
    """Return which people or which time a movement still waits for, empty if it can be put before the co-signers."""
    fresh = tuple(one for one in approvals if is_fresh(one, policy, now_ns=now_ns))
    unknown = Facts._make((now_ns, *[None] * (len(Facts._fields) - 1)))
    case = Case(intent, fresh, unknown._replace(**clients._asdict()), policy)
    verdicts = [rule.verdict(case) for rule in RULES if rule.id in _OF_PEOPLE_AND_TIME]
    return "; ".join(f"{one.rule}: {one.reason}" for one in verdicts if not one.allows)

"""All rules over one case. Nothing is allowed that any rule does not allow."""

from collections.abc import Sequence
from typing import NamedTuple

from ringfence.custody.policy.rule import Case, Rule, Verdict
from ringfence.custody.policy.rules import RULES


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

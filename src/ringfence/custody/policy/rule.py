"""What a rule is: one question about one movement, answered with a reason."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ringfence.custody.intents import Approval, Intent
from ringfence.custody.policy.facts import Facts
from ringfence.custody.policy.policy import Policy


class Verdict(NamedTuple):
    rule: str
    allows: bool
    reason: str
    """What was found, in one sentence, with the numbers."""


class Case(NamedTuple):
    """One movement, and all that may be held against it."""

    intent: Intent
    approvals: tuple[Approval, ...]
    facts: Facts
    policy: Policy
    paid: frozenset[str] = frozenset()
    """Destinations of all intents of the batch, if one transaction pays several."""


Fact = TypeVar("Fact")
Look = Callable[[Case], tuple[bool, str]]


class Rule(NamedTuple):
    """`look` returns whether it allows the movement, and why. It may raise: that denies."""

    id: str
    says: str
    look: Look

    def verdict(self, case: Case) -> Verdict:
        try:
            allows, reason = self.look(case)
        except MissingFactError as error:
            return Verdict(self.id, False, f"not known: {error}")
        except Exception as error:
            return Verdict(self.id, False, f"the rule failed: {type(error).__name__}: {error}")
        return Verdict(self.id, allows is True, reason)


class MissingFactError(Exception):
    """A fact that a rule needs is not known."""


def known(fact: Fact | None, name: str) -> Fact:
    """Return a fact. Raises MissingFactError if it is not known."""
    if fact is None:
        raise MissingFactError(name)
    return fact

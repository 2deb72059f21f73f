"""The policy: every rule looks at every movement, and the strictest verdict holds.

| module  | what is in it                                                                   |
|---------|---------------------------------------------------------------------------------|
| rule    | what a rule is; verdicts; the case that it looks at                              |
| facts   | what a co-signer knows by itself: its ledger, its chain, its log, its clock      |
| policy  | the numbers, in a document that a quorum signs                                   |
| rules/  | one rule a file, with a table of what it allows and denies                       |
| decide  | all rules over one case: default deny                                            |

Numbers are integers. A rule that fails, or that lacks a fact, denies; adding a rule never allows more.
"""

from ringfence.custody.policy.decide import OF_NOW, Decision, decide, is_fresh, waits_for
from ringfence.custody.policy.facts import (
    ClientFacts,
    DecodedTransaction,
    Facts,
    LedgerEntry,
    Output,
    Signed,
    Unsigned,
)
from ringfence.custody.policy.policy import Amendment, Policy, PolicyError, SignedPolicy, check_change
from ringfence.custody.policy.rule import Case, Rule, Verdict

__all__ = [
    "OF_NOW", "Amendment", "Case", "ClientFacts", "Decision", "DecodedTransaction", "Facts", "LedgerEntry", "Output",
    "Policy", "PolicyError", "Rule", "Signed", "SignedPolicy", "Unsigned", "Verdict", "check_change", "decide",
    "is_fresh", "waits_for",
]  # fmt: skip

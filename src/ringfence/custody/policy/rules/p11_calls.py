"""P11: No program of a chain is made to do anything but transfer."""

from ringfence.custody.policy.rule import Case, Rule, known

TRANSFERS = frozenset({"transfer", "transferWithSeed"})
"""Of ERC-20 and of Solana's system program. Approving, upgrading, owning and everything unknown is none of them."""


def _look(case: Case) -> tuple[bool, str]:
    calls = known(case.facts.transaction, "the transaction").calls
    strange = sorted(set(calls) - TRANSFERS)
    return (
        not strange,
        f"it calls {', '.join(strange)}" if strange else "coins move, and nothing else is called",
    )


RULE = Rule("P11", "No program of a chain is made to do anything but transfer.", _look)

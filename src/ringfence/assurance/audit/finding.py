"""What a judge says when a law is broken."""

from enum import StrEnum
from typing import NamedTuple


class Scope(StrEnum):
    """What has to stop. The halt machine knows the same words."""

    VENUE = "venue"
    CONTRACT = "contract"
    DEPOSITS = "deposits"
    WITHDRAWALS = "withdrawals"
    SIGNERS = "signers"


class Finding(NamedTuple):
    """A broken law: both values, and the cut at which they differ."""

    law: str
    scope: Scope
    sequence: int
    """Everything below it was looked at."""
    what: str
    expected: str
    found: str
    symbol: int = 0
    """The contract that has to stop, with Scope.CONTRACT."""

    def __str__(self) -> str:
        where = f" (contract {self.symbol})" if self.symbol else ""
        return (
            f"{self.law}{where} at sequence {self.sequence}: {self.what}: "
            f"expected {self.expected}, found {self.found}; halts {self.scope}"
        )

"""What a judge says when a law is broken."""

from typing import NamedTuple

from ringfence.messages.commands import ALL_ASSETS, HaltScope
from ringfence.messages.halts import Reason


class Finding(NamedTuple):
    """A broken law: both values, and the cut at which they differ."""

    law: str
    scope: HaltScope
    sequence: int
    """Everything below it was looked at."""
    what: str
    expected: str
    found: str
    symbol: int = -1
    """The contract, or the asset, that has to stop; -1 = all there are."""

    def reason(self, by: str, *, dump: str = "") -> Reason:
        """Return the evidence as it goes beside a HALT into the journal."""
        return Reason(
            by=by, what=self.what, law=self.law, expected=self.expected, found=self.found,
            cut=max(self.sequence, 0), dump=dump,
        )  # fmt: skip

    @property
    def halt_symbol(self) -> int:
        """What the HALT names: the contract, all assets, or nothing."""
        if self.scope in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS):
            return ALL_ASSETS if self.symbol < 0 else self.symbol
        return self.symbol if self.scope == HaltScope.CONTRACT else 0

    def __str__(self) -> str:
        where = f" (contract {self.symbol})" if self.scope == HaltScope.CONTRACT else ""
        return (
            f"{self.law}{where} at sequence {self.sequence}: {self.what}: "
            f"expected {self.expected}, found {self.found}; halts {self.scope.name.lower()}"
        )

"""What should move, for whom and why: the request as the ledger has it, and who has approved it.

The digest names exactly this movement. Approvals and signatures are of the digest, so whoever changes the amount,
the destination or the payer afterwards holds approvals of something else.
"""

import hashlib
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    WITHDRAWAL = "withdrawal"
    """A client's coins to a destination of the client's."""
    REFILL = "refill"
    """Cold to hot, within the hot ceiling."""
    SWEEP = "sweep"
    """From one address of ours to another of the same owner: nothing leaves but the fee, which is the company's."""


class Approval(msgspec.Struct, frozen=True):
    """Somebody has seen this very movement and wants it."""

    person: str
    group: str
    digest: str
    """Of the intent, hexadecimal."""
    at_ns: int


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. Amounts in the asset's smallest ledger unit."""

    id: str
    """The withdrawal's number in the ledger, or the operation's name."""
    kind: Kind
    chain: str
    """Which chain: `regtest`, `main`; others as CAIP-2 has them, e.g. `eip155:1`."""
    asset: str
    owner: str
    """Whose coins: `client`, `insurance`, `company`."""
    account: int
    """0 unless a client's."""
    destination: str
    """Address in its canonical spelling."""
    amount: int
    fee_max: int
    requested_ns: int
    expires_ns: int
    requested_by: str
    source: str = ""
    """Of a sweep: from which of our addresses."""

    @property
    def digest(self) -> str:
        """BLAKE2b-256 of the fields as canonical JSON, hexadecimal."""
        raw = msgspec.json.encode(self, order="sorted")
        return hashlib.blake2b(raw, digest_size=32, person=b"ringfence intnt").hexdigest()

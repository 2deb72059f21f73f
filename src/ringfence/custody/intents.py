"""What should move, for whom and why: the request as the ledger has it, and who has approved it.

The digest names exactly this movement. Approvals and signatures are of the digest, so whoever changes the amount,
the destination or the payer afterwards holds approvals of something else.
"""

import hashlib
from enum import StrEnum

import msgspec

SATS_MAX = 21_000_000 * 10**8


class Kind(StrEnum):
    WITHDRAWAL = "withdrawal"
    """A client's coins to a destination of the client's."""
    REFILL = "refill"
    """Cold to hot, within the hot ceiling."""


class Approval(msgspec.Struct, frozen=True):
    """Somebody has seen this very movement and wants it."""

    person: str
    group: str
    digest: str
    """Of the intent, hexadecimal."""
    at_ns: int


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. Amounts in satoshis."""

    id: str
    """The withdrawal's number in the ledger, or the operation's name."""
    kind: Kind
    chain: str
    """Which chain: `regtest`, `main`."""
    asset: str
    owner: str
    """Whose coins: `client`, `insurance`, `company`."""
    account: int
    """0 unless a client's."""
    destination: str
    """Address in its canonical spelling."""
    amount_sats: int
    fee_sats_max: int
    requested_ns: int
    expires_ns: int
    requested_by: str

    @property
    def digest(self) -> str:
        """BLAKE2b-256 of the fields as canonical JSON, hexadecimal."""
        raw = msgspec.json.encode(self, order="sorted")
        return hashlib.blake2b(raw, digest_size=32, person=b"ringfence intnt").hexdigest()

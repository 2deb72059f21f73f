"""Who signs what is published: a key of the prover's own, which the exchange's key has named.

The exchange's key signs state roots and lies with the core; the prover needs none of its powers.
"""

from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.assurance.proofs.errors import ForgedError

SIGNATURE_BYTES = 64
_PUBLISHER = b"porl2/publisher\0"


class Publisher:
    """Signs for one exchange."""

    def __init__(self, key: Ed25519PrivateKey, *, venue: bytes, endorsement: bytes) -> None:
        """Raises ForgedError unless the exchange's key has named this one."""
        self._key, self.venue, self.endorsement = key, venue, endorsement
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        check_endorsement(venue, self.public, endorsement)

    def sign(self, name: str, message: bytes) -> bytes:
        """Return the signature of a message under a name, which keeps it from passing for another kind."""
        return self._key.sign(name.encode() + b"\0" + message)


class Signed(NamedTuple):
    """Who has signed, and how the exchange has named them."""

    publisher: bytes
    endorsement: bytes
    signature: bytes

    def check(self, venue: bytes, name: str, message: bytes) -> None:
        """Raises ForgedError unless the exchange's publisher has signed."""
        check_endorsement(venue, self.publisher, self.endorsement)
        check_signature(self.publisher, name, message, self.signature)


def check_signature(publisher: bytes, name: str, message: bytes, signature: bytes) -> None:
    """Raises ForgedError."""
    if not _is_signed(publisher, name.encode() + b"\0" + message, signature):
        raise ForgedError(f"the signature ({name}) is not the publisher's")


def check_endorsement(venue: bytes, publisher: bytes, endorsement: bytes) -> None:
    """Raises ForgedError unless the exchange's key has named the publisher's."""
    if not _is_signed(venue, _PUBLISHER + publisher, endorsement):
        raise ForgedError("the exchange has not named the key that signs this")


def endorse(venue: Ed25519PrivateKey, publisher: bytes) -> bytes:
    """Return the exchange's word that a key publishes for it."""
    return venue.sign(_PUBLISHER + publisher)


def _is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_venue_key(text: str) -> bytes:
    """Return an exchange's public key from hexadecimal. Raises ValueError."""
    key = bytes.fromhex(text.strip())
    if len(key) != 32:
        raise ValueError(f"an exchange's key has 32 bytes, not {len(key)}")
    return key


def venue_key_of(directory: Path) -> bytes:
    """Return the public key of the exchange in a data directory. Raises OSError, ValueError."""
    return read_venue_key((directory / "roots" / "venue.pub").read_text())

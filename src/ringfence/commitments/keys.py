"""The key that signs roots, and the nonces under which leaves hide what they say.

A nonce belongs to one account and one epoch (a week). An epoch's key tells all of its nonces: it is published
with the epoch's journal, whose rows say everything anyway, and tells nothing of other epochs.
"""

import hmac
import os
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.files import replace

EPOCH_NS = 7 * 86_400 * 10**9
SECRET_BYTES = 32


class Nonces:
    """The secret behind all nonces. The judges need it; it signs nothing."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def epoch_key(self, timestamp_ns: int) -> bytes:
        """Return the key of all nonces of the epoch that holds a moment."""
        epoch = timestamp_ns // EPOCH_NS
        return hmac.digest(self._secret, b"epoch" + epoch.to_bytes(8, "little"), "sha256")


class CommitmentKeys(NamedTuple):
    signing: Ed25519PrivateKey
    nonces: Nonces

    @property
    def public_bytes(self) -> bytes:
        return self.signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def nonce_key(epoch_key: bytes, account: int) -> bytes:
    """Return an account's nonce within an epoch, 32 bytes."""
    return hmac.digest(epoch_key, account.to_bytes(8, "little"), "sha256")


def nonce_keys(epoch_key: bytes, accounts: int) -> list[bytes]:
    """Return the nonces of accounts 1, 2, 3 ... within an epoch."""
    return [nonce_key(epoch_key, account) for account in range(1, accounts + 1)]


def load_keys(directory: Path) -> CommitmentKeys:
    """Return the keys of a data directory, making them once. Raises OSError, ValueError if they are damaged."""
    seed = _secret(directory / "roots" / "signing.key")
    return CommitmentKeys(Ed25519PrivateKey.from_private_bytes(seed), load_nonces(directory))


def load_nonces(directory: Path) -> Nonces:
    """Return the secret of the nonces, making it once. Raises OSError, ValueError if it is damaged."""
    return Nonces(_secret(directory / "roots" / "nonces.key"))


def _secret(path: Path) -> bytes:
    """Return a secret of 32 random bytes, which is also what an Ed25519 private key is."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        raw = os.urandom(SECRET_BYTES)
        replace(path, raw)
    if len(raw) != SECRET_BYTES:
        raise ValueError(f"{path.name} is damaged: it has {len(raw)} bytes. Restore it from a backup.")
    return raw

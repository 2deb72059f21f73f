"""What hides an account in a file, and what lets its owner find it. Nothing here is published but by its owner.

An account's nonce comes from the key of a year, which a key inside an HSM makes: whoever takes the files of the
prover finds nobody of other years in what was published. A nonce belongs to one asset, so that the trees of two assets
cannot be put side by side.
"""

import hmac
import unicodedata

from ringfence.assurance.proofs.hashes import named, sha256, u64

EPOCH_YEAR_NS = 365 * 86_400 * 10**9
ACCOUNT_END = 2**64


def epoch_of(timestamp_ns: int) -> int:
    """Return the number of the year in whose nonces a moment lies."""
    return timestamp_ns // EPOCH_YEAR_NS


def epoch_message(epoch: int) -> bytes:
    """Return what the HSM's key is applied to for an epoch."""
    return b"porl\0" + u64(epoch)


def account_nonce(epoch_key: bytes, currency: str, account: int) -> bytes:
    """Return the nonce of an account in an asset, 32 bytes: it opens every snapshot of its epoch."""
    return hmac.digest(epoch_key, b"porl\0" + currency.encode() + b"\0" + u64(account), "sha256")


def claim_key(epoch_key: bytes, account: int) -> bytes:
    """Return what hides the claims of an account in the tree of a minute."""
    return hmac.digest(epoch_key, b"claim\0" + u64(account), "sha256")


def sub_nonce(nonce: bytes, height: int, account: int) -> bytes:
    """Return the key of one snapshot in BitMEX's format."""
    return sha256(nonce + u64(height) + u64(account)).digest()


def snapshot_key(nonce: bytes, header_seed: bytes, account: int) -> bytes:
    """Return the key of one snapshot in format v2: it can be given to somebody who checks."""
    return named("porl2/key", nonce, header_seed, u64(account))


def login_hash(login: str) -> bytes:
    """Return the hash of a login: NFC, lower case, UTF-8."""
    return sha256(unicodedata.normalize("NFC", login).lower().encode()).digest()


def uid_tag(venue: bytes, account: int, login: bytes, header_seed: bytes) -> bytes:
    """Return who a leaf belongs to; `login` is its hash. Two people never have the same."""
    return named("porl-uid", venue, u64(account), login, header_seed)

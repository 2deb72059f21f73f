"""The key of a store, shared among recovery keys: any `threshold` of them together open it, fewer learn nothing.

Each store has one age identity, made when the store is begun and written down nowhere in plain: for every group of
`threshold` recovery keys it is sealed for the first, the result for the second, and so on, by age itself. So two of
three are three groups, and a single key opens one layer of two of them, and nothing. No arithmetic of our own is in it.
The exchange keeps the recipient alone: it writes backups and cannot read them.
"""

import base64
import binascii
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import msgspec
import pyrage

from ringfence.files import replace

RECIPIENTS_MAX = 9
FORMAT = "ringfence-recovery-1"


class RecoveryError(ValueError):
    """Recovery keys are too few, are not this store's, or are none. Nothing was read or written."""


class Recovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom a store is sealed. It is public, but for nobody's use without the recovery keys."""

    format: str
    threshold: int
    recipients: tuple[str, ...]
    """Of the recovery keys."""
    recipient: str
    """For whom every file of the store is sealed."""
    sealed: dict[str, str]
    """Base64 of the nested age files, by the numbers of the recipients from the outermost in, such as `0+2`."""


def begin(recipients: Sequence[str], *, threshold: int) -> Recovery:
    """Make the key of a new store. Raises RecoveryError."""
    if not 1 <= threshold <= len(recipients) <= RECIPIENTS_MAX:
        raise RecoveryError(
            f"{threshold} of {len(recipients)} recovery keys cannot be; at most {RECIPIENTS_MAX} are possible"
        )
    if len(set(recipients)) != len(recipients):
        raise RecoveryError("a recovery key is named twice")
    known = [_recipient(one) for one in recipients]
    identity = pyrage.x25519.Identity.generate()
    sealed = {}
    for group in combinations(range(len(known)), threshold):
        raw = str(identity).encode()
        for number in reversed(group):
            raw = pyrage.encrypt(raw, [known[number]])
        sealed["+".join(map(str, group))] = base64.b64encode(raw).decode()
    return Recovery(FORMAT, threshold, tuple(recipients), str(identity.to_public()), sealed)


def open_with(recovery: Recovery, identities: Sequence[str]) -> str:
    """Return the identity of a store. Raises RecoveryError."""
    by_recipient = {}
    for text in identities:
        identity = _identity(text)
        by_recipient[str(identity.to_public())] = identity
    numbers = [number for number, one in enumerate(recovery.recipients) if one in by_recipient]
    if len(numbers) < recovery.threshold:
        raise RecoveryError(
            f"{recovery.threshold} different recovery keys of this store are needed, {len(numbers)} of those given "
            "are. Nothing was read."
        )
    group = numbers[: recovery.threshold]
    try:
        raw = base64.b64decode(recovery.sealed["+".join(map(str, group))], validate=True)
        for number in group:
            raw = pyrage.decrypt(raw, [by_recipient[recovery.recipients[number]]])
        found = bytes(raw).decode()
        if str(_identity(found).to_public()) != recovery.recipient:
            raise RecoveryError(
                "what the recovery keys open is not the key of this store. Take another copy of it."
            )
    except (KeyError, binascii.Error, pyrage.DecryptError, UnicodeDecodeError) as error:
        raise RecoveryError(
            "recovery.json does not open: it is damaged. Take another copy of the store."
        ) from error
    return found


def seal(content: bytes, recipient: str) -> bytes:
    """Seal a file of a store. Raises RecoveryError."""
    return bytes(pyrage.encrypt(content, [_recipient(recipient)]))


def unseal(raw: bytes, identity: str) -> bytes:
    """Open a file of a store. Raises RecoveryError if it was changed or is for another key."""
    try:
        return bytes(pyrage.decrypt(raw, [_identity(identity)]))
    except pyrage.DecryptError as error:
        raise RecoveryError("it does not open: it was changed, or is of another store") from error


def new_identity(path: Path) -> str:
    """Write a new recovery key to a file of its owner's alone, and return its recipient. Raises OSError."""
    if path.exists():
        raise FileExistsError(f"{path} is there already; nothing was written")
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    replace(path, f"# public key: {recipient}\n{identity}\n".encode())
    return recipient


def read_identities(paths: Sequence[Path]) -> list[str]:
    """Return the age identities in files, one a line, `#` begins a comment. Raises OSError, RecoveryError."""
    found = []
    for path in paths:
        lines = [line.strip() for line in path.read_text().splitlines()]
        here = [line for line in lines if line and not line.startswith("#")]
        if not here:
            raise RecoveryError(f"{path} holds no recovery key")
        found += here
    return found


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise RecoveryError(f"{text[:80]!r} is no age recipient: it begins with age1") from error


def _identity(text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError as error:
        # The text may be a secret with one letter wrong: it is not repeated.
        raise RecoveryError("a recovery key is no age identity: it begins with AGE-SECRET-KEY-1") from error

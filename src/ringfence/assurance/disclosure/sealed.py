"""Sealing by age (https://age-encryption.org), in its reviewed implementations: rage here, typage in the browser.

A report is sealed for the role's recipient before it leaves the machine of who writes it. Nothing between there and
the role's own machine can read it: neither gateway nor desk hold the key.
"""

import base64
import binascii
import os
from pathlib import Path

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SEALED_BYTES_MAX = 65_536
"""Of the armoured text; some 47 kB can be said in it."""
_BEGIN, _END = "-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----"
_INTRO = b"age-encryption.org/v1\n-> "
_BINARY_BYTES_MIN = 150
"""A header with one recipient, its MAC, a nonce and an empty chunk."""


class SealedError(ValueError):
    """What should be sealed is not, or cannot be opened. The text repeats nothing of it."""


def check_sealed(text: str) -> bytes:
    """Return the bytes of a report in age's armour, in its strict form. Raises SealedError.

    Whether it was sealed for us shows when the role opens it: who has no key cannot tell.
    """
    if len(text) > SEALED_BYTES_MAX:
        raise SealedError(f"a sealed report has at most {SEALED_BYTES_MAX} bytes")
    lines = text.strip().split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise SealedError("a report is an age file in armour: it begins with " + _BEGIN)
    inside = lines[1:-1]
    if any(len(line) != 64 for line in inside[:-1]) or not 0 < len(inside[-1]) <= 64:
        raise SealedError("the armour has lines of another length than 64")
    try:
        raw = base64.b64decode("".join(inside), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SealedError("the armour is no base64") from error
    if not raw.startswith(_INTRO) or len(raw) < _BINARY_BYTES_MIN:
        raise SealedError("it is no age file")
    return raw


def seal(content: bytes, recipients: list[str]) -> str:
    """Return content that only these can read, in armour. Raises SealedError."""
    try:
        known = [pyrage.x25519.Recipient.from_str(one) for one in recipients]
        return pyrage.encrypt(content, known, armored=True).decode()
    except (pyrage.RecipientError, pyrage.EncryptError) as error:
        raise SealedError("a recipient is none") from error


def unseal(raw: bytes, identity: str) -> bytes:
    """Open what was sealed for an identity. Raises SealedError: not for us, or changed."""
    try:
        return bytes(pyrage.decrypt(raw, [pyrage.x25519.Identity.from_str(identity)]))
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        raise SealedError("it cannot be opened: it is not for this key, or was changed") from error


# ---- the role's key file


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the role holds: an age identity to read with, an Ed25519 seed to sign changes with."""

    name: str
    identity: str
    signing: str

    @property
    def recipient(self) -> str:
        return str(pyrage.x25519.Identity.from_str(self.identity).to_public())

    @property
    def signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.signing))

    @property
    def public(self) -> str:
        return self.signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def new_key_file(name: str) -> KeyFile:
    seed = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return KeyFile(name, str(pyrage.x25519.Identity.generate()), seed.hex())


def write_key_file(path: Path, key: KeyFile, *, passphrase: bytes | None) -> None:
    """Write it for its owner alone; a passphrase seals it as `age -p` does. Raises OSError: none is overwritten."""
    raw = msgspec.json.encode(key)
    if passphrase:
        raw = pyrage.passphrase.encrypt(raw, passphrase.decode(), armored=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(descriptor)


def read_key_file(path: Path, *, passphrase: bytes | None) -> KeyFile:
    """Raises SealedError: wrong passphrase, or no key file; OSError."""
    raw = path.read_bytes()
    try:
        if raw.startswith(_BEGIN.encode()):
            raw = pyrage.passphrase.decrypt(raw, (passphrase or b"").decode())
        key = msgspec.json.decode(raw, type=KeyFile)
        assert key.recipient
        assert key.public
    except (pyrage.DecryptError, pyrage.IdentityError, msgspec.MsgspecError, ValueError) as error:
        raise SealedError(f"{path.name} cannot be opened: wrong passphrase, or no key of the role") from error
    return key

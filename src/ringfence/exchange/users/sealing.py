"""What only the process that has the key can read: AES-256-GCM, bound to where it stands.

The key is in a file. While it is replaced (`Userbook.reseal`) the next one is beside it, and either opens.
"""

import base64
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringfence.files import replace, sync_directory

_KEY_BYTES, _NONCE_BYTES = 32, 12


class SealError(Exception):
    """It was sealed by another key or for another place. Remedy: bring the key back that belongs to the log."""


class Seal:
    def __init__(self, key: bytes, *others: bytes) -> None:
        """Seals with a key, and opens what that one or another one has sealed. Raises SealError."""
        for one in (key, *others):
            if len(one) != _KEY_BYTES:
                raise SealError(f"the key has {len(one)} bytes, not {_KEY_BYTES}")
        self._cipher, self._others = AESGCM(key), [AESGCM(one) for one in others]

    def seal(self, value: dict[str, Any], *, place: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(value), place.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, text: str, *, place: str) -> dict[str, Any]:
        """Raises SealError."""
        try:
            raw = base64.b64decode(text, validate=True)
            return msgspec.json.decode(self._opened(raw, place.encode()), type=dict[str, Any])
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            raise SealError("a private part of the log cannot be opened with this key") from error

    def _opened(self, raw: bytes, place: bytes) -> bytes:
        nonce, sealed = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        for cipher in (self._cipher, *self._others):
            with suppress(InvalidTag):
                return cipher.decrypt(nonce, sealed, place)
        raise InvalidTag


def make_key(path: Path) -> None:
    """Make the key, in a file that only its owner may read, if there is none. Raises OSError."""
    if not path.exists():
        replace(path, os.urandom(_KEY_BYTES))
        sync_directory(path.parent)


def _next_of(path: Path) -> Path:
    return path.with_suffix(".next")


def open_seal(path: Path) -> Seal:
    """Return what the key of a file seals, and the next one opens if there is one. Raises OSError, SealError."""
    later = _next_of(path)
    return Seal(path.read_bytes(), *([later.read_bytes()] if later.exists() else []))


def make_next_key(path: Path) -> bytes:
    """Make the next key beside a file's, if there is none, and return it, durable. Raises OSError."""
    make_key(_next_of(path))
    return _next_of(path).read_bytes()


def take_next_key(path: Path) -> None:
    """Put the next key in the place of the one in use, and destroy that one. Raises OSError.

    The old bytes are written over where they were; a disk that moves what it writes, and a copy in a backup, keep them.
    """
    with open(path, "r+b") as old:
        os.replace(_next_of(path), path)
        sync_directory(path.parent)
        old.write(bytes(_KEY_BYTES))
        old.flush()
        os.fsync(old.fileno())


def fingerprint_of(key: bytes) -> str:
    """Return what names a key without saying it."""
    return hashlib.sha256(b"ringfence accounts key" + key).hexdigest()[:16]

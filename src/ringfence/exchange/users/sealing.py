"""What only the process that has the key can read: AES-256-GCM, bound to where it stands."""

import base64
import os
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringfence.files import replace

_KEY_BYTES, _NONCE_BYTES = 32, 12


class SealError(Exception):
    """It was sealed by another key or for another place. Remedy: bring the key back that belongs to the log."""


class Seal:
    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise SealError(f"the key has {len(key)} bytes, not {_KEY_BYTES}")
        self._cipher = AESGCM(key)

    def seal(self, value: dict[str, Any], *, place: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(value), place.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, text: str, *, place: str) -> dict[str, Any]:
        """Raises SealError."""
        try:
            raw = base64.b64decode(text, validate=True)
            plain = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode())
            return msgspec.json.decode(plain, type=dict[str, Any])
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            raise SealError("a private part of the log cannot be opened with this key") from error


def make_key(path: Path) -> None:
    """Make the key, in a file that only its owner may read, if there is none. Raises OSError."""
    if not path.exists():
        replace(path, os.urandom(_KEY_BYTES))

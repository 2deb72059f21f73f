"""The hashes of proofs, each under a name of its own, and JSON that has one form only.

Source: docs/reference/proofs.md. A name keeps what is hashed for one purpose from passing for something else.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

sha256 = hashlib.sha256
DIGEST_BYTES = 32
NONE = bytes(DIGEST_BYTES)
"""Stands for a digest where there is nothing: 64 zeros in hexadecimal."""
_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def named(name: str, *parts: bytes) -> bytes:
    """Return the digest of parts under a name, which is followed by a zero byte."""
    return sha256(b"".join((name.encode(), b"\0", *parts))).digest()


def digest(raw: bytes) -> bytes:
    return sha256(raw).digest()


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def hmac_under(key: bytes) -> Callable[[bytes], bytes]:
    """Return HMAC-SHA-256 under a key of at most 64 bytes, its key schedule done once.

    `hmac.digest` works it out anew each time: under one key for two million leaves this takes half of the time.
    """
    assert len(key) <= _BLOCK
    padded = key.ljust(_BLOCK, b"\0")
    inner, outer = sha256(padded.translate(_INNER)), sha256(padded.translate(_OUTER))

    def of(message: bytes) -> bytes:
        within = inner.copy()
        within.update(message)
        without = outer.copy()
        without.update(within.digest())
        return without.digest()

    return of


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys and without spaces; what is hashed or signed has no other form."""
    return msgspec.json.encode(value, order="sorted")

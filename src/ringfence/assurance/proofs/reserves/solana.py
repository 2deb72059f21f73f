"""Addresses of Solana, from a key and a seed. There are no proofs of balances: a node has to be asked.

Source: `create_with_seed` of the system program, sha256(base || seed || owner).
"""

import hashlib

from embit.base58 import decode, encode

from ringfence.assurance.proofs.errors import ForgedError

SYSTEM_PROGRAM = bytes(32)
SEED_BYTES_MAX = 32


def read_address(name: str, text: str) -> bytes:
    """Return the 32 bytes that a text spells in its one way. Raises ForgedError."""
    try:
        raw = bytes(decode(text))
    except Exception as error:  # embit's errors are bare ones
        raise ForgedError(f"{name} is no address: {text[:60]!r}") from error
    if len(raw) != 32 or encode(raw) != text:
        raise ForgedError(f"{name} is no address: {text[:60]!r}")
    return raw


def address_of(key: bytes, seed: str) -> str:
    """Return the address that a key alone moves: its own, or one by a seed. Raises ForgedError."""
    if not seed:
        return str(encode(key))
    if not seed.isascii() or len(seed) > SEED_BYTES_MAX:
        raise ForgedError(f"no address has the seed {seed[:60]!r}")
    return str(encode(hashlib.sha256(key + seed.encode() + SYSTEM_PROGRAM).digest()))

"""Addresses: the base, whose key the signers share, and one for each account's deposits that needs no key.

A deposit address is derived from the base and a seed, and the system program owns it: the base alone moves what lies
there, with the same one signature that pays. Some wallets refuse to pay to an address that is no point of the curve,
as about every second derived one is not; the seed goes on until there is one that is.
"""

from itertools import count

from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

ADDRESS_BYTES = 32


class AddressError(ValueError):
    """This text is no address. Nothing was sent to it."""


def deposit_seed(base: bytes, account: int) -> str:
    """Return the seed of an account's deposit address: its number, and if need be which attempt it is."""
    assert account >= 0
    for attempt in count():
        seed = f"{account}.{attempt}" if attempt else f"{account}"
        if is_on_curve(derived(base, seed)):
            return seed
    raise AssertionError("every second attempt is on the curve")


def deposit_address(base: bytes, account: int) -> str:
    """Return where an account's deposits are sent to."""
    return spelt(derived(base, deposit_seed(base, account)))


def derived(base: bytes, seed: str) -> bytes:
    """Return the address that belongs to a base and a seed. Raises AddressError for a seed beyond 32 bytes."""
    try:
        return bytes(Pubkey.create_with_seed(Pubkey.from_bytes(base), seed, SYSTEM_PROGRAM))
    except Exception as error:  # solders raises bare ones
        raise AddressError(f"no address has the seed {seed!r}: {error}") from error


def read_address(text: str) -> bytes:
    """Return the 32 bytes that a text spells. Raises AddressError."""
    try:
        raw = bytes(Pubkey.from_string(text))
    except ValueError as error:
        raise AddressError(f"{text!r} is no address: {error}") from error
    if spelt(raw) != text:
        raise AddressError(f"{text!r} is not how this address is spelt")
    return raw


def spelt(raw: bytes) -> str:
    """Return 32 bytes in base58, as addresses and blockhashes are written."""
    assert len(raw) == ADDRESS_BYTES
    return str(Pubkey.from_bytes(raw))


def is_on_curve(raw: bytes) -> bool:
    """Return whether a private key could belong to an address."""
    return Pubkey.from_bytes(raw).is_on_curve()

"""Addresses: the last twenty bytes of the hash of a public key, spelt with a checksum in the capitals (EIP-55)."""

from coincurve import PublicKey
from Crypto.Hash import keccak

ADDRESS_BYTES = 20


class AddressError(ValueError):
    """The text is no address, or has a spelling that may be a mistake. Nothing is sent there."""


def keccak_256(raw: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=raw).digest()


def address_of(public_key: bytes) -> bytes:
    """Return the address of a public key, compressed or not. Raises AddressError."""
    try:
        point = PublicKey(public_key).format(compressed=False)
    except Exception as error:  # libsecp256k1's errors are bare ones
        raise AddressError("this is no public key") from error
    return keccak_256(point[1:])[-ADDRESS_BYTES:]


def spelt(address: bytes) -> str:
    """Return the canonical spelling."""
    if len(address) != ADDRESS_BYTES:
        raise AddressError(f"an address has {ADDRESS_BYTES} bytes, not {len(address)}")
    digits = address.hex()
    digest = keccak_256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit
        for digit, nibble in zip(digits, digest, strict=False)
    )


def read_address(text: str) -> bytes:
    """Return the bytes of an address. Raises AddressError unless it is in its canonical spelling.

    One in small letters carries no checksum, so a mistyped one would be somebody else's: it is not taken either.
    """
    try:
        raw = bytes.fromhex(text.removeprefix("0x")) if text.startswith("0x") else b""
    except ValueError:
        raw = b""
    if len(raw) != ADDRESS_BYTES:
        raise AddressError("an address is 0x and 40 hexadecimal digits")
    if text != spelt(raw):
        raise AddressError(f"the checksum in the capitals is not that of this address: {spelt(raw)}?")
    return raw

"""Keys below a key that nobody has, from what everybody knows: public derivation, as BIP32 has it.

Only the unhardened half of BIP32: the hardened one needs the private key, and there is none. The engine of threshold
keys derives the shares in the same way; a signature that is not of the key which is worked out here is thrown away.
"""

import hashlib
import hmac

from coincurve import PublicKey
from embit.bip32 import HDKey
from embit.ec import PublicKey as EmbitPublicKey
from embit.networks import NETWORKS

CHILD_MAX = 2**31 - 1


class PathError(ValueError):
    """There is no such key below this one. Nothing was derived."""


def child_of(public_key: bytes, chain_code: bytes, number: int) -> tuple[bytes, bytes]:
    """Return a child's compressed public key and chain code. Raises PathError."""
    if not 0 <= number <= CHILD_MAX or len(chain_code) != 32:
        raise PathError(f"{number} is no child of this key")
    mixed = hmac.new(chain_code, public_key + number.to_bytes(4, "big"), hashlib.sha512).digest()
    try:
        child = PublicKey(public_key).add(mixed[:32])
    except Exception as error:  # libsecp256k1's errors are bare ones; one child in 2**127 is none
        raise PathError(f"the key has no child {number}") from error
    return bytes(child.format()), mixed[32:]


def extended_key(public_key: bytes, chain_code: bytes, network: str) -> str:
    """Return a key in the spelling in which others derive from it: `xpub...`, or `tpub...` off the main network."""
    version = NETWORKS["main" if network == "main" else "regtest"]["xpub"]
    return str(HDKey(EmbitPublicKey.parse(public_key), chain_code, version=version).to_base58())


def derived_key(public_key: bytes, chain_code: bytes, path: str) -> bytes:
    """Return the public key at a path such as `m/1/5`; an empty path is the key itself. Raises PathError."""
    if not path:
        return public_key
    root, *steps = path.split("/")
    if root != "m" or not all(step.isdecimal() and len(step) <= 10 for step in steps):
        raise PathError(f"{path!r} is no path below a key")
    for step in steps:
        public_key, chain_code = child_of(public_key, chain_code, int(step))
    return public_key

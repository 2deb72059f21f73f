"""A beacon of our own, as drand's quicknet is made, with a key that a test knows. In plain Python: a second a round."""

import hashlib

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2
from py_ecc.optimized_bls12_381 import G2, multiply

from ringfence.custody.beacon import Beacon

_DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
_SECRET = int.from_bytes(hashlib.sha256(b"a beacon for tests").digest(), "big") >> 1


def beacon_from(genesis_s: int, *, period_s: int = 3) -> Beacon:
    """Return a beacon whose rounds `signature_of` signs."""
    high, low = compress_G2(multiply(G2, _SECRET))
    return Beacon("test", (high.to_bytes(48, "big") + low.to_bytes(48, "big")).hex(), "", genesis_s, period_s)


def signature_of(number: int) -> str:
    """Return the signature of a round, hexadecimal."""
    message = hashlib.sha256(number.to_bytes(8, "big")).digest()
    point = multiply(hash_to_G1(message, _DOMAIN, hashlib.sha256), _SECRET)
    return int(compress_G1(point)).to_bytes(48, "big").hex()

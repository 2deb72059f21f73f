"""What shares of an ECDSA key are, worked out by arithmetic of our own: for tests alone.

Nothing in the product puts shares together.
"""

from coincurve import PublicKey

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SCALAR_BYTES = 32


def secret_of(share: bytes) -> int:
    """Return the point of the polynomial in a share, as the engine writes it.

    Before it stand threshold, count, place and the session's name with its length.
    """
    raw = share[4 + share[3] :]
    assert raw[0] == _SCALAR_BYTES, "a scalar is written with its length"
    return int.from_bytes(raw[1 : 1 + _SCALAR_BYTES], "big")


def interpolated(points: dict[int, int]) -> int:
    """Return the value at zero of the polynomial through some points, by Lagrange."""
    total = 0
    for x, y in points.items():
        top = bottom = 1
        for other in points:
            if other != x:
                top, bottom = top * other % ORDER, bottom * (other - x) % ORDER
        total += y * top * pow(bottom, -1, ORDER)
    return total % ORDER


def public_key_of(secret: int) -> bytes:
    return bytes(PublicKey.from_secret(secret.to_bytes(_SCALAR_BYTES, "big")).format())

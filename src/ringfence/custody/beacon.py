"""Randomness that nobody of the venue makes: a round that is yet to come when a batch is sealed, and then is public.

drand signs the number of a round, every few seconds, with a key that a threshold of independent organisations hold;
the hash of the signature is the round's randomness. Whoever has the public key verifies it; nobody can choose it.
"""

import hashlib

import msgspec

from ringfence.units.time import NS_PER_SECOND

try:
    import drand_verify
except ImportError:  # no wheel for this Python: charters without a beacon work
    drand_verify = None


class BeaconError(ValueError):
    """This is not the randomness of the round. Nobody is drawn by it."""


class Beacon(msgspec.Struct, frozen=True):
    """A chain of drand's unchained scheme: signatures on G1, RFC 9380 (`bls-unchained-g1-rfc9380`)."""

    name: str
    public_key: str
    """On G2, 96 bytes, hexadecimal."""
    chain_hash: str
    """By which its servers know it."""
    genesis_s: int
    """Unix second of round 1."""
    period_s: int

    def time_ns(self, number: int) -> int:
        """Return when a round becomes known."""
        return (self.genesis_s + (number - 1) * self.period_s) * NS_PER_SECOND

    def round_after(self, now_ns: int) -> int:
        """Return the first round that becomes known after a moment."""
        return max((now_ns // NS_PER_SECOND - self.genesis_s) // self.period_s + 2, 1)

    def randomness(self, number: int, signature: str) -> bytes:
        """Return the 32 bytes of a round. Raises BeaconError if the signature is not the round's."""
        if drand_verify is None:
            raise BeaconError("this Python has no drand-verify: a beacon cannot be verified")
        try:
            # The library panics at what is not hexadecimal, and a panic is no Exception: it never sees such a text.
            raw = bytes.fromhex(signature)
            said = drand_verify.verify_bls_unchained_g1_rfc9380(number, raw.hex(), self.public_key)
        except (ValueError, OverflowError) as error:
            raise BeaconError(f"this is not the signature of round {number}: {error}") from error
        found = hashlib.sha256(raw).digest()
        if found.hex() != said:
            raise BeaconError("two ways of working out the randomness differ")
        return found


QUICKNET = Beacon(
    "quicknet",
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17"
    "e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971", 1_692_803_367, 3,
)  # fmt: skip
"""The League of Entropy's, a round every three seconds."""
BEACONS = {QUICKNET.name: QUICKNET}

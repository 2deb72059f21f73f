"""Published vectors, and what they hold true of the engine: RFC 9591, RFC 8032, RFC 6979's best known one, BIP-32."""

import asyncio
import hashlib
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from benchmarks.mpc import Committee, together
from cryptography.hazmat.primitives.asymmetric import ec as openssl_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from embit import bip32, ec
from eth_keys.backends import NativeECCBackend
from eth_keys.datatypes import Signature as EthereumSignature
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature as SolanaSignature

from ringfence.custody.hsm.token import der
from ringfence.custody.quorum.mpc.engine import (
    Operation,
    Outcome,
    ProtocolAbort,
    Scheme,
    engine_path,
    is_signature,
    recovered_key,
)
from ringfence.custody.wallets.derivation import CHILD_MAX, PathError, child_of, derived_key
from ringfence.testing.shamir import ORDER

needs_engine = pytest.mark.skipif(
    engine_path() is None, reason="the MPC engine is not built: it needs Rust 1.88 or newer, then `make mpc`"
)
TWO_OF_THREE, FOUR_OF_FIVE = Committee(2, 3), Committee(4, 5)


# ---- Ed25519 as RFC 8032 writes it in section 6: slow, short, and nobody's library

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


class Point(NamedTuple):
    """Extended coordinates: x = X/Z, y = Y/Z, xy = T/Z."""

    x: int
    y: int
    z: int
    t: int

    def __add__(self, other: "Point") -> "Point":  # type: ignore[override]
        a, b = (self.y - self.x) * (other.y - other.x) % P, (self.y + self.x) * (other.y + other.x) % P
        c, d = 2 * self.t * other.t * _D % P, 2 * self.z * other.z % P
        e, f, g, h = b - a, d - c, d + c, b + a
        return Point(e * f % P, g * h % P, f * g % P, e * h % P)

    def times(self, scalar: int) -> "Point":
        total, power = Point(0, 1, 1, 0), self
        for bit in range(scalar.bit_length()):
            total = total + power if scalar >> bit & 1 else total
            power = power + power
        return total

    def written(self) -> bytes:
        inverse = pow(self.z, -1, P)
        return (self.y * inverse % P | (self.x * inverse % P & 1) << 255).to_bytes(32, "little")


def point_of(raw: bytes) -> Point:
    """Read a point. Raises ValueError."""
    number = int.from_bytes(raw, "little")
    y, sign = number % 2**255, number >> 255
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        raise ValueError("no such point")
    x = P - x if x & 1 != sign else x
    return Point(x, y, 1, x * y % P)


BASE = point_of(bytes([0x58]) + bytes([0x66]) * 31)


# ---- FROST(Ed25519, SHA-512), RFC 9591 section 6.1, the whole of it

_CONTEXT = b"FROST-ED25519-SHA512-v1"


def _scalar(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _written(scalar: int) -> bytes:
    return scalar.to_bytes(32, "little")


def _sha_512(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).digest()


def lagrange(me: int, parties: tuple[int, ...]) -> int:
    top = bottom = 1
    for other in parties:
        if other != me:
            top, bottom = top * other % L, bottom * (other - me) % L
    return top * pow(bottom, -1, L) % L


def nonce_of(randomness: bytes, share: bytes) -> int:
    return _scalar(_sha_512(_CONTEXT, b"nonce", randomness, share)) % L


class Committed(NamedTuple):
    """A signer's two commitments, of round one."""

    hiding: bytes
    binding: bytes


class Frost:
    """What everybody works out between the two rounds."""

    def __init__(self, public_key: bytes, message: bytes, committed: Mapping[int, Committed]) -> None:
        listed = b"".join(
            _written(one) + pair.hiding + pair.binding for one, pair in sorted(committed.items())
        )
        prefix = public_key + _sha_512(_CONTEXT, b"msg", message) + _sha_512(_CONTEXT, b"com", listed)
        self.factors = {
            one: _scalar(_sha_512(_CONTEXT, b"rho", prefix, _written(one))) % L for one in committed
        }
        self.parties = tuple(sorted(committed))
        self.nonces = {
            one: point_of(pair.hiding) + point_of(pair.binding).times(self.factors[one])
            for one, pair in committed.items()
        }
        """Each signer's part of R."""
        total = Point(0, 1, 1, 0)
        for part in self.nonces.values():
            total = total + part
        self.r = total.written()
        self.challenge = _scalar(_sha_512(self.r, public_key, message)) % L

    def part(self, me: int, share: int, hiding_nonce: int, binding_nonce: int) -> int:
        """Return what a signer says in round two."""
        weighed = lagrange(me, self.parties) * share * self.challenge
        return (hiding_nonce + binding_nonce * self.factors[me] + weighed) % L

    def is_part(self, me: int, part: int, verifying_share: Point) -> bool:
        """Return whether a signer has said what belongs to its share and its commitments."""
        weight = lagrange(me, self.parties) * self.challenge % L
        return BASE.times(part).written() == (self.nonces[me] + verifying_share.times(weight)).written()

    def signature(self, parts: list[int]) -> bytes:
        return self.r + _written(sum(parts) % L)


RFC_9591 = {
    "randomness": {
        1: ("0fd2e39e111cdc266f6c0f4d0fd45c947761f1f5d3cb583dfcb9bbaf8d4c9fec",
            "69cd85f631d5f7f2721ed5e40519b1366f340a87c2f6856363dbdcda348a7501"),
        3: ("86d64a260059e495d0fb4fcc17ea3da7452391baa494d4b00321098ed2a0062f",
            "13e6b25afb2eba51716a9a7d44130c0dbae0004a9ef8d7b5550c8a0e07c61775"),
    },
    "commitments": {
        1: ("b5aa8ab305882a6fc69cbee9327e5a45e54c08af61ae77cb8207be3d2ce13de3",
            "67e98ab55aa310c3120418e5050c9cf76cf387cb20ac9e4b6fdb6f82a469f932"),
        3: ("cfbdb165bd8aad6eb79deb8d287bcc0ab6658ae57fdcc98ed12c0669e90aec91",
            "7487bc41a6e712eea2f2af24681b58b1cf1da278ea11fe4e8b78398965f13552"),
    },
    "factors": {
        1: "f2cb9d7dd9beff688da6fcc83fa89046b3479417f47f55600b106760eb3b5603",
        3: "b087686bf35a13f3dc78e780a34b0fe8a77fef1b9938c563f5573d71d8d7890f",
    },
    "parts": {
        1: "001719ab5a53ee1a12095cd088fd149702c0720ce5fd2f29dbecf24b7281b603",
        3: "bd86125de990acc5e1f13781d8e32c03a9bbd4c53539bbc106058bfd14326007",
    },
    "signature": "36282629c383bb820a88b71cae937d41f2f2adfcc3d02e55507e2fb9e2dd3cbe"
                 "bd9d2b0844e49ae0f3fa935161e1419aab7b47d21a37ebeae1f17d4987b3160b",
}  # fmt: skip
"""Appendix E.1."""
CRATE = {
    "randomness": {
        1: ("06894e04ee4aceec8619d5f6a0a180e2f47194d2ac306cba586b555e7c48d765",
            "40d6f879ff22e22409f7d808fed81f37118e7d3e4af71c0f44c60207553bcbce"),
        3: ("fa5d950626782aade9e33fa781376d4888c2d1de7c37518bc248eb818ed0cdde",
            "7459a4d14ded0e365b085271be8dc6600d5b88f3978a2174297ffa32001a5afc"),
    },
    "commitments": {
        1: ("9b116f12589591a7e23fe8048059ab10ab48e67739e7a2fb3890f61a7999478c",
            "c39b66b7dfccb122da24f13587f9a08c4347cae70046ca15169adf90ba65854d"),
        3: ("e679a2a971748ccfaabead4dbe8ac1def61275c186c79d471e1e45091ad1e687",
            "b2a942478453fabb6bd3181c56ba657413447b4136e1daea2484d396d1a516b3"),
    },
    "factors": {
        1: "ff960a65374e216a0918729b153466016664fa980d409bc3f308daa7acb30d0d",
        3: "279d48ec56f16d234c09ea62f3d02ab776ee38e03f66b20f939f1316e13df10f",
    },
    "parts": {
        1: "60997f0142e43e8005027fe5ab7447dac00d22c2d7ddd9571a02613ba7d81c08",
        3: "79390e78bc59699c7af831f8f5fb478ec871a85f561a8641b5670ac4443f720f",
    },
    "signature": "154fb694ee7fcb37bf2381d94488c2a84b03b3352ad085feca81ad26d45852b7"
                 "ecfe971ce4da95c4a95db93ac376b053897fca212ef85f99cf696bffeb178f07",
}  # fmt: skip
"""The vectors that the crate frost-ed25519 3.0.0, which our engine is built on, brings with it."""
SECRET = bytes.fromhex("7b1c33d3f5291d85de664833beb1ad469f7fb6025a0ec78b3a790c6e13a98304")
PUBLIC = bytes.fromhex("15d21ccd7ee42959562fc8aa63224c8851fb3ec85a3faf66040d380fb9738673")
COEFFICIENT = bytes.fromhex("178199860edd8c62f5212ee91eff1295d0d670ab4ed4506866bae57e7030b204")
MESSAGE = b"test"


def test_the_published_shares_are_of_the_published_key() -> None:
    published = {
        1: "929dcc590407aae7d388761cddb0c0db6f5627aea8e217f4a033f2ec83d93509",
        2: "a91e66e012e4364ac9aaa405fcafd370402d9859f7b6685c07eed76bf409e80d",
        3: "d3cb090a075eb154e82fdb4b3cb507f110040905468bb9c46da8bdea643a9a02",
    }
    for one, share in published.items():
        assert _written((_scalar(SECRET) + one * _scalar(COEFFICIENT)) % L).hex() == share
    assert BASE.times(_scalar(SECRET)).written() == PUBLIC


@pytest.mark.parametrize("vector", [RFC_9591, CRATE], ids=["rfc-9591", "frost-ed25519"])
def test_frost_as_we_read_the_rfc_gives_every_number_of_its_vector(vector: dict[str, Any]) -> None:
    shares = {one: (_scalar(SECRET) + one * _scalar(COEFFICIENT)) % L for one in (1, 3)}
    nonces = {
        one: [nonce_of(bytes.fromhex(half), _written(shares[one])) for half in pair]
        for one, pair in vector["randomness"].items()
    }
    committed = {
        one: Committed(*(BASE.times(half).written() for half in pair)) for one, pair in nonces.items()
    }
    assert {one: (pair.hiding.hex(), pair.binding.hex()) for one, pair in committed.items()} == vector[
        "commitments"
    ]
    frost = Frost(PUBLIC, MESSAGE, committed)
    assert {one: _written(factor).hex() for one, factor in frost.factors.items()} == vector["factors"]
    parts = {one: frost.part(one, shares[one], *nonces[one]) for one in (1, 3)}
    assert {one: _written(part).hex() for one, part in parts.items()} == vector["parts"]
    assert all(frost.is_part(one, part, BASE.times(shares[one])) for one, part in parts.items())
    assert not frost.is_part(1, parts[3], BASE.times(shares[1]))
    signature = frost.signature([*parts.values()])
    assert signature.hex() == vector["signature"]
    assert is_signature(Scheme.ED25519, PUBLIC, MESSAGE, signature)


# ---- the engine


def generated(scheme: Scheme, committee: Committee) -> dict[int, Outcome]:
    """Make a key; return what each party has of it."""
    return asyncio.run(together(Operation.DKG, scheme, committee, {})).outcomes


def frost_share(outcome: Outcome) -> int:
    """Return the point of the polynomial in a share, as the crate frost-ed25519 writes it.

    A header of five bytes, the identifier, the point, its verifying share, the public key, the threshold.
    """
    header, identifier, point, verifying, public_key, threshold = (
        outcome.share[begin:end]
        for begin, end in itertools.pairwise((0, 5, 37, 69, 101, 133, len(outcome.share)))
    )
    assert len(header) == 5
    assert 1 <= _scalar(identifier) <= 5
    assert len(threshold) == 1
    assert (BASE.times(_scalar(point)).written(), public_key) == (verifying, outcome.public_key)
    return _scalar(point)


def frost_secret(points: Mapping[int, int]) -> int:
    """Return the key of some shares, by Lagrange."""
    parties = tuple(points)
    return sum(lagrange(one, parties) * point for one, point in points.items()) % L


def commitments(said: Mapping[int, Any]) -> dict[int, Committed]:
    """Return what the engines have committed to in round one; before it stand five bytes of header."""
    raw = {one: said_by.broadcast[5:] for one, said_by in said.items()}
    assert all(len(one) == 64 for one in raw.values())
    return {one: Committed(both[:32], both[32:]) for one, both in raw.items()}


@pytest.fixture(scope="module")
def frost_key() -> dict[int, Outcome]:
    return generated(Scheme.ED25519, FOUR_OF_FIVE)


@pytest.fixture(scope="module")
def ecdsa_key() -> dict[int, Outcome]:
    return generated(Scheme.ECDSA, TWO_OF_THREE)


@needs_engine
def test_any_four_shares_of_a_frost_key_are_the_key_and_no_three_are(frost_key: dict[int, Outcome]) -> None:
    points = {one: frost_share(outcome) for one, outcome in frost_key.items()}
    public_key = frost_key[1].public_key
    for four in itertools.combinations(points, 4):
        secret = frost_secret({one: points[one] for one in four})
        assert BASE.times(secret).written() == public_key
    for three in itertools.combinations(points, 3):
        secret = frost_secret({one: points[one] for one in three})
        assert BASE.times(secret).written() != public_key


@needs_engine
@pytest.mark.parametrize("parties", [(1, 2, 3, 4), (2, 3, 4, 5), (1, 3, 4, 5)])
async def test_what_engines_say_to_each_other_is_what_the_rfc_says(
    frost_key: dict[int, Outcome], parties: tuple[int, ...]
) -> None:
    """Every part verifies under its signer's share, and the sum of the parts is the signature, to the last byte."""
    message = b"a message that is no digest " * 9
    outcomes, said = await together(
        Operation.SIGN, Scheme.ED25519, FOUR_OF_FIVE, frost_key, parties=parties, message=message
    )
    frost = Frost(frost_key[1].public_key, message, commitments(said[1]))
    parts = {one: _scalar(said_by.broadcast[5:]) for one, said_by in said[2].items()}
    for one, part in parts.items():
        assert frost.is_part(one, part, BASE.times(frost_share(frost_key[one])))
        assert not frost.is_part(one, part + 1, BASE.times(frost_share(frost_key[one])))
    assert {outcome.signature for outcome in outcomes.values()} == {frost.signature([*parts.values()])}


@needs_engine
@pytest.mark.parametrize("message", [b"", b"\0", bytes(range(256)) * 8], ids=["empty", "short", "long"])
async def test_two_libraries_take_a_frost_signature_and_not_another(
    frost_key: dict[int, Outcome], message: bytes
) -> None:
    outcomes, _ = await together(
        Operation.SIGN, Scheme.ED25519, FOUR_OF_FIVE, frost_key, parties=(1, 2, 4, 5), message=message
    )
    public_key, signature = frost_key[1].public_key, outcomes[1].signature
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    assert SolanaSignature(signature).verify(Pubkey.from_bytes(public_key), message)
    assert int.from_bytes(signature[32:], "little") < L
    assert not SolanaSignature(signature).verify(Pubkey.from_bytes(public_key), message + b"\0")
    assert not is_signature(Scheme.ED25519, public_key, message + b"\0", signature)


@needs_engine
async def test_four_libraries_take_an_ecdsa_signature_and_find_the_same_key(
    ecdsa_key: dict[int, Outcome],
) -> None:
    public_key = ecdsa_key[1].public_key
    openssl = openssl_ec.EllipticCurvePublicKey.from_encoded_point(openssl_ec.SECP256K1(), public_key)
    recovery_ids = set()
    for number, parties in enumerate([(1, 2), (1, 3), (2, 3)] * 6):
        digest = hashlib.sha256(bytes([number])).digest()
        outcomes, _ = await together(
            Operation.SIGN, Scheme.ECDSA, TWO_OF_THREE, ecdsa_key, parties=parties, message=digest
        )
        assert len({(one.signature, one.recovery_id) for one in outcomes.values()}) == 1
        signature, recovery_id = outcomes[parties[0]].signature, outcomes[parties[0]].recovery_id
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        assert 0 < s <= ORDER // 2
        assert is_signature(Scheme.ECDSA, public_key, digest, signature)  # libsecp256k1
        openssl.verify(der(signature), digest, openssl_ec.ECDSA(Prehashed(SHA256())))
        assert ec.PublicKey.parse(public_key).verify(ec.Signature.parse(der(signature)), digest)
        assert recovered_key(digest, signature, recovery_id) == public_key
        told = EthereumSignature(
            vrs=(recovery_id, r, s), backend=NativeECCBackend()
        ).recover_public_key_from_msg_hash(digest)
        assert told.to_compressed_bytes() == public_key
        # The same numbers are a signature with the other half of s too: that is why one of them is not taken.
        high = signature[:32] + (ORDER - s).to_bytes(32, "big")
        assert not is_signature(Scheme.ECDSA, public_key, digest, high)
        assert recovered_key(digest, high, recovery_id ^ 1) == public_key
        assert recovered_key(digest, signature, recovery_id ^ 1) != public_key
        recovery_ids.add(recovery_id)
    assert recovery_ids == {0, 1}


def test_published_signatures_are_taken_and_their_malleable_twins_are_not() -> None:
    """The two that every library is tested with: RFC 6979's nonces on secp256k1, and RFC 8032's first with a message.

    RFC 6979 itself has no vector of this curve; what everybody compares is key 1 and "Satoshi Nakamoto".
    """
    one = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    digest = hashlib.sha256(b"Satoshi Nakamoto").digest()
    r = "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
    s = "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
    assert is_signature(Scheme.ECDSA, one, digest, bytes.fromhex(r + s))
    high = bytes.fromhex(r) + (ORDER - int(s, 16)).to_bytes(32, "big")
    assert not is_signature(Scheme.ECDSA, one, digest, high)

    key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    r = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    s = "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    assert is_signature(Scheme.ED25519, key, b"\x72", bytes.fromhex(r + s))
    again = (int.from_bytes(bytes.fromhex(s), "little") + L).to_bytes(32, "little")
    assert not is_signature(Scheme.ED25519, key, b"\x72", bytes.fromhex(r) + again)


# ---- BIP-32

VECTOR_1 = {
    "m/0'": "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEj"
        "WgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
    "m/0'/1": "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3"
        "UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
    "m/0'/1/2'": "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VU"
        "NgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
    "m/0'/1/2'/2": "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBq"
        "aGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
    "m/0'/1/2'/2/1000000000": "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSV"
        "qNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
}  # fmt: skip
VECTOR_2 = {
    "m": "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUa"
        "pSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
    "m/0": "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9Lgpe"
        "yGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
    "m/0/2147483647'": "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEy"
        "BLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
    "m/0/2147483647'/1": "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg"
        "5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
    "m/0/2147483647'/1/2147483646'": "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhg"
        "bmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
    "m/0/2147483647'/1/2147483646'/2": "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdS"
        "nLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
}  # fmt: skip
OPEN_STEPS = [
    (parent, parent + f"/{number}", number, vector)
    for vector in (VECTOR_1, VECTOR_2)
    for parent in vector
    for number in (0, 1, 2, 1_000_000_000)
    if parent + f"/{number}" in vector
]


def extended(text: str) -> tuple[bytes, bytes]:
    """Return the key and the chain code of an extended public key; its checksum was looked at."""
    read = bip32.HDKey.from_string(text)
    return read.key.sec(), read.chain_code


def test_the_vectors_have_six_steps_that_need_no_private_key() -> None:
    assert len(OPEN_STEPS) == 6


@pytest.mark.parametrize(("parent", "child", "number", "vector"), OPEN_STEPS)
def test_children_are_those_of_the_bip(parent: str, child: str, number: int, vector: dict[str, str]) -> None:
    above, below = extended(vector[parent]), extended(vector[child])
    assert child_of(*above, number) == below
    assert derived_key(*above, f"m/{number}") == below[0]


def test_two_steps_are_one_after_the_other() -> None:
    above = extended(VECTOR_1["m/0'/1/2'"])
    assert derived_key(*above, "m/2/1000000000") == extended(VECTOR_1["m/0'/1/2'/2/1000000000"])[0]
    assert derived_key(*above, "") == derived_key(*above, "m") == above[0]


@settings(max_examples=60)
@given(
    st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32),
    st.lists(st.integers(0, CHILD_MAX), min_size=1, max_size=4),
)  # fmt: skip
def test_any_path_leads_where_another_library_gets_from_above_and_from_below(
    secret: int, chain_code: bytes, steps: list[int]
) -> None:
    """The other library derives the public key and the private one: both come to what we come to."""
    private = bip32.HDKey(ec.PrivateKey(secret.to_bytes(32, "big")), chain_code)
    public_key = private.get_public_key().sec()
    path = "/".join(["m", *map(str, steps)])
    found = derived_key(public_key, chain_code, path)
    assert found == bip32.HDKey(ec.PublicKey.parse(public_key), chain_code).derive(steps).key.sec()
    assert found == private.derive(steps).get_public_key().sec()


@pytest.mark.parametrize(
    "path", ["m/0'", "m/0h", "m/2147483648", "m/-1", "m/", "m//1", "1", "/1", "M/1", "m/1/", "m/x", "m/99999999999"]
)  # fmt: skip
def test_what_is_no_path_below_a_key_is_refused(path: str) -> None:
    with pytest.raises(PathError):
        derived_key(*extended(VECTOR_2["m"]), path)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_chain_code_has_32_bytes(length: int) -> None:
    with pytest.raises(PathError):
        child_of(extended(VECTOR_2["m"])[0], bytes(length), 0)


@needs_engine
@pytest.mark.parametrize("path", ["m", "m/1", "m/1/0", "m/1/1", "m/1/300", f"m/1/{CHILD_MAX}", "m/7/6/5/4"])
async def test_the_engine_signs_with_the_key_that_everybody_derives(
    ecdsa_key: dict[int, Outcome], path: str
) -> None:
    above, digest = ecdsa_key[1], hashlib.sha256(path.encode()).digest()
    assert {one.chain_code for one in ecdsa_key.values()} == {above.chain_code}
    outcomes, _ = await together(
        Operation.SIGN, Scheme.ECDSA, TWO_OF_THREE, ecdsa_key, parties=(1, 3), message=digest, path=path
    )
    for outcome in outcomes.values():
        key = derived_key(above.public_key, above.chain_code, path)
        assert outcome.public_key == key
        assert is_signature(Scheme.ECDSA, key, digest, outcome.signature)
        assert recovered_key(digest, outcome.signature, outcome.recovery_id) == key
        assert is_signature(Scheme.ECDSA, above.public_key, digest, outcome.signature) == (path == "m")


@needs_engine
@pytest.mark.parametrize("path", ["m/0'", "m/2147483648", "m/x", "m/", "1"])
async def test_the_engine_signs_at_no_path_that_is_none(ecdsa_key: dict[int, Outcome], path: str) -> None:
    with pytest.raises(ProtocolAbort):
        await together(Operation.SIGN, Scheme.ECDSA, TWO_OF_THREE, ecdsa_key, message=bytes(32), path=path)

"""Nonces: whoever can tell anything about them has the key. Upbit lost 30 million dollars that way in 2025.

From what chains show of signatures (r, R) little can be told; so the key is put together here, for the test alone, and
with it every nonce is worked out. Bounds are such that good nonces fail less than once in a hundred thousand runs, and
what they find is tried on nonces that lose coins.
"""

import asyncio
import hashlib
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from benchmarks.mpc import Committee, together
from coincurve import PublicKey

from ringfence.custody.quorum.mpc.engine import Operation, Outcome, Scheme, engine_path
from ringfence.testing.shamir import ORDER, interpolated, public_key_of, secret_of
from tests.mpc.test_vectors import BASE, L, commitments, frost_secret, frost_share, generated

pytestmark = pytest.mark.skipif(
    engine_path() is None, reason="the MPC engine is not built: it needs Rust 1.88 or newer, then `make mpc`"
)
COMMITTEE = Committee(2, 3)
QUORUMS = ((1, 2), (1, 3), (2, 3))
SIGNATURES = 240
AT_ONCE = 4

CHI_SQUARE_MAX = 75.0
"""With 15 degrees of freedom, beyond it once in 10**9."""
SIGMAS_MAX = 6.0
"""Of a bit's count; more than a thousand bits are looked at."""
SHARED_BITS = 40
"""Of 240 numbers two share 40 bits at one end once in 4 * 10**7; 32 bits would be once in 150,000."""


# ---- what can be told of numbers


def objections(numbers: list[int], *, bits: int) -> list[str]:
    """Return by what numbers can be told from even ones below 2**bits."""
    count = len(numbers)
    found = ["a number comes twice"] if len(set(numbers)) < count else []
    for name, shift in (("high", bits - SHARED_BITS), ("low", 0)):
        if len({number >> shift & (1 << SHARED_BITS) - 1 for number in numbers}) < count:
            found.append(f"two share their {SHARED_BITS} {name} bits")
    for place in range(bits):
        ones = sum(number >> place & 1 for number in numbers)
        if abs(2 * ones - count) > SIGMAS_MAX * count**0.5:
            found.append(f"bit {place} is set {ones} times")
    for name, shift in (("leading", bits - 8), ("trailing", 0)):
        for half in (4, 0):
            chi = chi_square(number >> shift + half & 15 for number in numbers)
            if chi > CHI_SQUARE_MAX:
                found.append(f"the {name} byte is uneven: {chi:.0f}")
    return found


def chi_square(values: Iterator[int]) -> float:
    """Return how far from even values below 16 are.

    Half a byte at a time: there are too few signatures for 256 values, of which each would be expected once.
    """
    counts = Counter(values)
    expected = counts.total() / 16
    return sum((counts[value] - expected) ** 2 / expected for value in range(16))


def of_even_numbers(dice: random.Random, number: int) -> int:
    return dice.randrange(ORDER)


BAD: dict[str, Callable[[random.Random, int], int]] = {
    "8 bits short": lambda dice, number: dice.randrange(ORDER) >> 8,
    "4 bits short": lambda dice, number: dice.randrange(ORDER) >> 4,
    "2 bits short": lambda dice, number: dice.randrange(ORDER) >> 2,
    "always odd": lambda dice, number: dice.randrange(ORDER) | 1,
    "a bit that is set three times of four": lambda dice, number: (
        dice.randrange(ORDER) | dice.randrange(2) << 100
    ),
    "counted up from somewhere": lambda dice, number: 0x77 << 245 | number * 0x10001,
    "half of it always the same": lambda dice, number: (
        dice.randrange(2**128) << 128 | 0x0123456789ABCDEFFEDCBA9876543210
    ),
    "a generator with a seed of 12 bits": lambda dice, number: random.Random(dice.randrange(4096)).randrange(
        ORDER
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_nonces_that_lose_coins_are_found(kind: str) -> None:
    dice = random.Random(7)
    assert objections([BAD[kind](dice, number) for number in range(SIGNATURES)], bits=256)


def test_even_numbers_are_not_objected_to() -> None:
    dice = random.Random(7)
    for _ in range(20):
        assert objections([of_even_numbers(dice, number) for number in range(SIGNATURES)], bits=256) == []


# ---- the engine's


class Signed(NamedTuple):
    message: bytes
    outcome: Outcome
    committed: tuple[bytes, ...]
    """FROST: what its signers have committed to."""


class Signatures(NamedTuple):
    shares: dict[int, Outcome]
    signed: list[Signed]

    @property
    def public_key(self) -> bytes:
        return self.shares[1].public_key


def signatures(scheme: Scheme) -> Signatures:
    """Sign different digests with one key, by all of its quorums in turn."""
    shares = generated(scheme, COMMITTEE)

    async def sign_all() -> list[Signed]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def sign(number: int) -> Signed:
            digest = hashlib.sha256(b"%d" % number).digest()
            async with gate:
                parties = QUORUMS[number % len(QUORUMS)]
                outcomes, said = await together(
                    Operation.SIGN, scheme, COMMITTEE, shares, parties=parties, message=digest
                )
            pairs = commitments(said[1]).values() if scheme == Scheme.ED25519 else ()
            committed = tuple(half for pair in pairs for half in pair)
            return Signed(digest, outcomes[parties[0]], committed)

        return list(await asyncio.gather(*map(sign, range(SIGNATURES))))

    return Signatures(shares, asyncio.run(sign_all()))


@pytest.fixture(scope="module")
def ecdsa() -> Signatures:
    return signatures(Scheme.ECDSA)


@pytest.fixture(scope="module")
def frost() -> Signatures:
    return signatures(Scheme.ED25519)


def test_what_chains_see_of_ecdsa_nonces_is_even(ecdsa: Signatures) -> None:
    seen = [int.from_bytes(one.outcome.signature[:32], "big") for one in ecdsa.signed]
    assert objections(seen, bits=256) == []


def test_ecdsa_nonces_are_even_themselves(ecdsa: Signatures) -> None:
    secret = interpolated({one: secret_of(outcome.share) for one, outcome in ecdsa.shares.items()})
    assert public_key_of(secret) == ecdsa.public_key
    nonces = []
    for message, outcome, _ in ecdsa.signed:
        r, s = (int.from_bytes(half, "big") for half in (outcome.signature[:32], outcome.signature[32:]))
        nonce = pow(s, -1, ORDER) * (int.from_bytes(message, "big") + r * secret) % ORDER
        point = PublicKey.from_secret(nonce.to_bytes(32, "big")).format()
        assert (int.from_bytes(point[1:], "big") % ORDER, point[0] & 1) == (r, outcome.recovery_id & 1)
        nonces.append(nonce)
    assert objections(nonces, bits=256) == []
    # s in the lower half takes the negative nonce for every other signature: neither may be one of another's.
    assert len({min(nonce, ORDER - nonce) for nonce in nonces}) == SIGNATURES


def test_s_is_as_even_as_the_lower_half_can_be(ecdsa: Signatures) -> None:
    halves = [int.from_bytes(one.outcome.signature[32:], "big") for one in ecdsa.signed]
    assert objections(halves, bits=255) == []


def test_the_two_points_of_r_come_equally_often(ecdsa: Signatures) -> None:
    odd = sum(one.outcome.recovery_id for one in ecdsa.signed)
    assert abs(2 * odd - SIGNATURES) < SIGMAS_MAX * SIGNATURES**0.5


def test_what_chains_see_of_frost_nonces_is_even(frost: Signatures) -> None:
    seen = [int.from_bytes(one.outcome.signature[:32], "little") for one in frost.signed]
    assert objections(seen, bits=256) == []


def test_frost_nonces_are_even_themselves(frost: Signatures) -> None:
    secret = frost_secret({one: frost_share(outcome) for one, outcome in frost.shares.items()})
    assert BASE.times(secret).written() == frost.public_key
    nonces = []
    for message, outcome, _ in frost.signed:
        r, z = outcome.signature[:32], int.from_bytes(outcome.signature[32:], "little")
        challenge = int.from_bytes(hashlib.sha512(r + frost.public_key + message).digest(), "little") % L
        nonce = (z - challenge * secret) % L
        assert BASE.times(nonce).written() == r
        nonces.append(nonce)
    # The order is a little above 2**252, so that bit 252 is never seen and those below are even.
    assert objections(nonces, bits=252) == []


def test_no_signer_of_frost_commits_to_the_same_twice(frost: Signatures) -> None:
    committed = [half for one in frost.signed for half in one.committed]
    assert len(committed) == SIGNATURES * COMMITTEE.threshold * 2
    assert len(set(committed)) == len(committed)


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_the_same_message_has_other_nonces_every_time(
    scheme: Scheme, ecdsa: Signatures, frost: Signatures
) -> None:
    """Also if all that the engine is given is the same, its run's name too, as after a machine was set back."""
    shares = (ecdsa if scheme == Scheme.ECDSA else frost).shares
    message, session = secrets.token_bytes(32), secrets.token_bytes(32)
    runs = [
        await together(Operation.SIGN, scheme, COMMITTEE, shares, message=message, session=session)
        for _ in range(5)
    ]
    assert len({run.outcomes[1].signature[:32] for run in runs}) == len(runs)
    assert (
        len({said.broadcast or min(said.private.items()) for run in runs for said in run.said[1].values()})
        == 10
    )

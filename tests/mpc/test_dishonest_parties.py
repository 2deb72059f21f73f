"""Parties that flip bytes, say nothing, say two things or speak for others: no signature, a name, and no hang."""

import asyncio
import hashlib
import time

import msgspec
import pytest

from ringfence.custody.cosigner.checks import RefusalError
from ringfence.custody.cosigner.mpc import FAILURES_MAX
from ringfence.custody.hsm.token import IDENTITY
from ringfence.custody.quorum.mpc.engine import ProtocolAbort, Scheme
from ringfence.custody.quorum.mpc.keys import KeyRecord, What
from ringfence.custody.quorum.mpc.sessions import (
    Echo,
    Message,
    Sent,
    broadcast_digest,
    echo_digest,
    message_digest,
)
from ringfence.testing.mpc import Circle
from tests.mpc.conftest import Settled

MESSAGE = hashlib.sha256(b"a message").digest()
FOUR = ("ops-1", "ops-2", "policy-1", "policy-2")
CHEAT = "ops-2"


def sign_again(circle: Circle, one: Message) -> Message:
    """Sign a message that its own sender has changed."""
    token = circle.hardware.identities[one.sender]
    digest = hashlib.sha256(one.broadcast.encode()).hexdigest()
    spoken = token.sign(IDENTITY, broadcast_digest(one.run, one.round, one.sender, digest)).hex()
    one = msgspec.structs.replace(one, broadcast_signature=spoken if one.broadcast else "")
    return msgspec.structs.replace(one, signature=token.sign(IDENTITY, message_digest(one)).hex())


def flipped(text: str, place: int) -> str:
    raw = bytearray.fromhex(text)
    raw[place % len(raw)] ^= 1
    return raw.hex()


async def attempt(circle: Circle, record: KeyRecord, number: int = 0) -> list[object]:
    """Return what comes of signing for each of the four: an outcome or what was raised; never after the deadline."""
    begun = time.monotonic()
    task = circle.task(record, MESSAGE, FOUR, attempt=number)
    answers = await asyncio.gather(
        *(circle.parties[name].party.sign(task) for name in FOUR), return_exceptions=True
    )
    assert time.monotonic() - begun < 5 * circle.signing_seconds
    return list(answers)


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("place", [0, 40, -20])
async def test_a_party_that_changes_a_byte_of_what_it_says_prevents_the_signature(
    settled: Settled, scheme: Scheme, number: int, place: int
) -> None:
    if scheme == Scheme.ED25519 and number == 3:
        pytest.skip("FROST has two rounds")
    circle, record = settled.circle, settled.records[scheme]

    def change(sender: str, to: str, one: Sent) -> Sent:
        if sender != CHEAT or not isinstance(one, Message) or one.round != number:
            return one
        spoken = flipped(one.broadcast, place) if one.broadcast else ""
        private = flipped(one.private, place) if one.private else ""
        return sign_again(circle, msgspec.structs.replace(one, broadcast=spoken, private=private))

    circle.change = change
    answers = await attempt(circle, record)
    honest = [one for name, one in zip(FOUR, answers, strict=True) if name != CHEAT]
    assert all(isinstance(one, ProtocolAbort) for one in honest), answers
    circle.change = lambda sender, to, one: one
    assert not any(isinstance(one, Exception) for one in await attempt(circle, record, 1)) or _bans(circle)


def _bans(circle: Circle) -> bool:
    """Return whether somebody has found out that the cheat has cheated in a way that leaks, and bans it for ever."""
    kept = [circle.parties[name].vault.in_force("ecdsa-secp256k1") for name in FOUR]
    return any(one is not None and one.banned == (CHEAT,) for one in kept)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_silent_party_is_named_when_its_time_has_passed(settled: Settled, number: int) -> None:
    circle, record = settled.circle, settled.records[Scheme.ED25519]
    circle.change = lambda sender, to, one: None if sender == CHEAT and one.round == number else one
    answers = await attempt(circle, record)
    for name, one in zip(FOUR, answers, strict=True):
        if name != CHEAT:
            assert isinstance(one, ProtocolAbort)
            assert f"nothing from {CHEAT} in round {number} within 2 s" in str(one)
            assert one.is_harmless == (number == 1)


async def test_who_says_two_things_is_named_by_everybody(settled: Settled) -> None:
    circle, record = settled.circle, settled.records[Scheme.ED25519]

    def change(sender: str, to: str, one: Sent) -> Sent:
        if sender == CHEAT and isinstance(one, Message) and to == "policy-1" and one.round == 1:
            return sign_again(circle, msgspec.structs.replace(one, broadcast=flipped(one.broadcast, 9)))
        return one

    circle.change = change
    for name, one in zip(FOUR, await attempt(circle, record), strict=True):
        if name != CHEAT:
            assert isinstance(one, ProtocolAbort)
            assert f"{CHEAT} does not say the same to everybody" in str(one)
            assert (
                one.culprit
                == circle.hardware.charter.members.index(circle.hardware.charter.member(CHEAT)) + 1
            )


async def test_who_slanders_another_is_named_itself(settled: Settled) -> None:
    """An echo of something that the other has never signed proves who has made it up."""
    circle, record = settled.circle, settled.records[Scheme.ED25519]

    def change(sender: str, to: str, one: Sent) -> Sent:
        if sender != CHEAT or not isinstance(one, Echo):
            return one
        lies = tuple((name, "00" * 32, signature) for name, _, signature in one.heard)
        one = msgspec.structs.replace(one, heard=lies)
        token = circle.hardware.identities[CHEAT]
        return msgspec.structs.replace(one, signature=token.sign(IDENTITY, echo_digest(one)).hex())

    circle.change = change
    for name, one in zip(FOUR, await attempt(circle, record), strict=True):
        if name != CHEAT:
            assert isinstance(one, ProtocolAbort)
            assert f"{CHEAT} does not say the same" in str(one)


async def test_nobody_speaks_for_another_and_nothing_is_played_again(settled: Settled) -> None:
    circle, record = settled.circle, settled.records[Scheme.ED25519]
    await attempt(circle, record)
    old = list(circle.carried)

    def change(sender: str, to: str, one: Sent) -> Sent:
        # Beside each message: the one from the run before, one with another's name, and one of another run's number.
        board = circle.parties[to].party.switchboard
        for earlier in old[:20]:
            board.take(earlier)
            board.take(msgspec.structs.replace(earlier, run=one.run))
        board.take(msgspec.structs.replace(one, sender="ops-1" if sender != "ops-1" else "policy-1"))
        board.take(msgspec.structs.replace(one, receiver="ops-3"))
        board.take(msgspec.structs.replace(one, round=99))
        return one

    circle.change = change
    answers = await attempt(circle, record, 1)
    assert not [one for one in answers if isinstance(one, Exception)]
    with pytest.raises(RefusalError, match="begun before"):
        await circle.parties["ops-1"].party.sign(circle.task(record, MESSAGE, FOUR, attempt=1))


@pytest.mark.slow
async def test_a_key_whose_runs_fail_rests_until_two_people_have_looked(settled: Settled) -> None:
    circle, record = settled.circle, settled.records[Scheme.ED25519]
    circle.change = lambda sender, to, one: None if sender == CHEAT and one.round == 2 else one
    for number in range(FAILURES_MAX):
        circle.parties["ops-1"].restart()  # it is the log that counts
        await attempt(circle, record, number)
    circle.change = lambda sender, to, one: one
    answers = await attempt(circle, record, FAILURES_MAX)
    assert all("5 runs of ed25519 have failed in a row" in str(one) for one in answers)

    lonely = circle.order(What.REVIEW, "ed25519", Scheme.ED25519, by=("custody-anna",))
    with pytest.raises(RefusalError, match="2 people of different groups"):
        circle.parties["ops-1"].party.review(lonely)
    order = circle.order(What.REVIEW, "ed25519", Scheme.ED25519)
    for name in FOUR:
        circle.parties[name].party.review(order)
        with pytest.raises(RefusalError, match="used before"):
            circle.parties[name].party.review(order)
    assert not [one for one in await attempt(circle, record, FAILURES_MAX + 1) if isinstance(one, Exception)]


async def test_who_has_cheated_in_a_way_that_leaks_is_dealt_with_no_more(settled: Settled) -> None:
    circle, record = settled.circle, settled.records[Scheme.ECDSA]
    circle.parties["ops-1"].vault.ban(record.name, CHEAT)
    circle.parties["ops-1"].restart()
    with pytest.raises(RefusalError, match="ops-2 has cheated in this epoch"):
        await circle.parties["ops-1"].party.sign(circle.task(record, MESSAGE, FOUR))
    others = ("ops-1", "ops-3", "policy-1", "policy-2")
    assert await circle.sign(record, MESSAGE, others)

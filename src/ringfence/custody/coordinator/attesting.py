"""Asks co-signers to show that they can move coins: who was drawn, evidence of their tokens, then their signatures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from ringfence.custody.nomination import ATTESTING_MAX, Roster, attesting
from ringfence.custody.quorum.attestation import subject_of
from ringfence.custody.quorum.messages import (
    Attest,
    Attested,
    Challenge,
    Join,
    JointSignature,
    Nonce,
    Recall,
    Refusal,
    Show,
    Shown,
)
from ringfence.custody.quorum.wire import Asked, Told

Ask = Callable[[str, Asked], Awaitable[Told | None]]
"""Put a question to a co-signer; None if it does not answer."""
Kind = TypeVar("Kind")
_BEHIND = ("attest", "node", "sources")
"""Steps at which a co-signer that is a block behind refuses."""


class NotAttestedError(Exception):
    """Too few co-signers have shown control. Nothing was moved or could be; the text names each and what it said."""

    def __init__(self, why: dict[str, str], *, is_for_now: bool = False) -> None:
        super().__init__("; ".join(f"{name}: {said}" for name, said in sorted(why.items())))
        self.why, self.is_for_now = dict(why), is_for_now


class Collected(NamedTuple):
    """What the co-signers have signed."""

    question: Attest
    quorum: tuple[str, ...]
    parts: tuple[Attested, ...]
    joint: tuple[tuple[str, int], ...]
    """Signatures of a shared key, in hexadecimal, with their recovery ids."""


class _Failed(Exception):
    def __init__(self, name: str, answer: Told | None, *, is_last: bool = False) -> None:
        self.name, self.said, self.is_last = name, _said(answer), is_last
        """Last: no other quorum is tried, since every run that fails counts against the key."""
        self.is_for_now = isinstance(answer, Refusal) and answer.is_for_now and answer.step in _BEHIND


async def collect(ask: Ask, roster: Roster, question: Attest, *, seats: int, run: int) -> Collected:
    """Have a quorum sign, the first that is whole. Raises NotAttestedError.

    run: a number above that of every run before; the time will do.
    """
    why: dict[str, str] = {}
    is_for_now = False
    for attempt in range(ATTESTING_MAX):
        one = msgspec.structs.replace(question, attempt=attempt)
        quorum = attesting(
            roster, block=bytes.fromhex(one.block), snapshot_root=bytes.fromhex(one.snapshot_root), attempt=attempt,
            seats=seats,
        )  # fmt: skip
        if set(quorum) & set(why):
            continue
        try:
            return await _signed(ask, one, quorum, run)
        except _Failed as failed:
            why[failed.name] = failed.said
            is_for_now |= failed.is_for_now
            if failed.is_last:
                break
    raise NotAttestedError(why, is_for_now=is_for_now)


async def _signed(ask: Ask, question: Attest, quorum: tuple[str, ...], run: int) -> Collected:
    subject = subject_of(question)
    nonces = await _all(ask, {name: Challenge(subject) for name in quorum}, Nonce)
    questions = {}
    for name in quorum:
        others = [other for other in quorum if other != name]
        shown = await _all(ask, {other: Show(name, nonces[name].nonce, subject) for other in others}, Shown)
        evidence = tuple(one.evidence for one in shown.values())
        questions[name] = msgspec.structs.replace(question, evidence=evidence)
    parts = await _all(ask, questions, Attested)
    joint: tuple[tuple[str, int], ...] = ()
    if question.key:
        joint = await _joined(ask, subject, quorum, run)
    return Collected(question, quorum, tuple(parts[name] for name in quorum), joint)


async def _joined(ask: Ask, subject: str, quorum: tuple[str, ...], run: int) -> tuple[tuple[str, int], ...]:
    """Return what the quorum has signed together, now or before."""
    known = await asyncio.gather(*(ask(name, Recall(subject)) for name in quorum))
    if found := _joint(known):
        return found
    answers = await asyncio.gather(*(ask(name, Join(subject, run)) for name in quorum))
    if found := _joint(answers):
        return found
    failed = next((pair for pair in zip(quorum, answers, strict=True) if not _is_harmless(pair[1])), None)
    name, answer = failed or (quorum[0], answers[0])
    raise _Failed(name, answer, is_last=True)


def _joint(answers: Sequence[Told | None]) -> tuple[tuple[str, int], ...]:
    return next((one.signatures for one in answers if isinstance(one, JointSignature)), ())


def _is_harmless(answer: Told | None) -> bool:
    """Whether a co-signer has only suffered from another one's being away."""
    return isinstance(answer, Refusal) and answer.step == "mpc"


async def _all(ask: Ask, questions: Mapping[str, Asked], kind: type[Kind]) -> dict[str, Kind]:
    """Return everybody's answer. Raises _Failed with the first who gives none of this kind."""
    answers = await asyncio.gather(*(ask(name, question) for name, question in questions.items()))
    found: dict[str, Kind] = {}
    for name, answer in zip(questions, answers, strict=True):
        if not isinstance(answer, kind):
            raise _Failed(name, answer)
        found[name] = answer
    return found


def _said(answer: Told | None) -> str:
    if isinstance(answer, Refusal):
        return f"refuses ({answer.step}): {answer.reason}"
    return "does not answer" if answer is None else f"says {type(answer).__name__}"

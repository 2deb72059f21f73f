"""The chain of checks before a signature. Each takes what the one before has proved, so that none can be left out.

authenticated -> nominated -> evident -> decoded -> decided. What comes out at the end is what the HSM signs.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from ringfence.custody.beacon import BeaconError
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.cosigner.config import Charter
from ringfence.custody.cosigner.facts import Node
from ringfence.custody.cosigner.memory import Memory
from ringfence.custody.hsm import EvidenceError, check_evidence
from ringfence.custody.hsm.evidence import Evidence
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.nomination import (
    TIMEOUTS_NEEDED,
    Nomination,
    NominationError,
    Sealed,
    commitment_of,
    nominate,
    seated,
)
from ringfence.custody.policy import (
    OF_NOW,
    Case,
    Decision,
    DecodedTransaction,
    Facts,
    Policy,
    Signed,
    decide,
)
from ringfence.custody.quorum.messages import (
    Batch,
    Consider,
    SealedRecord,
    TimedOut,
    VerdictRow,
    Witnessed,
    statement,
)
from ringfence.custody.wallets.owners import Mine, Owner
from ringfence.units.time import NS_PER_SECOND

INTENTS_MAX = 50
BEACON_SECONDS_MIN, BEACON_SECONDS_MAX = 20, 600
"""How far ahead the round of a beacon lies when a seal is witnessed."""
_ROUND_MAX = 2**40


class RefusalError(Exception):
    """A check refuses. Nothing was signed."""

    def __init__(
        self, step: str, reason: str, *, verdicts: tuple[VerdictRow, ...] = (), is_for_now: bool = False
    ) -> None:
        super().__init__(f"{step}: {reason}")
        self.step, self.reason, self.verdicts, self.is_for_now = step, reason, verdicts, is_for_now


class Authenticated(NamedTuple):
    """The question came over a connection whose certificate is the coordinator's."""

    question: Consider


class Nominated(NamedTuple):
    """This co-signer was drawn for this batch, from what nobody knew when it was sealed."""

    before: Authenticated
    sealed: Sealed
    nomination: Nomination
    quorum: tuple[str, ...]


class Evident(NamedTuple):
    """The HSMs of the other nominees have shown that nobody has touched them."""

    before: Nominated
    age_ns: int
    counters: dict[str, int]


class OfToken(NamedTuple):
    """What a key of this co-signer's token is to sign."""

    mine: Mine
    digest: bytes


class OfShare(NamedTuple):
    """What a key is to sign of which this co-signer has a share."""

    path: str
    """Which key below the shared one, empty for itself."""
    messages: tuple[bytes, ...]
    key: str = ""
    """Its name."""


class Decoded(NamedTuple):
    """What the very bytes say, with everything that they rest on looked up at the co-signer's own node."""

    before: Evident
    subject: str
    transaction: DecodedTransaction
    to_sign: tuple[OfToken, ...] | OfShare


class Decided(NamedTuple):
    """Every rule of the policy allows every movement of the batch."""

    before: Decoded
    decisions: tuple[Decision, ...]
    verdicts: tuple[VerdictRow, ...]

    @property
    def digest(self) -> str:
        lines = "\n".join(f"{one.rule} {one.intent} {one.allows}" for one in self.verdicts)
        return hashlib.sha256(b"ringfence decision\n" + lines.encode()).hexdigest()


# ---- sealed records


def sealed_of(record: SealedRecord) -> Sealed:
    """Raises RefusalError."""
    try:
        commitments = tuple((name, bytes.fromhex(value)) for name, value in record.commitments)
        return Sealed(
            bytes.fromhex(record.batch), bytes.fromhex(record.roster), record.sealed_height, record.height,
            record.beacon_round, commitments,
        )  # fmt: skip
    except (ValueError, OverflowError) as error:
        raise RefusalError("sealed", f"the record cannot be read: {error}") from error


def record_of(sealed: Sealed) -> SealedRecord:
    commitments = tuple((name, value.hex()) for name, value in sealed.commitments)
    return SealedRecord(
        sealed.batch.hex(),
        sealed.roster.hex(),
        sealed.sealed_height,
        sealed.height,
        sealed.beacon_round,
        commitments,
    )


def sealed_digest(sealed: Sealed) -> str:
    """Raises RefusalError for numbers that are none."""
    try:
        return sealed.digest.hex()
    except OverflowError as error:
        raise RefusalError("sealed", "a height or a round is no number of a chain") from error


def check_beacon(charter: Charter, sealed: Sealed, *, now_ns: int | None = None) -> None:
    """Raises RefusalError unless the seal names a round where the charter has a beacon, and none where it has none.

    With a time: the round must be yet to come. Randomness that no co-signer verifies would be chosen by who brings it.
    """
    if charter.beacon is None:
        if sealed.beacon_round:
            raise RefusalError("sealed", "a beacon is announced, and the charter has none")
        return
    if not 0 < sealed.beacon_round < _ROUND_MAX:
        raise RefusalError("sealed", f"the charter's beacon {charter.beacon.name} is left out")
    if now_ns is not None:
        seconds = (charter.beacon.time_ns(sealed.beacon_round) - now_ns) // NS_PER_SECOND
        if not BEACON_SECONDS_MIN <= seconds <= BEACON_SECONDS_MAX:
            reason = f"round {sealed.beacon_round} of the beacon comes in {seconds} s"
            raise RefusalError(
                "sealed", f"{reason}; {BEACON_SECONDS_MIN} to {BEACON_SECONDS_MAX} s are allowed"
            )


def randomness_of(charter: Charter, sealed: Sealed, signature: str) -> bytes:
    """Return what the beacon gives to the draw, nothing without one. Raises RefusalError."""
    check_beacon(charter, sealed)
    if charter.beacon is None:
        if signature:
            raise RefusalError("nominated", "something of a beacon is brought, and the charter has none")
        return b""
    try:
        return charter.beacon.randomness(sealed.beacon_round, signature)
    except BeaconError as error:
        raise RefusalError("nominated", str(error)) from error


def check_batch(batch: Batch) -> None:
    """Raises RefusalError unless the movements belong together, and can be told apart in one transaction."""
    ids = [intent.id for intent in batch.intents]
    if not 0 < len(ids) <= INTENTS_MAX or sorted(set(ids)) != ids:
        raise RefusalError("batch", f"{len(ids)} movements, of 1 to {INTENTS_MAX}, each once and in order")
    if batch.owner not in {owner.text for owner in Owner}:
        raise RefusalError("batch", f"nobody is called {batch.owner!r}")
    if len({(intent.chain, intent.asset) for intent in batch.intents}) > 1:
        raise RefusalError("batch", "movements of several chains or assets are never in one transaction")
    if {intent.owner for intent in batch.intents} != {batch.owner}:
        raise RefusalError("batch", "movements of several owners are never in one transaction")
    if len({intent.destination for intent in batch.intents}) < len(ids):
        raise RefusalError(
            "batch", "two movements to one destination cannot be told apart in one transaction"
        )


def check_witnesses(charter: Charter, sealed: str, witnesses: tuple[Witnessed, ...]) -> None:
    seen = set()
    digest = statement(b"witnessed", sealed)
    for one in witnesses:
        if one.sealed == sealed and charter.is_signed(one.signer, digest, one.signature):
            seen.add(one.signer)
    needed = charter.roster().witnesses_needed
    if len(seen) < needed:
        raise RefusalError("nominated", f"{len(seen)} co-signers saw the seal in time, {needed} are needed")


# ---- the chain


def authenticate(question: Consider, *, is_coordinator: bool) -> Authenticated:
    if not is_coordinator:
        raise RefusalError("authenticated", "this connection is not the coordinator's")
    return Authenticated(question)


def check_nomination(
    before: Authenticated,
    charter: Charter,
    memory: Memory,
    node: Node,
    *,
    me: str,
    seats: int,
    heights_ahead: int,
) -> Nominated:
    """Return who signs, if this co-signer is among them; `seats` = how many it takes. Raises RefusalError."""
    question = before.question
    check_batch(question.batch)
    sealed = sealed_of(question.sealed)
    beacon = randomness_of(charter, sealed, question.beacon)
    digest = sealed_digest(sealed)
    if sealed.batch != question.batch.digest:
        raise RefusalError("nominated", "the seal is of another batch")
    if memory.sealed.get(question.batch.id, digest) != digest:
        raise RefusalError("nominated", "this batch was sealed before: it is nominated once, for ever")
    for intent in question.batch.intents:
        if memory.batch_of.get(intent.id, question.batch.id) != question.batch.id:
            raise RefusalError("nominated", f"movement {intent.id} is of another batch, for ever")
    contribution = memory.contributions.get(question.batch.digest.hex())
    mine = dict(sealed.commitments).get(me)
    # Who was away at the sealing is in the draw without a contribution of its own, and signs if it is back.
    if mine is not None and (contribution is None or commitment_of(contribution) != mine):
        raise RefusalError("nominated", "the seal does not hold what this co-signer has committed to")
    check_witnesses(charter, digest, question.witnesses)
    block = _deciding_block(charter, memory, node, sealed, digest)
    try:
        revealed = {one.signer: bytes.fromhex(one.contribution) for one in question.contributions}
        nomination = nominate(
            charter.roster(), sealed, block_hash=bytes.fromhex(block), beacon=beacon, revealed=revealed,
            heights_ahead=heights_ahead,
        )  # fmt: skip
        # Who leaves a contribution out draws again; so nobody is left out whom two others have not waited for.
        _check_late(charter, question, digest, (*question.late, *nomination.withheld))
        quorum = seated(charter.roster(), nomination, question.late, seats=seats)
    except (NominationError, ValueError) as error:
        raise RefusalError("nominated", str(error)) from error
    if set(quorum) & set(nomination.withheld):
        raise RefusalError("nominated", "the contribution of a nominee was left out")
    if me not in quorum:
        raise RefusalError("nominated", f"{me} is not nominated; {', '.join(quorum)} are")
    return Nominated(before, sealed, nomination, quorum)


def _deciding_block(charter: Charter, memory: Memory, node: Node, sealed: Sealed, digest: str) -> str:
    """Return the hash of the block that decides, from the co-signer's own node."""
    try:
        height = node.block_count()
        if height + 1 - sealed.height < charter.confirmations:
            raise RefusalError("nominated", f"block {sealed.height} is not there yet", is_for_now=True)
        block = node.block_hash(sealed.height)
    except BitcoinError as error:
        raise RefusalError("nominated", f"the node does not answer: {error}", is_for_now=True) from error
    if memory.blocks.get(digest, block) != block:
        raise RefusalError("nominated", "another block decides now than the one that this co-signer acted on")
    return block


def _check_late(charter: Charter, question: Consider, sealed: str, names: tuple[str, ...]) -> None:
    """Raises NominationError unless two others have waited in vain for each of these."""
    for late in names:
        others = set()
        for one in question.timeouts:
            if one.who == late and one.sealed == sealed and one.signer != late:
                digest = timed_out_digest(one)
                if charter.is_signed(one.signer, digest, one.signature):
                    others.add(one.signer)
        if len(others) < TIMEOUTS_NEEDED:
            raise NominationError(
                f"{len(others)} co-signers waited for {late} in vain, {TIMEOUTS_NEEDED} are needed"
            )


def timed_out_digest(one: TimedOut) -> bytes:
    return statement(b"timed out", one.sealed, one.who)


def check_others(
    before: Nominated, charter: Charter, memory: Memory, nonces: Mapping[str, str], *, subject: str, me: str,
    now_ns: int,
) -> Evident:  # fmt: skip
    oldest, counters = evidence_of_others(
        before.quorum,
        before.before.question.evidence,
        charter,
        memory,
        nonces,
        subject=subject,
        me=me,
        now_ns=now_ns,
    )
    return Evident(before, oldest, counters)


def evidence_of_others(
    quorum: tuple[str, ...], evidence: tuple[Evidence, ...], charter: Charter, memory: Memory,
    nonces: Mapping[str, str], *, subject: str, me: str, now_ns: int,
) -> tuple[int, dict[str, int]]:  # fmt: skip
    """Return how old the oldest evidence is, and everybody's counter. Raises RefusalError unless all convince."""
    nonce = nonces.get(subject)
    if nonce is None:
        raise RefusalError("evidence", "no nonce was given for this transaction", is_for_now=True)
    shown = {one.signer: one for one in evidence}
    oldest, counters = 0, {}
    for name in quorum:
        if name == me:
            continue
        if name not in shown:
            raise RefusalError("evidence", f"{name} has shown nothing", is_for_now=True)
        one = shown[name]
        try:
            check_evidence(
                one, charter.member(name).baseline, nonce=nonce, subject=subject,
                highest_counter=memory.counters.get(name, 0), now_ns=now_ns,
            )  # fmt: skip
        except EvidenceError as error:
            raise RefusalError("evidence", str(error)) from error
        oldest = max(oldest, now_ns - one.at_ns)
        counters[name] = one.counter
    return max(oldest, 0), counters


def decide_all(before: Decoded, charter: Charter, policy: Policy, facts: Facts) -> Decided:
    question = before.before.before.before.question
    approvals = charter.approvals(question.approvals)
    paid = frozenset(intent.destination for intent in question.batch.intents)
    decisions, rows = [], []
    for intent in question.batch.intents:
        theirs = tuple(one for one in approvals if one.digest == intent.digest)
        decision = decide(Case(intent, theirs, facts, policy, paid))
        # What this very batch moves counts in the windows of the movements after it.
        if facts.signed is not None:
            facts = facts._replace(signed=(*facts.signed, _as_signed(intent, facts.now_ns, before)))
        decisions.append(decision)
        rows += [VerdictRow(one.rule, intent.id, one.allows, one.reason) for one in decision.verdicts]
    leaving = [intent for intent in question.batch.intents if intent.kind == Kind.WITHDRAWAL]
    asked = sum(intent.amount for intent in leaving)
    leaves = sum(one.amount for one in before.transaction.outputs if not one.owner)
    if leaves != asked:
        raise RefusalError("policy", f"{leaves} leave, {asked} were asked for", verdicts=tuple(rows))
    denied = [row for row in rows if not row.allows]
    if denied:
        why = "; ".join(f"{row.rule} on {row.intent}: {row.reason}" for row in denied[:5])
        waits = all(row.rule in OF_NOW for row in denied)
        raise RefusalError("policy", why, verdicts=tuple(rows), is_for_now=waits)
    return Decided(before, tuple(decisions), tuple(rows))


def _as_signed(intent: Intent, now_ns: int, before: Decoded) -> Signed:
    return Signed(
        now_ns, intent.digest, intent.id, intent.account, intent.destination, intent.amount,
        before.transaction.inputs,
    )  # fmt: skip

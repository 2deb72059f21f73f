"""What the coordinator may ask of a co-signer, and what a co-signer answers.

The coordinator is not trusted: nothing here says what is true. A co-signer recomputes each digest, decodes the very
bytes that it is to sign, and takes its facts from its own ledger, its own node, its own policy and its own log.

A batch goes through five questions, each put to a co-signer as one message:

1. `Commit`: here is a batch; commit to a contribution to its nomination (`Commitment`).
2. `Countersign`: the batch is sealed so; witness that the block that decides does not exist yet (`Witnessed`).
3. `Reveal`: the block exists; tell the contribution (`Contribution`).
4. `Challenge`: give a nonce for this transaction (`Nonce`); then `Show`: evidence of the HSM for another's nonce.
5. `Consider`: everything; sign or refuse by name (`Part` or `Refusal`).
6. `Join`, for keys that nobody has: all nominees have said yes; sign with them (`JointSignature`).

`Attest` is about no movement: sign a message that shows control of coins and that can never be a payment (`Attested`).
"""

import hashlib

import msgspec

from ringfence.custody.hsm.evidence import Evidence
from ringfence.custody.intents import Approval, Intent

MESSAGE_BYTES_MAX = 4 << 20
"""A question or an answer as a line of JSON is no longer; whoever sends more is cut off."""


class SignedApproval(msgspec.Struct, frozen=True):
    """An approval with the person's own signature of its digest, by a key that the co-signers have enrolled."""

    approval: Approval
    signature: str
    """Hexadecimal, r|s."""


class SignedVeto(msgspec.Struct, frozen=True):
    """One person of the charter does not want a movement: its coins go back, whoever has approved it."""

    person: str
    digest: str
    """Of the intent, hexadecimal."""
    because: str
    signature: str
    """Hexadecimal, of `statement(b"veto", person, digest, because)`."""


class Batch(msgspec.Struct, frozen=True):
    """Movements of one owner's coins that one transaction makes. Sealed once, nominated once, for ever."""

    id: str
    owner: str
    intents: tuple[Intent, ...]
    """In the order of their ids."""

    @property
    def digest(self) -> bytes:
        """SHA-256 over id, owner and the digests of the intents."""
        lines = "\n".join((self.id, self.owner, *(intent.digest for intent in self.intents)))
        return hashlib.sha256(b"ringfence batch 1\n" + lines.encode()).digest()


class SealedRecord(msgspec.Struct, frozen=True):
    """`nomination.Sealed` as it is sent and published. Bytes are hexadecimal."""

    batch: str
    roster: str
    sealed_height: int
    height: int
    beacon_round: int
    commitments: tuple[tuple[str, str], ...]


# ---- what is asked


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    batch: Batch


class Countersign(msgspec.Struct, frozen=True, tag="countersign"):
    batch: Batch
    sealed: SealedRecord


class Witnessed(msgspec.Struct, frozen=True, tag="witnessed"):
    signer: str
    sealed: str
    """Digest of the sealed record."""
    signature: str


class Reveal(msgspec.Struct, frozen=True, tag="reveal"):
    """Only when the co-signer's own node has the block at the sealed height."""

    sealed: SealedRecord
    witnesses: tuple[Witnessed, ...]


class Challenge(msgspec.Struct, frozen=True, tag="challenge"):
    subject: str
    """Digest of the unsigned transaction, hexadecimal: `subject_of`."""


class Show(msgspec.Struct, frozen=True, tag="show"):
    """Show evidence to another co-signer, which has given the nonce for this subject."""

    to: str
    nonce: str
    subject: str


class Consider(msgspec.Struct, frozen=True, tag="consider", kw_only=True):
    """Everything that a co-signer needs to decide. What it does not know itself it checks."""

    batch: Batch
    approvals: tuple[SignedApproval, ...]
    sealed: SealedRecord
    witnesses: tuple["Witnessed", ...]
    """At least two co-signers that saw the seal before its block was there."""
    contributions: tuple["Contribution", ...]
    beacon: str
    """The beacon's signature of the sealed round, hexadecimal; empty without a beacon."""
    late: tuple[str, ...]
    """Nominees in whose place substitutes step, in the order in which they let their time pass."""
    timeouts: tuple["TimedOut", ...]
    """For each of them: at least two others that waited in vain."""
    unsigned: str
    """The very transaction: on Bitcoin as BIP174 has it, base64; elsewhere the bytes that are signed, hexadecimal."""
    replaces: str
    """Transaction that this one replaces (it has to spend an input of it), hexadecimal; empty = none."""
    evidence: tuple[Evidence, ...]
    """Of the other nominees, for the nonce that this co-signer has given for this transaction."""


class Waited(msgspec.Struct, frozen=True, tag="waited"):
    """Witness that a nominee has not signed in time; a co-signer measures by its own clock since the block came."""

    sealed: SealedRecord
    who: str


class Status(msgspec.Struct, frozen=True, tag="status"):
    """How a co-signer stands: its policy, log, node and token."""


class Freeze(msgspec.Struct, frozen=True, tag="freeze"):
    """Sign nothing any more. Anybody may ask; it takes a quorum of people to go on."""

    because: str


class Thaw(msgspec.Struct, frozen=True, tag="thaw"):
    """Go on after a freeze: two people of different groups have signed for this very freeze of this co-signer."""

    frozen: str
    """Digest of the line of the co-signer's log by which it froze, hexadecimal; its standing says it."""
    signatures: tuple[tuple[str, str], ...]
    """(person, signature of `statement(b"thaw", signer, frozen)`), hexadecimal."""


class Announce(msgspec.Struct, frozen=True, tag="announce"):
    """Hear of the next version of the policy. Anybody may bring it; its delay begins when it is heard of."""

    document: str
    """A `PolicyDocument` of the charter's, as JSON."""


class Attach(msgspec.Struct, frozen=True, tag="attach"):
    """Take an annex to the charter: one more chain. Anybody may bring it; people have signed it."""

    annex: str
    """An `Annex` of the co-signers' configuration, as JSON."""


class ShownCoin(msgspec.Struct, frozen=True):
    """A coin whose control is shown, and which script of ours it is at."""

    outpoint: str
    amount: int
    owner: str
    keychain: int
    index: int
    """-1 for the hot wallet's one script."""


class Attest(msgspec.Struct, frozen=True, tag="attest", kw_only=True):
    """Show that you can move coins, by a signature that moves none. The co-signer builds what it signs from this."""

    chain: str
    """The charter's for coins under scripts; else that of an annex."""
    key: str = ""
    """Name of the shared key; empty for coins under scripts."""
    asset: str
    venue: str
    """Public key of the exchange, hexadecimal, as the next two."""
    block: str
    """A block of Bitcoin that nobody knew when the list was made."""
    height: int
    snapshot_root: str
    coins: tuple[ShownCoin, ...] = ()
    """On Bitcoin; the first one's script is the one that speaks."""
    attempt: int = 0
    """Which quorum of this block, where one was not whole."""
    evidence: tuple[Evidence, ...] = ()
    """Of the others who were drawn, for the nonce that this co-signer has given for this subject."""


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Tell what the nominees have signed together for this subject, if this co-signer has it.

    One message signed twice is one payment under two names, and only one of them would ever be found.
    """

    subject: str


class Join(msgspec.Struct, frozen=True, tag="join"):
    """Sign with the other nominees what this co-signer has said yes to."""

    subject: str
    attempt: int
    """Above that of every run for this subject before: each has a name of its own."""
    signed: tuple[tuple[str, int], ...] = ()
    """What some of them have signed already: all go on behind it. Each checks it."""


Question = (
    Commit
    | Countersign
    | Reveal
    | Challenge
    | Show
    | Consider
    | Waited
    | Status
    | Freeze
    | Thaw
    | Announce
    | Attach
    | Attest
)


# ---- what is answered


class Commitment(msgspec.Struct, frozen=True, tag="commitment"):
    signer: str
    batch: str
    commitment: str
    signature: str
    """By the identity key, of `statement(b"commitment", batch, commitment)`."""


class Contribution(msgspec.Struct, frozen=True, tag="contribution"):
    signer: str
    contribution: str


class Nonce(msgspec.Struct, frozen=True, tag="nonce"):
    signer: str
    nonce: str


class Shown(msgspec.Struct, frozen=True, tag="shown"):
    evidence: Evidence


class TimedOut(msgspec.Struct, frozen=True, tag="timedOut"):
    signer: str
    sealed: str
    who: str
    signature: str


class VerdictRow(msgspec.Struct, frozen=True):
    """A rule's verdict about one intent, as it is shown to people and kept in logs."""

    rule: str
    intent: str
    allows: bool
    reason: str


class Part(msgspec.Struct, frozen=True, tag="part"):
    """A co-signer's signatures of one transaction, one an input, in the order of the inputs."""

    signer: str
    subject: str
    signatures: tuple[tuple[str, str], ...]
    """(public key, signature in DER with its sighash byte), hexadecimal; none where the nominees sign together."""
    verdicts: tuple[VerdictRow, ...]
    policy: str
    counter: int
    countersignature: str
    """By the identity key, of `statement(b"part", subject, decision, sealed, counter)`."""
    log_head: str
    """Head of this co-signer's log with this entry in it."""


class Attested(msgspec.Struct, frozen=True, tag="attested"):
    """A co-signer's part in showing control of coins."""

    signer: str
    subject: str
    signatures: tuple[tuple[str, str], ...]
    """(public key, signature in DER with its sighash byte) for each input, hexadecimal; none under a shared key."""
    counter: int
    countersignature: str
    """By the identity key, of `statement(b"attested", subject, counter)`."""
    log_head: str


class JointSignature(msgspec.Struct, frozen=True, tag="jointSignature"):
    """What the nominees have signed together; every one of them has the same."""

    signer: str
    subject: str
    signatures: tuple[tuple[str, int], ...]
    """r|s, or as RFC 8032 has it, in hexadecimal, with its recovery id; one for each that the transaction wants."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The co-signer does not do it. Nothing was signed."""

    signer: str
    step: str
    """Which check refused: authenticated, nominated, evidence, decoded, policy, hsm, log..."""
    reason: str
    verdicts: tuple[VerdictRow, ...] = ()
    is_for_now: bool = False
    """Asking again later may help: the node is behind, a person has not looked yet."""


class Standing(msgspec.Struct, frozen=True, tag="standing", kw_only=True):
    signer: str
    role: str
    policies: tuple[tuple[str, str, str, str], ...]
    """(chain, asset, digest of its policy in force, digest of a version that waits or nothing)."""
    chains: tuple[tuple[str, int], ...]
    """(chain, height to which it is followed) of the chains of annexes."""
    is_frozen: bool
    frozen: str
    """By which line of its log it has frozen itself; empty if it has not, or if a halt of the exchange stops it."""
    height: int
    trouble: str
    """Why it cannot follow feed or chain now; empty if it can."""
    ledger_sequence: int
    log_head: str
    log_entries: int
    token: str
    protects: str
    waiting: tuple[str, ...] = ()
    """Subjects on which this co-signer's person has yet to decide."""


Answer = (
    Commitment | Witnessed | Contribution | Nonce | Shown | TimedOut | Part | Attested | Refusal | Standing
)


def statement(what: bytes, *parts: str | int) -> bytes:
    """Return the digest that an identity key signs: of the kind and of every part with its length."""
    digest = hashlib.sha256(b"ringfence custody 1 " + what)
    for part in parts:
        raw = str(part).encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.digest()


def subject_of(unsigned: bytes) -> str:
    """Return the name of an unsigned transaction, by its bytes without witnesses, hexadecimal."""
    return hashlib.sha256(b"ringfence subject" + unsigned).hexdigest()

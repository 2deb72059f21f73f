"""A co-signer's answers. It holds no facts of anybody else's, and writes down what it does before it says so."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ringfence.custody.chained_log import Log
from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, address_of
from ringfence.custody.client_facts import client_facts
from ringfence.custody.cosigner.checks import (
    Decided,
    Decoded,
    RefusalError,
    authenticate,
    check_batch,
    check_beacon,
    check_nomination,
    check_others,
    check_witnesses,
    decide_all,
    decode,
    my_label,
    sealed_digest,
    sealed_of,
    timed_out_digest,
)
from ringfence.custody.cosigner.config import PEOPLE_NEEDED, Charter, ConfigurationError, PolicyDocument
from ringfence.custody.cosigner.facts import Node, fee_rate, held_sats, ledger_entries
from ringfence.custody.cosigner.memory import Memory
from ringfence.custody.cosigner.policies import Versions, announced_body, is_news, versions
from ringfence.custody.hsm import Baseline, CounterError, HsmError, Token, Witness, protects
from ringfence.custody.hsm.token import IDENTITY, der
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import commitment_of
from ringfence.custody.policy import Facts, Policy, Signed
from ringfence.custody.quorum.messages import (
    Announce,
    Answer,
    Batch,
    Challenge,
    Commit,
    Commitment,
    Consider,
    Contribution,
    Countersign,
    Freeze,
    Nonce,
    Part,
    Question,
    Refusal,
    Reveal,
    SealedRecord,
    Show,
    Shown,
    Standing,
    Status,
    Thaw,
    TimedOut,
    Waited,
    Witnessed,
    statement,
)
from ringfence.custody.wallets.owners import Owner, Wallets, owner_of
from ringfence.units.assets import XBT
from ringfence.units.time import NS_PER_SECOND

_NONCES_MAX = 1_000
_CONTRIBUTION_BYTES = 32


@dataclass
class Sources:
    """What a co-signer reads by itself."""

    node: Node
    follower: Follower
    ledger: Ledger
    screen: Callable[[str], bool] = field(default=lambda address: True)
    """Whether the screening service has nothing against a destination."""
    trouble: Callable[[], str] = field(default=lambda: "")
    """Why feed or chain cannot be followed now; empty if they can."""
    standing_of: Callable[[str], Standing | None] = field(default=lambda name: None)
    """How another co-signer stands, over a line of this one's own; None if it does not answer."""


class Cosigner:
    """One place of the roster: its token, its log, its own view of the world."""

    def __init__(
        self, name: str, charter: Charter, *, wallets: Wallets, token: Token, witness: Witness, log: Log,
        memory: Memory, sources: Sources, now_ns: Callable[[], int],
    ) -> None:  # fmt: skip
        """Raises ConfigurationError, KeyError if the charter does not know the name."""
        self.name, self.charter = name, charter
        self._me = charter.member(name)
        self._wallets, self._token, self._witness, self._log = wallets, token, witness, log
        self._memory, self._sources, self._now_ns = memory, sources, now_ns
        self._nonces: dict[str, str] = {}
        self._first_seen: dict[str, int] = {}
        """By sealed digest: when this co-signer first saw that the block which decides is there."""
        charter.policy(now_ns=now_ns())

    # ---- questions

    def answer(self, question: Question, *, is_coordinator: bool) -> Answer:
        """Answer one question; whatever goes wrong is a refusal with the name of the step."""
        try:
            return self._answer(question, is_coordinator=is_coordinator)
        except RefusalError as error:
            return self._refuse(error.step, error.reason, error)
        except (HsmError, CounterError) as error:
            return self._refuse("hsm", str(error))
        except ConfigurationError as error:
            return self._refuse("policy", str(error))
        except OSError as error:
            return self._refuse("log", f"the disk: {error}")

    def _refuse(self, step: str, reason: str, error: RefusalError | None = None) -> Refusal:
        verdicts, is_for_now = (error.verdicts, error.is_for_now) if error is not None else ((), False)
        return Refusal(self.name, step, reason, verdicts, is_for_now)

    def _answer(self, question: Question, *, is_coordinator: bool) -> Answer:
        if isinstance(question, Status):
            return self.standing()
        if isinstance(question, Freeze):
            return self._freeze(question.because)
        if isinstance(question, Thaw):
            return self._thaw(question)
        if isinstance(question, Announce):
            return self._announce(question)
        if not is_coordinator:
            raise RefusalError("authenticated", "this connection is not the coordinator's")
        if isinstance(question, Commit):
            return self._commit(question.batch)
        if isinstance(question, Countersign):
            return self._countersign(question.batch, question.sealed)
        if isinstance(question, Reveal):
            return self._reveal(question)
        if isinstance(question, Challenge):
            return self._challenge(question.subject)
        if isinstance(question, Show):
            return self._show(question)
        if isinstance(question, Waited):
            return self._waited(question)
        return self._consider(question, is_coordinator=is_coordinator)

    # ---- nomination

    def _commit(self, batch: Batch) -> Commitment:
        check_batch(batch)
        self._check_sources()
        self._check_not_frozen()
        digest = batch.digest.hex()
        contribution = self._memory.contributions.get(digest)
        if contribution is None:
            contribution = self._token.random(_CONTRIBUTION_BYTES)
            self._write("committed", {"batch": digest, "id": batch.id, "contribution": contribution.hex()})
        commitment = commitment_of(contribution).hex()
        return Commitment(
            self.name, digest, commitment, self._sign(statement(b"commitment", digest, commitment))
        )

    def _countersign(self, batch: Batch, record: SealedRecord) -> Witnessed:
        """Witness that a batch is sealed before the block that decides exists. Once for a batch's id."""
        check_batch(batch)
        self._check_sources()
        self._check_not_frozen()
        sealed = sealed_of(record)
        digest = sealed_digest(sealed)
        if sealed.batch != batch.digest or sealed.roster != self.charter.roster().digest:
            raise RefusalError("sealed", "the seal is of another batch or another roster")
        check_beacon(self.charter, sealed)
        known = self._memory.sealed.get(batch.id)
        if known is None:
            check_beacon(self.charter, sealed, now_ns=self._now_ns())
            self._check_seal(batch, sealed.sealed_height, sealed.height, dict(sealed.commitments))
            ids = [intent.id for intent in batch.intents]
            self._write("witnessed", {"id": batch.id, "sealed": digest, "intents": ids})
        elif known != digest:
            raise RefusalError("sealed", "this batch was sealed before: it is nominated once, for ever")
        return Witnessed(self.name, digest, self._sign(statement(b"witnessed", digest)))

    def _check_seal(
        self, batch: Batch, sealed_height: int, height: int, commitments: dict[str, bytes]
    ) -> None:
        for intent in batch.intents:
            if intent.id in self._memory.batch_of:
                raise RefusalError("sealed", f"movement {intent.id} was in a batch already")
        mine = self._memory.contributions.get(batch.digest.hex())
        if mine is None or commitments.get(self.name) != commitment_of(mine):
            raise RefusalError("sealed", "the seal does not hold what this co-signer has committed to")
        tip = self._ask_node(lambda: self._sources.node.block_count())
        if not sealed_height <= tip < height:
            reason = f"sealed at {sealed_height} for block {height}; this node is at {tip}"
            raise RefusalError("sealed", reason, is_for_now=tip < sealed_height)

    def _reveal(self, question: Reveal) -> Contribution:
        """Tell what it gives to the draw, for the one seal that most have witnessed; it may have been away itself."""
        sealed = sealed_of(question.sealed)
        contribution = self._memory.contributions.get(sealed.batch.hex())
        if contribution is None:
            raise RefusalError("reveal", "this co-signer has not committed to this batch")
        check_witnesses(self.charter, sealed_digest(sealed), question.witnesses)
        self._saw_block(sealed.height, sealed_digest(sealed))
        return Contribution(self.name, contribution.hex())

    def _saw_block(self, height: int, digest: str) -> None:
        tip = self._ask_node(lambda: self._sources.node.block_count())
        if tip < height:
            raise RefusalError("reveal", f"block {height} is not there yet", is_for_now=True)
        self._first_seen.setdefault(digest, self._now_ns())

    def _waited(self, question: Waited) -> TimedOut:
        sealed = sealed_of(question.sealed)
        digest = sealed_digest(sealed)
        self._saw_block(sealed.height, digest)
        waited_s = (self._now_ns() - self._first_seen[digest]) // NS_PER_SECOND
        if waited_s < self.charter.timeout_s:
            reason = f"{waited_s} s since the block came, {self.charter.timeout_s} s are given"
            raise RefusalError("waited", reason, is_for_now=True)
        self._check_silent(question.who, sealed.height)
        unsigned = TimedOut(self.name, digest, question.who, "")
        return TimedOut(self.name, digest, question.who, self._sign(timed_out_digest(unsigned)))

    def _check_silent(self, name: str, height: int) -> None:
        """Ask the one that is said to be silent itself: a coordinator may have reasons to do without it.

        One that is frozen has answered: people look at that first.
        """
        other = self._sources.standing_of(name)
        if other is not None and (other.is_frozen or (not other.trouble and other.height >= height)):
            raise RefusalError("waited", f"{name} answers this co-signer, and can sign", is_for_now=True)

    # ---- evidence

    def _challenge(self, subject: str) -> Nonce:
        if len(self._nonces) >= _NONCES_MAX:
            self._nonces.pop(next(iter(self._nonces)))
        nonce = self._nonces[subject] = secrets.token_hex(16)
        return Nonce(self.name, nonce)

    def _show(self, question: Show) -> Shown:
        self._check_not_frozen()
        return Shown(
            self._witness.show(nonce=question.nonce, subject=question.subject, now_ns=self._now_ns())
        )

    # ---- signing

    def _consider(self, question: Consider, *, is_coordinator: bool) -> Part:
        decided = self.decide(question, is_coordinator=is_coordinator)
        decoded = decided.before
        signed = self._check_token(decoded)
        counter = self._write_down(decided)
        signatures = []
        for label, public, digest in signed:
            signatures.append((public.hex(), (der(self._token.sign(label, digest)) + b"\1").hex()))
        sealed = sealed_digest(decoded.before.before.sealed)
        countersignature = self._sign(
            statement(b"part", decoded.subject, decided.digest, sealed, self.policy.digest, counter)
        )
        self._nonces.pop(decoded.subject, None)
        return Part(
            self.name, decoded.subject, tuple(signatures), decided.verdicts, self.policy.digest, counter,
            countersignature, self._log.head,
        )  # fmt: skip

    def decide(self, question: Consider, *, is_coordinator: bool) -> Decided:
        """Go through all checks but the HSM's. Raises RefusalError."""
        now_ns = self._now_ns()
        authenticated = authenticate(question, is_coordinator=is_coordinator)
        self._check_sources()
        nominated = check_nomination(
            authenticated, self.charter, self._memory, self._sources.node, me=self.name
        )
        evident = check_others(
            nominated, self.charter, self._memory, self._nonces, me=self.name, now_ns=now_ns
        )
        decoded = decode(evident, self.charter, self._wallets, self._sources.node)
        return decide_all(decoded, self.charter, self.policy, self._facts(decoded, now_ns))

    @property
    def policy(self) -> Policy:
        return self._versions().in_force

    def _versions(self) -> Versions:
        return versions(self.charter, self._memory.announced, now_ns=self._now_ns())

    def _announce(self, question: Announce) -> Standing:
        """Write down a version that may come into force; its delay begins here. The same again changes nothing."""
        try:
            document = msgspec.json.decode(question.document, type=PolicyDocument)
        except msgspec.MsgspecError as error:
            raise RefusalError("policy", f"this is no version of the policy: {error}") from error
        if is_news(self.charter, self._versions(), document):
            self._write("announced", announced_body(document))
        return self.standing()

    def _facts(self, decoded: Decoded, now_ns: int) -> Facts:
        ledger, follower = self._sources.ledger, self._sources.follower
        batch = decoded.before.before.before.question.batch
        owner = owner_of(batch.owner)
        held = held_sats(follower, self._wallets, owner)
        transaction = decoded.transaction
        leaving = transaction.input_sats - sum(one.amount_sats for one in transaction.outputs if one.owner)
        here = {intent.id for intent in batch.intents}
        owed = ledger.backed.get(XBT.number, 0) - self._may_have_left(here) if owner == Owner.CLIENTS else 0
        network = EMBIT_NETWORKS[self._wallets.network_name]
        own = frozenset(
            address_of(script, network) or ""
            for each in self._wallets.vaults
            for script in self._wallets.scripts(each)
        )
        entries = ledger_entries(ledger)
        return Facts(
            now_ns=now_ns,
            transaction=transaction,
            ledger=entries,
            liabilities_sats=max(owed - leaving, 0),
            assets_sats=held - leaving,
            wallet_sats=held,
            hot_sats=0,
            signed=self._signed(),
            held_accounts=frozenset(),
            own_addresses=own,
            screened={
                intent.destination: self._sources.screen(intent.destination) for intent in batch.intents
            },
            fee_rate_sats_per_kvb=self._ask_node(lambda: fee_rate(self._sources.node)),
            nominated=frozenset(decoded.before.before.quorum),
            me=self.name,
            evidence_age_ns=decoded.before.age_ns,
            is_frozen=self._is_frozen(),
            last_reconciled_ns=now_ns if self._reconciles() else None,
            **client_facts(ledger, XBT.number)._asdict(),
        )

    def _signed(self) -> tuple[Signed, ...]:
        """Return what it has signed itself, and what others have: each quorum sees only a part of the payments.

        What the ledger alone says has left does not count: the chain must have the transaction.
        """
        mine = {one.id for one in self._memory.signed}
        of_others = [
            Signed(
                one.left_ns, "", str(number), one.account, one.wish.address, one.wish.amount, ()
            )
            for number, one in self._sources.ledger.withdrawals.items()
            if one.wish is not None and one.left and str(number) not in mine
            and self._sources.follower.confirmations_of(one.txid)
        ]  # fmt: skip
        return (*self._memory.signed, *of_others)

    def _reconciles(self) -> bool:
        """Return whether the chain holds what the ledger says, less what this co-signer knows may have left."""
        held = held_sats(self._sources.follower, self._wallets, Owner.CLIENTS)
        return bool(held >= self._sources.ledger.backed.get(XBT.number, 0) - self._may_have_left(set()))

    def _may_have_left(self, but: set[str]) -> int:
        """Return what is put aside for movements that this co-signer has signed, but for some."""
        signed = {one.id for one in self._memory.signed} - but
        open_ones = self._sources.ledger.open()
        return sum(one.locked for number, one in open_ones.items() if str(number) in signed)

    def _is_frozen(self) -> bool:
        ledger = self._sources.ledger
        return (
            bool(self._memory.frozen) or ledger.signers_halted or ledger.is_venue_halted
            or XBT.number in ledger.halted_assets
        )  # fmt: skip

    def _check_token(self, decoded: Decoded) -> list[tuple[str, bytes, bytes]]:
        """Return label, public key and digest for each input, if the token is the enrolled one."""
        found: Baseline = self._witness.enrol()
        if found != self._me.baseline:
            wrong = [
                name for name in Baseline._fields if getattr(found, name) != getattr(self._me.baseline, name)
            ]
            raise RefusalError("hsm", f"the token's {', '.join(wrong)} are not what was enrolled")
        chosen = []
        for mine, digest in zip(decoded.mine, decoded.digests, strict=True):
            label = my_label(mine)
            public = self._token.public_key(label)
            keys = self._wallets.derivers[mine.owner].keys(mine.keychain, mine.number)
            if public not in (*keys.operations, *keys.policy):
                raise RefusalError("hsm", f"the token's key {label} is not in the script")
            chosen.append((label, public, digest))
        return chosen

    def _write_down(self, decided: Decided) -> int:
        """Write what is about to be signed; from then on it counts as signed. Returns the counter."""
        decoded = decided.before
        nominated = decoded.before.before
        question = nominated.before.question
        sealed = sealed_digest(nominated.sealed)
        if sealed not in self._memory.blocks:
            block = self._ask_node(lambda: self._sources.node.block_hash(nominated.sealed.height))
            self._write("revealed", {"sealed": sealed, "block": block})
        counter = self._witness.show(nonce="own", subject=decoded.subject, now_ns=self._now_ns()).counter
        self._write("seen", {"counters": decoded.before.counters})
        intents = [
            {"digest": one.digest, "id": one.id, "account": one.account, "destination": one.destination,
             "amount_sats": one.amount_sats}
            for one in question.batch.intents
        ]  # fmt: skip
        body: dict[str, Any] = {
            "batch": question.batch.id, "sealed": sealed, "subject": decoded.subject, "intents": intents,
            "inputs": list(decoded.transaction.inputs), "decision": decided.digest, "policy": self.policy.digest,
            "counter": counter,
        }  # fmt: skip
        self._write("signed", body)
        return counter

    # ---- standing

    def standing(self) -> Standing:
        try:
            height = self._sources.node.block_count()
        except BitcoinError:
            height = -1
        info, now = self._token.info, self._versions()
        return Standing(
            signer=self.name, role=self._me.role, policy=now.in_force.digest,
            pending_policy=now.pending.document.policy.digest if now.pending is not None else "",
            is_frozen=self._is_frozen(),
            frozen=self._memory.frozen, height=height, trouble=self._sources.trouble(),
            ledger_sequence=self._sources.ledger.next_sequence,
            log_head=self._log.head, log_entries=self._log.count, protects=protects(info),
            token=f"{info.manufacturer} {info.model} {info.serial}",
        )  # fmt: skip

    def _freeze(self, because: str) -> Standing:
        if not self._memory.frozen:
            self._write("frozen", {"because": because[:500]})
        return self.standing()

    def _thaw(self, question: Thaw) -> Standing:
        """Go on, if two people of different groups want it; whoever brings their signatures."""
        if not self._memory.frozen or question.frozen != self._memory.frozen:
            raise RefusalError("thaw", "this co-signer is not frozen, or not by that line of its log")
        digest = statement(b"thaw", self.name, question.frozen)
        people = self.charter.people_of(digest, question.signatures)
        if not people:
            raise RefusalError("thaw", f"{PEOPLE_NEEDED} people of different groups must sign")
        self._write("thawed", {"frozen": question.frozen, "people": sorted(people)})
        return self.standing()

    def _check_sources(self) -> None:
        """What it cannot see may be a halt, or coins that were given back: then it waits."""
        trouble = self._sources.trouble()
        if trouble:
            raise RefusalError("sources", trouble, is_for_now=True)

    def _check_not_frozen(self) -> None:
        if self._is_frozen():
            why = self._memory.frozen_because or "withdrawals, signers or the venue are halted"
            raise RefusalError("frozen", why, is_for_now=True)

    # ---- helpers

    def _ask_node(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except BitcoinError as error:
            raise RefusalError("node", f"the node does not answer: {error}", is_for_now=True) from error

    def _write(self, kind: str, body: dict[str, Any]) -> None:
        self._log.append(kind, body, now_ns=self._now_ns())

    def _sign(self, digest: bytes) -> str:
        return self._token.sign(IDENTITY, digest).hex()

"""A co-signer's answers. It holds no facts of anybody else's, and writes down what it does before it says so."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ringfence.chained_log import Log
from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.client_facts import client_facts
from ringfence.custody.cosigner.attesting import check_rate, prepare
from ringfence.custody.cosigner.checks import (
    Decided,
    Decoded,
    OfShare,
    OfToken,
    RefusalError,
    authenticate,
    check_batch,
    check_beacon,
    check_nomination,
    check_others,
    check_witnesses,
    decide_all,
    evidence_of_others,
    sealed_digest,
    sealed_of,
    timed_out_digest,
)
from ringfence.custody.cosigner.config import (
    ASSET,
    PEOPLE_NEEDED,
    Charter,
    ConfigurationError,
    PolicyDocument,
    check_annex,
)
from ringfence.custody.cosigner.facts import Node, ledger_entries
from ringfence.custody.cosigner.memory import Consent, Memory
from ringfence.custody.cosigner.policies import Versions, announced_body, is_news, versions
from ringfence.custody.cosigner.rail import Rail
from ringfence.custody.hsm import Baseline, CounterError, HsmError, Token, Witness, protects
from ringfence.custody.hsm.token import IDENTITY, der
from ringfence.custody.intents import Kind
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import Sealed, commitment_of
from ringfence.custody.policy import Facts, Policy, Signed
from ringfence.custody.quorum.messages import (
    Announce,
    Answer,
    Attach,
    Attest,
    Attested,
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
from ringfence.custody.wallets.descriptors import key_label
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.units.assets import BY_CURRENCY
from ringfence.units.time import NS_PER_MINUTE, NS_PER_SECOND

_NONCES_MAX = 1_000
_CONTRIBUTION_BYTES = 32
CONSENT_MINUTES_MAX = 10
"""So long a co-signer stands by a yes that the others have yet to say."""


@dataclass
class Sources:
    """What a co-signer reads by itself."""

    node: Node
    """Of Bitcoin, whose blocks decide who is drawn."""
    ledger: Ledger
    rails: dict[str, Rail]
    """By chain; an annex brings another one."""
    rail_of: Callable[[Annex], Rail]
    """Look at one more chain, from this co-signer's own node. Raises ConfigurationError."""
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
        for annex in memory.annexes.values():
            sources.rails[annex.chain] = sources.rail_of(annex)

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
        if isinstance(question, Attach):
            return self._attach(question)
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
        if isinstance(question, Attest):
            return self._attest(question)
        return self._consider(question, is_coordinator=is_coordinator)

    # ---- nomination

    def _commit(self, batch: Batch) -> Commitment:
        self._check_may_begin(batch)
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
        self._check_may_begin(batch)
        sealed = sealed_of(record)
        digest = sealed_digest(sealed)
        if sealed.batch != batch.digest or sealed.roster != self.charter.roster().digest:
            raise RefusalError("sealed", "the seal is of another batch or another roster")
        check_beacon(self.charter, sealed)
        known = self._memory.sealed.get(batch.id)
        if known is None:
            check_beacon(self.charter, sealed, now_ns=self._now_ns())
            self._check_seal(batch, sealed)
            ids = [intent.id for intent in batch.intents]
            self._write("witnessed", {"id": batch.id, "sealed": digest, "intents": ids})
        elif known != digest:
            raise RefusalError("sealed", "this batch was sealed before: it is nominated once, for ever")
        return Witnessed(self.name, digest, self._sign(statement(b"witnessed", digest)))

    def _check_may_begin(self, batch: Batch) -> None:
        check_batch(batch)
        self._rail(batch.intents[0].chain)
        self._check_sources()
        self._check_not_frozen()
        if self._is_halted(_asset_of(batch)):
            raise RefusalError("frozen", "withdrawals of the asset are halted", is_for_now=True)

    def _check_seal(self, batch: Batch, sealed: Sealed) -> None:
        for intent in batch.intents:
            if intent.id in self._memory.batch_of:
                raise RefusalError("sealed", f"movement {intent.id} was in a batch already")
        mine = self._memory.contributions.get(batch.digest.hex())
        if mine is None or dict(sealed.commitments).get(self.name) != commitment_of(mine):
            raise RefusalError("sealed", "the seal does not hold what this co-signer has committed to")
        tip = self._ask_node(lambda: self._sources.node.block_count())
        decides_later = self._rail(batch.intents[0].chain).heights_ahead > 0
        is_in_time = tip < sealed.height if decides_later else sealed.height == sealed.sealed_height
        if not sealed.sealed_height <= tip or not is_in_time:
            reason = f"sealed at {sealed.sealed_height} for block {sealed.height}; this node is at {tip}"
            raise RefusalError("sealed", reason, is_for_now=tip < sealed.sealed_height)

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

    # ---- showing control

    def _attest(self, question: Attest) -> Attested:
        """Sign a message that shows control of coins; nothing that comes of it can move one."""
        now_ns = self._now_ns()
        self._check_sources()
        self._check_not_frozen()
        check_rate(self._memory, now_ns=now_ns)
        prepared = prepare(
            question, self.charter, self._memory.annexes, self._wallets, self._sources.node, me=self.name
        )
        # What is seen of the others' counters here is not kept: evidence for a payment may be on its way meanwhile,
        # with lower ones, and a payment is not to be refused for this.
        evidence_of_others(
            prepared.quorum, question.evidence, self.charter, self._memory, self._nonces, subject=prepared.subject,
            me=self.name, now_ns=now_ns,
        )  # fmt: skip
        keys = self._keys_of(prepared.to_sign)
        counter = self._witness.show(nonce="own", subject=prepared.subject, now_ns=now_ns).counter
        body = {
            "subject": prepared.subject, "message": prepared.message, "height": question.height,
            "chain": question.chain, "coins": [one.outpoint for one in question.coins], "counter": counter,
        }  # fmt: skip
        if isinstance(prepared.to_sign, OfShare):
            path, messages, key = prepared.to_sign
            texts = tuple(one.hex() for one in messages)
            consent = Consent(now_ns, (), path, texts, prepared.quorum, key, question.chain)
            body["consent"] = msgspec.to_builtins(consent)
        self._write("attested", body)
        signatures = tuple(
            (public.hex(), (der(self._token.sign(label, digest)) + b"\1").hex())
            for label, public, digest in keys
        )
        self._nonces.pop(prepared.subject, None)
        countersignature = self._sign(statement(b"attested", prepared.subject, counter))
        return Attested(self.name, prepared.subject, signatures, counter, countersignature, self._log.head)

    # ---- signing

    def _consider(self, question: Consider, *, is_coordinator: bool) -> Part:
        decided = self.decide(question, is_coordinator=is_coordinator)
        decoded = decided.before
        keys = self._keys_of(decoded.to_sign)
        counter = self._write_down(decided)
        signatures = []
        for label, public, digest in keys:
            signatures.append((public.hex(), (der(self._token.sign(label, digest)) + b"\1").hex()))
        sealed = sealed_digest(decoded.before.before.sealed)
        policy = self._versions(*_policy_of(question.batch)).in_force.digest
        countersignature = self._sign(
            statement(b"part", decoded.subject, decided.digest, sealed, policy, counter)
        )
        self._nonces.pop(decoded.subject, None)
        return Part(
            self.name, decoded.subject, tuple(signatures), decided.verdicts, policy, counter, countersignature,
            self._log.head,
        )  # fmt: skip

    def consent(self, subject: str) -> tuple[Annex, Consent]:
        """Return what it has said yes to and still stands by, for all nominees to sign together.

        A yes is not for ever: whoever was told of it could wait until the coins were given back. Raises RefusalError.
        """
        self._check_sources()
        self._check_not_frozen()
        found = self._memory.consents.get(subject)
        if found is None:
            raise RefusalError("join", "this co-signer has not said yes to this transaction")
        age_ns = self._now_ns() - found.at_ns
        if not 0 <= age_ns <= CONSENT_MINUTES_MAX * NS_PER_MINUTE:
            raise RefusalError(
                "join", "it has said yes too long ago: it has to be asked again", is_for_now=True
            )
        entries = ledger_entries(self._sources.ledger)
        for intent in found.intents:
            entry = entries.get(intent.id)
            if intent.kind == Kind.WITHDRAWAL and (entry is None or entry.state != "locked"):
                raise RefusalError("join", f"the coins of {intent.id} are not put aside any more")
            if self._is_halted(intent.asset):
                raise RefusalError("join", f"withdrawals of {intent.asset} are halted", is_for_now=True)
        return self._memory.annexes[found.of_chain], found

    def decide(self, question: Consider, *, is_coordinator: bool) -> Decided:
        """Go through all checks but the HSM's. Raises RefusalError."""
        now_ns = self._now_ns()
        authenticated = authenticate(question, is_coordinator=is_coordinator)
        self._check_sources()
        check_batch(question.batch)
        rail = self._rail(question.batch.intents[0].chain)
        nominated = check_nomination(
            authenticated,
            self.charter,
            self._memory,
            self._sources.node,
            me=self.name,
            seats=rail.seats,
            heights_ahead=rail.heights_ahead,
        )
        evident = check_others(
            nominated, self.charter, self._memory, self._nonces, subject=rail.subject(question.unsigned),
            me=self.name, now_ns=now_ns,
        )  # fmt: skip
        decoded = rail.decode(evident)
        policy = self._versions(*_policy_of(question.batch)).in_force
        return decide_all(decoded, self.charter, policy, self._facts(decoded, rail, now_ns))

    def _rail(self, chain: str) -> Rail:
        found = self._sources.rails.get(chain)
        if found is None:
            raise RefusalError("batch", f"neither charter nor annex names the chain {chain!r}")
        return found

    @property
    def policy(self) -> Policy:
        """Bitcoin's, in force."""
        return self._versions(self.charter.chain, ASSET).in_force

    def _versions(self, chain: str, asset: str) -> Versions:
        now_ns, first = self._now_ns(), self._first_policy(chain, asset)
        return versions(self.charter, first, self._memory.announced, now_ns=now_ns)

    def _first_policy(self, chain: str, asset: str) -> Policy:
        if (chain, asset) == (self.charter.chain, ASSET):
            return self.charter.policy(now_ns=self._now_ns())
        annex = self._memory.annexes.get(chain)
        try:
            if annex is not None:
                return annex.asset(asset).policy
        except KeyError:
            pass
        raise RefusalError("policy", f"neither charter nor annex names {asset!r} on {chain!r}")

    def _attach(self, question: Attach) -> Standing:
        """Take an annex, once for a chain; the same again changes nothing."""
        try:
            annex = msgspec.json.decode(question.annex, type=Annex)
        except msgspec.MsgspecError as error:
            raise RefusalError("annex", f"this is no annex: {error}") from error
        known = self._memory.annexes.get(annex.chain)
        if known is not None:
            if known.digest == annex.digest or known.succeeds(annex):
                return self.standing()
            if not annex.succeeds(known) or annex.is_hot:
                raise RefusalError(
                    "annex", f"there is another annex for {annex.chain}; all but its key stays"
                )
        check_annex(self.charter, annex)
        if (
            known is None
            and not annex.is_hot
            and {one.currency for one in annex.assets} & {of[1] for of in self._policies()}
        ):
            raise RefusalError("annex", "an asset of it is of another chain already")
        rail = self._sources.rail_of(annex)
        self._write("attached", {"annex": msgspec.to_builtins(annex)})
        self._sources.rails[annex.chain] = rail
        return self.standing()

    def _announce(self, question: Announce) -> Standing:
        """Write down a version that may come into force; its delay begins here. The same again changes nothing."""
        try:
            document = msgspec.json.decode(question.document, type=PolicyDocument)
        except msgspec.MsgspecError as error:
            raise RefusalError("policy", f"this is no version of the policy: {error}") from error
        if is_news(self.charter, self._versions(document.policy.chain, document.policy.asset), document):
            self._write("announced", announced_body(document))
        return self.standing()

    def _facts(self, decoded: Decoded, rail: Rail, now_ns: int) -> Facts:
        ledger = self._sources.ledger
        batch = decoded.before.before.before.question.batch
        intents, asset = batch.intents, _asset_of(batch)
        here = {intent.id for intent in intents}
        signed = self._signed(asset, rail)
        chain = rail.facts(decoded, ledger, [one for one in signed if one.id in here])
        transaction = decoded.transaction
        leaving = sum(one.amount for one in transaction.outputs if not one.owner)
        if transaction.fee_asset == asset:
            leaving += transaction.fee
        owed = self._owed(asset, here) if batch.owner == Owner.CLIENTS.text else 0
        if all(intent.kind == Kind.WITHDRAWAL for intent in intents):
            owed = max(owed - leaving, 0)
        return Facts(
            now_ns=now_ns,
            transaction=transaction,
            ledger=ledger_entries(ledger),
            liabilities=owed,
            held=chain.held - leaving,
            wallet=chain.held,
            hot=chain.hot,
            signed=signed,
            held_accounts=frozenset(),
            own_addresses=chain.own_addresses,
            screened={intent.destination: self._sources.screen(intent.destination) for intent in intents},
            fee_due=chain.fee_due,
            company_fees=chain.company_fees,
            dead=chain.dead,
            nominated=frozenset(decoded.before.before.quorum),
            me=self.name,
            evidence_age_ns=decoded.before.age_ns,
            is_frozen=self._is_frozen() or self._is_halted(asset),
            last_reconciled_ns=now_ns if self._adds_up(asset, rail) else None,
            **client_facts(ledger, BY_CURRENCY[asset].number)._asdict(),
        )

    def _signed(self, asset: str, rail: Rail) -> tuple[Signed, ...]:
        """Return what it has signed itself, and what others have: each quorum sees only a part of the payments.

        What the ledger alone says has left does not count: the chain must have the transaction.
        """
        signed, number_of_asset = self._memory.signed.get(asset, []), BY_CURRENCY[asset].number
        mine = {one.id for one in signed}
        of_others = [
            Signed(
                one.left_ns, "", str(number), one.account, one.wish.address, one.wish.amount, ()
            )
            for number, one in self._sources.ledger.withdrawals.items()
            if one.wish is not None and one.left and one.asset == number_of_asset and str(number) not in mine
            and rail.has_confirmed(one.txid)
        ]  # fmt: skip
        return (*signed, *of_others)

    def _adds_up(self, asset: str, rail: Rail) -> bool:
        return rail.held(asset) >= self._owed(asset, set()) and rail.adds_up(asset, self._sources.ledger)

    def _owed(self, asset: str, but: set[str]) -> int:
        """Return what the ledger says that the chain has to hold, less what may have left: what is put aside for
        movements that this co-signer has signed, but for some."""
        ledger, number_of_asset = self._sources.ledger, BY_CURRENCY[asset].number
        signed = {one.id for one in self._memory.signed.get(asset, [])} - but
        may_have_left = sum(
            one.locked
            for number, one in ledger.open().items()
            if one.asset == number_of_asset and str(number) in signed
        )
        return ledger.backed.get(number_of_asset, 0) - may_have_left

    def _is_frozen(self) -> bool:
        ledger = self._sources.ledger
        return bool(self._memory.frozen) or ledger.signers_halted or ledger.is_venue_halted

    def _is_halted(self, asset: str) -> bool:
        return BY_CURRENCY[asset].number in self._sources.ledger.halted_assets

    def _keys_of(self, to_sign: tuple[OfToken, ...] | OfShare) -> list[tuple[str, bytes, bytes]]:
        """Return label, public key and digest for each input, if the token is the enrolled one."""
        found: Baseline = self._witness.enrol()
        if found != self._me.baseline:
            wrong = [
                name for name in Baseline._fields if getattr(found, name) != getattr(self._me.baseline, name)
            ]
            raise RefusalError("hsm", f"the token's {', '.join(wrong)} are not what was enrolled")
        chosen = []
        for mine, digest in to_sign if not isinstance(to_sign, OfShare) else ():
            label = key_label(mine.owner.text, mine.keychain, mine.number)
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
             "amount": one.amount, "asset": one.asset}
            for one in question.batch.intents
        ]  # fmt: skip
        body: dict[str, Any] = {
            "batch": question.batch.id, "sealed": sealed, "subject": decoded.subject, "intents": intents,
            "inputs": list(decoded.transaction.inputs), "decision": decided.digest, "counter": counter,
            "policy": self._versions(*_policy_of(question.batch)).in_force.digest,
        }  # fmt: skip
        if isinstance(decoded.to_sign, OfShare):
            path, messages, key = decoded.to_sign
            texts = tuple(one.hex() for one in messages)
            consent = Consent(self._now_ns(), question.batch.intents, path, texts, nominated.quorum, key)
            body["consent"] = msgspec.to_builtins(consent)
        self._write("signed", body)
        return counter

    # ---- standing

    def standing(self) -> Standing:
        try:
            height = self._sources.node.block_count()
        except BitcoinError:
            height = -1
        info = self._token.info
        return Standing(
            signer=self.name, role=self._me.role, policies=tuple(self._policies()),
            chains=tuple((chain, self._sources.rails[chain].height()) for chain in self._memory.annexes),
            is_frozen=self._is_frozen() or self._is_halted(ASSET),
            frozen=self._memory.frozen, height=height, trouble=self._sources.trouble(),
            ledger_sequence=self._sources.ledger.next_sequence,
            log_head=self._log.head, log_entries=self._log.count, protects=protects(info),
            token=f"{info.manufacturer} {info.model} {info.serial}",
        )  # fmt: skip

    def _policies(self) -> Iterator[tuple[str, str, str, str]]:
        annexed = [
            (annex.chain, one.currency) for annex in self._memory.annexes.values() for one in annex.assets
        ]
        for chain, asset in ((self.charter.chain, ASSET), *annexed):
            now = self._versions(chain, asset)
            pending = now.pending.document.policy.digest if now.pending is not None else ""
            yield chain, asset, now.in_force.digest, pending

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


def _asset_of(batch: Batch) -> str:
    """Return of which asset the movements of a batch are; they are of one."""
    return batch.intents[0].asset


def _policy_of(batch: Batch) -> tuple[str, str]:
    """Return by which policy a batch is decided: chain and asset."""
    return batch.intents[0].chain, batch.intents[0].asset

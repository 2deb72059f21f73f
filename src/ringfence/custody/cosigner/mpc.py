"""A co-signer's part in keys that nobody has: it carries out what people have ordered, and signs with others.

It writes down that a run begins before it says a word in it, so that no run is ever begun twice, and what has become
of it. Runs that fail are counted for each key: after so many the key rests until two people have looked, because who
makes runs fail may learn from how they fail.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from ringfence.chained_log import Entry, Log
from ringfence.custody.cosigner.checks import RefusalError
from ringfence.custody.cosigner.config import PEOPLE_NEEDED, Charter
from ringfence.custody.quorum.messages import statement
from ringfence.custody.quorum.mpc.engine import Operation, Outcome, ProtocolAbort, Run, is_signature, perform
from ringfence.custody.quorum.mpc.keys import (
    Adopt,
    Adopted,
    Conduct,
    KeyRecord,
    KeysHeld,
    KeyStanding,
    Order,
    Ready,
    SignedOrder,
    TranscriptError,
    What,
    check_ready,
)
from ringfence.custody.quorum.mpc.sessions import Identities, Sent, Session, Switchboard
from ringfence.custody.quorum.mpc.shares import Kept, ShareVault
from ringfence.custody.wallets.derivation import PathError, derived_key
from ringfence.units.time import NS_PER_MINUTE

FAILURES_MAX = 5
"""Runs of a key that may fail in a row."""
ORDER_MINUTES_MAX = 30
SIGNING_ROUND_SECONDS, CEREMONY_ROUND_SECONDS = 20.0, 120.0


@dataclass
class MpcMemory:
    """What the log says of keys."""

    runs: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    """Digests of orders that were carried out, or that failed."""
    records: dict[str, KeyRecord] = field(default_factory=dict)
    """By key, the epoch in force."""
    waiting: dict[str, KeyRecord] = field(default_factory=dict)
    signatures: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """By subject, in the order in which they were made: what was signed together, hexadecimal, with its recovery id."""
    failures: dict[str, int] = field(default_factory=dict)
    """By key: runs that have failed since one was good."""

    def take(self, entry: Entry) -> None:
        body = entry.body
        if entry.kind == "mpc began":
            self.runs.add(body["run"])
            self.orders |= {body["order"]} - {""}
        elif entry.kind == "mpc failed":
            self.failures[body["key"]] = self.failures.get(body["key"], 0) + 1
        elif entry.kind == "mpc kept":
            record = msgspec.convert(body["record"], KeyRecord)
            self.waiting[record.name] = record
        elif entry.kind == "mpc adopted":
            record = msgspec.convert(body["record"], KeyRecord)
            self.records[record.name] = record
            self.waiting.pop(record.name, None)
            self.failures.pop(record.name, None)
        elif entry.kind in ("mpc signed", "mpc reviewed"):
            self.failures.pop(body["key"], None)
            if entry.kind == "mpc signed":
                before = self.signatures.get(body["subject"], ())
                self.signatures[body["subject"]] = (*before, (body["signature"], body["recovery_id"]))


class Task(NamedTuple):
    """What a key is to sign. Whoever makes one has gone through every check for it."""

    key: str
    epoch: int
    subject: str
    """Names the transaction."""
    message: bytes
    """ECDSA: the digest that this co-signer has worked out itself. Ed25519: the message."""
    parties: tuple[str, ...]
    """The nominated, exactly as many as the key's threshold."""
    attempt: int = 0
    path: str = ""
    """Which key below the shared one, as BIP32 has it."""

    @property
    def run(self) -> bytes:
        """Names the run: the same at everybody, and of nothing else."""
        parts = (
            self.key,
            self.epoch,
            self.subject,
            self.message.hex(),
            ",".join(self.parties),
            self.attempt,
            self.path,
        )
        return statement(b"mpc signing", *parts)


class MpcParty:
    """One co-signer as a party of keys."""

    def __init__(
        self, name: str, charter: Charter, *, vault: ShareVault, log: Log, memory: MpcMemory,
        sign: Callable[[bytes], bytes], send: Callable[[str, Sent], Awaitable[None]], now_ns: Callable[[], int],
        signing_seconds: float = SIGNING_ROUND_SECONDS, ceremony_seconds: float = CEREMONY_ROUND_SECONDS,
    ) -> None:  # fmt: skip
        self.name, self._charter, self._vault, self._log, self._memory = name, charter, vault, log, memory
        self._sign, self._send, self._now_ns = sign, send, now_ns
        self._signing_seconds, self._ceremony_seconds = signing_seconds, ceremony_seconds
        self.switchboard = Switchboard()

    # ---- orders

    async def conduct(self, question: Conduct) -> Ready:
        """Carry out an order up to where every party has its part. Raises RefusalError, ProtocolAbort, OSError."""
        order = question.signed.order
        self._check_order(question.signed)
        digest = order.digest.hex()
        if order.what == What.REVIEW:
            raise RefusalError("mpc", "a review is no run")
        waiting = self._memory.waiting.get(order.key)
        if digest in self._memory.orders:
            # Asked again after its answer was lost: the same answer, if there is one.
            if (
                waiting is not None
                and waiting.epoch == order.epoch
                and self._vault.waiting(order.key) is not None
            ):
                return self._ready(digest, waiting)
            raise RefusalError(
                "mpc", "this order was begun before, and has come to nothing; people order anew"
            )
        record = self._check_fits(order, question.record)
        before = self._vault.in_force(order.key)
        operation = {
            What.CREATE: Operation.DKG,
            What.REFRESH: Operation.REFRESH,
            What.RESTORE: Operation.REPAIR,
        }
        parties = order.parties if order.what != What.RESTORE else _helpers_of(order)
        if self.name not in parties:
            assert record is not None
            return self._ready(digest, record)
        share = self._vault.share(before) if before is not None and self.name != order.target else b""
        run = Run(
            operation[order.what], order.scheme, order.parties.index(self.name) + 1, order.threshold,
            len(order.parties), tuple(sorted(order.parties.index(one) + 1 for one in parties)), order.digest, share,
            bytes.fromhex(record.package) if record is not None else b"", b"",
            order.parties.index(order.target) + 1 if order.target else 0,
        )  # fmt: skip
        outcome = await self._perform(run, order.key, order.parties, order=digest)
        if order.what == What.RESTORE and self.name != order.target:
            assert record is not None
            return self._ready(digest, record)
        made = (outcome.public_key.hex(), outcome.chain_code.hex())
        if record is not None and made != (record.public_key, record.chain_code):
            raise ProtocolAbort("the run has come to another public key; its shares are thrown away")
        after = KeyRecord(
            order.key, order.scheme, order.epoch, order.threshold, order.parties, outcome.public_key.hex(),
            outcome.package.hex(), outcome.chain_code.hex(),
        )  # fmt: skip
        self._vault.keep(order.key, order.epoch, outcome.share)
        self._write("mpc kept", {"record": msgspec.to_builtins(after), "order": digest})
        return self._ready(digest, after)

    def adopt(self, question: Adopt) -> Adopted:
        """Put the epoch that everybody is ready for into force; the one before can be opened by nobody afterwards.

        Raises RefusalError, ShareError, HsmError, OSError.
        """
        order = question.signed.order
        self._check_people(question.signed)
        try:
            record = check_ready(order, question.ready, self._charter.is_signed)
        except TranscriptError as error:
            raise RefusalError("mpc", str(error)) from error
        before = self._memory.records.get(order.key)
        if before != record:
            is_mine = self._memory.waiting.get(order.key) == record
            if not is_mine:
                raise RefusalError(
                    "mpc", f"this co-signer has no part of epoch {record.epoch} of {record.name}"
                )
            self._vault.adopt(order.key, order.epoch)
            self._write("mpc adopted", {"record": msgspec.to_builtins(record)})
        erased = order.epoch - 1 if order.what == What.REFRESH else 0
        bare = Adopted(self.name, order.key, record.digest, order.epoch, erased, "")
        return msgspec.structs.replace(bare, signature=self._sign(bare.digest).hex())

    def review(self, signed: SignedOrder) -> None:
        """Let a key go on that has rested since its runs failed. Raises RefusalError, OSError."""
        order = signed.order
        self._check_order(signed)
        if order.what != What.REVIEW or order.digest.hex() in self._memory.orders:
            raise RefusalError("mpc", "this is no review, or one that was used before")
        self._write("mpc began", {"run": order.digest.hex(), "order": order.digest.hex(), "key": order.key})
        self._write("mpc reviewed", {"key": order.key})

    def signatures_of(self, subject: str) -> tuple[tuple[str, int], ...]:
        """Return what was signed together for a transaction so far."""
        return self._memory.signatures.get(subject, ())

    def take_signatures(
        self, key: str, path: str, subject: str, messages: list[bytes], signed: tuple[tuple[str, int], ...]
    ) -> None:
        """Take over what others have signed already: all go on at the same place. Raises RefusalError, OSError."""
        record, mine = self.record_of(key), len(self.signatures_of(subject))
        public_key = _key_of(record, path)
        if len(signed) > len(messages):
            raise RefusalError("mpc", f"{len(signed)} signatures of {len(messages)}")
        for message, (signature, _) in zip(messages, signed, strict=False):
            if not is_signature(record.scheme, public_key, message, _bytes_of(signature)):
                raise RefusalError("mpc", "what was signed already is not signed by this key")
        for signature, recovery_id in signed[mine:]:
            body = {
                "run": "", "key": key, "subject": subject, "signature": signature, "recovery_id": recovery_id
            }  # fmt: skip
            self._write("mpc signed", body)

    def failures_of(self, key: str) -> int:
        """Return how many runs of a key have failed since one was good."""
        return self._memory.failures.get(key, 0)

    def record_of(self, key: str) -> KeyRecord:
        """Return the epoch of a key that is in force here. Raises RefusalError."""
        record = self._memory.records.get(key)
        if record is None:
            raise RefusalError("mpc", f"this co-signer has no share of {key}")
        return record

    def show(self) -> KeysHeld:
        """Say of which keys this co-signer has a share in force."""
        found = []
        for key, record in sorted(self._memory.records.items()):
            kept = self._vault.in_force(key)
            if kept is not None:
                failures = self._memory.failures.get(key, 0)
                found.append(
                    KeyStanding(key, record.scheme, record.epoch, record.public_key, failures, kept.banned)
                )
        return KeysHeld(self.name, tuple(found))

    def _check_order(self, signed: SignedOrder) -> None:
        self._check_people(signed)
        age_ns = self._now_ns() - signed.order.at_ns
        if not -NS_PER_MINUTE <= age_ns <= ORDER_MINUTES_MAX * NS_PER_MINUTE:
            raise RefusalError("mpc", f"the order is not of the last {ORDER_MINUTES_MAX} minutes")

    def _check_people(self, signed: SignedOrder) -> None:
        if not self._charter.people_of(signed.order.digest, signed.signatures):
            raise RefusalError("mpc", f"{PEOPLE_NEEDED} people of different groups must sign an order")

    def _check_fits(self, order: Order, told: KeyRecord | None) -> KeyRecord | None:
        """Return the epoch in force that an order begins from, None for a new key. Raises RefusalError."""
        mine = self._memory.records.get(order.key)
        if order.parties != tuple(one.name for one in self._charter.members):
            raise RefusalError("mpc", "the parties are not the co-signers of the charter, in its order")
        if not segregates(self._charter, order.threshold):
            raise RefusalError(
                "mpc", f"{order.threshold} parties may be without operations' two or without policy's one"
            )
        if order.what == What.CREATE:
            if mine is not None or order.epoch != 1:
                raise RefusalError("mpc", f"there is a key {order.key} already")
            return None
        # Who is restored has lost its record with its share; the others vouch by helping, the engine by checking.
        record = told if order.target == self.name else mine
        if record is None:
            raise RefusalError("mpc", f"this co-signer knows no key {order.key}")
        wanted = record.epoch + (1 if order.what == What.REFRESH else 0)
        said = (order.scheme, order.epoch, order.threshold, order.parties)
        if said != (record.scheme, wanted, record.threshold, record.parties):
            raise RefusalError("mpc", f"the order does not follow epoch {record.epoch} of {order.key}")
        return record

    def _ready(self, order: str, record: KeyRecord) -> Ready:
        bare = Ready(self.name, order, record, "")
        return msgspec.structs.replace(bare, signature=self._sign(bare.digest).hex())

    # ---- signing

    async def sign(self, task: Task) -> Outcome:
        """Sign with the other nominees. Raises RefusalError, ProtocolAbort, ShareError, HsmError, OSError."""
        record, kept = self._memory.records.get(task.key), self._vault.in_force(task.key)
        if record is None or kept is None or kept.epoch != record.epoch:
            raise RefusalError("mpc", f"this co-signer has no share of {task.key}")
        if task.epoch != record.epoch:
            raise RefusalError("mpc", f"epoch {task.epoch} of {task.key} is not in force, {record.epoch} is")
        if len(set(task.parties)) != record.threshold or not set(task.parties) <= set(record.parties):
            raise RefusalError("mpc", f"{record.threshold} of the key's parties sign, each once")
        if self.name not in task.parties:
            raise RefusalError("mpc", f"{self.name} is not nominated")
        self._check_banned(kept, task.parties)
        if self._memory.failures.get(task.key, 0) >= FAILURES_MAX:
            raise RefusalError(
                "mpc",
                f"{FAILURES_MAX} runs of {task.key} have failed in a row; two people have to look at it",
            )
        run = Run(
            Operation.SIGN, record.scheme, record.place_of(self.name), record.threshold, len(record.parties),
            tuple(sorted(record.place_of(one) for one in task.parties)), task.run, self._vault.share(kept),
            bytes.fromhex(record.package), task.message, path=task.path,
        )  # fmt: skip
        outcome = await self._perform(run, task.key, record.parties, order="")
        if outcome.public_key != _key_of(record, task.path):
            raise ProtocolAbort("the signature is of another key; it is thrown away")
        body = {
            "run": task.run.hex(), "key": task.key, "subject": task.subject, "signature": outcome.signature.hex(),
            "recovery_id": outcome.recovery_id,
        }  # fmt: skip
        self._write("mpc signed", body)
        return outcome

    def _check_banned(self, kept: Kept, parties: tuple[str, ...]) -> None:
        banned = set(kept.banned) & set(parties)
        if banned:
            raise RefusalError(
                "mpc", f"{', '.join(sorted(banned))} has cheated in this epoch: it has to be replaced"
            )

    async def _perform(self, run: Run, key: str, names: tuple[str, ...], *, order: str) -> Outcome:
        """Run the protocol; `names` by place. What comes of it, good or bad, is on the disk before it is told."""
        name = run.session.hex()
        if name in self._memory.runs:
            raise RefusalError("mpc", "this run was begun before; another attempt has another name")
        self._write("mpc began", {"run": name, "order": order, "key": key})
        places = {names[place - 1]: place for place in run.parties}
        session = Session(
            name, Identities(self.name, places, self._sign, self._charter.is_signed), self._send,
            round_seconds=self._signing_seconds if run.operation == Operation.SIGN else self._ceremony_seconds,
        )  # fmt: skip
        self.switchboard.begin(name, session)
        try:
            return await perform(run, session)
        except ProtocolAbort as abort:
            culprit = names[abort.culprit - 1] if abort.culprit else ""
            if abort.is_banned:
                self._vault.ban(key, culprit)
            if not abort.is_harmless:
                body = {"run": name, "key": key, "culprit": culprit, "reason": abort.reason[:300]}
                self._write("mpc failed", body)
            raise
        finally:
            self.switchboard.end(name)

    def _write(self, kind: str, body: dict[str, Any]) -> None:
        self._log.append(kind, body, now_ns=self._now_ns())


def _key_of(record: KeyRecord, path: str) -> bytes:
    """Return the public key that has to have signed. Raises RefusalError."""
    try:
        return derived_key(bytes.fromhex(record.public_key), bytes.fromhex(record.chain_code), path)
    except PathError as error:
        raise RefusalError("mpc", str(error)) from error


def _bytes_of(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise RefusalError("mpc", "a signature is not in hexadecimal") from error


def segregates(charter: Charter, threshold: int) -> bool:
    """Return whether any `threshold` co-signers hold two of operations and one of policy among them."""
    roles = [one.role for one in charter.members]
    operations, policy = roles.count("operations"), roles.count("policy")
    return threshold - policy >= 2 and threshold - operations >= 1 and threshold <= len(roles)


def least_threshold(charter: Charter) -> int:
    """Return the least number of co-signers among whom there are always two of operations and one of policy."""
    return next(count for count in range(2, len(charter.members) + 1) if segregates(charter, count))


def _helpers_of(order: Order) -> tuple[str, ...]:
    """Return who takes part in a restore: the target, and the first of the others, as many as the threshold."""
    others = [one for one in order.parties if one != order.target]
    chosen = {order.target, *others[: order.threshold]}
    return tuple(one for one in order.parties if one in chosen)

"""Withdrawals on their way: what was decided for each batch, as a fold over the coordinator's own log.

gathered -> sealed -> drawn -> built -> signed, perhaps again with a higher fee; or given up, as long as nobody can have
a signed transaction of it. What becomes of a signed transaction the chain says, not the log.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from ringfence.chained_log import Entry
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.ledger import Withdrawal
from ringfence.custody.quorum.messages import (
    Batch,
    Contribution,
    SealedRecord,
    SignedApproval,
    TimedOut,
    VerdictRow,
    Witnessed,
)
from ringfence.custody.wallets.owners import Owner
from ringfence.units.assets import ASSETS
from ringfence.units.time import NS_PER_DAY

INTENTS_MAX = 20
VALID_NS = 7 * NS_PER_DAY


@dataclass
class Attempt:
    """One transaction that was signed for a batch."""

    txid: str
    raw: bytes
    fee: int
    """What the network takes for it, in ledger units; of what an account sends, at most."""
    unsigned: str
    signers: tuple[str, ...]
    verdicts: dict[str, tuple[VerdictRow, ...]]
    """What each signer's own policy has said, by signer."""


@dataclass
class Flow:
    """One batch and how far it is."""

    batch: Batch
    sealed: SealedRecord | None = None
    witnesses: tuple[Witnessed, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    beacon: str = ""
    """The beacon's signature of the round, where there is a beacon."""
    quorum: tuple[str, ...] = ()
    """Nominated, substitutes in the places of the late."""
    late: tuple[str, ...] = ()
    timeouts: tuple[TimedOut, ...] = ()
    unsigned: str = ""
    """The transaction as it is put before the co-signers."""
    fee: int = 0
    spends: tuple[str, ...] = ()
    change_index: int = -1
    joins: int = 0
    """How often the nominees were asked to sign together: from the first time on somebody may have a signature."""
    attempts: list[Attempt] = field(default_factory=list)
    given_up: str = ""
    """Why, if it was."""
    waiting_for: str = ""
    """The last refusal that may go away."""

    @property
    def state(self) -> str:
        if self.given_up:
            return "given up"
        if self.attempts:
            return "signed"
        if self.unsigned:
            return "collecting"
        if self.quorum:
            return "nominated"
        return "sealed" if self.sealed else "gathered"

    @property
    def chain(self) -> str:
        return self.batch.intents[0].chain

    @property
    def asset(self) -> str:
        return self.batch.intents[0].asset

    @property
    def newest(self) -> Attempt | None:
        """The transaction that was signed last."""
        return self.attempts[-1] if self.attempts else None

    @property
    def may_be_signed(self) -> bool:
        """Whether somebody may have a transaction of it that the network takes: then nothing of it is given back."""
        return bool(self.attempts) or self.joins > 0

    @property
    def is_collected(self) -> bool:
        """Whether the transaction that was built last is signed."""
        return any(attempt.unsigned == self.unsigned for attempt in self.attempts)

    def share(self, attempt: Attempt, intent: Intent) -> int:
        """Return an intent's part of the fee: equal parts, what does not divide on the first ones; in sum the fee."""
        place, count = self.batch.intents.index(intent), len(self.batch.intents)
        whole, rest = divmod(attempt.fee, count)
        return whole + (1 if place < rest else 0)


class Batches:
    """All batches, by id."""

    def __init__(self) -> None:
        self.flows: dict[str, Flow] = {}
        self.batch_of: dict[str, str] = {}
        """By withdrawal number (as text): its batch."""
        self.refused: dict[str, str] = {}
        """Withdrawals that can never be paid, with the reason: their coins go back."""
        self.confirmed: set[str] = set()
        """Withdrawals that were confirmed by a second factor after they were asked for."""
        self.cancelled: set[str] = set()
        self.approvals: dict[str, dict[str, SignedApproval]] = {}
        """By intent's digest and person: the newest of each."""
        self.change_next = 0

    def take(self, entry: Entry) -> None:
        body: dict[str, Any] = entry.body
        if entry.kind in ("refused", "confirmed", "cancelled"):
            self._note(entry.kind, body)
            return
        if entry.kind == "approved":
            signed = msgspec.convert(body["approval"], SignedApproval)
            self.approvals.setdefault(signed.approval.digest, {})[signed.approval.person] = signed
            return
        if entry.kind == "gathered":
            batch = msgspec.convert(body["batch"], Batch)
            self.flows[batch.id] = Flow(batch)
            self.batch_of |= {intent.id: batch.id for intent in batch.intents}
            return
        flow = self.flows[body["id"]]
        if entry.kind == "sealed":
            flow.sealed = msgspec.convert(body["sealed"], SealedRecord)
            flow.witnesses = msgspec.convert(body["witnesses"], tuple[Witnessed, ...])
        elif entry.kind == "drawn":
            flow.contributions = msgspec.convert(body["contributions"], tuple[Contribution, ...])
            flow.beacon = body["beacon"]
            flow.quorum, flow.late = tuple(body["quorum"]), tuple(body["late"])
            flow.timeouts = msgspec.convert(body["timeouts"], tuple[TimedOut, ...])
        elif entry.kind == "substituted":
            flow.quorum, flow.late = tuple(body["quorum"]), tuple(body["late"])
            flow.timeouts = msgspec.convert(body["timeouts"], tuple[TimedOut, ...])
        elif entry.kind == "built":
            flow.unsigned, flow.fee, flow.spends = body["unsigned"], body["fee"], tuple(body["spends"])
            flow.change_index = body["change_index"]
            self.change_next = max(self.change_next, flow.change_index + 1)
        elif entry.kind == "signed":
            verdicts = msgspec.convert(body["verdicts"], dict[str, tuple[VerdictRow, ...]])
            signers, raw = tuple(body["signers"]), bytes.fromhex(body["raw"])
            flow.attempts.append(Attempt(body["txid"], raw, body["fee"], body["unsigned"], signers, verdicts))
        elif entry.kind == "joining":
            flow.joins += 1
        elif entry.kind == "given up":
            flow.given_up = body["because"]

    def _note(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "refused":
            self.refused[body["withdrawal"]] = body["because"]
        elif kind == "confirmed":
            self.confirmed.add(body["withdrawal"])
        else:
            self.cancelled.add(body["withdrawal"])

    def of(self, chain: str) -> list[Flow]:
        """Return the flows of a chain that were not given up, oldest first."""
        return [flow for flow in self.flows.values() if flow.chain == chain and not flow.given_up]

    def held(self) -> set[str]:
        """Return the outpoints that transactions on their way spend."""
        return {spent for flow in self.flows.values() if not flow.given_up for spent in flow.spends}

    def flow_of(self, withdrawal: int) -> Flow | None:
        batch = self.batch_of.get(str(withdrawal))
        return self.flows[batch] if batch is not None else None


def intent_of(one: Withdrawal, *, chain: str) -> Intent:
    """Return what a withdrawal of the ledger wants to move; everybody makes the same of the same ledger."""
    assert one.wish is not None
    return Intent(
        id=str(one.number), kind=Kind.WITHDRAWAL, chain=chain, asset=ASSETS[one.asset].currency,
        owner=Owner.CLIENTS.text, account=one.account, destination=one.wish.address,
        amount=one.wish.amount, fee_max=one.wish.fee_max,
        requested_ns=one.asked_ns, expires_ns=one.asked_ns + VALID_NS, requested_by=f"account-{one.account}",
    )  # fmt: skip


def gather(
    waiting: list[Withdrawal], *, chain: str, housekeeper: int = 0, intents_max: int = INTENTS_MAX
) -> Batch | None:
    """Return the next batch: the oldest withdrawals first, no two to one destination, in the order of their ids.

    The housekeeper's are in batches of their own, so that nobody shares the fee of making few coins of many.
    """
    chosen: list[Intent] = []
    for one in sorted(waiting, key=lambda each: each.number):
        intent = intent_of(one, chain=chain)
        if housekeeper and chosen and housekeeper in (intent.account, chosen[0].account):
            continue
        if all(intent.destination != other.destination for other in chosen) and len(chosen) < intents_max:
            chosen.append(intent)
    if not chosen:
        return None
    return batch_of(chosen)


def batch_of(chosen: list[Intent]) -> Batch:
    """Return the batch of some movements of clients' coins."""
    chosen.sort(key=lambda intent: intent.id)
    return Batch(f"batch-{chosen[0].id}-{len(chosen)}", Owner.CLIENTS.text, tuple(chosen))


def fee_cap(batch: Batch) -> int:
    """Return the highest fee that every intent of a batch allows."""
    return min(intent.fee_max for intent in batch.intents)

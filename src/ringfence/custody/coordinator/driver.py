"""Moves batches along: asks, writes down, asks on. Each step is written before what depends on it is done.

A crash between two steps loses nothing: what was asked is asked again, and a co-signer answers the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ringfence.chained_log import Entry
from ringfence.custody.beacon import Beacon, BeaconError
from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.coordinator.batches import Batches, Flow
from ringfence.custody.coordinator.rail import Built, Hopeless, Rail, Signed, Waits, is_in_chain
from ringfence.custody.hsm.evidence import Evidence
from ringfence.custody.nomination import (
    BEACON_SECONDS_AHEAD,
    TIMEOUTS_NEEDED,
    Nomination,
    NominationError,
    Roster,
    Sealed,
    nominate,
    seal,
    seated,
)
from ringfence.custody.quorum.messages import (
    Challenge,
    Commit,
    Commitment,
    Consider,
    Contribution,
    Countersign,
    Join,
    JointSignature,
    Nonce,
    Part,
    Question,
    Recall,
    Refusal,
    Reveal,
    SealedRecord,
    Show,
    Shown,
    TimedOut,
    Waited,
    Witnessed,
)
from ringfence.custody.quorum.wire import Told
from ringfence.units.time import NS_PER_SECOND

FEE_RULE = "P13"
DEAR_BLOCKS_MAX = 12
"""So long a batch waits for blocks that cost what the policy allows."""
Ask = Callable[[str, Question | Join | Recall], Awaitable[Told | None]]
"""Put a question to a co-signer by name; None if it does not answer."""
Kind = TypeVar("Kind", bound=msgspec.Struct)


class Node(Protocol):
    """Bitcoin's, whose blocks decide who is drawn."""

    def block_count(self) -> int: ...

    def block_hash(self, height: int) -> str: ...


class Record(Protocol):
    """Where decisions are written down; durable on return."""

    def append(self, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry: ...


class Driver:
    """One step at a time for each batch. Raises the errors of nodes, OSError: the rest is done in the next turn."""

    def __init__(
        self, *, roster: Roster, rails: Mapping[str, Rail], log: Record, batches: Batches, node: Node, ask: Ask,
        now_ns: Callable[[], int], beacon: Beacon | None = None,
        round_of: Callable[[int], Awaitable[str]] | None = None,
    ) -> None:  # fmt: skip
        """`rails` by chain; `round_of` fetches the beacon's signature of a round, empty if it is not to be had now."""
        self._roster, self._rails, self._log, self.batches = roster, rails, log, batches
        self._node, self._ask, self._now_ns, self._beacon, self._round_of = (
            node,
            ask,
            now_ns,
            beacon,
            round_of,
        )

    async def turn(self) -> None:
        """Move every batch on as far as it goes now."""
        for flow in list(self.batches.flows.values()):
            if flow.given_up:
                continue
            try:
                await self._step(flow)
            except NodeError as error:  # of one chain: the others go on
                flow.waiting_for = str(error)

    async def _step(self, flow: Flow) -> None:
        if flow.sealed is None:
            await self._seal(flow)
        if flow.sealed is not None and not self.is_witnessed(flow):
            await self._witness(flow)
        if self.is_witnessed(flow) and not flow.quorum:
            await self._draw(flow)
        if flow.quorum and not flow.unsigned:
            self._build(flow)
        if flow.unsigned and not flow.is_collected and not is_in_chain(self._rails[flow.chain], flow):
            await self._collect(flow)
        if flow.attempts:
            self._send(flow)

    def is_witnessed(self, flow: Flow) -> bool:
        return len(flow.witnesses) >= self._roster.witnesses_needed

    def _write(self, kind: str, body: dict[str, Any]) -> None:
        self._log.append(kind, body, now_ns=self._now_ns())

    # ---- sealing

    async def _everybody(self, question: Question | Recall, kind: type[Kind]) -> list[Kind]:
        names = [signer.name for signer in self._roster.signers]
        answers = await asyncio.gather(*(self._ask(name, question) for name in names))
        return [answer for answer in answers if isinstance(answer, kind)]

    async def _seal(self, flow: Flow) -> None:
        answers = await self._everybody(Commit(flow.batch), Commitment)
        commitments = {one.signer: bytes.fromhex(one.commitment) for one in answers}
        try:
            sealed = seal(
                self._roster,
                flow.batch.digest,
                tip=self._node.block_count(),
                beacon_round=self._round_to_come(),
                commitments=commitments,
                heights_ahead=self._rails[flow.chain].heights_ahead,
            )
        except NominationError as error:
            flow.waiting_for = str(error)
            return
        record = msgspec.to_builtins(_record_of(sealed))
        self._write("sealed", {"id": flow.batch.id, "sealed": record, "witnesses": []})

    def _round_to_come(self) -> int:
        if self._beacon is None:
            return 0
        return self._beacon.round_after(self._now_ns() + BEACON_SECONDS_AHEAD * NS_PER_SECOND)

    async def _witness(self, flow: Flow) -> None:
        assert flow.sealed is not None
        witnesses = await self._everybody(Countersign(flow.batch, flow.sealed), Witnessed)
        if len(witnesses) >= self._roster.witnesses_needed:
            body = {
                "id": flow.batch.id, "sealed": msgspec.to_builtins(flow.sealed),
                "witnesses": msgspec.to_builtins(witnesses),
            }  # fmt: skip
            self._write("sealed", body)
        elif (
            self._rails[flow.chain].heights_ahead and self._node.block_count() >= flow.sealed.height
        ):  # without heights ahead no block decides
            self._give_up(flow, "the block that decides came before most co-signers had witnessed the seal")

    async def _draw(self, flow: Flow) -> None:
        assert flow.sealed is not None
        if self._node.block_count() < flow.sealed.height:
            flow.waiting_for = f"block {flow.sealed.height}"
            return
        signature = await self._beacon_of(flow, flow.sealed.beacon_round)
        if signature is None:
            return
        contributions = await self._everybody(Reveal(flow.sealed, flow.witnesses), Contribution)
        timeouts: list[TimedOut] = []
        committed = {name for name, _ in flow.sealed.commitments}
        for name in sorted(committed - {one.signer for one in contributions}):
            waited = await self._everybody(Waited(flow.sealed, name), TimedOut)
            timeouts += [one for one in waited if one.signer != name]
            if len(waited) < TIMEOUTS_NEEDED:
                flow.waiting_for = f"the contribution of {name}"
                return
        block = self._node.block_hash(flow.sealed.height)
        nomination = self._nominate(flow, contributions, block, signature)
        late: list[str] = []
        quorum = self._seated(flow, nomination, late)
        while quorum is not None and set(quorum) & set(nomination.withheld):
            late += [name for name in quorum if name in nomination.withheld]
            quorum = self._seated(flow, nomination, late)
        if quorum is None:
            return
        body = {
            "id": flow.batch.id, "contributions": msgspec.to_builtins(contributions),
            "quorum": list(quorum), "late": late, "block": block, "beacon": signature,
            "timeouts": msgspec.to_builtins(timeouts),
        }  # fmt: skip
        self._write("drawn", body)

    async def _beacon_of(self, flow: Flow, number: int) -> str | None:
        """Return the beacon's signature of a round, None while it is not to be had; empty without a beacon."""
        if self._beacon is None or self._round_of is None:
            return ""
        if self._now_ns() < self._beacon.time_ns(number):
            flow.waiting_for = f"round {number} of the beacon"
            return None
        signature = await self._round_of(number)
        try:
            self._beacon.randomness(number, signature)
        except BeaconError as error:
            flow.waiting_for = f"round {number} of the beacon: {error}"
            return None
        return signature

    def _nominate(
        self, flow: Flow, contributions: Sequence[Contribution], block: str, signature: str
    ) -> Nomination:
        assert flow.sealed is not None
        record = flow.sealed
        beacon = self._beacon.randomness(record.beacon_round, signature) if self._beacon is not None else b""
        return nominate(
            self._roster, _sealed_of(record), beacon=beacon, block_hash=bytes.fromhex(block),
            revealed={one.signer: bytes.fromhex(one.contribution) for one in contributions},
            heights_ahead=self._rails[flow.chain].heights_ahead,
        )  # fmt: skip

    def _seated(self, flow: Flow, nomination: Nomination, late: Sequence[str]) -> tuple[str, ...] | None:
        """Return who signs, without those who let time pass; None, and the batch waits, if too few are left."""
        try:
            return seated(self._roster, nomination, late, seats=self._rails[flow.chain].seats)
        except NominationError as error:
            flow.waiting_for = str(error)
            return None

    # ---- the transaction

    def _build(self, flow: Flow) -> None:
        """Build the transaction of a batch; one that was built before is built anew, to take its place."""
        try:
            built = self._rails[flow.chain].build(flow, self.batches)
        except Waits as error:
            flow.waiting_for = str(error)
        except Hopeless as error:
            if not flow.may_be_signed:
                self._give_up(flow, str(error))
        else:
            self._write_built(flow, built)

    def _build_again(self, flow: Flow, because: str) -> None:
        """Build at what blocks cost now; give up if that is too much for long."""
        assert flow.sealed is not None
        self._build(flow)
        if not flow.may_be_signed and self._node.block_count() >= flow.sealed.height + DEAR_BLOCKS_MAX:
            self._give_up(flow, because)

    def _write_built(self, flow: Flow, built: Built) -> None:
        if built.unsigned == flow.unsigned:
            return
        body = {
            "id": flow.batch.id, "unsigned": built.unsigned, "fee": built.fee, "spends": list(built.spends),
            "change_index": built.change_index,
        }  # fmt: skip
        self._write("built", body)

    # ---- collecting

    async def _collect(self, flow: Flow) -> None:
        rail = self._rails[flow.chain]
        subject = rail.subject(flow.unsigned)
        # What is signed is asked for first: somebody may have sent it, and then nobody says yes to it any more.
        known = await self._everybody(Recall(subject), JointSignature) if flow.joins else []
        if known and self._put_together(flow, [], known):
            return
        nonces = await self._of_quorum(flow, {name: Challenge(subject) for name in flow.quorum}, Nonce)
        if nonces is None:
            return
        evidence: dict[str, list[Evidence]] = {}
        for name in flow.quorum:
            others = [other for other in flow.quorum if other != name]
            shown = await self._of_quorum(
                flow, {other: Show(name, nonces[name].nonce, subject) for other in others}, Shown
            )
            if shown is None:
                return
            evidence[name] = [one.evidence for one in shown.values()]
        questions = {name: self._question(flow, evidence[name]) for name in flow.quorum}
        parts = await self._of_quorum(flow, questions, Part)
        if parts is None:
            return
        joint = await self._join(flow, subject, known) if rail.is_joint else []
        if joint or not rail.is_joint:
            self._put_together(flow, list(parts.values()), joint)

    async def _join(self, flow: Flow, subject: str, known: Sequence[JointSignature]) -> list[JointSignature]:
        """Have the nominees sign together. It is written down before: somebody may have what comes of it.

        All go on behind what is signed already. Whoever makes that up is refused by the others, and the next attempt
        goes on behind what another has told, or from the beginning.
        """
        told = [*sorted({one.signatures for one in known}, key=len, reverse=True), ()]
        signed = told[max(flow.joins - 1, 0) % len(told)]
        self._write("joining", {"id": flow.batch.id})
        answers = await asyncio.gather(
            *(self._ask(name, Join(subject, flow.joins, signed)) for name in flow.quorum)
        )
        found = [one for one in answers if isinstance(one, JointSignature)]
        if found:
            return found  # all have the same; who was cut off before it could answer is not waited for
        flow.waiting_for = "; ".join(
            f"{name}: {one.reason if isinstance(one, Refusal) else 'no answer'}"
            for name, one in zip(flow.quorum, answers, strict=True)
        )
        return []

    def _question(self, flow: Flow, evidence: list[Evidence]) -> Consider:
        assert flow.sealed is not None
        approvals = [
            one
            for intent in flow.batch.intents
            for one in self.batches.approvals.get(intent.digest, {}).values()
        ]
        return Consider(
            batch=flow.batch, approvals=tuple(approvals), sealed=flow.sealed, witnesses=flow.witnesses,
            contributions=flow.contributions, beacon=flow.beacon, late=flow.late, timeouts=flow.timeouts,
            unsigned=flow.unsigned, replaces=flow.attempts[-1].txid if flow.attempts else "", evidence=tuple(evidence),
        )  # fmt: skip

    async def _of_quorum(
        self, flow: Flow, questions: dict[str, Any], kind: type[Kind]
    ) -> dict[str, Kind] | None:
        """Ask each its question; None if one is not answered as hoped: then the batch waits, or is given up."""
        answers = await asyncio.gather(*(self._ask(name, question) for name, question in questions.items()))
        found: dict[str, Kind] = {}
        for name, answer in zip(questions, answers, strict=True):
            if isinstance(answer, kind):
                found[name] = answer
            elif isinstance(answer, Refusal):
                flow.waiting_for = f"{name} refuses ({answer.step}): {answer.reason}"
                if not answer.is_for_now and not flow.may_be_signed:
                    self._give_up(flow, flow.waiting_for)
                elif (answer.step == "decoded" and self._rails[flow.chain].is_joint) or any(
                    row.rule == FEE_RULE and not row.allows for row in answer.verdicts
                ):
                    self._build_again(flow, flow.waiting_for)
                return None
            else:
                flow.waiting_for = f"{name} does not answer"
                await self._substitute(flow, name)
                return None
        return found

    async def _substitute(self, flow: Flow, name: str) -> None:
        """Put a substitute in the place of who lets time pass, once two others have waited long enough."""
        assert flow.sealed is not None
        others = [signer.name for signer in self._roster.signers if signer.name != name]
        answers = await asyncio.gather(*(self._ask(other, Waited(flow.sealed, name)) for other in others))
        timeouts = [answer for answer in answers if isinstance(answer, TimedOut)]
        if len(timeouts) < TIMEOUTS_NEEDED:
            return
        block = self._node.block_hash(flow.sealed.height)
        late = (*flow.late, name)
        quorum = self._seated(flow, self._nominate(flow, flow.contributions, block, flow.beacon), late)
        if quorum is None:
            return
        told = [*flow.timeouts, *timeouts]
        body = {
            "id": flow.batch.id, "quorum": list(quorum), "late": list(late), "timeouts": msgspec.to_builtins(told),
        }  # fmt: skip
        self._write("substituted", body)

    def _put_together(self, flow: Flow, parts: Sequence[Part], joint: Sequence[JointSignature]) -> bool:
        """Write down what the network takes; of joint signatures the first that makes it: one may be made up."""
        for one in joint or (None,):
            try:
                signed = self._rails[flow.chain].put_together(flow, parts, one)
            except Waits as error:
                flow.waiting_for = str(error)
            else:
                self._write_signed(flow, signed, parts)
                return True
        return False

    def _write_signed(self, flow: Flow, signed: Signed, parts: Sequence[Part]) -> None:
        verdicts = {part.signer: msgspec.to_builtins(part.verdicts) for part in parts}
        body = {
            "id": flow.batch.id, "raw": signed.raw.hex(), "txid": signed.txid, "fee": flow.fee,
            "unsigned": flow.unsigned,
            "signers": [part.signer for part in parts] or list(flow.quorum), "verdicts": verdicts,
        }  # fmt: skip
        self._write("signed", body)

    def _send(self, flow: Flow) -> None:
        try:
            instead = self._rails[flow.chain].send(flow, self.batches)
        except Waits as error:
            flow.waiting_for = str(error)
            return
        if instead is not None:
            self._write_built(flow, instead)

    def _give_up(self, flow: Flow, because: str) -> None:
        assert not flow.may_be_signed
        self._write("given up", {"id": flow.batch.id, "because": because[:300]})


def _record_of(sealed: Sealed) -> SealedRecord:
    commitments = tuple((name, value.hex()) for name, value in sealed.commitments)
    return SealedRecord(
        sealed.batch.hex(),
        sealed.roster.hex(),
        sealed.sealed_height,
        sealed.height,
        sealed.beacon_round,
        commitments,
    )


def _sealed_of(record: SealedRecord) -> Sealed:
    commitments = tuple((name, bytes.fromhex(value)) for name, value in record.commitments)
    return Sealed(
        bytes.fromhex(record.batch), bytes.fromhex(record.roster), record.sealed_height, record.height,
        record.beacon_round, commitments,
    )  # fmt: skip

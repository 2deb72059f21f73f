"""Moves batches along: asks, writes down, asks on. Each step is written before what depends on it is done.

A crash between two steps loses nothing: what was asked is asked again, and a co-signer answers the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ringfence.custody.beacon import Beacon, BeaconError
from ringfence.custody.chained_log import Entry
from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.chains.bitcoin.rpc import AlreadyConfirmedError, BitcoinError, RejectedError
from ringfence.custody.coordinator.batches import Batches, Flow, bumped_rate, fee_cap_sats
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
    substitute,
)
from ringfence.custody.quorum.messages import (
    Challenge,
    Commit,
    Commitment,
    Consider,
    Contribution,
    Countersign,
    Nonce,
    Part,
    Question,
    Refusal,
    Reveal,
    SealedRecord,
    Show,
    Shown,
    TimedOut,
    Waited,
    Witnessed,
    subject_of,
)
from ringfence.custody.quorum.multisig import MultisigError, network_accepts, put_together, read_unsigned
from ringfence.custody.quorum.wire import Told
from ringfence.custody.wallets.building import BuildError, Funds, Payment, Unsigned, build
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.owners import Wallets, owner_of
from ringfence.units.time import NS_PER_SECOND

CONSOLIDATED_MAX = 90
"""Coins that become one at once; a few more may be needed to pay."""
FEE_RULE = "P13"
DEAR_BLOCKS_MAX = 12
"""So long a batch waits for blocks that cost what the policy allows."""
BUMP_AFTER_BLOCKS = 6
Ask = Callable[[str, Question], Awaitable[Told | None]]
"""Put a question to a co-signer by name; None if it does not answer."""
Kind = TypeVar("Kind", bound=msgspec.Struct)


class Node(Protocol):
    def block_count(self) -> int: ...

    def block_hash(self, height: int) -> str: ...

    def fee_rate_sats_per_kvb(self, target_blocks: int) -> int | None: ...

    def send(self, raw: bytes) -> str: ...

    def mempool(self) -> set[str]: ...


class Record(Protocol):
    """Where decisions are written down; durable on return."""

    def append(self, kind: str, body: dict[str, Any], *, now_ns: int) -> Entry: ...


class Driver:
    """One step at a time for each batch. Raises BitcoinError, OSError: the rest is done in the next turn."""

    def __init__(
        self, *, roster: Roster, wallets: Wallets, log: Record, batches: Batches, follower: Follower, node: Node,
        ask: Ask, script_of: Callable[[str], bytes | None], now_ns: Callable[[], int], beacon: Beacon | None = None,
        round_of: Callable[[int], Awaitable[str]] | None = None,
    ) -> None:  # fmt: skip
        """`round_of` fetches the beacon's signature of a round, empty if it is not to be had now."""
        self._roster, self._wallets, self._log, self.batches = roster, wallets, log, batches
        self._follower, self._node, self._ask, self._script_of = follower, node, ask, script_of
        self._now_ns, self._beacon, self._round_of = now_ns, beacon, round_of
        self._sent_at: dict[str, int] = {}
        """By txid: the height at which it was first sent by this process."""

    async def turn(self) -> None:
        """Move every batch on as far as it goes now."""
        for flow in list(self.batches.flows.values()):
            if not flow.given_up:
                await self._step(flow)

    async def _step(self, flow: Flow) -> None:
        if flow.sealed is None:
            await self._seal(flow)
        if flow.sealed is not None and not self.is_witnessed(flow):
            await self._witness(flow)
        if self.is_witnessed(flow) and not flow.quorum:
            await self._draw(flow)
        if flow.quorum and not flow.psbt:
            self._build(flow)
        if flow.psbt and not self._is_collected(flow):
            await self._collect(flow)
        if flow.attempts:
            self._send(flow)

    def is_witnessed(self, flow: Flow) -> bool:
        return len(flow.witnesses) >= self._roster.witnesses_needed

    def _write(self, kind: str, body: dict[str, Any]) -> None:
        self._log.append(kind, body, now_ns=self._now_ns())

    # ---- sealing

    async def _everybody(self, question: Question, kind: type[Kind]) -> list[Kind]:
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
        elif self._node.block_count() >= flow.sealed.height:
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
        nomination = self._nominate(flow.sealed, contributions, block, signature)
        late = [name for name in nomination.quorum if name in nomination.withheld]
        quorum = self._substituted(flow, nomination, late)
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
        self, record: SealedRecord, contributions: Sequence[Contribution], block: str, signature: str
    ) -> Nomination:
        beacon = self._beacon.randomness(record.beacon_round, signature) if self._beacon is not None else b""
        return nominate(
            self._roster, _sealed_of(record), beacon=beacon, block_hash=bytes.fromhex(block),
            revealed={one.signer: bytes.fromhex(one.contribution) for one in contributions},
        )  # fmt: skip

    def _substituted(self, flow: Flow, nomination: Nomination, late: Sequence[str]) -> tuple[str, ...] | None:
        """Return the quorum without those who let time pass; None, and the batch waits, if nobody is left."""
        try:
            return substitute(self._roster, nomination, late)
        except NominationError as error:
            flow.waiting_for = str(error)
            return None

    # ---- the transaction

    def _coins(self, flow: Flow) -> list[Coin]:
        """Return the coins that a batch may spend: confirmed, of its owner, and not spent by another batch."""
        owner, held = owner_of(flow.batch.owner), self.batches.held() - set(flow.spends)
        found = []
        for coin in self._follower.confirmed_coins():
            mine = self._wallets.classify(coin.script)
            if mine is not None and mine.owner == owner and str(coin.outpoint) not in held:
                found.append(coin)
        return found

    def _build(self, flow: Flow, *, rate: int | None = None) -> None:
        """Build the transaction of a batch; one that was built before is replaced by one of the same coins."""
        owner = owner_of(flow.batch.owner)
        payments = []
        for intent in flow.batch.intents:
            script = self._script_of(intent.destination)
            if script is None:
                self._give_up(flow, f"{intent.destination} is no address of this network")
                return
            payments.append(Payment(script, intent.amount_sats))
        is_replacement = bool(flow.psbt)
        change = flow.change_index if is_replacement else self.batches.change_next
        coins = self._coins(flow)
        if is_replacement:
            all_of = [_outpoint(text) for text in flow.spends]
            coins = [coin for coin in coins if coin.outpoint in all_of]
        else:
            all_of = self._to_consolidate(flow, coins, payments)
        wanted = rate if rate is not None else max(self._node.fee_rate_sats_per_kvb(6) or 0, 2_000)

        def built(of: list[Outpoint]) -> Unsigned:
            return build(
                self._wallets, owner, [Funds(coin) for coin in coins], payments, fee_rate_sats_per_kvb=wanted,
                change_index=change, all_of=of,
            )  # fmt: skip

        try:
            unsigned = built(all_of)
            while all_of and not is_replacement and unsigned.fee_sats > fee_cap_sats(flow.batch):
                all_of = all_of[: len(all_of) * 3 // 4]
                unsigned = built(all_of)
        except (BuildError, LookupError) as error:
            flow.waiting_for = str(error)
            return
        if unsigned.fee_sats > fee_cap_sats(flow.batch):
            flow.waiting_for = f"a fee of {unsigned.fee_sats} sats, {fee_cap_sats(flow.batch)} are allowed"
            return
        self._write_built(flow, unsigned, change)

    def _build_again(self, flow: Flow, because: str) -> None:
        """Build of the same coins at what blocks cost now; give up if that is too much for long."""
        assert flow.sealed is not None
        self._build(flow)
        if not flow.attempts and self._node.block_count() >= flow.sealed.height + DEAR_BLOCKS_MAX:
            self._give_up(flow, because)

    def _to_consolidate(self, flow: Flow, coins: list[Coin], payments: list[Payment]) -> list[Outpoint]:
        """Return the coins that a payment to an address of our own makes one of: the smallest, as many as may be."""
        if any(self._wallets.classify(payment.script) is None for payment in payments):
            return []
        smallest = sorted(coins, key=lambda coin: (coin.amount_sats, coin.outpoint))
        return [coin.outpoint for coin in smallest[:CONSOLIDATED_MAX]]

    def _write_built(self, flow: Flow, unsigned: Unsigned, change: int) -> None:
        if unsigned.psbt == flow.psbt:
            return
        body = {
            "id": flow.batch.id, "psbt": unsigned.psbt, "fee_sats": unsigned.fee_sats,
            "spends": [str(one) for one in unsigned.spends], "change_index": change,
        }  # fmt: skip
        self._write("built", body)

    # ---- collecting

    def _is_collected(self, flow: Flow) -> bool:
        unsigned = read_unsigned(flow.psbt).transaction.txid
        return any(attempt.transaction.txid == unsigned for attempt in flow.attempts)

    async def _collect(self, flow: Flow) -> None:
        subject = subject_of(read_unsigned(flow.psbt).unsigned)
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
        if parts is not None:
            self._put_together(flow, list(parts.values()))

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
            psbt=flow.psbt,
            replaces=flow.attempts[-1].transaction.txid if flow.attempts else "", evidence=tuple(evidence),
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
                if not answer.is_for_now and not flow.attempts:
                    self._give_up(flow, flow.waiting_for)
                elif any(row.rule == FEE_RULE and not row.allows for row in answer.verdicts):
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
        quorum = self._substituted(
            flow, self._nominate(flow.sealed, flow.contributions, block, flow.beacon), late
        )
        if quorum is None:
            return
        told = [*flow.timeouts, *timeouts]
        body = {
            "id": flow.batch.id, "quorum": list(quorum), "late": list(late), "timeouts": msgspec.to_builtins(told),
        }  # fmt: skip
        self._write("substituted", body)

    def _put_together(self, flow: Flow, parts: list[Part]) -> None:
        unsigned = read_unsigned(flow.psbt)
        by_outpoint = {coin.outpoint: coin for coin in self._follower.confirmed_coins()}
        coins = [by_outpoint[item.outpoint] for item in unsigned.transaction.inputs]
        signatures: list[dict[bytes, bytes]] = [{} for _ in coins]
        for part in parts:
            for place, (public, signature) in enumerate(part.signatures):
                signatures[place][bytes.fromhex(public)] = bytes.fromhex(signature)
        try:
            transaction = put_together(unsigned, self._wallets, coins, signatures)
        except MultisigError as error:
            flow.waiting_for = str(error)
            return
        if not network_accepts(transaction, coins):
            flow.waiting_for = "the network would refuse what these parts make; nothing is sent"
            return
        verdicts = {part.signer: msgspec.to_builtins(part.verdicts) for part in parts}
        body = {
            "id": flow.batch.id, "raw": transaction.raw.hex(), "txid": transaction.txid, "fee_sats": flow.fee_sats,
            "signers": [part.signer for part in parts], "verdicts": verdicts,
        }  # fmt: skip
        self._write("signed", body)

    # ---- sending

    def _send(self, flow: Flow) -> None:
        """Send the newest transaction unless the chain or the mempool has it; bump its fee if it is stuck."""
        newest = flow.attempts[-1].transaction
        if any(self._follower.confirmations_of(one.transaction.txid) for one in flow.attempts):
            return
        if newest.txid not in self._node.mempool():
            try:
                self._node.send(newest.raw)
            except AlreadyConfirmedError:
                return
            except RejectedError as error:
                flow.waiting_for = f"the node does not take it: {error}"
                return
        height = self._node.block_count()
        since = self._sent_at.setdefault(newest.txid, height)
        if height - since >= BUMP_AFTER_BLOCKS and self._is_collected(flow):
            rate = bumped_rate(flow.fee_sats, newest.vsize, self._node.fee_rate_sats_per_kvb(2) or 0)
            self._build(flow, rate=rate)

    def _give_up(self, flow: Flow, because: str) -> None:
        assert not flow.attempts
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


def _outpoint(text: str) -> Outpoint:
    txid, _, vout = text.partition(":")
    return Outpoint(txid, int(vout))


__all__ = ["BUMP_AFTER_BLOCKS", "Ask", "BitcoinError", "Driver", "Node"]

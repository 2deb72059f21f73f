"""A chain of accounts as the coordinator uses it: one payment a transaction, signed by the nominees together.

Clients deposit at addresses of their own; withdrawals are paid from the treasury. What lies at a deposit address is
swept to the treasury when it is worth it, or when a withdrawal waits for it. The company pays for that, and for what
moves tokens: it sends the chain's native coin to the treasury beforehand, and no client's coin is taken for a fee that
is not the client's own.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from ringfence.custody.annex import Annex
from ringfence.custody.chains.accounts import (
    AccountFollower,
    AccountRoom,
    BytesError,
    TransactionRefusedError,
)
from ringfence.custody.coordinator.batches import Attempt, Batches, Flow, fee_cap
from ringfence.custody.coordinator.deposits import Deposit
from ringfence.custody.coordinator.instructions import Settled
from ringfence.custody.coordinator.rail import Built, Hopeless, Signed, Waits, is_in_chain
from ringfence.custody.coordinator.reconcile import Item, Report
from ringfence.custody.coordinator.shown import outputs_of
from ringfence.custody.explained import Explained, charged, explain
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import HEIGHTS_AHEAD
from ringfence.custody.quorum.messages import JointSignature, Part, subject_of
from ringfence.custody.wallets.owners import Owner
from ringfence.units.assets import BY_CURRENCY, Asset
from ringfence.units.rounding import ceil_div
from ringfence.units.time import NS_PER_MINUTE, NS_PER_SECOND

SWEEP_FEES_MIN = 20
"""What lies at an address is swept once it is worth so many times the fee for it."""
SWEEP_DEPOSITS_MIN = 100
"""A token has no common measure with the fee: so many of the smallest deposits make it worth it."""
FEES_AHEAD_PERCENT = 150
"""What is sent to an address for its fees, and left to it, beyond what they are now."""
BUMP_AFTER_BLOCKS = 6
_SWEEP_VALID_NS = 60 * NS_PER_MINUTE
_REST_NS = 60 * NS_PER_SECOND
"""So long nothing is tried again from an address from which it was given up."""


class AccountRail:
    is_joint = True
    heights_ahead = HEIGHTS_AHEAD
    intents_max = 1

    def __init__(self, annex: Annex, room: AccountRoom, follower: AccountFollower) -> None:
        self.chain, self.assets, self.seats = (
            annex.chain, tuple(one.currency for one in annex.assets), annex.threshold,
        )  # fmt: skip
        self.annex, self.room, self._follower = annex, room, follower
        self._native = annex.native
        self.deepest_reorg = 0
        self._sent_at: dict[str, int] = {}

    # ---- what comes in

    def poll(self, ledger: Ledger) -> list[str]:
        self.room.know(ledger.accounts_end)
        self.deepest_reorg = max(self.deepest_reorg, self._follower.poll())
        return []  # what is credited is final: if that leaves the chain, the follower says so and goes no further

    def deposits(self, ledger: Ledger) -> list[Deposit]:
        found = []
        for one in self._follower.received.values():
            account = self.room.number_of(one.address)
            if not account:
                continue
            asset = BY_CURRENCY[one.asset]
            amount = one.raw // self._factor(one.asset)
            confirmations = self._follower.height + 1 - one.height
            if one.outpoint in ledger.credited:
                state = "credited"
            elif amount < asset.deposit_min:
                state = "dust"
            else:
                state = "confirmed" if self._follower.is_final(one.height) else "seen"
            needed = self._follower.height + 1 - self._follower.final_height
            found.append(
                Deposit(one.txid, one.output, account, asset.number, amount, confirmations, needed, state)
            )
        return found

    def _factor(self, currency: str) -> int:
        return self.annex.asset(currency).factor

    # ---- what goes out

    def is_address(self, text: str) -> bool:
        return self.room.is_address(text)

    def is_ours(self, address: str) -> bool:
        return self.room.number_of(address) is not None

    def is_free(self, batches: Batches) -> bool:
        """Each transaction uses up what the next one builds on, so one is on its way at a time."""
        return all(is_in_chain(self, flow) for flow in batches.of(self.chain))

    def affords(self, intent: Intent) -> bool:
        """Return whether the treasury has what a withdrawal takes, its fee too."""
        at, asset = self.room.treasury, intent.asset
        raw = intent.amount * self._factor(asset)
        if asset == self.room.native:
            return self._balance(at, asset) >= raw + intent.fee_max * self._native.factor
        fee_raw = self.room.fee_raw_of(asset)
        return self._balance(at, asset) >= raw and self._balance(at, self.room.native) >= fee_raw

    def _balance(self, address: str, asset: str) -> int:
        return self._follower.balance(address, asset)

    def sweeps(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Intent]:
        """Return what should come to the treasury, and what has to go to an address for its fees first."""
        company = self._explained(ledger, self.room.native).company
        found = []
        # Tokens first: what lies beside them pays for their way, and need not be sent there.
        for asset in (*self.assets[1:], self.room.native):
            fee_raw = self._fee_ahead(asset)
            if company < 2 * fee_raw:
                continue
            is_short = self._is_short(ledger, asset)
            for address, raw in self._follower.balances(asset):
                is_left = self.room.key_of(address) < 0 and self._is_worth_a_fee(asset, raw, fee_raw)
                if is_left or self._is_worth_it(asset, raw, fee_raw, is_short=is_short):
                    found += list(self._sweep(asset, address, raw, fee_raw, batches, now_ns))
        return found

    def _is_short(self, ledger: Ledger, asset: str) -> bool:
        """Return whether withdrawals wait for more than the treasury has."""
        number = BY_CURRENCY[asset].number
        waiting = sum(one.locked for one in ledger.open().values() if one.asset == number and not one.left)
        return waiting * self._factor(asset) > self._balance(self.room.treasury, asset)

    def _is_worth_it(self, asset: str, raw: int, fee_raw: int, *, is_short: bool) -> bool:
        if asset == self.room.native:
            return raw >= fee_raw * (3 if is_short else SWEEP_FEES_MIN)
        return raw // self._factor(asset) >= BY_CURRENCY[asset].deposit_min * (
            1 if is_short else SWEEP_DEPOSITS_MIN
        )

    def _sweep(
        self, asset: str, address: str, raw: int, fee_raw: int, batches: Batches, now_ns: int
    ) -> Iterator[Intent]:
        number = self.room.number_of(address) or 0
        if (
            address == self.room.treasury
            or not self._is_settled(address)
            or self._rests(address, batches, now_ns)
        ):
            return
        if not number and self._is_needed(address):
            return
        pays_itself = self.room.fee_payer(address) == address
        if (pays_itself or not number) and asset == self.room.native:
            raw -= fee_raw
        if pays_itself and asset != self.room.native and self._balance(address, self.room.native) < fee_raw:
            yield self._movement(
                self.room.native, self._fees_from(fee_raw), address, 2 * fee_raw, number, batches, now_ns
            )
            return
        if raw <= 0:
            return
        yield self._movement(asset, address, self.room.treasury, raw, number, batches, now_ns)

    def _is_needed(self, treasury: str) -> bool:
        """Return whether a treasury that was left has yet to pay for what lies at other addresses under its key."""
        key, fee_raw = self.room.key_of(treasury), self._fee_ahead(self.room.native)
        return any(
            self.room.key_of(address) == key
            and address != treasury
            and self._is_worth_a_fee(asset, raw, fee_raw)
            for asset in self.assets
            for address, raw in self._follower.balances(asset)
        )

    def _is_worth_a_fee(self, asset: str, raw: int, fee_raw: int) -> bool:
        return raw > fee_raw if asset == self.room.native else raw // self._factor(asset) > 0

    def _fee_ahead(self, asset: str) -> int:
        """Return what is to be left to an address for the fee of a transfer."""
        fee_raw = self.room.fee_raw_of(asset)
        return fee_raw if self.room.is_fee_exact else fee_raw * FEES_AHEAD_PERCENT // 100

    def _fees_from(self, fee_raw: int) -> str:
        """Return the treasury that sends money for fees: one that was left, as long as it has some."""
        treasuries = [address for address, _ in self._follower.balances(self.room.native)]
        left = [one for one in treasuries if self.room.number_of(one) == 0 and one != self.room.treasury]
        return next(
            (one for one in left if self._balance(one, self.room.native) > 4 * fee_raw), self.room.treasury
        )

    def _is_settled(self, address: str) -> bool:
        """Return whether everything that has come to an address is final."""
        return all(
            self._follower.is_final(one.height)
            for one in self._follower.received.values()
            if one.address == address
        )

    def _movement(
        self, asset: str, source: str, to: str, raw: int, number: int, batches: Batches, now_ns: int
    ) -> Intent:
        """Return a movement of ours, with a name that no other has."""
        name = next(
            name for turn in count(1) if (name := f"sweep-{asset}-{number}-{turn}") not in batches.batch_of
        )
        cap = self.annex.asset(asset).policy.cap
        return Intent(
            id=name, kind=Kind.SWEEP, chain=self.chain, asset=asset, owner=Owner.CLIENTS.text, account=0,
            destination=to, amount=min(raw // self._factor(asset), cap), fee_max=0, requested_ns=now_ns,
            expires_ns=now_ns + _SWEEP_VALID_NS, requested_by="coordinator", source=source,
        )  # fmt: skip

    def _rests(self, address: str, batches: Batches, now_ns: int) -> bool:
        """Return whether a movement from or to an address was given up a moment ago."""
        return any(
            flow.given_up
            and flow.chain == self.chain
            and address in (flow.batch.intents[0].source, flow.batch.intents[0].destination)
            and now_ns - flow.batch.intents[0].requested_ns < _REST_NS
            for flow in batches.flows.values()
        )

    def build(self, flow: Flow, batches: Batches) -> Built:
        if flow.may_be_signed and not self.room.has_expired(flow.spends[0]):
            # Dearer at every refusal, it would soon be too dear to be signed at all. `send` sees what is stuck.
            raise Waits("what was put before the co-signers may still come into a block")
        return self._build(flow, above=bytes.fromhex(flow.unsigned) if flow.may_be_signed else b"")

    def _build(self, flow: Flow, *, above: bytes) -> Built:
        (intent,) = flow.batch.intents
        source = self._source(flow)
        try:
            raw = self.room.build(
                source=source, to=intent.destination, asset=intent.asset,
                raw=intent.amount * self._factor(intent.asset), above=above,
            )  # fmt: skip
        except TransactionRefusedError as error:
            raise Hopeless(str(error)) from error
        transaction = self.room.read(raw, source=source)
        fee = ceil_div(transaction.fee_raw_max, self._native.factor)
        is_clients = intent.kind == Kind.WITHDRAWAL and intent.asset == self.room.native
        if is_clients and fee > fee_cap(flow.batch):
            raise Waits(f"a fee of {fee} {self.room.native}, {fee_cap(flow.batch)} are allowed")
        return Built(raw.hex(), fee, (transaction.place,))

    def _source(self, flow: Flow) -> str:
        """Return from where a movement is: what may be signed stays with the key that it was built for."""
        (intent,) = flow.batch.intents
        if intent.source:
            return intent.source
        if flow.may_be_signed:
            return re.split("[:@]", flow.spends[0])[0]
        return self.room.treasury

    def subject(self, unsigned: str) -> str:
        return subject_of(bytes.fromhex(unsigned))

    def put_together(self, flow: Flow, parts: Sequence[Part], joint: JointSignature | None) -> Signed:
        assert joint is not None
        try:
            ((signature, recovery_id),) = joint.signatures
            txid, raw = self.room.signed(
                bytes.fromhex(flow.unsigned), bytes.fromhex(signature), recovery_id,
                source=self._source(flow),
            )  # fmt: skip
        except (BytesError, ValueError) as error:
            raise Waits(f"what the nominees have signed makes no transaction: {error}") from error
        return Signed(txid, raw)

    def send(self, flow: Flow, batches: Batches) -> Built | None:
        if is_in_chain(self, flow):
            return None
        newest = flow.attempts[-1]
        since = self._sent_at.setdefault(newest.txid, self._follower.height)
        is_stuck = flow.is_collected and self._follower.height - since >= BUMP_AFTER_BLOCKS
        try:
            self.room.send(newest.raw)
        except TransactionRefusedError as error:
            if not is_stuck and not self.room.has_expired(flow.spends[0]):
                raise Waits(f"the node does not take it: {error}") from error
            is_stuck = True
        try:
            return self._build(flow, above=bytes.fromhex(flow.unsigned)) if is_stuck else None
        except Hopeless as error:  # nothing that may be signed is given up
            raise Waits(str(error)) from error

    def confirmations(self, attempt: Attempt) -> int:
        return self._follower.confirmations_of(attempt.txid)

    def settled(self, flow: Flow, intent: Intent) -> Settled | None:
        for attempt in flow.attempts:
            spent = self._follower.spent.get(attempt.txid)
            if spent is not None and self._follower.is_final(spent.height):
                left = charged(
                    spent, intent.asset, native=self.room.native, factor=self._factor(intent.asset)
                )
                because = "the transaction failed on the chain" if spent.is_failed else ""
                return Settled(attempt.txid, left, because)
        return None

    def shown(self, flow: Flow) -> dict[str, Any] | None:
        if not flow.unsigned:
            return None
        (intent,), newest = flow.batch.intents, flow.newest
        source = self._source(flow)
        transaction = self.room.read(
            bytes.fromhex(newest.unsigned if newest else flow.unsigned), source=source
        )
        number = self.room.number_of(transaction.to)
        own = (
            ""
            if number is None
            else f"stays ours: {f'deposit address of {number}' if number else 'treasury'}"
        )
        amount = transaction.raw // self._factor(intent.asset)
        return {
            "txid": newest.txid if newest else "", "size": transaction.call or "payment", "fee": flow.fee,
            "inputs": [transaction.place], "outputs": outputs_of(flow, iter([(transaction.to, amount, own)])),
        }  # fmt: skip

    # ---- whether it adds up

    def position(self) -> str:
        """Empty blocks change nothing: what was found in them does."""
        return f"{len(self._follower.received)} {len(self._follower.spent)} {self._follower.final_height}"

    def reconcile(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Report]:
        """Return a look at each asset; none if the chain went on meanwhile: a node may know its newest block alone."""
        height = self._follower.height
        reports = [self._report(ledger, BY_CURRENCY[currency], now_ns) for currency in self.assets]
        self._follower.poll()
        return reports if self._follower.height == height else []

    def _report(self, ledger: Ledger, asset: Asset, now_ns: int) -> Report:
        found = self._explained(ledger, asset.currency)
        held = sum(
            self.room.balance_raw(address, asset.currency, self._follower.height)
            for address in self._addresses_with(asset.currency)
        )
        items = tuple(
            Item(what, "", raw)
            for what, raw in (
                ("deposits that are not credited yet, and crumbs of deposits", found.uncredited),
                ("what the company has paid in for fees, and not used", found.company),
                ("paid on the chain, not closed in the ledger yet", -found.unclosed),
                ("fees that were rounded up", found.overcharged),
            )
            if raw
        )
        # What the company has not paid in, fees were taken from clients' coins for.
        difference = found.difference + held - found.held + min(found.company, 0)
        chain = dict.fromkeys((owner.text for owner in Owner), 0) | {Owner.CLIENTS.text: held}
        return Report(
            asset.currency, self.chain, self._follower.height, self._follower.tip, ledger.next_sequence, now_ns, chain,
            found.backed, ledger.demo.get(asset.number, 0), items, difference,
        )  # fmt: skip

    def _explained(self, ledger: Ledger, asset: str) -> Explained:
        return explain(self._follower, self.room, ledger, asset, factor=self._factor(asset))

    def _addresses_with(self, asset: str) -> list[str]:
        return sorted({self.room.treasury, *(address for address, _ in self._follower.balances(asset))})

    def fees_left(self, ledger: Ledger) -> int:
        """Return what the company has paid in for fees and what is not used of it, in ledger units."""
        return self._explained(ledger, self.room.native).company // self._native.factor

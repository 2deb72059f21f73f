"""The hot wallet as the coordinator uses it: small withdrawals that do not wait for blocks, signed together."""

from collections.abc import Sequence
from typing import Any

from ringfence.custody.annex import Annex
from ringfence.custody.chains.bitcoin.transactions import parse_transaction
from ringfence.custody.coordinator.batches import Attempt, Batches, Flow, fee_cap
from ringfence.custody.coordinator.bitcoin_rail import (
    FEE_RATE_SATS_PER_KVB_FLOOR,
    TARGET_BLOCKS,
    BitcoinRail,
)
from ringfence.custody.coordinator.deposits import Deposit
from ringfence.custody.coordinator.instructions import Settled
from ringfence.custody.coordinator.rail import Built, Hopeless, Signed, Waits, is_in_chain
from ringfence.custody.coordinator.reconcile import Report
from ringfence.custody.intents import Intent
from ringfence.custody.ledger import Ledger
from ringfence.custody.quorum.hot import build, hot_key, hot_script, put_together, read_unsigned
from ringfence.custody.quorum.messages import JointSignature, Part, subject_of
from ringfence.custody.quorum.multisig import MultisigError, network_accepts
from ringfence.custody.wallets.building import BuildError, Payment
from ringfence.custody.wallets.coins import Coin

INTENTS_MAX = 10


class HotRail:
    assets: tuple[str, ...]
    is_joint = True
    heights_ahead = 0
    deepest_reorg = 0
    intents_max = INTENTS_MAX

    def __init__(self, annex: Annex, cold: BitcoinRail) -> None:
        """Raises PathError, ValueError."""
        self.annex, self._cold = annex, cold
        self.chain, self.assets, self.seats = annex.chain, (annex.native.currency,), annex.threshold
        self._key = hot_key(annex.public_key, annex.chain_code)
        self._script = hot_script(self._key)
        cold.add_hot(self._script, self.chain)

    # ---- what comes in

    def poll(self, ledger: Ledger) -> list[str]:
        return []  # it is followed with the cold wallet

    def deposits(self, ledger: Ledger) -> list[Deposit]:
        return []  # nobody deposits here

    # ---- what goes out

    def is_address(self, text: str) -> bool:
        return self._cold.is_address(text)

    def is_ours(self, address: str) -> bool:
        return self._cold.is_ours(address)

    def is_free(self, batches: Batches) -> bool:
        """What comes back has to be in a block before it is spent again."""
        return all(is_in_chain(self, flow) for flow in batches.of(self.chain))

    def takes(self, intent: Intent) -> bool:
        """Return whether a withdrawal is small enough to go from here, and can."""
        return intent.amount <= self.annex.native.policy.cap and self.affords(intent)

    def affords(self, intent: Intent) -> bool:
        return sum(coin.amount_sats for coin in self._coins()) > intent.amount + intent.fee_max

    def sweeps(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Intent]:
        return []

    def _coins(self) -> list[Coin]:
        return self._cold.hot_coins()

    def build(self, flow: Flow, batches: Batches) -> Built:
        rate = max(self._cold.rate(TARGET_BLOCKS), FEE_RATE_SATS_PER_KVB_FLOOR)
        return self._build(flow, rate)

    def _build(self, flow: Flow, rate_sats_per_kvb: int) -> Built:
        payments = []
        for intent in flow.batch.intents:
            script = self._cold.script_of(intent.destination)
            if script is None:
                raise Hopeless(f"{intent.destination} is no address of this network")
            payments.append(Payment(script, intent.amount))
        # What may be signed is replaced by one of the same coins, so that one of them alone can come.
        coins = [
            coin for coin in self._coins() if not flow.may_be_signed or str(coin.outpoint) in flow.spends
        ]
        try:
            unsigned = build(
                coins, payments, rate_sats_per_kvb=rate_sats_per_kvb, back_to=self._script, is_all=flow.may_be_signed
            )  # fmt: skip
        except BuildError as error:
            raise Waits(str(error)) from error
        if unsigned.fee_sats > fee_cap(flow.batch):
            raise Waits(f"a fee of {unsigned.fee_sats} sats, {fee_cap(flow.batch)} are allowed")
        spends = tuple(str(coin.outpoint) for coin in unsigned.spends)
        return Built(unsigned.raw.hex(), unsigned.fee_sats, spends)

    def subject(self, unsigned: str) -> str:
        return subject_of(bytes.fromhex(unsigned))

    def put_together(self, flow: Flow, parts: Sequence[Part], joint: JointSignature | None) -> Signed:
        assert joint is not None
        by_outpoint = {str(coin.outpoint): coin for coin in self._coins()}
        try:
            raw, unsigned = read_unsigned(flow.unsigned)
            coins = [by_outpoint[str(item.outpoint)] for item in unsigned.inputs]
            transaction = put_together(raw, self._key, [bytes.fromhex(one) for one, _ in joint.signatures])
        except (MultisigError, ValueError, KeyError) as error:
            raise Waits(f"what the nominees have signed makes no transaction: {error}") from error
        if not network_accepts(transaction, coins):
            raise Waits("the network would refuse what the nominees have signed; nothing is sent")
        return Signed(transaction.txid, transaction.raw)

    def send(self, flow: Flow, batches: Batches) -> Built | None:
        rate = self._cold.push(flow)
        return self._build(flow, rate) if rate else None

    def confirmations(self, attempt: Attempt) -> int:
        return self._cold.confirmations(attempt)

    def settled(self, flow: Flow, intent: Intent) -> Settled | None:
        return self._cold.settled(flow, intent)

    def shown(self, flow: Flow) -> dict[str, Any] | None:
        if not flow.unsigned:
            return None
        raw = flow.newest.raw if flow.newest else bytes.fromhex(flow.unsigned)
        return self._cold.shown_of(flow, parse_transaction(raw))

    # ---- whether it adds up

    def position(self) -> str:
        return self._cold.position()

    def reconcile(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Report]:
        return []  # its coins are in the cold wallet's report

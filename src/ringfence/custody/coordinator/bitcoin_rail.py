"""Bitcoin as the coordinator uses it: coins of the vaults, many payments in one transaction, parts of each signer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from embit.script import address_to_scriptpubkey

from ringfence.custody.chains.bitcoin.follow import ChainEvent, Follower
from ringfence.custody.chains.bitcoin.rpc import AlreadyConfirmedError, RejectedError
from ringfence.custody.chains.bitcoin.transactions import (
    EMBIT_NETWORKS,
    Transaction,
    address_of,
    parse_transaction,
)
from ringfence.custody.coordinator.batches import INTENTS_MAX, Attempt, Batches, Flow, fee_cap
from ringfence.custody.coordinator.deposits import Deposit, Deposits
from ringfence.custody.coordinator.instructions import Settled
from ringfence.custody.coordinator.rail import Built, Hopeless, Signed, Waits
from ringfence.custody.coordinator.reconcile import Report, reconcile
from ringfence.custody.coordinator.shown import newest_of, outputs_of
from ringfence.custody.intents import Intent
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import NOMINATED
from ringfence.custody.quorum.messages import JointSignature, Part, subject_of
from ringfence.custody.quorum.multisig import MultisigError, network_accepts, put_together, read_unsigned
from ringfence.custody.wallets.addresses import AddressBook
from ringfence.custody.wallets.building import BuildError, Funds, Payment, Unsigned, build
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.owners import Wallets, owner_of
from ringfence.units.assets import XBT
from ringfence.units.rounding import ceil_div

CONSOLIDATED_MAX = 90
"""Coins that become one at once; a few more may be needed to pay."""
BUMP_AFTER_BLOCKS = 6
PAYMENT_CONFIRMATIONS = 1
_TARGET_BLOCKS, _URGENT_BLOCKS = 6, 2
_RATE_SATS_PER_KVB_FLOOR = 2_000


class Node(Protocol):
    def block_count(self) -> int: ...

    def fee_rate_sats_per_kvb(self, target_blocks: int) -> int | None: ...

    def send(self, raw: bytes) -> str: ...

    def mempool(self) -> set[str]: ...


class BitcoinRail:
    assets: tuple[str, ...] = (XBT.currency,)
    seats = sum(NOMINATED.values())
    is_joint = False
    intents_max = INTENTS_MAX

    def __init__(
        self, chain: str, *, wallets: Wallets, node: Node, follower: Follower, book: AddressBook,
        events: Callable[[], list[ChainEvent]],
    ) -> None:  # fmt: skip
        """`events`: what has happened on the chain since it was asked last."""
        self.chain, self._wallets, self._node, self._follower = chain, wallets, node, follower
        self.book, self._events = book, events
        self._deposits = Deposits(wallets, book)
        self._network = EMBIT_NETWORKS[wallets.network_name]
        self._sent_at: dict[str, int] = {}
        """By txid: the height at which it was first sent by this process."""

    # ---- what comes in

    def poll(self, ledger: Ledger) -> list[str]:
        gone = self._deposits.chain(self._events(), ledger)
        return [f"deposit {outpoint} was credited and has left the chain" for outpoint in gone]

    def deposits(self, ledger: Ledger) -> list[Deposit]:
        return self._deposits.all(self._follower, ledger)

    # ---- what goes out

    def script_of(self, address: str) -> bytes | None:
        """Return the script of an address of this network, None if it is none."""
        try:
            script = bytes(address_to_scriptpubkey(address).data)
        except Exception:  # embit's errors are bare ones: whatever it is, it is no address
            return None
        return script if address_of(script, self._network) == address else None

    def is_address(self, text: str) -> bool:
        return self.script_of(text) is not None

    def is_ours(self, address: str) -> bool:
        script = self.script_of(address)
        return script is not None and self._wallets.classify(script) is not None

    def is_free(self, batches: Batches) -> bool:
        return all(flow.attempts for flow in batches.of(self.chain))

    def affords(self, intent: Intent) -> bool:
        """A batch waits for coins by itself."""
        return True

    def tries(self, intent: Intent, now_ns: int) -> None:
        """Nothing is moved by itself here."""

    def sweeps(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Intent]:
        """None by itself: the housekeeper asks for few coins of many as for a withdrawal, and pays for it."""
        return []

    def build(self, flow: Flow, batches: Batches) -> Built:
        return self._build(flow, batches, max(self._rate(_TARGET_BLOCKS), _RATE_SATS_PER_KVB_FLOOR))

    def _rate(self, target_blocks: int) -> int:
        return self._node.fee_rate_sats_per_kvb(target_blocks) or 0

    def _build(self, flow: Flow, batches: Batches, rate_sats_per_kvb: int) -> Built:
        """One that was built before is replaced by one of the same coins."""
        payments = []
        for intent in flow.batch.intents:
            script = self.script_of(intent.destination)
            if script is None:
                raise Hopeless(f"{intent.destination} is no address of this network")
            payments.append(Payment(script, intent.amount))
        is_replacement = bool(flow.unsigned)
        change = flow.change_index if is_replacement else batches.change_next
        coins = self._coins(flow, batches)
        if is_replacement:
            all_of = [_outpoint(text) for text in flow.spends]
            coins = [coin for coin in coins if coin.outpoint in all_of]
        else:
            all_of = self._to_consolidate(coins, payments)
        owner, cap_sats = owner_of(flow.batch.owner), fee_cap(flow.batch)

        def built(of: list[Outpoint]) -> Unsigned:
            return build(
                self._wallets, owner, [Funds(coin) for coin in coins], payments,
                fee_rate_sats_per_kvb=rate_sats_per_kvb, change_index=change, all_of=of,
            )  # fmt: skip

        try:
            unsigned = built(all_of)
            while all_of and not is_replacement and unsigned.fee_sats > cap_sats:
                all_of = all_of[: len(all_of) * 3 // 4]
                unsigned = built(all_of)
        except (BuildError, LookupError) as error:
            raise Waits(str(error)) from error
        if unsigned.fee_sats > cap_sats:
            raise Waits(f"a fee of {unsigned.fee_sats} sats, {cap_sats} are allowed")
        spends = tuple(str(one) for one in unsigned.spends)
        return Built(unsigned.psbt, unsigned.fee_sats, spends, change)

    def _coins(self, flow: Flow, batches: Batches) -> list[Coin]:
        """Return the coins that a batch may spend: confirmed, of its owner, and not spent by another batch."""
        owner, held = owner_of(flow.batch.owner), batches.held() - set(flow.spends)
        found = []
        for coin in self._follower.confirmed_coins():
            mine = self._wallets.classify(coin.script)
            if mine is not None and mine.owner == owner and str(coin.outpoint) not in held:
                found.append(coin)
        return found

    def _to_consolidate(self, coins: list[Coin], payments: list[Payment]) -> list[Outpoint]:
        """Return the coins that a payment to an address of our own makes one of: the smallest, as many as may be."""
        if any(self._wallets.classify(payment.script) is None for payment in payments):
            return []
        smallest = sorted(coins, key=lambda coin: (coin.amount_sats, coin.outpoint))
        return [coin.outpoint for coin in smallest[:CONSOLIDATED_MAX]]

    def subject(self, unsigned: str) -> str:
        return subject_of(read_unsigned(unsigned).unsigned)

    def put_together(self, flow: Flow, parts: Sequence[Part], joint: JointSignature | None) -> Signed:
        unsigned = read_unsigned(flow.unsigned)
        by_outpoint = {coin.outpoint: coin for coin in self._follower.confirmed_coins()}
        try:
            coins = [by_outpoint[item.outpoint] for item in unsigned.transaction.inputs]
        except KeyError as error:
            raise Waits(f"coin {error} is not in the chain any more") from error
        signatures: list[dict[bytes, bytes]] = [{} for _ in coins]
        for part in parts:
            for place, (public, signature) in enumerate(part.signatures):
                signatures[place][bytes.fromhex(public)] = bytes.fromhex(signature)
        try:
            transaction = put_together(unsigned, self._wallets, coins, signatures)
        except MultisigError as error:
            raise Waits(str(error)) from error
        if not network_accepts(transaction, coins):
            raise Waits("the network would refuse what these parts make; nothing is sent")
        return Signed(transaction.txid, transaction.raw)

    def send(self, flow: Flow, batches: Batches) -> Built | None:
        newest = flow.attempts[-1]
        if any(self.confirmations(one) for one in flow.attempts):
            return None
        if newest.txid not in self._node.mempool():
            try:
                self._node.send(newest.raw)
            except AlreadyConfirmedError:
                return None
            except RejectedError as error:
                raise Waits(f"the node does not take it: {error}") from error
        height = self._node.block_count()
        since = self._sent_at.setdefault(newest.txid, height)
        if height - since < BUMP_AFTER_BLOCKS or not flow.is_collected:
            return None
        vsize = parse_transaction(newest.raw).vsize
        return self._build(flow, batches, bumped_rate(flow.fee, vsize, self._rate(_URGENT_BLOCKS)))

    def confirmations(self, attempt: Attempt) -> int:
        return self._follower.confirmations_of(attempt.txid)

    def settled(self, flow: Flow, intent: Intent) -> Settled | None:
        """Of several transactions of one batch one alone can be in the chain: they share a coin."""
        deep = [one for one in flow.attempts if self.confirmations(one) >= PAYMENT_CONFIRMATIONS]
        assert len(deep) <= 1, "two payments of one batch are in the chain"
        return Settled(deep[0].txid, intent.amount + flow.share(deep[0], intent)) if deep else None

    def shown(self, flow: Flow) -> dict[str, Any] | None:
        if not flow.unsigned:
            return None
        newest = newest_of(flow)
        transaction = parse_transaction(newest.raw) if newest else read_unsigned(flow.unsigned).transaction
        return {
            "txid": transaction.txid, "size": f"{transaction.vsize} vB", "fee": flow.fee,
            "inputs": [str(item.outpoint) for item in transaction.inputs],
            "outputs": outputs_of(flow, self._outputs(transaction)),
        }  # fmt: skip

    def _outputs(self, transaction: Transaction) -> Iterator[tuple[str, int, str]]:
        for output in transaction.outputs:
            address, mine = address_of(output.script, self._network), self._wallets.classify(output.script)
            own = (
                f"comes back: {mine.keychain.name.lower()} {mine.number} of {mine.owner.text}" if mine else ""
            )
            yield address or output.script.hex(), output.amount_sats, own

    # ---- whether it adds up

    def position(self) -> str:
        return self._follower.tip

    def reconcile(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Report]:
        return [
            reconcile(
                self._follower, self._wallets, ledger, self._deposits, batches.of(self.chain), now_ns=now_ns
            )
        ]


def bumped_rate(fee_sats: int, vsize: int, rate_sats_per_kvb: int) -> int:
    """Return the rate of a replacement: at least the node's, and a quarter above what was paid, rounded up."""
    return max(rate_sats_per_kvb, ceil_div(fee_sats * 1_000 * 5, vsize * 4))


def _outpoint(text: str) -> Outpoint:
    txid, _, vout = text.partition(":")
    return Outpoint(txid, int(vout))

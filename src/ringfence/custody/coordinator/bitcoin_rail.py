"""Bitcoin as the coordinator uses it: coins of the vaults, many payments in one transaction, parts of each signer."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

from embit.script import address_to_scriptpubkey

from ringfence.custody.chains.bitcoin.company import company_money
from ringfence.custody.chains.bitcoin.follow import BlockCame, BlockLeft, ChainEvent, Follower
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
from ringfence.custody.coordinator.rail import Built, Hopeless, Signed, Waits, is_in_chain
from ringfence.custody.coordinator.reconcile import Report, reconcile
from ringfence.custody.coordinator.shown import outputs_of
from ringfence.custody.intents import Intent, Kind
from ringfence.custody.ledger import Ledger
from ringfence.custody.nomination import HEIGHTS_AHEAD, NOMINATED
from ringfence.custody.policy import Policy
from ringfence.custody.quorum.messages import JointSignature, Part, subject_of
from ringfence.custody.quorum.multisig import MultisigError, network_accepts, put_together, read_unsigned
from ringfence.custody.wallets.addresses import AddressBook
from ringfence.custody.wallets.building import BuildError, Funds, Payment, Unsigned, build
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.owners import Mine, Owner, Wallets, owner_of
from ringfence.units.assets import XBT
from ringfence.units.rounding import ceil_div
from ringfence.units.time import NS_PER_HOUR, NS_PER_SECOND

CONSOLIDATED_MAX = 90
"""Coins that become one at once; a few more may be needed to pay."""
BUMP_AFTER_BLOCKS = 6
PAYMENT_CONFIRMATIONS = 1
_REST_NS = 60 * NS_PER_SECOND
"""So long the hot wallet is not filled again after it was tried."""
TARGET_BLOCKS, _URGENT_BLOCKS = 6, 2
FEE_RATE_SATS_PER_KVB_FLOOR = 2_000
_REFILL_VSIZE = 2_000
"""More than what fills the hot wallet has: so much has the company to have paid in for its fee."""
_REFILL_SATS_MIN = 100_000
_REFILL_VALID_NS = 24 * NS_PER_HOUR


class Node(Protocol):
    def block_count(self) -> int: ...

    def fee_rate_sats_per_kvb(self, target_blocks: int) -> int | None: ...

    def send(self, raw: bytes) -> str: ...

    def mempool(self) -> set[str]: ...


class BitcoinRail:
    assets: tuple[str, ...] = (XBT.currency,)
    seats = sum(NOMINATED.values())
    is_joint = False
    heights_ahead = HEIGHTS_AHEAD
    intents_max = INTENTS_MAX

    def __init__(
        self, chain: str, *, wallets: Wallets, node: Node, follower: Follower, book: AddressBook,
        events: Callable[[], list[ChainEvent]], policy: Callable[[], Policy],
    ) -> None:  # fmt: skip
        """`events`: what has happened on the chain since it was asked last; `policy`: the one in force."""
        self.chain, self._wallets, self._node, self._follower = chain, wallets, node, follower
        self.book, self._events, self._policy = book, events, policy
        self._company = company_money(wallets)
        self._hot_chain = ""
        """The hot wallet's, if there is one."""
        self._deposits = Deposits(wallets, book)
        self.deepest_reorg = 0
        self.fee_rate_sats_per_kvb = 0
        """What the node says that the next blocks cost, as of the newest one; 0 = it does not say."""
        self._network = EMBIT_NETWORKS[wallets.network_name]
        self._sent_at: dict[str, int] = {}
        """By txid: the height at which it was first sent by this process."""

    # ---- what comes in

    def poll(self, ledger: Ledger) -> list[str]:
        events = self._events()
        self.deepest_reorg = max(self.deepest_reorg, sum(isinstance(event, BlockLeft) for event in events))
        if any(isinstance(event, BlockCame) for event in events):
            self.fee_rate_sats_per_kvb = self.rate(TARGET_BLOCKS)
        self._company.take(events)
        gone = self._deposits.chain(events, ledger)
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

    def sweeps(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Intent]:
        """Return what fills the hot wallet once it is half empty, as long as the company has paid in for the fee.

        Few coins are made of many by the housekeeper, who asks for it as for a withdrawal.
        """
        hot, policy = self._wallets.hot, self._policy()
        if hot is None or self._is_filling(batches, now_ns):
            return []
        hot_sats = sum(coin.amount_sats for coin in self.hot_coins())
        cold_sats = sum(coin.amount_sats for coin in self._cold_coins(Owner.CLIENTS))
        amount = min(policy.hot_max - hot_sats, cold_sats // 2, policy.cap)
        rate = max(self.rate(TARGET_BLOCKS), FEE_RATE_SATS_PER_KVB_FLOOR)
        fee_max = ceil_div(_REFILL_VSIZE * rate, 1_000)
        if hot_sats >= policy.hot_max // 2 or amount < _REFILL_SATS_MIN or self._company.sats < fee_max:
            return []
        name = next(
            name for turn in count(1) if (name := f"refill-{self.chain}-{turn}") not in batches.batch_of
        )
        intent = Intent(
            id=name, kind=Kind.REFILL, chain=self.chain, asset=XBT.currency, owner=Owner.CLIENTS.text, account=0,
            destination=address_of(hot, self._network) or "", amount=amount, fee_max=fee_max, requested_ns=now_ns,
            expires_ns=now_ns + _REFILL_VALID_NS, requested_by="coordinator",
        )  # fmt: skip
        return [intent]

    def _is_filling(self, batches: Batches, now_ns: int) -> bool:
        """Return whether the hot wallet is being filled, or whether that was given up a moment ago."""
        for flow in batches.flows.values():
            intent = flow.batch.intents[0]
            if intent.kind == Kind.REFILL and flow.chain == self.chain:
                rests = now_ns - intent.requested_ns < _REST_NS
                if rests if flow.given_up else not is_in_chain(self, flow):
                    return True
        return False

    def add_hot(self, script: bytes, chain: str) -> None:
        """Know the hot wallet's address, and under which chain's name its payments are."""
        self._wallets.add_hot(script)
        self._company.hot, self._hot_chain = script, chain

    def hot_coins(self) -> list[Coin]:
        """Return what lies in the hot wallet, as far as blocks hold it."""
        return [coin for coin in self._follower.confirmed_coins() if coin.script == self._wallets.hot]

    def _cold_coins(self, owner: Owner) -> list[Coin]:
        found = []
        for coin in self._follower.confirmed_coins():
            mine = self._wallets.classify(coin.script)
            if mine is not None and mine.owner == owner and not mine.is_hot:
                found.append(coin)
        return found

    def build(self, flow: Flow, batches: Batches) -> Built:
        return self._build(flow, batches, max(self.rate(TARGET_BLOCKS), FEE_RATE_SATS_PER_KVB_FLOOR))

    def rate(self, target_blocks: int) -> int:
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
        return [coin for coin in self._cold_coins(owner) if str(coin.outpoint) not in held]

    def _to_consolidate(self, coins: list[Coin], payments: list[Payment]) -> list[Outpoint]:
        """Return the coins that a payment to an address of our own makes one of: the smallest, as many as may be."""
        own = [self._wallets.classify(payment.script) for payment in payments]
        if any(mine is None or mine.is_hot for mine in own):
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
        rate = self.push(flow)
        return self._build(flow, batches, rate) if rate else None

    def push(self, flow: Flow) -> int:
        """Send the newest transaction unless the chain has one; return the rate of what is to take its place, or 0.

        Raises Waits.
        """
        newest = flow.attempts[-1]
        if is_in_chain(self, flow):
            return 0
        if newest.txid not in self._node.mempool():
            try:
                self._node.send(newest.raw)
            except AlreadyConfirmedError:
                return 0
            except RejectedError as error:
                raise Waits(f"the node does not take it: {error}") from error
        height = self._node.block_count()
        since = self._sent_at.setdefault(newest.txid, height)
        if height - since < BUMP_AFTER_BLOCKS or not flow.is_collected:
            return 0
        vsize = parse_transaction(newest.raw).vsize
        return bumped_rate(flow.fee, vsize, self.rate(_URGENT_BLOCKS))

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
        newest = flow.newest
        transaction = parse_transaction(newest.raw) if newest else read_unsigned(flow.unsigned).transaction
        return self.shown_of(flow, transaction)

    def shown_of(self, flow: Flow, transaction: Transaction) -> dict[str, Any]:
        """Return a transaction taken apart, for people."""
        return {
            "txid": transaction.txid, "size": f"{transaction.vsize} vB", "fee": flow.fee,
            "inputs": [str(item.outpoint) for item in transaction.inputs],
            "outputs": outputs_of(flow, self._outputs(transaction)),
        }  # fmt: skip

    def _outputs(self, transaction: Transaction) -> Iterator[tuple[str, int, str]]:
        for output in transaction.outputs:
            address, mine = address_of(output.script, self._network), self._wallets.classify(output.script)
            yield address or output.script.hex(), output.amount_sats, _what(mine)

    # ---- whether it adds up

    def position(self) -> str:
        return self._follower.tip

    def reconcile(self, ledger: Ledger, batches: Batches, now_ns: int) -> list[Report]:
        return [
            reconcile(
                self._follower,
                self._wallets,
                ledger,
                self._deposits,
                [*batches.of(self.chain), *(batches.of(self._hot_chain) if self._hot_chain else ())],
                company_sats=self._company.sats,
                now_ns=now_ns,
            )
        ]


def _what(mine: Mine | None) -> str:
    """Return what an output of ours is, for people; empty for a stranger's."""
    if mine is None:
        return ""
    where = "hot wallet" if mine.is_hot else f"{mine.keychain.name.lower()} {mine.number}"
    return f"comes back: {where} of {mine.owner.text}"


def bumped_rate(fee_sats: int, vsize: int, rate_sats_per_kvb: int) -> int:
    """Return the rate of a replacement: at least the node's, and a quarter above what was paid, rounded up."""
    return max(rate_sats_per_kvb, ceil_div(fee_sats * 1_000 * 5, vsize * 4))


def _outpoint(text: str) -> Outpoint:
    txid, _, vout = text.partition(":")
    return Outpoint(txid, int(vout))

"""What the auditor sees of Bitcoin: its own node, its own replica of the ledger, public keys, and no right to sign.

It asks nobody of custody's. A transaction that spends our coins is explained if each of its outputs is our change or
pays a withdrawal that the ledger has, exactly and once, and if its fee is within what those withdrawals allow; any
other is coins that are gone.
"""

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from ringfence.assurance.audit.chains import ChainError, Tip
from ringfence.custody.chains.bitcoin.company import company_money
from ringfence.custody.chains.bitcoin.follow import BlockCame, BlockLeft, Follower, TooDeepError
from ringfence.custody.chains.bitcoin.rpc import BitcoinError, BitcoinRpc, Endpoint
from ringfence.custody.chains.bitcoin.transactions import EMBIT_NETWORKS, address_of
from ringfence.custody.chains.bitcoin.watch import NodeBehindError, Watch, WrongChainError
from ringfence.custody.cosigner.config import Charter
from ringfence.custody.ledger import Ledger, LedgerGapError
from ringfence.custody.quorum.hot import hot_key, hot_script
from ringfence.custody.wallets.coins import Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner
from ringfence.daemons.account_chains import read_annexes
from ringfence.daemons.custody_founding import read_charter
from ringfence.daemons.custody_ports import read_ports
from ringfence.daemons.funds_feed import FundsFeed
from ringfence.ports import HOST
from ringfence.units.assets import XBT

_ANSWERS_KEPT = 16


class Feed(Protocol):
    """The exchange's word, folded into a ledger up to a sequence."""

    @property
    def ledger(self) -> Ledger: ...

    def catch_up(self, *, below: int | None = None) -> bool: ...


class Answer(NamedTuple):
    """What was found at a block, in satoshis."""

    tip: Tip
    confirmed: int
    uncredited: int
    paid_ahead: int
    company: int
    """The company's money for fees, which lies among the clients' coins."""


class Spend(NamedTuple):
    """What a transaction of the chain takes from clients' coins."""

    paid: tuple[tuple[str, int], ...]
    """Address and amount of each output that is not clients' change; the address is empty if a script has none."""
    fee_sats: int

    @property
    def left_sats(self) -> int:
        return sum(amount for _, amount in self.paid) + self.fee_sats


class BitcoinReader:
    """A `ChainReader` over the clients' wallet of one venue."""

    @classmethod
    def of(cls, directory: Path) -> "BitcoinReader":
        """Raises FoundingError, OSError, ValueError."""
        node = Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie")
        charter = read_charter(directory)
        reader = cls(charter, BitcoinRpc(node), FundsFeed(directory))
        for annex in read_annexes(directory, charter):
            if annex.is_hot:
                reader.add_hot(hot_script(hot_key(annex.public_key, annex.chain_code)))
        return reader

    def __init__(self, charter: Charter, rpc: BitcoinRpc, feed: Feed) -> None:
        self._rpc, self._feed = rpc, feed
        self._wallets = charter.wallets()
        self._network = EMBIT_NETWORKS[self._wallets.network_name]
        self._follower = Follower(
            self._is_clients, height=charter.follow_from_height, digest=charter.follow_from_block
        )
        self._watch = Watch(self._rpc, self._follower, chain=charter.chain)
        self._coins: dict[Outpoint, int] = {}
        """Every coin of clients that a block ever held, with its amount."""
        self._spends: dict[str, list[Spend]] = {}
        """By block."""
        self._answers: dict[str, Answer] = {}
        self._company = company_money(self._wallets)

    def add_hot(self, script: bytes) -> None:
        """Know the hot wallet, before anything was looked at."""
        self._wallets.add_hot(script)
        self._company.hot = script

    @property
    def has_hot(self) -> bool:
        return self._wallets.hot is not None

    @property
    def ledger(self) -> Ledger:
        """As far as it was followed."""
        return self._feed.ledger

    def _is_clients(self, script: bytes) -> bool:
        mine = self._wallets.classify(script)
        return mine is not None and mine.owner == Owner.CLIENTS

    def _is_change(self, script: bytes) -> bool:
        """A deposit address is no change: what our own transaction pays there has been asked for, or is unexplained."""
        mine = self._wallets.classify(script)
        return mine is not None and mine.owner == Owner.CLIENTS and mine.keychain == Keychain.CHANGE

    def follow(self, sequence: int) -> None:
        try:
            self._feed.catch_up(below=sequence)
        except (LedgerGapError, OSError) as error:
            raise ChainError(f"the ledger cannot be followed: {error}") from error

    def tip(self) -> Tip:
        try:
            events = self._watch.poll()
            self._company.take(events)
            for event in events:
                if isinstance(event, BlockCame):
                    self._take(event)
                elif isinstance(event, BlockLeft):
                    self._spends.pop(event.digest, None)
        except (BitcoinError, NodeBehindError, WrongChainError, TooDeepError) as error:
            raise ChainError(str(error)) from error
        tip = Tip(self._follower.height, self._follower.tip)
        held = sum(coin.amount_sats for coin in self._follower.confirmed_coins())
        company = max(self._company.sats, 0)
        self._answers[tip.digest] = Answer(
            tip, held, self._uncredited() + company, self._paid_ahead(), company
        )
        for old in list(self._answers)[:-_ANSWERS_KEPT]:
            del self._answers[old]
        return tip

    def _take(self, block: BlockCame) -> None:
        """Note the coins that a block makes for clients, and who spends any."""
        spends = []
        for transaction in block.transactions:
            spent = sum(self._coins.get(item.outpoint, 0) for item in transaction.inputs)
            paid = []
            for number, output in enumerate(transaction.outputs):
                if self._is_clients(output.script):
                    self._coins[Outpoint(transaction.txid, number)] = output.amount_sats
                if not self._is_change(output.script):
                    paid.append((address_of(output.script, self._network) or "", output.amount_sats))
            if spent:
                made = sum(output.amount_sats for output in transaction.outputs)
                spends.append(Spend(tuple(paid), spent - made))
        if spends:
            self._spends[block.digest] = spends

    def _uncredited(self) -> int:
        credited = self._feed.ledger.credited
        total = 0
        for coin in self._follower.confirmed_coins():
            mine = self._wallets.classify(coin.script)
            is_deposit = mine is not None and mine.keychain == Keychain.RECEIVE
            if is_deposit and str(coin.outpoint) not in credited:
                total += coin.amount_sats
        return total

    def _paid_ahead(self) -> int:
        """Return what explained payments have taken out of the chain, less what the ledger has closed for them."""
        withdrawals = [one for one in self._feed.ledger.withdrawals.values() if one.asset == XBT.number]
        wishes = [one.wish for one in withdrawals if one.wish is not None]
        unpaid = Counter((wish.address, wish.amount) for wish in wishes)
        fees_max: dict[tuple[str, int], int] = {}
        for wish in wishes:
            what = (wish.address, wish.amount)
            fees_max[what] = min(fees_max.get(what, wish.fee_max), wish.fee_max)
        left = 0
        for spend in chain.from_iterable(self._spends.values()):
            # Each withdrawal explains one payment.
            is_explained = spend.paid and not Counter(spend.paid) - unpaid
            if is_explained and 0 <= spend.fee_sats <= min(fees_max[what] for what in spend.paid):
                unpaid.subtract(spend.paid)
                left += spend.left_sats
        return left - sum(one.left for one in withdrawals)

    def held(self, at: Tip) -> int:
        """Return what lies at the clients' addresses, without the company's money for fees and with what payments have
        taken that the ledger has not debited yet. Raises ChainError."""
        answer = self._answer(at)
        return answer.confirmed - answer.company + answer.paid_ahead

    # ---- what the law asks

    def confirmed(self, asset: int, at: Tip) -> int:
        return self._answer(at).confirmed if asset == XBT.number else 0

    def change_in_flight(self, asset: int, at: Tip) -> int:
        """Coins count as held until a block has spent them, so no change is missing meanwhile."""
        self._answer(at)
        return 0

    def uncredited(self, asset: int, at: Tip) -> int:
        return self._answer(at).uncredited if asset == XBT.number else 0

    def paid_ahead(self, asset: int, at: Tip) -> int:
        return self._answer(at).paid_ahead if asset == XBT.number else 0

    def _answer(self, at: Tip) -> Answer:
        found = self._answers.get(at.digest)
        if found is None or found.tip != at:
            raise ChainError(f"nothing is known of block {at.height}, or it has left the chain")
        return found

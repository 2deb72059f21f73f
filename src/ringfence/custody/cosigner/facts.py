"""What a co-signer knows by itself: from its own node, its own replica of the ledger and its own memory."""

from typing import Protocol

from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.chains.bitcoin.rpc import TxOut
from ringfence.custody.ledger import Ledger, Withdrawal
from ringfence.custody.policy import LedgerEntry
from ringfence.custody.wallets.coins import Outpoint
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.units.assets import ASSETS


class Node(Protocol):
    """What a co-signer asks of its own node."""

    def block_count(self) -> int: ...

    def block_hash(self, height: int) -> str: ...

    def tx_out(self, outpoint: Outpoint, *, with_mempool: bool) -> TxOut | None: ...

    def fee_rate_sats_per_kvb(self, target_blocks: int) -> int | None: ...


FEE_TARGET_BLOCKS = 6
FEE_RATE_SATS_PER_KVB_FLOOR = 1_000
"""What a node relays at all: an estimate below, or none on a young chain, counts as this."""


def fee_rate(node: Node) -> int:
    return max(node.fee_rate_sats_per_kvb(FEE_TARGET_BLOCKS) or 0, FEE_RATE_SATS_PER_KVB_FLOOR)


def ledger_entries(ledger: Ledger) -> dict[str, LedgerEntry]:
    """Return the withdrawals that are asked for and confirmed, by number."""
    found = {}
    for number, one in ledger.open().items():
        if one.wish is not None and one.wish.is_confirmed:
            found[str(number)] = _entry(one)
    return found


def _entry(one: Withdrawal) -> LedgerEntry:
    assert one.wish is not None
    whole = one.locked == one.asked == one.wish.amount + one.wish.fee_max
    state = "locked" if whole else "closed in part"
    return LedgerEntry(one.account, ASSETS[one.asset].currency, one.wish.amount, one.wish.address, state)


def held_sats(follower: Follower, wallets: Wallets, owner: Owner) -> int:
    """Return what the chain holds at an owner's scripts."""
    total = 0
    for coin in follower.confirmed_coins():
        mine = wallets.classify(coin.script)
        if mine is not None and mine.owner == owner:
            total += coin.amount_sats
    return total

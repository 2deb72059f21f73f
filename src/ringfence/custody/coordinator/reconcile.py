"""Chain against ledger, to the satoshi: what the scripts hold, what is owed, and every item that explains the rest."""

from typing import NamedTuple

from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.coordinator.batches import Batches
from ringfence.custody.coordinator.deposits import Deposits
from ringfence.custody.ledger import Ledger
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.units.assets import XBT


class Item(NamedTuple):
    """Something in flight. Positive: the chain holds it and the ledger does not count it."""

    what: str
    name: str
    sats: int


class Report(NamedTuple):
    """One look at both. Amounts in satoshis."""

    height: int
    block: str
    ledger_sequence: int
    timestamp_ns: int
    chain: dict[str, int]
    """By owner: what the chain holds at its scripts."""
    backed: int
    """What the ledger says that the clients' chain wallet holds for everybody: credited less left."""
    demo: int
    """Coins in accounts that no chain backs, in the demonstration only."""
    items: tuple[Item, ...]
    difference: int
    """Chain less ledger less items: not zero means that something is missing, or was made."""

    @property
    def agrees(self) -> bool:
        return self.difference == 0


def reconcile(
    follower: Follower, wallets: Wallets, ledger: Ledger, deposits: Deposits, batches: Batches, *,
    confirmed: dict[str, int], now_ns: int,
) -> Report:  # fmt: skip
    """Compare everything at the follower's block with the ledger as far as it was followed."""
    chain = dict.fromkeys((owner.text for owner in Owner), 0)
    for coin in follower.confirmed_coins():
        mine = wallets.classify(coin.script)
        assert mine is not None
        chain[mine.owner.text] += coin.amount_sats
    items = []
    uncredited = deposits.uncredited_sats(follower, ledger)
    if uncredited:
        items.append(Item("deposits that are not credited yet", "", uncredited))
    for flow in batches.flows.values():
        for attempt in flow.attempts:
            is_in_chain = confirmed.get(attempt.transaction.txid, 0) > 0
            for intent in flow.batch.intents:
                entry = ledger.entry(int(intent.id))
                left = entry is not None and entry.left and entry.txid == attempt.transaction.txid
                sats = intent.amount_sats + flow.share_sats(attempt, intent)
                if is_in_chain and not left:
                    items.append(Item("paid on the chain, not closed in the ledger yet", intent.id, -sats))
                elif left and not is_in_chain:
                    items.append(Item("closed in the ledger, and out of the chain again", intent.id, sats))
    clients = chain[Owner.CLIENTS.text]
    backed = ledger.backed.get(XBT.number, 0)
    return Report(
        follower.height, follower.tip, ledger.next_sequence, now_ns, chain, backed, ledger.demo.get(XBT.number, 0),
        tuple(items), clients - backed - sum(item.sats for item in items),
    )  # fmt: skip

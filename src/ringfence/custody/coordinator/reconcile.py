"""Chain against ledger, to the smallest unit: what addresses hold, what is owed, every item that explains the rest."""

from collections.abc import Iterable
from typing import NamedTuple

from ringfence.custody.chains.bitcoin.follow import Follower
from ringfence.custody.coordinator.batches import Flow
from ringfence.custody.coordinator.deposits import Deposits
from ringfence.custody.intents import Kind
from ringfence.custody.ledger import Ledger
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.units.assets import XBT


class Item(NamedTuple):
    """Something in flight. Positive: the chain holds it and the ledger does not count it."""

    what: str
    name: str
    amount: int


class Report(NamedTuple):
    """One look at both. Amounts in the chain's smallest unit: satoshis, wei, a token's unit, lamports."""

    asset: str
    chain_name: str
    height: int
    block: str
    ledger_sequence: int
    timestamp_ns: int
    chain: dict[str, int]
    """By owner: what the chain holds at its addresses."""
    backed: int
    """What the ledger says that the clients' addresses hold for everybody: credited less left."""
    demo: int
    """Coins in accounts that no chain backs, in the demonstration only."""
    items: tuple[Item, ...]
    difference: int
    """Chain less ledger less items: not zero means that something is missing, or was made."""

    @property
    def agrees(self) -> bool:
        return self.difference == 0


def reconcile(
    follower: Follower, wallets: Wallets, ledger: Ledger, deposits: Deposits, flows: Iterable[Flow], *,
    company_sats: int, now_ns: int,
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
    if company_sats:
        items.append(Item("what the company has paid in for fees, and not used", "", company_sats))
    for flow in flows:
        if flow.batch.intents[0].kind == Kind.REFILL:
            continue
        for attempt in flow.attempts:
            is_in_chain = follower.confirmations_of(attempt.txid) > 0
            for intent in flow.batch.intents:
                entry = ledger.entry(int(intent.id))
                left = entry is not None and entry.left and entry.txid == attempt.txid
                sats = intent.amount + flow.share(attempt, intent)
                if is_in_chain and not left:
                    items.append(Item("paid on the chain, not closed in the ledger yet", intent.id, -sats))
                elif left and not is_in_chain:
                    items.append(Item("closed in the ledger, and out of the chain again", intent.id, sats))
    clients = chain[Owner.CLIENTS.text]
    backed = ledger.backed.get(XBT.number, 0)
    # What the company has not paid in, fees were taken from clients' coins for.
    difference = clients - backed - sum(item.amount for item in items) + min(company_sats, 0)
    return Report(
        XBT.currency, wallets.network_name, follower.height, follower.tip, ledger.next_sequence, now_ns, chain, backed,
        ledger.demo.get(XBT.number, 0), tuple(items), difference,
    )  # fmt: skip

"""Which outputs of the chain are whose, how deep they lie, and when they count.

Nothing is remembered here that chain and ledger do not say: after a crash it is worked out again.
"""

from typing import NamedTuple

from ringfence.custody.chains.bitcoin.follow import ChainEvent, Confirmed, Follower, Reorged, Replaced
from ringfence.custody.ledger import Ledger
from ringfence.custody.wallets.addresses import AddressBook
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets
from ringfence.units.assets import XBT

XBT_SATS = 10**8
TIERS = ((0, 1), (XBT_SATS, 2), (10 * XBT_SATS, 3), (100 * XBT_SATS, 6))
"""From so many satoshis on, so many confirmations."""
DEPOSIT_SATS_MIN = 10_000
"""Less costs more to spend than it is worth: it is shown and not credited."""


def confirmations_needed(amount_sats: int) -> int:
    return max(needed for from_sats, needed in TIERS if amount_sats >= from_sats)


class Deposit(NamedTuple):
    """Coins that have come to an address that was given out."""

    txid: str
    output: int
    account: int
    asset: int
    amount: int
    """In the asset's ledger units, rounded down."""
    confirmations: int
    needed: int
    state: str
    """`seen`, `confirmed`, `credited`, `dust`."""

    @property
    def outpoint(self) -> str:
        return f"{self.txid}:{self.output}"


class Deposits:
    """Deposits of clients; alarms for those that were credited and have left the chain."""

    def __init__(self, wallets: Wallets, book: AddressBook) -> None:
        self._wallets, self._book = wallets, book
        self.alarms: set[str] = set()
        """Outpoints that were credited, and that no block holds any more."""

    def chain(self, events: list[ChainEvent], ledger: Ledger) -> list[str]:
        """Note what has happened to coins; return the outpoints for which withdrawals have to be halted now."""
        new = []
        for event in events:
            if isinstance(event, Confirmed):
                self.alarms.discard(str(event.coin.outpoint))
                if self._book.account_of(event.coin.script) is not None:
                    self._book.note_used(event.coin.script)
            elif isinstance(event, (Reorged, Replaced)):
                name = str(event.coin.outpoint)
                if name in ledger.credited and name not in self.alarms:
                    self.alarms.add(name)
                    new.append(name)
        return new

    def all(self, follower: Follower, ledger: Ledger) -> list[Deposit]:
        """Return the deposits that the chain holds or that wait, by outpoint."""
        found = []
        for coin, confirmations in sorted(follower.found()):
            address = self._book.account_of(coin.script)
            if address is None:
                continue
            needed = confirmations_needed(coin.amount_sats)
            if str(coin.outpoint) in ledger.credited:
                state = "credited"
            elif coin.amount_sats < DEPOSIT_SATS_MIN:
                state = "dust"
            else:
                state = "confirmed" if confirmations >= needed else "seen"
            txid, vout = coin.outpoint
            amount, account = coin.amount_sats, address.account
            found.append(Deposit(txid, vout, account, XBT.number, amount, confirmations, needed, state))
        return found

    def uncredited_sats(self, follower: Follower, ledger: Ledger) -> int:
        """Return what the clients' wallet holds that nobody is credited for: deposits on their way, dust, gifts."""
        total = 0
        for coin in follower.confirmed_coins():
            mine = self._wallets.classify(coin.script)
            if mine is None or mine.owner != Owner.CLIENTS or mine.keychain == Keychain.CHANGE:
                continue
            if str(coin.outpoint) not in ledger.credited:
                total += coin.amount_sats
        return total

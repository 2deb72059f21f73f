"""Custody's own replica of the exchange's ledger: a pure fold over what the feed says of coins.

Coordinator and co-signers each keep one, from the feed that they follow themselves; nobody is told by another what
the ledger says.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ringfence.custody.clients import Clients, ClientStanding
from ringfence.messages.funds import AccountText, Wish
from ringfence.units.assets import ASSETS


class Moved(NamedTuple):
    """One movement of coins as the feed has it. Amounts in the asset's ledger units."""

    sequence: int
    timestamp_ns: int
    kind: str
    """`wish`, `credit`, `left`, `returned`, `demo`, `says`, `opened`."""
    account: int
    asset: int
    amount: int
    wish: Wish | None = None
    withdrawal: int = 0
    """Which withdrawal is closed."""
    outpoint: str = ""
    txid: str = ""
    text: str = ""
    """What was asked for in words that are no wish: it can only be given back."""
    says: AccountText | None = None
    """What the account says of its withdrawals."""


class Withdrawal(NamedTuple):
    """A withdrawal from when it was asked for until nothing of it is put aside any more."""

    number: int
    account: int
    asset: int
    locked: int
    """What is still put aside."""
    asked: int
    """What was put aside at first."""
    wish: Wish | None
    asked_ns: int
    left: int = 0
    returned: int = 0
    txid: str = ""
    left_ns: int = 0
    """When the ledger was told that it has left."""
    standing: ClientStanding | None = None
    """How its client stood to it; None without a wish."""

    @property
    def state(self) -> str:
        """`locked`, `paid` or `returned`."""
        if self.locked:
            return "locked"
        return "paid" if self.left else "returned"


class LedgerGapError(Exception):
    """What the feed says does not fit what was said before. Nothing is signed on such a ledger."""


class Ledger:
    """Everything about coins of chains, up to `next_sequence` of the feed."""

    def __init__(self) -> None:
        self.next_sequence = 0
        self.timestamp_ns = 0
        self.custody_account = 0
        self.instruction_next = 0
        self.withdrawals: dict[int, Withdrawal] = {}
        self.credited: dict[str, int] = {}
        """Outpoint: amount."""
        self.backed: dict[int, int] = {}
        """By asset: what chains have to hold: credited less what has left."""
        self.demo: dict[int, int] = {}
        self.halted_assets: frozenset[int] = frozenset()
        """Of which nothing may leave, because somebody has halted withdrawals."""
        self.signers_halted = False
        self.is_venue_halted = False
        self.clients = Clients()
        self.accounts_end = 0
        """Above the highest number of an account."""

    def fold(self, moved: Moved) -> None:
        """Raises LedgerGapError."""
        self.accounts_end = max(self.accounts_end, moved.account + 1)
        if moved.kind == "opened":
            return
        if moved.kind == "demo":
            self.demo[moved.asset] = self.demo.get(moved.asset, 0) + moved.amount
        elif moved.kind == "wish":
            self.withdrawals[moved.sequence] = Withdrawal(
                moved.sequence,
                moved.account,
                moved.asset,
                moved.amount,
                moved.amount,
                moved.wish,
                moved.timestamp_ns,
                standing=self._standing(moved),
            )
        elif moved.kind == "says":
            if moved.says is not None:
                self.clients.take(moved.account, moved.says, moved.timestamp_ns)
        elif moved.kind == "credit":
            self._count()
            if moved.outpoint in self.credited:
                raise LedgerGapError(f"{moved.outpoint} is credited twice")
            self.credited[moved.outpoint] = moved.amount
            self.backed[moved.asset] = self.backed.get(moved.asset, 0) + moved.amount
        else:
            self._count()
            self._close(moved)

    def _standing(self, moved: Moved) -> ClientStanding | None:
        if moved.wish is None:
            return None
        currency = ASSETS[moved.asset].currency
        return self.clients.wish(moved.account, moved.wish, moved.timestamp_ns, currency=currency)

    def entry(self, number: int) -> Withdrawal | None:
        return self.withdrawals.get(number)

    def open(self) -> Mapping[int, Withdrawal]:
        """Return the withdrawals of which something is still put aside."""
        return {number: one for number, one in self.withdrawals.items() if one.locked}

    def _count(self) -> None:
        if not self.custody_account:
            raise LedgerGapError("an instruction of custody before there was custody")
        self.instruction_next += 1

    def _close(self, moved: Moved) -> None:
        before = self.withdrawals.get(moved.withdrawal)
        if before is None or moved.amount > before.locked or moved.asset != before.asset:
            raise LedgerGapError(
                f"withdrawal {moved.withdrawal} is closed with {moved.amount}, and has not that much"
            )
        after = before._replace(locked=before.locked - moved.amount)
        if moved.kind == "left":
            after = after._replace(
                left=before.left + moved.amount, txid=moved.txid, left_ns=moved.timestamp_ns
            )
            self.backed[moved.asset] = self.backed.get(moved.asset, 0) - moved.amount
        else:
            if moved.account != before.account:
                raise LedgerGapError(f"withdrawal {moved.withdrawal} comes back to account {moved.account}")
            after = after._replace(returned=before.returned + moved.amount)
        self.withdrawals[moved.withdrawal] = after

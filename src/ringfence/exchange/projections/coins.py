"""Coins of chains on their way: withdrawals by number, with what has become of each."""

from dataclasses import dataclass

from ringfence.exchange.projections.orders import Row
from ringfence.messages.funds import Wish
from ringfence.units.assets import ASSETS
from ringfence.units.time import iso


@dataclass(slots=True)
class WithdrawalView:
    """One withdrawal. `number` is the sequence of the command that asked for it, for ever. Amounts in ledger units."""

    number: int
    account: int
    asset: int
    locked: int
    amount: int
    fee_max: int
    address: str
    text: str
    asked_ns: int
    changed_ns: int
    left: int = 0
    returned: int = 0
    tx: str = ""
    because: str = ""

    @property
    def status(self) -> str:
        """As the wire has it: Pending, Completed or Canceled."""
        if self.locked:
            return "Pending"
        return "Completed" if self.left else "Canceled"

    @property
    def fee(self) -> int:
        """What the network took, once it is known."""
        return self.left - self.amount if self.left else 0

    def row(self) -> Row:
        asset = ASSETS[self.asset]
        return {
            "transactID": wire_number(self.number), "account": self.account, "currency": asset.currency,
            "network": asset.network, "transactType": "Withdrawal", "amount": -self.amount,
            "fee": self.fee or self.fee_max, "transactStatus": self.status, "address": self.address,
            "tx": self.tx or None, "text": self.because or self.text or None, "transactTime": iso(self.asked_ns),
            "walletBalance": None, "memo": None, "timestamp": iso(self.changed_ns),
        }  # fmt: skip


def wire_number(number: int) -> str:
    """Return a withdrawal's id on the wire: its number, in the form of a GUID."""
    return f"00000000-0000-4000-8000-{number:012x}"


def number_of(wire: str) -> int | None:
    """Return the withdrawal that an id names, None if it is none."""
    head, _, tail = wire.rpartition("-")
    if head != "00000000-0000-4000-8000" or len(tail) != 12:
        return None
    try:
        return int(tail, 16)
    except ValueError:
        return None


class Coins:
    """The fold: what was asked for, what has left, what came back."""

    def __init__(self) -> None:
        self.custody_account = 0
        """0 = there is no custody: coins are for demonstration alone."""
        self.withdrawals: dict[int, WithdrawalView] = {}

    def asked(
        self, number: int, account: int, asset: int, locked: int, wish: Wish | None, now_ns: int
    ) -> WithdrawalView:
        amount, fee_max = (wish.amount, wish.fee_max) if wish else (locked, 0)
        view = WithdrawalView(
            number, account, asset, locked, amount, fee_max, wish.address if wish else "", wish.text if wish else "",
            now_ns, now_ns,
        )  # fmt: skip
        self.withdrawals[number] = view
        return view

    def closed(self, number: int, amount: int, now_ns: int, *, tx: str, because: str, has_left: bool) -> None:
        """Something has left, or has come back. One that nobody has asked for is the auditor's to find."""
        view = self.withdrawals.get(number)
        if view is None:
            return
        view.locked -= amount
        view.changed_ns = now_ns
        if has_left:
            view.left += amount
            view.tx = tx
        else:
            view.returned += amount
            view.because = because or view.because

    def of(self, account: int) -> list[WithdrawalView]:
        """Return an account's withdrawals, newest first."""
        return [view for _, view in sorted(self.withdrawals.items(), reverse=True) if view.account == account]

    def pending(self, account: int, asset: int) -> int:
        """Return what is put aside for an account's withdrawals."""
        return sum(
            view.locked
            for view in self.withdrawals.values()
            if (view.account, view.asset) == (account, asset)
        )

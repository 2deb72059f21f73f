"""The ledger: every event that moves coins, as lines that sum to zero per asset.

Three purses stand apart: the clients' (`client:NUMBER`), the venue's own (`fees`: what it earned) and the
insurance fund (`insurance`). Their counterparts: `clearing:SYMBOL` (profits, losses and funding between
holders: its balance is what open positions are still owed), `demo` (coins that no chain backs, marked as
such) and `outside` (coins that came or went).
"""

from typing import NamedTuple


class Line(NamedTuple):
    """One side of an entry. `number` is the event's; the lines of one number balance per asset."""

    number: int
    account: str
    asset: int
    amount: int
    kind: str


def entry(number: int, kind: str, asset: int, amount: int, *, to: str, source: str) -> list[Line]:
    """Return the two lines that move an amount (negative: the other way) between two accounts."""
    if not amount:
        return []
    return [Line(number, to, asset, amount, kind), Line(number, source, asset, -amount, kind)]


INSURANCE, FEES = "insurance", "fees"


def client(account: int) -> str:
    return f"client:{account}"


def clearing(symbol: str) -> str:
    return f"clearing:{symbol}"


RECEIVING_LINE = 1 << 40
"""`line` of the receiving side of a transfer, above any that the end of a session has."""


class Transaction(NamedTuple):
    """One line of an account's wallet history."""

    number: int
    account: int
    asset: int
    kind: str
    amount: int
    timestamp_ns: int
    wallet: int
    text: str
    address: str | None
    line: int = 0
    """Tells lines that have the same number apart: 0 for an event's own, 1.. at the end of a session."""
    status: str = "Completed"
    tx: str | None = None
    withdrawal: int = 0
    """Its number, if this line asks for one: what has become of it is known under that."""

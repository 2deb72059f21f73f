"""Outputs of transactions, by the only name that cannot change under us."""

from typing import NamedTuple


class Outpoint(NamedTuple):
    """An output: which transaction made it, and which of its outputs it is.

    Everything is keyed by this. The identity of a transaction that no block holds may still change, but then
    the outpoint is another one, and the old one never confirms.
    """

    txid: str
    """As it is shown: 64 hexadecimal digits, the bytes in reverse."""
    vout: int

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class Coin(NamedTuple):
    """An output that can be spent: what it holds and who may."""

    outpoint: Outpoint
    amount_sats: int
    script: bytes


COIN_SATS_MAX = 21_000_000 * 100_000_000
"""No amount of Bitcoin is larger."""

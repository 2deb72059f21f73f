"""What the auditor has to know of a chain, whoever reads it.

`daemons/bitcoin_reader.py` reads Bitcoin over the auditor's own node; `testing/chains.py` has a chain in memory, and
`testing/conformance.py` says what all of them must do.
"""

from typing import NamedTuple, Protocol


class Tip(NamedTuple):
    """A block: nothing is said of a chain but as of one."""

    height: int
    digest: str


class ChainReader(Protocol):
    """One chain, seen from the auditor's own node."""

    def follow(self, sequence: int) -> None:
        """Know the ledger as it is below a sequence: what is not credited or closed yet depends on it.

        Raises ChainError.
        """
        ...

    def tip(self) -> Tip:
        """Return the newest block that counts as confirmed. Raises ChainError."""
        ...

    def confirmed(self, asset: int, at: Tip) -> int:
        """Return what our descriptors hold of an asset in confirmed outputs, in its smallest unit.

        Raises ChainError, also if the block is not in the chain any more.
        """
        ...

    def change_in_flight(self, asset: int, at: Tip) -> int:
        """Return what comes back to us from our own payments that no block has confirmed yet."""
        ...

    def uncredited(self, asset: int, at: Tip) -> int:
        """Return what has come in at our addresses that no DEPOSIT has credited yet."""
        ...

    def paid_ahead(self, asset: int, at: Tip) -> int:
        """Return what has left for withdrawals, fees of the network included, that no WITHDRAW was debited for."""
        ...


class ChainError(Exception):
    """The node does not answer, or not about this block. Remedy: look at the node; nothing is known to be wrong."""

"""One chain as a co-signer sees it, from its own node: what bytes say, and the facts that only the chain has."""

from typing import NamedTuple, Protocol

from ringfence.custody.cosigner.checks import Decoded, Evident
from ringfence.custody.ledger import Ledger
from ringfence.custody.policy import Signed


class ChainFacts(NamedTuple):
    """Amounts in ledger units; the fees in those of what the chain takes fees in."""

    held: int
    """What the owner's addresses hold of the asset."""
    own_addresses: frozenset[str]
    fee_due: int
    company_fees: int
    dead: frozenset[str]
    hot: int = 0
    """What lies in the wallet that is filled from the cold one."""


class Rail(Protocol):
    """Raises RefusalError, of a step that has a name, for whatever is not as it has to be."""

    @property
    def seats(self) -> int:
        """Return how many co-signers it takes."""
        ...

    @property
    def heights_ahead(self) -> int:
        """Return how far ahead the block lies that decides a draw; 0 = none does, the contributions alone do."""
        ...

    def height(self) -> int:
        """Return up to where the chain is followed."""
        ...

    def subject(self, unsigned: str) -> str:
        """Return the name of a transaction."""
        ...

    def decode(self, before: Evident) -> Decoded:
        """Take the bytes apart; nothing is believed that the own node does not say."""
        ...

    def facts(self, decoded: Decoded, ledger: Ledger, before: list[Signed]) -> ChainFacts:
        """Return what the chain says about a transaction, before it; `before`: what was signed for its movements."""
        ...

    def held(self, asset: str) -> int:
        """Return what the clients' addresses hold."""
        ...

    def adds_up(self, asset: str, ledger: Ledger) -> bool:
        """Return whether everything that has left the chain is explained by the ledger, as far as it is followed."""
        ...

    def has_confirmed(self, txid: str) -> bool: ...

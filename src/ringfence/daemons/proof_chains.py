"""What the prover asks of chains, over the auditor's own readers: coins at each look, Bitcoin's newest block."""

from pathlib import Path
from typing import NamedTuple, Protocol

from ringfence.assurance.audit.chains import ChainError
from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, Endpoint
from ringfence.daemons.chains_reader import ChainsReader
from ringfence.daemons.custody_founding import FoundingError
from ringfence.daemons.custody_ports import read_ports
from ringfence.ports import HOST
from ringfence.units.assets import ASSETS


class Seen(NamedTuple):
    """The chains at one look. Amounts in ledger units, by currency."""

    height: int
    block_hash: str
    reserves: dict[str, int]


class Chains(Protocol):
    """Where coins lie."""

    def look(self, sequence: int) -> Seen:
        """Return what is there, with the ledger as it is below a sequence. Raises ChainError."""
        ...


class VenueChains:
    """The chains of a venue in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reader: ChainsReader | None = None

    def look(self, sequence: int) -> Seen:
        if self._reader is None:
            try:
                self._reader = ChainsReader.of(self._directory)
            except (FoundingError, OSError, ValueError) as error:
                raise ChainError(f"custody is not founded: {error}") from error
        self._reader.follow(sequence)
        tip = self._reader.tip()
        bitcoin = self._reader.bitcoin_tip(tip)
        held = {asset.currency: self._reader.held(asset.number, tip) for asset in ASSETS}
        return Seen(bitcoin.height, bitcoin.digest, {name: amount for name, amount in held.items() if amount})


def node_of(directory: Path) -> BitcoinRpc:
    """Return a line to the venue's Bitcoin node. Raises OSError, ValueError."""
    return BitcoinRpc(Endpoint(HOST, read_ports(directory).node, directory / "bitcoin" / ".cookie"))

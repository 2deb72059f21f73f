"""The development chain as a process: a Solana chain of one's own that answers a node's calls on the loopback."""

from pathlib import Path

from ringfence.custody.chains.journal import JournalDamagedError
from ringfence.custody.chains.solana.devnet import Devnet
from ringfence.custody.chains.solana.server import SolanaServer
from ringfence.daemons.development_node import EXIT_REFUSED, run

PORT = 8899
"""A real node's own."""


class SolanaNode:
    """See `DevelopmentNode`."""

    def __init__(self, directory: Path) -> None:
        """Raises JournalDamagedError."""
        self._devnet = Devnet(directory)

    def state(self) -> str:
        chain = self._devnet.chain
        return f"slot {chain.newest.slot}, {len(chain.waiting)} wait"

    def server(self, *, port: int) -> SolanaServer:
        return SolanaServer(self._devnet, port=port)

    def close(self) -> str:
        self._devnet.close()
        return f"stopped at slot {self._devnet.chain.newest.slot}"


def main() -> None:
    run(
        SolanaNode, name="solana", description="a Solana chain of one's own", port=PORT,
        exits={JournalDamagedError: EXIT_REFUSED},
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""The development Ethereum chain as a process: anvil behind a front that keeps what it has told."""

from pathlib import Path

from ringfence.custody.chains.ethereum.devnet import (
    CHAIN_ID,
    AnvilGoneError,
    AnvilMissingError,
    AnvilRefusedError,
    Devnet,
    DevnetServer,
    StateDamagedError,
)
from ringfence.daemons.development_node import EXIT_BUG, EXIT_MISSING, EXIT_REFUSED, run

PORT = 8545
"""The one that Ethereum's nodes have."""


class EthereumNode:
    """See `DevelopmentNode`."""

    def __init__(self, directory: Path) -> None:
        """Raises StateDamagedError, AnvilMissingError, AnvilGoneError, AnvilRefusedError."""
        self._devnet = Devnet(directory)

    def state(self) -> str:
        return f"chain {CHAIN_ID}, height {self._devnet.height()}"

    def server(self, *, port: int) -> DevnetServer:
        return DevnetServer(self._devnet, port=port)

    def close(self) -> str:
        self._devnet.close()
        return "stopped"


def main() -> None:
    run(
        EthereumNode, name="ethereum", description="an Ethereum chain of one's own", port=PORT,
        exits={
            StateDamagedError: EXIT_REFUSED, AnvilMissingError: EXIT_MISSING, AnvilGoneError: EXIT_BUG,
            AnvilRefusedError: EXIT_BUG,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""The embedded Bitcoin node as a process: a regtest chain that answers Bitcoin Core's calls on the loopback."""

from pathlib import Path

from ringfence.custody.chains.bitcoin.kernel import KernelError
from ringfence.custody.chains.bitcoin.regtest.node import Node
from ringfence.custody.chains.bitcoin.regtest.server import NodeServer
from ringfence.custody.chains.journal import JournalDamagedError
from ringfence.daemons.development_node import EXIT_REFUSED, run

PORT = 18443
"""Core's own for regtest."""


class BitcoinNode:
    """See `DevelopmentNode`."""

    def __init__(self, directory: Path) -> None:
        """Raises KernelError, JournalDamagedError."""
        self._directory, self._node = directory, Node(directory)

    def state(self) -> str:
        chain, waiting = self._node.chain, len(self._node.mempool.entries)
        return f"regtest, height {chain.height}, {waiting} wait, {chain.fed_again} blocks fed again"

    def server(self, *, port: int) -> NodeServer:
        return NodeServer(self._node, self._directory, port=port)

    def close(self) -> str:
        self._node.close()
        return f"stopped at height {self._node.chain.height}"


def main() -> None:
    run(
        BitcoinNode, name="bitcoin", description="a regtest chain of one's own", port=PORT,
        exits={KernelError: EXIT_REFUSED, JournalDamagedError: EXIT_REFUSED},
    )  # fmt: skip


if __name__ == "__main__":
    main()

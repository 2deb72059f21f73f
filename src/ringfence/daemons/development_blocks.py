"""Blocks on development chains, which nobody else mines: one after the other where something waits for one."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ringfence.custody.chains.accounts import NodeError
from ringfence.custody.chains.bitcoin.regtest.faucet import ADDRESS
from ringfence.custody.chains.bitcoin.rpc import BitcoinError
from ringfence.custody.chains.ethereum.rpc import EthereumRpc
from ringfence.custody.chains.solana.rpc import SolanaRpc
from ringfence.custody.coordinator.rail import Rail
from ringfence.daemons.account_chains import ETHEREUM

if TYPE_CHECKING:
    from ringfence.daemons.coordinator import Coordinator


class Miner:
    """Looks after every turn of the coordinator whether it is time."""

    def __init__(self, seconds: float, nodes: dict[str, str]) -> None:
        self._seconds, self._at = seconds, time.monotonic()
        self._others: dict[str, Callable[[bool], None]] = {
            chain: _of_ethereum(url) if chain.startswith(ETHEREUM) else _of_solana(url)
            for chain, url in nodes.items()
        }

    def look(self, coordinator: "Coordinator") -> None:
        if time.monotonic() - self._at < self._seconds:
            return
        self._at = time.monotonic()
        with suppress(BitcoinError):
            if (
                self._draw_waits(coordinator)
                or coordinator.rpc.mempool()
                or self._waits(coordinator, coordinator.bitcoin)
            ):
                coordinator.rpc.generate(1, ADDRESS)
        for chain, mine in self._others.items():
            rail = coordinator.rails.get(chain)
            with suppress(NodeError):
                mine(rail is not None and self._waits(coordinator, rail))

    def _draw_waits(self, coordinator: "Coordinator") -> bool:
        """Return whether the next block decides who is drawn for some batch, of whatever chain."""
        return any(
            not flow.given_up and not flow.quorum and coordinator.driver.is_witnessed(flow)
            for flow in coordinator.batches.flows.values()
        )

    def _waits(self, coordinator: "Coordinator", rail: Rail) -> bool:
        """Return whether something on a chain wants to be confirmed, or final."""
        if any(one.state == "seen" for one in rail.deposits(coordinator.ledger)):
            return True
        return any(
            flow.attempts and rail.settled(flow, flow.batch.intents[0]) is None
            for flow in coordinator.batches.of(rail.chain)
        )


def _of_ethereum(url: str) -> Callable[[bool], None]:
    rpc = EthereumRpc(url)

    def mine(is_waited_for: bool) -> None:
        # Each block is written to the disk with the whole state, so there are none that nobody waits for.
        waiting = rpc.call("eth_getBlockTransactionCountByNumber", "pending")
        if is_waited_for or waiting not in ("0x0", None):
            rpc.mine()

    return mine


def _of_solana(url: str) -> Callable[[bool], None]:
    rpc = SolanaRpc(url)

    def mine(is_waited_for: bool) -> None:
        rpc.advance()  # its slots go by in any case

    return mine

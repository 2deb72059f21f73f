"""Asks a node what a follower wants to know. The node may be restarted, behind, reorganised, or wrong."""

from collections.abc import Iterable

from ringfence.custody.chains.bitcoin.follow import ChainEvent, Follower
from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc, ChainInfo, NotFoundError
from ringfence.custody.chains.bitcoin.transactions import Transaction

BLOCKS_PER_POLL = 500
TRANSACTIONS_PER_POLL = 5_000
"""The rest of a mempool is looked at in the next polls."""
_ATTEMPTS = 5


class NodeBehindError(Exception):
    """The node has not the blocks that we have seen. Nothing was taken back: wait, or look at the node."""


class WrongChainError(Exception):
    """The node follows another chain than the one that is configured. Nothing was taken from it."""


class Watch:
    """One node and one follower."""

    def __init__(self, rpc: BitcoinRpc, follower: Follower, *, chain: str) -> None:
        self._rpc, self.follower, self._chain = rpc, follower, chain
        self._mempool: set[str] = set()
        """Transactions that were looked at, to be asked for once."""
        self._events: list[ChainEvent] = []
        """What has happened and was not told yet, because an error came in between."""

    def poll(self) -> list[ChainEvent]:
        """Return what has happened since the last poll.

        Raises BitcoinError, NodeBehindError, WrongChainError, TooDeepError. What had happened until then is told by
        the next poll.
        """
        for _ in range(_ATTEMPTS):
            info = self._ready()
            self._follow_blocks(info)
            if self.follower.height < info.height:
                break
            ids = self._rpc.mempool()
            came = self._new_of(ids)
            gone = self._gone_of(ids)
            # Between two questions a block may take transactions from the mempool: not gone, but mined.
            if self._rpc.chain_info().tip == self.follower.tip:
                self._mempool &= ids
                self._mempool.update(transaction.txid for transaction in came)
                self._events += self.follower.mempool(came, gone)
                break
        events, self._events = self._events, []
        return events

    def _ready(self) -> ChainInfo:
        info = self._rpc.chain_info()
        if info.chain != self._chain:
            raise WrongChainError(f"the node follows {info.chain}, wanted is {self._chain}")
        if info.is_catching_up:
            raise NodeBehindError("the node is catching up with the network")
        if info.height < self.follower.height:
            raise NodeBehindError(f"the node is at {info.height}, we have seen {self.follower.height}")
        return info

    def _follow_blocks(self, info: ChainInfo) -> None:
        """Take back what the node's chain does not have, then follow it to its tip, or as far as is polite."""
        while self._rpc.block_hash(self.follower.height) != self.follower.tip:
            self._events += self.follower.take_back()
        end = min(info.height, self.follower.height + BLOCKS_PER_POLL)
        for height in range(self.follower.height + 1, end + 1):
            block = self._rpc.block(self._rpc.block_hash(height))
            if block.previous != self.follower.tip:
                # Reorganised while we asked; the next round begins with what is to be taken back.
                break
            self._events += self.follower.block(block)

    def _new_of(self, ids: set[str]) -> list[Transaction]:
        found = []
        for txid in sorted(ids - self._mempool)[:TRANSACTIONS_PER_POLL]:
            try:
                found.append(self._rpc.raw_transaction(txid))
            except NotFoundError:
                continue
        return _parents_first(found)

    def _gone_of(self, ids: set[str]) -> dict[str, str | None]:
        missing = {txid: inputs for txid, inputs in self.follower.waiting().items() if txid not in ids}
        gone: dict[str, str | None] = {}
        for txid, inputs in missing.items():
            gone[txid] = next(iter(self._rpc.spenders(inputs).values()), None) if inputs else None
        return gone


def _parents_first(transactions: Iterable[Transaction]) -> list[Transaction]:
    waiting = {transaction.txid: transaction for transaction in transactions}
    ordered: list[Transaction] = []
    while waiting:
        ready = [
            transaction
            for transaction in waiting.values()
            if not any(item.outpoint.txid in waiting for item in transaction.inputs)
        ]
        ordered += ready
        for transaction in ready:
            del waiting[transaction.txid]
    return ordered

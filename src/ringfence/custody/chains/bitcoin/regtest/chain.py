"""The longest valid chain and its coins, kept in memory from a journal of blocks and the kernel's verdicts.

The kernel forgets unflushed blocks when its process is killed, and tells no coin by its outpoint. So every block
is in our journal before the kernel sees it, is fed again after a crash, and the coins are folded from blocks.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ringfence.custody.chains.bitcoin.kernel import KernelChain, Verdict
from ringfence.custody.chains.bitcoin.transactions import (
    HEADER_BYTES,
    Block,
    Output,
    double_sha256,
    parse_block,
    shown,
)
from ringfence.custody.chains.journal import Journal
from ringfence.custody.wallets.coins import Outpoint

MATURITY_BLOCKS = 100
RECYCLE_BLOCKS = 500
"""The kernel flushes when it is closed, so it is closed and opened after so many blocks (0.2 s)."""
_MEDIAN_TIME_BLOCKS = 11


class ChainCoin(NamedTuple):
    """An unspent output and where it was made."""

    output: Output
    height: int
    is_coinbase: bool


class Change(NamedTuple):
    """What a block has done to the longest chain."""

    verdict: Verdict
    gone: tuple[Block, ...] = ()
    """Blocks that left it, newest first."""
    came: tuple[Block, ...] = ()
    """Blocks that joined it, oldest first."""


class Chain:
    """Opens where the last process, however it ended, had answered."""

    def __init__(self, directory: Path) -> None:
        """Open or create. Raises KernelError, JournalDamagedError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = directory / "kernel"
        self._folder.mkdir(exist_ok=True)
        self._journal = Journal(directory / "blocks.journal")
        self._kernel = KernelChain(self._folder)
        self._places: dict[str, int] = {}
        self._digests = [self._kernel.digest_at(0)]
        self._heights = {self._digests[0]: 0}
        self._times = [_time_of(self._kernel.header_at(0))]
        self._genesis = self._kernel.header_at(0)
        self.coins: dict[Outpoint, ChainCoin] = {}
        self._spent: list[dict[Outpoint, ChainCoin]] = [{}]
        """By height: what the block has spent, to be able to take it back."""
        self.fed_again = 0
        """Blocks that the kernel had lost."""
        for place, raw in self._journal.records():
            digest = _digest_of(raw)
            self._places[digest] = place
            if not self._kernel.knows(digest):
                self._kernel.process(raw)
                self.fed_again += 1
        self._fed = self.fed_again
        self._follow_kernel()

    # ---- reading

    @property
    def height(self) -> int:
        return len(self._digests) - 1

    @property
    def tip(self) -> str:
        return self._digests[-1]

    @property
    def blocks_fed(self) -> int:
        """How many blocks were ever fed, on whatever branch."""
        return len(self._places)

    @property
    def tip_time_s(self) -> int:
        return self._times[-1]

    @property
    def median_time_s(self) -> int:
        """The time by which lock times are judged."""
        return self.median_time_at(self.height)

    def median_time_at(self, height: int) -> int:
        times = sorted(self._times[max(height + 1 - _MEDIAN_TIME_BLOCKS, 0) : height + 1])
        return times[len(times) // 2]

    def time_at(self, height: int) -> int:
        return self._times[height]

    def digest_at(self, height: int) -> str:
        return self._digests[height]

    def height_of(self, digest: str) -> int | None:
        """Return the height of a block of the longest chain, None for others."""
        return self._heights.get(digest)

    def raw_block(self, digest: str) -> bytes | None:
        """Return a block that was ever fed, None if there was none. The first block has only a header."""
        place = self._places.get(digest)
        return None if place is None else self._journal.read(place)

    def header_of(self, digest: str) -> bytes | None:
        if digest == self._digests[0]:
            return self._genesis
        raw = self.raw_block(digest)
        return None if raw is None else raw[:HEADER_BYTES]

    def blocks(self, heights: range) -> Iterator[Block]:
        for height in heights:
            raw = self.raw_block(self._digests[height])
            assert raw is not None
            yield parse_block(raw)

    def spent_in(self, height: int) -> dict[Outpoint, ChainCoin]:
        """Return the coins that a block of the longest chain has spent."""
        return self._spent[height]

    def coins_at(self, height: int) -> dict[Outpoint, ChainCoin]:
        """Return the coins as they were at a height. Nothing of the chain changes: a copy is taken back."""
        coins = dict(self.coins)
        for above in range(self.height, height, -1):
            raw = self.raw_block(self._digests[above])
            assert raw is not None
            _take_back(coins, parse_block(raw), self._spent[above])
        return coins

    # ---- writing

    def submit(self, raw: bytes) -> Change:
        """Take a block. Raises TransactionError if the bytes are none."""
        block = parse_block(raw)
        if block.digest not in self._places:
            self._places[block.digest] = self._journal.append(raw)
        verdict = self._kernel.process(raw)
        gone, came = self._follow_kernel()
        self._fed += 1
        if self._fed >= RECYCLE_BLOCKS:
            self._recycle()
        return Change(verdict, gone, came)

    def close(self) -> None:
        """Flush and close."""
        self._kernel.close()
        self._journal.close()

    def _recycle(self) -> None:
        self._kernel.close()
        self._kernel = KernelChain(self._folder)
        self._fed = 0
        assert self._kernel.digest_at(self._kernel.height) == self.tip

    # ---- following the kernel

    def _follow_kernel(self) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
        """Do to the coins what the kernel did to its chain."""
        common = min(self.height, self._kernel.height)
        while self._digests[common] != self._kernel.digest_at(common):
            common -= 1
        gone = tuple(self._disconnect() for _ in range(self.height - common))
        came = tuple(self._connect(height) for height in range(common + 1, self._kernel.height + 1))
        return gone, came

    def _connect(self, height: int) -> Block:
        digest = self._kernel.digest_at(height)
        raw = self.raw_block(digest)
        assert raw is not None, f"the kernel has block {digest}, which the journal lacks"
        block = parse_block(raw)
        spent = {}
        for transaction in block.transactions:
            if not transaction.is_coinbase:
                for item in transaction.inputs:
                    spent[item.outpoint] = self.coins.pop(item.outpoint)
            for vout, output in enumerate(transaction.outputs):
                if not output.script.startswith(b"\x6a"):
                    coin = ChainCoin(output, height, transaction.is_coinbase)
                    self.coins[Outpoint(transaction.txid, vout)] = coin
        self._digests.append(digest)
        self._times.append(block.time_s)
        self._spent.append(spent)
        self._heights[digest] = height
        return block

    def _disconnect(self) -> Block:
        digest, spent = self._digests.pop(), self._spent.pop()
        self._times.pop()
        del self._heights[digest]
        raw = self.raw_block(digest)
        assert raw is not None
        block = parse_block(raw)
        _take_back(self.coins, block, spent)
        return block


def _take_back(coins: dict[Outpoint, ChainCoin], block: Block, spent: dict[Outpoint, ChainCoin]) -> None:
    """Undo to coins what a block has done."""
    for transaction in reversed(block.transactions):
        for vout in range(len(transaction.outputs)):
            coins.pop(Outpoint(transaction.txid, vout), None)
    # A coin that was made and spent in the same block is in `spent`, and is gone with its maker.
    made = {transaction.txid for transaction in block.transactions}
    coins.update((at, coin) for at, coin in spent.items() if at.txid not in made)


def _digest_of(raw: bytes) -> str:
    return shown(double_sha256(raw[:HEADER_BYTES]))


def _time_of(header: bytes) -> int:
    return int.from_bytes(header[68:72], "little")

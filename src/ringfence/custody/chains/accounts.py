"""What chains of accounts have in common: coins lie at addresses, not in outputs. Ethereum and Solana are such chains.

Amounts here are in the chain's own smallest units (wei, a token's unit, lamports), which may be beyond 64 bits, and
are named `raw`. Followers of every chain tell the same, so that what decides about coins is written once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

BLOCKS_KEPT = 512
"""A reorganisation that goes back further is not followed: people look at it first."""
BLOCKS_PER_POLL = 500
ACCOUNTS_AHEAD = 256
"""Accounts are numbered one by one; so many are known before the feed has told of them."""


class NodeError(Exception):
    """The node does not answer, or not as a node does. Nothing was done; remedy: look at the node, ask again."""


class TransactionRefusedError(NodeError):
    """The node does not take a transaction. It was not sent; the text is the node's reason."""


class WrongChainError(Exception):
    """The node follows another chain than the one that is configured. Nothing was taken from it."""


class NodeBehindError(Exception):
    """The node has not the blocks that we have seen. Nothing was taken back: wait, or look at the node."""


class TooDeepError(Exception):
    """The chain has left us further back than we remember. Nothing was taken back: people decide."""


@contextmanager
def reading(method: str) -> Iterator[None]:
    """Whatever an answer lacks is said of the node, not of us."""
    try:
        yield
    # Brackets in thousands exhaust the parser's recursion.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NodeError(f"{method}: an answer that cannot be read: {error!r:.300}") from error


class Leg(NamedTuple):
    """Coins that have left an address of ours within a transaction, to a stranger or to another of ours."""

    source: str
    to: str
    asset: str
    """The asset's currency, e.g. `Gwei`, `USDt`, `LAMPORT`."""
    raw: int


class Received(NamedTuple):
    """Coins that have come to an address of ours from somebody else."""

    txid: str
    output: int
    """Which movement within the transaction; with the txid it names it for ever."""
    address: str
    asset: str
    raw: int
    height: int

    @property
    def outpoint(self) -> str:
        """As the ledger names what it has credited."""
        return f"{self.txid}:{self.output}"


class Spent(NamedTuple):
    """A transaction that has moved coins of ours, or whose fee an address of ours has paid."""

    txid: str
    payer: str
    """Which address of ours has paid the fee; empty if a stranger has."""
    place: str
    """What it has used up at its sender, so that no other can: `ADDRESS:NONCE` on Ethereum, empty on Solana."""
    legs: tuple[Leg, ...]
    fee_raw: int
    """In the chain's native coin; 0 if a stranger has paid it."""
    is_failed: bool
    """It is in a block and has done nothing but pay its fee."""
    height: int


class AccountBlock(NamedTuple):
    """A block with everything in it that is about us, in its order."""

    height: int
    digest: str
    parent: str
    """Digest of the block below."""
    received: tuple[Received, ...]
    spent: tuple[Spent, ...]


class Tip(NamedTuple):
    height: int
    digest: str


class BytesError(ValueError):
    """These bytes are no transaction of ours, or would do something else than pay. Nothing was signed."""


class AccountTransaction(NamedTuple):
    """What unsigned bytes would do, once."""

    source: str
    """Whose coins move."""
    to: str
    asset: str
    raw: int
    fee_raw_max: int
    """The most that the network can take for it, in the native coin."""
    place: str
    """What it uses up at its sender, as `Spent` has it; where nothing is, with what limits its life."""
    call: str
    """By name, what it makes a program of the chain do; empty where coins simply move."""


class AccountRoom(Protocol):
    """The one place that knows how a chain writes things, and what its node says about what is not there yet.

    Raises NodeError where the node is asked.
    """

    @property
    def native(self) -> str:
        """Return the asset that fees are taken in."""
        ...

    @property
    def treasury(self) -> str:
        """Return the address that withdrawals are paid from. Nobody deposits there but the company, for fees."""
        ...

    def deposit_address(self, account: int) -> str: ...

    def number_of(self, address: str) -> int | None:
        """Return of which account an address of ours is, 0 for the treasury, None for a stranger's."""
        ...

    def key_of(self, address: str) -> int:
        """Return under which key an address of ours is: 0 the one that is used, -1 the one before it, and so on."""
        ...

    def know(self, accounts_end: int) -> None:
        """Know the deposit addresses of all accounts below a number, and of some above."""
        ...

    def is_address(self, text: str) -> bool:
        """Return whether a text is an address of the chain, in its one spelling."""
        ...

    def read(self, raw: bytes, *, source: str) -> AccountTransaction:
        """Take bytes apart, to the last one. Raises BytesError."""
        ...

    def to_sign(self, raw: bytes, *, source: str) -> tuple[str, bytes]:
        """Return which key below the shared one signs (its path), and what."""
        ...

    def signed(self, raw: bytes, signature: bytes, recovery_id: int, *, source: str) -> tuple[str, bytes]:
        """Return the txid and what is sent. Raises BytesError, also for a signature that is none of the source's."""
        ...

    def build(self, *, source: str, to: str, asset: str, raw: int, above: bytes = b"") -> bytes:
        """Return an unsigned transaction at what blocks cost now; `above`: one that it is to take the place of.

        Raises TransactionRefusedError if the network would refuse it, or if it would do nothing.
        """
        ...

    def fee_payer(self, source: str) -> str:
        """Return which address of ours pays the fee of what moves from another."""
        ...

    @property
    def is_fee_exact(self) -> bool:
        """Return whether a transfer costs what `fee_raw_of` says; else about as much."""
        ...

    def fee_raw_of(self, asset: str) -> int:
        """Return what a transfer costs about now, in the native coin."""
        ...

    def fee_due_raw(self, transaction: AccountTransaction) -> int:
        """Return what a transaction costs now. Raises TransactionRefusedError if it would do nothing."""
        ...

    def objection(self, transaction: AccountTransaction) -> str:
        """Return why a transaction cannot come into the next block, by the node; empty if it can."""
        ...

    def has_expired(self, place: str) -> bool:
        """Return whether what was to use a place can never come into a block any more, without one having come."""
        ...

    def balance_raw(self, address: str, asset: str, height: int) -> int:
        """Return what the node says that lies at an address, at a block that it still knows."""
        ...

    def send(self, raw: bytes) -> None:
        """Raises TransactionRefusedError."""
        ...


class BlockSource(Protocol):
    """A node's chain, read block by block. Raises NodeError, WrongChainError."""

    def tip(self) -> Tip:
        """Return the newest block that is looked at."""
        ...

    def final_height(self) -> int:
        """Return up to which height the chain says that nothing can be taken back."""
        ...

    def block(self, height: int, *, is_ours: Callable[[str], bool]) -> AccountBlock | None:
        """Return a block; None if there is none at this height, as in a slot that was skipped."""
        ...


class AccountFollower:
    """Knows the newest blocks, and everything that was ever received and spent since the block it began from."""

    def __init__(
        self, source: BlockSource, is_ours: Callable[[str], bool], *, native: str, height: int, digest: str
    ) -> None:
        """Follow from a block on, which is not looked into: nothing of ours was at any address then."""
        self._source, self._is_ours, self._native = source, is_ours, native
        self._blocks: list[AccountBlock] = [AccountBlock(height, digest, "", (), ())]
        """The newest, oldest first."""
        self._balances: dict[tuple[str, str], int] = {}
        self.received: dict[str, Received] = {}
        """By outpoint."""
        self.spent: dict[str, Spent] = {}
        """By txid, in the order of the chain."""
        self.final_height = height
        self.height = height
        """Up to which height, of blocks or of slots, was looked."""
        self.is_behind = True
        """There were blocks at the last look that were not looked into yet."""

    @property
    def tip(self) -> str:
        return self._blocks[-1].digest

    def poll(self) -> int:
        """Follow the node; return how many blocks were taken back.

        Raises NodeError, WrongChainError, NodeBehindError, TooDeepError. What was followed until then stays followed.
        """
        # Asked for before any block: whatever branch is read after it has in it what was final then. Asked for last, it
        # could be of another branch than what was read, and call that final.
        final_height = self._source.final_height()
        tip = self._source.tip()
        if tip.height < self._blocks[-1].height:
            raise NodeBehindError(f"the node is at {tip.height}, we have seen {self._blocks[-1].height}")
        back = 0
        left: list[AccountBlock] = []  # what was taken back since a block was last taken, newest first
        try:
            if tip.height == self._blocks[-1].height and tip.digest != self.tip:
                left.append(self._take_back())
                back += 1
            end = min(tip.height, self.height + BLOCKS_PER_POLL)
            while self.height < end:
                block = self._source.block(self.height + 1, is_ours=self._is_ours)
                if block is None:
                    self.height += 1
                elif block.parent == self.tip:
                    self._take(block)
                    left = []
                else:
                    left.append(self._take_back())
                    back += 1
        except TooDeepError:
            for block in reversed(left):
                self._take(block)
            raise
        self.final_height = max(self.final_height, min(final_height, self.height))
        self.is_behind = self.height < tip.height
        return back

    def confirmations_of(self, txid: str) -> int:
        """Return how deep a transaction of ours lies, 0 = no block has it."""
        found = self.spent.get(txid)
        return self.height + 1 - found.height if found is not None else 0

    def is_final(self, height: int) -> bool:
        return height <= self.final_height

    def balance(self, address: str, asset: str) -> int:
        """Return what lies at an address of ours, by everything that has come and gone."""
        return self._balances.get((address, asset), 0)

    def balances(self, asset: str) -> Iterator[tuple[str, int]]:
        """Yield addresses at which something of an asset lies, and how much."""
        for (address, of), raw in sorted(self._balances.items()):
            if of == asset and raw:
                yield address, raw

    def total(self, asset: str) -> int:
        return sum(raw for _, raw in self.balances(asset))

    def _take(self, block: AccountBlock) -> None:
        for one in block.received:
            self.received[one.outpoint] = one
        for spent in block.spent:
            self.spent[spent.txid] = spent
        self._move(block, 1)
        self._blocks = [*self._blocks[-BLOCKS_KEPT:], block]
        self.height = block.height

    def _take_back(self) -> AccountBlock:
        """Take the newest block back, and return it. Raises TooDeepError."""
        if len(self._blocks) < 2:
            raise TooDeepError(f"block {self.height} has left the chain, and we remember none below it")
        *below, newest = self._blocks
        if newest.height <= self.final_height:
            raise TooDeepError(f"block {newest.height} has left the chain, which the node had said is final")
        for one in newest.received:
            del self.received[one.outpoint]
        for spent in newest.spent:
            del self.spent[spent.txid]
        self._move(newest, -1)
        self._blocks, self.height = below, below[-1].height
        return newest

    def _move(self, block: AccountBlock, sign: int) -> None:
        for one in block.received:
            self._add(one.address, one.asset, sign * one.raw)
        for spent in block.spent:
            for leg in spent.legs:
                self._add(leg.source, leg.asset, -sign * leg.raw)
                if self._is_ours(leg.to):
                    self._add(leg.to, leg.asset, sign * leg.raw)
            if spent.payer:
                self._add(spent.payer, self._native, -sign * spent.fee_raw)

    def _add(self, address: str, asset: str, raw: int) -> None:
        key = address, asset
        self._balances[key] = self._balances.get(key, 0) + raw

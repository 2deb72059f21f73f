"""What a chain has done to our outputs: a pure state machine that is told of blocks and mempools in order.

Everything is keyed by outpoint. An output in the mempool is shown and never counted: the transaction that makes it
may be replaced, or confirm under another identity, and is another output then.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from ringfence.custody.chains.bitcoin.transactions import Block, Transaction
from ringfence.custody.wallets.coins import Coin, Outpoint

BLOCKS_KEPT = 144
"""A reorganisation that goes back further, a day, is not followed: people look at it first."""


class BlockCame(NamedTuple):
    """A block is the newest of the longest chain."""

    height: int
    digest: str
    transactions: tuple[Transaction, ...]


class BlockLeft(NamedTuple):
    """A block is not in the longest chain any more. As many as leave in one poll, so deep is the reorganisation."""

    height: int
    digest: str


class Seen(NamedTuple):
    """An output of ours waits in the mempool: to be shown, not to be counted."""

    coin: Coin


class Confirmed(NamedTuple):
    """A block holds an output of ours, or one more block is on top of it."""

    coin: Coin
    height: int
    confirmations: int


class Reorged(NamedTuple):
    """The block that held an output of ours has left the chain. Seen, Confirmed, Replaced or Evicted follows."""

    coin: Coin
    height: int


class Replaced(NamedTuple):
    """An output of ours will not be: another transaction spends what its maker spent."""

    coin: Coin
    by: str


class Evicted(NamedTuple):
    """The mempool has forgotten the maker of an output of ours. It may be sent again."""

    coin: Coin


class Spent(NamedTuple):
    """A transaction spends an output of ours: in the mempool while the height is None."""

    coin: Coin
    by: str
    height: int | None


class Unspent(NamedTuple):
    """The transaction that spent an output of ours is neither in a block nor in the mempool any more."""

    coin: Coin
    by: str


ChainEvent: TypeAlias = (
    BlockCame | BlockLeft | Seen | Confirmed | Reorged | Replaced | Evicted | Spent | Unspent
)


class TooDeepError(Exception):
    """The chain has left us further back than we remember. Nothing was taken back: people decide."""


class _Followed(msgspec.Struct):
    """An output of ours and what has become of it."""

    coin: Coin
    inputs: tuple[Outpoint, ...]
    """What its maker spends: whoever spends one of these too replaces it."""
    height: int | None = None
    """Of the block that holds its maker."""
    is_waiting: bool = False
    """The mempool holds its maker."""
    spent_by: str = ""
    spent_height: int | None = None


class _State(msgspec.Struct):
    first_height: int
    digests: list[str]
    """Of the newest blocks, from `first_height` on."""
    outputs: list[_Followed]
    spenders: dict[str, int]


class Follower:
    """Knows the newest blocks and every output of ours that matters yet."""

    def __init__(
        self, is_ours: Callable[[bytes], bool], *, height: int, digest: str, confirmations_max: int = 6
    ) -> None:
        """Follow from a block on, which is not looked into. `confirmations_max` are told, and no more."""
        self._is_ours, self._confirmations_max = is_ours, confirmations_max
        self._first_height, self._digests = height, [digest]
        self._outputs: dict[Outpoint, _Followed] = {}
        self._makers: dict[Outpoint, set[Outpoint]] = {}
        """By what is spent, the outputs of ours that come of it and that no block holds."""
        self._spenders: dict[str, int] = {}
        """Transactions that spend outputs of ours, with the height of the block that holds each; never forgotten."""

    @property
    def height(self) -> int:
        return self._first_height + len(self._digests) - 1

    @property
    def tip(self) -> str:
        return self._digests[-1]

    def digest_at(self, height: int) -> str | None:
        """Return which block we saw at a height, None beyond what is remembered."""
        place = height - self._first_height
        return self._digests[place] if 0 <= place < len(self._digests) else None

    def coins(self, confirmations_min: int = 1) -> list[Coin]:
        """Return our outputs that nothing spends, not even in the mempool."""
        newest = self.height + 1 - confirmations_min
        return [
            output.coin
            for output in self._outputs.values()
            if output.height is not None and output.height <= newest and not output.spent_by
        ]

    def confirmed_coins(self) -> list[Coin]:
        """Return what the chain says that our scripts hold, whatever waits in the mempool."""
        return [
            output.coin
            for output in self._outputs.values()
            if output.height is not None and output.spent_height is None
        ]

    def found(self) -> list[tuple[Coin, int]]:
        """Return our outputs that nothing has spent in a block, with their confirmations; 0 in the mempool."""
        return [
            (output.coin, 0 if output.height is None else self.height + 1 - output.height)
            for output in self._outputs.values()
            if output.spent_height is None and (output.height is not None or output.is_waiting)
        ]

    def confirmations_of(self, txid: str) -> int:
        """Return how deep a transaction lies that spends outputs of ours, 0 if no block holds it."""
        height = self._spenders.get(txid)
        return self.height + 1 - height if height is not None else 0

    def confirmed_sats(self) -> int:
        return sum(coin.amount_sats for coin in self.confirmed_coins())

    def waiting(self) -> dict[str, tuple[Outpoint, ...]]:
        """Return transactions that should be in the mempool, and what they are known to spend."""
        found = {
            output.coin.outpoint.txid: output.inputs
            for output in self._outputs.values()
            if output.height is None
        }
        for output in self._outputs.values():
            if output.spent_by and output.spent_height is None:
                found.setdefault(output.spent_by, (output.coin.outpoint,))
        return found

    # ---- what happens

    def block(self, block: Block) -> list[ChainEvent]:
        """The next block of the longest chain came; it stands on the newest that we know."""
        assert block.previous == self.tip, f"{block.digest} does not stand on {self.tip}"
        self._digests.append(block.digest)
        height = self.height
        events: list[ChainEvent] = [BlockCame(height, block.digest, block.transactions)]
        for transaction in block.transactions:
            events += self._spends(transaction, height)
            for coin in self._ours_of(transaction):
                followed = self._follow(coin, transaction)
                followed.height, followed.is_waiting = height, False
                self._forget_maker(followed)
        for followed in self._outputs.values():
            if followed.height is not None:
                confirmations = height - followed.height + 1
                if confirmations <= self._confirmations_max:
                    events.append(Confirmed(followed.coin, followed.height, confirmations))
        self._drop_old()
        return events

    def take_back(self) -> list[ChainEvent]:
        """The newest block has left the longest chain. Raises TooDeepError."""
        if len(self._digests) == 1:
            raise TooDeepError(f"the chain has left block {self.tip} at height {self.height}")
        height = self.height
        events: list[ChainEvent] = [BlockLeft(height, self._digests.pop())]
        for followed in self._outputs.values():
            if followed.spent_height == height:
                events.append(Unspent(followed.coin, followed.spent_by))
                self._spenders.pop(followed.spent_by, None)
                followed.spent_by, followed.spent_height = "", None
            if followed.height == height:
                followed.height = None
                self._remember_maker(followed)
                events.append(Reorged(followed.coin, height))
        return events

    def mempool(
        self, came: Iterable[Transaction], gone: Mapping[str, str | None] | None = None
    ) -> list[ChainEvent]:
        """Transactions came into the mempool, others of `waiting` are not there.

        `gone` says who spends what they spent, None if nobody does.
        """
        events: list[ChainEvent] = []
        for transaction in came:
            events += self._spends(transaction, None)
            for coin in self._ours_of(transaction):
                followed = self._follow(coin, transaction)
                if followed.height is None and not followed.is_waiting:
                    followed.is_waiting = True
                    events.append(Seen(coin))
        for txid, by in (gone or {}).items():
            for followed in list(self._outputs.values()):
                if followed.spent_by == txid and followed.spent_height is None:
                    events.append(Unspent(followed.coin, txid))
                    followed.spent_by = ""
                if followed.coin.outpoint.txid == txid and followed.height is None:
                    events.append(Evicted(followed.coin) if by is None else Replaced(followed.coin, by))
                    self._drop(followed)
        return events

    # ---- to the disk and back

    def dump(self) -> bytes:
        """Return everything that is known, for `load`."""
        state = _State(self._first_height, self._digests, list(self._outputs.values()), self._spenders)
        return msgspec.json.encode(state)

    @classmethod
    def load(
        cls, content: bytes, is_ours: Callable[[bytes], bool], *, confirmations_max: int = 6
    ) -> "Follower":
        """Return a follower as it was. Raises ValueError."""
        state = msgspec.json.decode(content, type=_State)
        if not state.digests:
            raise ValueError("no block is remembered")
        follower = cls(
            is_ours, height=state.first_height, digest=state.digests[0], confirmations_max=confirmations_max
        )
        follower._digests, follower._spenders = state.digests, state.spenders
        for followed in state.outputs:
            follower._outputs[followed.coin.outpoint] = followed
            if followed.height is None:
                follower._remember_maker(followed)
        return follower

    # ---- helpers

    def _spends(self, transaction: Transaction, height: int | None) -> list[ChainEvent]:
        """Note what a transaction spends, of ours and of what ours would be made of."""
        events: list[ChainEvent] = []
        for item in transaction.inputs:
            for outpoint in list(self._makers.get(item.outpoint, ())):
                if outpoint.txid != transaction.txid:
                    rival = self._outputs[outpoint]
                    events.append(Replaced(rival.coin, transaction.txid))
                    self._drop(rival)
            followed = self._outputs.get(item.outpoint)
            if followed is not None and (followed.spent_by, followed.spent_height) != (
                transaction.txid,
                height,
            ):
                if followed.spent_by and followed.spent_by != transaction.txid:
                    events.append(Unspent(followed.coin, followed.spent_by))
                followed.spent_by, followed.spent_height = transaction.txid, height
                events.append(Spent(followed.coin, transaction.txid, height))
                if height is not None:
                    self._spenders[transaction.txid] = height
        return events

    def _ours_of(self, transaction: Transaction) -> list[Coin]:
        return [
            Coin(Outpoint(transaction.txid, vout), output.amount_sats, output.script)
            for vout, output in enumerate(transaction.outputs)
            if self._is_ours(output.script)
        ]

    def _follow(self, coin: Coin, transaction: Transaction) -> _Followed:
        followed = self._outputs.get(coin.outpoint)
        if followed is None:
            # All coinbases spend the same nothing, and are no rivals for that.
            inputs = () if transaction.is_coinbase else tuple(item.outpoint for item in transaction.inputs)
            followed = _Followed(coin, inputs)
            self._outputs[coin.outpoint] = followed
            self._remember_maker(followed)
        return followed

    def _remember_maker(self, followed: _Followed) -> None:
        for outpoint in followed.inputs:
            self._makers.setdefault(outpoint, set()).add(followed.coin.outpoint)

    def _forget_maker(self, followed: _Followed) -> None:
        for outpoint in followed.inputs:
            makers = self._makers.get(outpoint, set())
            makers.discard(followed.coin.outpoint)
            if not makers:
                self._makers.pop(outpoint, None)

    def _drop(self, followed: _Followed) -> None:
        self._forget_maker(followed)
        del self._outputs[followed.coin.outpoint]

    def _drop_old(self) -> None:
        """Forget what no reorganisation that is followed can bring back."""
        excess = len(self._digests) - BLOCKS_KEPT
        if excess > 0:
            del self._digests[:excess]
            self._first_height += excess
            for followed in list(self._outputs.values()):
                if followed.spent_height is not None and followed.spent_height < self._first_height:
                    self._drop(followed)

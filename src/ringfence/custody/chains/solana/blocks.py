"""Solana's chain block by block, of what is final alone: nothing that is read here is ever taken back.

What has moved is worked out from the balances that the node tells before and after each transaction, not from its
instructions: a program may pay within another program's call, and a balance is what counts in the end.
"""

from collections.abc import Callable

from ringfence.custody.chains.accounts import (
    AccountBlock,
    Leg,
    NodeError,
    Received,
    Spent,
    Tip,
    WrongChainError,
)
from ringfence.custody.chains.solana.rpc import BalanceChanges, SolanaBlock, SolanaRpc

SLOTS_PER_LOOK = 10_000
"""Of so many slots at once it is asked which were skipped; nodes allow 500,000."""


class SolanaBlocks:
    """A node's final blocks, as a `BlockSource`. Heights are slots."""

    def __init__(self, rpc: SolanaRpc, *, genesis: str, native: str = "LAMPORT") -> None:
        self._rpc, self._genesis, self._native = rpc, genesis, native
        self._final_slot = -1
        self._looked = range(0)
        """Slots of which it is known whether they have a block."""
        self._slots: set[int] = set()
        """Those of them that have one."""
        self._newest: SolanaBlock | None = None

    def tip(self) -> Tip:
        """Return the newest block that is final. Raises NodeError, WrongChainError."""
        # Asked every time: behind one name there may be another node tomorrow.
        found = self._rpc.genesis_hash()
        if found[: len(self._genesis)] != self._genesis:
            raise WrongChainError(f"the node's genesis is {found}, ours is {self._genesis}")
        slot = self._rpc.slot("finalized")
        if self._newest is None or self._newest.slot != slot:
            self._newest = self._read(slot)
        self._final_slot = slot
        return Tip(slot, self._newest.blockhash)

    def final_height(self) -> int:
        return self._rpc.slot("finalized")

    def block(self, height: int, *, is_ours: Callable[[str], bool]) -> AccountBlock | None:
        """Return the block of a slot, None if the slot was skipped. Raises NodeError if it is not final yet."""
        if height not in self._looked:
            self._look_from(height)
        if height not in self._slots:
            return None
        is_newest = self._newest is not None and self._newest.slot == height
        found = self._newest if self._newest is not None and is_newest else self._read(height)
        received: list[Received] = []
        spent: list[Spent] = []
        for transaction in found.transactions:
            if any(map(is_ours, transaction.accounts)):
                self._movements(transaction, height, is_ours, received, spent)
        return AccountBlock(height, found.blockhash, found.parent, tuple(received), tuple(spent))

    def _read(self, slot: int) -> SolanaBlock:
        found = self._rpc.block(slot)
        if found is None:
            raise NodeError(f"the node has said that slot {slot} has a final block, and does not give it")
        return found

    def _look_from(self, slot: int) -> None:
        """Ask which slots from one on have a block."""
        if slot > self._final_slot:
            self._final_slot = self._rpc.slot("finalized")
        last = min(slot + SLOTS_PER_LOOK - 1, self._final_slot)
        if slot > last:
            raise NodeError(f"slot {slot} is not final yet, slot {last} is the newest")
        slots = self._rpc.block_slots(slot, last)
        # The newest final slot has a block. A node behind the same name that does not know it yet would make
        # the slots that it lacks look skipped, with all that came in them.
        if last == self._final_slot and slots[-1:] != [last]:
            raise NodeError(f"the node has said that slot {last} is final, and does not list it")
        self._looked, self._slots = range(slot, last + 1), set(slots)

    def _movements(
        self,
        transaction: BalanceChanges,
        height: int,
        is_ours: Callable[[str], bool],
        received: list[Received],
        spent: list[Spent],
    ) -> None:
        """Say what a transaction has done to our balances, so that the sums are exactly what the node says.

        What our addresses have lost went to the accounts that have gained, in their order; with a transaction of
        ours that is one and one. What an address of ours has gained beyond that came from strangers.
        """
        accounts = transaction.accounts
        changes = _changes(transaction)
        gained = {place: change for place, change in enumerate(changes) if change > 0}
        legs: list[Leg] = []
        for place, change in enumerate(changes):
            if change < 0 and is_ours(accounts[place]):
                for to, lamports in _taken(gained, -change):
                    legs.append(Leg(accounts[place], accounts[to], self._native, lamports))
        is_payer = is_ours(accounts[0])
        if is_payer or legs:
            spent.append(
                Spent(
                    transaction.txid, accounts[0] if is_payer else "", "", tuple(legs),
                    transaction.fee_lamports if is_payer else 0, transaction.is_failed, height,
                )
            )  # fmt: skip
        for place, lamports in gained.items():
            if lamports and is_ours(accounts[place]):
                received.append(
                    Received(transaction.txid, place, accounts[place], self._native, lamports, height)
                )


def _changes(transaction: BalanceChanges) -> list[int]:
    """Return what each account has gained, the payer's fee left aside. Raises NodeError if coins came or went."""
    changes = [
        after - before
        for before, after in zip(transaction.before_lamports, transaction.after_lamports, strict=True)
    ]
    changes[0] += transaction.fee_lamports
    if sum(changes):
        raise NodeError(f"transaction {transaction.txid}: what was lost is not what was gained")
    return changes


def _taken(gained: dict[int, int], lamports: int) -> list[tuple[int, int]]:
    """Take an amount out of what was gained, in order; return from which places how much."""
    parts: list[tuple[int, int]] = []
    for place, available in gained.items():
        part = min(available, lamports)
        if part:
            parts.append((place, part))
            gained[place] -= part
            lamports -= part
    assert lamports == 0, "all that was lost was gained by somebody"
    return parts

"""The development chain: the real virtual machine of Solana (LiteSVM), with slots, blocks and a journal of our own.

Transactions wait from when they are sent until the slot is closed, and run then, in the order in which they came.
Nothing is ever pruned from memory.
"""

import hashlib
import json
import struct
import time
from pathlib import Path
from typing import Any, NamedTuple

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from ringfence.custody.chains.journal import Journal, JournalDamagedError
from ringfence.custody.chains.solana.addresses import read_address
from ringfence.custody.chains.solana.faucet import FAUCET_ADDRESS, FAUCET_LAMPORTS, GENESIS, GENESIS_HASH
from ringfence.custody.chains.solana.rpc import ALREADY_PROCESSED

BLOCKS_BEHIND = {"processed": 0, "confirmed": 1, "finalized": 2}
"""Behind the newest block; on the real chain the last is 32."""
BLOCKHASH_BLOCKS = 150
"""So many blocks after its own a blockhash is still taken, as on the real chain."""

_GENESIS, _SENT, _CLOSED = b"G", b"T", b"C"
_CLOSE = struct.Struct("<QQ32s")
"""Slot, time in seconds, blockhash."""


class Executed(NamedTuple):
    """A transaction in a block."""

    transaction: VersionedTransaction
    accounts: tuple[str, ...]
    before_lamports: tuple[int, ...]
    after_lamports: tuple[int, ...]
    err: Any
    """As a node tells it; None if it was not one."""

    @property
    def txid(self) -> str:
        return str(self.transaction.signatures[0])

    @property
    def fee_lamports(self) -> int:
        """What a transaction's accounts have lost together is its fee, the rest has only changed hands."""
        return sum(self.before_lamports) - sum(self.after_lamports)


class Block(NamedTuple):
    slot: int
    height: int
    """How many blocks are below."""
    digest: bytes
    time_s: int
    transactions: tuple[Executed, ...]


class Chain:
    """The blocks, the machine's state after them, and what waits; all of it as the journal says."""

    def __init__(self, directory: Path) -> None:
        """Open or create. Raises JournalDamagedError."""
        self._machine = LiteSVM().with_sigverify(True).with_blockhash_check(False).with_transaction_history(0)
        self._machine.set_account(
            Pubkey.from_string(FAUCET_ADDRESS), Account(FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM)
        )
        self.blocks = [Block(0, 0, read_address(GENESIS_HASH), 0, ())]
        self.place_of_slot = {0: 0}
        self.waiting: dict[str, VersionedTransaction] = {}
        self.slots_of: dict[str, tuple[int, Any]] = {}
        """Of each transaction in a block: its slot and its error."""
        self._heights = {self.blocks[0].digest: 0}
        """Of blocks, by blockhash."""
        self._messages: set[Hash] = set()
        """What was signed in the transactions in blocks: none of it is done twice, whatever the signature."""
        self._balances: dict[str, list[tuple[int, int]]] = {FAUCET_ADDRESS: [(0, FAUCET_LAMPORTS)]}
        """Slots and balances from then on. The last one before the newest final block is kept."""
        self._journal = Journal(directory / "solana.journal")
        self._replay()

    @property
    def newest(self) -> Block:
        return self.blocks[-1]

    def behind(self, commitment: str) -> Block:
        """Return the newest block of a commitment."""
        return self.blocks[max(0, len(self.blocks) - 1 - BLOCKS_BEHIND[commitment])]

    def lamports(self, address: str, block: Block) -> int:
        """Return a balance after a block that is final, or above the newest final one."""
        for slot, lamports in reversed(self._balances.get(address, [])):
            if slot <= block.slot:
                return lamports
        if address in self._balances:
            return 0
        return self._machine.get_balance(Pubkey.from_string(address)) or 0  # an account of the machine itself

    def rent_exempt_lamports(self, data_bytes: int) -> int:
        return self._machine.minimum_balance_for_rent_exemption(data_bytes)

    def is_valid(self, blockhash: bytes, height: int) -> bool:
        """Return whether a block at a height, or the next above it, may hold a transaction with a blockhash."""
        made = self._heights.get(blockhash)
        return made is not None and made <= height <= made + BLOCKHASH_BLOCKS

    def is_done(self, transaction: VersionedTransaction) -> bool:
        """Return whether a block has what this transaction would do."""
        return _message_hash(transaction) in self._messages

    def error_before(self, transaction: VersionedTransaction) -> tuple[Any, list[str]]:
        """Return the error that a transaction would have after the newest block, and its log."""
        if self.is_done(transaction):
            return ALREADY_PROCESSED, []
        if not self.is_valid(bytes(transaction.message.recent_blockhash), self.newest.height + 1):
            return "BlockhashNotFound", []
        result = self._machine.simulate_transaction(transaction)
        return _error_of(result), list(result.meta().logs())

    def send(self, transaction: VersionedTransaction) -> None:
        """Let a transaction wait for the next block. It is on the disk afterwards."""
        self._journal.append(_SENT + bytes(transaction))
        self.waiting[str(transaction.signatures[0])] = transaction

    def close_slot(self) -> Block:
        """Make a block of what waits. It is on the disk afterwards."""
        slot = next_slot(self.newest.slot)
        block = self._made(slot, max(self.newest.time_s, int(time.time())))
        self._journal.append(_CLOSED + _CLOSE.pack(slot, block.time_s, block.digest))
        self._take(block)
        return block

    def close(self) -> None:
        self._journal.close()

    def _replay(self) -> None:
        records = self._journal.records()
        _, first = next(records, (0, b""))
        if not first:
            self._journal.append(_GENESIS + GENESIS)
        elif first != _GENESIS + GENESIS:
            raise JournalDamagedError("the journal is of another chain; nothing was changed")
        for place, record in records:
            kind, content = record[:1], record[1:]
            if kind == _SENT:
                transaction = VersionedTransaction.from_bytes(content)
                self.waiting[str(transaction.signatures[0])] = transaction
            elif kind == _CLOSED and len(content) == _CLOSE.size:
                slot, time_s, digest = _CLOSE.unpack(content)
                block = self._made(slot, time_s)
                if block.digest != digest:
                    raise JournalDamagedError(
                        f"slot {slot} came out otherwise than it did; nothing was changed"
                    )
                self._take(block)
            else:
                raise JournalDamagedError(f"the record at {place} is of no kind that we write")

    def _made(self, slot: int, time_s: int) -> Block:
        """Run what waits. The machine's state is that after the block; what cannot pay its fee is dropped."""
        self._machine.set_clock(
            Clock(
                slot=slot, epoch_start_timestamp=0, epoch=0, leader_schedule_epoch=0, unix_timestamp=time_s,
            )
        )  # fmt: skip
        height = self.newest.height + 1
        executed: list[Executed] = []
        messages: set[Hash] = set()
        for transaction in self.waiting.values():
            what = _message_hash(transaction)
            is_new = not self.is_done(transaction) and what not in messages
            if is_new and self.is_valid(bytes(transaction.message.recent_blockhash), height):
                one = self._run(transaction)
                if one is not None:
                    executed.append(one)
                    messages.add(what)
        digest = hashlib.sha256(self.newest.digest + struct.pack("<QQ", slot, time_s))
        for one in executed:
            outcome = json.dumps([one.err, one.after_lamports]).encode()
            digest.update(hashlib.sha256(bytes(one.transaction)).digest() + hashlib.sha256(outcome).digest())
        return Block(slot, height, digest.digest(), time_s, tuple(executed))

    def _run(self, transaction: VersionedTransaction) -> Executed | None:
        keys = transaction.message.account_keys
        before = tuple(self._machine.get_balance(key) or 0 for key in keys)
        err = _error_of(self._machine.send_transaction(transaction))
        after = tuple(self._machine.get_balance(key) or 0 for key in keys)
        # LiteSVM tells of a fee even where it has taken none. Without one the transaction is in no block.
        if err is not None and before == after:
            return None
        return Executed(transaction, tuple(map(str, keys)), before, after, err)

    def _take(self, block: Block) -> None:
        self.place_of_slot[block.slot] = len(self.blocks)
        self.blocks.append(block)
        self._heights[block.digest] = block.height
        self.waiting.clear()
        final = self.behind("finalized")
        for one in block.transactions:
            self.slots_of[one.txid] = block.slot, one.err
            self._messages.add(_message_hash(one.transaction))
            for address, lamports in zip(one.accounts, one.after_lamports, strict=True):
                history = self._balances.setdefault(address, [])
                history.append((block.slot, lamports))
                while len(history) > 1 and history[1][0] <= final.slot:
                    del history[0]


def is_skipped(slot: int) -> bool:
    """Return whether a slot has no block: one in sixteen, about as many as on the real chain at its worst."""
    return slot % 16 == 7


def next_slot(slot: int) -> int:
    """Return the slot of the block above."""
    return slot + 2 if is_skipped(slot + 1) else slot + 1


def _message_hash(transaction: VersionedTransaction) -> Hash:
    return Message.hash_raw_message(bytes(transaction.message))


def _error_of(result: object) -> Any:
    # Only this way solders spells errors as nodes do.
    return json.loads(result.to_json())["err"] if isinstance(result, FailedTransactionMetadata) else None

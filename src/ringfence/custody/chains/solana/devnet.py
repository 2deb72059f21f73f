"""The development chain: the real virtual machine of Solana (LiteSVM), with slots, blocks and a journal of our own.

Transactions wait from when they are sent until the slot is closed, and run then, in the order in which they came.
What a call means, its answers and its errors are those of a real node.

What is otherwise than on the real chain: slots are closed when `ringfence_advance` says so; a transaction that waits
is not seen by the check before sending; lookup tables and durable nonces, which custody never uses, are refused;
priority fees are taken, but not foreseen by `getFeeForMessage`; nothing is ever pruned from memory.
"""

import base64
import hashlib
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from embit import base58
from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from ringfence.custody.chains.bitcoin.regtest.journal import Journal, JournalDamagedError
from ringfence.custody.chains.solana.addresses import AddressError, read_address, spelt
from ringfence.custody.chains.solana.faucet import (
    FAUCET_ADDRESS,
    FAUCET_LAMPORTS,
    GENESIS,
    GENESIS_HASH,
    faucet_payment,
)
from ringfence.custody.chains.solana.messages import MessageError
from ringfence.custody.chains.solana.rpc import (
    ALREADY_PROCESSED,
    BAD_PARAMS,
    BAD_SIGNATURE,
    NOT_YET,
    PREFLIGHT,
    SKIPPED,
)

BLOCKS_BEHIND = {"processed": 0, "confirmed": 1, "finalized": 2}
"""Behind the newest block; on the real chain the last is 32."""
BLOCKHASH_BLOCKS = 150
"""So many blocks after its own a blockhash is still taken, as on the real chain."""
SLOTS_PER_CALL_MAX = 10_000
BLOCKS_PER_CALL_MAX = 500_000
TRANSACTION_BYTES_MAX = 1_232
LAMPORTS_PER_SIGNATURE = 5_000
NO_METHOD, VERSION_NOT_KNOWN = -32601, -32015

_GENESIS, _SENT, _CLOSED = b"G", b"T", b"C"
_CLOSE = struct.Struct("<QQ32s")
"""Slot, time in seconds, blockhash."""


class CallError(Exception):
    """A call was refused, and did nothing."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


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


class Devnet:
    """Answers a node's calls. One call at a time: the server sees to that."""

    def __init__(self, directory: Path) -> None:
        """Open or create. Raises JournalDamagedError."""
        self.chain = Chain(directory)
        self._calls: dict[str, Callable[..., Any]] = {
            "getGenesisHash": lambda: GENESIS_HASH,
            "getHealth": lambda: "ok",
            "getSlot": self._slot,
            "getBlockHeight": self._block_height,
            "getLatestBlockhash": self._latest_blockhash,
            "isBlockhashValid": self._is_blockhash_valid,
            "getBalance": self._balance,
            "getFeeForMessage": self._fee_for_message,
            "getMinimumBalanceForRentExemption": self._rent_exempt,
            "sendTransaction": self._send,
            "getSignatureStatuses": self._statuses,
            "getBlock": self._block,
            "getBlocks": self._blocks,
            "requestAirdrop": self._airdrop,
            "ringfence_advance": self._advance,
        }

    def call(self, method: str, params: list[Any]) -> Any:
        """Answer a call. Raises CallError."""
        called = self._calls.get(method)
        if called is None:
            raise CallError(NO_METHOD, "Method not found")
        try:
            return called(*params)
        except (AddressError, MessageError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise CallError(BAD_PARAMS, f"Invalid params: {error}") from error

    def close(self) -> None:
        self.chain.close()

    # ---- the chain

    def _slot(self, how: dict[str, Any] | None = None) -> int:
        return self._behind(how).slot

    def _block_height(self, how: dict[str, Any] | None = None) -> int:
        return self._behind(how).height

    def _latest_blockhash(self, how: dict[str, Any] | None = None) -> dict[str, Any]:
        block = self._behind(how)
        last = block.height + BLOCKHASH_BLOCKS
        return _as_of(block, {"blockhash": spelt(block.digest), "lastValidBlockHeight": last})

    def _is_blockhash_valid(self, blockhash: str, how: dict[str, Any] | None = None) -> dict[str, Any]:
        block = self._behind(how)
        return _as_of(block, self.chain.is_valid(read_address(blockhash), block.height))

    def _blocks(self, first: int, last: int | None = None, how: dict[str, Any] | None = None) -> list[int]:
        newest = self._behind(how)
        end = newest.slot if last is None else last
        if end - first > BLOCKS_PER_CALL_MAX:
            raise CallError(BAD_PARAMS, f"Slot range too large; max {BLOCKS_PER_CALL_MAX}")
        return [slot for slot in range(max(first, 0), min(end, newest.slot) + 1) if not is_skipped(slot)]

    def _block(self, slot: int, how: dict[str, Any] | None = None) -> dict[str, Any]:
        how = how or {}
        encoding = how.get("encoding", "json")
        if encoding not in ("json", "base64") or how.get("transactionDetails", "full") != "full":
            raise CallError(BAD_PARAMS, "This node tells of whole blocks in json and base64 alone")
        place = self.chain.place_of_slot.get(slot)
        if place is None and 0 <= slot < self.chain.newest.slot:
            raise CallError(
                SKIPPED, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot"
            )
        if place is None or slot > self._behind(how).slot:
            raise CallError(NOT_YET, f"Block not available for slot {slot}")
        block, parent = self.chain.blocks[place], self.chain.blocks[max(place - 1, 0)]
        return {
            "blockhash": spelt(block.digest), "previousBlockhash": spelt(parent.digest), "parentSlot": parent.slot,
            "blockHeight": block.height, "blockTime": block.time_s,
            "transactions": [_told(one, encoding=encoding) for one in block.transactions],
        }  # fmt: skip

    def _advance(self, slots: int = 1) -> int:
        if not 0 <= slots <= SLOTS_PER_CALL_MAX:
            raise CallError(BAD_PARAMS, f"at most {SLOTS_PER_CALL_MAX} slots are closed in one call")
        for _ in range(slots):
            self.chain.close_slot()
        return self.chain.newest.slot

    # ---- accounts

    def _balance(self, address: str, how: dict[str, Any] | None = None) -> dict[str, Any]:
        block = self._behind(how)
        return _as_of(block, self.chain.lamports(spelt(read_address(address)), block))

    def _rent_exempt(self, data_bytes: int, _how: dict[str, Any] | None = None) -> int:
        return self.chain.rent_exempt_lamports(data_bytes)

    # ---- transactions

    def _fee_for_message(self, encoded: str, how: dict[str, Any] | None = None) -> dict[str, Any]:
        message = from_bytes_versioned(base64.b64decode(encoded, validate=True))
        block = self._behind(how)
        if not self.chain.is_valid(bytes(message.recent_blockhash), block.height):
            return _as_of(block, None)
        return _as_of(block, message.header.num_required_signatures * LAMPORTS_PER_SIGNATURE)

    def _send(self, encoded: str, how: dict[str, Any] | None = None) -> str:
        how = how or {}
        if how.get("encoding") != "base64":
            raise CallError(BAD_PARAMS, "This node reads base64 alone")
        raw = base64.b64decode(encoded, validate=True)
        if len(raw) > TRANSACTION_BYTES_MAX:
            raise CallError(BAD_PARAMS, f"{len(raw)} bytes are more than {TRANSACTION_BYTES_MAX}")
        return self._sent(_decoded(raw), is_checked=not how.get("skipPreflight", False))

    def _airdrop(self, address: str, lamports: int, _how: dict[str, Any] | None = None) -> str:
        raw = faucet_payment(address, lamports, self.chain.newest.digest)
        return self._sent(_decoded(raw), is_checked=True)

    def _sent(self, transaction: VersionedTransaction, *, is_checked: bool) -> str:
        txid = str(transaction.signatures[0])
        if txid in self.chain.waiting:
            return txid
        if is_checked:
            err, logs = self.chain.error_before(transaction)
            if err == "SignatureFailure":
                raise CallError(BAD_SIGNATURE, "Transaction signature verification failure")
            if err is not None:
                word = err if isinstance(err, str) else json.dumps(err)
                raise CallError(
                    PREFLIGHT, f"Transaction simulation failed: {word}", {"err": err, "logs": logs}
                )
        if not self.chain.is_done(transaction):
            self.chain.send(transaction)
        return txid

    def _statuses(self, txids: list[str], _how: dict[str, Any] | None = None) -> dict[str, Any]:
        return _as_of(self.chain.newest, [self._status(txid) for txid in txids])

    def _status(self, txid: str) -> dict[str, Any] | None:
        if txid not in self.chain.slots_of:
            return None
        slot, err = self.chain.slots_of[txid]
        how = next(how for how in reversed(BLOCKS_BEHIND) if slot <= self.chain.behind(how).slot)
        above = self.chain.newest.height - self.chain.blocks[self.chain.place_of_slot[slot]].height
        return {
            "slot": slot, "confirmations": None if how == "finalized" else above, "err": err,
            "status": {"Ok": None} if err is None else {"Err": err}, "confirmationStatus": how,
        }  # fmt: skip

    def _behind(self, how: dict[str, Any] | None) -> Block:
        commitment = (how or {}).get("commitment", "finalized")
        if commitment not in BLOCKS_BEHIND:
            raise CallError(BAD_PARAMS, f"{commitment} is no commitment")
        return self.chain.behind(commitment)


def is_skipped(slot: int) -> bool:
    """Return whether a slot has no block: one in sixteen, about as many as on the real chain at its worst."""
    return slot % 16 == 7


def next_slot(slot: int) -> int:
    """Return the slot of the block above."""
    return slot + 2 if is_skipped(slot + 1) else slot + 1


def _message_hash(transaction: VersionedTransaction) -> Hash:
    return Message.hash_raw_message(bytes(transaction.message))


def _decoded(raw: bytes) -> VersionedTransaction:
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
    except Exception as error:  # solders raises bare ones
        raise CallError(BAD_PARAMS, f"failed to deserialize the transaction: {error}") from error
    if bytes(transaction) != raw:
        raise CallError(BAD_PARAMS, "failed to deserialize the transaction: bytes that do not belong to it")
    message = transaction.message
    if not isinstance(message, Message) and not (
        isinstance(message, MessageV0) and not message.address_table_lookups
    ):
        raise CallError(VERSION_NOT_KNOWN, "This node takes no lookup tables, and no version above 0")
    return transaction


def _error_of(result: object) -> Any:
    # Only this way solders spells errors as nodes do.
    return json.loads(result.to_json())["err"] if isinstance(result, FailedTransactionMetadata) else None


def _as_of(block: Block, value: object) -> dict[str, Any]:
    return {"context": {"slot": block.slot}, "value": value}


def _told(one: Executed, *, encoding: str) -> dict[str, Any]:
    """Return a transaction as `getBlock` tells of it."""
    raw = base64.b64encode(bytes(one.transaction)).decode()
    return {
        "transaction": _told_parts(one) if encoding == "json" else [raw, "base64"],
        "version": "legacy" if isinstance(one.transaction.message, Message) else 0,
        "meta": {
            "err": one.err, "status": {"Ok": None} if one.err is None else {"Err": one.err},
            "fee": one.fee_lamports, "preBalances": one.before_lamports, "postBalances": one.after_lamports,
            "preTokenBalances": [], "postTokenBalances": [], "innerInstructions": None, "logMessages": None,
            "loadedAddresses": {"writable": [], "readonly": []},
        },
    }  # fmt: skip


def _told_parts(one: Executed) -> dict[str, Any]:
    message = one.transaction.message
    return {
        "signatures": [str(signature) for signature in one.transaction.signatures],
        "message": {
            "accountKeys": one.accounts, "recentBlockhash": str(message.recent_blockhash),
            "header": {
                "numRequiredSignatures": message.header.num_required_signatures,
                "numReadonlySignedAccounts": message.header.num_readonly_signed_accounts,
                "numReadonlyUnsignedAccounts": message.header.num_readonly_unsigned_accounts,
            },
            "instructions": [
                {
                    "programIdIndex": instruction.program_id_index, "accounts": list(instruction.accounts),
                    "data": base58.encode(instruction.data), "stackHeight": None,
                }
                for instruction in message.instructions
            ],
        },
    }  # fmt: skip

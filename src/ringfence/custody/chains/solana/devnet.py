"""The development chain's calls. What one means, its answers and its errors are those of a real node.

What is otherwise than on the real chain: slots are closed when `ringfence_advance` says so; a transaction that waits
is not seen by the check before sending; lookup tables and durable nonces, which custody never uses, are refused;
priority fees are taken, but not foreseen by `getFeeForMessage`.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embit import base58
from solders.message import Message, MessageV0, from_bytes_versioned
from solders.transaction import VersionedTransaction

from ringfence.custody.chains.loopback_server import CallError
from ringfence.custody.chains.solana.addresses import AddressError, read_address, spelt
from ringfence.custody.chains.solana.chain import (
    BLOCKHASH_BLOCKS,
    BLOCKS_BEHIND,
    Block,
    Chain,
    Executed,
    is_skipped,
)
from ringfence.custody.chains.solana.faucet import GENESIS_HASH, faucet_payment
from ringfence.custody.chains.solana.messages import MessageError
from ringfence.custody.chains.solana.rpc import BAD_PARAMS, BAD_SIGNATURE, NOT_YET, PREFLIGHT, SKIPPED

SLOTS_PER_CALL_MAX = 10_000
BLOCKS_PER_CALL_MAX = 500_000
TRANSACTION_BYTES_MAX = 1_232
LAMPORTS_PER_SIGNATURE = 5_000
NO_METHOD, VERSION_NOT_KNOWN = -32601, -32015


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

"""A Solana node's JSON-RPC: the calls that we make, to a real node and to the development chain alike.

One call is one POST over a connection that is kept. Nothing is retried here except on a connection that the node
had closed before it got the request: whoever calls knows whether the same call twice is the same thing.
"""

import base64
import json
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from solders.signature import Signature

from ringfence.custody.chains.accounts import NodeError, TransactionRefusedError, reading
from ringfence.custody.chains.http_line import HttpLine, LineError
from ringfence.custody.chains.solana.addresses import read_address, spelt

Commitment = Literal["processed", "confirmed", "finalized"]
"""How sure a node is of what it says. Nothing that is finalized is ever taken back."""

ANSWER_BYTES_MAX = 64 << 20
"""A full block of the main chain has some 5 MB."""
LAMPORTS_MAX = 2**64 - 1
ALREADY_PROCESSED = "AlreadyProcessed"
PREFLIGHT, BAD_SIGNATURE, BAD_PARAMS = -32002, -32003, -32602
NOT_YET, SKIPPED, SKIPPED_OR_LOST = -32004, -32007, -32009
_REFUSED = {PREFLIGHT, BAD_SIGNATURE, BAD_PARAMS, -32006, -32013, -32015}
"""With these the node says that it has not sent a transaction; the last three: precompiles, length, version."""


class NodeRefusedError(NodeError):
    """The node said no, for the reason in the text; nothing was done. Numbers are Solana's."""

    def __init__(self, method: str, code: int, message: str, reason: object) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code, self.reason = code, reason


class Latest(NamedTuple):
    """A blockhash, and up to which block a transaction that has it can be taken."""

    blockhash: bytes
    last_valid_block_height: int


class Status(NamedTuple):
    """What became of a transaction."""

    slot: int
    is_final: bool
    is_failed: bool
    """It has done nothing but pay its fee."""


class BalanceChanges(NamedTuple):
    """A transaction in a block, by what the accounts in it had before and after it."""

    txid: str
    accounts: tuple[str, ...]
    """The first one has paid the fee."""
    before_lamports: tuple[int, ...]
    after_lamports: tuple[int, ...]
    fee_lamports: int
    is_failed: bool


class SolanaBlock(NamedTuple):
    """A block as the node tells of it."""

    slot: int
    blockhash: str
    parent: str
    """Blockhash of the block below."""
    transactions: tuple[BalanceChanges, ...]


class SolanaRpc:
    """One connection to a node. Not for two threads at once. Everything raises NodeError."""

    def __init__(self, url: str, *, seconds: float = 10.0) -> None:
        """Take a node's address, http or https. Raises ValueError. Nothing is connected yet."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a node's address begins with http:// or https:// and names a host")
        self._line = HttpLine(parts.hostname, parts.port, seconds=seconds, is_https=parts.scheme == "https")
        # Providers put keys into the path: it is never part of an error's text.
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._calls = 0

    def close(self) -> None:
        self._line.close()

    # ---- the chain

    def genesis_hash(self) -> str:
        """Return which chain this is."""
        found = self.call("getGenesisHash")
        with reading("getGenesisHash"):
            return spelt(_hash(found))

    def slot(self, commitment: Commitment = "finalized") -> int:
        """Return the newest slot that has a block."""
        found = self.call("getSlot", {"commitment": commitment})
        with reading("getSlot"):
            return _whole(found)

    def block_height(self, commitment: Commitment = "finalized") -> int:
        """Return how many blocks are below the newest one: slots that were skipped do not count."""
        found = self.call("getBlockHeight", {"commitment": commitment})
        with reading("getBlockHeight"):
            return _whole(found)

    def block_slots(self, first: int, last: int) -> list[int]:
        """Return which of these slots, both ends included, have a block that is final."""
        found = self.call("getBlocks", first, last, {"commitment": "finalized"})
        with reading("getBlocks"):
            slots = [_whole(slot) for slot in _listed(found)]
            if slots != sorted(set(slots)) or (slots and not first <= slots[0] <= slots[-1] <= last):
                raise ValueError(f"slots that were not asked for, or not in order: {slots[:5]}")
            return slots

    def block(self, slot: int) -> SolanaBlock | None:
        """Return the final block of a slot; None if the slot was skipped, or the node has forgotten it."""
        how = {
            "commitment": "finalized", "encoding": "json", "transactionDetails": "full", "rewards": False,
            "maxSupportedTransactionVersion": 0,
        }  # fmt: skip
        try:
            found = self.call("getBlock", slot, how)
        except NodeRefusedError as error:
            if error.code in (SKIPPED, SKIPPED_OR_LOST):
                return None
            raise
        if found is None:
            return None
        with reading("getBlock"):
            return SolanaBlock(
                slot, spelt(_hash(found["blockhash"])), spelt(_hash(found["previousBlockhash"])),
                tuple(map(_balance_changes, _listed(found["transactions"]))),
            )  # fmt: skip

    # ---- accounts

    def balance_lamports(self, address: str, commitment: Commitment = "finalized") -> int:
        found = self.call("getBalance", address, {"commitment": commitment})
        with reading("getBalance"):
            return _whole(found["value"])

    def rent_exempt_lamports(self) -> int:
        """Return the least that an account without data must hold, if it holds anything."""
        found = self.call("getMinimumBalanceForRentExemption", 0)
        with reading("getMinimumBalanceForRentExemption"):
            return _whole(found)

    # ---- transactions

    def latest_blockhash(self, commitment: Commitment = "finalized") -> Latest:
        found = self.call("getLatestBlockhash", {"commitment": commitment})
        with reading("getLatestBlockhash"):
            value = found["value"]
            return Latest(_hash(value["blockhash"]), _whole(value["lastValidBlockHeight"]))

    def is_blockhash_valid(self, blockhash: bytes, commitment: Commitment = "finalized") -> bool:
        """Return whether a transaction with a blockhash may still be taken after the newest block."""
        found = self.call("isBlockhashValid", spelt(blockhash), {"commitment": commitment})
        with reading("isBlockhashValid"):
            if not isinstance(found["value"], bool):
                raise ValueError("neither yes nor no")
            return found["value"]

    def fee_lamports(self, message: bytes) -> int:
        """Return what the network takes for a message. Raises TransactionRefusedError for an old blockhash."""
        found = self.call("getFeeForMessage", base64.b64encode(message).decode(), {"commitment": "confirmed"})
        with reading("getFeeForMessage"):
            if found["value"] is None:
                raise TransactionRefusedError("getFeeForMessage: the blockhash is too old, or not known yet")
            return _whole(found["value"])

    def send(self, raw: bytes) -> str:
        """Send a signed transaction, return its id. Sending the very same again is the same as once.

        Raises TransactionRefusedError if the node says that it has not sent it.
        """
        txid = txid_of(raw)
        how = {"encoding": "base64", "preflightCommitment": "confirmed"}
        try:
            found = self.call("sendTransaction", base64.b64encode(raw).decode(), how)
        except NodeRefusedError as error:
            if error.reason == ALREADY_PROCESSED:
                return txid
            if error.code in _REFUSED:
                raise TransactionRefusedError(f"{error}; reason: {error.reason}") from error
            raise
        if found != txid:
            raise NodeError(f"sendTransaction: {txid} was sent, and the node calls it {str(found)[:100]!r}")
        return txid

    def status(self, txid: str) -> Status | None:
        """Return what became of a transaction; None if no block that the node knows has it."""
        found = self.call("getSignatureStatuses", [txid], {"searchTransactionHistory": True})
        with reading("getSignatureStatuses"):
            (told,) = _listed(found["value"])
            if told is None:
                return None
            how = told["confirmationStatus"]
            if how not in ("processed", "confirmed", "finalized"):
                raise ValueError(f"{how!r} is no commitment")
            return Status(_whole(told["slot"]), how == "finalized", told["err"] is not None)

    # ---- the development chain alone

    def advance(self, slots: int = 1) -> int:
        """Let the development chain close so many slots, each into a block; return the newest one's slot."""
        found = self.call("ringfence_advance", slots)
        with reading("ringfence_advance"):
            return _whole(found)

    # ---- any call

    def call(self, method: str, *params: object) -> Any:
        """Make a call. Raises NodeError, and of these NodeRefusedError if the node has said no."""
        self._calls += 1
        question = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        body = json.dumps(question).encode()
        try:
            status, content = self._line.post(self._path, body, answer_bytes_max=ANSWER_BYTES_MAX)
        except LineError as silence:
            raise NodeError(f"{method}: {silence}") from silence
        with reading(method):
            if status != HTTPStatus.OK:
                raise NodeError(f"{method}: the node answers with HTTP {status}")
            answer = json.loads(content)
            if answer["id"] != self._calls:
                raise ValueError("the answer to another question")
            error = answer.get("error")
            if error is None:
                return answer["result"]
            data = error.get("data")
            reason = data.get("err") if isinstance(data, dict) else None
            if not isinstance(error["code"], int):
                raise ValueError(f"{error['code']!r:.100} is no number of an error")
            raise NodeRefusedError(method, error["code"], str(error["message"])[:500], reason)


def txid_of(raw: bytes) -> str:
    """Return the id of a signed transaction: the first of its signatures."""
    assert len(raw) > 65, "the number of signatures and the first one"
    return str(Signature.from_bytes(raw[1:65]))


def _balance_changes(told: dict[str, Any]) -> BalanceChanges:
    transaction, meta = told["transaction"], told["meta"]
    accounts = list(_listed(transaction["message"]["accountKeys"]))
    # Accounts out of lookup tables count on after those that the transaction itself names.
    loaded = meta.get("loadedAddresses")
    if loaded is not None:
        accounts += [*_listed(loaded["writable"]), *_listed(loaded["readonly"])]
    before = tuple(_whole(lamports) for lamports in _listed(meta["preBalances"]))
    after = tuple(_whole(lamports) for lamports in _listed(meta["postBalances"]))
    if not accounts or not len(accounts) == len(before) == len(after):
        raise ValueError(f"{len(accounts)} accounts, {len(before)} and {len(after)} balances")
    txid = str(Signature.from_string(transaction["signatures"][0]))
    fee_lamports, is_failed = _whole(meta["fee"]), meta["err"] is not None
    return BalanceChanges(txid, tuple(map(_text, accounts)), before, after, fee_lamports, is_failed)


def _hash(found: object) -> bytes:
    """Return a blockhash: like an address it has 32 bytes, in base58."""
    return read_address(_text(found))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise ValueError(f"{found!r:.100} is no text")
    return found


def _whole(found: object) -> int:
    """Return a number of lamports or of slots, which a node counts in 64 bits."""
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= LAMPORTS_MAX:
        raise ValueError(f"{found!r:.100} is no whole number of 64 bits")
    return found


def _listed(found: object) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError(f"{found!r:.100} is no list")
    return found

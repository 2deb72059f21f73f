"""An Ethereum node's JSON-RPC: the calls that we make, to a real node and to the development chain alike.

One call, or one batch of them, is one POST over a connection that is kept. Nothing is retried here except on a
connection that the node had closed before it got the request: all that we send may be sent twice. Answers and
requests are bounded, redirects are not followed, numbers are taken only in the one spelling that the execution API
allows, and addresses leave here in the one that `addresses.py` takes.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from ringfence.custody.chains.accounts import NodeError, TransactionRefusedError, reading
from ringfence.custody.chains.ethereum.addresses import ADDRESS_BYTES, read_address, spelt
from ringfence.custody.chains.ethereum.transactions import transaction_hash
from ringfence.custody.chains.http_line import HttpLine, LineError

ANSWER_BYTES_MAX = 64 << 20
"""The traces of a full block have some megabytes."""
REQUEST_BYTES_MAX = 4 << 20
PRIORITY_FEE_WEI_MIN = 10**9
"""Whoever makes the block gets at least this for a unit of gas, whatever the node proposes. A transfer of a token
costs 0.00007 ETH by it, and none is left lying because calm blocks had made the node propose next to nothing."""
BALANCE_OF = bytes.fromhex("70a08231")
_WORD_BYTES = 32
_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})")
_DIGEST = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

Tag = Literal["latest", "safe", "finalized", "earliest"]
Call = tuple[str, tuple[object, ...]]
"""A method and its parameters."""


class NodeRefusedError(NodeError):
    """The node said no, for the reason in the text; nothing was done. Numbers differ between nodes."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code, self.message = code, message


class Header(NamedTuple):
    """What is known of a block without looking into it."""

    height: int
    digest: str
    parent: str
    """Digest of the block below."""
    timestamp_s: int
    base_fee_wei: int
    """For a unit of gas; it is burnt."""
    transactions: int
    """How many are in it."""


class Fee(NamedTuple):
    """What a unit of gas costs in the next block."""

    base_fee_wei: int
    priority_fee_wei: int
    """For whoever makes the block, on top."""


class EthereumRpc:
    """One connection to a node. Not for two threads at once. Every failure is a NodeError."""

    def __init__(self, url: str, *, seconds: float = 10.0) -> None:
        """Nothing is connected yet. Raises ValueError for a URL that is not `http://HOST:PORT/`.

        seconds: how long the node may be silent.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not the URL of a node: http://HOST:PORT/")
        self._line = HttpLine(parts.hostname, parts.port or 80, seconds=seconds)
        self._path = parts.path or "/"
        self._calls = 0

    def close(self) -> None:
        self._line.close()

    # ---- the chain

    def chain_id(self) -> int:
        return self._number("eth_chainId")

    def block_number(self) -> int:
        return self._number("eth_blockNumber")

    def header(self, at: int | Tag) -> Header | None:
        """Return a block of the chain without what is in it; None if the node has none there."""
        found = self.call("eth_getBlockByNumber", _place(at), False)
        return None if found is None else read_header(found)

    def nonce(self, address: str, tag: Literal["latest", "pending"]) -> int:
        """Return how many transactions an address has sent: in blocks, or with those that wait in their turn."""
        return self._number("eth_getTransactionCount", _known(address), tag)

    def balance_wei(self, address: str, at: int | Tag) -> int:
        return self._number("eth_getBalance", _known(address), _place(at))

    def token_raw(self, contract: str, address: str, at: int | Tag) -> int:
        """Return how much of a token lies at an address. Raises NodeError if there is no such contract."""
        data = BALANCE_OF + read_address(address).rjust(_WORD_BYTES, b"\0")
        asked = {"to": _known(contract), "data": f"0x{data.hex()}"}
        found = self.call("eth_call", asked, _place(at))
        with reading("eth_call"):
            if not isinstance(found, str) or not _DIGEST.fullmatch(found):
                raise ValueError(f"{contract} answers {found!r:.80} where a token tells a balance")
            return int(found, 16)

    # ---- transactions

    def gas_estimate(self, sender: str, to: str, *, value_wei: int = 0, data: bytes = b"") -> int:
        """Return how much gas a transaction would need. Raises NodeRefusedError if it would fail."""
        asked = {
            "from": _known(sender),
            "to": _known(to),
            "value": hex(value_wei),
            "data": f"0x{data.hex()}",
        }
        return self._number("eth_estimateGas", asked)

    def fee(self) -> Fee:
        """Return what gas costs in the next block: its base fee, and what the node proposes on top of it."""
        history, priority = self.batch(
            [("eth_feeHistory", ("0x1", "latest", ())), ("eth_maxPriorityFeePerGas", ())]
        )
        with reading("eth_feeHistory"):
            # The last is of the block to come. anvil has no other just after it has loaded its state.
            *_, next_base_fee = history["baseFeePerGas"]
            return Fee(quantity(next_base_fee), max(quantity(priority), PRIORITY_FEE_WEI_MIN))

    def send(self, raw: bytes) -> str:
        """Send a signed transaction and return its id. One that the node has already is the same as sent.

        Raises TransactionRefusedError. After any other NodeError the node may have got it: send it again.
        """
        txid = f"0x{transaction_hash(raw).hex()}"
        try:
            told = self.call("eth_sendRawTransaction", f"0x{raw.hex()}")
        except NodeRefusedError as error:
            # Nodes call it `already known`, or `nonce too low` once it is in a block, each in words of its own.
            if self.is_known(txid):
                return txid
            raise TransactionRefusedError(error.message) from error
        with reading("eth_sendRawTransaction"):
            if told != txid:
                raise ValueError(f"sent {txid}, the node calls it {told!r:.80}")
        return txid

    def is_known(self, txid: str) -> bool:
        """Return whether the node has a transaction, in a block or waiting for one."""
        found = self.call("eth_getTransactionByHash", txid)
        with reading("eth_getTransactionByHash"):
            if found is not None and found["hash"] != txid:
                raise ValueError(f"asked for transaction {txid}, got {found['hash']!r:.80}")
        return found is not None

    # ---- development chains alone

    def mine(self, blocks: int = 1) -> None:
        """Make blocks, the first of them with everything that waits."""
        self.batch([("evm_mine", ())] * blocks)

    # ---- any call

    def call(self, method: str, *params: object) -> Any:
        """Make a call. Raises NodeError, or NodeRefusedError if the node says no."""
        question = self._question((method, params))
        return _result(method, question, self._exchange(method, question))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Make several calls at once; return their results in the same order. Raises as `call`, for any of them."""
        if not calls:
            return []  # nodes refuse to be asked for nothing
        name = calls[0][0] if len(calls) == 1 else f"{len(calls)} calls from {calls[0][0]} on"
        questions = [self._question(call) for call in calls]
        answers = self._exchange(name, questions)
        if isinstance(answers, dict) and "error" in answers:
            _result(name, {"id": answers.get("id")}, answers)
        with reading(name):
            told = {answer["id"]: answer for answer in answers}
            if len(answers) != len(calls):
                raise ValueError(f"{len(answers)} answers")
            return [
                _result(question["method"], question, told[question["id"]])
                for question in questions
            ]  # fmt: skip

    def _question(self, call: Call) -> dict[str, Any]:
        self._calls += 1
        return {"jsonrpc": "2.0", "id": self._calls, "method": call[0], "params": call[1]}

    def _exchange(self, name: str, asked: object) -> Any:
        body = json.dumps(asked).encode()
        if len(body) > REQUEST_BYTES_MAX:
            raise NodeError(f"{name}: {len(body)} bytes are more than we ask; nothing was sent")
        try:
            status, content = self._line.post(self._path, body, answer_bytes_max=ANSWER_BYTES_MAX)
        except LineError as silence:
            raise NodeError(f"{name}: {silence}") from silence
        if status != HTTPStatus.OK:
            raise NodeError(f"{name}: HTTP {status} with {content[:100]!r}; nothing was taken from it")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise NodeError(f"{name}: {content[:100]!r} is no answer; nothing was taken from it") from error

    def _number(self, method: str, *params: object) -> int:
        found = self.call(method, *params)
        with reading(method):
            return quantity(found)


def quantity(found: object) -> int:
    """Return a number of up to 256 bits as nodes spell it: 0x, no zeros in front. Raises ValueError."""
    if not isinstance(found, str) or not _QUANTITY.fullmatch(found):
        raise ValueError(f"{found!r:.80} is no quantity")
    return int(found, 16)


def digest_in(found: object) -> str:
    """Return the digest of a block, or the id of a transaction: 0x and 64 digits. Raises ValueError."""
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise ValueError(f"{found!r:.80} is no digest")
    return found


def address_in(found: object) -> str:
    """Return an address in its canonical spelling. Nodes spell it as they like. Raises ValueError."""
    if not isinstance(found, str) or not _ADDRESS.fullmatch(found):
        raise ValueError(f"{found!r:.80} is no address")
    return _spelt(found.lower())


@lru_cache(maxsize=65_536)
def _spelt(digits: str) -> str:
    """The capitals are a hash; blocks name the same few thousand addresses over and over."""
    return spelt(bytes.fromhex(digits[-2 * ADDRESS_BYTES :]))


def read_header(found: Any) -> Header:
    """Return the header of a block that a node has told. Raises NodeError."""
    with reading("eth_getBlockByNumber"):
        transactions = found["transactions"]
        if not isinstance(transactions, list):
            raise TypeError("a block's transactions are a list")
        return Header(
            height=quantity(found["number"]),
            digest=digest_in(found["hash"]),
            parent=digest_in(found["parentHash"]),
            timestamp_s=quantity(found["timestamp"]),
            base_fee_wei=quantity(found["baseFeePerGas"]),
            transactions=len(transactions),
        )


def _result(method: str, question: dict[str, Any], answer: Any) -> Any:
    with reading(method):
        if answer["id"] != question["id"]:
            raise ValueError(f"an answer to question {answer['id']!r:.20}")
        error = answer.get("error")
        if error is None:
            return answer["result"]
        code, message = int(error["code"]), str(error["message"])
    raise NodeRefusedError(method, code, message)


def _known(address: str) -> str:
    """Raises AddressError: a mistyped address is our mistake, and is not asked for."""
    read_address(address)
    return address


def _place(at: int | Tag) -> str:
    return hex(at) if isinstance(at, int) else at

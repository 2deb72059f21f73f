"""Blocks of an Ethereum chain with what is in them for us: ETH however it moved, tokens that are listed, fees.

ETH moves by transactions, and by contracts in the middle of one, of which no transaction and no log tells: an
exchange's customers do pay from contracts. So each block is read together with its traces (`trace_block`), which the
node must offer, and with its receipts, which tell the fees and the tokens' logs.

What is received is named by its transaction and a number within it that no reorganisation changes, even if the
transaction comes again elsewhere:

| number              | movement                                                                               |
|---------------------|----------------------------------------------------------------------------------------|
| 2 * i               | the transaction's i-th trace that moved ETH, whoever's, counted from 0                  |
| 2 * i + 1           | the transaction's i-th log, of whatever contract, counted from 0                        |

What comes without a transaction is named by the digest of its block instead, which no transaction has: 0 are the
fees of the block if an address of ours gets them, 1 + i is the withdrawal from the beacon chain with index i.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ringfence.custody.chains.accounts import (
    AccountBlock,
    Leg,
    NodeError,
    Received,
    Spent,
    Tip,
    WrongChainError,
    reading,
)
from ringfence.custody.chains.ethereum.addresses import spelt
from ringfence.custody.chains.ethereum.rpc import (
    EthereumRpc,
    Header,
    address_in,
    digest_in,
    quantity,
    read_header,
)

BLOCKS_PER_BATCH = 16
"""How many blocks are asked for at once when we are behind."""
TRANSFER_EVENT = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak256("Transfer(address,address,uint256)"): an ERC-20 token's log of a movement."""
WEI_PER_GWEI = 10**9
_WORD_DIGITS = 64
_ADDRESS_DIGITS = 40


class _Movement(NamedTuple):
    """Coins that have gone from one address to another within a transaction."""

    output: int
    source: str
    to: str
    asset: str
    raw: int


class _Transaction(NamedTuple):
    """What a transaction has done, whoever it is about."""

    txid: str
    sender: str
    nonce: int
    fee_wei: int
    is_failed: bool
    movements: tuple[_Movement, ...]
    """ETH in the order of the traces, then tokens in the order of the logs."""


class EthereumBlocks:
    """A node's chain. Not for two threads at once."""

    def __init__(self, rpc: EthereumRpc, *, chain_id: int, tokens: Mapping[bytes, str], native: str) -> None:
        """tokens: currency by the address of its contract. native: the currency of the chain's own coin."""
        self._rpc, self._chain_id, self._native = rpc, chain_id, native
        self._tokens = {spelt(contract): currency for contract, currency in tokens.items()}
        self._tip_height = 0
        self._ahead: dict[int, Any] = {}
        """Blocks that were asked for in one batch with those before them, since the tip was last looked at."""

    def tip(self) -> Tip:
        chain_id, latest = self._rpc.batch([("eth_chainId", ()), ("eth_getBlockByNumber", ("latest", False))])
        with reading("eth_chainId"):
            if (found := quantity(chain_id)) != self._chain_id:
                raise WrongChainError(f"the node's chain is {found}, ours is {self._chain_id}")
        header = read_header(latest)
        self._tip_height = header.height
        self._ahead = {}
        return Tip(header.height, header.digest)

    def final_height(self) -> int:
        """Return the height of the block that the chain has finalised, 0 as long as it has none."""
        header = self._rpc.header("finalized")
        return 0 if header is None else header.height

    def block(self, height: int, *, is_ours: Callable[[str], bool]) -> AccountBlock:
        """Return a block. Raises NodeError also if the chain changed while it was read: ask again."""
        found = self._read(height)
        header = read_header(found)
        if header.height != height:
            raise NodeError(f"asked for block {height}, got {header.height}; nothing was taken from it")
        with reading(f"block {height}"):
            given = self._withdrawn(header, found.get("withdrawals") or ())
            transactions: list[_Transaction] = []
            if header.transactions:
                traces, receipts = self._rpc.batch(
                    [("trace_block", (hex(height),)), ("eth_getBlockReceipts", (header.digest,))]
                )
                _check_receipts(header, found["transactions"], receipts)
                given.append(self._rewarded(header, address_in(found["miner"]), receipts))
                transactions = self._transactions(header, found["transactions"], traces, receipts)
        received = [one for one in given if one.raw and is_ours(one.address)]
        spent: list[Spent] = []
        for one in transactions:
            received += _received(one, height, is_ours)
            spent += _spent(one, height, is_ours)
        return AccountBlock(height, header.digest, header.parent, tuple(received), tuple(spent))

    def _read(self, height: int) -> Any:
        if height not in self._ahead:
            heights = range(height, max(height, min(height + BLOCKS_PER_BATCH - 1, self._tip_height)) + 1)
            found = self._rpc.batch([("eth_getBlockByNumber", (hex(one), True)) for one in heights])
            self._ahead = dict(zip(heights, found, strict=True))
        if (block := self._ahead.pop(height)) is None:
            # Never passed over as if the slot were empty: heights of this chain have no gaps.
            raise NodeError(f"the node has no block {height}; nothing was taken from it")
        return block

    def _transactions(
        self, header: Header, transactions: list[Any], traces: list[Any], receipts: list[Any]
    ) -> list[_Transaction]:
        moved = self._native_movements(header, traces)
        if moved.keys() != {transaction["hash"] for transaction in transactions}:
            raise ValueError("the traces are not those of the block's transactions")
        return [
            _Transaction(
                txid=transaction["hash"],
                sender=address_in(transaction["from"]),
                nonce=quantity(transaction["nonce"]),
                fee_wei=quantity(receipt["gasUsed"]) * quantity(receipt["effectiveGasPrice"]),
                is_failed=quantity(receipt["status"]) == 0,
                movements=(*moved[transaction["hash"]], *self._token_movements(receipt)),
            )
            for transaction, receipt in zip(transactions, receipts, strict=True)
        ]

    def _native_movements(self, header: Header, traces: Iterable[Any]) -> dict[str, list[_Movement]]:
        """Return how ETH has moved, by transaction. What was undone with the call that it was part of has not."""
        moved: dict[str, list[_Movement]] = {}
        undone: set[tuple[str, tuple[int, ...]]] = set()
        for trace in traces:
            if digest_in(trace["blockHash"]) != header.digest:
                raise ValueError("the chain changed while the block was read")
            if trace["type"] == "reward":
                continue  # of the time before proof of stake: there is no transaction, and none is ours
            txid, path = digest_in(trace["transactionHash"]), tuple(map(int, trace["traceAddress"]))
            within = moved.setdefault(txid, [])
            # A call's trace comes before those of the calls that it makes.
            if trace.get("error") is not None or (path and (txid, path[:-1]) in undone):
                undone.add((txid, path))
                continue
            source, to, raw = _movement_of(trace)
            if raw:
                within.append(_Movement(2 * len(within), source, to, self._native, raw))
        return moved

    def _token_movements(self, receipt: Any) -> list[_Movement]:
        movements = []
        for position, log in enumerate(receipt["logs"]):
            asset = self._tokens.get(address_in(log["address"]))
            if asset is None or log["topics"][:1] != [TRANSFER_EVENT]:
                continue
            _, source, to = log["topics"]
            raw = int(_word(log["data"]), 16)
            if raw:
                movements.append(
                    _Movement(2 * position + 1, _address_of_topic(source), _address_of_topic(to), asset, raw)
                )
        return movements

    def _withdrawn(self, header: Header, withdrawals: Iterable[Any]) -> list[Received]:
        """Return what the beacon chain, which counts in gwei, has paid out."""
        return [
            Received(
                txid=header.digest,
                output=1 + quantity(withdrawal["index"]),
                address=address_in(withdrawal["address"]),
                asset=self._native,
                raw=quantity(withdrawal["amount"]) * WEI_PER_GWEI,
                height=header.height,
            )
            for withdrawal in withdrawals
        ]

    def _rewarded(self, header: Header, recipient: str, receipts: Iterable[Any]) -> Received:
        """Return the fees of a block. Its maker names who gets them, and can name us."""
        raw = sum(
            quantity(receipt["gasUsed"]) * (quantity(receipt["effectiveGasPrice"]) - header.base_fee_wei)
            for receipt in receipts
        )
        return Received(header.digest, 0, recipient, self._native, raw, header.height)


def _received(of: _Transaction, height: int, is_ours: Callable[[str], bool]) -> Iterable[Received]:
    for one in of.movements:
        if is_ours(one.to) and not is_ours(one.source):
            yield Received(of.txid, one.output, one.to, one.asset, one.raw, height)


def _spent(of: _Transaction, height: int, is_ours: Callable[[str], bool]) -> Iterable[Spent]:
    """Yield the transaction if an address of ours has sent it or lost anything by it."""
    legs = tuple(Leg(one.source, one.to, one.asset, one.raw) for one in of.movements if is_ours(one.source))
    if is_ours(of.sender):
        place = f"{of.sender}:{of.nonce}"
        yield Spent(of.txid, of.sender, place, legs, of.fee_wei, of.is_failed, height)
    elif legs:
        yield Spent(of.txid, "", "", legs, 0, of.is_failed, height)


def _check_receipts(header: Header, transactions: list[Any], receipts: list[Any]) -> None:
    """Raises ValueError unless these are the receipts of these transactions in this very block."""
    told = [(digest_in(one["transactionHash"]), digest_in(one["blockHash"])) for one in receipts]
    if told != [(digest_in(one["hash"]), header.digest) for one in transactions]:
        raise ValueError("the receipts are not those of the block's transactions")


def _movement_of(trace: Any) -> tuple[str, str, int]:
    """Return from where to where a trace has moved how much ETH; what a delegated call is worth has not moved."""
    action = trace["action"]
    match trace["type"]:
        case "call" if action["callType"] != "call":
            return "", "", 0
        case "call":
            return address_in(action["from"]), address_in(action["to"]), quantity(action["value"])
        case "create":
            to = address_in(trace["result"]["address"])
            return address_in(action["from"]), to, quantity(action["value"])
        case "suicide":
            to = address_in(action["refundAddress"])
            return address_in(action["address"]), to, quantity(action["balance"])
        case kind:
            raise ValueError(f"a trace of a kind that we do not know: {kind!r:.40}")


def _word(found: object) -> str:
    if not isinstance(found, str) or len(found) != len("0x") + _WORD_DIGITS:
        raise ValueError(f"{found!r:.80} is no word of 32 bytes")
    return found


def _address_of_topic(topic: object) -> str:
    return address_in(f"0x{_word(topic)[-_ADDRESS_DIGITS:]}")

"""Bitcoin Core's JSON-RPC: the calls that we make, to a real node and to the embedded one alike.

One call is one POST over a connection that is kept. Nothing is retried here except on a connection that the node
had closed before it got the request: whoever calls knows whether the same call twice is the same thing.
Answers and requests are bounded, redirects are not followed, amounts never pass through binary fractions.
"""

import base64
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from ringfence.custody.chains.bitcoin.transactions import (
    Block,
    Output,
    Transaction,
    check_block,
    parse_block,
    parse_transaction,
)
from ringfence.custody.chains.http_line import AnswerTooLargeError, HttpLine, LineError
from ringfence.custody.wallets.coins import COIN_SATS_MAX, Outpoint

ANSWER_BYTES_MAX = 64 << 20
"""A block in hexadecimal has 8 MB, a mempool of 300,000 ids 20 MB."""
REQUEST_BYTES_MAX = 16 << 20
TIMEOUT_S = 30.0
SATS_PER_BTC = 100_000_000
VBYTES_PER_KVB = 1000


class BitcoinError(Exception):
    """A call was not answered as it should have been. The subclasses say what is known."""


class NodeAwayError(BitcoinError):
    """The node did not answer. Whether it did what was asked is not known: ask what is, then decide."""


class NodeDeniedError(BitcoinError):
    """The node does not know our cookie or password. Nothing was done: look at the configuration."""


class NodeOddError(BitcoinError):
    """The node's answer is no answer that we know. Nothing is taken from it: look at the node's version."""


class NodeRefusedError(BitcoinError):
    """The node said no, for the reason in the text; nothing was done. Numbers are Core's."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code, self.message = code, message


class NotFoundError(NodeRefusedError):
    """The node does not have what was asked for (-5, or -8 for a height)."""


class RejectedError(NodeRefusedError):
    """The node does not take a transaction: broken rules (-26), or missing inputs (-25)."""


class AlreadyConfirmedError(NodeRefusedError):
    """The transaction is in the chain (-27): there is nothing to send."""


class WarmingUpError(NodeRefusedError):
    """The node is starting (-28): ask again in a while."""


_KINDS: dict[int, type[NodeRefusedError]] = {
    -5: NotFoundError, -8: NotFoundError, -25: RejectedError, -26: RejectedError, -27: AlreadyConfirmedError,
    -28: WarmingUpError,
}  # fmt: skip


class Endpoint(NamedTuple):
    """Where a node is and how we say who we are: by the cookie that it writes, or by name and password."""

    host: str
    port: int
    cookie: Path | None = None
    user: str = ""
    password: str = ""

    def credentials(self) -> str:
        """Return `user:password`. A cookie is read every time: a restarted node has another one."""
        if self.cookie is None:
            return f"{self.user}:{self.password}"
        try:
            return self.cookie.read_text().strip()
        except OSError as error:
            raise NodeAwayError(f"the node's cookie cannot be read: {error}") from error


class ChainInfo(NamedTuple):
    """What the node says of its chain."""

    chain: str
    """main, test, testnet4, signet or regtest."""
    height: int
    tip: str
    time_s: int
    """When the newest block says that it was made."""
    median_time_s: int
    is_catching_up: bool
    """It has not all blocks yet: nothing that it does not tell is known not to be."""


class TxOut(NamedTuple):
    """An unspent output as the node knows it."""

    output: Output
    confirmations: int
    """0 in the mempool."""
    tip: str
    """The block as of which this is said."""
    is_coinbase: bool


class MempoolEntry(NamedTuple):
    """What the node knows of a transaction that waits."""

    vsize: int
    fee_sats: int
    descendants: int
    """Transactions that depend on it, itself included."""
    depends: tuple[str, ...]


class Verdict(NamedTuple):
    """What the node would say to a transaction."""

    is_accepted: bool
    reason: str
    fee_sats: int | None


class ScanResult(NamedTuple):
    """What the node's set of coins holds for some scripts, as of a block."""

    height: int
    tip: str
    total_sats: int
    coins: tuple[tuple[Outpoint, Output, int], ...]
    """Outpoint, output, height."""


class Dump(NamedTuple):
    """All coins at a block, in a file."""

    height: int
    block_hash: str
    coins: int
    path: Path


class BitcoinRpc:
    """One connection to a node. Not for two threads at once."""

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = endpoint
        self._line = HttpLine(endpoint.host, endpoint.port, seconds=timeout_s)
        self._calls = 0

    def close(self) -> None:
        self._line.close()

    # ---- the chain

    def chain_info(self) -> ChainInfo:
        found = self.call("getblockchaininfo")
        with _reading("getblockchaininfo"):
            # Only Core from 29 on tells the time of the newest block here.
            time_s = found["time"] if "time" in found else self._time_of(found["bestblockhash"])
            return ChainInfo(
                chain=str(found["chain"]), height=int(found["blocks"]), tip=_digest(found["bestblockhash"]),
                time_s=int(time_s), median_time_s=int(found["mediantime"]),
                is_catching_up=bool(found["initialblockdownload"]),
            )  # fmt: skip

    def version(self) -> int:
        """Return the node's version, 280000 for 28.0."""
        with _reading("getnetworkinfo"):
            return int(self.call("getnetworkinfo")["version"])

    def block_count(self) -> int:
        with _reading("getblockcount"):
            return int(self.call("getblockcount"))

    def block_hash(self, height: int) -> str:
        """Return which block of the longest chain has a height. Raises NotFoundError beyond its tip."""
        with _reading("getblockhash"):
            return _digest(self.call("getblockhash", height))

    def block_header(self, digest: str) -> dict[str, Any]:
        """Return what Core tells of a block's header; `confirmations` is -1 off the longest chain."""
        return self._object("getblockheader", digest)

    def block(self, digest: str) -> Block:
        """Return a block, taken apart by ourselves from its bytes. Raises NotFoundError."""
        with _reading("getblock"):
            block = parse_block(bytes.fromhex(self.call("getblock", digest, 0)))
            if block.digest != digest:
                raise ValueError(f"asked for block {digest}, got {block.digest}")
            check_block(block)
            return block

    def block_json(self, digest: str, verbosity: int) -> dict[str, Any]:
        """Return a block in the node's words: 1 with ids, 2 with transactions."""
        return self._object("getblock", digest, verbosity)

    def raw_transaction(self, txid: str, block: str | None = None) -> Transaction:
        """Return a transaction of the mempool, or of a block that is named. Raises NotFoundError.

        Nodes without a transaction index have no other.
        """
        with _reading("getrawtransaction"):
            more = () if block is None else (block,)
            found = parse_transaction(bytes.fromhex(self.call("getrawtransaction", txid, False, *more)))
            if found.txid != txid:
                raise ValueError(f"asked for transaction {txid}, got {found.txid}")
            return found

    def tx_out(self, outpoint: Outpoint, *, with_mempool: bool) -> TxOut | None:
        """Return an output, None if it is spent or was never there."""
        found = self.call("gettxout", outpoint.txid, outpoint.vout, with_mempool)
        if found is None:
            return None
        with _reading("gettxout"):
            return TxOut(
                Output(sats_of(found["value"]), bytes.fromhex(found["scriptPubKey"]["hex"])),
                int(found["confirmations"]), _digest(found["bestblock"]), bool(found["coinbase"]),
            )  # fmt: skip

    def scan(self, scripts: Sequence[bytes]) -> ScanResult:
        """Go through all coins of the chain for some scripts. Minutes on the main chain: for audits."""
        found = self.call("scantxoutset", "start", [f"raw({script.hex()})" for script in scripts])
        with _reading("scantxoutset"):
            coins = tuple(
                (
                    Outpoint(_digest(coin["txid"]), int(coin["vout"])),
                    Output(sats_of(coin["amount"]), bytes.fromhex(coin["scriptPubKey"])),
                    int(coin["height"]),
                )
                for coin in found["unspents"]
            )
            total_sats = sats_of(found["total_amount"])
            if total_sats != sum(output.amount_sats for _, output, _ in coins):
                raise ValueError("the total is not the sum of the coins")
            return ScanResult(int(found["height"]), _digest(found["bestblock"]), total_sats, coins)

    def dump_coins(self, path: Path, height: int) -> Dump:
        """Have the node write all coins at a height into a file of its machine (`utxo_snapshot.py`).

        Core 32 does it beside its chain; 29 to 31 take their own back meanwhile, and say nothing else: give them time.
        """
        found = self._object("dumptxoutset", str(path), "rollback", {"rollback": height})
        with _reading("dumptxoutset"):
            dump = Dump(
                int(found["base_height"]), _digest(found["base_hash"]), int(found["coins_written"]),
                Path(str(found["path"])),
            )  # fmt: skip
            if dump.height != height:
                raise ValueError(f"asked for height {height}, got {dump.height}")
            return dump

    # ---- the mempool

    def mempool(self) -> set[str]:
        """Return the ids of all transactions that wait."""
        with _reading("getrawmempool"):
            return {_digest(txid) for txid in self.call("getrawmempool")}

    def mempool_entry(self, txid: str) -> MempoolEntry:
        """Return what waits. Raises NotFoundError."""
        found = self.call("getmempoolentry", txid)
        with _reading("getmempoolentry"):
            return MempoolEntry(
                int(found["vsize"]), sats_of(found["fees"]["base"]), int(found["descendantcount"]),
                tuple(map(_digest, found["depends"])),
            )  # fmt: skip

    def spenders(self, outpoints: Sequence[Outpoint]) -> dict[Outpoint, str]:
        """Return which transactions of the mempool spend these outputs."""
        if not outpoints:
            return {}  # Core refuses to be asked for nothing
        asked = [{"txid": outpoint.txid, "vout": outpoint.vout} for outpoint in outpoints]
        with _reading("gettxspendingprevout"):
            return {
                Outpoint(found["txid"], found["vout"]): _digest(found["spendingtxid"])
                for found in self.call("gettxspendingprevout", asked)
                if "spendingtxid" in found
            }

    def test_accept(self, raw: bytes) -> Verdict:
        """Ask whether a transaction would be taken, without sending it."""
        with _reading("testmempoolaccept"):
            (found,) = self.call("testmempoolaccept", [raw.hex()])
            fee = sats_of(found["fees"]["base"]) if found["allowed"] else None
            return Verdict(bool(found["allowed"]), found.get("reject-reason", ""), fee)

    def send(self, raw: bytes) -> str:
        """Send a transaction, return its id. Sending it again while it waits is the same as once.

        Raises RejectedError, AlreadyConfirmedError.
        """
        with _reading("sendrawtransaction"):
            return _digest(self.call("sendrawtransaction", raw.hex()))

    def fee_rate_sats_per_kvb(self, target_blocks: int) -> int | None:
        """Return the node's estimate, None if it knows too little: have a rate of your own, and a cap."""
        found = self.call("estimatesmartfee", target_blocks)
        with _reading("estimatesmartfee"):
            return sats_of(found["feerate"]) if "feerate" in found else None

    # ---- regtest alone

    def generate(self, blocks: int, address: str) -> list[str]:
        """Mine blocks to an address."""
        with _reading("generatetoaddress"):
            return [_digest(found) for found in self.call("generatetoaddress", blocks, address)]

    def generate_block(self, address: str, transactions: Sequence[bytes]) -> str:
        """Mine one block with exactly these transactions."""
        with _reading("generateblock"):
            return _digest(self.call("generateblock", address, [raw.hex() for raw in transactions])["hash"])

    def submit_block(self, raw: bytes) -> str | None:
        """Give the node a block; return why it does not take it, None if it does."""
        found = self.call("submitblock", raw.hex())
        return None if found is None else str(found)

    def prioritise(self, txid: str, fee_delta_sats: int) -> None:
        """Let the miner pretend that a transaction pays more, or less."""
        self.call("prioritisetransaction", txid, 0, fee_delta_sats)

    # ---- any call

    def call(self, method: str, *params: object) -> Any:
        """Make a call. Raises a BitcoinError."""
        self._calls += 1
        question = {"jsonrpc": "1.0", "id": self._calls, "method": method, "params": params}
        body = json.dumps(question).encode()
        if len(body) > REQUEST_BYTES_MAX:
            raise NodeOddError(f"{method}: {len(body)} bytes are more than we ask; nothing was sent")
        credentials = base64.b64encode(self._endpoint.credentials().encode()).decode()
        try:
            status, content = self._line.post(
                "/", body, answer_bytes_max=ANSWER_BYTES_MAX, authorization=f"Basic {credentials}"
            )
        except AnswerTooLargeError as large:
            raise NodeOddError(f"{method}: {large}") from large
        except LineError as silence:
            raise NodeAwayError(f"{method}: {silence}") from silence
        if status in (401, 403):
            raise NodeDeniedError(f"{method}: the node does not know us (HTTP {status}); nothing was done")
        try:
            answer = json.loads(content, parse_float=Decimal)
            result, error, number = answer["result"], answer["error"], answer["id"]
        except (ValueError, KeyError, TypeError) as odd:
            raise NodeOddError(f"{method}: HTTP {status} with {content[:100]!r}; nothing was taken") from odd
        if number != self._calls:
            self.close()
            raise NodeOddError(f"{method}: an answer to question {number}; nothing was taken from it")
        if error is not None:
            with _reading(method):
                code, message = int(error["code"]), str(error["message"])
            raise _KINDS.get(code, NodeRefusedError)(method, code, message)
        return result

    def _object(self, method: str, *params: object) -> dict[str, Any]:
        found = self.call(method, *params)
        if not isinstance(found, dict):
            raise NodeOddError(f"{method}: no object was answered; nothing was taken from it")
        return found

    def _time_of(self, digest: str) -> int:
        return int(self.block_header(digest)["time"])


class _reading:  # noqa: N801 -- reads as a statement
    """Whatever an answer lacks is said of the node, not of us."""

    def __init__(self, method: str) -> None:
        self._method = method

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None and issubclass(kind, ValueError | KeyError | TypeError | IndexError):
            raise NodeOddError(f"{self._method}: an answer that cannot be read: {error!r}") from error


def sats_of(amount: Decimal | int) -> int:
    """Return an amount in BTC as whole satoshis. Raises ValueError."""
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int):
        raise ValueError(f"{amount!r} is no amount")
    sats = Decimal(amount) * SATS_PER_BTC
    if sats != int(sats) or not 0 <= sats <= COIN_SATS_MAX:
        raise ValueError(f"{amount} BTC is no amount")
    return int(sats)


def _digest(found: object) -> str:
    if not isinstance(found, str) or len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise ValueError(f"{found!r} is no hash")
    return found

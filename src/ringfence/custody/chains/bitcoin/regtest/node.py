"""Bitcoin Core's calls over our chain and mempool. What a call means, and its errors, are Core's.

One call at a time: the server sees to that.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import bdkpython

from ringfence.custody.chains.bitcoin.regtest import mining
from ringfence.custody.chains.bitcoin.regtest.chain import Chain, Change
from ringfence.custody.chains.bitcoin.regtest.fees import FeeEstimator
from ringfence.custody.chains.bitcoin.regtest.mempool import (
    Acceptance,
    Entry,
    Mempool,
    MissingInputsError,
    RefusedError,
)
from ringfence.custody.chains.bitcoin.transactions import (
    FINAL_SEQUENCE,
    Block,
    Output,
    Transaction,
    TransactionError,
    address_of,
    parse_block,
    parse_transaction,
)
from ringfence.custody.chains.bitcoin.utxo_snapshot import FoundCoin, write_snapshot
from ringfence.custody.chains.journal import Journal
from ringfence.custody.wallets.coins import Outpoint

VERSION = 319900
SUBVERSION = "/RingfenceRegtest:31.99.0/"
MISC, NOT_FOUND, INVALID, VERIFY, REJECTED, IN_CHAIN, DECODE, NO_METHOD = (
    -1, -5, -8, -25, -26, -27, -22, -32601,
)  # fmt: skip
"""Core's numbers for errors."""
BLOCKS_PER_CALL_MAX = 30_000
REORG_BLOCKS_MAX = 6
"""Deeper ones are not made by accident; a test that wants one mines it in two calls."""
_SATS = Decimal(100_000_000)
_FEE_RATE_SATS_PER_KVB_MAX = 10_000_000
"""Core refuses to send what pays more than 0.1 BTC per kvB, unless it is told to."""


class CallError(Exception):
    """A call was refused, and did nothing."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Node:
    """A regtest node in a directory, as the last process left it."""

    def __init__(self, directory: Path) -> None:
        """Open or create. Raises KernelError, JournalDamagedError."""
        self._directory = directory
        self.chain = Chain(directory)
        self.mempool = Mempool(self.chain)
        self._fees = FeeEstimator()
        self._waiting = Journal(directory / "mempool.journal")
        waiting = [parse_transaction(raw) for _, raw in self._waiting.records()]
        # A replaced one comes before its replacement, which therefore takes its place again. One that was
        # mined is known to the chain and refused.
        for transaction in waiting:
            try:
                self.mempool.take(self.mempool.consider(transaction))
            except RefusedError:
                continue
        self._waiting.rewrite([entry.transaction.raw for entry in self.mempool.entries.values()])
        self._calls: dict[str, Callable[..., Any]] = {
            name.removeprefix("_call_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_call_")
        }

    def call(self, method: str, params: list[Any]) -> Any:
        """Answer a call. Raises CallError."""
        called = self._calls.get(method)
        if called is None:
            raise CallError(NO_METHOD, "Method not found")
        try:
            return called(*params)
        except (TransactionError, TypeError, ValueError, AttributeError) as error:
            raise CallError(INVALID, f"{method}: {error}") from error

    def close(self) -> None:
        """Flush and close."""
        self._waiting.close()
        self.chain.close()

    # ---- the chain

    def _call_getblockchaininfo(self) -> dict[str, Any]:
        chain = self.chain
        return {
            "chain": "regtest", "blocks": chain.height, "headers": chain.height, "bestblockhash": chain.tip,
            "time": chain.tip_time_s, "mediantime": chain.median_time_s, "verificationprogress": 1,
            "initialblockdownload": False, "pruned": False, "warnings": [],
        }  # fmt: skip

    def _call_getnetworkinfo(self) -> dict[str, Any]:
        return {"version": VERSION, "subversion": SUBVERSION, "networkactive": False, "connections": 0}

    def _call_getblockcount(self) -> int:
        return self.chain.height

    def _call_getbestblockhash(self) -> str:
        return self.chain.tip

    def _call_getblockhash(self, height: int) -> str:
        if not 0 <= height <= self.chain.height:
            raise CallError(INVALID, "Block height out of range")
        return self.chain.digest_at(height)

    def _call_getblockheader(self, digest: str, verbose: bool = True) -> Any:
        header = self.chain.header_of(digest)
        if header is None:
            raise CallError(NOT_FOUND, "Block not found")
        if not verbose:
            return header.hex()
        height = self.chain.height_of(digest)
        told = {
            "hash": digest, "confirmations": self._confirmations(height),
            "time": int.from_bytes(header[68:72], "little"), "merkleroot": header[36:68][::-1].hex(),
        }  # fmt: skip
        if height is not None:
            told |= {"height": height, "mediantime": self.chain.median_time_at(height)}
            if height < self.chain.height:
                told["nextblockhash"] = self.chain.digest_at(height + 1)
        if height != 0:
            told["previousblockhash"] = header[4:36][::-1].hex()
        return told

    def _call_getblock(self, digest: str, verbosity: int = 1) -> Any:
        raw = self.chain.raw_block(digest)
        if raw is None:
            raise CallError(NOT_FOUND, "Block not found")
        if verbosity == 0:
            return raw.hex()
        block = parse_block(raw)
        told = self._call_getblockheader(digest)
        if verbosity == 1:
            transactions: list[Any] = [transaction.txid for transaction in block.transactions]
        else:
            transactions = [_told(transaction) for transaction in block.transactions]
        return told | {"tx": transactions, "nTx": len(transactions), "size": len(raw)}

    def _call_getrawtransaction(
        self, txid: str, verbose: bool | int = False, block: str | None = None
    ) -> Any:
        """As a node without a transaction index: from the mempool, or from the block that is named."""
        transaction = self._find(txid, block)
        if not verbose:
            return transaction.raw.hex()
        told = _told(transaction)
        if block is not None:
            told |= {
                "blockhash": block,
                "confirmations": max(self._confirmations(self.chain.height_of(block)), 0),
            }
        return told

    def _find(self, txid: str, block: str | None) -> Transaction:
        if block is None:
            if txid not in self.mempool.entries:
                raise CallError(
                    NOT_FOUND, "No such mempool transaction. Use -txindex or provide a block hash"
                )
            return self.mempool.entries[txid].transaction
        raw = self.chain.raw_block(block)
        if raw is None:
            raise CallError(NOT_FOUND, "Block hash not found")
        for transaction in parse_block(raw).transactions:
            if transaction.txid == txid:
                return transaction
        raise CallError(NOT_FOUND, "No such transaction found in the provided block")

    def _call_gettxout(self, txid: str, vout: int, include_mempool: bool = True) -> dict[str, Any] | None:
        outpoint = Outpoint(txid, vout)
        if include_mempool and outpoint in self.mempool.spenders:
            return None
        coin = self.chain.coins.get(outpoint)
        if coin is not None:
            output, confirmations, is_coinbase = (
                coin.output,
                self._confirmations(coin.height),
                coin.is_coinbase,
            )
        else:
            entry = self.mempool.entries.get(txid) if include_mempool else None
            if entry is None or not 0 <= vout < len(entry.transaction.outputs):
                return None
            output, confirmations, is_coinbase = entry.transaction.outputs[vout], 0, False
        return {
            "bestblock": self.chain.tip, "confirmations": confirmations, "value": _btc(output.amount_sats),
            "scriptPubKey": _told_script(output), "coinbase": is_coinbase,
        }  # fmt: skip

    def _call_scantxoutset(self, action: str, sought: list[str] | None = None) -> Any:
        if action != "start":
            return None
        scripts = {_script_of(item) for item in sought or []}
        found = [(at, coin) for at, coin in self.chain.coins.items() if coin.output.script in scripts]
        return {
            "success": True, "txouts": len(self.chain.coins), "height": self.chain.height,
            "bestblock": self.chain.tip,
            "unspents": [
                {
                    "txid": at.txid, "vout": at.vout, "scriptPubKey": coin.output.script.hex(),
                    "amount": _btc(coin.output.amount_sats), "coinbase": coin.is_coinbase, "height": coin.height,
                }
                for at, coin in found
            ],
            "total_amount": _btc(sum(coin.output.amount_sats for _, coin in found)),
        }  # fmt: skip

    def _call_gettxoutsetinfo(self, _hash_type: str = "none") -> dict[str, Any]:
        """With a real node this also flushes, which is why somebody asks; here nothing needs to."""
        total = sum(coin.output.amount_sats for coin in self.chain.coins.values())
        return {
            "height": self.chain.height, "bestblock": self.chain.tip, "txouts": len(self.chain.coins),
            "total_amount": _btc(total),
        }  # fmt: skip

    def _call_dumptxoutset(
        self, path: str, kind: str = "", options: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """As Core 32: a past height is written from a copy of the coins, and the chain stays where it is."""
        place = self._place_of(kind, (options or {}).get("rollback"))
        to = self._directory / path  # one that begins at the root stays as it is
        if to.exists():
            raise CallError(
                INVALID, f"{to} already exists. If you are sure this is what you want, move it first."
            )
        aside = to.with_name(f"{to.name}.incomplete")
        aside.unlink(missing_ok=True)
        digest = self.chain.digest_at(place)
        coins = [
            FoundCoin(at, coin.output, coin.height, coin.is_coinbase)
            for at, coin in self.chain.coins_at(place).items()
        ]
        try:
            hashed = write_snapshot(aside, network="regtest", block_hash=digest, coins=coins)
            aside.rename(to)
        except OSError as error:
            raise CallError(INVALID, f"Couldn't open file {aside} for writing: {error}") from error
        return {
            "coins_written": len(coins), "base_hash": digest, "base_height": place, "path": str(to),
            "txoutset_hash": hashed,
        }  # fmt: skip

    def _place_of(self, kind: str, rollback: object) -> int:
        """Return the height that a dump is of."""
        if kind not in ("", "latest", "rollback"):
            raise CallError(INVALID, f"Invalid snapshot type {kind!r}: rollback and latest are known")
        if rollback is None:
            if kind != "latest":
                raise CallError(INVALID, "Regtest has no height that is rolled back to by itself: name one")
            return self.chain.height
        if kind == "latest":
            raise CallError(INVALID, 'Invalid snapshot type "latest" specified with rollback option')
        height = self.chain.height_of(rollback) if isinstance(rollback, str) else rollback
        if not isinstance(height, int) or not 0 <= height <= self.chain.height:
            raise CallError(
                INVALID, f"{rollback!r} is no block of the chain, whose tip is {self.chain.height}"
            )
        return height

    # ---- the mempool

    def _call_getrawmempool(self) -> list[str]:
        return list(self.mempool.entries)

    def _call_getmempoolentry(self, txid: str) -> dict[str, Any]:
        entry = self.mempool.entries.get(txid)
        if entry is None:
            raise CallError(NOT_FOUND, "Transaction not in mempool")
        depends = {item.outpoint.txid for item in entry.transaction.inputs} & self.mempool.entries.keys()
        delta_sats = self.mempool.fee_deltas_sats.get(txid, 0)
        return {
            "vsize": entry.transaction.vsize, "weight": entry.transaction.weight, "height": entry.height,
            "wtxid": entry.transaction.wtxid, "descendantcount": len(self.mempool.descendants([txid])),
            "ancestorcount": len(self.mempool.ancestors(entry.transaction)) + 1, "depends": sorted(depends),
            "fees": {"base": _btc(entry.fee_sats), "modified": _btc(entry.fee_sats + delta_sats)},
            "bip125-replaceable": any(i.sequence < FINAL_SEQUENCE - 1 for i in entry.transaction.inputs),
        }  # fmt: skip

    def _call_gettxspendingprevout(self, outpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not outpoints:
            raise CallError(INVALID, "Invalid parameter, outputs are missing")
        told = []
        for asked in outpoints:
            spender = self.mempool.spenders.get(Outpoint(asked["txid"], asked["vout"]))
            told.append({**asked, "spendingtxid": spender} if spender is not None else asked)
        return told

    def _call_testmempoolaccept(self, raws: list[str], _max_fee_rate: Any = None) -> list[dict[str, Any]]:
        if len(raws) != 1:
            raise CallError(INVALID, "This node looks at one transaction at a time")
        transaction = _decoded(raws[0])
        told: dict[str, Any] = {"txid": transaction.txid, "wtxid": transaction.wtxid}
        try:
            entry = self.mempool.consider(transaction).entry
        except RefusedError as error:
            word = "missing-inputs" if isinstance(error, MissingInputsError) else str(error)
            return [{**told, "allowed": False, "reject-reason": word}]
        if entry.fee_rate_sats_per_kvb > _FEE_RATE_SATS_PER_KVB_MAX:
            return [{**told, "allowed": False, "reject-reason": "max-fee-exceeded"}]
        fees = {"base": _btc(entry.fee_sats)}
        return [{**told, "allowed": True, "vsize": entry.transaction.vsize, "fees": fees}]

    def _call_sendrawtransaction(self, raw: str, max_fee_rate: Any = None) -> str:
        transaction = _decoded(raw)
        if transaction.txid in self.mempool.entries:
            return transaction.txid
        acceptance = self._accepted(transaction)
        most = int(Decimal(max_fee_rate) * _SATS) if max_fee_rate is not None else _FEE_RATE_SATS_PER_KVB_MAX
        if most and acceptance.entry.fee_rate_sats_per_kvb > most:
            raise CallError(VERIFY, "Fee exceeds maximum configured by user (maxfeerate)")
        self._waiting.append(transaction.raw)
        self.mempool.take(acceptance)
        return transaction.txid

    def _accepted(self, transaction: Transaction) -> Acceptance:
        try:
            return self.mempool.consider(transaction)
        except MissingInputsError as error:
            raise CallError(VERIFY, str(error)) from error
        except RefusedError as error:
            if str(error) == "txn-already-known":
                raise CallError(IN_CHAIN, "Transaction outputs already in utxo set") from error
            raise CallError(REJECTED, str(error)) from error

    def _call_prioritisetransaction(self, txid: str, dummy: int | None, fee_delta_sats: int) -> bool:
        if dummy:
            raise CallError(INVALID, "Priority is no longer supported, dummy argument must be 0")
        deltas = self.mempool.fee_deltas_sats
        deltas[txid] = deltas.get(txid, 0) + fee_delta_sats
        return True

    def _call_estimatesmartfee(self, target_blocks: int, _mode: str = "economical") -> dict[str, Any]:
        if not 1 <= target_blocks <= 1008:
            raise CallError(INVALID, "Invalid conf_target, must be between 1 and 1008")
        rate = self._fees.rate_sats_per_kvb(target_blocks, self.mempool.entries.values())
        if rate is None:
            return {"errors": ["Insufficient data or no feerate found"], "blocks": target_blocks}
        return {"feerate": _btc(rate), "blocks": target_blocks}

    # ---- mining

    def _call_generatetoaddress(self, blocks: int, address: str, _tries: int = 0) -> list[str]:
        if not 0 <= blocks <= BLOCKS_PER_CALL_MAX:
            raise CallError(INVALID, f"at most {BLOCKS_PER_CALL_MAX} blocks are mined in one call")
        script = _script_of_address(address)
        return [self._mine(script) for _ in range(blocks)]

    def _mine(self, script: bytes) -> str:
        while True:
            chosen = mining.choose(self.mempool)
            fees_sats = sum(entry.fee_sats for entry in chosen)
            transactions = [entry.transaction for entry in chosen]
            raw = mining.assemble(self._parent(), script, transactions, fees_sats=fees_sats, tag=0)
            change = self._submit(raw)
            if change.came:
                return self.chain.tip
            # The mempool has taken what the kernel does not: the kernel is right. Nobody loses a coin by it.
            if not transactions:
                raise CallError(MISC, f"the kernel refuses an empty block: {change.verdict.reason}")
            self.mempool.left_out(transactions)

    def _call_generateblock(self, address: str, items: list[str]) -> dict[str, str]:
        script = _script_of_address(address)
        transactions = []
        for item in items:
            entry = self.mempool.entries.get(item)
            transactions.append(entry.transaction if entry is not None else _decoded(item))
        raw = mining.assemble(self._parent(), script, transactions, fees_sats=0, tag=1)
        change = self._submit(raw)
        if not change.came:
            raise CallError(VERIFY, f"TestBlockValidity failed: {change.verdict.reason}")
        return {"hash": self.chain.tip}

    def _call_generatefork(
        self, depth: int, address: str, first: list[str] | None = None, blocks: int | None = None
    ) -> list[str]:
        """Not a call of Core: take back the newest blocks by mining a longer branch beside them.

        The branch holds nothing but the raw transactions `first`, in its first block; what leaves the chain
        waits in the mempool again. With a real node: invalidateblock, then generateblock.
        """
        if not 1 <= depth <= min(REORG_BLOCKS_MAX, self.chain.height):
            raise CallError(INVALID, f"depth must be between 1 and {REORG_BLOCKS_MAX}")
        blocks = depth + 1 if blocks is None else blocks
        if not depth < blocks <= BLOCKS_PER_CALL_MAX:
            raise CallError(INVALID, "a branch that is not longer takes nothing back")
        script = _script_of_address(address)
        height = self.chain.height - depth
        old_tip = self.chain.tip
        parent = mining.Parent(self.chain.digest_at(height), height, self.chain.time_at(height))
        transactions = [_decoded(raw) for raw in first or []]
        digests = []
        for _ in range(blocks):
            # The number of blocks ever fed: a second fork from here must not be the first one again.
            tag = self.chain.blocks_fed + 1
            raw = mining.assemble(parent, script, transactions, fees_sats=0, tag=tag)
            change = self._submit(raw)
            if not change.verdict.is_valid:
                raise CallError(VERIFY, f"the fork is refused: {change.verdict.reason}")
            block = parse_block(raw)
            digests.append(block.digest)
            parent = mining.Parent(block.digest, parent.height + 1, block.time_s)
            transactions = []
        assert self.chain.tip != old_tip
        return digests

    def _call_submitblock(self, raw: str) -> str | None:
        try:
            block = parse_block(bytes.fromhex(raw))
        except TransactionError as error:
            raise CallError(DECODE, "Block decode failed") from error
        if self.chain.raw_block(block.digest) is not None:
            return "duplicate"
        verdict = self._submit(block.raw).verdict
        return None if verdict.is_valid else verdict.reason.split(":")[0]

    def _parent(self) -> mining.Parent:
        return mining.Parent(self.chain.tip, self.chain.height, self.chain.tip_time_s)

    def _submit(self, raw: bytes) -> Change:
        """Give a block to the chain; the mempool and the estimator follow."""
        rates = self._rates_of(parse_block(raw))
        change = self.chain.submit(raw)
        for block in change.came:
            self.mempool.block_came(block.transactions)
        if change.gone:
            for _ in change.gone:
                self._fees.block_left()
            back = [t for block in reversed(change.gone) for t in block.transactions if not t.is_coinbase]
            self.mempool.reorganised(back)
            self._waiting.rewrite([entry.transaction.raw for entry in self.mempool.entries.values()])
        elif change.came:
            self._fees.block_came(rates)
        return change

    def _rates_of(self, block: Block) -> list[int]:
        entries: list[Entry | None] = [self.mempool.entries.get(t.txid) for t in block.transactions]
        return [entry.fee_rate_sats_per_kvb for entry in entries if entry is not None]

    def _confirmations(self, height: int | None) -> int:
        return -1 if height is None else self.chain.height - height + 1


def _decoded(raw: str) -> Transaction:
    try:
        return parse_transaction(bytes.fromhex(raw))
    except ValueError as error:
        raise CallError(DECODE, f"TX decode failed. {error}") from error


def _script_of_address(address: str) -> bytes:
    """Return the script of an address; bdk, unlike embit, refuses those of other networks."""
    try:
        found = bdkpython.Address(address, bdkpython.Network.REGTEST)
    except bdkpython.AddressParseError as error:
        raise CallError(NOT_FOUND, f"Invalid address: {address}") from error
    return bytes(found.script_pubkey().to_bytes())


def _script_of(sought: str) -> bytes:
    """Return the script of `raw(HEX)`, `addr(ADDRESS)`, or of a descriptor of one script of segwit."""
    kind, _, rest = sought.partition("(")
    inside = rest.split(")")[0]
    if kind == "raw":
        return bytes.fromhex(inside)
    if kind == "addr":
        return _script_of_address(inside)
    if kind in ("wsh", "wpkh"):
        try:
            of = bdkpython.Descriptor(sought, bdkpython.NetworkKind.TEST)
            return bytes(of.derive_address(0, bdkpython.Network.REGTEST).script_pubkey().to_bytes())
        except bdkpython.DescriptorError as error:
            raise CallError(NOT_FOUND, f"Invalid descriptor: {error}") from error
    raise CallError(NOT_FOUND, f"This node scans for raw(), addr(), wsh() and wpkh(), not for {kind}")


def _btc(amount_sats: int) -> Decimal:
    return Decimal(amount_sats) / _SATS


def _told_script(output: Output) -> dict[str, Any]:
    told = {"hex": output.script.hex()}
    address = address_of(output.script)
    return told | {"address": address} if address is not None else told


def _told(transaction: Transaction) -> dict[str, Any]:
    """Return a transaction in Core's words."""
    return {
        "txid": transaction.txid, "hash": transaction.wtxid, "version": transaction.version,
        "size": len(transaction.raw), "vsize": transaction.vsize, "weight": transaction.weight,
        "locktime": transaction.lock_time,
        "vin": [
            {"coinbase": "", "sequence": item.sequence}
            if transaction.is_coinbase
            else {"txid": item.outpoint.txid, "vout": item.outpoint.vout, "sequence": item.sequence}
            for item in transaction.inputs
        ],
        "vout": [
            {"value": _btc(output.amount_sats), "n": n, "scriptPubKey": _told_script(output)}
            for n, output in enumerate(transaction.outputs)
        ],
        "hex": transaction.raw.hex(),
    }  # fmt: skip

"""Transactions that no block holds yet, by the rules of Core that decide about money.

Kept: consensus (scripts by the kernel), maturity, lock times (BIP68 too), dust, the smallest fee rate, replacement
(BIP125, without the opt-in, as Core since 28), chains of at most 25. Left out: package relay, expiry, and the
rules about odd but valid scripts: a real node may refuse what this one takes.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ringfence.custody.chains.bitcoin.kernel import failing_input
from ringfence.custody.chains.bitcoin.regtest.chain import MATURITY_BLOCKS, Chain, ChainCoin
from ringfence.custody.chains.bitcoin.transactions import FINAL_SEQUENCE, Output, Transaction
from ringfence.custody.wallets.coins import COIN_SATS_MAX, Outpoint

FEE_RATE_SATS_PER_KVB_MIN = 100
"""Below it nothing is taken in, and a replacement pays at least so much more."""
CHAIN_TRANSACTIONS_MAX = 25
REPLACED_TRANSACTIONS_MAX = 100
WEIGHT_MAX = 400_000
VBYTES_MAX = 50_000_000
"""All transactions together."""
_LOCK_TIME_THRESHOLD = 500_000_000
_SEQUENCE_DISABLED, _SEQUENCE_TIME, _SEQUENCE_MASK, _SEQUENCE_TIME_SHIFT = 1 << 31, 1 << 22, 0xFFFF, 9
_DUST_SATS = {b"\x00\x14": 294, b"\x00\x20": 330, b"\x51\x20": 330}
_DUST_SATS_OTHERS = 546


class RefusedError(Exception):
    """A transaction was not taken in. The text is Core's word for why."""


class MissingInputsError(RefusedError):
    """It spends what there is not, or not any more."""


class Entry(NamedTuple):
    """A transaction in the mempool."""

    transaction: Transaction
    fee_sats: int
    height: int
    """Of the chain when it came."""

    @property
    def fee_rate_sats_per_kvb(self) -> int:
        return self.fee_sats * 1000 // self.transaction.vsize


class Acceptance(NamedTuple):
    """That a transaction may come in, and what would go for it."""

    entry: Entry
    replaced: frozenset[str]


class Mempool:
    """Transactions by id, in the order in which they came."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.entries: dict[str, Entry] = {}
        self.spenders: dict[Outpoint, str] = {}
        self.fee_deltas_sats: dict[str, int] = {}
        """What the miner pretends that a transaction pays beside its fee (prioritisetransaction)."""
        self._vbytes = 0

    # ---- coming in

    def consider(self, transaction: Transaction) -> Acceptance:
        """Return what taking a transaction in would do. Raises RefusedError."""
        if transaction.txid in self.entries:
            raise RefusedError("txn-already-in-mempool")
        if any(Outpoint(transaction.txid, n) in self._chain.coins for n in range(len(transaction.outputs))):
            raise RefusedError("txn-already-known")
        _check_form(transaction)
        coins = self._coins_of(transaction)
        self._check_times(transaction, coins)
        fee_sats = sum(coin.output.amount_sats for coin in coins) - transaction.outputs_sats
        if fee_sats < 0:
            raise RefusedError("bad-txns-in-belowout")
        entry = Entry(transaction, fee_sats, self._chain.height)
        if entry.fee_rate_sats_per_kvb < FEE_RATE_SATS_PER_KVB_MIN:
            raise RefusedError("min relay fee not met")
        if self._vbytes + transaction.vsize > VBYTES_MAX:
            raise RefusedError("mempool full")
        replaced = self._replaced_by(entry)
        if len(self.ancestors(transaction)) >= CHAIN_TRANSACTIONS_MAX:
            raise RefusedError("too-long-mempool-chain")
        failing = failing_input(transaction.raw, [coin.output for coin in coins])
        if failing is not None:
            raise RefusedError(f"mempool-script-verify-flag-failed (input {failing} of {transaction.txid})")
        return Acceptance(entry, frozenset(replaced))

    def take(self, acceptance: Acceptance) -> None:
        """Take a transaction in, and what it replaces out."""
        for txid in acceptance.replaced:
            self._drop(txid)
        transaction = acceptance.entry.transaction
        self.entries[transaction.txid] = acceptance.entry
        self._vbytes += transaction.vsize
        for item in transaction.inputs:
            assert item.outpoint not in self.spenders
            self.spenders[item.outpoint] = transaction.txid

    # ---- going with blocks

    def block_came(self, transactions: Iterable[Transaction]) -> None:
        """Drop what a block holds, and what cannot come any more for that."""
        for transaction in transactions:
            if transaction.txid in self.entries:
                self._drop(transaction.txid)
            for item in transaction.inputs:
                other = self.spenders.get(item.outpoint)
                if other is not None:
                    for txid in self.descendants([other]):
                        self._drop(txid)

    def left_out(self, transactions: Iterable[Transaction]) -> None:
        """Drop what the kernel has refused, with all that depends on it."""
        for txid in self.descendants(transaction.txid for transaction in transactions):
            self._drop(txid)

    def reorganised(self, returned: Iterable[Transaction]) -> None:
        """Begin anew with what has left the chain and what was here, as far as it still may be."""
        waiting = [*returned, *(entry.transaction for entry in self.entries.values())]
        self.entries.clear()
        self.spenders.clear()
        self._vbytes = 0
        for transaction in waiting:
            try:
                self.take(self.consider(transaction))
            except RefusedError:
                continue

    # ---- relations

    def ancestors(self, transaction: Transaction) -> set[str]:
        """Return the transactions here on which one depends."""
        found: set[str] = set()
        waiting = [transaction]
        while waiting:
            for item in waiting.pop().inputs:
                parent = self.entries.get(item.outpoint.txid)
                if parent is not None and parent.transaction.txid not in found:
                    found.add(parent.transaction.txid)
                    waiting.append(parent.transaction)
        return found

    def descendants(self, txids: Iterable[str]) -> set[str]:
        """Return transactions and all those here that depend on them."""
        found: set[str] = set()
        waiting = list(txids)
        while waiting:
            txid = waiting.pop()
            if txid not in found:
                found.add(txid)
                outputs = self.entries[txid].transaction.outputs
                spenders = (self.spenders.get(Outpoint(txid, vout)) for vout in range(len(outputs)))
                waiting.extend(spender for spender in spenders if spender is not None)
        return found

    def _drop(self, txid: str) -> None:
        entry = self.entries.pop(txid)
        self._vbytes -= entry.transaction.vsize
        self.fee_deltas_sats.pop(txid, None)
        for item in entry.transaction.inputs:
            del self.spenders[item.outpoint]

    # ---- rules

    def _coins_of(self, transaction: Transaction) -> list[ChainCoin]:
        """Return what a transaction spends. Raises MissingInputsError."""
        coins = []
        for item in transaction.inputs:
            parent = self.entries.get(item.outpoint.txid)
            if parent is not None and item.outpoint.vout < len(parent.transaction.outputs):
                output = parent.transaction.outputs[item.outpoint.vout]
                coins.append(ChainCoin(output, self._chain.height + 1, is_coinbase=False))
            elif item.outpoint in self._chain.coins:
                coins.append(self._chain.coins[item.outpoint])
            else:
                raise MissingInputsError("bad-txns-inputs-missingorspent")
        return coins

    def _check_times(self, transaction: Transaction, coins: list[ChainCoin]) -> None:
        """Check that the next block may hold it."""
        height, median_time_s = self._chain.height + 1, self._chain.median_time_s
        if transaction.lock_time and any(item.sequence != FINAL_SEQUENCE for item in transaction.inputs):
            is_time = transaction.lock_time >= _LOCK_TIME_THRESHOLD
            if transaction.lock_time >= (median_time_s if is_time else height):
                raise RefusedError("non-final")
        for item, coin in zip(transaction.inputs, coins, strict=True):
            if coin.is_coinbase and height - coin.height < MATURITY_BLOCKS:
                raise RefusedError("bad-txns-premature-spend-of-coinbase")
            if transaction.version < 2 or item.sequence & _SEQUENCE_DISABLED:
                continue
            wait = item.sequence & _SEQUENCE_MASK
            if item.sequence & _SEQUENCE_TIME:
                since_s = self._chain.median_time_at(max(min(coin.height, height) - 1, 0))
                is_early = since_s + (wait << _SEQUENCE_TIME_SHIFT) > median_time_s
            else:
                is_early = coin.height + wait > height
            if is_early:
                raise RefusedError("non-BIP68-final")

    def _replaced_by(self, entry: Entry) -> set[str]:
        """Return what goes for a transaction. Raises RefusedError if it may not (BIP125, rules 3 to 5)."""
        inputs = entry.transaction.inputs
        direct = {self.spenders[item.outpoint] for item in inputs if item.outpoint in self.spenders}
        if not direct:
            return direct
        replaced = self.descendants(direct)
        if len(replaced) > REPLACED_TRANSACTIONS_MAX:
            raise RefusedError("too many potential replacements")
        if replaced & self.ancestors(entry.transaction):
            raise RefusedError("bad-txns-spends-conflicting-tx")
        if any(entry.fee_rate_sats_per_kvb <= self.entries[txid].fee_rate_sats_per_kvb for txid in direct):
            raise RefusedError("insufficient fee, rejecting replacement: fee rate is not higher")
        more_sats = entry.fee_sats - sum(self.entries[txid].fee_sats for txid in replaced)
        if more_sats < -(-FEE_RATE_SATS_PER_KVB_MIN * entry.transaction.vsize // 1000):
            raise RefusedError("insufficient fee, rejecting replacement: it pays too little more")
        return replaced


def _check_form(transaction: Transaction) -> None:
    """Check what can be seen without a chain. Raises RefusedError."""
    outpoints = [item.outpoint for item in transaction.inputs]
    if transaction.is_coinbase:
        raise RefusedError("coinbase")
    if not transaction.outputs:
        raise RefusedError("bad-txns-vout-empty")
    if len(set(outpoints)) < len(outpoints):
        raise RefusedError("bad-txns-inputs-duplicate")
    if any(output.amount_sats > COIN_SATS_MAX for output in transaction.outputs):
        raise RefusedError("bad-txns-vout-toolarge")
    if transaction.weight > WEIGHT_MAX:
        raise RefusedError("tx-size")
    if not 1 <= transaction.version <= 3:
        raise RefusedError("version")
    if any(is_dust(output) for output in transaction.outputs):
        raise RefusedError("dust")


def is_dust(output: Output) -> bool:
    """Return whether spending an output costs more than it is worth, by Core's table."""
    if output.script.startswith(b"\x6a"):
        return False
    return output.amount_sats < _DUST_SATS.get(output.script[:2], _DUST_SATS_OTHERS)

"""Coins for the asking, on regtest alone: mines to a key that everybody knows and pays from it."""

from collections.abc import Sequence

from embit import ec, script
from embit.transaction import Transaction as EmbitTransaction
from embit.transaction import TransactionInput, TransactionOutput

from ringfence.custody.chains.bitcoin.regtest.chain import MATURITY_BLOCKS
from ringfence.custody.chains.bitcoin.rpc import BitcoinRpc
from ringfence.custody.chains.bitcoin.transactions import (
    REPLACEABLE_SEQUENCE,
    Output,
    Transaction,
    address_of,
    parse_transaction,
)
from ringfence.custody.wallets.coins import Coin

FEE_SATS = 20_000
_KEY = ec.PrivateKey(b"\x0f" * 32)
SCRIPT = bytes(script.p2wpkh(_KEY.get_public_key()).data)
ADDRESS = str(address_of(SCRIPT))


class Faucet:
    """Whoever asks gets coins; they are worth nothing."""

    def __init__(self, rpc: BitcoinRpc) -> None:
        """Raises AssertionError on any chain but regtest."""
        assert rpc.chain_info().chain == "regtest"
        self._rpc = rpc
        self._coins: list[Coin] = []

    def pay(self, outputs: Sequence[Output]) -> Transaction:
        """Send a transaction with these outputs, mining if there is not enough. Returns it, unconfirmed."""
        wanted_sats = sum(output.amount_sats for output in outputs) + FEE_SATS
        if not self._coins:
            self._coins = self._mature()
        for mined in (False, True):
            chosen: list[Coin] = []
            while self._coins and sum(coin.amount_sats for coin in chosen) < wanted_sats:
                chosen.append(self._coins.pop())
            if sum(coin.amount_sats for coin in chosen) >= wanted_sats:
                paid = spend(chosen, outputs)
                self._rpc.send(paid.raw)
                return paid
            if not mined:
                self._rpc.generate(10 + MATURITY_BLOCKS, ADDRESS)
                self._coins = self._mature()
        raise ValueError(f"{wanted_sats} sats are more than ten blocks are paid here; ask for less")

    def _mature(self) -> list[Coin]:
        """Return the faucet's coins that are old enough and that the mempool does not spend."""
        found = self._rpc.scan([SCRIPT])
        taken = self._rpc.spenders([outpoint for outpoint, _, _ in found.coins])
        return [
            Coin(outpoint, output.amount_sats, output.script)
            for outpoint, output, height in found.coins
            if found.height + 1 - height >= MATURITY_BLOCKS and outpoint not in taken
        ]


def spend(coins: Sequence[Coin], outputs: Sequence[Output]) -> Transaction:
    """Return a signed transaction of the faucet's coins, what is left coming back to it."""
    left_sats = sum(coin.amount_sats for coin in coins) - FEE_SATS
    left_sats -= sum(output.amount_sats for output in outputs)
    made = [TransactionOutput(output.amount_sats, script.Script(output.script)) for output in outputs]
    if left_sats > FEE_SATS:
        made.append(TransactionOutput(left_sats, script.Script(SCRIPT)))
    inputs = [
        TransactionInput(bytes.fromhex(coin.outpoint.txid), coin.outpoint.vout, sequence=REPLACEABLE_SEQUENCE)
        for coin in coins
    ]
    transaction = EmbitTransaction(2, inputs, made, 0)
    public = _KEY.get_public_key()
    code = script.p2pkh_from_p2wpkh(script.Script(SCRIPT))
    for number, coin in enumerate(coins):
        digest = transaction.sighash_segwit(number, code, coin.amount_sats)
        transaction.vin[number].witness = script.witness_p2wpkh(_KEY.sign(digest), public)
    return parse_transaction(bytes(transaction.serialize()))

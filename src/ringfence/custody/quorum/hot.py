"""The hot wallet's transactions: coins at one P2WPKH address, under a key that nobody has; one signature an input.

The bytes that are signed are the transaction without witnesses. Digests are worked out twice, by embit and by hand.
"""

from collections.abc import Sequence
from typing import NamedTuple

from embit import ec, script
from embit.script import Script
from embit.transaction import Transaction as EmbitTransaction
from embit.transaction import TransactionInput, TransactionOutput

from ringfence.custody.chains.bitcoin.transactions import Transaction, parse_transaction
from ringfence.custody.hsm.token import der
from ringfence.custody.quorum.multisig import SIGHASH_ALL, MultisigError, digest_of
from ringfence.custody.wallets.building import CHANGE_SATS_MIN, REPLACEABLE, BuildError, Payment
from ringfence.custody.wallets.coins import Coin
from ringfence.custody.wallets.derivation import derived_key
from ringfence.units.rounding import ceil_div

PATH = "m/1/0"
"""Of the clients' hot address below the shared key."""
INPUTS_MAX = 8
"""Each takes a run of its own."""
_INPUT_BYTES, _WITNESS_BYTES = 41, 1 + 1 + 72 + 1 + 33
_FACTOR = 4


class Unsigned(NamedTuple):
    raw: bytes
    fee_sats: int
    spends: tuple[Coin, ...]


def hot_key(public_key: str, chain_code: str) -> bytes:
    """Return the key of the hot address, compressed. Raises PathError, ValueError."""
    return derived_key(bytes.fromhex(public_key), bytes.fromhex(chain_code), PATH)


def hot_script(key: bytes) -> bytes:
    return bytes(script.p2wpkh(ec.PublicKey.parse(key)).data)


def vsize_max(inputs: int, scripts: Sequence[bytes]) -> int:
    """Return the most virtual bytes that a transaction of hot coins and these outputs has."""
    plain = 10 + inputs * _INPUT_BYTES + sum(9 + len(one) for one in scripts)
    return ceil_div(plain * _FACTOR + 2 + inputs * _WITNESS_BYTES, _FACTOR)


def build(
    coins: Sequence[Coin],
    payments: Sequence[Payment],
    *,
    rate_sats_per_kvb: int,
    back_to: bytes,
    is_all: bool,
) -> Unsigned:
    """Return a transaction that pays with hot coins, the largest first; the rest comes back. Raises BuildError.

    `is_all`: every coin has to be in it, as in a replacement.
    """
    wanted = sum(payment.amount_sats for payment in payments)
    ordered = sorted(coins, key=lambda coin: (-coin.amount_sats, coin.outpoint))
    for count in range(len(ordered) if is_all else 1, min(len(ordered), INPUTS_MAX) + 1):
        chosen = ordered[:count]
        held = sum(coin.amount_sats for coin in chosen)
        scripts = [*(payment.script for payment in payments), back_to]
        fee = ceil_div(vsize_max(count, scripts) * rate_sats_per_kvb, 1_000)
        if held - wanted - fee >= CHANGE_SATS_MIN:
            outputs = [*payments, Payment(back_to, held - wanted - fee)]
            return Unsigned(_raw(chosen, outputs), fee, tuple(chosen))
    raise BuildError(
        f"{wanted} sats and a fee are wanted of {len(ordered)} hot coins, which have not that much"
    )


def _raw(coins: Sequence[Coin], outputs: Sequence[Payment]) -> bytes:
    inputs = [
        TransactionInput(bytes.fromhex(coin.outpoint.txid), coin.outpoint.vout, sequence=REPLACEABLE)
        for coin in coins
    ]
    made = [TransactionOutput(one.amount_sats, Script(one.script)) for one in outputs]
    return bytes(EmbitTransaction(2, inputs, made, 0).serialize())


def read_unsigned(unsigned: str) -> tuple[bytes, Transaction]:
    """Return the bytes and the transaction that is exactly these. Raises MultisigError."""
    try:
        raw = bytes.fromhex(unsigned)
        if bytes(EmbitTransaction.parse(raw).serialize()) != raw:
            raise MultisigError("these bytes are not the one encoding of what they say")
        return raw, parse_transaction(raw)
    except MultisigError:
        raise
    except Exception as error:  # embit's errors are bare ones: whatever it is, it is no transaction
        raise MultisigError(f"these bytes are no transaction: {type(error).__name__}: {error}") from error


def digests(raw: bytes, coins: Sequence[Coin], key: bytes) -> tuple[bytes, ...]:
    """Return what is signed for each input. Raises MultisigError."""
    transaction, parsed = EmbitTransaction.parse(raw), parse_transaction(raw)
    code = script.p2pkh(ec.PublicKey.parse(key))
    found = []
    for index, coin in enumerate(coins):
        of_embit = bytes(transaction.sighash_segwit(index, code, coin.amount_sats, SIGHASH_ALL))
        if of_embit != digest_of(parsed, index, bytes(code.data), coin.amount_sats):
            raise MultisigError(f"two ways give different digests of input {index}")
        found.append(of_embit)
    return tuple(found)


def put_together(raw: bytes, key: bytes, signatures: Sequence[bytes]) -> Transaction:
    """Return the transaction with its witnesses. Raises MultisigError unless there is one for each input."""
    transaction = EmbitTransaction.parse(raw)
    if len(signatures) != len(transaction.vin):
        raise MultisigError(f"{len(signatures)} signatures, {len(transaction.vin)} inputs")
    for entry, signature in zip(transaction.vin, signatures, strict=True):
        entry.witness = script.Witness([der(signature) + bytes((SIGHASH_ALL,)), key])
    return parse_transaction(bytes(transaction.serialize()))

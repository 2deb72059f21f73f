"""From parts to one transaction: the digests that are signed, the witness that they make, and what the network says.

The digest is worked out twice, by embit and by hand as BIP143 has it; a co-signer signs only what both say.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from embit.psbt import PSBT
from embit.script import Script
from embit.script import Witness as EmbitWitness
from embit.transaction import Transaction as EmbitTransaction

from ringfence.custody.chains.bitcoin.kernel import failing_input
from ringfence.custody.chains.bitcoin.transactions import (
    Output,
    Transaction,
    double_sha256,
    parse_transaction,
)
from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import satisfied
from ringfence.custody.wallets.owners import Wallets

SIGHASH_ALL = 1


class MultisigError(ValueError):
    """The bytes are no transaction that our wallets could sign. Nothing was signed."""


class Parts(NamedTuple):
    """What of a transaction was read from the bytes that came."""

    unsigned: bytes
    """Without witnesses: what its id is made of."""
    transaction: Transaction


def read_unsigned(psbt: str) -> Parts:
    """Return the transaction that is in a PSBT. Raises MultisigError; whatever else the PSBT says is not looked at."""
    try:
        raw = bytes(PSBT.from_string(psbt).tx.serialize())
        return Parts(raw, parse_transaction(raw))
    except Exception as error:  # embit's errors are bare ones: whatever it is, it is no transaction
        raise MultisigError(f"these bytes are no transaction: {type(error).__name__}: {error}") from error


def digests(parts: Parts, coins: Sequence[Coin], scripts: Sequence[bytes]) -> list[bytes]:
    """Return what is signed for each input, SIGHASH_ALL. `scripts` are the witness scripts. Raises MultisigError."""
    transaction = EmbitTransaction.parse(parts.unsigned)
    found = []
    for index, (coin, script) in enumerate(zip(coins, scripts, strict=True)):
        of_embit = bytes(transaction.sighash_segwit(index, Script(script), coin.amount_sats, SIGHASH_ALL))
        by_hand = digest_of(parts.transaction, index, script, coin.amount_sats)
        if of_embit != by_hand:
            raise MultisigError(f"two ways give different digests of input {index}")
        found.append(by_hand)
    return found


def digest_of(transaction: Transaction, index: int, script: bytes, amount_sats: int) -> bytes:
    """Return the digest of BIP143 for SIGHASH_ALL, by hand; `script` is the code that is run."""
    raw = transaction.raw
    outpoints = [_outpoint(item.outpoint) for item in transaction.inputs]
    sequences = [item.sequence.to_bytes(4, "little") for item in transaction.inputs]
    outputs = [
        output.amount_sats.to_bytes(8, "little") + _length(len(output.script)) + output.script
        for output in transaction.outputs
    ]
    return double_sha256(
        raw[:4] + double_sha256(b"".join(outpoints)) + double_sha256(b"".join(sequences)) + outpoints[index]
        + _length(len(script)) + script + amount_sats.to_bytes(8, "little") + sequences[index]
        + double_sha256(b"".join(outputs)) + raw[-4:] + SIGHASH_ALL.to_bytes(4, "little")
    )  # fmt: skip


def _outpoint(outpoint: Outpoint) -> bytes:
    return bytes.fromhex(outpoint.txid)[::-1] + outpoint.vout.to_bytes(4, "little")


def _length(count: int) -> bytes:
    return bytes((count,)) if count < 0xFD else b"\xfd" + count.to_bytes(2, "little")


Signatures = Mapping[bytes, bytes]
"""By public key: DER with the byte of the sighash type."""


def put_together(
    parts: Parts,
    wallets: Wallets,
    coins: Sequence[Coin],
    signatures: Sequence[Signatures],
    *,
    recovery: bool = False,
) -> Transaction:
    """Return the transaction with the witnesses that these signatures make, enough or not. Raises MultisigError."""
    transaction = EmbitTransaction.parse(parts.unsigned)
    for entry, coin, signed in zip(transaction.vin, coins, signatures, strict=True):
        mine = wallets.classify(coin.script)
        if mine is None:
            raise MultisigError(f"{coin.outpoint} is nobody's of ours")
        deriver = wallets.derivers[mine.owner]
        keys, script = (
            deriver.keys(mine.keychain, mine.number), deriver.witness_script(mine.keychain, mine.number),
        )  # fmt: skip
        entry.witness = EmbitWitness(satisfied(keys, dict(signed), script, recovery=recovery))
    return parse_transaction(bytes(transaction.serialize()))


def network_accepts(transaction: Transaction, coins: Sequence[Coin]) -> bool:
    """Return whether Bitcoin Core's own verifier, with all of its rules, lets a transaction spend these coins."""
    spent = [Output(coin.amount_sats, coin.script) for coin in coins]
    return failing_input(transaction.raw, spent) is None

"""Transactions for the signers to look at, of the coins of one owner.

What is chosen depends on what is given and on nothing else: the largest coins first, as few as will do, change to one
script of the owner's own. Signers believe nothing that is said here; they take the bytes apart themselves.
"""

from collections.abc import Sequence
from typing import NamedTuple

from embit.psbt import PSBT
from embit.script import Script
from embit.transaction import Transaction as EmbitTransaction
from embit.transaction import TransactionInput, TransactionOutput

from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import WITNESS_SCRIPT_BYTES, Keychain
from ringfence.custody.wallets.owners import Mine, Owner, Wallets
from ringfence.units.rounding import ceil_div

FEE_RATE_SATS_PER_KVB_MAX = 500_000
"""No transaction of ours pays more, whatever an estimate says."""
FEE_RATE_SATS_PER_KVB_MIN = 1_000
"""Nodes relay nothing that pays less."""
INPUTS_MAX = 100
"""A transaction with more is too large for its signers to look at in time."""
CHANGE_SATS_MIN = 1_000
"""Less is left to the miner: to spend it would cost more."""
REPLACEABLE = 0xFFFFFFFD
_SIGNATURE_BYTES_MAX = 72
_WITNESS_BYTES = (
    1 + 1 + (1 + _SIGNATURE_BYTES_MAX) + 1 + 2 * (1 + _SIGNATURE_BYTES_MAX) + 2 + 3 + WITNESS_SCRIPT_BYTES
)
"""Count, dummy, one of policy, dummy, two of operations, the branch, the script with its length."""
_INPUT_BYTES = 41
_FACTOR = 4


class BuildError(Exception):
    """No transaction was built, for the reason in the text. No coin is held back for it."""


class Payment(NamedTuple):
    """What a transaction has to pay."""

    script: bytes
    amount_sats: int


class Funds(NamedTuple):
    """A coin to spend, with the transaction that made it, or none: our signers look coins up at their own nodes."""

    coin: Coin
    raw: bytes = b""


class Unsigned(NamedTuple):
    """A transaction that nobody has signed."""

    psbt: str
    fee_sats: int
    spends: tuple[Outpoint, ...]
    change: tuple[int, ...]
    """Which outputs come back to the owner."""


def vsize_max(inputs: int, scripts: Sequence[bytes]) -> int:
    """Return the most virtual bytes that a transaction of our inputs and these outputs has."""
    outputs = sum(8 + _length_bytes(len(script)) + len(script) for script in scripts)
    counts = _length_bytes(inputs) + _length_bytes(len(scripts))
    plain = 8 + counts + inputs * _INPUT_BYTES + outputs
    return ceil_div(plain * _FACTOR + 2 + inputs * _WITNESS_BYTES, _FACTOR)


def build(
    wallets: Wallets,
    owner: Owner,
    funds: Sequence[Funds],
    payments: Sequence[Payment],
    *,
    fee_rate_sats_per_kvb: int,
    change_index: int,
    all_of: Sequence[Outpoint] = (),
    recovery: bool = False,
) -> Unsigned:
    """Return a transaction that pays all of `payments` with coins out of `funds`.

    Change goes to the owner's own change script at `change_index`. `all_of` are coins that have to be among the
    spent: a payment that replaces another spends one of its coins, so that never both count. The fee is the rate times
    the largest size that the transaction can have, rounded up. Raises BuildError.
    """
    if not payments or not funds:
        raise BuildError("nothing to pay, or nothing to pay with")
    if any(payment.amount_sats <= 0 for payment in payments):
        raise BuildError("a payment of nothing")
    _check(wallets, owner, funds, fee_rate_sats_per_kvb)
    change = wallets.derivers[owner].script(Keychain.CHANGE, change_index)
    scripts = [payment.script for payment in payments]
    wanted = sum(payment.amount_sats for payment in payments)
    first = [fund for fund in funds if fund.coin.outpoint in all_of]
    if len(first) != len(set(all_of)):
        raise BuildError("a coin that has to be spent is not among those that there are")
    rest = sorted(
        (fund for fund in funds if fund.coin.outpoint not in all_of),
        key=lambda fund: (-fund.coin.amount_sats, fund.coin.outpoint),
    )
    chosen = list(first)
    while True:
        held = sum(fund.coin.amount_sats for fund in chosen)
        fee = _fee(len(chosen), [*scripts, change], fee_rate_sats_per_kvb)
        if chosen and held - wanted - fee >= CHANGE_SATS_MIN:
            back = held - wanted - fee
            return _unsigned(
                wallets, owner, chosen, [*payments, Payment(change, back)], (len(payments),), recovery
            )
        fee = _fee(len(chosen), scripts, fee_rate_sats_per_kvb)
        if chosen and held - wanted >= fee and (not rest or held - wanted - fee < CHANGE_SATS_MIN):
            return _unsigned(wallets, owner, chosen, payments, (), recovery)
        if not rest:
            raise BuildError(f"{wanted} sats and a fee of {fee} are wanted, {held} are there")
        if len(chosen) == INPUTS_MAX:
            raise BuildError(f"more than {INPUTS_MAX} coins in one transaction; consolidate first")
        chosen.append(rest.pop(0))


def _fee(inputs: int, scripts: Sequence[bytes], rate_sats_per_kvb: int) -> int:
    return ceil_div(vsize_max(inputs, scripts) * rate_sats_per_kvb, 1_000)


def _check(wallets: Wallets, owner: Owner, funds: Sequence[Funds], rate_sats_per_kvb: int) -> None:
    if not FEE_RATE_SATS_PER_KVB_MIN <= rate_sats_per_kvb <= FEE_RATE_SATS_PER_KVB_MAX:
        raise BuildError(f"a fee rate of {rate_sats_per_kvb} sats/kvB is not one that we pay")
    if len({fund.coin.outpoint for fund in funds}) < len(funds):
        raise BuildError("a coin is there twice")
    for fund in funds:
        if _mine(wallets, fund).owner != owner:
            raise BuildError(f"{fund.coin.outpoint} is not of {owner.text}")


def _mine(wallets: Wallets, fund: Funds) -> Mine:
    mine = wallets.classify(fund.coin.script)
    if mine is None:
        raise BuildError(f"{fund.coin.outpoint} is nobody's of ours")
    return mine


def _unsigned(
    wallets: Wallets,
    owner: Owner,
    funds: Sequence[Funds],
    payments: Sequence[Payment],
    change: tuple[int, ...],
    recovery: bool,
) -> Unsigned:
    deriver = wallets.derivers[owner]
    sequence = deriver.vault.recovery_blocks if recovery else REPLACEABLE
    inputs = [
        TransactionInput(bytes.fromhex(fund.coin.outpoint.txid), fund.coin.outpoint.vout, sequence=sequence)
        for fund in funds
    ]
    outputs = [TransactionOutput(payment.amount_sats, Script(payment.script)) for payment in payments]
    psbt = PSBT(EmbitTransaction(2, inputs, outputs, 0))
    for entry, fund in zip(psbt.inputs, funds, strict=True):
        mine = _mine(wallets, fund)
        entry.witness_utxo = TransactionOutput(fund.coin.amount_sats, Script(fund.coin.script))
        if fund.raw:
            entry.non_witness_utxo = EmbitTransaction.parse(fund.raw)
        entry.witness_script = Script(deriver.witness_script(mine.keychain, mine.number))
        entry.sighash_type = 1
    fee = sum(fund.coin.amount_sats for fund in funds) - sum(payment.amount_sats for payment in payments)
    assert fee >= 0
    return Unsigned(psbt.to_string(), fee, tuple(fund.coin.outpoint for fund in funds), change)


def _length_bytes(count: int) -> int:
    return 1 if count < 0xFD else 3

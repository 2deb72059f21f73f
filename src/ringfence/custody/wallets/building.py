"""Transactions for the signers to look at, of the coins of one owner. bdk chooses the coins and the change.

Each is built by a wallet that is made for it and knows exactly the coins that it is given: what bdk remembered of
a reorganised chain cannot be spent by mistake. Signers believe nothing that is said here; they take the bytes
apart themselves.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import bdkpython
from embit.psbt import PSBT

from ringfence.custody.wallets.coins import Coin, Outpoint
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Owner, Wallets

FEE_RATE_SATS_PER_KVB_MAX = 500_000
"""No transaction of ours pays more, whatever an estimate says."""
INPUTS_MAX = 200
"""A transaction with more is too large for its signers to look at in time."""
_KWU_PER_KVB = 4
_MAIN_LEAF, _RECOVERY_LEAF = 1, 2
"""How bdk numbers the ways to spend; 0 is the internal key, which nobody has."""


class BuildError(Exception):
    """No transaction was built, for the reason in the text. No coin is held back for it."""


class Payment(NamedTuple):
    """What a transaction has to pay."""

    script: bytes
    amount_sats: int


class Funds(NamedTuple):
    """A coin to spend, with the transaction that made it: signers want to see what they spend."""

    coin: Coin
    raw: bytes


class Unsigned(NamedTuple):
    """A transaction that nobody has signed."""

    psbt: str
    fee_sats: int
    spends: tuple[Outpoint, ...]
    change: tuple[int, ...]
    """Which outputs come back to the owner."""


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
    """Return a transaction that pays, with what is left over going to the owner's own change script.

    `change_index` is the next free one; whoever calls writes it down before anybody signs. `all_of` are coins that
    have to be among the spent: a payment that replaces another spends one of its coins, so that never both count.
    Raises BuildError.
    """
    if not payments or not funds:
        raise BuildError("nothing to pay, or nothing to pay with")
    wallet = _wallet(wallets, owner, funds, change_index)
    builder = bdkpython.TxBuilder().set_recipients(
        [
            bdkpython.ScriptAmount(
                script=bdkpython.Script(payment.script), amount=bdkpython.Amount.from_sat(payment.amount_sats)
            )
            for payment in payments
        ]
    )
    if all_of:
        builder = builder.add_utxos([_outpoint(outpoint) for outpoint in all_of])
    return _finished(
        wallets, owner, wallet, builder, funds, payments, fee_rate_sats_per_kvb=fee_rate_sats_per_kvb,
        recovery=recovery,
    )  # fmt: skip


def consolidate(
    wallets: Wallets,
    owner: Owner,
    funds: Sequence[Funds],
    *,
    fee_rate_sats_per_kvb: int,
    change_index: int,
    recovery: bool = False,
) -> Unsigned:
    """Return a transaction that makes one coin of many, at the owner's own change script. Raises BuildError."""
    if not funds:
        raise BuildError("no coins")
    wallet = _wallet(wallets, owner, funds, change_index)
    target = wallets.derivers[owner].script(Keychain.CHANGE, change_index)
    builder = bdkpython.TxBuilder().drain_wallet().drain_to(bdkpython.Script(target))
    return _finished(
        wallets, owner, wallet, builder, funds, (), fee_rate_sats_per_kvb=fee_rate_sats_per_kvb,
        recovery=recovery,
    )  # fmt: skip


def _wallet(wallets: Wallets, owner: Owner, funds: Sequence[Funds], change_index: int) -> Any:
    """Return a wallet of bdk that knows these coins and gives this change."""
    for fund in funds:
        mine = wallets.classify(fund.coin.script)
        if mine is None or mine.owner != owner:
            raise BuildError(f"{fund.coin.outpoint} is not of {owner.name}")
    receive, change = wallets.derivers[owner].by_keychain
    last = max([change_index, *(_index(wallets, fund.coin.script) for fund in funds)])
    wallet = bdkpython.Wallet(
        receive, change, wallets.network, bdkpython.Persister.new_in_memory(), lookahead=last + 1
    )
    makers = {fund.coin.outpoint.txid: bdkpython.Transaction(fund.raw) for fund in funds}
    for txid, maker in makers.items():
        if maker.is_coinbase():
            # bdk is told of our coins as if they waited, and a coinbase cannot.
            raise BuildError(f"{txid} is a miner's: such coins are not for our wallets")
    wallet.apply_unconfirmed_txs(
        [bdkpython.UnconfirmedTx(tx=maker, last_seen=0) for maker in makers.values()]
    )
    # bdk gives change to the first script that is not used yet.
    wallet.reveal_addresses_to(bdkpython.KeychainKind.INTERNAL, change_index)
    for index in range(change_index):
        wallet.mark_used(bdkpython.KeychainKind.INTERNAL, index)
    return wallet


def _finished(
    wallets: Wallets, owner: Owner, wallet: Any, builder: Any, funds: Sequence[Funds],
    payments: Sequence[Payment], *, fee_rate_sats_per_kvb: int, recovery: bool,
) -> Unsigned:  # fmt: skip
    if not 0 < fee_rate_sats_per_kvb <= FEE_RATE_SATS_PER_KVB_MAX:
        raise BuildError(f"a fee rate of {fee_rate_sats_per_kvb} sats/kvB is not one that we pay")
    given = {fund.coin.outpoint for fund in funds}
    # A maker's other outputs may be ours too, but spent already or held for another transaction.
    others = [
        output.outpoint for output in wallet.list_unspent() if _shown(output.outpoint) not in given
    ]  # fmt: skip
    leaf = _RECOVERY_LEAF if recovery else _MAIN_LEAF
    rate = bdkpython.FeeRate.from_sat_per_kwu(-(-fee_rate_sats_per_kvb // _KWU_PER_KVB))
    builder = builder.unspendable(others).fee_rate(rate).only_witness_utxo()
    # bdk complains of a missing path unless both keychains have one.
    for keychain in (bdkpython.KeychainKind.EXTERNAL, bdkpython.KeychainKind.INTERNAL):
        builder = builder.policy_path({wallet.policies(keychain).id(): [leaf]}, keychain)
    try:
        psbt = builder.finish(wallet)
    except bdkpython.CreateTxError as error:
        raise BuildError(f"bdk builds no transaction: {error}") from error
    return _checked(wallets, owner, str(psbt.serialize()), funds, payments)


def _checked(
    wallets: Wallets, owner: Owner, psbt: str, funds: Sequence[Funds], payments: Sequence[Payment]
) -> Unsigned:
    """Read what was built with the other library: it pays what was asked, the rest is ours, or it is not built."""
    transaction = PSBT.from_string(psbt).tx
    amounts = {fund.coin.outpoint: fund.coin.amount_sats for fund in funds}
    spends = tuple(Outpoint(item.txid.hex(), item.vout) for item in transaction.vin)
    if len(spends) > INPUTS_MAX:
        raise BuildError(f"{len(spends)} coins in one transaction; consolidate first")
    unpaid = list(payments)
    change = []
    for index, output in enumerate(transaction.vout):
        payment = Payment(bytes(output.script_pubkey.data), output.value)
        if payment in unpaid:
            unpaid.remove(payment)
            continue
        mine = wallets.classify(payment.script)
        if mine is None or mine.owner != owner or mine.keychain != Keychain.CHANGE:
            raise BuildError(f"output {index} is neither a payment nor the change of {owner.name}")
        change.append(index)
    if unpaid:
        raise BuildError(f"{len(unpaid)} payments are missing")
    fee_sats = sum(amounts[outpoint] for outpoint in spends) - sum(out.value for out in transaction.vout)
    assert fee_sats >= 0
    return Unsigned(psbt, fee_sats, spends, tuple(change))


def _index(wallets: Wallets, script: bytes) -> int:
    mine = wallets.classify(script)
    assert mine is not None
    return mine.number


def _outpoint(outpoint: Outpoint) -> Any:
    return bdkpython.OutPoint(txid=bdkpython.Txid.from_string(outpoint.txid), vout=outpoint.vout)


def _shown(outpoint: Any) -> Outpoint:
    return Outpoint(str(outpoint.txid), int(outpoint.vout))

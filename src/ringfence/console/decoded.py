"""Transactions taken apart from their own bytes: what they spend, whom they pay, and what of that nobody has asked for.

The bytes are those of the coordinator's log. Whose an address is, the charter and the annexes say; what was asked for,
the exchange's feed. So a coordinator that lies about a transaction is seen here, as the co-signers see it.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from embit.psbt import PSBT

from ringfence.custody.chains.accounts import AccountRoom, BytesError
from ringfence.custody.chains.bitcoin.transactions import (
    EMBIT_NETWORKS,
    Transaction,
    TransactionError,
    address_of,
    parse_transaction,
)
from ringfence.custody.coordinator.batches import Flow
from ringfence.custody.intents import Intent
from ringfence.custody.quorum.multisig import MultisigError, read_unsigned
from ringfence.custody.wallets.descriptors import Keychain
from ringfence.custody.wallets.owners import Mine, Wallets

Row = dict[str, Any]


class Paid(NamedTuple):
    """One payment of a transaction, in the asset's ledger unit."""

    address: str
    amount: int
    own: str
    """What it is if it is ours; empty for a stranger's."""
    is_change: bool = False


class Decoded(NamedTuple):
    txid: str
    size: str
    spends: tuple[str, ...]
    paid: tuple[Paid, ...]
    fee: int | None
    """By the bytes, in the unit that the chain takes fees in; None if they do not say it."""
    fee_from: str
    """Where the fee was read."""


class UnreadableError(ValueError):
    """These bytes are no transaction. Nobody should sign them."""


def of_bitcoin(flow: Flow, wallets: Wallets) -> Decoded:
    """Return the newest transaction of a batch under scripts. Raises UnreadableError."""
    newest = flow.newest
    try:
        transaction = parse_transaction(newest.raw) if newest else read_unsigned(flow.unsigned).transaction
        inputs = _amounts(newest.unsigned if newest else flow.unsigned)
    except (MultisigError, TransactionError) as error:
        raise UnreadableError(str(error)) from error
    fee = sum(inputs) - sum(one.amount_sats for one in transaction.outputs) if inputs else None
    where = "what the transaction says it spends; a false amount makes its signatures void" if inputs else ""
    return _bitcoin(transaction, wallets, fee, where)


def of_hot_bitcoin(flow: Flow, wallets: Wallets) -> Decoded:
    """Return the newest transaction of the hot wallet. Raises UnreadableError."""
    newest = flow.newest
    try:
        transaction = parse_transaction(newest.raw if newest else bytes.fromhex(flow.unsigned))
    except (TransactionError, ValueError) as error:
        raise UnreadableError(str(error)) from error
    return _bitcoin(transaction, wallets, None, "")


def _amounts(psbt: str) -> list[int]:
    """Return what the inputs hold, as the signatures commit to it; nothing if one does not say."""
    try:
        inputs = PSBT.from_string(psbt).inputs
    except Exception as error:  # embit's errors are bare ones
        raise UnreadableError(f"no PSBT: {type(error).__name__}") from error
    amounts = [one.witness_utxo.value for one in inputs if one.witness_utxo is not None]
    return amounts if len(amounts) == len(inputs) else []


def _bitcoin(transaction: Transaction, wallets: Wallets, fee: int | None, where: str) -> Decoded:
    network = EMBIT_NETWORKS[wallets.network_name]
    paid = []
    for output in transaction.outputs:
        mine = wallets.classify(output.script)
        is_change = mine is not None and not mine.is_hot and mine.keychain == Keychain.CHANGE
        address = address_of(output.script, network) or output.script.hex()
        paid.append(Paid(address, output.amount_sats, _own(mine), is_change))
    spends = tuple(str(item.outpoint) for item in transaction.inputs)
    return Decoded(transaction.txid, f"{transaction.vsize} vB", spends, tuple(paid), fee, where)


def _own(mine: Mine | None) -> str:
    if mine is None:
        return ""
    where = "hot wallet" if mine.is_hot else f"{mine.keychain.name.lower()} address {mine.number}"
    return f"{where} of {mine.owner.text}"


def of_accounts(flow: Flow, room: AccountRoom, *, factor: int, native_factor: int) -> Decoded:
    """Return the newest transaction of a chain of accounts; `factor`: raw units of a ledger unit.

    Raises UnreadableError, also if it is not from an address of ours.
    """
    newest = flow.newest
    intent = flow.batch.intents[0]
    source = intent.source or (re.split("[:@]", flow.spends[0])[0] if flow.spends else room.treasury)
    if room.number_of(source) is None:
        raise UnreadableError(f"{source} is no address of ours")
    try:
        read = room.read(bytes.fromhex(newest.unsigned if newest else flow.unsigned), source=source)
    except (BytesError, ValueError) as error:
        raise UnreadableError(str(error)) from error
    number = room.number_of(read.to)
    own = "" if number is None else f"deposit address of account {number}" if number else "treasury"
    amount, rest = divmod(read.raw, factor)
    if rest or read.asset != intent.asset:
        raise UnreadableError(f"it moves {read.raw} of {read.asset}, which is no amount of {intent.asset}")
    fee = -(-read.fee_raw_max // native_factor)
    return Decoded(
        newest.txid if newest else "", read.call or "payment", (read.place,), (Paid(read.to, amount, own),), fee,
        "the most that the network can take for it",
    )  # fmt: skip


def row_of(decoded: Decoded, intents: Sequence[Intent]) -> Row:
    """Return a transaction for people: each payment with what it is for. Amounts as text, in smallest units."""
    return {
        "txid": decoded.txid, "size": decoded.size, "spends": list(decoded.spends),
        "fee": None if decoded.fee is None else str(decoded.fee), "feeFrom": decoded.fee_from,
        "pays": [
            {"address": one.address, "amount": str(one.amount), **_for_what(one, intents)} for one in decoded.paid
        ],
    }  # fmt: skip


def _for_what(paid: Paid, intents: Sequence[Intent]) -> Row:
    asked = next((one for one in intents if one.destination == paid.address), None)
    if asked is not None and asked.amount == paid.amount:
        return {"kind": f"ours: {paid.own}" if paid.own else "client's", "for": asked.id, "isExpected": True}
    if paid.own:
        return {
            "kind": f"{'change: ' if paid.is_change else 'ours: '}{paid.own}", "for": "", "isExpected": asked is None,
        }  # fmt: skip
    return {"kind": "NOBODY WHO HAS ASKED", "for": "", "isExpected": False}


def doubts_of(decoded: Decoded, intents: Sequence[Intent]) -> list[str]:
    """Return what of a transaction is not as it was asked for: empty if every coin goes where it should."""
    doubts = []
    for intent in intents:
        found = [one for one in decoded.paid if one.address == intent.destination]
        if [one.amount for one in found] != [intent.amount]:
            doubts.append(
                f"{intent.id} asks for {intent.amount}, and is paid {[one.amount for one in found]}"
            )
    destinations = {intent.destination for intent in intents}
    doubts += [
        f"{one.amount} go to {one.address}, which is neither ours nor asked for"
        for one in decoded.paid if not one.own and one.address not in destinations
    ]  # fmt: skip
    fees = [intent.fee_max for intent in intents if intent.fee_max]
    if decoded.fee is not None and (decoded.fee < 0 or (fees and decoded.fee > min(fees))):
        doubts.append(f"the fee is {decoded.fee}, at most {min(fees, default=0)} is allowed")
    return doubts

"""What the data of a transaction would do: an ERC-20 transfer, or nothing that custody ever signs.

Default deny: a selector that is not the one of `transfer` is refused, whatever it is; those that have emptied wallets
are refused by name.
"""

from typing import NamedTuple

from ringfence.custody.chains.ethereum.addresses import ADDRESS_BYTES
from ringfence.custody.chains.ethereum.transactions import Transaction

TRANSFER = bytes.fromhex("a9059cbb")
_WORD = 32
_NAMED = {
    "095ea7b3": "approve: somebody else could take coins later",
    "39509351": "increaseAllowance: somebody else could take coins later",
    "d505accf": "permit: somebody else could take coins later",
    "a22cb465": "setApprovalForAll: somebody else could take everything later",
    "23b872dd": "transferFrom: of somebody else's coins",
    "f2fde38b": "transferOwnership",
    "3659cfe6": "upgradeTo: the contract would become another one",
    "4f1ef286": "upgradeToAndCall: the contract would become another one",
    "6a761202": "execTransaction: whatever is inside",
    "ac9650d8": "multicall: whatever is inside",
}


class CallError(ValueError):
    """The transaction would do something else than pay. Nothing was signed."""


class Movement(NamedTuple):
    """What a transaction pays, in the smallest unit of its asset."""

    asset: str
    to: bytes
    amount: int


def transfer_data(to: bytes, amount: int) -> bytes:
    """Return the data of an ERC-20 transfer. Raises CallError."""
    if len(to) != ADDRESS_BYTES or not 0 < amount < 2 ** (8 * _WORD):
        raise CallError("a transfer has a receiver and an amount")
    return TRANSFER + to.rjust(_WORD, b"\0") + amount.to_bytes(_WORD, "big")


def movement_of(transaction: Transaction, tokens: dict[bytes, str], *, native: str) -> Movement:
    """Return what a transaction pays. `tokens`: asset by its contract's address. Raises CallError."""
    if not transaction.data:
        if transaction.to in tokens:
            raise CallError(
                f"{native} is sent to the contract of {tokens[transaction.to]}, where it would be lost"
            )
        if not transaction.value_wei:
            raise CallError("it pays nothing")
        return Movement(native, transaction.to, transaction.value_wei)
    selector = transaction.data[:4]
    if selector != TRANSFER:
        why = _NAMED.get(selector.hex(), "a call that custody does not know")
        raise CallError(f"0x{selector.hex()} is {why}")
    if transaction.to not in tokens:
        raise CallError("a transfer of a token that is not listed")
    if transaction.value_wei:
        raise CallError(f"a transfer of a token that sends {native} as well")
    if len(transaction.data) != len(TRANSFER) + 2 * _WORD:
        raise CallError("a transfer has two arguments and nothing behind them")
    to, amount = transaction.data[4 : 4 + _WORD], int.from_bytes(transaction.data[4 + _WORD :], "big")
    if to[: _WORD - ADDRESS_BYTES] != bytes(_WORD - ADDRESS_BYTES):
        raise CallError("the receiver is no address")
    if not amount:
        raise CallError("it pays nothing")
    return Movement(tokens[transaction.to], to[-ADDRESS_BYTES:], amount)

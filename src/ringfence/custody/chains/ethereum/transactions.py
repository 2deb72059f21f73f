"""EIP-1559 transactions as bytes: what is signed, taken apart again to the last byte, and what is sent.

A co-signer decodes the very bytes that it is to sign. Everything that the encoding leaves open (leading zeros, another
order, bytes behind the end, access lists) is refused, so that one transaction has one encoding.
"""

from typing import Any, NamedTuple

import rlp
from rlp.exceptions import RLPException

from ringfence.custody.chains.ethereum.addresses import ADDRESS_BYTES, keccak_256

TYPE = b"\x02"
TRANSACTION_BYTES_MAX = 8_192
_UINT256_MAX = 2**256 - 1
_FIELDS = 9


class TransactionError(ValueError):
    """These bytes are no transaction of ours. Nothing was signed."""


class Transaction(NamedTuple):
    """What one account does once. Amounts in wei."""

    chain_id: int
    nonce: int
    priority_fee_per_gas_wei: int
    fee_per_gas_max_wei: int
    gas_limit: int
    to: bytes
    """20 bytes: a contract is never created."""
    value_wei: int
    data: bytes = b""

    @property
    def fee_max_wei(self) -> int:
        """The most that the network can take for it."""
        return self.gas_limit * self.fee_per_gas_max_wei


def unsigned_bytes(transaction: Transaction) -> bytes:
    """Return what is hashed to be signed: the type, and the RLP of the fields. Raises TransactionError."""
    for value in transaction[:5] + transaction[6:7]:
        if not isinstance(value, int) or not 0 <= value <= _UINT256_MAX:
            raise TransactionError("a number is not one of 256 bits")
    if len(transaction.to) != ADDRESS_BYTES:
        raise TransactionError(f"the receiver has {len(transaction.to)} bytes, not {ADDRESS_BYTES}")
    if transaction.priority_fee_per_gas_wei > transaction.fee_per_gas_max_wei:
        raise TransactionError("the tip is more than the whole fee")
    return TYPE + bytes(rlp.encode(_fields(transaction)))


def _fields(transaction: Transaction) -> list[Any]:
    return [*(_minimal(one) if isinstance(one, int) else one for one in transaction), []]


def _minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def sign_digest(raw: bytes) -> bytes:
    """Return the digest that is signed."""
    return keccak_256(raw)


def read_unsigned(raw: bytes) -> Transaction:
    """Return the transaction that is exactly these bytes. Raises TransactionError."""
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise TransactionError(f"{len(raw)} bytes are more than a transaction of ours has")
    if raw[:1] != TYPE:
        raise TransactionError("this is no EIP-1559 transaction")
    fields = _decoded(raw[1:], _FIELDS)
    *values, accesses = fields
    if accesses != []:
        raise TransactionError("it has an access list")
    numbers = [*values[:5], values[6]]
    if any(not isinstance(one, bytes) for one in values) or any(one[:1] == b"\0" for one in numbers):
        raise TransactionError("a field is not as it is written")
    chain_id, nonce, priority, most, gas, value = (int.from_bytes(one, "big") for one in numbers)
    transaction = Transaction(chain_id, nonce, priority, most, gas, values[5], value, values[7])
    if unsigned_bytes(transaction) != raw:
        raise TransactionError("these bytes are not the one encoding of what they say")
    return transaction


def _decoded(raw: bytes, count: int) -> list[Any]:
    try:
        fields = rlp.decode(raw, strict=True)
    except (RLPException, ValueError, RecursionError) as error:
        raise TransactionError(f"these bytes cannot be read: {type(error).__name__}") from error
    if not isinstance(fields, list | tuple) or len(fields) != count:
        raise TransactionError(f"a transaction has {count} fields")
    return [list(one) if isinstance(one, list | tuple) else one for one in fields]


def signed_bytes(transaction: Transaction, signature: bytes, recovery_id: int) -> bytes:
    """Return what is sent. `signature` is r|s of 32 bytes each, s in the lower half. Raises TransactionError."""
    if len(signature) != 64 or recovery_id not in (0, 1):
        raise TransactionError("the signature is none that Ethereum knows")
    unsigned_bytes(transaction)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    fields = [*_fields(transaction), _minimal(recovery_id), _minimal(r), _minimal(s)]
    return TYPE + bytes(rlp.encode(fields))


def transaction_hash(signed: bytes) -> bytes:
    return keccak_256(signed)

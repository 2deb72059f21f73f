"""Messages: what is signed, with one instruction that pays, and taken apart to the last byte.

Ed25519 signs the message itself, and the same message is the same payment: a blockhash lets it live for some 90
seconds. A durable nonce would let it live for ever, and is what signers were once tricked with (Drift, 2026): it is
refused, as is every program but the one that transfers.
"""

from typing import NamedTuple

from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

MESSAGE_BYTES_MAX = 1_232
_LAMPORTS_MAX = 2**64 - 1
_TRANSFER, _ADVANCE_NONCE = 2, 4
"""Of the system program, as its data begins."""


class MessageError(ValueError):
    """These bytes would do something else than one payment. Nothing was signed."""


class Payment(NamedTuple):
    """One payment of SOL. The payer pays the network's fee as well."""

    payer: bytes
    to: bytes
    lamports: int
    blockhash: bytes


def unsigned_bytes(payment: Payment) -> bytes:
    """Return what is signed. Raises MessageError."""
    if len(payment.payer) != 32 or len(payment.to) != 32 or len(payment.blockhash) != 32:
        raise MessageError("an account and a blockhash have 32 bytes")
    if not 0 < payment.lamports <= _LAMPORTS_MAX:
        raise MessageError(f"{payment.lamports} lamports are no payment")
    if payment.payer == payment.to:
        raise MessageError("it pays itself")
    payer = Pubkey.from_bytes(payment.payer)
    instruction = transfer(
        TransferParams(from_pubkey=payer, to_pubkey=Pubkey.from_bytes(payment.to), lamports=payment.lamports)
    )
    message = Message.new_with_blockhash([instruction], payer, Hash.from_bytes(payment.blockhash))
    return bytes(message)


def read_unsigned(raw: bytes) -> Payment:
    """Return the payment that is exactly these bytes. Raises MessageError."""
    if len(raw) > MESSAGE_BYTES_MAX:
        raise MessageError(f"{len(raw)} bytes are more than a message has")
    if raw[:1] >= b"\x80":
        raise MessageError("a versioned message may name accounts that are not in it")
    try:
        message = Message.from_bytes(raw)
    except Exception as error:  # solders raises bare ones for bytes that are none
        raise MessageError("these bytes cannot be read") from error
    if message.header.num_required_signatures != 1 or len(message.instructions) != 1:
        signers, instructions = message.header.num_required_signatures, len(message.instructions)
        raise MessageError(f"{signers} signers and {instructions} instructions, one of each is ours")
    instruction, keys = message.instructions[0], message.account_keys
    if instruction.program_id_index >= len(keys) or keys[instruction.program_id_index] != SYSTEM_PROGRAM:
        raise MessageError("a program that custody does not know")
    kind = int.from_bytes(instruction.data[:4], "little") if len(instruction.data) >= 4 else -1
    if kind == _ADVANCE_NONCE:
        raise MessageError("a durable nonce: what is signed with it could be sent years later")
    if kind != _TRANSFER or len(instruction.data) != 12 or len(instruction.accounts) != 2:
        raise MessageError("the system program would do something else than transfer")
    lamports = int.from_bytes(instruction.data[4:], "little")
    places = list(instruction.accounts)
    if max(places) >= len(keys):
        raise MessageError("an account that is not in the message")
    payment = Payment(
        bytes(keys[places[0]]), bytes(keys[places[1]]), lamports, bytes(message.recent_blockhash)
    )
    if unsigned_bytes(payment) != raw:
        raise MessageError("these bytes are not the one encoding of what they say")
    return payment


def signed_bytes(payment: Payment, signature: bytes) -> bytes:
    """Return what is sent. Raises MessageError."""
    if len(signature) != 64:
        raise MessageError("a signature has 64 bytes")
    message = Message.from_bytes(unsigned_bytes(payment))
    return bytes(Transaction.populate(message, [Signature.from_bytes(signature)]))

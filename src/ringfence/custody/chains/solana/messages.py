"""Messages: what is signed, with one instruction that moves coins, and taken apart to the last byte.

Ed25519 signs the message itself, and the same message is the same payment: a blockhash lets it live for some 90
seconds. A durable nonce would let it live for ever, and is what signers were once tricked with (Drift, 2026): it is
refused, as is every program but the one that transfers.
"""

from typing import NamedTuple

from solders.hash import Hash
from solders.instruction import CompiledInstruction, Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, TransferWithSeedParams, transfer, transfer_with_seed
from solders.transaction import Transaction

from ringfence.custody.chains.solana.addresses import AddressError, derived, spelt

MESSAGE_BYTES_MAX = 1_232
_LAMPORTS_MAX = 2**64 - 1
_TRANSFER, _ADVANCE_NONCE, _TRANSFER_WITH_SEED = 2, 4, 11
"""Of the system program, as its data begins."""
_OWNER = bytes(SYSTEM_PROGRAM)


class MessageError(ValueError):
    """These bytes would do something else than one payment or one sweep. Nothing was signed."""


class Payment(NamedTuple):
    """One payment of SOL. The payer pays the network's fee as well."""

    payer: bytes
    to: bytes
    lamports: int
    blockhash: bytes


class Sweep(NamedTuple):
    """One transfer away from an address that is derived from the payer, who pays the network's fee."""

    payer: bytes
    """Also the base of the source."""
    source: bytes
    seed: str
    """Of the source."""
    to: bytes
    lamports: int
    blockhash: bytes


def unsigned_bytes(said: Payment | Sweep) -> bytes:
    """Return what is signed. Raises MessageError."""
    if len(said.payer) != 32 or len(said.to) != 32 or len(said.blockhash) != 32:
        raise MessageError("an account and a blockhash have 32 bytes")
    if not 0 < said.lamports <= _LAMPORTS_MAX:
        raise MessageError(f"{said.lamports} lamports are no payment")
    instruction = _sweeping(said) if isinstance(said, Sweep) else _paying(said)
    payer = Pubkey.from_bytes(said.payer)
    return bytes(Message.new_with_blockhash([instruction], payer, Hash.from_bytes(said.blockhash)))


def read_unsigned(raw: bytes) -> Payment | Sweep:
    """Return the payment or the sweep that is exactly these bytes. Raises MessageError."""
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
    said = _said(message, instruction)
    if unsigned_bytes(said) != raw:
        raise MessageError("these bytes are not the one encoding of what they say")
    return said


def signed_bytes(said: Payment | Sweep, signature: bytes) -> bytes:
    """Return what is sent. Raises MessageError."""
    if len(signature) != 64:
        raise MessageError("a signature has 64 bytes")
    message = Message.from_bytes(unsigned_bytes(said))
    return bytes(Transaction.populate(message, [Signature.from_bytes(signature)]))


def _paying(payment: Payment) -> Instruction:
    if payment.payer == payment.to:
        raise MessageError("it pays itself")
    return transfer(
        TransferParams(
            from_pubkey=Pubkey.from_bytes(payment.payer),
            to_pubkey=Pubkey.from_bytes(payment.to),
            lamports=payment.lamports,
        )
    )


def _sweeping(sweep: Sweep) -> Instruction:
    try:
        source = derived(sweep.payer, sweep.seed)
    except AddressError as error:
        raise MessageError(str(error)) from error
    if sweep.source != source:
        raise MessageError(f"the payer's seed {sweep.seed!r} belongs to {spelt(source)}, not to the source")
    if sweep.to == source:
        raise MessageError("it sweeps to where it comes from")
    return transfer_with_seed(
        TransferWithSeedParams(
            from_pubkey=Pubkey.from_bytes(source), from_base=Pubkey.from_bytes(sweep.payer), from_seed=sweep.seed,
            from_owner=SYSTEM_PROGRAM, to_pubkey=Pubkey.from_bytes(sweep.to), lamports=sweep.lamports,
        )
    )  # fmt: skip


def _said(message: Message, instruction: CompiledInstruction) -> Payment | Sweep:
    """Return what an instruction of the system program says, if it is one of the two that custody knows."""
    data, keys = instruction.data, message.account_keys
    kind = int.from_bytes(data[:4], "little") if len(data) >= 4 else -1
    if kind == _ADVANCE_NONCE:
        raise MessageError("a durable nonce: what is signed with it could be sent years later")
    places = list(instruction.accounts)
    is_payment = kind == _TRANSFER and len(data) == 12 and len(places) == 2
    is_sweep = kind == _TRANSFER_WITH_SEED and len(data) >= 52 and len(places) == 3
    if not is_payment and not is_sweep:
        raise MessageError("the system program would do something else than transfer")
    if max(places) >= len(keys):
        raise MessageError("an account that is not in the message")
    payer, lamports = bytes(keys[0]), int.from_bytes(data[4:12], "little")
    blockhash = bytes(message.recent_blockhash)
    if is_payment:
        return Payment(bytes(keys[places[0]]), bytes(keys[places[1]]), lamports, blockhash)
    size = int.from_bytes(data[12:20], "little")
    if len(data) != 20 + size + 32 or data[-32:] != _OWNER:
        raise MessageError("the source would belong to another program than the system's")
    try:
        seed = data[20:-32].decode()
    except UnicodeDecodeError as error:
        raise MessageError("a seed that is no text") from error
    # Which account is the base is seen when this is written again: only a payer who is the base gives these bytes.
    return Sweep(payer, bytes(keys[places[0]]), seed, bytes(keys[places[2]]), lamports, blockhash)

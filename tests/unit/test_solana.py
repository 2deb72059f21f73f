"""Solana's messages: one payment and nothing else, to the last byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    AssignParams,
    TransferParams,
    advance_nonce_account,
    assign,
    transfer,
)

from ringfence.custody.chains.solana.messages import (
    MessageError,
    Payment,
    read_unsigned,
    signed_bytes,
    unsigned_bytes,
)

PAYER, TO, OTHER = (Pubkey.from_bytes(bytes([n]) * 32) for n in (5, 6, 7))
HASH = Hash.from_bytes(b"\x09" * 32)
PAYMENT = Payment(bytes(PAYER), bytes(TO), 1_500_000_000, bytes(HASH))
PAY = transfer(TransferParams(from_pubkey=PAYER, to_pubkey=TO, lamports=5))
BYTES32 = st.binary(min_size=32, max_size=32)


@given(BYTES32, BYTES32, st.integers(1, 2**64 - 1), BYTES32)
def test_bytes_are_read_back_as_what_they_were_written_from(
    payer: bytes, to: bytes, lamports: int, block: bytes
) -> None:
    if len({payer, to, bytes(32)}) == 3:  # 32 zeros are the system program itself
        payment = Payment(payer, to, lamports, block)
        assert read_unsigned(unsigned_bytes(payment)) == payment


def message(*instructions: Instruction, payer: Pubkey = PAYER) -> bytes:
    return bytes(Message.new_with_blockhash(list(instructions), payer, HASH))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (message(PAY, PAY), "1 signers and 2 instructions"),
        (message(), "1 signers and 0 instructions"),
        (message(PAY, payer=OTHER), "2 signers"),
        (
            message(
                advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=TO, authorized_pubkey=PAYER))
            ),
            "durable nonce",
        ),
        (message(assign(AssignParams(pubkey=PAYER, owner=OTHER))), "something else than transfer"),
        (message(Instruction(OTHER, b"", [AccountMeta(PAYER, True, True)])), "does not know"),
        (message(Instruction(PAY.program_id, b"", PAY.accounts)), "something else"),
        (message(Instruction(PAY.program_id, PAY.data + b"\0", PAY.accounts)), "something else"),
        (
            message(Instruction(PAY.program_id, PAY.data, [*PAY.accounts, AccountMeta(OTHER, False, False)])),
            "something",
        ),
        (b"\x80" + bytes(MessageV0.try_compile(PAYER, [PAY], [], HASH)), "versioned"),
        (b"", "cannot be read"),
        (bytes(1_233), "more than a message"),
        (message(PAY)[:-1], "cannot be read"),
    ],
)
def test_what_is_not_one_payment_is_refused_by_name(raw: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        read_unsigned(raw)


def test_a_byte_that_was_changed_is_refused_or_pays_something_else() -> None:
    raw = unsigned_bytes(PAYMENT)
    for place in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            try:
                found = read_unsigned(bytes(changed))
            except MessageError:
                continue
            assert found != PAYMENT
            assert unsigned_bytes(found) == bytes(changed)


@pytest.mark.parametrize(
    "payment",
    [
        PAYMENT._replace(lamports=0), PAYMENT._replace(lamports=2**64), PAYMENT._replace(to=bytes(PAYER)),
        PAYMENT._replace(to=b"\1" * 31), PAYMENT._replace(blockhash=b""),
    ],
)  # fmt: skip
def test_what_is_no_payment_is_not_written(payment: Payment) -> None:
    with pytest.raises(MessageError):
        unsigned_bytes(payment)
    with pytest.raises(MessageError):
        signed_bytes(PAYMENT, b"\1" * 63)

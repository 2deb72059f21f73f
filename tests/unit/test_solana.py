"""Solana's messages: one payment or one sweep and nothing else, to the last byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import (
    AdvanceNonceAccountParams,
    AssignParams,
    TransferParams,
    TransferWithSeedParams,
    advance_nonce_account,
    assign,
    transfer,
    transfer_with_seed,
)

from ringfence.custody.chains.solana.addresses import derived
from ringfence.custody.chains.solana.messages import (
    MessageError,
    Payment,
    Sweep,
    read_unsigned,
    signed_bytes,
    unsigned_bytes,
)

PAYER, TO, OTHER = (Pubkey.from_bytes(bytes([n]) * 32) for n in (5, 6, 7))
HASH = Hash.from_bytes(b"\x09" * 32)
PAYMENT = Payment(bytes(PAYER), bytes(TO), 1_500_000_000, bytes(HASH))
SWEEP = Sweep(bytes(PAYER), derived(bytes(PAYER), "17.2"), "17.2", bytes(PAYER), 1_500_000_000, bytes(HASH))
PAY = transfer(TransferParams(from_pubkey=PAYER, to_pubkey=TO, lamports=5))
BYTES32 = st.binary(min_size=32, max_size=32)


@given(BYTES32, BYTES32, st.integers(1, 2**64 - 1), BYTES32)
def test_bytes_are_read_back_as_what_they_were_written_from(
    payer: bytes, to: bytes, lamports: int, block: bytes
) -> None:
    if len({payer, to, bytes(32)}) == 3:  # 32 zeros are the system program itself
        payment = Payment(payer, to, lamports, block)
        assert read_unsigned(unsigned_bytes(payment)) == payment


@given(BYTES32, st.text(max_size=8), st.none() | BYTES32, st.integers(1, 2**64 - 1), BYTES32)
def test_sweeps_are_read_back_as_what_they_were_written_from(
    payer: bytes, seed: str, to: bytes | None, lamports: int, block: bytes
) -> None:
    """To the base itself, or to any other address."""
    to = to or payer
    if bytes(32) not in (payer, to):
        sweep = Sweep(payer, derived(payer, seed), seed, to, lamports, block)
        assert read_unsigned(unsigned_bytes(sweep)) == sweep


def sweeping(
    *,
    source: Pubkey | None = None,
    base: Pubkey = PAYER,
    seed: str = "17.2",
    owner: Pubkey = SYSTEM_PROGRAM,
    to: Pubkey = PAYER,
) -> Instruction:
    return transfer_with_seed(
        TransferWithSeedParams(
            from_pubkey=source or Pubkey.create_with_seed(base, seed, owner), from_base=base, from_seed=seed,
            from_owner=owner, to_pubkey=to, lamports=5,
        )
    )  # fmt: skip


def changed(instruction: Instruction, data: bytes) -> Instruction:
    return Instruction(instruction.program_id, data, instruction.accounts)


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
        (message(sweeping(), sweeping()), "1 signers and 2 instructions"),
        (message(sweeping(), PAY), "1 signers and 2 instructions"),
        (message(sweeping(base=OTHER)), "2 signers"),
        (message(sweeping(owner=OTHER)), "another program"),
        (message(sweeping(source=TO)), "not to the source"),
        (message(sweeping(to=Pubkey.from_bytes(SWEEP.source))), "to where it comes from"),
        (message(changed(sweeping(), sweeping().data + b"\0")), "another program"),
        (message(changed(sweeping(), sweeping().data[:40])), "something else"),
        (message(changed(sweeping(), sweeping().data.replace(b"17.2", b"17\xff2"))), "no text"),
        (message(changed(sweeping(), sweeping().data.replace(b"17.2", b"17.3"))), "not to the source"),
        (
            message(Instruction(SYSTEM_PROGRAM, sweeping().data, [*sweeping().accounts[:2]])),
            "something else than transfer",
        ),
    ],
)
def test_what_is_neither_one_payment_nor_one_sweep_is_refused_by_name(raw: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        read_unsigned(raw)


@pytest.mark.parametrize("said", [PAYMENT, SWEEP, SWEEP._replace(to=bytes(TO))])
def test_a_byte_that_was_changed_is_refused_or_says_something_else(said: Payment | Sweep) -> None:
    raw = unsigned_bytes(said)
    for place in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            try:
                found = read_unsigned(bytes(flipped))
            except MessageError:
                continue
            assert found != said
            assert unsigned_bytes(found) == bytes(flipped)


@pytest.mark.parametrize(
    "said",
    [
        PAYMENT._replace(lamports=0), PAYMENT._replace(lamports=2**64), PAYMENT._replace(to=bytes(PAYER)),
        PAYMENT._replace(to=b"\1" * 31), PAYMENT._replace(blockhash=b""),
        SWEEP._replace(lamports=0), SWEEP._replace(seed="17"), SWEEP._replace(seed="1" * 33),
        SWEEP._replace(source=SWEEP.payer), SWEEP._replace(to=SWEEP.source), SWEEP._replace(payer=bytes(OTHER)),
        SWEEP._replace(source=b""),
    ],
)  # fmt: skip
def test_what_is_no_payment_and_no_sweep_is_not_written(said: Payment | Sweep) -> None:
    with pytest.raises(MessageError):
        unsigned_bytes(said)
    with pytest.raises(MessageError):
        signed_bytes(PAYMENT, b"\1" * 63)

"""Ethereum's bytes against another library's, and every byte that was changed."""

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from ringfence.custody.chains.ethereum.addresses import AddressError, address_of, read_address, spelt
from ringfence.custody.chains.ethereum.calls import CallError, Movement, movement_of, transfer_data
from ringfence.custody.chains.ethereum.transactions import (
    Transaction,
    TransactionError,
    read_unsigned,
    sign_digest,
    signed_bytes,
    transaction_hash,
    unsigned_bytes,
)

KEY = bytes.fromhex("4646464646464646464646464646464646464646464646464646464646464646")
USDT, NOBODY = b"\xda" * 20, b"\x11" * 20
TOKENS = {USDT: "USDT"}
PLAIN = Transaction(1, 7, 10**9, 30 * 10**9, 21_000, NOBODY, 10**18)
UINT = st.one_of(st.integers(0, 300), st.integers(0, 2**256 - 1))
ANY = st.builds(
    lambda chain, nonce, tip, more, gas, to, value, data: Transaction(
        chain, nonce, tip, min(tip + more, 2**256 - 1), gas, to, value, data
    ),
    UINT, UINT, UINT, UINT, UINT, st.binary(min_size=20, max_size=20), UINT, st.binary(max_size=100),
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [  # of EIP-55
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)  # fmt: skip
def test_an_address_has_one_spelling(text: str) -> None:
    assert spelt(read_address(text)) == text
    for other in (
        text.lower(),
        text[:2] + text[2:].upper(),
        text[2:],
        text + "0",
        text[:-1],
        "0x" + "g" * 40,
        "",
    ):
        with pytest.raises(AddressError):
            read_address(other)


def test_a_public_key_has_the_address_that_others_give_it() -> None:
    account = Account.from_key(KEY)
    assert spelt(address_of(account._key_obj.public_key.to_compressed_bytes())) == account.address
    with pytest.raises(AddressError):
        address_of(b"\x02" * 7)


@given(ANY)
def test_bytes_are_read_back_as_what_they_were_written_from(transaction: Transaction) -> None:
    assert read_unsigned(unsigned_bytes(transaction)) == transaction


@pytest.mark.parametrize("data", [b"", transfer_data(NOBODY, 1)])
def test_what_is_signed_and_sent_is_what_another_library_makes(data: bytes) -> None:
    transaction = PLAIN._replace(data=data)
    fields = {
        "type": 2, "chainId": 1, "nonce": 7, "maxPriorityFeePerGas": 10**9, "maxFeePerGas": 30 * 10**9, "gas": 21_000,
        "to": spelt(NOBODY), "value": 10**18, "data": data,
    }  # fmt: skip
    signed = Account.sign_transaction(fields, KEY)
    signature = signed.r.to_bytes(32, "big") + signed.s.to_bytes(32, "big")
    mine = signed_bytes(transaction, signature, signed.v)
    assert mine == bytes(signed.raw_transaction)
    assert transaction_hash(mine) == bytes(signed.hash)
    assert Account._recover_hash(
        sign_digest(unsigned_bytes(transaction)), vrs=(signed.v, signed.r, signed.s)
    ) == (Account.from_key(KEY).address)


def test_a_byte_that_was_changed_is_refused_or_says_something_else() -> None:
    raw = unsigned_bytes(PLAIN._replace(to=USDT, value_wei=0, data=transfer_data(NOBODY, 5)))
    paid = movement_of(read_unsigned(raw), TOKENS, native="ETH")
    for place in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            try:
                found = read_unsigned(bytes(changed))
                assert unsigned_bytes(found) == bytes(changed) != raw
                assert found != read_unsigned(raw)
                other = movement_of(found, TOKENS, native="ETH")
            except (TransactionError, CallError):
                continue
            # What is still a payment is another one, or the same with another nonce, fee or chain: that is P15's.
            assert other != paid or found[:5] != read_unsigned(raw)[:5]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x01" + unsigned_bytes(PLAIN)[1:], unsigned_bytes(PLAIN) + b"\0", unsigned_bytes(PLAIN)[:-1],
        b"\x02", b"\x02\xc0", b"\x02\x80", b"\x02" + b"\xff" * 40, b"\x02" + b"\xc1" * 3_000, b"\x02" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_transaction_is_refused(raw: bytes) -> None:
    with pytest.raises(TransactionError):
        read_unsigned(raw)


def test_an_access_list_or_a_number_with_leading_zeros_is_refused() -> None:
    import rlp

    fields = rlp.decode(unsigned_bytes(PLAIN)[1:])
    with pytest.raises(TransactionError, match="access list"):
        read_unsigned(b"\x02" + rlp.encode([*fields[:8], [[USDT, []]]]))
    with pytest.raises(TransactionError, match="not as it is written"):
        read_unsigned(b"\x02" + rlp.encode([b"\0\1", *fields[1:]]))
    with pytest.raises(TransactionError, match="receiver has 0 bytes"):
        read_unsigned(b"\x02" + rlp.encode([*fields[:5], b"", *fields[6:]]))


def test_the_tip_is_part_of_the_fee_and_numbers_have_256_bits() -> None:
    for wrong in ({"priority_fee_per_gas_wei": 31 * 10**9}, {"value_wei": 2**256}, {"nonce": -1}):
        with pytest.raises(TransactionError):
            unsigned_bytes(PLAIN._replace(**wrong))


@pytest.mark.parametrize(
    ("transaction", "movement"),
    [
        (PLAIN, Movement("ETH", NOBODY, 10**18)),
        (
            PLAIN._replace(to=USDT, value_wei=0, data=transfer_data(NOBODY, 2**200)),
            Movement("USDT", NOBODY, 2**200),
        ),
    ],
)
def test_a_payment_is_seen_as_what_it_pays(transaction: Transaction, movement: Movement) -> None:
    assert movement_of(transaction, TOKENS, native="ETH") == movement


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value_wei": 0}, "pays nothing"),
        ({"to": USDT}, "where it would be lost"),
        ({"to": NOBODY, "data": transfer_data(NOBODY, 1)}, "token that is not listed"),
        ({"to": USDT, "data": transfer_data(NOBODY, 1)}, "sends ETH as well"),
        ({"to": USDT, "value_wei": 0, "data": transfer_data(NOBODY, 1) + b"\0"}, "nothing behind"),
        ({"to": USDT, "value_wei": 0, "data": transfer_data(NOBODY, 1)[:-1]}, "two arguments"),
        ({"to": USDT, "value_wei": 0, "data": b"\xa9\x05\x9c\xbb" + b"\1" * 64}, "no address"),
        ({"to": USDT, "value_wei": 0, "data": transfer_data(NOBODY, 1)[:36] + bytes(32)}, "pays nothing"),
        ({"to": USDT, "data": bytes.fromhex("095ea7b3") + bytes(64)}, "approve: somebody else could take"),
        ({"to": USDT, "data": bytes.fromhex("3659cfe6") + bytes(32)}, "upgradeTo"),
        ({"to": USDT, "data": bytes.fromhex("6a761202") + bytes(32)}, "execTransaction"),
        ({"to": USDT, "data": b"\x12\x34\x56\x78"}, "does not know"),
        ({"to": USDT, "data": b"\xa9"}, "does not know"),
    ],
)
def test_what_would_do_anything_but_pay_is_refused_by_name(change: dict[str, object], reason: str) -> None:
    with pytest.raises(CallError, match=reason):
        movement_of(PLAIN._replace(**change), TOKENS, native="ETH")


def test_a_signature_has_its_length_and_one_of_two_points() -> None:
    for signature, recovery_id in ((b"\1" * 63, 0), (b"\1" * 64, 2), (b"\1" * 64, 27)):
        with pytest.raises(TransactionError):
            signed_bytes(PLAIN, signature, recovery_id)

"""Deposit addresses: the same for ever, on the curve, and spelt in one way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from ringfence.custody.chains.solana.addresses import (
    AddressError,
    deposit_address,
    deposit_seed,
    is_on_curve,
    read_address,
    spelt,
)

BASE = bytes([5]) * 32


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**63))
def test_a_deposit_address_is_derived_from_the_base_and_the_account_and_lies_on_the_curve(
    base: bytes, account: int
) -> None:
    seed, address = deposit_seed(base, account), deposit_address(base, account)
    assert seed.split(".")[0] == str(account)
    raw = read_address(address)
    assert raw == bytes(Pubkey.create_with_seed(Pubkey.from_bytes(base), seed, SYSTEM_PROGRAM))
    assert is_on_curve(raw)


def test_the_first_seed_that_is_on_the_curve_is_taken() -> None:
    """What is written here must never change: customers have these addresses."""
    found = [deposit_seed(BASE, account) for account in range(8)]
    assert found == ["0.2", "1.1", "2.1", "3", "4.1", "5.2", "6.1", "7"]
    assert deposit_address(BASE, 0) == "4ESXxAPWDesvspEPcecGkEY2Kyr9kAoVWQkzfJ7d1293"
    for seed in found:
        number, _, attempt = seed.partition(".")
        earlier = [number, *(f"{number}.{n}" for n in range(1, int(attempt or 0)))][: int(attempt or 0)]
        for other in earlier:
            derived = Pubkey.create_with_seed(Pubkey.from_bytes(BASE), other, SYSTEM_PROGRAM)
            assert not derived.is_on_curve()


def test_different_accounts_have_different_addresses() -> None:
    assert len({deposit_address(BASE, account) for account in range(500)}) == 500


@given(st.binary(min_size=32, max_size=32))
def test_an_address_is_read_back_as_it_was_spelt(raw: bytes) -> None:
    assert read_address(spelt(raw)) == raw


@pytest.mark.parametrize(
    "text",
    [
        "", "0" * 32, "1" * 31, "1" * 33, "l" * 44, spelt(BASE)[:-1], spelt(BASE) + "1", "1" + spelt(BASE),
        " " + spelt(BASE), spelt(BASE) + "\n", spelt(BASE) + "\0", "é" * 32, "\ud800" * 32, "z" * 44, "2" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        read_address(text)

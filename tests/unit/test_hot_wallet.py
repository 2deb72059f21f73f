"""The hot wallet: transactions that Bitcoin Core's verifier takes, the company's money, draws without a block."""

import secrets
from collections.abc import Sequence

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ringfence.custody.chains.bitcoin.company import CompanyMoney
from ringfence.custody.chains.bitcoin.follow import BlockCame, BlockLeft
from ringfence.custody.chains.bitcoin.transactions import Input, Output, Transaction
from ringfence.custody.nomination import (
    HEIGHTS_AHEAD,
    NominationError,
    Role,
    Roster,
    Signer,
    commitment_of,
    nominate,
    seal,
    seated,
)
from ringfence.custody.quorum.hot import (
    INPUTS_MAX,
    build,
    digests,
    hot_script,
    put_together,
    read_unsigned,
    vsize_max,
)
from ringfence.custody.quorum.multisig import MultisigError, network_accepts
from ringfence.custody.wallets.building import BuildError, Payment
from ringfence.custody.wallets.coins import Coin, Outpoint

KEY = PrivateKey(b"\x07" * 32)
PUBLIC = KEY.public_key.format()
HOT = hot_script(PUBLIC)
STRANGER = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
CHANGE, DEPOSIT = b"\0\x20" + b"\x01" * 32, b"\0\x20" + b"\x02" * 32


def coins(*amounts: int) -> list[Coin]:
    return [Coin(Outpoint(f"{place:02x}" * 32, 0), amount, HOT) for place, amount in enumerate(amounts, 1)]


def signed(message: bytes) -> bytes:
    """Sign as the nominees would together: s in the lower half."""
    return bytes(KEY.sign_recoverable(message, hasher=None)[:64])


@pytest.mark.parametrize("amounts", [(500_000,), (90_000, 90_000, 90_000), tuple([40_000] * INPUTS_MAX)])
def test_what_is_built_signed_and_put_together_is_taken_by_the_network(amounts: tuple[int, ...]) -> None:
    payments = [Payment(STRANGER, sum(amounts) * 2 // 3)]
    unsigned = build(coins(*amounts), payments, rate_sats_per_kvb=2_000, back_to=HOT, is_all=False)
    raw, parsed = read_unsigned(unsigned.raw.hex())
    assert sum(amounts[: len(unsigned.spends)]) == unsigned.fee_sats + sum(
        o.amount_sats for o in parsed.outputs
    )
    messages = digests(raw, unsigned.spends, PUBLIC)
    whole = put_together(raw, PUBLIC, [signed(one) for one in messages])
    assert network_accepts(whole, unsigned.spends)
    assert whole.txid == parsed.txid
    assert whole.vsize <= vsize_max(len(unsigned.spends), [o.script for o in parsed.outputs])
    # Whatever else is put in the place of a signature, the network does not take.
    for wrong in (signed(secrets.token_bytes(32)), bytes(63) + b"\1"):
        forged = put_together(raw, PUBLIC, [wrong, *[signed(one) for one in messages[1:]]])
        assert not network_accepts(forged, unsigned.spends)
    with pytest.raises(MultisigError, match="signatures"):
        put_together(raw, PUBLIC, [signed(one) for one in messages[1:]])


def test_the_digest_covers_the_amount_of_each_coin() -> None:
    (coin,) = coins(500_000)
    unsigned = build([coin], [Payment(STRANGER, 100_000)], rate_sats_per_kvb=2_000, back_to=HOT, is_all=False)
    assert digests(unsigned.raw, [coin], PUBLIC) != digests(
        unsigned.raw, [coin._replace(amount_sats=500_001)], PUBLIC
    )


@pytest.mark.parametrize(
    ("amounts", "wanted"),
    [((), 1_000), ((50_000,), 50_000), (tuple([1_000] * 20), 9_000), ((10_000,), 9_000)],
)
def test_what_is_not_there_is_not_paid(amounts: tuple[int, ...], wanted: int) -> None:
    with pytest.raises(BuildError, match="which have not that much"):
        build(
            coins(*amounts), [Payment(STRANGER, wanted)], rate_sats_per_kvb=2_000, back_to=HOT, is_all=False
        )


def test_a_replacement_spends_the_same_coins_and_pays_more() -> None:
    payments = [Payment(STRANGER, 100_000)]
    first = build(coins(90_000, 80_000, 70_000), payments, rate_sats_per_kvb=2_000, back_to=HOT, is_all=False)
    again = build(list(first.spends), payments, rate_sats_per_kvb=9_000, back_to=HOT, is_all=True)
    assert set(again.spends) == set(first.spends)
    assert again.fee_sats > first.fee_sats


@pytest.mark.parametrize("text", ["", "zz", "00", "02000000" * 3])
def test_what_is_no_transaction_is_refused(text: str) -> None:
    with pytest.raises(MultisigError):
        read_unsigned(text)


def test_bytes_behind_the_end_are_refused() -> None:
    unsigned = build(
        coins(500_000), [Payment(STRANGER, 1_000)], rate_sats_per_kvb=2_000, back_to=HOT, is_all=False
    )
    with pytest.raises(MultisigError):
        read_unsigned(unsigned.raw.hex() + "00")


# ---- the company's money


def transaction(name: int, spends: Sequence[Outpoint], *outputs: tuple[bytes, int]) -> Transaction:
    made = tuple(Output(amount, script) for script, amount in outputs)
    txid = f"{name:064x}"
    return Transaction(b"", txid, txid, 2, tuple(Input(one, 0) for one in spends), made, 0, 0)


def money() -> CompanyMoney:
    found = CompanyMoney(
        is_clients=lambda script: script in (HOT, CHANGE, DEPOSIT),
        stays=lambda script: script in (HOT, CHANGE),
    )
    found.hot = HOT
    return found


def test_what_strangers_send_to_the_hot_address_pays_for_refills_and_for_nothing_else() -> None:
    company = money()
    paid_in = transaction(1, [Outpoint("aa" * 32, 0)], (HOT, 10_000))
    deposit = transaction(2, [Outpoint("bb" * 32, 0)], (DEPOSIT, 900_000))
    refill = transaction(3, [Outpoint(deposit.txid, 0)], (HOT, 500_000), (CHANGE, 399_400))
    payment = transaction(4, [Outpoint(refill.txid, 0)], (STRANGER, 100_000), (HOT, 399_000))
    house = transaction(5, [Outpoint(refill.txid, 1)], (DEPOSIT, 1_000), (CHANGE, 398_000))
    told = []
    for height, each in enumerate((paid_in, deposit, refill, payment, house), 1):
        block = BlockCame(height, f"{height:064x}", (each,))
        company.take([block])
        told.append(company.sats)
    assert told == [10_000, 10_000, 9_400, 9_400, 9_400]
    company.take([BlockLeft(5, f"{5:064x}"), BlockLeft(4, f"{4:064x}"), BlockLeft(3, f"{3:064x}")])
    assert company.sats == 10_000


# ---- draws

ROSTER = Roster(
    (
        Signer("ops-1", Role.OPERATIONS, "01", "a", "1"), Signer("ops-2", Role.OPERATIONS, "02", "b", "2"),
        Signer("ops-3", Role.OPERATIONS, "03", "c", "3"), Signer("policy-1", Role.POLICY, "04", "d", "4"),
        Signer("policy-2", Role.POLICY, "05", "e", "5"),
    )
)  # fmt: skip
NAMES = tuple(signer.name for signer in ROSTER.signers)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([None, *NAMES]))
def test_four_that_sign_together_have_two_of_operations_and_one_of_policy(
    seed: bytes, late: str | None
) -> None:
    revealed = {name: seed + name.encode() for name in NAMES}
    sealed = seal(
        ROSTER, seed, tip=7, beacon_round=0, heights_ahead=0,
        commitments={name: commitment_of(one) for name, one in revealed.items()},
    )  # fmt: skip
    drawn = nominate(ROSTER, sealed, block_hash=bytes(32), beacon=b"", revealed=revealed, heights_ahead=0)
    found = seated(ROSTER, drawn, [late] if late else [], seats=4)
    assert len(set(found)) == 4
    assert late not in found
    assert sum(name.startswith("ops") for name in found) >= 2
    assert any(name.startswith("policy") for name in found)
    if late not in drawn.quorum:
        assert found[:3] == drawn.quorum
    with pytest.raises(NominationError, match="4 are left, 5 have to sign"):
        seated(ROSTER, drawn, [NAMES[0]], seats=5)
    with pytest.raises(NominationError, match="was known when the batch was sealed"):
        nominate(ROSTER, sealed, block_hash=bytes(32), beacon=b"", revealed=revealed)


def test_the_cold_wallet_waits_for_a_block_that_nobody_knows() -> None:
    commitments = {name: commitment_of(b"x") for name in NAMES}
    assert seal(ROSTER, bytes(32), tip=7, beacon_round=0, commitments=commitments).height == 7 + HEIGHTS_AHEAD

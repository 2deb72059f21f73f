"""What is in a liabilities file: every balance, nothing else, under a root that everybody works out alike."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.assurance.proofs import bitmex, porl2
from ringfence.assurance.proofs.claims import FEES_ACCOUNT, IN_FLIGHT_ACCOUNT
from ringfence.assurance.proofs.errors import DifferentError, ForgedError, InconclusiveError
from ringfence.assurance.proofs.hashes import digest, hmac_under
from ringfence.assurance.proofs.pieces import LEAVES_MIN, Stream, split
from ringfence.assurance.proofs.secrets import login_hash, uid_tag
from ringfence.assurance.proofs.verify import verify_bitmex, verify_porl2
from tests.proofs.books import Book, book, claims_of, cut_of

KEYS = ("account_nonce", "snapshot_key")


@pytest.fixture(scope="module")
def made() -> Book:
    return book(3, accounts=200, in_flight=123_456)


@pytest.mark.parametrize("by", KEYS)
def test_every_client_finds_exactly_their_balance(made: Book, by: str) -> None:
    for account, balance in made.balances.items():
        verdict = verify_porl2(made.filed.porl2, made.claimant(account, by=by), venue=made.venue)
        assert verdict.mine == balance
    assert verdict.total == sum(made.balances.values()) + 123_456


@pytest.mark.parametrize("by", ["account_nonce", "sub_nonce"])
def test_the_file_in_bitmex_format_says_the_same_and_binds_each_leaf(made: Book, by: str) -> None:
    filed = made.filed
    for account in list(made.balances)[:40]:
        claimant = made.claimant(account, by=by)
        verdict = verify_bitmex(filed.csv, claimant, header=filed.header, sidecar=filed.bind)
        assert verdict.mine == made.balances[account]
        assert verdict.is_bound
        assert verdict.total == int(filed.header.figures.total)


def test_another_login_finds_nothing(made: Book) -> None:
    """A leaf is bound to who its owner is, whatever key somebody was given for it."""
    account = next(account for account, balance in made.balances.items() if balance)
    with pytest.raises(DifferentError, match="are in the file"):
        verify_porl2(made.filed.porl2, made.claimant(account)._replace(login="mallory"), venue=made.venue)
    claimant = made.claimant(account, by="sub_nonce")._replace(login="mallory")
    with pytest.raises(DifferentError, match=r"line \d+: leaf \d+ is bound to somebody else"):
        verify_bitmex(made.filed.csv, claimant, header=made.filed.header, sidecar=made.filed.bind)


@pytest.mark.parametrize("spelling", ["ÄCCOUNT", "A\u0308ccount", "äccount"])
def test_a_login_is_the_same_however_it_is_typed(spelling: str) -> None:
    assert login_hash(spelling) == login_hash("äccount")


def test_nothing_found_is_no_success_unless_nothing_was_expected(made: Book) -> None:
    empty = next(account for account, balance in made.balances.items() if not balance)
    with pytest.raises(DifferentError, match="nothing of account"):
        verify_porl2(made.filed.porl2, made.claimant(empty)._replace(expected=None), venue=made.venue)
    assert verify_porl2(made.filed.porl2, made.claimant(empty, expected=0), venue=made.venue).mine == 0


def test_another_sum_than_expected_is_told_with_both(made: Book) -> None:
    with pytest.raises(
        DifferentError, match=rf"{made.balances[2]} units of account 2 .* {made.balances[2] + 1} were"
    ):
        verify_porl2(made.filed.porl2, made.claimant(2, expected=made.balances[2] + 1), venue=made.venue)


def test_a_nonce_of_the_other_format_is_asked_for(made: Book) -> None:
    with pytest.raises(InconclusiveError, match="account nonce or the snapshot key"):
        verify_porl2(made.filed.porl2, made.claimant(2, by="sub_nonce"), venue=made.venue)


def test_house_accounts_can_be_added_up_by_anybody(made: Book) -> None:
    house = {one.account: one for one in made.filed.header.figures.house}
    assert set(house) == {1, FEES_ACCOUNT, IN_FLIGHT_ACCOUNT}
    assert house[IN_FLIGHT_ACCOUNT].balance == "123456"
    file = porl2.decode(made.filed.porl2, venue=made.venue)
    for one in house.values():
        tag = uid_tag(made.venue, one.account, login_hash(one.login), file.header.seed)
        found = porl2.find(file, porl2.Owner(bytes.fromhex(one.key), tag))
        assert tuple(found) == one.leaves
        assert sum(int(file.leaves.values[at]) for at in found) == int(one.balance)
        of_v1 = bitmex.find(bitmex.decode(made.filed.csv), bytes.fromhex(one.nonce))
        assert tuple(of_v1) == one.leaves


def test_the_same_facts_give_the_same_bytes() -> None:
    assert book(9).filed.files() == book(9).filed.files()


def test_shards_are_checked_alone() -> None:
    made = book(4, accounts=2_500)
    leaves = made.filed.header.figures.leaves
    assert leaves > LEAVES_MIN
    assert porl2.root_over(made.filed.top) == (made.filed.root, int(made.filed.header.figures.total))
    _, begin = porl2.read_head(made.filed.porl2)
    size = porl2.LEAF_BYTES * 4_096
    shards = [made.filed.porl2[begin + k * size : begin + (k + 1) * size] for k in range(leaves // 4_096)]
    for number, shard in enumerate(shards):
        porl2.read_shard(shard, number, made.filed.top)
    with pytest.raises(ForgedError, match="shard 1 is not the one"):
        porl2.read_shard(shards[0], 1, made.filed.top)
    with pytest.raises(ForgedError, match="shard 0 is not the one"):
        porl2.read_shard(shards[0][:-1] + b"\1", 0, made.filed.top)


def test_a_book_that_does_not_add_up_is_not_written() -> None:
    from ringfence.assurance.proofs.liabilities import Coins, Names, write_asset

    made = book(1)
    with pytest.raises(ValueError, match="XBt: wallets, profit, pending and fees come to"):
        write_asset(
            0, claims_of(made.balances), cut_of(made.publisher), names=Names(b"k" * 32, ()), previous=bytes(32),
            coins=Coins(sum(made.balances.values()) - 1, 0, 0), reserves=bytes(32), publisher=made.publisher,
            shuffle_key=bytes(32),
        )  # fmt: skip


# ---- pieces

equities = st.lists(st.integers(0, 2**40) | st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**61]), max_size=40)


@settings(deadline=None, max_examples=60)
@given(equities, st.binary(min_size=32, max_size=32))
def test_pieces_are_the_equity_to_the_unit_and_every_place_is_taken_once(
    found: list[int], key: bytes
) -> None:
    pieces = split(np.array(found, np.int64), Stream(key))
    for owner, equity in enumerate(found):
        assert sum(pieces.values[pieces.owners == owner].tolist()) == equity
    assert sorted([*pieces.places.tolist(), *pieces.free.tolist()]) == list(range(pieces.leaves))
    assert pieces.leaves >= LEAVES_MIN
    assert pieces.leaves & (pieces.leaves - 1) == 0
    assert all(int(value) for value in pieces.values)


def test_a_balance_that_is_known_finds_nobody() -> None:
    """Of a venue with 20,000 accounts at most one leaf in a hundred has a value that no other leaf has."""
    made = book(5, accounts=20_000)
    file = porl2.decode(made.filed.porl2, venue=made.venue)
    values, counts = np.unique(file.leaves.values[file.leaves.values > 0], return_counts=True)
    alone = int(counts[counts == 1].sum())
    assert alone / counts.sum() <= 0.01
    balances = {balance for balance in made.balances.values() if balance > 2**16}
    assert len(balances & set(values.tolist())) / len(balances) < 0.001


def test_a_hundred_million_dollars_of_one_account_do_not_fill_the_file() -> None:
    pieces = split(np.array([2**61, 5], np.int64), Stream(bytes(32)))
    assert len(pieces.values) < 1 << 18


@given(st.binary(max_size=64), st.binary(max_size=200))
def test_our_hmac_is_hmac(key: bytes, message: bytes) -> None:
    import hmac

    assert hmac_under(key)(message) == hmac.digest(key, message, "sha256")


def test_digests_are_those_of_the_page() -> None:
    """One leaf by hand, from docs/reference/proofs.md and nothing else."""
    made = book(2, accounts=3, balances={1: 0, 2: 5, 3: 0})
    header = made.filed.header
    venue, login = made.venue, hashlib.sha256(b"account-2").digest()
    seed = hashlib.sha256(made.filed.header.raw.split(b"\n")[0]).digest()
    account = (2).to_bytes(8, "little")
    tag = hashlib.sha256(b"porl-uid\0" + venue + account + login + seed).digest()
    key = hashlib.sha256(b"porl2/key\0" + made.nonce(2) + seed + account).digest()
    verdict = verify_porl2(made.filed.porl2, made.claimant(2), venue=venue)
    (place,) = verdict.places
    import hmac

    mac = hmac.digest(key, (5).to_bytes(8, "little") + place.to_bytes(8, "little"), "sha256")
    leaf = hashlib.sha256(b"porl2/leaf\0" + tag + mac).digest()
    _, begin = porl2.read_head(made.filed.porl2)
    at = begin + 40 * place
    assert made.filed.porl2[at : at + 40] == leaf + (5).to_bytes(8, "little")
    assert header.figures.v1.file == digest(made.filed.csv).hex()

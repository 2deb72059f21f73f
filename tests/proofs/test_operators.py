"""An honest operator's proofs hold together; each cheat is seen by a step that has a name."""

from pathlib import Path

import pytest

from ringfence.assurance.proofs import index as signed_index
from ringfence.assurance.proofs.errors import DifferentError, ForgedError
from ringfence.assurance.proofs.history import History, check_extends, verify_history
from ringfence.assurance.proofs.secrets import account_nonce
from ringfence.assurance.proofs.verify import Claimant, Verdict, verify_porl2
from ringfence.testing.proof_operator import (
    EPOCH_KEY,
    BorrowsForTheSnapshot,
    ForksTheHeaders,
    LiesInMinutes,
    LowersOneBalance,
    OmitsAClient,
    OpensWhatItLikes,
    Operator,
    ReplaysAnOldFile,
    TellsTwoStories,
    equity,
)
from ringfence.units.assets import BY_CURRENCY


def run(operator: Operator, *, snapshots: int = 2, minutes: int = 5) -> None:
    """Let some periods go by, a block every other minute, and open what is drawn."""
    for _ in range(snapshots):
        for number in range(minutes):
            operator.trade()
            operator.minute()
            if number % 2:
                operator.block()
                operator.minute("block")
        operator.publish()
    operator.trade()
    operator.minute()
    for _ in range(3):
        operator.block()
    operator.open(0)


def history(operator: Operator) -> History:
    return verify_history(operator.folder, venue=operator.venue, block_at=operator.block_at)


def look(
    operator: Operator, account: int, *, snapshot: int = 1, currency: str = "XBt", expected: int
) -> Verdict:
    """A client looks for their balance in a snapshot, with what their own statement says."""
    raw = (operator.folder / f"{snapshot:06d}" / f"{currency}.porl2").read_bytes()
    nonce = account_nonce(EPOCH_KEY, currency, account)
    claimant = Claimant(account, operator.names().login(account), account_nonce=nonce, expected=expected)
    return verify_porl2(raw, claimant, venue=operator.venue)


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_operator_is_believed(tmp_path: Path, seed: int) -> None:
    operator = Operator(tmp_path, seed=seed)
    run(operator, snapshots=3)
    found = history(operator)
    assert found.snapshots == 3
    assert found.opened >= 1
    assert not found.uncovered
    assert not found.missing
    assert found.unknown == ()


@pytest.mark.parametrize("currency", ["XBt", "USDt"])
def test_every_client_of_an_honest_operator_finds_their_equity(tmp_path: Path, currency: str) -> None:
    """Wallets and profit of positions, in a market in which some are liquidated; what is owed is what came in."""
    operator = Operator(tmp_path)
    operator.trade(80)
    claims = operator.claims()
    operator.publish()
    owed = 0
    for account in range(1, claims.accounts + 1):
        expected = equity(claims, currency, account)
        assert look(operator, account, currency=currency, expected=expected).mine == expected
        owed += expected
    asset = BY_CURRENCY[currency].number
    assert owed + claims.fees[asset] == claims.total(asset)
    assert claims.total(asset) - claims.negative(asset) == operator.coins[asset]


def test_an_omitted_client_finds_nothing(tmp_path: Path) -> None:
    operator = OmitsAClient(tmp_path)
    operator.trade(20)
    expected = equity(Operator.claims(operator), "XBt", operator.victim)
    assert expected
    operator.publish()
    with pytest.raises(
        DifferentError, match=rf"0 units of account 2 are in the file, {expected} were expected"
    ):
        look(operator, operator.victim, expected=expected)


def test_a_lowered_balance_is_another_one_than_the_statement_says(tmp_path: Path) -> None:
    operator = LowersOneBalance(tmp_path)
    operator.trade(20)
    expected = equity(Operator.claims(operator), "XBt", operator.victim)
    operator.publish()
    with pytest.raises(DifferentError, match=rf"{expected - 1} units of account 2"):
        look(operator, operator.victim, expected=expected)


def test_a_leaf_that_is_shown_to_two_clients_is_found_by_one(tmp_path: Path) -> None:
    """Given the key of another, a client with the same balance does not find it under their own name."""
    operator = Operator(tmp_path)
    balance = equity(operator.claims(), "XBt", 2)
    operator.publish()
    raw = (operator.folder / "000001" / "XBt.porl2").read_bytes()
    victim = Claimant(
        3, operator.names().login(3), account_nonce=account_nonce(EPOCH_KEY, "XBt", 2), expected=balance
    )
    with pytest.raises(DifferentError, match="0 units of account 3"):
        verify_porl2(raw, victim, venue=operator.venue)


def test_coins_borrowed_for_the_snapshot_are_missing_in_every_other_minute(tmp_path: Path) -> None:
    operator = BorrowsForTheSnapshot(tmp_path)
    run(operator)
    found = history(operator)
    assert len(found.uncovered) >= 5, (
        "the lines after the first snapshot say that there was less than was owed"
    )


def test_minutes_that_say_less_than_was_owed_are_opened_by_a_block(tmp_path: Path) -> None:
    operator = LiesInMinutes(tmp_path)
    operator.trade(20)
    run(operator)
    with pytest.raises(
        ForgedError, match=r"openings/000000/\d+/XBt.porl2: the total is \d+, committed to was \d+"
    ):
        history(operator)


def test_a_chain_of_headers_that_begins_anew_is_refused(tmp_path: Path) -> None:
    operator = ForksTheHeaders(tmp_path)
    run(operator)
    with pytest.raises(ForgedError, match="snapshot 2, USDt: the header before it is 0000"):
        history(operator)


def test_an_old_file_is_not_a_new_snapshot(tmp_path: Path) -> None:
    operator = ReplaysAnOldFile(tmp_path)
    run(operator)
    with pytest.raises(ForgedError, match="snapshot 2, USDt: the snapshot is 1, not 2"):
        history(operator)


def test_a_minute_that_was_not_drawn_does_not_count(tmp_path: Path) -> None:
    operator = OpensWhatItLikes(tmp_path)
    run(operator)
    with pytest.raises(ForgedError, match=r"block \d+ draws lines \[.*\] of period 0, opened were"):
        history(operator)


def test_two_stories_are_told_apart_by_whoever_has_seen_both(tmp_path: Path) -> None:
    operator = TellsTwoStories(tmp_path)
    run(operator)
    seen = (tmp_path / signed_index.NAME).read_bytes()
    other = operator.other_index()
    signed_index.decode(other, venue=operator.venue)
    with pytest.raises(ForgedError, match="the exchange tells two stories"):
        check_extends(seen, other, venue=operator.venue)
    operator.trade()
    operator.publish()
    check_extends(seen, (tmp_path / signed_index.NAME).read_bytes(), venue=operator.venue)


def test_without_blocks_nobody_says_that_the_draw_was_checked(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    run(operator)
    found = verify_history(tmp_path, venue=operator.venue)
    assert [one for one in found.unknown if "the draw of period 0 rests on block" in one]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("000001/XBt.header", "000001/XBt.header: it is not the file that was signed for"),
        ("000001/XBt.porl2", "000001/XBt.porl2: it is not the file that was signed for"),
        ("minutes/000000.jsonl", "minutes/000000.jsonl: it is not the file that was signed for"),
        ("minutes/000001.jsonl", r"minutes/000001.jsonl: it is not|line 1: "),
        ("index.json", "the index cannot be read|signature|another exchange|has not named"),
    ],
)
def test_a_changed_file_is_named(tmp_path: Path, name: str, where: str) -> None:
    operator = Operator(tmp_path)
    run(operator)
    path = tmp_path / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ForgedError, match=where):
        history(operator)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    run(operator)
    (tmp_path / "000002" / "USDt.porl2").unlink()
    assert history(operator).missing == ("000002/USDt.porl2",)

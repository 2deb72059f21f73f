"""Who must sign: drawn fairly, the same for everybody who looks, and by nobody's choice."""

import hashlib
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import pytest

from ringfence.custody.nomination import (
    ATTESTING_MAX,
    Nomination,
    NominationError,
    Role,
    Roster,
    Sealed,
    Signer,
    attesting,
    commitment_of,
    nominate,
    seal,
    shuffled,
    substitute,
)

ROSTER = Roster(
    (
        Signer("ops-1", Role.OPERATIONS, "aa", "north", "a"), Signer("ops-2", Role.OPERATIONS, "bb", "south", "b"),
        Signer("ops-3", Role.OPERATIONS, "cc", "east", "c"), Signer("policy-1", Role.POLICY, "dd", "west", "d"),
        Signer("policy-2", Role.POLICY, "ee", "centre", "e"),
    )
)  # fmt: skip
NAMES = [signer.name for signer in ROSTER.signers]
BATCH, BLOCK = hashlib.sha256(b"batch").digest(), hashlib.sha256(b"block").digest()
SECRETS = {name: hashlib.sha256(name.encode()).digest() for name in NAMES}


def _sealed(*, batch: bytes = BATCH, beacon_round: int = 0) -> Sealed:
    commitments = {name: commitment_of(secret) for name, secret in SECRETS.items()}
    return seal(ROSTER, batch, tip=100, beacon_round=beacon_round, commitments=commitments)


def _drawn(sealed: Sealed, *, block: bytes = BLOCK, without: str = "") -> Nomination:
    revealed = {name: secret for name, secret in SECRETS.items() if name != without}
    return nominate(ROSTER, sealed, block_hash=block, beacon=b"", revealed=revealed)


def test_two_of_operations_and_one_of_policy_are_drawn_and_the_others_stand_by() -> None:
    drawn = _drawn(_sealed())
    roles = {signer.name: signer.role for signer in ROSTER.signers}
    assert [roles[name] for name in drawn.quorum] == [Role.OPERATIONS, Role.OPERATIONS, Role.POLICY]
    assert sorted(drawn.quorum + drawn.substitutes) == NAMES
    assert _drawn(_sealed()) == drawn


def test_every_quorum_is_drawn_equally_often() -> None:
    """100,000 batches; the 99.9 % point of chi-square with five degrees of freedom is 20.5."""
    counted: Counter[tuple[str, ...]] = Counter()
    count = 100_000
    for number in range(count):
        seed = hashlib.sha256(number.to_bytes(8, "big")).digest()
        order = shuffled(NAMES, seed)
        ops = [name for name in order if name.startswith("ops")][:2]
        policy = next(name for name in order if name.startswith("policy"))
        counted[(*sorted(ops), policy)] += 1
    wanted = [(*ops, policy) for ops in combinations(NAMES[:3], 2) for policy in NAMES[3:]]
    assert sorted(counted) == sorted(wanted)
    expected = count / len(wanted)
    assert sum((found - expected) ** 2 / expected for found in counted.values()) < 20.5


def test_whoever_withholds_his_contribution_gains_no_choice_and_is_named() -> None:
    sealed = _sealed()
    for name in NAMES:
        drawn = _drawn(sealed, without=name)
        assert drawn.withheld == (name,)
        assert drawn == _drawn(sealed, without=name)


def test_everything_that_is_sealed_and_everything_that_came_later_changes_the_draw() -> None:
    seeds = {
        _drawn(_sealed()).seed,
        _drawn(_sealed(batch=bytes(32))).seed,
        _drawn(_sealed(), block=bytes(32)).seed,
        _drawn(_sealed(), without="ops-1").seed,
        _drawn(_sealed()._replace(height=103)).seed,
    }
    assert len(seeds) == 5


def test_a_substitute_of_the_same_role_steps_in_and_at_last_nobody_is_left() -> None:
    drawn = _drawn(_sealed())
    late = [drawn.quorum[0], drawn.quorum[2]]
    quorum = substitute(ROSTER, drawn, late)
    assert not set(late) & set(quorum)
    assert sum(name.startswith("policy") for name in quorum) == 1
    with pytest.raises(NominationError, match="nobody is left"):
        substitute(ROSTER, drawn, [*NAMES[:3]])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: (s, {"block_hash": BLOCK[:-1]}), "randomness is not"),
        (lambda s: (s, {"beacon": b"x" * 32}), "randomness is not"),
        (lambda s: (s._replace(beacon_round=7), {}), "randomness is not"),
        (lambda s: (s._replace(height=101), {}), "was known"),
        (lambda s: (s._replace(roster=bytes(32)), {}), "another roster"),
        (lambda s: (s._replace(commitments=s.commitments[2:]), {}), "have not committed"),
        (lambda s: (s, {"revealed": {**SECRETS, "ops-1": b"other"}}), "ops-1 reveals something else"),
    ],
)
def test_a_record_that_was_changed_nominates_nobody(
    change: Callable[[Sealed], tuple[Sealed, dict[str, object]]], why: str
) -> None:
    sealed, other = change(_sealed())
    given = {"block_hash": BLOCK, "beacon": b"", "revealed": SECRETS, **other}
    with pytest.raises(NominationError, match=why):
        nominate(ROSTER, sealed, **given)  # type: ignore[arg-type]


def test_one_signer_may_be_absent_when_a_batch_is_sealed_and_no_more() -> None:
    commitments = {name: commitment_of(secret) for name, secret in SECRETS.items() if name != "ops-2"}
    sealed = seal(ROSTER, BATCH, tip=1, beacon_round=0, commitments=commitments)
    drawn = nominate(ROSTER, sealed, block_hash=BLOCK, beacon=b"", revealed=SECRETS)
    assert sorted(drawn.quorum + drawn.substitutes) == sorted(NAMES)
    fewer = {name: value for name, value in commitments.items() if name != "policy-1"}
    with pytest.raises(NominationError, match="ops-2, policy-1 have not committed"):
        seal(ROSTER, BATCH, tip=1, beacon_round=0, commitments=fewer)
    with pytest.raises(NominationError, match="a stranger"):
        seal(ROSTER, BATCH, tip=1, beacon_round=0, commitments={**commitments, "me": b""})
    twice = sealed._replace(commitments=(*sealed.commitments, ("ops-1", bytes(32))))
    with pytest.raises(NominationError, match="twice"):
        nominate(ROSTER, twice, block_hash=BLOCK, beacon=b"", revealed=SECRETS)


@pytest.mark.parametrize(
    ("signers", "why"),
    [
        (ROSTER.signers[:2] + ROSTER.signers[3:], "no spare signer of operations"),
        (ROSTER.signers[:4], "no spare signer of policy"),
        ((*ROSTER.signers, ROSTER.signers[0]), "twice"),
        ((*ROSTER.signers[:4], ROSTER.signers[4]._replace(identity="aa")), "identity is on the roster twice"),
        (tuple(s._replace(organisation="one") for s in ROSTER.signers), "organisation one alone"),
        (tuple(s._replace(site="one") for s in ROSTER.signers), "site one alone"),
        ((*ROSTER.signers[:4], ROSTER.signers[4]._replace(site="a|b")), "separator"),
    ],
)
def test_a_roster_by_which_one_hand_could_sign_is_refused(signers: tuple[Signer, ...], why: str) -> None:
    with pytest.raises(NominationError, match=why):
        Roster(signers).check()


def test_the_order_in_which_commitments_are_listed_draws_nobody_else() -> None:
    """The digest of the seal does not tell it apart, so a coordinator could have drawn again and again."""
    sealed = _sealed()
    turned = sealed._replace(commitments=sealed.commitments[::-1])
    assert turned.digest == sealed.digest
    assert _drawn(turned) == _drawn(sealed)


def test_whoever_is_away_some_quorum_of_a_block_shows_control_without() -> None:
    """Sixteen quorums were too few: one block in twenty had none without a given signer."""
    for number in range(40):
        block = number.to_bytes(32, "big")
        for seats in (3, 4):
            drawn = [
                attesting(ROSTER, block=block, snapshot_root=bytes(32), attempt=attempt, seats=seats)
                for attempt in range(ATTESTING_MAX)
            ]
            for name in NAMES:
                assert any(name not in quorum for quorum in drawn)
    with pytest.raises(NominationError, match="quorum 128 of a block"):
        attesting(ROSTER, block=bytes(32), snapshot_root=bytes(32), attempt=ATTESTING_MAX, seats=4)

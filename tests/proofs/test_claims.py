"""What everybody is owed, worked out twice; and one hash over it that is the same however it came about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.assurance.proofs.claims import (
    Claims,
    Pending,
    Positions,
    claims_of,
    equity_of,
    exact_sum,
    terms_of,
)
from ringfence.assurance.proofs.claims_tree import ClaimsTree, leaves_of
from ringfence.assurance.proofs.hashes import NONE
from ringfence.commitments.statement import read_statement
from ringfence.exchange.engine.snapshot import tables_of
from ringfence.exchange.sequencer.statements import account_statements
from ringfence.messages.events import Event
from ringfence.testing.turbulence import Turbulence
from ringfence.units.limits import ASSETS_MAX


@pytest.mark.parametrize("seed", range(4))
def test_tables_and_statements_say_the_same_and_all_of_it_is_what_came_in(seed: int) -> None:
    """At every batch of a market in turmoil: the law that liabilities are published under."""
    play, came = Turbulence(seed), [0] * ASSETS_MAX
    for number, batch in enumerate(play.batches(60)):
        for event in batch.events:
            if event["kind"] in (Event.DEPOSITED, Event.WITHDRAWN):
                amount = int(event["amount"])
                came[int(event["symbol"])] += amount if event["kind"] == Event.DEPOSITED else -amount
        claims = claims_of(tables_of(play.engine.state), [], custody_account=0)
        assert [claims.net(asset) for asset in range(ASSETS_MAX)] == came
        assert [claims.total(asset) - claims.negative(asset) for asset in range(ASSETS_MAX)] == came
        if number % 10 == 0:
            terms = terms_of(tables_of(play.engine.state))
            for account, raw in enumerate(account_statements(play.engine.state), 1):
                said = read_statement(raw)
                for asset in (0, 1):
                    assert equity_of(said, terms, asset) == int(claims.equities[asset, account])


def test_what_is_pending_is_owed_to_who_has_asked() -> None:
    play = Turbulence(1)
    for _ in play.batches(3):
        pass
    state = play.engine.state
    before = claims_of(tables_of(state), [], custody_account=0)
    after = claims_of(
        tables_of(state), [Pending(2, 0, 500), Pending(2, 0, 7), Pending(3, 0, 1)], custody_account=1
    )
    moved = {account: int(after.equities[0, account] - before.equities[0, account]) for account in (1, 2, 3)}
    assert moved == {1: -508, 2: 507, 3: 1}
    assert (after.wallets[0] + after.pending[0], after.pending[0]) == (before.wallets[0], 508)
    assert after.total(0) == before.total(0)
    with pytest.raises(ValueError, match="more is pending than the custody account holds"):
        claims_of(tables_of(state), [Pending(2, 0, 2**60)], custody_account=1)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_sums_are_exact_however_large(values: list[int]) -> None:
    assert exact_sum(np.array(values, np.int64)) == sum(values)


# ---- the tree over claims


def _claims(coins: dict[int, int], positions: list[tuple[int, int, int, int]], accounts: int) -> Claims:
    table = np.zeros((ASSETS_MAX, accounts + 1), np.int64)
    for account, amount in coins.items():
        table[0, account] = amount
    columns = zip(*positions, strict=True) if positions else ((), (), (), ())
    nothing = (0,) * ASSETS_MAX
    return Claims(
        1, 0, accounts, 0, table, table, Positions(*(np.array(one, np.int64) for one in columns)), {}, nothing,
        nothing, nothing, nothing,
    )  # fmt: skip


books = st.tuples(
    st.dictionaries(st.integers(1, 30), st.integers(-5, 5), max_size=10),
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 5), st.integers(-3, 3), st.integers(-3, 3)),
        max_size=8, unique_by=lambda one: one[:2],
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(books, min_size=1, max_size=5), st.integers(30, 3_000))
def test_the_tree_is_the_same_whatever_was_before(history: list[object], accounts: int) -> None:
    """Updated step by step, while accounts are opened, or made of the last state at once: one root."""
    tree = ClaimsTree(b"k" * 32)
    for number, (coins, positions) in enumerate(history, 1):  # type: ignore[misc]
        open_now = 30 + (accounts - 30) * number // len(history)
        claims = _claims(coins, positions, open_now)
        tree.update(claims)
    fresh = ClaimsTree(b"k" * 32)
    fresh.update(claims)
    assert tree.root == fresh.root


def test_only_what_has_changed_is_hashed_again() -> None:
    tree = ClaimsTree(b"k" * 32)
    assert tree.root == NONE
    assert tree.update(_claims({1: 5, 2: 6}, [(3, 1, 1, 1)], 30)) == 3
    assert tree.update(_claims({1: 5, 2: 6}, [(3, 1, 1, 1)], 30)) == 0
    assert tree.update(_claims({1: 5, 2: 7}, [(3, 1, 1, 2)], 30)) == 2
    assert tree.update(_claims({}, [], 30)) == 3
    assert tree.root == NONE


def test_a_leaf_hides_what_it_says_and_differs_by_account() -> None:
    claims = _claims({1: 5, 2: 5}, [], 30)
    accounts = np.array([1, 2], np.int64)
    one = leaves_of(claims, accounts, [b"a" * 32, b"b" * 32])
    other = leaves_of(claims, accounts, [b"c" * 32, b"d" * 32])
    assert len({*one, *other}) == 4


def test_a_mark_that_moves_changes_no_leaf() -> None:
    """Profit follows from positions and marks, and the marks are under the state root beside this one."""
    play = Turbulence(2)
    tree = ClaimsTree(b"k" * 32)
    for _ in play.batches(20):
        pass
    claims = claims_of(tables_of(play.engine.state), [], custody_account=0)
    tree.update(claims)
    root = tree.root
    tree.update(claims._replace(equities=claims.equities + 1))
    assert tree.root == root

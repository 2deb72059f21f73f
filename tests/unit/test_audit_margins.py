"""All accounts at once give what the formulas give one by one, and sums do not wrap."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.assurance.audit.arithmetic import locked, maintenance, own_margin, unrealised
from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.contract import Contract
from ringfence.assurance.audit.margins import exact_sum, recount
from ringfence.exchange.engine.records import MARGIN, MARGIN_CLASSIC, POSITION
from ringfence.units.limits import ASSETS_MAX

COST = st.one_of(st.integers(-(2**56), 2**56), st.integers(-(10**9), 10**9))
EXPOSURE = st.one_of(st.integers(0, 2**56), st.integers(0, 10**9))


def books_of(funding: int = 0) -> Books:
    books = Books()
    books.deposited[0] = 1
    for number in (1, 2):
        of = books.contracts[number] = Contract(number, number - 1)
        of.lot_size, of.mark, of.mark_lot_value = 100, 1_000_000, 90_909
        of.initial_ppm, of.maintenance_ppm, of.taker_ppm = 10_000, 5_000, 750
        of.funding_rate_e8 = funding
    return books


def tables(rows: list[dict[str, int]], **margin: int) -> tuple[Any, Any]:
    positions, margins = np.zeros(8, POSITION), np.zeros((ASSETS_MAX, 4), MARGIN)
    for index, row in enumerate(rows, 2):
        positions["account"][index] = 1
        for name, value in row.items():
            positions[name][index] = value
        margins["symbols"][0, 1] |= np.uint64(row["symbol"] << 16 * (index - 2))
    for name, value in margin.items():
        margins[name][0, 1] = value
    margins["base"][0, 1], margins["slots"][0, 1] = 2, len(rows)
    margins["held"][0, 1] = sum(1 << k for k, row in enumerate(rows) if row["qty"])
    return positions, margins


@settings(max_examples=300, deadline=None)
@given(
    lots=st.integers(-(10**6), 10**6), cost=COST, buys=EXPOSURE, sells=EXPOSURE, tier=st.integers(0, 20),
    leverage=st.sampled_from([0, 0, 100, 1_000, 10_000]), symbol=st.integers(1, 2), wallet=st.integers(0, 2**60),
    funding=st.integers(-750, 750), classic=st.booleans(),
)  # fmt: skip
def test_the_compiled_twin_gives_what_the_formulas_give(
    lots: int, cost: int, buys: int, sells: int, tier: int, leverage: int, symbol: int, wallet: int, funding: int,
    classic: bool,
) -> None:  # fmt: skip
    cost = abs(cost) if lots > 0 else -abs(cost) if lots else 0
    books = books_of(funding * 100)
    of = books.contracts[symbol]
    own = {"leverage": leverage, "transferred": 77 if leverage else 0}
    need = locked(of, cost=cost, buys=buys, sells=sells, tier=tier, **own)
    made = unrealised(of, qty=lots * 100, cost=cost)
    shared = 0 if leverage else min(made, 0) if classic else made
    row = {
        "symbol": symbol, "qty": lots * 100, "cost": cost, "open_buys": buys, "open_sells": sells, "tier": tier,
        "locked": need, **own,
    }  # fmt: skip
    positions, margins = tables(
        [row], wallet=wallet, locked=need, unrealised=shared, epoch=5, flags=MARGIN_CLASSIC * classic
    )
    found = recount(positions, margins, books, accounts=1, epoch=5)
    assert (found.wrong_positions, found.wrong_margins) == ([], [])
    assert (found.qty[symbol], found.cost[symbol], found.unrealised[symbol]) == (lots * 100, cost, made)
    equity = wallet - (own_margin(of, cost=cost, **own) if leverage and cost else 0) + shared
    upkeep = maintenance(of, qty=lots * 100, cost=cost, leverage=0, tier=tier) if not leverage and lots else 0
    assert found.short == ([(0, 1)] if upkeep > 0 and equity < upkeep else [])
    positions["locked"][2] += 1
    assert recount(positions, margins, books, accounts=1, epoch=5).wrong_positions == [2]


def test_wallets_whose_sum_wraps_64_bits_are_summed_exactly() -> None:
    """Four quarters of 2**64 would come out as nothing."""
    positions, margins = np.zeros(1, POSITION), np.zeros((ASSETS_MAX, 8), MARGIN)
    margins["wallet"][0, 1:5] = 2**62
    with np.errstate(over="ignore"):
        assert int(margins["wallet"][0].sum()) == 0
    assert recount(positions, margins, books_of(), accounts=7, epoch=1).wallets[0] == 2**64
    assert exact_sum(margins["wallet"][0]) == 2**64


@pytest.mark.parametrize("column", [[2**63 - 1] * 5, [-(2**63)] * 5, [-1, 1, -1], []])
def test_an_exact_sum_is_that_of_integers_without_an_end(column: list[int]) -> None:
    assert exact_sum(np.array(column, np.int64)) == sum(column)


def test_a_position_that_is_in_no_accounts_block_is_not_met() -> None:
    positions, margins = tables([{"symbol": 1, "qty": 0}])
    assert recount(positions, margins, books_of(), accounts=1, epoch=1).positions == 1
    margins["slots"][0, 1] = 0
    assert recount(positions, margins, books_of(), accounts=1, epoch=1).positions == 0


def test_a_margin_that_points_outside_the_table_is_wrong_and_not_followed() -> None:
    positions, margins = tables([{"symbol": 1, "qty": 0}])
    margins["base"][0, 1] = 2**32 - 1
    assert recount(positions, margins, books_of(), accounts=1, epoch=1).wrong_margins == [(0, 1)]


def test_the_last_bit_of_what_an_account_holds_counts_like_the_others() -> None:
    """A block by instrument has 64 places, and the sign is one of them."""
    positions, margins = np.zeros(70, POSITION), np.zeros((ASSETS_MAX, 4), MARGIN)
    positions["account"][2 + 63], positions["symbol"][2 + 63], positions["qty"][2 + 63] = 1, 63, 100
    margins["base"][0, 1], margins["slots"][0, 1], margins["held"][0, 1] = 2, 64, np.uint64(1 << 63)
    assert recount(positions, margins, books_of(), accounts=1, epoch=1).wrong_margins == []
    margins["held"][0, 1] = 0
    assert recount(positions, margins, books_of(), accounts=1, epoch=1).wrong_margins == [(0, 1)]

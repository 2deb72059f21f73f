"""Lines of the ledger: they balance, and a line of a wallet's history that says nothing more is an event's own."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.exchange.projections.ledger import RECEIVING_LINE, Transaction, client, entry


@given(st.integers(-(2**62), 2**62), st.integers(0, 5))
def test_an_entry_has_two_lines_that_sum_to_zero_or_none_for_nothing(amount: int, asset: int) -> None:
    lines = entry(7, "Deposit", asset, amount, to=client(3), source="outside")
    if not amount:
        assert lines == []
        return
    assert [(line.account, line.amount) for line in lines] == [("client:3", amount), ("outside", -amount)]
    assert {(line.number, line.asset, line.kind) for line in lines} == {(7, asset, "Deposit")}


def test_a_line_that_says_nothing_more_is_an_events_own_and_asks_for_no_withdrawal() -> None:
    own = Transaction(7, 3, 0, "Deposit", 1, 0, 1, "", None)
    assert (own.line, own.status, own.tx, own.withdrawal) == (0, "Completed", None, 0)


def test_the_receiving_side_of_a_transfer_comes_after_every_line_of_a_session() -> None:
    """A session has a line for each account and asset: 2**32 accounts and 2**8 assets at most."""
    assert RECEIVING_LINE == 2**40

"""Coins of chains inside the exchange: put aside, closed by custody's numbered instructions, refused out of order."""

import pytest

from ringfence.messages.commands import (
    AccountParameter,
    Command,
    HaltScope,
    OrderFlag,
    TradingState,
    VenueParameter,
)
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.testing.market import Happened, Market, kinds, refusals
from ringfence.testing.play import command

XBT = 10**8


class Venue(Market):
    """A market with custody, whose account comes after the insurance account."""

    def __init__(self) -> None:
        super().__init__(traders=3)
        self.custody = self.fund + 1
        self.run(command(Command.OPEN_ACCOUNT, account=self.custody))
        self.run(command(Command.CONFIGURE_VENUE, type=VenueParameter.CUSTODY_ACCOUNT, qty=self.custody))

    def deposit(self, account: int, amount: int, *, number: int) -> list[Happened]:
        return self.run(command(Command.DEPOSIT, account=account, qty=amount, px=number))

    def ask(self, account: int, amount: int) -> list[Happened]:
        return self.run(command(Command.TRANSFER, account=account, handle=self.custody, qty=amount))

    def leaves(self, amount: int, *, number: int) -> list[Happened]:
        return self.run(command(Command.WITHDRAW, account=self.custody, qty=amount, px=number))

    def returns(self, account: int, amount: int, *, number: int) -> list[Happened]:
        return self.run(
            command(Command.TRANSFER, account=self.custody, handle=account, qty=amount, px=number)
        )


def test_coins_come_in_are_put_aside_leave_and_what_the_fee_left_comes_back() -> None:
    venue = Venue()
    before = venue.wallet(1)
    assert kinds(venue.deposit(1, 5 * XBT, number=1)) == ["DEPOSITED"]
    assert kinds(venue.ask(1, 2 * XBT)) == ["TRANSFERRED"]
    assert (venue.wallet(1) - before, venue.wallet(venue.custody)) == (3 * XBT, 2 * XBT)
    assert kinds(venue.leaves(2 * XBT - 700, number=2)) == ["WITHDRAWN"]
    assert kinds(venue.returns(1, 700, number=3)) == ["TRANSFERRED"]
    assert (venue.wallet(1) - before, venue.wallet(venue.custody)) == (3 * XBT + 700, 0)


@pytest.mark.parametrize("number", [0, 1, 3, 2**31 - 1])
def test_an_instruction_that_is_not_the_next_is_refused_with_the_number_that_is(number: int) -> None:
    """Sent again after a crash, it has been done: nothing is credited, paid or returned twice."""
    venue = Venue()
    venue.deposit(1, 5 * XBT, number=1)
    venue.ask(1, 2 * XBT)
    held = venue.wallet(1), venue.wallet(venue.custody)
    for happened in (
        venue.deposit(1, XBT, number=number), venue.leaves(XBT, number=number),
        venue.returns(1, XBT, number=number),
    ):  # fmt: skip
        assert refusals(happened) == [Reject.INSTRUCTION_OUT_OF_ORDER]
        assert happened[0].maker_amount == 2
    assert (venue.wallet(1), venue.wallet(venue.custody)) == held


def test_a_refused_instruction_uses_no_number() -> None:
    venue = Venue()
    assert refusals(venue.deposit(99, XBT, number=1)) == [Reject.INVALID_ACCOUNT]
    assert refusals(venue.leaves(1, number=1)) == [Reject.INSUFFICIENT_BALANCE]
    assert kinds(venue.deposit(1, XBT, number=1)) == ["DEPOSITED"]


def test_nobody_else_takes_coins_out_and_custody_takes_no_demo_coins() -> None:
    venue = Venue()
    assert refusals(venue.run(command(Command.WITHDRAW, account=1, qty=XBT, px=1))) == [Reject.CUSTODY_ONLY]
    demo = command(Command.WITHDRAW, account=venue.custody, qty=XBT, px=1, flags=OrderFlag.DEMO)
    assert refusals(venue.run(demo)) == [Reject.CUSTODY_ONLY]
    assert kinds(venue.run(command(Command.WITHDRAW, account=1, qty=XBT, flags=OrderFlag.DEMO))) == [
        "WITHDRAWN"
    ]


def test_profit_that_is_not_realised_and_margin_in_use_are_not_put_aside() -> None:
    venue = Venue()
    venue.index(".BXBT", 10_000)
    free = venue.wallet(1)
    venue.trade(1, 2, "XBTUSD", 100_000, 10_000)
    assert refusals(venue.ask(1, free)) == [Reject.INSUFFICIENT_BALANCE]
    venue.index(".BXBT", 12_000)
    assert refusals(venue.ask(1, free)) == [Reject.INSUFFICIENT_BALANCE]


def test_a_halt_of_withdrawals_stops_new_ones_and_not_the_word_of_what_has_left() -> None:
    venue = Venue()
    venue.deposit(1, 5 * XBT, number=1)
    venue.ask(1, XBT)
    venue.run(command(Command.HALT, type=HaltScope.WITHDRAWALS, symbol=0, qty=TradingState.HALTED))
    assert refusals(venue.ask(1, XBT)) == [Reject.FUNDS_HALTED]
    assert kinds(venue.leaves(XBT - 5, number=2)) == ["WITHDRAWN"]
    assert kinds(venue.returns(1, 5, number=3)) == ["TRANSFERRED"]
    venue.run(command(Command.HALT, type=HaltScope.VENUE, qty=TradingState.HALTED))
    assert refusals(venue.leaves(1, number=4)) == [Reject.VENUE_HALTED]


def test_custodys_account_is_set_once_is_never_the_funds_and_does_not_trade() -> None:
    venue = Venue()
    for account in (1, venue.fund, venue.custody):
        again = command(Command.CONFIGURE_VENUE, type=VenueParameter.CUSTODY_ACCOUNT, qty=account)
        assert refusals(venue.run(again)) == [Reject.INVALID_PARAMETER]
    enabled = command(
        Command.CONFIGURE_ACCOUNT, account=venue.custody, type=AccountParameter.TRADING_DISABLED, qty=0
    )
    assert refusals(venue.run(enabled)) == [Reject.INVALID_PARAMETER]
    assert Event.VENUE_SET in {event.kind for event in venue.history}

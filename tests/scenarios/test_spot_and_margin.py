"""Coins that a spot order has locked, and positions in the same asset."""

from ringfence.messages.commands import Command
from ringfence.testing.market import Market
from ringfence.testing.play import command

COIN = 10**8


def test_coins_that_wait_to_be_sold_are_not_lost_in_a_liquidation_and_sold_as_well() -> None:
    """Trader 1 loses all it has with a perpetual; its spot sale is still there and sells it a second time."""
    market = Market(traders=3, fund_xbt=100 * COIN)
    market.run(command(Command.WITHDRAW, account=1, symbol=0, qty=98 * COIN))
    market.order(1, "XBT_USDT", -150_000_000, 1_100)
    market.leverage(1, "XBTUSD", 0)
    market.trade(1, 2, "XBTUSD", 20_000, 1_000)
    market.index(".BXBT", 1_000)
    for price in (980, 960, 940, 925, 910, 905):
        market.index(".BXBT", price)
        market.mark("XBTUSD", price)
        market.after(1)
    assert market.position(1, "XBTUSD")["qty"] == 0, "it was liquidated"
    market.order(3, "XBT_USDT", 150_000_000, 1_100)
    market.after(1)
    assert market.wallet(1) >= 0

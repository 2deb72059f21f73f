"""A market in trouble: leverage, prices that run away, funding, liquidation, deleveraging and settlement."""

import random
from collections.abc import Iterator

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.messages.batch import Batch, Records
from ringfence.messages.commands import (
    AccountParameter,
    AdlMethod,
    Command,
    CrossMode,
    InstrumentParameter,
    OrderFlag,
    OrderType,
    VenueParameter,
)
from ringfence.testing.play import START_NS, command, opening
from ringfence.units.time import NS_PER_HOUR, NS_PER_SECOND

TRADERS = 6
FUND = TRADERS + 1
INDEX_XBT, INDEX_TETHER = 8, 10
PERPETUAL, TETHER, FUTURE = 1, 3, 6
_START_UNITS = 10_000_000
"""1000 dollars a coin."""
_UNITS_PER_TICK = {PERPETUAL: 1_000, TETHER: 1_000, FUTURE: 5_000}
_LOTS = {PERPETUAL: 100, TETHER: 100, FUTURE: 100}


class Turbulence:
    """Plays on one engine, batch after batch; the same seed plays the same."""

    def __init__(self, seed: int, *, adl_method: AdlMethod = AdlMethod.PRO_RATA) -> None:
        self.engine = Engine(accounts=64, orders=64)
        self._dice = random.Random(seed)
        self._adl_method = adl_method
        self._now_ns = START_NS
        self._units = _START_UNITS

    def batches(self, count: int) -> Iterator[Batch]:
        """Yield the founding, `count` turbulent batches, and the settlement of the future."""
        yield self.step([opening(accounts=FUND), *self._founding(), *self._prices()])
        for number in range(count):
            self._now_ns += self._dice.choice([NS_PER_SECOND, 20 * NS_PER_SECOND, 3 * NS_PER_HOUR])
            shock = 0.05 if number % 25 == 24 else 0.008
            self._units = max(int(self._units * (1 + self._dice.uniform(-shock, shock))), 1_000_000)
            rows = [self._order() for _ in range(self._dice.randrange(12))]
            yield self.step([*self._prices(), command(Command.TICK), *rows, command(Command.TICK)])
            while self.engine.has_more_to_do:
                yield self.step([command(Command.TICK)])
        yield self.step([command(Command.SETTLE, symbol=FUTURE), command(Command.TICK)])

    def step(self, parts: list[Records]) -> Batch:
        rows = np.concatenate(parts)
        sequence, event = self.engine.next_sequence, self.engine.event_count
        events = self.engine.step(rows, timestamp_ns=self._now_ns).copy()
        return Batch(sequence, self._now_ns, event, rows, events)

    def _founding(self) -> Iterator[Records]:
        venue, account = Command.CONFIGURE_VENUE, Command.CONFIGURE_ACCOUNT
        # Almost nothing is in the fund, so that deleveraging has its turn.
        for asset, left in ((0, 10**6), (1, 10**8)):
            all_of = 100 * 10**8 if asset == 0 else 10**6 * 10**6
            yield command(Command.WITHDRAW, account=FUND, symbol=asset, qty=all_of - left)
        yield command(venue, type=VenueParameter.FEE_DISCOUNT_1, qty=10)
        yield command(venue, type=VenueParameter.FEE_DISCOUNT_2, qty=50)
        yield command(venue, type=VenueParameter.INSURANCE_ACCOUNT, qty=FUND)
        yield command(account, account=1, type=AccountParameter.FEE_TIER, qty=2)
        yield command(account, account=2, type=AccountParameter.CROSS_MODE, qty=CrossMode.CLASSIC)
        for symbol in (PERPETUAL, TETHER, FUTURE):
            method = InstrumentParameter.ADL_METHOD
            yield command(Command.CONFIGURE, symbol=symbol, type=method, qty=self._adl_method)
            for trader, leverage in ((3, 10_000), (4, 5_000), (5, 2_500)):
                yield command(Command.SET_LEVERAGE, account=trader, symbol=symbol, qty=leverage)
        # One who holds more than the fund and the others together can carry.
        limit = 1_000 * 10**8
        yield command(Command.SET_RISK_LIMIT, account=6, symbol=PERPETUAL, qty=limit)
        yield command(Command.WITHDRAW, account=6, symbol=0, qty=90 * 10**8)

    def _prices(self) -> Iterator[Records]:
        for index in (INDEX_XBT, INDEX_TETHER):
            yield command(Command.INDEX, symbol=index, qty=self._units)

    def _order(self) -> Records:
        dice = self._dice
        symbol = dice.choice([PERPETUAL, PERPETUAL, TETHER, FUTURE])
        ticks = self._units // _UNITS_PER_TICK[symbol]
        sell = dice.random() < 0.5
        px = max(ticks + dice.randrange(-ticks // 200 - 1, ticks // 200 + 2), 1)
        account = dice.randrange(1, TRADERS + 1)
        lots = dice.choice([1, 10, 100, 1_000]) * (5 if account == 6 else 1)
        return command(
            Command.PLACE, account=account, symbol=symbol, type=OrderType.LIMIT, px=px, qty=lots * _LOTS[symbol],
            flags=OrderFlag.SELL if sell else 0,
        )  # fmt: skip

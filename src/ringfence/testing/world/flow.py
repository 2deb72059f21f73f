"""What traders do: orders of every kind around the price, sized so that some cannot carry them."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from ringfence.testing.world import venue
from ringfence.testing.world.options import Options
from ringfence.testing.world.trader import Trader


class Operation(NamedTuple):
    kind: str
    parameters: dict[str, Any]
    rests: bool = False
    """It stays in the book whatever happens, so sending it twice does no harm."""


_TICK = {
    venue.INVERSE: Decimal("0.1"), venue.LINEAR: Decimal("0.1"), venue.FUTURE: Decimal("0.5"),
    venue.SPOT: Decimal("0.1"),
}  # fmt: skip


class Flow:
    """Draws one operation after another; what it draws depends on the seed and on the index alone."""

    def __init__(self, options: Options) -> None:
        self._dice = random.Random(f"workload {options.seed}")
        self._options = options
        self._symbols = {
            of.number: of.symbol for of in venue.instruments(ranked=options.ranked) if not of.is_index
        }
        self._count = 0
        kinds: list[tuple[Callable[[Trader], Operation], int]] = [
            (self._order, 54), (self._resting, 8), (self._stop, 50 if options.cautious else 9), (self._linked, 8),
            (self._closing, 5), (self._amend, 7), (self._cancel, 6), (self._setting, 9), (self._money, 4),
            (self._all, 2),
        ]  # fmt: skip
        self._kinds = [kind for kind, weight in kinds for _ in range(weight)]
        self._open_links: dict[int, tuple[str, str, int]] = {}
        """By account: the link, its kind and the instrument, where a second order is still to come."""
        self.units = venue.START_UNITS

    def draw(self, trader: Trader) -> Operation:
        self._count += 1
        if trader.account in self._open_links:
            return self._second_of_link(trader)
        return self._dice.choice(self._kinds)(trader)

    # ---- orders

    def _placing(self, trader: Trader, *, rests: bool = False, **parameters: Any) -> Operation:
        parameters["clOrdID"] = f"{trader.account}-{self._count}"
        return Operation("place", parameters, rests)

    def _market(self, trader: Trader) -> tuple[int, str, int]:
        """Return an instrument, its symbol and about where it trades, in ticks."""
        number = self._dice.choice(
            (venue.INVERSE, venue.INVERSE, venue.LINEAR, venue.LINEAR, venue.FUTURE, venue.SPOT)
        )
        return number, self._symbols[number], max(self.units // venue.UNITS_PER_TICK[number], 20)

    def _qty(self, number: int) -> int:
        """Return a signed quantity: a large one takes most of a poor account's margin."""
        lots = self._dice.choice((1, 5, 20, 80, 250))
        if number == venue.SPOT:
            lots = lots * 20
        return lots * venue.LOTS[number] * self._dice.choice((1, -1))

    def _price(self, number: int, ticks: int) -> Decimal:
        return max(ticks, 1) * _TICK[number]

    def _order(self, trader: Trader) -> Operation:
        dice = self._dice
        number, symbol, ticks = self._market(trader)
        away = max(ticks // 400, 2)
        parameters: dict[str, Any] = {"symbol": symbol, "orderQty": self._qty(number)}
        if dice.random() < 0.85:
            parameters["price"] = self._price(number, ticks + dice.randrange(-away, away + 1))
        extra = dice.random()
        if extra < 0.06:
            parameters["execInst"] = "ParticipateDoNotInitiate"
        elif extra < 0.12:
            parameters["execInst"] = "ReduceOnly"
        elif extra < 0.17:
            parameters["timeInForce"] = dice.choice(("ImmediateOrCancel", "FillOrKill", "Day"))
        elif extra < 0.22:
            shown = dice.choice((0, 1)) * venue.LOTS[number]
            parameters["displayQty"] = shown
        if "price" not in parameters:
            parameters.pop("displayQty", None)
        return self._placing(trader, **parameters)

    def _resting(self, trader: Trader) -> Operation:
        number = self._dice.choice((venue.INVERSE, venue.LINEAR))
        ticks = self.units // venue.UNITS_PER_TICK[number]
        qty = venue.LOTS[number]
        price = self._price(number, ticks * 2 // 5)
        return self._placing(
            trader, rests=True, symbol=self._symbols[number], orderQty=qty, price=price,
            execInst="ParticipateDoNotInitiate",
        )  # fmt: skip

    def _stop(self, trader: Trader) -> Operation:
        dice = self._dice
        number, symbol, ticks = self._market(trader)
        qty = self._qty(number)
        away = dice.randrange(1, max(ticks // 60, 3))
        if dice.random() < 0.25 and number != venue.SPOT:
            offset = -away * _TICK[number] if qty < 0 else away * _TICK[number]
            return self._placing(
                trader, symbol=symbol, orderQty=qty, pegPriceType="TrailingStopPeg", pegOffsetValue=offset
            )
        stop = self._price(number, ticks - away if qty < 0 else ticks + away)
        parameters: dict[str, Any] = {"symbol": symbol, "orderQty": qty, "stopPx": stop}
        if dice.random() < 0.3:
            parameters["price"] = stop
        if number != venue.SPOT and dice.random() < 0.4:
            parameters["execInst"] = dice.choice(
                ("LastPrice", "IndexPrice", "MarkPrice", "LastPrice,LastWithinMark")
            )
        return self._placing(trader, **parameters)

    def _linked(self, trader: Trader) -> Operation:
        """One order near the price; its companion, a stop on the other side, is the trader's next."""
        dice = self._dice
        kind = dice.choice(("OneCancelsTheOther", "OneTriggersTheOther"))
        number = dice.choice(venue.CONTRACTS)
        link = f"link-{trader.account}-{self._count}"
        self._open_links[trader.account] = (link, kind, number)
        ticks = self.units // venue.UNITS_PER_TICK[number]
        price = self._price(number, ticks - dice.randrange(0, 12))
        return self._placing(
            trader, symbol=self._symbols[number], orderQty=20 * venue.LOTS[number], price=price,
            contingencyType=kind, clOrdLinkID=link,
        )  # fmt: skip

    def _second_of_link(self, trader: Trader) -> Operation:
        link, kind, number = self._open_links.pop(trader.account)
        ticks = self.units // venue.UNITS_PER_TICK[number]
        stop = self._price(number, ticks - self._dice.randrange(4, 40))
        return self._placing(
            trader, symbol=self._symbols[number], orderQty=-20 * venue.LOTS[number], stopPx=stop,
            contingencyType=kind, clOrdLinkID=link,
        )  # fmt: skip

    def _closing(self, trader: Trader) -> Operation:
        number = self._dice.choice(venue.CONTRACTS)
        return self._placing(trader, symbol=self._symbols[number], execInst="Close", ordType="Market")

    def _amend(self, trader: Trader) -> Operation:
        if not trader.known:
            return self._order(trader)
        clordid = self._dice.choice(trader.known[-12:])
        parameters: dict[str, Any] = {"origClOrdID": clordid}
        if self._dice.random() < 0.6:
            parameters["leavesQty"] = self._dice.choice((100, 300, 1_000, 5_000))
        else:
            ticks = self.units // 1_000
            parameters["price"] = self._price(venue.INVERSE, ticks + self._dice.randrange(-20, 21))
        return Operation("amend", parameters)

    def _cancel(self, trader: Trader) -> Operation:
        if not trader.known:
            return self._order(trader)
        return Operation("cancel", {"clOrdID": self._dice.choice(trader.known[-12:])})

    # ---- everything else

    def _setting(self, trader: Trader) -> Operation:
        dice = self._dice
        number = dice.choice(venue.CONTRACTS)
        what = dice.random()
        if what < 0.55:
            return Operation(
                "SET_LEVERAGE", {"symbol": number, "qty": dice.choice((0, 500, 1_000, 5_000, 10_000))}
            )
        if what < 0.8:
            amount = dice.randrange(-2_000_000, 4_000_000)
            return Operation("TRANSFER_MARGIN", {"symbol": number, "qty": amount})
        return Operation("SET_RISK_LIMIT", {"symbol": number, "qty": dice.choice((200, 500, 1_200)) * 10**8})

    def _money(self, trader: Trader) -> Operation:
        dice = self._dice
        asset = dice.choice((0, 1))
        amount = dice.choice((1, 10_000, 3_000_000, 10**12))
        other = venue.SUB_OF if trader.account == self._options.traders else self._options.traders
        if trader.account in (venue.SUB_OF, self._options.traders) or dice.random() < 0.1:
            return Operation("TRANSFER", {"symbol": asset, "qty": amount, "handle": other})
        return Operation(dice.choice(("WITHDRAW", "DEPOSIT")), {"symbol": asset, "qty": amount})

    def _all(self, trader: Trader) -> Operation:
        if self._dice.random() < 0.4:
            return Operation("CANCEL_ALL", {"symbol": self._dice.choice((0, *venue.CONTRACTS))})
        return Operation("CANCEL_ALL_AFTER", {"qty": self._dice.choice((0, 100, 2_000, 60_000))})

    # ---- the index

    def move(self) -> int:
        """Return the index price of the next moment."""
        dice, shock = self._dice, self._options.shock
        step = dice.uniform(-shock, shock) * (4 if dice.random() < 0.04 else 1)
        self.units = min(max(int(self.units * (1 + step)), venue.UNITS_MIN), venue.UNITS_MAX)
        return self.units

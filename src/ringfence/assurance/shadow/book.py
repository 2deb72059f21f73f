"""The order book of one instrument: best price first, then displayed before hidden, then time.

An iceberg stands among the displayed orders with its current slice, a hidden order in a queue of its own.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from ringfence.assurance.shadow.orders import SHOW_ALL, Order

NO_ASK = 2**31
"""A best ask above every price: there is none."""


class Level:
    """The orders at one price of one side."""

    __slots__ = ("displayed", "hidden")

    def __init__(self) -> None:
        # A dict would do, but taking the first of many again and again is what an OrderedDict is quick at.
        self.displayed: OrderedDict[int, Order] = OrderedDict()
        self.hidden: OrderedDict[int, Order] = OrderedDict()

    def __iter__(self) -> Iterator[Order]:
        yield from self.displayed.values()
        yield from self.hidden.values()

    def first(self) -> Order | None:
        for order in self:
            return order
        return None

    def qty(self) -> int:
        return sum(order.leaves for order in self)

    def displayed_qty(self) -> int:
        return sum(order.displayed() for order in self.displayed.values())

    def shows_everything(self) -> bool:
        return not self.hidden and all(
            order.display == SHOW_ALL or order.shown == order.leaves for order in self.displayed.values()
        )


class Side:
    __slots__ = ("levels", "prices", "sell")

    def __init__(self, sell: bool) -> None:
        self.sell = sell
        self.levels: dict[int, Level] = {}
        self.prices: list[int] = []
        """In rising order, for both sides."""

    def __len__(self) -> int:
        """Return how many orders there are."""
        return sum(len(level.displayed) + len(level.hidden) for level in self.levels.values())

    def best(self) -> int | None:
        if not self.prices:
            return None
        return self.prices[0 if self.sell else -1]

    def walk(self) -> Iterator[tuple[int, Level]]:
        """Yield (price, level), best first. The side must not change meanwhile."""
        for px in self.prices if self.sell else reversed(self.prices):
            yield px, self.levels[px]

    def add(self, order: Order) -> None:
        level = self.levels.get(order.px)
        if level is None:
            level = self.levels[order.px] = Level()
            insort(self.prices, order.px)
        queue = level.displayed if order.display else level.hidden
        queue[order.slot] = order

    def remove(self, order: Order) -> None:
        level = self.levels[order.px]
        queue = level.displayed if order.display else level.hidden
        del queue[order.slot]
        if not level.displayed and not level.hidden:
            del self.levels[order.px]
            del self.prices[bisect_left(self.prices, order.px)]


class Book:
    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids, self.asks = Side(False), Side(True)

    @property
    def bid(self) -> int:
        """Return the best bid in ticks, 0 = none."""
        return self.bids.prices[-1] if self.bids.prices else 0

    @property
    def ask(self) -> int:
        """Return the best ask in ticks, NO_ASK = none."""
        return self.asks.prices[0] if self.asks.prices else NO_ASK

    def side(self, sell: bool) -> Side:
        return self.asks if sell else self.bids

    def against(self, sell: bool) -> Side:
        """Return the side that an order of this side trades with."""
        return self.bids if sell else self.asks

    def crosses(self, sell: bool, px: int) -> bool:
        """Return whether an order at this price would trade."""
        return self.bid >= px if sell else self.ask <= px

    def add(self, order: Order) -> None:
        """Put an order at the end of its queue."""
        assert not order.in_book
        order.in_book = True
        self.side(order.sell).add(order)

    def remove(self, order: Order) -> None:
        assert order.in_book
        order.in_book = False
        self.side(order.sell).remove(order)

    def take(self, order: Order, qty: int, *, from_hidden: bool) -> None:
        """Take `qty` from an order in the book; an iceberg whose slice is used up goes to the back."""
        order.leaves -= qty
        if order.display == SHOW_ALL:
            return
        if from_hidden:
            order.show_next_slice()
        else:
            order.shown -= qty
        if order.display > 0 and order.shown == 0 and order.leaves > 0:
            order.show_next_slice()
            self.side(order.sell).levels[order.px].displayed.move_to_end(order.slot)

"""The maker: ten levels a side around the mark in every market, moved when the mark moves."""

import asyncio
import logging
import time

from ringfence.daemons.bots.connection import Connection, Reply, Row
from ringfence.daemons.bots.contract import Contract
from ringfence.daemons.bots.ladder import LEVELS, Change, Quote, best_bid_level, changes, wanted
from ringfence.daemons.bots.watch import Watch

log = logging.getLogger("ringfence.bots.maker")

LEVEL_USD = 4_000.0
"""What the best level is worth; each further one is a half more."""
POSITION_USD_MAX = 250_000.0
"""At this position the side that adds to it quotes one lot a level."""
_SKEW_STEPS = 3
_PASS_SECONDS = 0.25
_AGAIN_SECONDS = 5.0
"""Every market is looked at again after so long, whatever its mark did."""
_PAUSE_SECONDS = 1.0
_DEAD_MAN_SECONDS = 60
_XBT_SYMBOL = "XBTUSD"


class _Book:
    """The maker's side of one market."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.quotes: dict[str, Quote] = {}
        self.position = 0
        self.level: int | None = None
        self.pending = 0
        """Messages whose reply is awaited; nothing new is sent before they are all there."""
        self.is_due = True
        self.not_before = 0.0


class Maker:
    """Quotes on one connection until it is lost."""

    topics = ("execution", "instrument")

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._connection: Connection
        self._complained = 0.0
        self.watch = Watch("maker")

    async def run(self, connection: Connection, stop: asyncio.Event) -> None:
        """Quote until the connection is lost or it is asked to stop. Raises ConnectionError, TimeoutError."""
        self._connection = connection
        self._books.clear()
        connection.subscribe(*self.topics, "position")
        await connection.ask("cancelAllOrders", {})
        connection.unsubscribe("position")
        again = alive = 0.0
        while not stop.is_set() and not connection.closed.is_set():
            now = time.monotonic()
            if now >= alive:
                connection.say({"op": "cancelAllAfter", "args": _DEAD_MAN_SECONDS * 1000})
                alive = now + _DEAD_MAN_SECONDS / 4
            if now >= again:
                again = now + _AGAIN_SECONDS
                for book in self._books.values():
                    book.is_due = True
            self.watch.look(connection, now)
            for book in self._books.values():
                if book.is_due and not book.pending and now >= book.not_before:
                    book.is_due = False
                    self._quote(book)
            await asyncio.sleep(_PASS_SECONDS)
        if stop.is_set():
            await connection.ask("cancelAllOrders", {})

    # ---- rows in

    def take(self, table: str, action: str, rows: list[Row]) -> None:
        if table == "instrument":
            for row in rows:
                self._take_instrument(row)
        elif table == "execution":
            for row in rows:
                if row["execType"] == "Trade":
                    self._take_fill(row)
        elif table == "position" and action == "partial":
            for row in rows:
                book = self._books.get(row["symbol"])
                if book is not None:
                    book.position = row["currentQty"]
        elif table == "margin" and action == "partial":
            self.watch.take(rows)

    def _take_instrument(self, row: Row) -> None:
        book = self._books.get(row["symbol"])
        if book is None:
            if "tickSize" not in row:
                return
            book = self._books[row["symbol"]] = _Book(Contract(row))
        else:
            book.contract.update(row)
        book.is_due = True
        for other in self._books.values():
            if other.contract.reference_symbol == row["symbol"]:
                other.contract.reference = book.contract.reference
                other.is_due = True

    def _take_fill(self, row: Row) -> None:
        book = self._books.get(row["symbol"])
        if book is None:
            return
        book.position += row["lastQty"] if row["side"] == "Buy" else -row["lastQty"]
        book.is_due = True
        quote = book.quotes.get(row["orderID"])
        if quote is not None:
            quote.leaves = row["leavesQty"]
            if not quote.leaves:
                del book.quotes[quote.order_id]

    # ---- orders out

    def _xbt_usd(self) -> float:
        book = self._books.get(_XBT_SYMBOL)
        return (book.contract.reference or 0) * book.contract.tick_size if book else 0.0

    def _quote(self, book: _Book) -> None:
        of = book.contract
        if of.reference is None or not of.is_open:
            return
        xbt_usd = self._xbt_usd()
        lean = max(-1.0, min(1.0, of.usd(book.position, xbt_usd) / POSITION_USD_MAX))
        before = book.level
        level = best_bid_level(of.reference - lean * _SKEW_STEPS * of.step, of.step, before)
        book.level = level
        bid_level, ask_level = self._beside_others(book, level)
        want = wanted(
            bid_level=bid_level, ask_level=ask_level, step=of.step,
            bid_qty=self._quantities(of, max(lean, 0.0), xbt_usd),
            ask_qty=self._quantities(of, max(-lean, 0.0), xbt_usd),
        )  # fmt: skip
        rising = before is None or level >= before
        for change in changes(book.quotes.values(), want, rising=rising):
            self._send(book, change)

    def _quantities(self, of: Contract, used: float, xbt_usd: float) -> list[int]:
        """Return the quantity of each level of one side, of whose room a part is used up."""
        return [of.qty_of(LEVEL_USD * (1 + k / 2) * (1 - used), xbt_usd) for k in range(LEVELS)]

    def _beside_others(self, book: _Book, level: int) -> tuple[int, int]:
        """Return the levels of best bid and ask, away from somebody's order on the wrong side of the mark.

        Only the side that would meet it gives way. If the other side joined that order's price, we could
        no longer tell whose the best price is, and would run into it at the next pass.
        """
        of = book.contract
        own_ask = min((q.px for q in book.quotes.values() if q.is_sell), default=None)
        own_bid = max((q.px for q in book.quotes.values() if not q.is_sell), default=None)
        bid_level, ask_level = level, level + 1
        if of.ask is not None and (own_ask is None or of.ask < own_ask):
            bid_level = min(bid_level, -(-of.ask // of.step) - 1)
        if of.bid is not None and (own_bid is None or of.bid > own_bid):
            ask_level = max(ask_level, of.bid // of.step + 1)
        return bid_level, ask_level

    def _send(self, book: _Book, change: Change) -> None:
        of, quote = book.contract, change.quote
        book.pending += 1
        if quote is None:
            args: Row = {
                "symbol": of.symbol, "side": "Sell" if change.is_sell else "Buy", "orderQty": change.qty,
                "price": of.price(change.px), "execInst": "ParticipateDoNotInitiate",
            }  # fmt: skip
            self._connection.order("placeOrder", args, lambda reply: self._placed(book, change, reply))
        elif change.qty:
            args = {"orderID": quote.order_id, "leavesQty": change.qty}
            if change.px != quote.px:
                args["price"] = of.price(change.px)
            self._connection.order(
                "amendOrder", args, lambda reply: self._amended(book, change, quote, reply)
            )
        else:
            book.quotes.pop(quote.order_id, None)
            args = {"orderID": quote.order_id}
            self._connection.order("cancelOrder", args, lambda reply: self._replied(book, reply))

    def _replied(self, book: _Book, reply: Reply) -> None:
        book.pending -= 1
        if reply.status in (429, 503):
            book.not_before = time.monotonic() + _PAUSE_SECONDS
            book.is_due = True
        if not reply.is_done and time.monotonic() > self._complained:
            self._complained = time.monotonic() + _PAUSE_SECONDS
            log.warning("%s: %d %s", book.contract.symbol, reply.status, reply.error)

    def _placed(self, book: _Book, change: Change, reply: Reply) -> None:
        self._replied(book, reply)
        if reply.is_done and reply.data["leavesQty"]:
            quote = Quote(
                reply.data["orderID"], is_sell=change.is_sell, px=change.px, leaves=reply.data["leavesQty"]
            )
            book.quotes[quote.order_id] = quote

    def _amended(self, book: _Book, change: Change, quote: Quote, reply: Reply) -> None:
        """Note where the order is now; one that could not be moved is taken away."""
        if reply.is_done:
            quote.px, quote.leaves = change.px, reply.data["leavesQty"]
            if not quote.leaves:
                book.quotes.pop(quote.order_id, None)
            self._replied(book, reply)
            return
        book.quotes.pop(quote.order_id, None)
        book.is_due = True
        if reply.error == "Invalid ordStatus":
            book.pending -= 1  # it was filled meanwhile
            return
        self._replied(book, reply)
        self._send(book, Change(quote, quote.is_sell, quote.px, 0))

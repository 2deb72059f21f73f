"""The taker: a small market order in every market about every two seconds, leaning back to flat."""

import asyncio
import logging
import random
import time

from ringfence.daemons.bots.connection import Connection, Reply, Row
from ringfence.daemons.bots.contract import Contract
from ringfence.daemons.bots.watch import Watch

log = logging.getLogger("ringfence.bots.taker")

TRADE_USD = (50.0, 500.0)
POSITION_USD_MAX = 5_000.0
"""At this position only trades that reduce it are made."""
_SECONDS = (1.0, 3.0)
_PASS_SECONDS = 0.1
_COMPLAIN_SECONDS = 5.0
_XBT_SYMBOL = "XBTUSD"


class _Account:
    """The taker in one market."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.position = 0
        self.at = 0.0


class Taker:
    """Trades on one connection until it is lost."""

    topics = ("execution", "instrument")

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._accounts: dict[str, _Account] = {}
        self._complained = 0.0
        self.watch = Watch("taker")

    async def run(self, connection: Connection, stop: asyncio.Event) -> None:
        """Trade until the connection is lost or it is asked to stop. Raises ConnectionError, TimeoutError."""
        self._accounts.clear()
        connection.subscribe(*self.topics, "position")
        await connection.ask("cancelAllOrders", {})
        connection.unsubscribe("position")
        while not stop.is_set() and not connection.closed.is_set():
            now = time.monotonic()
            self.watch.look(connection, now)
            for account in self._accounts.values():
                if now >= account.at:
                    if account.at:
                        self._trade(connection, account)
                    account.at = now + self._random.uniform(*_SECONDS)
            await asyncio.sleep(_PASS_SECONDS)

    def take(self, table: str, action: str, rows: list[Row]) -> None:
        for row in rows:
            if table == "margin":
                break
            account = self._accounts.get(row["symbol"])
            if account is None:
                if table == "instrument" and "tickSize" in row:
                    self._accounts[row["symbol"]] = _Account(Contract(row))
            elif table == "instrument":
                account.contract.update(row)
            elif table == "execution" and row["execType"] == "Trade":
                account.position += row["lastQty"] if row["side"] == "Buy" else -row["lastQty"]
            elif table == "position" and action == "partial":
                account.position = row["currentQty"]
        if table == "margin" and action == "partial":
            self.watch.take(rows)

    def _trade(self, connection: Connection, account: _Account) -> None:
        of = account.contract
        if not of.is_open or of.bid is None or of.ask is None:
            return
        if of.reference_symbol in self._accounts:
            of.reference = self._accounts[of.reference_symbol].contract.reference
        xbt = self._accounts[_XBT_SYMBOL].contract if _XBT_SYMBOL in self._accounts else of
        xbt_usd = (xbt.reference or 0) * xbt.tick_size
        lean = of.usd(account.position, xbt_usd) / POSITION_USD_MAX
        is_sell = self._random.random() < 0.5 + lean / 2
        args = {
            "symbol": of.symbol, "side": "Sell" if is_sell else "Buy", "ordType": "Market",
            "orderQty": of.qty_of(self._random.uniform(*TRADE_USD), xbt_usd),
        }  # fmt: skip
        connection.order("placeOrder", args, lambda reply: self._replied(of, reply))

    def _replied(self, of: Contract, reply: Reply) -> None:
        if not reply.is_done and time.monotonic() > self._complained:
            self._complained = time.monotonic() + _COMPLAIN_SECONDS
            log.warning("%s: %d %s", of.symbol, reply.status, reply.error)

"""Who listens to what, and changes into frames: each frame is made once for all its listeners.

Private frames leave with the batch that caused them. Public ones are gathered for a few milliseconds,
since a hundred steps of a book within that time are one step to its reader.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ringfence.exchange.gateway.rest.route import encode
from ringfence.exchange.gateway.websocket.frame import text_frame
from ringfence.exchange.gateway.websocket.topics import Topic
from ringfence.exchange.projections import TABLES, Changes, Market, Views
from ringfence.exchange.projections.history import transaction_row

if TYPE_CHECKING:
    from ringfence.exchange.gateway.websocket.session import Session

Row = dict[str, Any]
_DEPTH_25 = 25
_DEPTH_10 = 10
_INSTRUMENT_SECONDS = 0.1
_REMARK_SECONDS = 0.5

_PRIVATE_CHANGES = ("execution", "order", "position", "margin", "wallet", "transact")


def table_frame(table: str, action: str, rows: list[Row]) -> bytes:
    return text_frame(encode({"table": table, "action": action, "data": rows}))


class Publisher:
    """Takes changes in, hands frames to sessions. `schedule(seconds, callback)` calls back later."""

    def __init__(
        self, views: Views, *, schedule: Callable[[float, Callable[[], None]], object], flush_seconds: float
    ) -> None:
        self.views = views
        self._schedule = schedule
        self._flush_seconds = flush_seconds
        self._public: dict[tuple[str, int], set[Session]] = {}
        """By (table, instrument number), 0 = all instruments."""
        self._private: dict[int, list[tuple[Session, Topic]]] = {}
        """By account."""
        self._dirty: set[Session] = set()
        self._flush_is_due = False
        self._levels: dict[int, dict[tuple[int, bool], int]] = {}
        self._quotes: dict[int, tuple[int, int, int, int]] = {}
        self._trades: dict[int, list[Row]] = {}
        self._touched: dict[int, Market] = {}
        self._bins: list[tuple[str, int, Row]] = []
        self._others: list[tuple[str, int, str, Row]] = []
        """Funding, settlement, halts, insurance, liquidation: (table, instrument, action, row) in their order."""
        self._shown: dict[tuple[str, int], Any] = {}
        """What listeners of depth-limited books and of instruments have seen last."""
        self._known: dict[int, set[tuple[str, object]]] = {}
        """By account with listeners: which position and margin rows exist for them."""
        self._wallets: dict[int, int] = {}
        """By margin of an account with listeners: the wallet that they saw last."""
        self._instruments_due = self._remark_due = False
        self._moved: dict[int, Market] = {}
        self._marked: dict[int, Market] = {}

    # ---- listeners

    @property
    def listening(self) -> Container[int]:
        """The accounts that have listeners, as they come and go."""
        return self._private

    def add(self, session: "Session", topic: Topic, account: int) -> None:
        if topic.is_private:
            self._private.setdefault(account, []).append((session, topic))
            known = self._known.setdefault(account, set())
            held = self.views.accounts[account]
            known.update(("position", number) for number in held.positions)
            known.update(("margin", asset) for asset in held.margins)
            self._wallets.update((id(margin), margin.wallet) for margin in held.margins.values())
            return
        for number, market in self.views.markets.items():
            if topic.numbers is None or number in topic.numbers:
                self._remember(topic.table, market)
        for number in [0] if topic.numbers is None else topic.numbers:
            self._public.setdefault((topic.table, number), set()).add(session)

    def remove(self, session: "Session", topic: Topic, account: int) -> None:
        if topic.is_private:
            left = [(s, t) for s, t in self._private.get(account, []) if s is not session or t != topic]
            if left:
                self._private[account] = left
            else:
                self._private.pop(account, None)
                self._known.pop(account, None)
            return
        for number in [0] if topic.numbers is None else topic.numbers:
            listeners = self._public.get((topic.table, number))
            if listeners is not None:
                listeners.discard(session)
                if not listeners:
                    del self._public[topic.table, number]

    def _remember(self, table: str, market: Market) -> None:
        """Note what the first listener sees in its partial, so that the next update continues it."""
        key = (table, market.instrument.number)
        if self._has_listeners(*key):
            return
        if table == "orderBookL2_25":
            self._shown[key] = _window(market, _DEPTH_25)
        elif table == "orderBook10":
            self._shown[key] = _window(market, _DEPTH_10)
        elif table == "instrument":
            self._shown[key] = market.row()

    def _has_listeners(self, table: str, number: int) -> bool:
        return (table, number) in self._public or (table, 0) in self._public

    def _send(self, table: str, number: int, frame: bytes) -> None:
        for key in ((table, number), (table, 0)):
            listeners = self._public.get(key)
            if listeners:
                for session in listeners:
                    session.queue(frame)
                self._dirty |= listeners

    def announce(self, table: str, row: Row) -> None:
        """Send a row that changed to whoever listens, at once."""
        if (table, 0) in self._public:
            self._send(table, 0, table_frame(table, "update", [row]))
            self._write_out()

    # ---- changes in

    def take(self, changes: Changes) -> None:
        """Send private changes now, note public ones and see that they are sent soon."""
        if self._private:
            self._send_private(changes)
        if self._public:
            self._note_public(changes)
        if changes.markets and self._private:
            self._marked.update(changes.markets)
            if not self._remark_due:
                self._remark_due = True
                self._schedule(_REMARK_SECONDS, self._remark)
        self._write_out()

    def _write_out(self) -> None:
        if self._dirty:
            dirty, self._dirty = self._dirty, set()
            for session in dirty:
                session.write_out()

    # ---- private

    def _send_private(self, changes: Changes) -> None:
        rows: dict[int, dict[str, list[tuple[int, str, Row]]]] = {}

        def note(account: int, table: str, number: int, action: str, row: Row) -> None:
            rows.setdefault(account, {}).setdefault(table, []).append((number, action, row))

        listening = self._private
        for execution in changes.executions:
            if execution.account in listening:
                note(
                    execution.account,
                    "execution",
                    execution.instrument.number,
                    "insert",
                    execution.row(),
                )
        for order, is_new in changes.orders.values():
            if order.account in listening:
                action = "insert" if is_new else "update"
                note(order.account, "order", order.instrument.number, action, order.row())
        for position in changes.positions.values():
            if position.account in listening and position.instrument.is_contract:
                number = position.instrument.number
                margin = self.views.accounts[position.account].margin(position.instrument.settle_asset)
                action = self._action(position.account, ("position", number))
                note(position.account, "position", number, action, position.row(margin))
        for margin in changes.margins.values():
            if margin.account in listening:
                action = self._action(margin.account, ("margin", margin.asset.number))
                note(margin.account, "margin", 0, action, margin.row())
                if self._wallets.get(id(margin)) != margin.wallet:
                    self._wallets[id(margin)] = margin.wallet
                    note(margin.account, "wallet", 0, action, margin.wallet_row())
        for transaction in changes.transactions:
            if transaction.account in listening:
                note(transaction.account, "transact", 0, "insert", transaction_row(transaction))
        for account, tables in rows.items():
            for table in _PRIVATE_CHANGES:
                if table in tables:
                    self._send_rows(account, table, tables[table])

    def _action(self, account: int, key: tuple[str, object]) -> str:
        known = self._known[account]
        if key in known:
            return "update"
        known.add(key)
        return "insert"

    def _send_rows(self, account: int, table: str, noted: list[tuple[int, str, Row]]) -> None:
        listeners = [(s, t) for s, t in self._private[account] if t.table == table]
        made: dict[frozenset[int] | None, list[bytes]] = {}
        for session, topic in listeners:
            frames = made.get(topic.numbers)
            if frames is None:
                wanted = [n for n in noted if topic.numbers is None or n[0] in topic.numbers]
                frames = made[topic.numbers] = [
                    table_frame(table, action, found)
                    for action in ("insert", "update")
                    if (found := [row for _, its_action, row in wanted if its_action == action])
                ]
            for frame in frames:
                session.queue(frame)
            self._dirty.add(session)

    def _remark(self) -> None:
        """Tell holders what a moved mark price did to their positions and margins."""
        self._remark_due = False
        moved, self._marked = self._marked, {}
        for account in list(self._private):
            held = self.views.accounts[account]
            touched = [
                p for n, p in held.positions.items() if n in moved and p.qty and p.instrument.is_contract
            ]
            if not touched:
                continue
            noted = [
                (p.instrument.number, self._action(account, ("position", p.instrument.number)),
                 p.row(held.margin(p.instrument.settle_asset)))
                for p in touched
            ]  # fmt: skip
            self._send_rows(account, "position", noted)
            assets = sorted({p.instrument.settle_asset for p in touched})
            margins = [
                (0, self._action(account, ("margin", asset)), held.margin(asset).row()) for asset in assets
            ]
            self._send_rows(account, "margin", margins)
        self._write_out()

    # ---- public

    def _note_public(self, changes: Changes) -> None:
        for number, before in changes.levels.items():
            noted = self._levels.get(number)
            if noted is None:
                self._levels[number] = dict(before)
            else:
                for key, qty in before.items():
                    noted.setdefault(key, qty)
        for number, best in changes.quotes.items():
            self._quotes.setdefault(number, best)
        for trade in changes.trades:
            number = trade.instrument.number
            if self._has_listeners("trade", number):
                self._trades.setdefault(number, []).append(trade.row())
        self._touched.update(changes.markets)
        for market, size, closed in changes.bins:
            of = market.instrument
            if self._has_listeners(f"tradeBin{size}", of.number):
                self._bins.append((f"tradeBin{size}", of.number, closed.row(of)))
            if not of.is_index and self._has_listeners(f"quoteBin{size}", of.number):
                self._bins.append((f"quoteBin{size}", of.number, closed.quote_row(of)))
        self._note_outcomes(changes)
        if not self._flush_is_due and (self._touched or self._bins or self._others):
            self._flush_is_due = True
            self._schedule(self._flush_seconds, self.flush)

    def _note_outcomes(self, changes: Changes) -> None:
        """Note what the rules did. Nobody may be listening: these are few."""
        others = self._others
        others += [("funding", f.instrument.number, "insert", f.row()) for f in changes.fundings]
        others += [("settlement", s.instrument.number, "insert", s.row()) for s in changes.settlements]
        others += [("halt", 0, "insert", halt.row()) for halt in changes.halts]
        others += [("insurance", 0, "insert", fund.row()) for fund in changes.funds]
        if not self.views.fund_account:
            return
        for order, is_new in changes.orders.values():
            if order.account == self.views.fund_account and (order.is_open or not is_new):
                action = "insert" if is_new else "update" if order.is_open else "delete"
                row = order.liquidation_row()
                if action == "delete":
                    row = {name: row[name] for name in ("orderID", "symbol")}
                others.append(("liquidation", order.instrument.number, action, row))

    def flush(self) -> None:
        """Send what was noted: trades, books, quotes, instruments, bins and the rest, in that order."""
        self._flush_is_due = False
        trades, self._trades = self._trades, {}
        levels, self._levels = self._levels, {}
        quotes, self._quotes = self._quotes, {}
        touched, self._touched = self._touched, {}
        bins, self._bins = self._bins, []
        others, self._others = self._others, []
        for number, rows in trades.items():
            self._send("trade", number, table_frame("trade", "insert", rows))
        for number, before in levels.items():
            market = self.views.markets[number]
            if self._has_listeners("orderBookL2", number):
                self._send_levels("orderBookL2", market, _steps(market, before))
            if self._has_listeners("orderBookL2_25", number):
                shown = self._shown.get(("orderBookL2_25", number), {})
                window = self._shown["orderBookL2_25", number] = _window(market, _DEPTH_25)
                self._send_levels("orderBookL2_25", market, _difference(shown, window))
            if self._has_listeners("orderBook10", number):
                window = _window(market, _DEPTH_10)
                if window != self._shown.get(("orderBook10", number)):
                    self._shown["orderBook10", number] = window
                    self._send(
                        "orderBook10", number, table_frame("orderBook10", "update", [market.book10_row()])
                    )
        for number, best in quotes.items():
            market = self.views.markets[number]
            if best != market.best and self._has_listeners("quote", number):
                self._send("quote", number, table_frame("quote", "insert", [market.quote_row()]))
        self._moved.update(touched)
        if self._moved and not self._instruments_due:
            self._instruments_due = True
            self._schedule(_INSTRUMENT_SECONDS, self._send_instruments)
        for table, number, row in bins:
            self._send(table, number, table_frame(table, "insert", [row]))
        for table, number, action, row in others:
            self._send(table, number, table_frame(table, action, [row]))
        self._write_out()

    def _send_levels(
        self, table: str, market: Market, steps: Mapping[str, Iterable[tuple[int, bool]]]
    ) -> None:
        for action in ("delete", "update", "insert"):
            rows = [market.level_row(px, is_sell) for px, is_sell in steps[action]]
            if not rows:
                continue
            if action == "delete":
                for row in rows:
                    del row["size"]
            self._send(table, market.instrument.number, table_frame(table, action, rows))

    def _send_instruments(self) -> None:
        """Whole rows to whoever follows one symbol, changed columns to whoever follows many."""
        self._instruments_due = False
        moved, self._moved = self._moved, {}
        for number, market in moved.items():
            if not self._has_listeners("instrument", number):
                self._shown.pop(("instrument", number), None)
                continue
            row = market.row()
            before = self._shown.get(("instrument", number), {})
            self._shown["instrument", number] = row
            changed = {name: value for name, value in row.items() if before.get(name, self) != value}
            if not changed:
                continue
            whole = changed_frame = b""
            for key in (("instrument", number), ("instrument", 0)):
                for session in self._public.get(key, ()):
                    if session.wants_whole_rows(number):
                        whole = whole or table_frame("instrument", "update", [row])
                        session.queue(whole)
                    else:
                        keyed = {"symbol": row["symbol"], **changed, "timestamp": row["timestamp"]}
                        changed_frame = changed_frame or table_frame("instrument", "update", [keyed])
                        session.queue(changed_frame)
                    self._dirty.add(session)
        self._write_out()


Level = tuple[int, bool]


def _window(market: Market, depth: int) -> dict[Level, int]:
    """Return the best levels of both sides with what they display."""
    return {(px, is_sell): market.side(is_sell).levels[px] for px, is_sell in market.depth(depth)}


def _steps(market: Market, before: dict[Level, int]) -> dict[str, list[Level]]:
    """Return what became of the levels that were touched."""
    now = {(px, is_sell): market.side(is_sell).levels.get(px, 0) for px, is_sell in before}
    return _difference({k: q for k, q in before.items() if q}, {k: q for k, q in now.items() if q})


def _difference(old: dict[Level, int], new: dict[Level, int]) -> dict[str, list[Level]]:
    return {
        "delete": [level for level in old if level not in new],
        "update": [level for level, qty in new.items() if level in old and old[level] != qty],
        "insert": [level for level in new if level not in old],
    }


assert all(name in TABLES for name in _PRIVATE_CHANGES)

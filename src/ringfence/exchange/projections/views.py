"""The fold: a batch in, the views move, and what changed comes out in the order of the wire."""

from collections.abc import Callable, Container
from typing import Any, NamedTuple, TypeVar

import msgspec

from ringfence.exchange.projections.coins import Coins
from ringfence.exchange.projections.halts import Halts, HaltView
from ringfence.exchange.projections.last_resort import FundView, Notice, Receipt
from ringfence.exchange.projections.ledger import FEES, RECEIVING_LINE, Line, Transaction, clearing, entry
from ringfence.exchange.projections.market import Bin, FundingView, Impact, Market, SettlementView, TradeView
from ringfence.exchange.projections.orders import (
    CANCEL_TEXTS,
    DEFAULT_TEXT,
    LIQUIDATION_TEXT,
    TRIGGERED,
    Execution,
    Movement,
    Order,
    condition_of,
)
from ringfence.exchange.projections.outcomes import Outcomes
from ringfence.exchange.projections.positions import Account, Margin, Position
from ringfence.instruments.specification import Instrument, decode
from ringfence.instruments.value import fee as fee_of
from ringfence.instruments.value import order_value
from ringfence.messages.batch import (
    ACCOUNT_NAME,
    CLORDID,
    CLORDLINKID,
    CONSTITUENTS,
    FUNDS,
    HALT_REASON,
    SIGNATURES,
    SPECIFICATION,
    TEXT,
    Batch,
    decode_slots,
)
from ringfence.messages.commands import (
    Command,
    HaltScope,
    InstrumentParameter,
    InstrumentState,
    OrderType,
    TradingState,
)
from ringfence.messages.events import CancelReason, Event, EventFlag
from ringfence.messages.funds import Closed, Credit, FundsError, Wish
from ringfence.messages.funds import decode as decode_funds
from ringfence.messages.halts import decode_reason, decode_signatures
from ringfence.messages.layouts import COMMAND_NAMES, COMMAND_STRUCT, DISPLAY_ALL, EVENT_STRUCT
from ringfence.messages.rejects import Reject
from ringfence.units.time import NS_PER_DAY, floor_to

_HALF_DAY = NS_PER_DAY // 2
# Plain integers: enum members are looked up and combined through Python code.
_SELL, _HIDDEN, _DEMO = int(EventFlag.SELL), int(EventFlag.HIDDEN), int(EventFlag.DEMO)
_KEPT_PRIORITY, _BY_ENGINE = int(EventFlag.KEPT_PRIORITY), int(EventFlag.BY_ENGINE)
_UNTRIGGERED = int(EventFlag.UNTRIGGERED)
_REQUESTED, _DATA, _PLACE = int(CancelReason.REQUESTED), int(Command.DATA), int(Command.PLACE)
_HALT = int(Command.HALT)
_MARKET_ORDER = int(OrderType.MARKET)
_FUNDING_INTERVAL = int(InstrumentParameter.FUNDING_INTERVAL_NS)
_PARAMETER_FIELDS = {
    InstrumentParameter.INITIAL_MARGIN_PPM: "initial_margin_ppm",
    InstrumentParameter.MAINTENANCE_MARGIN_PPM: "maintenance_margin_ppm",
    InstrumentParameter.RISK_LIMIT_BASE: "risk_limit_base",
    InstrumentParameter.RISK_LIMIT_STEP: "risk_limit_step",
    InstrumentParameter.MAKER_FEE_PPM: "maker_fee_ppm",
    InstrumentParameter.TAKER_FEE_PPM: "taker_fee_ppm",
    InstrumentParameter.COLLAR_PPM: "collar_ppm",
    InstrumentParameter.SETTLEMENT_FEE_PPM: "settlement_fee_ppm",
    InstrumentParameter.LAST_BAND_PPM: "last_band_ppm",
    InstrumentParameter.EXPIRY_NS: "expiry_ns",
}


class Refusal(NamedTuple):
    reject: Reject
    figure: int


class RefusedOrder(NamedTuple):
    """A new order that the engine refused; there is nothing else to find it by than its clOrdID."""

    number: int
    """Of the event."""
    sequence: int
    account: int
    symbol: int
    clordid: str
    reject: Reject
    figure: int


class Result:
    """What came of one command: the orders it touched, or why it was refused."""

    __slots__ = ("account", "kind", "orders", "refusal", "request", "symbol", "transaction", "value")

    def __init__(self, kind: int, request: int, account: int, symbol: int) -> None:
        self.kind, self.request, self.account, self.symbol = kind, request, account, symbol
        self.orders: list[Order] = []
        self.refusal: Refusal | None = None
        self.transaction: Transaction | None = None
        self.value = 0
        """CANCEL_ALL_AFTER: the nanosecond at which it fires."""


class Changes:
    """What one batch changed, in the order in which it goes out on the wire."""

    def __init__(self, timestamp_ns: int) -> None:
        self.timestamp_ns = timestamp_ns
        self.results: list[Result] = []
        self.executions: list[Execution | Movement] = []
        self.orders: dict[int, tuple[Order, bool]] = {}
        """By id(order): the order, and whether it is new on the wire."""
        self.positions: dict[int, Position] = {}
        self.margins: dict[int, Margin] = {}
        self.transactions: list[Transaction] = []
        self.trades: list[TradeView] = []
        self.levels: dict[int, dict[tuple[int, bool], int]] = {}
        """By instrument: (price, is_sell) -> displayed quantity before the batch."""
        self.quotes: dict[int, tuple[int, int, int, int]] = {}
        """By instrument: the best before the batch."""
        self.markets: dict[int, Market] = {}
        self.bins: list[tuple[Market, str, Bin]] = []
        self.lines: list[Line] = []
        self.fundings: list[FundingView] = []
        self.settlements: list[SettlementView] = []
        self.funds: list[FundView] = []
        """The insurance funds at the end of a session."""
        self.receipts: list[Receipt] = []
        self.notices: list[Notice] = []
        self.halts: list[HaltView] = []
        self.xbt_cents = 0
        """US cents of a bitcoin: the mark of the first contract that says it."""
        self.refused: list[RefusedOrder] = []


Text = TypeVar("Text", Wish, Credit, Closed)


class Views(Outcomes):
    """Everything that can be asked for without looking into history."""

    def __init__(self) -> None:
        self.next_sequence = 0
        self.next_event = 0
        self.timestamp_ns = 0
        self.markets: dict[int, Market] = {}
        self.symbols: dict[str, Market] = {}
        self.accounts: dict[int, Account] = {}
        self.orders: dict[int, Order] = {}
        self.halts = Halts()
        self.coins = Coins()
        self.configuration = 0
        self.fund_account = 0
        self._receipt = None
        self._discounts = {}
        self._session_ends_ns = 0
        self._session_realised: dict[tuple[int, int, int], int] = {}
        self._entering: list[Order] = []
        self._apply_event: dict[int, Callable[[tuple[Any, ...]], None]] = {
            Event.ACCEPTED: self._accepted, Event.TRADE: self._traded, Event.CANCELED: self._canceled,
            Event.AMENDED: self._amended, Event.REJECTED: self._rejected, Event.REALISED: self._realised,
            Event.POSITION_SET: self._position_set, Event.ACCOUNT_OPENED: self._account_opened,
            Event.DEPOSITED: self._deposited, Event.WITHDRAWN: self._withdrawn,
            Event.TIMER_SET: self._timer_set, Event.TIMER_FIRED: self._timer_fired,
            Event.MARKED: self._marked, Event.LISTED: self._listed,
            Event.INSTRUMENT_SET: self._instrument_set, Event.STATE_SET: self._state_set,
            Event.VENUE_SET: self._venue_set, Event.ACCOUNT_SET: self._account_set,
            Event.FUNDED: self._funded, Event.FUNDING_SET: self._funding_set,
            Event.LIQUIDATION: self._liquidation, Event.DELEVERAGED: self._deleveraged,
            Event.ADL_BEGUN: self._adl_begun, Event.COVERED: self._covered,
            Event.SETTLED: self._settled, Event.SETTLEMENT: self._settlement,
            Event.INDEXED: self._indexed, Event.IMPACT_SET: self._impact_set,
            Event.TRIGGERED: self._triggered, Event.TRANSFERRED: self._transferred,
            Event.HALT_SET: self._halt_set,
        }  # fmt: skip

    def apply(self, batch: Batch, *, reports_for: Container[int] | None = None) -> Changes:
        """Fold one batch in. Batches must follow one another without a gap.

        Execution reports are made for these accounts, or for all: they are a sixth of the work, and a
        gateway needs those of its listeners only.
        """
        assert batch.first_sequence == self.next_sequence, f"{batch.first_sequence} != {self.next_sequence}"
        assert batch.first_event == self.next_event
        changes = Changes(batch.timestamp_ns)
        self.timestamp_ns = batch.timestamp_ns
        changes.xbt_cents = self._xbt_cents()
        self._receipt = None
        self._end_session(changes)
        self._close_bins(changes)
        self._reports_for = reports_for
        self._fold_events(batch, changes)
        self.next_sequence = batch.next_sequence
        self.next_event += len(batch.events)
        for market in changes.markets.values():
            market.timestamp_ns = batch.timestamp_ns
        for position in changes.positions.values():
            position.timestamp_ns = batch.timestamp_ns
        for margin in changes.margins.values():
            margin.timestamp_ns = batch.timestamp_ns
        return changes

    def _fold_events(self, batch: Batch, changes: Changes) -> None:
        self._changes = changes
        self._first_sequence = batch.first_sequence
        # Plain tuples and bytes: reading NumPy records field by field costs ten times as much.
        self._raw = batch.commands.tobytes()
        self._commands = list(COMMAND_STRUCT.iter_unpack(self._raw))
        # A command that causes no event has its (empty) result too: cancel-all with nothing to cancel.
        results = [
            Result(command[_KIND], command[_REQUEST], command[_ACCOUNT], command[_SYMBOL])
            if command[_REQUEST] and command[_KIND] != _DATA
            else None
            for command in self._commands
        ]
        changes.results = [result for result in results if result is not None]
        sequence, number = -1, self.next_event
        handlers = self._apply_event
        for event in EVENT_STRUCT.iter_unpack(batch.events.tobytes()):
            if event[0] != sequence:
                if self._entering:
                    self._enter_book()
                sequence = event[0]
                position = sequence - batch.first_sequence
                self._command, self._result = self._commands[position], results[position]
            apply = handlers.get(event[10])
            if apply is not None:
                self._number = number
                apply(event)
            number += 1
        self._enter_book()

    def _texts(self, sequence: int) -> dict[int, bytes]:
        """Return the texts of a command of this batch, by tag."""
        return decode_slots(self._raw, sequence - self._first_sequence)

    # ---- what is touched

    def _touch_order(self, order: Order) -> None:
        touched = self._changes.orders
        if id(order) not in touched:
            touched[id(order)] = (order, order.is_new)
            order.is_new = False
        result = self._result
        if result is not None and order.account == result.account and order not in result.orders:
            result.orders.append(order)

    def _show(self, market: Market, order: Order, sign: int) -> None:
        """Add or take away what an order displays."""
        px, is_sell = order.px, order.is_sell
        before = self._changes.levels.get(market.instrument.number)
        if before is None:
            before = self._touch_book(market)
        side = market.side(is_sell)
        before.setdefault((px, is_sell), side.levels.get(px, 0))
        if order.shown:
            side.add(px, sign * order.shown)

    def _touch_book(self, market: Market) -> dict[tuple[int, bool], int]:
        changes, number = self._changes, market.instrument.number
        changes.markets[number] = market
        changes.quotes[number] = market.best
        before = changes.levels[number] = {}
        return before

    def _position(self, account: int, market: Market) -> Position:
        of, touched = market.instrument, self._changes.positions
        position = self.accounts[account].position(of, market)
        if id(position) not in touched:
            touched[id(position)] = position
            self._touch_margin(account, of.settle_asset)
            if of.base_asset is not None:
                self._touch_margin(account, of.base_asset)
        return position

    def _touch_margin(self, account: int, asset: int) -> Margin:
        margin = self.accounts[account].margin(asset)
        self._changes.margins[id(margin)] = margin
        return margin

    def _count(self, market: Market, order: Order, sign: int) -> None:
        """Add or take away an order's open exposure."""
        self._position(order.account, market).count_order(order, sign)
        base = market.instrument.base_asset
        if base is not None and order.is_sell:
            self._touch_margin(order.account, base).base_locked += sign * order.leaves

    def _enter_book(self) -> None:
        """Orders that a command accepted or moved stand in the book from the end of its events."""
        for order in self._entering:
            if order.leaves > 0 and not order.in_book:
                self._enter(order)
        self._entering.clear()

    def _enter(self, order: Order) -> None:
        market = self.markets[order.instrument.number]
        order.in_book = True
        order.show_slice()
        self._show(market, order, +1)
        self._count(market, order, +1)

    def _leave_book(self, order: Order) -> None:
        if order.in_book:
            market = self.markets[order.instrument.number]
            order.in_book = False
            self._show(market, order, -1)
            self._count(market, order, -1)

    # ---- orders

    def _accepted(self, event: tuple[Any, ...]) -> None:
        sequence, handle, _, qty, offset, stop_px, px, account, _, symbol, _, flags = event
        command = self._command
        if command[_KIND] != _PLACE:
            order = self._placed_by_engine(event)
        else:
            texts = self._texts(sequence)
            clordid, text = texts.get(CLORDID), texts.get(TEXT)
            condition = None
            if command[_HANDLE] or command[_TYPE] > _MARKET_ORDER:
                link = texts.get(CLORDLINKID)
                condition = condition_of(
                    command[_HANDLE], stop_px=stop_px, peg_offset=offset, link=link.decode() if link else None,
                    is_untriggered=bool(flags & _UNTRIGGERED),
                )  # fmt: skip
            order = Order(
                instrument=self.markets[symbol].instrument, sequence=sequence, handle=handle, account=account,
                flags=command[_FLAGS], ordtype=command[_TYPE], px=px, qty=qty,
                display=command[_DISPLAY], clordid=clordid.decode() if clordid else None,
                text=text.decode() if text else DEFAULT_TEXT, timestamp_ns=self.timestamp_ns,
                number=self._number, condition=condition,
            )  # fmt: skip
        self.orders[handle] = order
        held = self.accounts[account]
        held.orders[handle] = order
        if order.clordid is not None:
            held.by_clordid[order.clordid] = order
        if not flags & _UNTRIGGERED:
            self._entering.append(order)
        self._touch_order(order)
        self._report(order, "New")

    def _placed_by_engine(self, event: tuple[Any, ...]) -> Order:
        """Return an order that no client asked for: of a liquidation. The command's fields are not its own."""
        sequence, handle, _, qty, _, _, px, account, _, symbol, _, flags = event
        return Order(
            instrument=self.markets[symbol].instrument, sequence=sequence, handle=handle, account=account,
            flags=flags & _SELL, ordtype=int(OrderType.LIMIT), px=px, qty=qty, display=DISPLAY_ALL, clordid=None,
            text=LIQUIDATION_TEXT, timestamp_ns=self.timestamp_ns, number=self._number,
        )  # fmt: skip

    def _triggered(self, event: tuple[Any, ...]) -> None:
        """An order that waited is an ordinary one from now on; what it does follows.

        Its quantity may have been cut to the position; 0 = there is nothing to reduce, and it is cancelled.
        """
        _, handle, _, qty, at_subticks, _, _, _, _, _, _, _ = event
        order = self.orders[handle]
        assert order.condition is not None
        of = order.instrument
        if qty:
            order.qty = order.leaves = qty
        if at_subticks:
            order.condition = order.condition._replace(is_untriggered=False, triggered=TRIGGERED)
            order.add_text(f"Triggered: Order triggered at {of.mark_price(at_subticks)}")
        else:
            order.condition = order.condition._replace(is_untriggered=False)
            order.add_text("Triggered: Primary order was filled")
        self._entering.append(order)
        order.transact_ns = self.timestamp_ns
        self._touch_order(order)
        self._report(order, "TriggeredOrActivatedBySystem")

    def _report(self, order: Order, kind: str, **fill: Any) -> None:
        """Stamp an order, and make the report of what happened to it if its account has listeners."""
        order.timestamp_ns = self.timestamp_ns
        if self._reports_for is None or order.account in self._reports_for:
            self._changes.executions.append(Execution(order, number=self._number, kind=kind, **fill))

    def _forget(self, order: Order) -> None:
        del self.orders[order.handle]
        held = self.accounts[order.account]
        del held.orders[order.handle]
        if order.clordid is not None:
            held.by_clordid.pop(order.clordid, None)

    def _canceled(self, event: tuple[Any, ...]) -> None:
        order = self.orders[event[1]]
        self._leave_book(order)
        order.leaves = 0
        order.status = "Canceled"
        reason = event[11]
        order.add_text(CANCEL_TEXTS[reason])
        if reason == _REQUESTED:
            given = self._texts(event[0]).get(TEXT)
            if given:
                order.add_text(given.decode())
        order.transact_ns = self.timestamp_ns
        self._touch_order(order)
        self._report(order, "Canceled")
        self._forget(order)

    def _amended(self, event: tuple[Any, ...]) -> None:
        _, handle, clid, leaves, offset, stop_px, px, _, _, _, _, flags = event
        order = self.orders[handle]
        market = self.markets[order.instrument.number]
        if flags & _UNTRIGGERED:
            assert order.condition is not None
            order.leaves = leaves
            order.condition = order.condition._replace(stop_px=stop_px, peg_offset=offset)
        elif not order.in_book:
            # Amended upwards a moment ago by the same command, and now cut to the position.
            order.leaves = leaves
        elif flags & _KEPT_PRIORITY:
            self._show(market, order, -1)
            self._count(market, order, -1)
            order.leaves = leaves
            order.shown = order.leaves if order.display < 0 else min(order.shown, leaves)
            self._show(market, order, +1)
            self._count(market, order, +1)
        else:
            self._leave_book(order)
            order.leaves = leaves
            self._entering.append(order)
        if px != order.px:
            order.px = px
            order.lot_value = order_value(order.instrument, px, order.instrument.lot_size)
        order.qty = order.cum_qty + leaves
        items = self._texts(event[0])
        if clid and CLORDID in items:
            self._rename(order, items[CLORDID].decode())
        by_engine = flags & _BY_ENGINE
        line = "Amended: Amended via API."
        if by_engine:
            line = "Amended: Order had execInst of ReduceOnly"
            if flags & _UNTRIGGERED:
                line = "Amended: Order had pegPriceType of TrailingStopPeg"
        if not by_engine and TEXT in items:
            line = items[TEXT].decode()
        if by_engine and order.account == self.fund_account:
            line = LIQUIDATION_TEXT
        order.add_text(line)
        order.transact_ns = self.timestamp_ns
        self._touch_order(order)
        self._report(order, "Replaced")

    def _rename(self, order: Order, clordid: str) -> None:
        held = self.accounts[order.account].by_clordid
        if order.clordid is not None:
            held.pop(order.clordid, None)
        order.clordid = clordid
        held[clordid] = order

    def _rejected(self, event: tuple[Any, ...]) -> None:
        if self._result is not None:
            self._result.refusal = Refusal(Reject(event[4]), event[5])
        # A duplicate says that the order before it was taken: what became of that one is the answer.
        if self._command[_KIND] == _PLACE and event[4] != _DUPLICATE:
            clordid = self._texts(event[0]).get(CLORDID)
            if clordid:
                self._changes.refused.append(
                    RefusedOrder(
                        self._number,
                        event[0],
                        event[7],
                        event[9],
                        clordid.decode(),
                        Reject(event[4]),
                        event[5],
                    )
                )

    # ---- fills

    def _traded(self, event: tuple[Any, ...]) -> None:
        _, handle, maker_handle, qty, fee, maker_fee, px, _, _, symbol, _, flags = event
        market = self.markets[symbol]
        of = market.instrument
        is_sell = bool(flags & _SELL)
        was_hidden = bool(flags & _HIDDEN)
        value = order_value(of, px, qty)
        taker, maker = self.orders[handle], self.orders[maker_handle]
        self._changes.markets[symbol] = market
        if not maker.in_book:
            # Triggered and at rest, and now another that the same command triggered takes it.
            self._enter(maker)
        self._show(market, maker, -1)
        self._count(market, maker, -1)
        maker.fill(qty, px, was_hidden=was_hidden)
        taker.fill(qty, px, was_hidden=True)
        if maker.is_open:
            self._show(market, maker, +1)
            self._count(market, maker, +1)
        else:
            maker.in_book = False
        for order, selling, paid, is_maker in (
            (taker, is_sell, fee, False),
            (maker, not is_sell, maker_fee, True),
        ):
            order.transact_ns = self.timestamp_ns
            self._touch_order(order)
            signed = -value if selling else value
            ppm = of.maker_fee_ppm if is_maker and not was_hidden else of.taker_fee_ppm
            ppm = self._fee_ppm(order.account, ppm)
            assert paid == fee_of(value, ppm), "the fee differs from its twin"
            self._report(
                order, "Trade", is_maker=is_maker, qty=qty, px=px, fee=paid, commission_ppm=ppm,
                cost=-signed if of.is_inverse else signed,
            )  # fmt: skip
            self._take_fill(order.account, market, -qty if selling else qty, signed, paid)
            if not order.is_open:
                self._forget(order)
        self._changes.trades.append(
            market.trade(number=self._number, timestamp_ns=self.timestamp_ns, is_sell=is_sell, qty=qty, px=px)
        )

    def _take_fill(self, account: int, market: Market, qty: int, value: int, paid: int) -> None:
        of = market.instrument
        margin = self.accounts[account].margin(of.settle_asset)
        margin.wallet -= paid
        margin.fees += paid
        number, purse = self._number, self._purse(account)
        lines = self._changes.lines
        lines += entry(number, "Fee", of.settle_asset, paid, to=FEES, source=purse)
        self._note_realised(account, of, -paid)
        if of.base_asset is not None:
            self._position(account, market)
            base = self.accounts[account].margin(of.base_asset)
            base.wallet += qty
            margin.wallet -= value
            source = clearing(of.symbol)
            lines += entry(number, "SpotTrade", of.base_asset, qty, to=purse, source=source)
            lines += entry(number, "SpotTrade", of.settle_asset, -value, to=purse, source=source)
            return
        position = self._move_position(account, market, qty, value)
        position.fees += paid
        position.realise(-paid)

    def _realised(self, event: tuple[Any, ...]) -> None:
        account, symbol, amount = event[7], event[9], event[4]
        market = self.markets[symbol]
        of = market.instrument
        position = self._position(account, market)
        position.realise(amount)
        self.accounts[account].margin(of.settle_asset).wallet += amount
        self._note_realised(account, of, amount)
        self._changes.lines += entry(
            self._number,
            "RealisedPNL",
            of.settle_asset,
            amount,
            to=self._purse(account),
            source=clearing(of.symbol),
        )

    def _note_realised(self, account: int, of: Instrument, amount: int) -> None:
        key = (account, of.settle_asset, of.number)
        self._session_realised[key] = self._session_realised.get(key, 0) + amount
        self.accounts[account].margin(of.settle_asset).realised += amount

    # ---- accounts

    def _account_opened(self, event: tuple[Any, ...]) -> None:
        account = Account(event[7], self.timestamp_ns, parent=event[8])
        items = self._texts(event[0])
        if ACCOUNT_NAME in items:
            account.name = items[ACCOUNT_NAME].decode()
        self.accounts[account.number] = account

    def _position_set(self, event: tuple[Any, ...]) -> None:
        position = self._position(event[7], self.markets[event[9]])
        position.leverage, position.risk_limit, position.transferred = event[3], event[4], event[5]

    def _deposited(self, event: tuple[Any, ...]) -> None:
        self._move(event, "Deposit", event[4])

    def _withdrawn(self, event: tuple[Any, ...]) -> None:
        self._move(event, "Withdrawal", -event[4])

    def _move(self, event: tuple[Any, ...], kind: str, amount: int) -> None:
        """Take coins in or let them go; demo coins have a counterpart of their own in the ledger."""
        account, asset, is_demo = event[7], event[9], bool(event[11] & _DEMO)
        margin = self._touch_margin(account, asset)
        margin.wallet += amount
        if amount > 0:
            margin.deposited += amount
        else:
            margin.withdrawn -= amount
        if account == self.coins.custody_account and account:
            self._closed(event, has_left=True)
        counterpart = "demo" if is_demo else "outside"
        self._changes.lines += entry(
            self._number, kind, asset, amount, to=self._purse(account), source=counterpart
        )
        text = "Demo coins: no chain moved." if is_demo else kind
        credit = self._funds_text(event[0], Credit)
        transaction = Transaction(
            self._number, account, asset, kind, amount, self.timestamp_ns, margin.wallet, text, None,
            tx=credit.txid if credit else None,
        )  # fmt: skip
        self._changes.transactions.append(transaction)
        if self._result is not None:
            self._result.transaction = transaction

    def _transferred(self, event: tuple[Any, ...]) -> None:
        """Coins move within one family of accounts: a line of wallet history on both sides."""
        amount, account, other, asset = event[4], event[7], event[8], event[9]
        paying, paid = self._touch_margin(account, asset), self._touch_margin(other, asset)
        paying.wallet -= amount
        paying.transferred_out += amount
        paid.wallet += amount
        paid.transferred_in += amount
        self._changes.lines += entry(
            self._number, "Transfer", asset, amount, to=self._purse(other), source=self._purse(account)
        )
        if self.coins.custody_account in (account, other) and self.coins.custody_account:
            self._withdrawal(event, paying, paid)
            return
        sides = [
            Transaction(
                self._number, margin.account, asset, "Transfer", signed, self.timestamp_ns, margin.wallet, text,
                str(counterpart), line,
            )
            for margin, signed, text, counterpart, line in (
                (paying, -amount, f"Transfer to account {other}", other, 0),
                (paid, amount, f"Transfer from account {account}", account, RECEIVING_LINE),
            )
        ]  # fmt: skip
        self._changes.transactions += sides
        if self._result is not None:
            self._result.transaction = sides[0]

    def _withdrawal(self, event: tuple[Any, ...], paying: Margin, paid: Margin) -> None:
        """Coins are put aside for a withdrawal, or come back from one: a line of wallet history for their owner."""
        amount, account, other, asset = event[4], event[7], event[8], event[9]
        if other == self.coins.custody_account:
            wish = self._funds_text(event[0], Wish)
            view = self.coins.asked(event[0], account, asset, amount, wish, self.timestamp_ns)
            line = Transaction(
                self._number, account, asset, "Withdrawal", -amount, self.timestamp_ns, paying.wallet, view.text,
                view.address, status="Pending", withdrawal=view.number,
            )  # fmt: skip
        else:
            self._closed(event, has_left=False)
            closed = self._funds_text(event[0], Closed)
            text = closed.because if closed and closed.because else "Network fee that was not used"
            line = Transaction(
                self._number, other, asset, "Withdrawal", amount, self.timestamp_ns, paid.wallet, text, None,
                tx=closed.txid or None if closed else None,
            )  # fmt: skip
        self._changes.transactions.append(line)
        if self._result is not None:
            self._result.transaction = line

    def _closed(self, event: tuple[Any, ...], *, has_left: bool) -> None:
        closed = self._funds_text(event[0], Closed)
        if closed is not None:
            self.coins.closed(
                closed.withdrawal, event[4], self.timestamp_ns, tx=closed.txid, because=closed.because,
                has_left=has_left,
            )  # fmt: skip

    def _funds_text(self, sequence: int, kind: type[Text]) -> Text | None:
        raw = self._texts(sequence).get(FUNDS)
        try:
            return decode_funds(raw, kind) if raw is not None else None
        except FundsError:
            return None

    def _timer_set(self, event: tuple[Any, ...]) -> None:
        self.accounts[event[7]].cancel_all_at_ns = event[4]
        if self._result is not None:
            self._result.value = event[4]

    def _timer_fired(self, event: tuple[Any, ...]) -> None:
        self.accounts[event[7]].cancel_all_at_ns = 0

    # ---- instruments and time

    def _listed(self, event: tuple[Any, ...]) -> None:
        items = self._texts(event[0])
        instrument = decode(items[SPECIFICATION])
        assert instrument.number == event[9], "the specification is of another instrument"
        market = Market(instrument)
        self.markets[instrument.number] = self.symbols[instrument.symbol] = market
        self._changes.markets[instrument.number] = market

    def _instrument_set(self, event: tuple[Any, ...]) -> None:
        field = _PARAMETER_FIELDS.get(InstrumentParameter(event[6]))
        market = self.markets[event[9]]
        self._changes.markets[event[9]] = market
        if event[6] == _FUNDING_INTERVAL:
            market.set_funding_interval(event[3], self.timestamp_ns)
        if field is None or getattr(market.instrument, field) == event[3]:
            return
        market.instrument = msgspec.structs.replace(market.instrument, **{field: event[3]})
        for account in self.accounts.values():
            if event[9] in account.positions:
                account.positions[event[9]].instrument = market.instrument
        for order in self.orders.values():
            if order.instrument.number == event[9]:
                order.instrument = market.instrument

    def _state_set(self, event: tuple[Any, ...]) -> None:
        market = self.markets[event[9]]
        market.state = InstrumentState(event[3])
        self._changes.markets[event[9]] = market

    def _halt_set(self, event: tuple[Any, ...]) -> None:
        texts = self._texts(event[0])
        scope, target = HaltScope(event[6]), event[9]
        halted = self._command[_KIND] == _HALT
        reason = decode_reason(texts.get(HALT_REASON, b"")) if halted else None
        # A TICK that lets trading go on has none; those of a RESUME were checked before it was journaled.
        signatures = tuple(decode_signatures(texts[SIGNATURES])) if SIGNATURES in texts else ()
        view = HaltView(
            number=self._number, timestamp_ns=self.timestamp_ns, halt=event[1], scope=scope, target=target,
            symbol=self.markets[target].instrument.symbol if scope == HaltScope.CONTRACT else None,
            state=TradingState(event[3]), before=TradingState(event[4]), reopens_ns=event[5], reason=reason,
            signatures=signatures,
        )  # fmt: skip
        self.halts.take(view)
        self._changes.halts.append(view)

    def _marked(self, event: tuple[Any, ...]) -> None:
        market = self.markets[event[9]]
        market.mark_subticks, market.basis_subticks = event[3], event[4]
        self._changes.markets[event[9]] = market

    def _indexed(self, event: tuple[Any, ...]) -> None:
        """A price of an index: a trade of size 0, and what the contracts that follow it settle at now."""
        number, units = event[9], event[4]
        market = self.markets[number]
        self._changes.markets[number] = market
        trade = market.take_index(
            number=self._number, timestamp_ns=self.timestamp_ns, units=units, status=event[11],
            constituents=self._texts(event[0]).get(CONSTITUENTS, b""),
        )  # fmt: skip
        if trade is not None:
            self._changes.trades.append(trade)
        for follower in self.markets.values():
            if follower.instrument.index_number == number:
                follower.index_units = units
                self._changes.markets[follower.instrument.number] = follower

    def _impact_set(self, event: tuple[Any, ...]) -> None:
        market = self.markets[event[9]]
        market.impact = Impact(bid=event[4], ask=event[5], is_liquid=bool(event[3]))
        self._changes.markets[event[9]] = market

    def _xbt_cents(self) -> int:
        """Return what a bitcoin is worth in US cents by the first contract whose mark says it, 0 = unknown."""
        for market in self.markets.values():
            of = market.instrument
            if of.is_inverse and of.quote_currency == "USD" and market.mark_subticks:
                return round(of.mark_price(market.mark_subticks) * 100)
        return 0

    def _close_bins(self, changes: Changes) -> None:
        for market in self.markets.values():
            for size, done in market.close_bins(self.timestamp_ns):
                changes.bins.append((market, size, done))

    def _end_session(self, changes: Changes) -> None:
        """At noon UTC what was realised since the last noon becomes a line of wallet history."""
        if self.timestamp_ns < self._session_ends_ns:
            return
        ended, self._session_ends_ns = (
            self._session_ends_ns, floor_to(self.timestamp_ns + _HALF_DAY, NS_PER_DAY) + _HALF_DAY,
        )  # fmt: skip
        if not ended:
            return
        changes.funds += [fund._replace(timestamp_ns=ended) for fund in self.funds()]
        totals: dict[tuple[int, int], int] = {}
        for (account, asset, _), amount in self._session_realised.items():
            totals[account, asset] = totals.get((account, asset), 0) + amount
        for index, ((account, asset, symbol), amount) in enumerate(sorted(self._session_realised.items()), 1):
            margin = self.accounts[account].margin(asset)
            changes.margins[id(margin)] = margin
            margin.realised = 0
            totals[account, asset] -= amount
            symbol_text = self.markets[symbol].instrument.symbol
            wallet = margin.wallet - totals[account, asset]
            changes.transactions.append(
                Transaction(
                    self.next_event,
                    account,
                    asset,
                    "RealisedPNL",
                    amount,
                    ended,
                    wallet,
                    "",
                    symbol_text,
                    index,
                )
            )
        self._session_realised.clear()


_REQUEST, _ACCOUNT, _SYMBOL, _KIND, _TYPE, _FLAGS, _DISPLAY, _HANDLE = (
    COMMAND_NAMES.index(name)
    for name in ("request", "account", "symbol", "kind", "type", "flags", "display", "handle")
)
_DUPLICATE = int(Reject.DUPLICATE_CLORDID)

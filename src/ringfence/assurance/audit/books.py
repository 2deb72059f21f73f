"""The auditor's own books: what the events of the feed come to, kept by the auditor's own arithmetic.

A fold of durable batches and nothing else: what was said, in order. Laws look on while it goes: at each event
before it is entered, and at the end of each command (`Court`). Positions and wallets are columns of 64-bit
integers, so that all accounts can be held against the engine's own tables in one pass; Python raises
OverflowError where a number would not fit, nothing wraps.
"""

import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ringfence.assurance.audit.arithmetic import (
    basis_e8,
    close,
    lot_value,
    lot_value_at_mark,
    nearest,
    premium_e8,
    profit,
    toward_zero,
    value_at_mark,
)
from ringfence.assurance.audit.contract import PARAMETERS, Contract, Side
from ringfence.assurance.audit.finding import Finding
from ringfence.messages.batch import Batch
from ringfence.messages.commands import (
    ALL_ASSETS,
    AccountParameter,
    Command,
    HaltScope,
    IndexStatus,
    InstrumentParameter,
    InstrumentState,
    MissedFunding,
    OrderFlag,
    TradingState,
    VenueParameter,
    read_instructions,
)
from ringfence.messages.events import Event, EventFlag, LiquidationStep
from ringfence.messages.records import COMMAND, DISPLAY_ALL, EVENT
from ringfence.messages.rules import check_known
from ringfence.units.assets import ASSETS
from ringfence.units.limits import ASSETS_MAX

SELL, UNTRIGGERED, HIDDEN = int(EventFlag.SELL), int(EventFlag.UNTRIGGERED), int(EventFlag.HIDDEN)
KEPT_PRIORITY, DEMO = int(EventFlag.KEPT_PRIORITY), int(EventFlag.DEMO)
FEE_EXEMPT = 7
_PLACE, _LIVE = int(Command.PLACE), int(IndexStatus.LIVE)
_ONE_MINUTE_NS = 60 * 10**9


class Said(NamedTuple):
    """One event, by the names of its fields."""

    sequence: int
    handle: int
    maker_handle: int
    qty: int
    amount: int
    maker_amount: int
    px: int
    account: int
    maker_account: int
    symbol: int
    kind: int
    flags: int


class Asked(NamedTuple):
    """One command, by the names of its fields."""

    handle: int
    qty: int
    clid: int
    orig_clid: int
    request: int
    px: int
    stop_px: int
    account: int
    display: int
    symbol: int
    kind: int
    type: int
    flags: int
    origin: int


_EVENT, _COMMAND = struct.Struct("<QQQqqqiIIHBB"), struct.Struct("<QqQQQiiIIHBBHH")
assert Said._fields == EVENT.names
assert Asked._fields == COMMAND.names
_NOBODY = Asked(*(0,) * len(Asked._fields))


class Order:
    """An order that is open, or that a command is dealing with at this moment."""

    __slots__ = (
        "account", "clid", "display", "filled", "flags", "handle", "in_book", "is_sell", "leaves", "lot_value",
        "number", "peg_offset", "px", "qty", "shown", "slot", "source", "stop_px", "symbol", "type",
        "untriggered",
    )  # fmt: skip

    def __init__(self, event: Said, asked: Asked, *, slot: int, number: int) -> None:
        """`asked` is the PLACE that it came with, or the empty one: an order of the engine's own."""
        self.handle, self.account, self.symbol = event.handle, event.account, event.symbol
        self.is_sell, self.px, self.leaves = bool(event.flags & SELL), event.px, event.qty
        self.qty, self.filled = event.qty, 0
        self.slot, self.number = slot, number
        self.display = -1 if asked.display == DISPLAY_ALL or asked.kind == 0 else asked.display
        self.flags, self.type, self.clid = asked.flags, asked.type, asked.clid
        self.source = read_instructions(asked.handle)[0]
        self.untriggered = bool(event.flags & UNTRIGGERED)
        self.stop_px, self.peg_offset = event.maker_amount, event.amount
        self.in_book = False
        self.shown = self.lot_value = 0

    def slice(self) -> int:
        return self.leaves if self.display < 0 else min(self.display, self.leaves)

    @property
    def hidden(self) -> bool:
        return self.display == 0

    @property
    def reduces(self) -> bool:
        return bool(self.flags & (OrderFlag.REDUCE_ONLY | OrderFlag.CLOSE))


class Owed(NamedTuple):
    """A profit that the next REALISED has to state, by the books."""

    account: int
    symbol: int
    closed: int
    profit: int


class Account:
    """What was set for an account; its coins and positions are in the columns."""

    __slots__ = ("disabled", "fee_tier", "is_classic", "parent", "slots")

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.fee_tier, self.disabled, self.is_classic = 0, False, False
        self.slots: list[int] = []
        """Its rows in the columns of positions."""


Look = Callable[["Books", Said], Iterable[Finding]]
End = Callable[["Books"], Iterable[Finding]]


class Court(NamedTuple):
    """Who looks on while a batch is entered."""

    at: Mapping[int, Sequence[Look]] = {}
    """By kind of event: before it is entered."""
    ends: Sequence[End] = ()
    """After the last event of each command."""


NOBODY_LOOKS = Court()


class BooksError(Exception):
    """An event says something that cannot be: the books do not fit it, and say no more from here on."""

    def __init__(self, what: str, findings: list[Finding]) -> None:
        self.findings = findings
        """What the court had found before."""
        super().__init__(what)


class Books:
    """Everything that the feed has said so far, entered up to `next_sequence`."""

    def __init__(self) -> None:
        self.next_sequence = self.next_event = self.timestamp_ns = 0
        self.contracts: dict[int, Contract] = {}
        self.accounts: list[Account] = [Account(0)]
        """By number; 0 is nobody."""
        self.wallets = [array("q", [0]) for _ in range(ASSETS_MAX)]
        """By asset, then by account."""
        self.base_locked = [array("q", [0]) for _ in range(ASSETS_MAX)]
        """Coins that open spot sells may spend."""
        self.deposited, self.withdrawn = [0] * ASSETS_MAX, [0] * ASSETS_MAX
        self.backed = [0] * ASSETS_MAX
        """Coins of `deposited` less `withdrawn` that are no demo coins: chains have to hold them."""
        self.residue = [0] * ASSETS_MAX
        """Coins that the events of this moment have made (or, negative, lost): 0 between commands."""
        self.custody = self.instruction_next = 0
        """The account that holds the coins of withdrawals under way, and the number of custody's next instruction."""
        self.fund = 0
        self.fund_paid = [0] * ASSETS_MAX
        """What the insurance account's listed gains and losses come to."""
        self.discounts = [0] * 8
        self.timers: dict[int, int] = {}
        """Account: when all of its orders are cancelled."""
        self.halted, self.halt_sequence, self.skip_funding = int(TradingState.RUNNING), 0, 0
        self.halted_assets: dict[int, set[int]] = {HaltScope.DEPOSITS: set(), HaltScope.WITHDRAWALS: set()}
        self.signers_halted = 0
        self.epoch = 1
        """Moves with every mark price."""
        self.orders: dict[int, Order] = {}
        # One row a position: an account in an instrument, once it had an order or a setting there.
        self.slot_of: dict[int, int] = {}
        """account << 6 | symbol: its row in the columns."""
        self.account_of, self.symbol_of = array("q", [0]), array("q", [0])
        self.qty, self.cost = array("q", [0]), array("q", [0])
        self.buys, self.sells = array("q", [0]), array("q", [0])
        self.leverage, self.tier = array("q", [0]), array("q", [0])
        self.transferred, self.n_orders = array("q", [0]), array("q", [0])
        # Of the command that is being entered.
        self.asked, self.sequence, self.number = _NOBODY, -1, 0
        self.owed: deque[Owed] = deque()
        self.entering: list[Order] = []
        self.touched: set[int] = set()
        """Contracts in which this command moved a position or paid a profit."""
        self.fund_moved = False
        self._settles: deque[int] = deque()
        """Sequences of this batch's SETTLE commands that were not come to yet."""
        self._commands: list[Asked] = []
        self._first_sequence = 0
        self._raw = b""
        self._enter = self._entries()

    # ---- a batch

    def _entries(self) -> dict[int, Callable[[Said], None]]:
        """Return how each kind of event is entered."""
        return {int(kind): getattr(self, "_" + kind.name.lower()) for kind in Event}

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the methods: books can be kept in a file."""
        return {name: value for name, value in vars(self).items() if name != "_enter"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._enter = self._entries()

    def fold(self, batch: Batch, court: Court = NOBODY_LOOKS) -> list[Finding]:
        """Enter a batch, with the court looking on. Raises BooksError if it does not fit."""
        found: list[Finding] = []
        self.timestamp_ns = batch.timestamp_ns
        self._raw = batch.commands.tobytes()
        self._commands = list(map(Asked._make, _COMMAND.iter_unpack(self._raw)))
        self._first_sequence = batch.first_sequence
        settles = np.flatnonzero(batch.commands["kind"] == Command.SETTLE)
        self._settles.extend(batch.first_sequence + place for place in settles.tolist())
        self.sequence = -1
        self.number = batch.first_event
        looks, ends = court.at, court.ends
        nobody: Sequence[Look] = ()
        try:
            for event in map(Said._make, _EVENT.iter_unpack(batch.events.tobytes())):
                if event.sequence != self.sequence:
                    if self.sequence >= 0:
                        self._end_command(ends, found)
                    self.sequence = event.sequence
                    if self._settles:
                        self._expire(event)
                    self.asked = self._commands[event.sequence - batch.first_sequence]
                for look in looks.get(event.kind, nobody):
                    found += look(self, event)
                self._enter[event.kind](event)
                self.number += 1
            self._end_command(ends, found)
            if self._settles:
                self._expire(None)
        except (KeyError, IndexError, OverflowError, ZeroDivisionError, ValueError) as error:
            raise BooksError(f"event {self.number} does not fit the books: {error!r}", found) from error
        self.next_sequence = batch.next_sequence
        self.next_event = batch.first_event + len(batch.events)
        return found

    def _end_command(self, ends: Sequence[End], found: list[Finding]) -> None:
        self._come_to_rest(None)
        for end in ends:
            found += end(self)
        self.owed.clear()
        self.touched.clear()
        self.fund_moved = False

    def _expire(self, event: Said | None) -> None:
        """A SETTLE ends its contract's time, even where the settlement itself has to wait for the fund."""
        while self._settles and (event is None or self._settles[0] <= event.sequence):
            sequence = self._settles.popleft()
            if event is not None and sequence == event.sequence and event.kind == Event.REJECTED:
                continue
            of = self.contracts[self._commands[sequence - self._first_sequence].symbol]
            of.expiry_ns, of.settle_count = self.timestamp_ns, 0

    @property
    def data(self) -> bytes:
        """The commands of this batch as bytes, for the text that follows them."""
        return self._raw

    @property
    def place(self) -> int:
        """Where in the batch the command stands."""
        return self.sequence - self._first_sequence

    # ---- rows

    def slot(self, account: int, symbol: int) -> int:
        """Return the row of a position, a new one if there is none yet."""
        key = account << 6 | symbol
        found = self.slot_of.get(key)
        if found is None:
            if account >= len(self.accounts) or not account or symbol not in self.contracts:
                raise KeyError(f"account {account}, instrument {symbol}")
            found = self.slot_of[key] = len(self.qty)
            self.accounts[account].slots.append(found)
            for column, first in (
                (self.account_of, account), (self.symbol_of, symbol), (self.qty, 0), (self.cost, 0),
                (self.buys, 0), (self.sells, 0), (self.leverage, 0), (self.tier, 0), (self.transferred, 0),
                (self.n_orders, 0),
            ):  # fmt: skip
                column.append(first)
        return found

    def pay(self, asset: int, account: int, amount: int) -> None:
        """Move a wallet. What it gains has to come from somewhere: the residue says if it did not."""
        self.wallets[asset][account] += amount
        self.residue[asset] += amount
        if account == self.fund:
            self.fund_moved = True

    def held(self, account: int, asset: int) -> list[int]:
        """Return the rows of an account's positions that are settled in an asset."""
        contracts, symbols = self.contracts, self.symbol_of
        return [slot for slot in self.accounts[account].slots if contracts[symbols[slot]].settle == asset]

    def fund_position(self, symbol: int) -> int:
        """Return the row of the insurance account's position, 0 if it never had one."""
        return self.slot_of.get(self.fund << 6 | symbol, 0)

    def side(self, of: Contract, is_sell: bool) -> Side:
        return of.asks if is_sell else of.bids

    # ---- orders and the book

    def _accepted(self, event: Said) -> None:
        asked = self.asked if self.asked.kind == _PLACE and self.asked.account == event.account else _NOBODY
        slot = self.slot(event.account, event.symbol)
        order = Order(event, asked, slot=slot, number=self.number)
        self.orders[event.handle] = order
        self.n_orders[slot] += 1
        if not order.untriggered:
            self._come_to_rest(None)
            self.entering.append(order)

    def _triggered(self, event: Said) -> None:
        order = self.orders[event.handle]
        if event.qty:
            order.leaves = order.qty = event.qty
        order.untriggered = False
        self._come_to_rest(None)
        self.entering.append(order)

    def _come_to_rest(self, but: Order | None) -> None:
        """Orders that this command brought stand in the book once the engine has turned to the next."""
        if self.entering:
            for order in self.entering:
                if (
                    order is not but
                    and order.leaves > 0
                    and not order.in_book
                    and order.handle in self.orders
                ):
                    self._stand(order)
            self.entering = [] if but is None else [but]

    def _stand(self, order: Order) -> None:
        of = self.contracts[order.symbol]
        order.lot_value = lot_value(of, order.px)
        order.in_book = True
        order.shown = order.slice()
        self.side(of, order.is_sell).add(order.px, order.handle, is_hidden=order.hidden)
        self._reserve(of, order, order.leaves)

    def _leave(self, order: Order) -> None:
        if order.in_book:
            of = self.contracts[order.symbol]
            order.in_book = False
            self.side(of, order.is_sell).remove(order.px, order.handle, is_hidden=order.hidden)
            self._reserve(of, order, -order.leaves)

    def _reserve(self, of: Contract, order: Order, qty: int) -> None:
        """Count (or, negative, no longer count) so much of an order as open exposure."""
        if of.is_spot and order.is_sell:
            self.sells[order.slot] += qty
            self.base_locked[of.base][order.account] += qty
            return
        column = self.sells if order.is_sell else self.buys
        column[order.slot] += qty // of.lot_size * order.lot_value

    def _forget(self, order: Order) -> None:
        del self.orders[order.handle]
        self.n_orders[order.slot] -= 1

    def _canceled(self, event: Said) -> None:
        order = self.orders[event.handle]
        self._leave(order)
        self._forget(order)

    def _amended(self, event: Said) -> None:
        order = self.orders[event.handle]
        of = self.contracts[order.symbol]
        if order.untriggered:
            order.leaves, order.px, order.stop_px = event.qty, event.px, event.maker_amount
            order.peg_offset = event.amount
        elif not order.in_book:
            order.leaves, order.px = event.qty, event.px
        elif event.flags & KEPT_PRIORITY:
            self._reserve(of, order, event.qty - order.leaves)
            order.leaves = event.qty
            order.shown = order.leaves if order.display < 0 else min(order.shown, order.leaves)
        else:
            self._leave(order)
            order.leaves, order.px = event.qty, event.px
            self._come_to_rest(None)
            self.entering.append(order)
        order.qty = order.filled + order.leaves
        if event.maker_handle:
            order.clid = event.maker_handle

    def _rejected(self, event: Said) -> None:
        pass

    # ---- fills

    def _trade(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        maker, taker = self.orders[event.maker_handle], self.orders[event.handle]
        if not maker.in_book:
            # Brought by this very command, and now another that it brought takes it.
            self._come_to_rest(taker)
        qty, value = event.qty, event.qty // of.lot_size * lot_value(of, event.px)
        sign = -1 if event.flags & SELL else 1
        self.pay(of.settle, event.account, -event.amount)
        self.pay(of.settle, event.maker_account, -event.maker_amount)
        of.fee_pool += event.amount + event.maker_amount
        self.residue[of.settle] += event.amount + event.maker_amount
        of.last = event.px
        of.volume += qty
        if of.is_spot:
            self._exchange(of, event.account, sign * qty, sign * value)
            self._exchange(of, event.maker_account, -sign * qty, -sign * value)
        else:
            self._fill(of, self.slot(event.account, event.symbol), sign * qty, sign * value)
            self._fill(of, self.slot(event.maker_account, event.symbol), -sign * qty, -sign * value)
        self._take_from_book(of, maker, qty, was_hidden=bool(event.flags & HIDDEN))
        taker.leaves -= qty
        taker.filled += qty
        if not taker.leaves:
            self._forget(taker)

    def _take_from_book(self, of: Contract, maker: Order, qty: int, *, was_hidden: bool) -> None:
        if not maker.in_book:
            raise KeyError(f"order {maker.handle} is not in the book")
        maker.filled += qty
        if qty >= maker.leaves:
            self._leave(maker)
            self._forget(maker)
            maker.leaves -= qty
            return
        self._reserve(of, maker, -qty)
        maker.leaves -= qty
        if maker.display < 0:
            maker.shown = maker.leaves
        elif was_hidden:
            maker.shown = maker.slice()
        else:
            maker.shown -= qty
            if not maker.shown and not maker.hidden:
                # A used-up slice goes to the back of its queue.
                side = self.side(of, maker.is_sell)
                side.remove(maker.px, maker.handle, is_hidden=False)
                maker.shown = maker.slice()
                side.add(maker.px, maker.handle, is_hidden=False)

    def _exchange(self, of: Contract, account: int, qty: int, value: int) -> None:
        self.pay(of.base, account, qty)
        self.pay(of.settle, account, -value)

    def _fill(self, of: Contract, slot: int, qty: int, value: int) -> None:
        """Move a position by a signed fill; a profit that this realises is owed until it is stated."""
        held, cost = self.qty[slot], self.cost[slot]
        if held == 0 or (held > 0) == (qty > 0):
            new_cost = cost + value
        else:
            closed = min(abs(qty), abs(held))
            if abs(qty) <= abs(held):
                out = close(cost=cost, held=held, closed=closed)
                gain, new_cost = -value - out, cost - out
                left = self.transferred[slot] * (abs(held) - closed)
                self.transferred[slot] = toward_zero(left, abs(held))
            else:
                at_exit = toward_zero(value * abs(held), abs(qty))
                gain, new_cost = -at_exit - cost, value - at_exit
                self.transferred[slot] = 0
            made = -gain if of.is_inverse else gain
            self.owed.append(Owed(self.account_of[slot], of.number, closed, made))
        self.qty[slot], self.cost[slot] = held + qty, new_cost
        self.touched.add(of.number)
        of.net_qty += qty
        of.net_cost += new_cost - cost
        self.residue[of.settle] += (new_cost - cost) if of.is_inverse else (cost - new_cost)

    def _realised(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        if self.owed:
            self.owed.popleft()
        self.pay(of.settle, event.account, event.amount)
        of.cleared += event.amount
        self.touched.add(of.number)
        if event.account == self.fund:
            self.fund_paid[of.settle] += event.amount

    # ---- accounts

    def _account_opened(self, event: Said) -> None:
        if event.account != len(self.accounts):
            raise KeyError(f"account {event.account} is not the next")
        self.accounts.append(Account(event.maker_account))
        for columns in (self.wallets, self.base_locked):
            for column in columns:
                column.append(0)

    def _account_set(self, event: Said) -> None:
        account = self.accounts[event.account]
        if event.px == AccountParameter.FEE_TIER:
            account.fee_tier = event.qty
        elif event.px == AccountParameter.CROSS_MODE:
            account.is_classic = bool(event.qty)
        elif event.px == AccountParameter.TRADING_DISABLED:
            account.disabled = bool(event.qty)

    def _position_set(self, event: Said) -> None:
        of, slot = self.contracts[event.symbol], self.slot(event.account, event.symbol)
        self.leverage[slot] = event.qty
        # The engine takes a leverage for an index as well, where there are no risk limits.
        self.tier[slot] = (event.amount - of.risk_base) // of.risk_step if of.risk_step else 0
        self.transferred[slot] = event.maker_amount

    def _count_instruction(self, is_custodys: bool) -> None:
        if self.custody and is_custodys:
            self.instruction_next += 1

    def _deposited(self, event: Said) -> None:
        self._count_instruction(not event.flags & DEMO)
        self._flow(event, event.amount)
        self.deposited[event.symbol] += event.amount

    def _withdrawn(self, event: Said) -> None:
        self._count_instruction(event.account == self.custody)
        self._flow(event, -event.amount)
        self.withdrawn[event.symbol] += event.amount

    def _flow(self, event: Said, amount: int) -> None:
        self.wallets[event.symbol][event.account] += amount
        self.fund_moved = True
        if not event.flags & DEMO:
            self.backed[event.symbol] += amount
        if event.account == self.fund:
            self.fund_paid[event.symbol] += amount

    def _transferred(self, event: Said) -> None:
        self._count_instruction(event.account == self.custody)
        self.pay(event.symbol, event.account, -event.amount)
        self.pay(event.symbol, event.maker_account, event.amount)
        for account, amount in ((event.account, -event.amount), (event.maker_account, event.amount)):
            if account == self.fund:
                self.fund_paid[event.symbol] += amount

    def _covered(self, event: Said) -> None:
        self.pay(event.symbol, event.account, event.amount)
        self.pay(event.symbol, self.fund, -event.amount)
        self.fund_paid[event.symbol] -= event.amount

    def _timer_set(self, event: Said) -> None:
        if event.amount:
            self.timers[event.account] = event.amount
        else:
            self.timers.pop(event.account, None)

    def _timer_fired(self, event: Said) -> None:
        self.timers.pop(event.account, None)

    def _ticked(self, event: Said) -> None:
        pass

    # ---- instruments and the venue

    def _listed(self, event: Said) -> None:
        self.contracts[event.symbol] = Contract(event.symbol, event.px)

    def _instrument_set(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        setattr(of, PARAMETERS[InstrumentParameter(event.px)], event.qty)
        if event.px == InstrumentParameter.FUNDING_INTERVAL_NS:
            of.next_funding_ns = self.next_funding_ns(of)

    def next_funding_ns(self, of: Contract) -> int:
        """Return the first payment after now."""
        interval, now = of.funding_interval_ns, self.timestamp_ns
        return now - (now - of.funding_offset_ns) % interval + interval if interval else 0

    def _state_set(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        of.state = event.qty
        if self.asked.kind == Command.SET_STATE:
            of.listed = self.asked.qty
        elif event.qty == InstrumentState.SETTLED:
            of.listed = event.qty
            of.funding_interval_ns = of.next_funding_ns = 0

    def _halt_set(self, event: Said) -> None:
        """Something is halted, or goes on; funding that fell due meanwhile may be passed over."""
        self.halt_sequence = event.handle
        resumed = self.asked.kind == Command.RESUME
        if event.px == HaltScope.VENUE:
            self.halted = event.qty
            if resumed:
                self.skip_funding = self.asked.qty
        elif event.px == HaltScope.CONTRACT:
            of = self.contracts[event.symbol]
            of.halted = event.qty
            if resumed:
                of.skip_funding = self.asked.qty
        elif event.px == HaltScope.SIGNERS:
            self.signers_halted = event.qty
        else:
            assets = set(range(len(ASSETS))) if event.symbol == ALL_ASSETS else {event.symbol}
            halted = self.halted_assets[event.px]
            self.halted_assets[event.px] = halted | assets if event.qty else halted - assets
        if event.px <= HaltScope.CONTRACT and event.qty == TradingState.RUNNING:
            for of in self.contracts.values():
                if event.px == HaltScope.VENUE or of.number == event.symbol:
                    self._take_up(of)
            if event.px == HaltScope.VENUE:
                self.skip_funding = 0

    def _take_up(self, of: Contract) -> None:
        opens = of.listed == InstrumentState.OPEN and not self.halted and not of.halted
        if not opens or of.state == InstrumentState.OPEN:
            return
        if 0 < of.next_funding_ns <= self.timestamp_ns and MissedFunding.SKIP in (
            self.skip_funding,
            of.skip_funding,
        ):
            of.next_funding_ns = self.next_funding_ns(of)
        of.skip_funding = 0

    def is_halted(self, of: Contract) -> bool:
        """Return whether nothing may happen in a contract but what an account cancels."""
        return bool(self.halted or of.halted)

    def _venue_set(self, event: Said) -> None:
        if event.px == VenueParameter.INSURANCE_ACCOUNT:
            self.fund = event.qty
            self.accounts[self.fund].fee_tier = FEE_EXEMPT
            self.accounts[self.fund].disabled = True
            self.fund_paid = [wallet[self.fund] for wallet in self.wallets]
        elif event.px == VenueParameter.CUSTODY_ACCOUNT:
            self.custody, self.instruction_next = event.qty, 1
            self.accounts[self.custody].disabled = True
        elif event.px == VenueParameter.RULES:
            check_known(event.qty, sequence=event.sequence)
        elif event.px >= VenueParameter.FEE_DISCOUNT_1:
            self.discounts[event.px - VenueParameter.FEE_DISCOUNT_1 + 1] = event.qty

    def _marked(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        self.epoch += 1
        of.mark, of.basis, of.marked_ns = event.qty, event.amount, self.timestamp_ns
        of.mark_lot_value = lot_value_at_mark(of, event.qty)

    def _indexed(self, event: Said) -> None:
        self.contracts[event.symbol].index_px = event.amount
        if event.flags != _LIVE:
            return
        for of in self.contracts.values():
            if of.index == event.symbol and of.state != InstrumentState.SETTLED and of.px_max:
                of.index_px = event.amount
                of.index_subticks = nearest(event.amount, of.units_per_subtick)
                if of.expiry_ns and self.timestamp_ns > of.expiry_ns - 30 * _ONE_MINUTE_NS:
                    of.settle_sum += event.amount
                    of.settle_count += 1

    def _impact_set(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        of.impact_bid, of.impact_ask = event.amount, event.maker_amount
        if of.expiry_ns and event.qty:
            of.basis_e8 = basis_e8(of, self.timestamp_ns)

    def _funding_set(self, event: Said) -> None:
        """The rate was sampled, or, after a payment, the next period has begun."""
        of = self.contracts[event.symbol]
        if event.qty == of.next_funding_ns:
            of.premium_sum_e8 += premium_e8(of, self.timestamp_ns)
            of.premium_count += 1
        else:
            of.premium_sum_e8 = of.premium_count = 0
        of.funding_rate_e8, of.next_funding_ns = event.amount, event.qty

    def _funded(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        if event.account:
            self.pay(of.settle, event.account, event.amount)
        else:
            of.fee_pool += event.amount
            self.residue[of.settle] += event.amount
        of.cleared += event.amount
        self.touched.add(of.number)
        if event.account == self.fund:
            self.fund_paid[of.settle] += event.amount

    # ---- the last resorts

    def _liquidation(self, event: Said) -> None:
        of, slot = self.contracts[event.symbol], self.slot(event.account, event.symbol)
        if event.px != LiquidationStep.TAKEN_OVER:
            self.tier[slot] = event.amount
            return
        sign = 1 if event.qty > 0 else -1
        self._fill(of, slot, -event.qty, -sign * event.amount)
        self.tier[slot] = 0
        self._fill(of, self.slot(self.fund, event.symbol), event.qty, sign * event.amount)

    def _adl_begun(self, event: Said) -> None:
        pass

    def _deleveraged(self, event: Said) -> None:
        of, sign = self.contracts[event.symbol], -1 if event.flags & SELL else 1
        self._fill(of, self.slot(event.account, event.symbol), sign * event.qty, sign * event.amount)
        self._fill(of, self.slot(self.fund, event.symbol), -sign * event.qty, -sign * event.amount)

    def _settlement(self, event: Said) -> None:
        of = self.contracts[event.symbol]
        self.epoch += 1
        of.mark, of.mark_lot_value = event.qty, lot_value_at_mark(of, event.qty)

    def _settled(self, event: Said) -> None:
        of, slot = self.contracts[event.symbol], self.slot(event.account, event.symbol)
        self.pay(of.settle, event.account, -event.amount)
        of.fee_pool += event.amount
        self.residue[of.settle] += event.amount
        self._fill(of, slot, -event.qty, -value_at_mark(of, event.qty))

    # ---- what follows

    def available(self, asset: int, account: int, *, locked: Callable[["Books", int], int]) -> int:
        """Return what an account may still use of an asset: wallet and shared profit, less what is locked."""
        left = self.wallets[asset][account] - self.base_locked[asset][account]
        for slot in self.held(account, asset):
            left -= locked(self, slot)
            if not self.leverage[slot] and self.qty[slot]:
                left += self.counted(account, slot)
        return left

    def profit_of(self, slot: int) -> int:
        """Return the unrealised profit of a position."""
        of = self.contracts[self.symbol_of[slot]]
        if of.is_spot or not self.qty[slot]:
            return 0
        return profit(of, cost=self.cost[slot], value=value_at_mark(of, self.qty[slot]))

    def counted(self, account: int, slot: int) -> int:
        """Return the part of a cross position's profit that supports the others."""
        made = self.profit_of(slot)
        return min(made, 0) if self.accounts[account].is_classic else made

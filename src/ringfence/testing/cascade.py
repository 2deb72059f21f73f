"""A cascade: leveraged accounts on many instruments while all prices fall, second by second.

The traders hold, at entry prices around the start, what their leverage lets them; makers quote a thin ladder
around the index and move it every second. What is liquidated meets those quotes, the insurance fund pays for
the difference while it lasts, and then the winners are asked. All of it is the engine's own doing: the
simulation only publishes index prices and re-quotes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.listing import listing_commands
from ringfence.instruments.specification import Instrument
from ringfence.messages.batch import Records
from ringfence.messages.commands import AdlMethod, Command, ContractKind, OrderFlag, VenueParameter
from ringfence.messages.events import Event, LiquidationStep
from ringfence.testing.play import START_NS, command, rows_of
from ringfence.units.assets import USDT
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.time import NS_PER_SECOND

_START_TICKS = 1_000_000
_LEVELS = 20
_AT_ONCE = 4_096


class Cascade(NamedTuple):
    """What falls on whom."""

    accounts: int = 10_000
    instruments: int = 10
    makers: int = 10
    seconds: int = 60
    fall: float = 0.3
    fund_units: int = 2_000_000 * 10**6
    """The insurance fund in USDt."""
    maker_lots: int = 1_000
    """What the makers quote at each of twenty prices."""
    seed: int = 1
    adl_method: AdlMethod = AdlMethod.PRO_RATA


class Second(NamedTuple):
    """What one second of the cascade looked like."""

    second: int
    mark: float
    """Of the first instrument, as a share of where it began."""
    liquidated: int
    deleveraged: int
    fund_units: int


@dataclass
class Outcome:
    """What a cascade came to; `engine_seconds` is time inside the engine only."""

    shape: Cascade
    timeline: list[Second] = field(default_factory=list)
    engine_seconds: float = 0.0
    longest_batch_ms: float = 0.0
    commands: int = 0
    events: int = 0
    trades: int = 0
    liquidated: int = 0
    """Accounts."""
    deleveraged: int = 0
    """Accounts."""
    taken_beyond_need: int = 0
    """Contracts taken in deleveraging beyond what the fund had to give; never more than 0."""
    out_of_order: int = 0
    fund_start_units: int = 0
    fund_end_units: int = 0
    residue_units: int = 0
    """What wallets, fees and positions do not add up to; never anything but 0."""

    @property
    def fund_paid_share(self) -> float:
        return 1 - self.fund_end_units / self.fund_start_units if self.fund_start_units else 0.0


def contracts(shape: Cascade) -> list[Instrument]:
    """Return linear contracts with an index each, made after XBTUSDT."""
    import msgspec

    model = next(i for i in start_instruments(START_NS) if i.symbol == "XBTUSDT")
    index = next(i for i in start_instruments(START_NS) if i.symbol == ".BXBTT")
    made = []
    for k in range(shape.instruments):
        number = k + 1
        made.append(
            msgspec.structs.replace(
                model, number=number, symbol=f"C{number:02}USDT", index_number=shape.instruments + number,
                adl_method=shape.adl_method, maker_fee_ppm=-100,
            )
        )  # fmt: skip
    for k in range(shape.instruments):
        number = shape.instruments + k + 1
        made.append(msgspec.structs.replace(index, number=number, symbol=f".C{k + 1:02}"))
    assert all(i.kind == ContractKind.LINEAR or i.is_index for i in made)
    return made


class _World:
    def __init__(self, shape: Cascade) -> None:
        self.shape = shape
        self.listed = contracts(shape)
        self.contracts = [of for of in self.listed if not of.is_index]
        self.traders = shape.accounts
        self.first_maker = shape.accounts + 1
        self.fund = shape.accounts + shape.makers + 1
        self.engine = Engine(accounts=self.fund + 1, orders=1 << 16)
        self.outcome = Outcome(shape)
        self.now_ns = START_NS
        self.rng = np.random.default_rng(shape.seed)
        self.measured = False
        self._adl: dict[int, int] = {}
        self._places: dict[int, int] = {}
        self._liquidated: set[int] = set()
        self._deleveraged: set[int] = set()

    def run(self, rows: Records) -> None:
        for begin in range(0, len(rows), _AT_ONCE):
            self._step(rows[begin : begin + _AT_ONCE])
        while self.engine.has_more_to_do:
            self._step(command(Command.TICK))

    def _step(self, rows: Records) -> None:
        begun = time.perf_counter_ns()
        events = self.engine.step(rows, timestamp_ns=self.now_ns)
        taken = time.perf_counter_ns() - begun
        if self.measured:
            out = self.outcome
            out.engine_seconds += taken / 1e9
            out.longest_batch_ms = max(out.longest_batch_ms, taken / 1e6)
            out.commands += len(rows)
            out.events += len(events)
            self._note(events)

    def _note(self, events: Any) -> None:
        out = self.outcome
        kinds = events["kind"]
        out.trades += int(np.count_nonzero(kinds == Event.TRADE))
        taken = events[(kinds == Event.LIQUIDATION) & (events["px"] == LiquidationStep.TAKEN_OVER)]
        self._liquidated.update(taken["account"].tolist())
        for e in events[(kinds == Event.ADL_BEGUN) | (kinds == Event.DELEVERAGED)]:
            symbol = int(e["symbol"])
            if e["kind"] == Event.ADL_BEGUN:
                self._adl[symbol], self._places[symbol] = int(e["qty"]), 0
            else:
                self._adl[symbol] -= int(e["qty"])
                out.taken_beyond_need += max(-self._adl[symbol], 0)
                out.out_of_order += int(e["px"]) != self._places[symbol] + 1
                self._places[symbol] = int(e["px"])
                self._deleveraged.add(int(e["account"]))
        out.liquidated, out.deleveraged = len(self._liquidated), len(self._deleveraged)

    # ---- the world before

    def found(self) -> None:
        everybody = np.arange(1, self.fund + 1)
        opened, credited = rows_of(self.fund, Command.OPEN_ACCOUNT), rows_of(self.fund, Command.DEPOSIT)
        opened["account"] = credited["account"] = everybody
        credited["symbol"] = USDT.number
        credited["qty"] = 10_000 * 10**6
        credited["qty"][self.first_maker - 1 : self.fund - 1] = 10**15
        credited["qty"][self.fund - 1] = self.shape.fund_units
        self.run(
            np.concatenate([
                command(Command.CONFIGURE_VENUE, type=VenueParameter.RISK_TIERS_MAX, qty=10),
                *(listing_commands(of) for of in self.listed),
                *(command(Command.MARK, symbol=of.number, qty=_START_TICKS * MARK_SUBTICKS) for of in self.contracts),
                opened, credited,
                command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=self.fund),
            ])
        )  # fmt: skip
        self.publish(1.0)
        self.take_positions()

    def take_positions(self) -> None:
        """Let every trader open a position against a maker: seven of eight are long, as crowds are."""
        count = self.traders
        account = np.arange(1, count + 1)
        symbol = self.rng.integers(1, self.shape.instruments + 1, count)
        leverage = self.rng.choice([500, 1_000, 2_000, 5_000, 10_000, 0], count)
        setting = rows_of(count, Command.SET_LEVERAGE)
        setting["account"], setting["symbol"], setting["qty"] = account, symbol, leverage
        effective = np.where(leverage == 0, 1_500, leverage) / 100
        lot_value = 100_000_000 * 10 / 10**6 / 10 * self.contracts[0].lot_size / 100
        value = 10_000 * effective * self.rng.uniform(0.3, 0.9, count)
        lots = np.maximum(1, (value / lot_value).astype(np.int64))
        orders = rows_of(2 * count, Command.PLACE)
        sells = self.rng.random(count) < 0.125
        entry = (_START_TICKS * (1 + self.rng.normal(0, 0.002, count))).astype(np.int64)
        for part, who in (
            (orders[0::2], self.first_maker + account % self.shape.makers),
            (orders[1::2], account),
        ):
            part["account"], part["symbol"], part["px"] = who, symbol, entry
            part["qty"] = lots * self.contracts[0].lot_size
        orders["flags"][0::2] = np.where(sells, 0, OrderFlag.SELL)
        orders["flags"][1::2] = np.where(sells, OrderFlag.SELL, 0)
        self.run(setting)
        self.run(orders)
        cancel = rows_of(self.traders + self.shape.makers, Command.CANCEL_ALL)
        cancel["account"] = np.arange(1, len(cancel) + 1)
        self.run(cancel)

    # ---- and its fall

    def publish(self, share: float) -> None:
        for of in self.contracts:
            wobble = 1 + 0.001 * float(self.rng.standard_normal())
            units = round(_START_TICKS * MARK_SUBTICKS * of.index_units_per_subtick * share * wobble)
            self.run(command(Command.INDEX, symbol=of.index_number, qty=units))

    def quote(self, share: float) -> None:
        """Move every maker's ladder to the index: twenty prices a side, a twentieth of a per cent apart."""
        shape = self.shape
        makers = np.arange(self.first_maker, self.first_maker + shape.makers)
        cancel = rows_of(shape.makers, Command.CANCEL_ALL)
        cancel["account"] = makers
        self.run(cancel)
        count = shape.instruments * 2 * _LEVELS
        quotes = rows_of(count, Command.PLACE)
        symbol = np.repeat(np.arange(1, shape.instruments + 1), 2 * _LEVELS)
        step = np.tile(np.arange(1, _LEVELS + 1), 2 * shape.instruments)
        sell = np.tile(np.repeat([0, 1], _LEVELS), shape.instruments)
        centre = _START_TICKS * share
        quotes["symbol"] = symbol
        quotes["account"] = makers[np.arange(count) % shape.makers]
        quotes["px"] = (centre * (1 + np.where(sell, 1, -1) * step * 0.0005)).astype(np.int64)
        quotes["qty"] = shape.maker_lots * self.contracts[0].lot_size
        quotes["flags"] = sell * int(OrderFlag.SELL) | int(OrderFlag.POST_ONLY)
        self.run(quotes)

    def fund_units(self) -> int:
        return int(self.engine.margin(USDT.number, self.fund)["wallet"])

    def total(self) -> int:
        """Return what wallets, fees and the cost of positions add up to, exactly."""
        state = self.engine.state
        capacity = int(state.header["cap_accounts"])
        wallets = state.margins.reshape(-1, capacity)[USDT.number, : self.fund + 1]["wallet"]
        costs = state.positions[: state.header["n_positions"]]["cost"]
        fees = [int(self.engine.instrument(of.number)["fee_pool"]) for of in self.contracts]
        return int(sum(wallets.tolist()) - sum(costs.tolist()) + sum(fees))


def run_cascade(shape: Cascade, progress: Callable[[Second], None] = lambda second: None) -> Outcome:
    """Found a venue, let prices fall, and return what it came to. Deterministic but for the times measured."""
    world = _World(shape)
    world.found()
    out = world.outcome
    before = world.total()
    out.fund_start_units = world.fund_units()
    world.measured = True
    for second in range(1, shape.seconds + 11):
        world.now_ns += NS_PER_SECOND
        # Down in a minute, then ten seconds of rest in which everything has to come to its end.
        share = 1 - shape.fall * min(second, shape.seconds) / shape.seconds
        world.publish(share)
        world.quote(share)
        world.run(command(Command.TICK))
        row = Second(second, share, out.liquidated, out.deleveraged, world.fund_units())
        out.timeline.append(row)
        progress(row)
    out.fund_end_units = world.fund_units()
    out.residue_units = world.total() - before
    return out

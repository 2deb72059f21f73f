"""One mark moves on an instrument that a million accounts hold: how long until all have been looked at."""

import time

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.listing import listing_commands
from ringfence.messages.commands import Command, OrderFlag, VenueParameter
from ringfence.testing.play import START_NS, command, rows_of
from ringfence.units.limits import MARK_SUBTICKS

_MARK_TICKS = 10_000
_AT_ONCE = 1 << 14


def venue_of_holders(accounts: int) -> Engine:
    """Return an engine in which every account holds one lot of XBTUSD, half of them long."""
    engine = Engine(accounts=accounts + 2, orders=1 << 16)
    instrument = start_instruments(START_NS)[0]
    opened = rows_of(accounts + 1, Command.OPEN_ACCOUNT)
    credited = rows_of(accounts + 1, Command.DEPOSIT)
    opened["account"] = credited["account"] = np.arange(1, accounts + 2)
    credited["qty"] = 10**8
    orders = rows_of(accounts, Command.PLACE)
    orders["symbol"], orders["qty"], orders["px"] = instrument.number, instrument.lot_size, _MARK_TICKS
    orders["account"] = np.arange(1, accounts + 1)
    orders["flags"][::2] = OrderFlag.SELL
    setup = [
        command(Command.CONFIGURE_VENUE, type=VenueParameter.RISK_TIERS_MAX, qty=10),
        listing_commands(instrument),
        command(Command.MARK, symbol=instrument.number, qty=_MARK_TICKS * MARK_SUBTICKS),
        opened,
        credited,
        command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=accounts + 1),
        orders,
    ]
    for part in setup:
        for begin in range(0, len(part), _AT_ONCE):
            engine.step(part[begin : begin + _AT_ONCE], timestamp_ns=START_NS)
    return engine


def remark_milliseconds(accounts: int, *, runs: int) -> list[tuple[float, float]]:
    """Return, for each of so many moves of the mark: (until all accounts have been looked at, longest command)."""
    engine = venue_of_holders(accounts)
    tick = command(Command.TICK)
    measured = []
    for run in range(runs):
        mark = command(Command.MARK, symbol=1, qty=(_MARK_TICKS - 1 - run % 2) * MARK_SUBTICKS)
        pieces = []
        now = START_NS + 1 + run
        begun = time.perf_counter_ns()
        engine.step(mark, timestamp_ns=now)
        pieces.append(time.perf_counter_ns() - begun)
        while engine.has_more_to_do:
            begun = time.perf_counter_ns()
            engine.step(tick, timestamp_ns=now)
            pieces.append(time.perf_counter_ns() - begun)
        measured.append((sum(pieces) / 1e6, max(pieces) / 1e6))
    return measured

"""Commands written in one line, and an engine with the start instruments open for trading."""

from typing import Any

import numpy as np

from ringfence.exchange.engine import Engine
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.listing import listing_commands
from ringfence.messages.batch import Records
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.records import COMMAND, DISPLAY_ALL
from ringfence.units.limits import MARK_SUBTICKS

START_NS = 1_790_000_000_000_000_000


def command(kind: Command, **fields: Any) -> Records:
    """Return one command record with these fields; everything else is zero, the order displayed."""
    row = np.zeros(1, COMMAND)
    row["kind"] = kind
    row["display"] = DISPLAY_ALL
    for name, value in fields.items():
        row[name] = value
    return row


def rows_of(count: int, kind: Command) -> Records:
    """Return so many records of one kind; everything else is zero, orders displayed."""
    rows = np.zeros(count, COMMAND)
    rows["kind"] = kind
    rows["display"] = DISPLAY_ALL
    return rows


def opening(*, accounts: int, mark_ticks: int = 10_000) -> Records:
    """Return the commands that list the start instruments and credit demo accounts."""
    rows = [command(Command.CONFIGURE_VENUE, type=VenueParameter.RISK_TIERS_MAX, qty=10)]
    for instrument in start_instruments(START_NS):
        rows.append(listing_commands(instrument))
        if instrument.is_contract:
            rows.append(command(Command.MARK, symbol=instrument.number, qty=mark_ticks * MARK_SUBTICKS))
    for account in range(1, accounts + 1):
        rows.append(command(Command.OPEN_ACCOUNT, account=account))
        rows.append(command(Command.DEPOSIT, account=account, symbol=0, qty=100 * 10**8))
        rows.append(command(Command.DEPOSIT, account=account, symbol=1, qty=10**6 * 10**6))
    return np.concatenate(rows)


def open_venue(*, accounts: int = 4, mark_ticks: int = 10_000) -> Engine:
    """Return an engine with the seven start instruments open and `accounts` credited accounts."""
    engine = Engine(accounts=64, orders=64)
    engine.step(opening(accounts=accounts, mark_ticks=mark_ticks), timestamp_ns=START_NS)
    return engine

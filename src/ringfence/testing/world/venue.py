"""The venue of a run: two perpetuals, a future and a spot pair on small ladders, with poor or rich accounts."""

import functools

import msgspec
import numpy as np

from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.listing import listing_commands
from ringfence.instruments.specification import Instrument
from ringfence.messages.commands import (
    AccountParameter,
    AdlMethod,
    Command,
    CrossMode,
    SelfTrade,
    VenueParameter,
)
from ringfence.testing.play import START_NS, command
from ringfence.testing.world.options import Options
from ringfence.units.time import NS_PER_HOUR, NS_PER_MS

INVERSE, LINEAR, FUTURE, SPOT, INDEX_XBT, INDEX_TETHER = 1, 2, 3, 4, 5, 6
CONTRACTS = (INVERSE, LINEAR, FUTURE)
START_UNITS = 3_000_000
"""Of an index: 300 dollars a coin, so that the ladders are small."""
UNITS_MIN, UNITS_MAX = 600_000, 7_500_000
_PX_TICKS_MAX = 8_191
UNITS_PER_TICK = {INVERSE: 1_000, LINEAR: 1_000, FUTURE: 5_000, SPOT: 1_000}
LOTS = {INVERSE: 100, LINEAR: 100, FUTURE: 100, SPOT: 1_000}
EXPIRY_NS = START_NS + 5 * NS_PER_HOUR // 2
CANCEL_ONLY_NS = 60 * NS_PER_MS
SUB_OF = 1
"""The last trader is a sub-account of this one."""


@functools.cache
def instruments(*, ranked: bool) -> tuple[Instrument, ...]:
    """Return what is listed, in order."""
    by_symbol = {instrument.symbol: instrument for instrument in start_instruments(START_NS)}
    future = next(i for i in by_symbol.values() if i.expiry_ns)
    method = AdlMethod.RANKED if ranked else AdlMethod.PRO_RATA
    listed = [
        (by_symbol["XBTUSD"], {"index_number": INDEX_XBT, "adl_method": method, "funding_interval_hours": 1}),
        (
            by_symbol["XBTUSDT"],
            {"index_number": INDEX_TETHER, "adl_method": method, "funding_interval_hours": 1},
        ),
        (future, {"index_number": INDEX_XBT, "expiry_ns": EXPIRY_NS, "adl_method": method}),
        (by_symbol["XBT_USDT"], {}),
        (by_symbol[".BXBT"], {}),
        (by_symbol[".BXBTT"], {}),
    ]
    return tuple(
        msgspec.structs.replace(
            of, number=number, px_ticks_max=0 if of.is_index else _PX_TICKS_MAX, **changes
        )
        for number, (of, changes) in enumerate(listed, start=1)
    )


def fund(traders: int) -> int:
    """Return the number of the insurance account."""
    return traders + 1


@functools.cache
def founding(*, traders: int, poor: bool, ranked: bool) -> bytes:
    """Return the commands that found the venue."""
    rows = [command(Command.CONFIGURE_VENUE, type=VenueParameter.RISK_TIERS_MAX, qty=10)]
    rows += [listing_commands(instrument) for instrument in instruments(ranked=ranked)]
    insurance = fund(traders)
    for account in range(1, insurance + 1):
        parent = SUB_OF if account == traders else 0
        rows.append(command(Command.OPEN_ACCOUNT, account=account, handle=parent))
        for asset, amount in enumerate(_coins(account, traders=traders, poor=poor)):
            if amount:
                rows.append(command(Command.DEPOSIT, account=account, symbol=asset, qty=amount))
    venue, own = Command.CONFIGURE_VENUE, Command.CONFIGURE_ACCOUNT
    rows.append(command(venue, type=VenueParameter.FEE_DISCOUNT_1, qty=10))
    rows.append(command(venue, type=VenueParameter.CANCEL_ONLY_NS, qty=CANCEL_ONLY_NS))
    rows.append(command(venue, type=VenueParameter.INSURANCE_ACCOUNT, qty=insurance))
    rows.append(command(own, account=1, type=AccountParameter.FEE_TIER, qty=1))
    rows.append(command(own, account=2, type=AccountParameter.CROSS_MODE, qty=CrossMode.CLASSIC))
    for account in range(1, traders + 1):
        mode = tuple(SelfTrade)[account % 3]
        rows.append(command(own, account=account, type=AccountParameter.SELF_TRADE, qty=mode))
    for index in (INDEX_XBT, INDEX_TETHER):
        rows.append(command(Command.INDEX, symbol=index, qty=START_UNITS))
    rows.append(command(Command.TICK))
    return np.concatenate(rows).tobytes()


def _coins(account: int, *, traders: int, poor: bool) -> tuple[int, int]:
    if account == fund(traders):
        return (2_000_000, 20_000_000) if poor else (10 * 10**8, 10_000 * 10**6)
    rich = 50 if account <= 2 or not poor else 1
    return 2 * 10**8 // 10 * rich, 200 * 10**6 * rich


def founding_of(options: Options) -> bytes:
    return founding(traders=options.traders, poor=options.poor, ranked=options.ranked)

"""What can be asked of the engine. Numbers are journal format: append, never reuse."""

from enum import IntEnum, IntFlag


class Command(IntEnum):
    """The kind of a command record, and what its fields mean where the name does not say it."""

    PLACE = 1
    """account, symbol, type, flags, qty, px, display, clid."""
    AMEND = 2
    """handle or orig_clid; AMEND_* flags say which of qty and px count; clid = new clOrdID or 0."""
    CANCEL = 3
    """account, handle or orig_clid."""
    CANCEL_ALL = 4
    """account; symbol 0 = every instrument; ONLY_BUYS / ONLY_SELLS narrow it."""
    CANCEL_ALL_AFTER = 5
    """account; qty = milliseconds from now, 0 disarms."""
    SET_LEVERAGE = 6
    """account, symbol; qty = leverage in hundredths, 0 = cross."""
    SET_RISK_LIMIT = 7
    """account, symbol; qty = limit in settlement units, rounded up to the next tier."""
    TRANSFER_MARGIN = 8
    """account, symbol; qty = signed settlement units into (+) or out of (-) an isolated position."""
    OPEN_ACCOUNT = 9
    """account; must be the next free number."""
    CONFIGURE_ACCOUNT = 10
    """account; type = AccountParameter, qty = value."""
    DEPOSIT = 11
    """account, symbol = asset number, qty > 0; flag DEMO marks coins that no chain backs."""
    WITHDRAW = 12
    """account, symbol = asset number, qty > 0; flag DEMO: nothing leaves on a chain."""
    MARK = 20
    """symbol; qty = mark price in subticks (1/100 tick)."""
    TICK = 21
    """Time passes: timers fire and day orders expire by the frame's timestamp."""
    LIST = 30
    """symbol = the next free number; type = ContractKind; DATA = the specification as JSON."""
    CONFIGURE = 31
    """symbol; type = InstrumentParameter, qty = value."""
    SET_STATE = 32
    """symbol; qty = InstrumentState. Opening proves the instrument's limits first."""
    CONFIGURE_VENUE = 33
    """type = VenueParameter, qty = value."""
    DATA = 255
    """Text of the command before it; no meaning to the engine."""


class OrderType(IntEnum):
    LIMIT = 0
    MARKET = 1


class OrderFlag(IntFlag):
    """Bits of a command's flags."""

    SELL = 1
    IOC = 2
    FOK = 4
    DAY = 8
    """None of the three = good till cancelled."""
    POST_ONLY = 16
    REDUCE_ONLY = 32
    CLOSE = 64
    AMEND_QTY = 128
    """qty is the new total order quantity."""
    AMEND_LEAVES = 256
    """qty is the new open quantity."""
    AMEND_PX = 512
    ONLY_BUYS = 1024
    ONLY_SELLS = 2048
    DEMO = 4096


class ContractKind(IntEnum):
    INVERSE = 0
    LINEAR = 1
    """Linear and quanto: value grows with price."""
    SPOT = 2


class InstrumentState(IntEnum):
    UNLISTED = 0
    OPEN = 1
    CLOSED = 2
    SETTLED = 3


class InstrumentParameter(IntEnum):
    """What CONFIGURE sets, one 64-bit integer each."""

    LOT_SIZE = 1
    LOT_VALUE_FACTOR = 2
    """Inverse: lot value = factor / px_ticks. Linear and spot: lot value = factor * px_ticks."""
    SETTLE_ASSET = 3
    BASE_ASSET = 4
    PX_TICKS_MAX = 5
    QTY_MAX = 6
    INITIAL_MARGIN_PPM = 7
    MAINTENANCE_MARGIN_PPM = 8
    RISK_LIMIT_BASE = 9
    RISK_LIMIT_STEP = 10
    MAKER_FEE_PPM = 11
    TAKER_FEE_PPM = 12
    COLLAR_PPM = 13
    ORDERS_PER_ACCOUNT_MAX = 14


class AccountParameter(IntEnum):
    SELF_TRADE = 1
    """value = SelfTrade."""
    TRADING_DISABLED = 2


class SelfTrade(IntEnum):
    """What happens when an account's order meets its own resting order."""

    CANCEL_RESTING = 0
    CANCEL_TAKING = 1
    ALLOW = 2


class VenueParameter(IntEnum):
    RISK_TIERS_MAX = 1
    """How many steps above its base an account may raise a risk limit."""

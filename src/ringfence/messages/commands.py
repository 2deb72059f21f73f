"""What can be asked of the engine. Numbers are journal format: append, never reuse."""

from enum import IntEnum, IntFlag


class Command(IntEnum):
    """The kind of a command record, and what its fields mean where the name does not say it."""

    PLACE = 1
    """account, symbol, type, flags, qty, px, stop_px, display, clid; orig_clid = the clOrdLinkID's hash;
    handle = instructions(). type PEGGED: px is computed on entry."""
    AMEND = 2
    """handle or orig_clid; AMEND_* flags say which of qty, px, stop_px and (in display, as a signed
    32-bit number of ticks) the peg offset count; clid = new clOrdID or 0."""
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
    """account; must be the next free number; handle = the account it is a sub-account of, 0 = none."""
    CONFIGURE_ACCOUNT = 10
    """account; type = AccountParameter, qty = value."""
    DEPOSIT = 11
    """account, symbol = asset number, qty > 0; flag DEMO marks coins that no chain backs. Of a chain: px =
    custody's instruction number, DATA says which output."""
    WITHDRAW = 12
    """account, symbol = asset number, qty > 0; flag DEMO: nothing leaves on a chain. Otherwise, once there is
    custody, the account is custody's and the coins have left on a chain: px and DATA as in DEPOSIT."""
    TRANSFER = 13
    """account = from, handle = to, symbol = asset number, qty > 0: within one family of sub-accounts, or from
    anybody to the custody account, which asks for a withdrawal (DATA says where to; its number is this command's
    sequence) and locks the coins, or back from there: px and DATA as in DEPOSIT."""
    MARK = 20
    """symbol; qty = mark price in subticks (1/100 tick), instead of the one that follows from the index."""
    TICK = 21
    """Time passes: what is due by the frame's timestamp is done, and what was left over is gone on with."""
    INDEX = 22
    """symbol = an index; qty = its price in index units; type = IndexStatus; DATA = its constituents."""
    LIST = 30
    """symbol = the next free number; type = ContractKind; DATA = the specification as JSON."""
    CONFIGURE = 31
    """symbol; type = InstrumentParameter, qty = value."""
    SET_STATE = 32
    """symbol; qty = InstrumentState. Opening proves the instrument's limits first."""
    CONFIGURE_VENUE = 33
    """type = VenueParameter, qty = value."""
    SETTLE = 34
    """symbol; settles a contract before its time: trading ends at the mark; an operator's delisting."""
    HALT = 35
    """type = HaltScope; symbol = instrument or asset (ALL_ASSETS); qty = TradingState, at least CANCEL_ONLY.
    Anyone may halt; DATA says why. A scope that is halted already stays as it is, or goes further."""
    RESUME = 36
    """type = HaltScope, symbol as in HALT; handle = sequence of the last HALT of any scope; qty = MissedFunding.
    DATA carries the signatures; the core has checked them, and anyone can check them again."""
    DATA = 255
    """Text of the command before it; no meaning to the engine."""


class OrderType(IntEnum):
    LIMIT = 0
    MARKET = 1
    STOP = 2
    """Becomes a market order when the trigger price reaches stop_px: buys from below, sells from above."""
    STOP_LIMIT = 3
    MARKET_IF_TOUCHED = 4
    """As STOP, from the other side: buys from above, sells from below."""
    LIMIT_IF_TOUCHED = 5
    PEGGED = 6
    """A limit order whose price is the touch plus peg_offset, computed once on entry."""


class TriggerPrice(IntEnum):
    """Which price is held against stop_px."""

    MARK = 0
    LAST = 1
    INDEX = 2


class Peg(IntEnum):
    NONE = 0
    PRIMARY = 1
    """PEGGED: from the near touch."""
    MARKET = 2
    """PEGGED: from the far touch."""
    TRAILING = 3
    """stop_px follows favourable moves of the trigger price at a distance of peg_offset."""


class Contingency(IntEnum):
    """What the orders of one account with the same clOrdLinkID are to each other."""

    NONE = 0
    ONE_CANCELS_THE_OTHER = 1
    ONE_TRIGGERS_THE_OTHER = 2
    """The first one placed is the primary; the others wait until it is filled."""


def instructions(
    *,
    trigger: TriggerPrice = TriggerPrice.MARK,
    peg: Peg = Peg.NONE,
    peg_offset: int = 0,
    contingency: Contingency = Contingency.NONE,
    within_mark: bool = False,
) -> int:
    """Return how a new order is triggered, pegged and linked, as its command carries it.

    A new order has no handle yet, so the bytes of `handle` say it: from the lowest, four of peg_offset
    (signed ticks) and one each of trigger, peg, contingency and within_mark (execInst LastWithinMark).
    """
    low = peg_offset & 0xFFFFFFFF
    return low | trigger << 32 | peg << 40 | contingency << 48 | int(within_mark) << 56


def read_instructions(word: int) -> tuple[int, int, int, int, bool]:
    """Return (trigger, peg, peg_offset, contingency, within_mark) of what `instructions` made."""
    low = word & 0xFFFFFFFF
    offset = low - (low >> 31 << 32)
    return word >> 32 & 0xFF, word >> 40 & 0xFF, offset, word >> 48 & 0xFF, bool(word >> 56)


class IndexStatus(IntEnum):
    LIVE = 0
    FROZEN = 1
    """Too few good constituents: the last price stands, and marks grow stale."""


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
    AMEND_STOP_PX = 8192
    AMEND_PEG_OFFSET = 16384


class ContractKind(IntEnum):
    INVERSE = 0
    LINEAR = 1
    """Linear and quanto: value grows with price."""
    SPOT = 2
    INDEX = 3
    """Not traded: a price that contracts refer to."""


class InstrumentState(IntEnum):
    UNLISTED = 0
    OPEN = 1
    CLOSED = 2
    """No new orders, no amendments that could trade; cancels still work."""
    SETTLED = 3
    CANCEL_ONLY = 4
    """As CLOSED, by a halt: nothing is triggered, funded or liquidated either. SET_STATE cannot set it."""
    HALTED = 5
    """By a halt: orders and positions stand as they are; not even a cancel is taken."""


class TradingState(IntEnum):
    """How far a venue or a contract is halted."""

    RUNNING = 0
    CANCEL_ONLY = 1
    HALTED = 2


class HaltScope(IntEnum):
    VENUE = 0
    CONTRACT = 1
    DEPOSITS = 2
    """symbol = asset number, ALL_ASSETS for all of them; only HALTED, and lifted at once by RESUME."""
    WITHDRAWALS = 3
    SIGNERS = 4
    """Nothing in the engine asks for it: custody reads the event."""


ALL_ASSETS = 65_535


class MissedFunding(IntEnum):
    """What becomes of funding that fell due while trading was halted."""

    PAY = 0
    """Once, when trading goes on, at the rate that was published."""
    SKIP = 1


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
    INDEX = 15
    """Number of the index that mark, funding and settlement follow."""
    INDEX_UNITS_PER_SUBTICK = 16
    FUNDING_INTERVAL_NS = 17
    """0 = pays no funding."""
    FUNDING_OFFSET_NS = 18
    """Funding happens where the time of day, less this, is a multiple of the interval."""
    INTEREST_E8 = 19
    """Interest component of one funding interval, in 1e-8."""
    IMPACT_VALUE = 20
    """Settlement units that the impact prices are averaged over."""
    EXPIRY_NS = 21
    SETTLEMENT_FEE_PPM = 22
    MARK_METHOD = 23
    ADL_METHOD = 24
    STOPS_PER_ACCOUNT_MAX = 25
    LAST_BAND_PPM = 26
    """How far from the mark the last price still counts: LastWithinMark, LAST_PROTECTED."""


class MarkMethod(IntEnum):
    FAIR = 0
    """Index plus the basis: funding for perpetuals, annualised impact basis for futures."""
    LAST_PROTECTED = 1
    """The last price, no further than LAST_BAND_PPM from the index."""


class AdlMethod(IntEnum):
    PRO_RATA = 0
    """Everybody in profit gives the same share of it; see docs/decisions."""
    RANKED = 1
    """BitMEX's queue: highest profit x leverage first."""


class AccountParameter(IntEnum):
    SELF_TRADE = 1
    """value = SelfTrade."""
    TRADING_DISABLED = 2
    FEE_TIER = 3
    """0 = list price; each tier has its discount (VenueParameter.FEE_DISCOUNT_1...)."""
    CROSS_MODE = 4
    """value = CrossMode."""
    WITHDRAWALS = 5
    """What the account says of its withdrawals: value = AccountSays, DATA = the text. The engine only repeats it."""


class AccountSays(IntEnum):
    KEYED = 1
    LISTED = 2
    UNLISTED = 3


class CrossMode(IntEnum):
    SHARED = 0
    """Unrealised profit of one cross position supports the others."""
    CLASSIC = 1
    """Every position for itself: losses count, unrealised profit does not."""


class SelfTrade(IntEnum):
    """What happens when an account's order meets its own resting order."""

    CANCEL_RESTING = 0
    CANCEL_TAKING = 1
    ALLOW = 2


class VenueParameter(IntEnum):
    RISK_TIERS_MAX = 1
    """How many steps above its base an account may raise a risk limit."""
    INSURANCE_ACCOUNT = 2
    """The account whose wallets are the insurance funds; it takes over what is liquidated. No fees."""
    CANCEL_ONLY_NS = 3
    """How long cancels only are taken after a halt was lifted, before trading goes on."""
    PEOPLE = 4
    """Who may lift a halt: first 63 bits of the digest of the list, which is the DATA of the command."""
    CUSTODY_ACCOUNT = 5
    """The account whose wallets are the coins of withdrawals under way. From then on custody's instructions are
    numbered 1, 2, 3 and so on, and only the next number is taken: sent twice, it is done once."""
    CONFIGURATION = 6
    """Which `ringfence.toml` is in force: first 63 bits of its digest; the text is the DATA of the command."""
    RULES = 7
    """Which version of the rules is in force from the next command on: one more than before. A build that does not
    know it stops before this command; see messages/rules.py."""
    FEE_DISCOUNT_1 = 11
    """Per cent off the fees of tier 1; tiers 2 to 6 follow as 12 to 16. Rebates are left alone."""
    FEE_DISCOUNT_2 = 12
    FEE_DISCOUNT_3 = 13
    FEE_DISCOUNT_4 = 14
    FEE_DISCOUNT_5 = 15
    FEE_DISCOUNT_6 = 16

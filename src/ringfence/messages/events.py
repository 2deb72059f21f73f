"""What the engine says happened. Numbers are feed format: append, never reuse.

An order is *in the book* from the end of the events of the command that accepted or amended it, if
it is still open then. Folds rely on this, and on the ledger rule: the wallet deltas of a batch are
exactly the fees of TRADE and SETTLED, the amounts of REALISED, DEPOSITED, WITHDRAWN, FUNDED and
COVERED, the two sides of TRANSFERRED, and the two legs of a spot TRADE.
"""

from enum import IntEnum, IntFlag


class Event(IntEnum):
    """The kind of an event record and the meaning of its fields."""

    ACCEPTED = 1
    """handle, account, symbol, px, qty (after any reduce-only clip); flags = EventFlag.SELL |
    UNTRIGGERED. Untriggered: maker_amount = stop price in ticks, amount = peg offset. The command that
    caused it need not be a PLACE: liquidations place orders of their own."""
    TRADE = 2
    """handle/account = taker, maker_handle/maker_account = maker; px, qty; amount = taker fee and
    maker_amount = maker fee in settlement units, positive = paid; flags = EventFlag."""
    CANCELED = 3
    """handle, account, symbol, px; qty = the open quantity that was cancelled; flags = CancelReason;
    amount = 1 if it was a sell."""
    AMENDED = 4
    """handle, account, symbol; qty = new open quantity, px = new price;
    flags = EventFlag.SELL | KEPT_PRIORITY | BY_ENGINE | UNTRIGGERED; maker_handle = the new clid hash,
    0 = unchanged. Untriggered: maker_amount = stop price, amount = peg offset. BY_ENGINE and
    UNTRIGGERED: a trailing stop has followed."""
    REJECTED = 5
    """account, symbol; amount = Reject, maker_amount = the figure its text names (0 = none);
    handle = the order it is about, if any."""
    REALISED = 6
    """account, symbol; qty = contracts closed; amount = profit in settlement units, without fees.
    Follows the TRADE that caused it: the taker's first, then the maker's."""
    POSITION_SET = 7
    """account, symbol; qty = leverage in hundredths (0 = cross), amount = risk limit,
    maker_amount = margin transferred in beyond the initial margin (posCross)."""
    ACCOUNT_OPENED = 8
    """account; maker_account = the account it is a sub-account of, 0 = none."""
    ACCOUNT_SET = 9
    """account; px = AccountParameter, qty = value."""
    DEPOSITED = 10
    """account, symbol = asset; amount; flags = EventFlag.DEMO."""
    WITHDRAWN = 11
    """account, symbol = asset; amount; flags = EventFlag.DEMO."""
    TIMER_SET = 12
    """account; amount = nanosecond at which everything is cancelled, 0 = disarmed."""
    TIMER_FIRED = 13
    """account; the CANCELED events follow."""
    MARKED = 14
    """symbol; qty = mark price in subticks; amount = the basis in it, in subticks."""
    TICKED = 15
    """amount = the frame's timestamp."""
    LISTED = 16
    """symbol; px = ContractKind."""
    INSTRUMENT_SET = 17
    """symbol; px = InstrumentParameter, qty = value."""
    STATE_SET = 18
    """symbol; qty = InstrumentState."""
    VENUE_SET = 19
    """px = VenueParameter, qty = value."""
    TRIGGERED = 20
    """handle, account, symbol; px = stop price; amount = the price that reached it, in subticks, 0 = it
    waited for its primary order. What the order does then follows as TRADE, CANCELED or nothing: it rests."""
    INDEXED = 21
    """symbol = the index; amount = its price in index units; flags = IndexStatus."""
    FUNDED = 22
    """account, symbol; qty = the position; amount = settlement units received, negative = paid;
    maker_amount = rate in 1e-8. The insurance account's has qty 0: what rounding left over."""
    FUNDING_SET = 23
    """symbol; amount = rate in 1e-8 that is paid next, maker_amount = the rate after it as it looks now;
    qty = nanosecond of the next payment."""
    IMPACT_SET = 24
    """symbol; amount = impact bid, maker_amount = impact ask, in subticks, 0 = none; qty = 1 if the book is
    liquid enough for the basis."""
    LIQUIDATION = 25
    """account, symbol; a step that was taken: px = LiquidationStep; qty = signed position after it;
    amount = risk limit tier after it. Taken over: qty = the signed position that went to the insurance
    account, amount = its value there, maker_amount = bankruptcy price in subticks; REALISED follows."""
    DELEVERAGED = 26
    """account, symbol; maker_account = the insurance account; qty = contracts closed, amount = their
    value; px = place in the queue, 1 = first; flags = EventFlag.SELL if the account sold. REALISED follows."""
    ADL_BEGUN = 27
    """symbol; maker_account = the insurance account; qty = contracts that nobody could take, amount = how
    many accounts are ranked, maker_amount = price in subticks; flags = AdlMethod. DELEVERAGED events follow."""
    COVERED = 28
    """account, symbol = asset; amount = the deficit that the insurance account paid, so both wallets move."""
    SETTLED = 29
    """account, symbol; qty = signed position closed, amount = settlement fee; REALISED follows."""
    SETTLEMENT = 30
    """symbol; qty = settlement price in subticks. Comes before the SETTLED events and the state."""
    TRANSFERRED = 31
    """account = from, maker_account = to, symbol = asset, amount."""
    HALT_SET = 32
    """px = HaltScope, symbol as in HALT; qty = TradingState after, amount = before; handle = sequence of the
    HALT that it is about; maker_amount = nanosecond at which trading goes on, 0 = not before a RESUME.
    STATE_SET events of the instruments follow."""


class EventFlag(IntFlag):
    SELL = 1
    """The order, or the taker, sells."""
    TAKER_DONE = 2
    MAKER_DONE = 4
    HIDDEN = 8
    """The maker quantity was not displayed: it pays the taker rate."""
    KEPT_PRIORITY = 16
    BY_ENGINE = 32
    """Not asked for: a reduce-only order was cut to the position."""
    DEMO = 64
    UNTRIGGERED = 128


class LiquidationStep(IntEnum):
    TIER_LOWERED = 1
    ORDERS_CANCELED = 2
    REDUCED = 3
    """Part of the position was closed in the market to fall under a lower tier."""
    TAKEN_OVER = 4


class CancelReason(IntEnum):
    REQUESTED = 0
    CANCEL_ALL = 1
    IMMEDIATE_OR_CANCEL = 2
    FILL_OR_KILL = 3
    POST_ONLY = 4
    COLLAR = 5
    SELF_TRADE = 6
    TIMER = 7
    DAY_ENDED = 8
    REDUCE_ONLY = 9
    CLOSE = 10
    INSUFFICIENT_MARGIN = 11
    INSTRUMENT_CLOSED = 12
    LIQUIDATION = 13
    LINKED = 14
    """Another order of its OCO group was filled or triggered, or its OTO primary is gone."""
    DELEVERAGED = 15
    SETTLED = 16
    REFUSED = 17
    """It was triggered, and what a new order would be refused for is true of it; amount = 1 if a sell."""

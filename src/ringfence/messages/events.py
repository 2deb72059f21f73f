"""What the engine says happened. Numbers are feed format: append, never reuse.

An order is *in the book* from the end of the events of the command that accepted or amended it, if
it is still open then. Folds rely on this, and on the ledger rule: the wallet deltas of a batch are
exactly the fees of TRADE, the amounts of REALISED, DEPOSITED and WITHDRAWN, and the two legs of a
spot TRADE.
"""

from enum import IntEnum, IntFlag


class Event(IntEnum):
    """The kind of an event record and the meaning of its fields."""

    ACCEPTED = 1
    """handle, account, symbol, px, qty (after any reduce-only clip); flags = EventFlag.SELL."""
    TRADE = 2
    """handle/account = taker, maker_handle/maker_account = maker; px, qty; amount = taker fee and
    maker_amount = maker fee in settlement units, positive = paid; flags = EventFlag."""
    CANCELED = 3
    """handle, account, symbol, px; qty = the open quantity that was cancelled; flags = CancelReason;
    amount = 1 if it was a sell."""
    AMENDED = 4
    """handle, account, symbol; qty = new open quantity, px = new price;
    flags = EventFlag.SELL | KEPT_PRIORITY | BY_ENGINE; maker_handle = the new clid hash, 0 = unchanged."""
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
    """symbol; qty = mark price in subticks."""
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

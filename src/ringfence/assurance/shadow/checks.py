"""What an order is looked at for before it changes anything.

Source: docs/reference/rejects.md; docs/reference/contracts.md, "Price collar".
"""

from ringfence.assurance.shadow.accounts import Account, Position
from ringfence.assurance.shadow.bits import OrderBit
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.margin import Refusal, refusal
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import InstrumentState
from ringfence.messages.rejects import Reject


def market_of(venue: Venue, asked: Asked) -> tuple[Account, Instrument] | Reject:
    """Return the account and instrument of an order, or why it has none to trade with."""
    instrument = venue.instruments.get(asked.symbol)
    if instrument is None:
        return Reject.INVALID_SYMBOL
    account = venue.account(asked.account)
    if account is None:
        return Reject.INVALID_ACCOUNT
    if instrument.state != InstrumentState.OPEN:
        return Reject.MARKET_NOT_OPEN
    if account.disabled:
        return Reject.ACCOUNT_DISABLED
    return account, instrument


def contradict(flags: int, *, is_market: bool) -> bool:
    """Return whether instructions contradict each other."""
    forces = sum(1 for force in (OrderBit.IOC, OrderBit.FOK, OrderBit.DAY) if flags & force)
    takes_now = is_market or flags & (OrderBit.IOC | OrderBit.FOK)
    return forces > 1 or bool(flags & OrderBit.POST_ONLY and takes_now)


def qty_is_wrong(instrument: Instrument, qty: int) -> bool:
    return qty <= 0 or qty > instrument.qty_max or qty % instrument.lot_size != 0


def closing_qty(position: Position, *, sell: bool, qty: int) -> int:
    """Return how much of `qty` (0 = everything) a reduce-only order may do, 0 if it would not reduce."""
    held = min(position.qty if sell else -position.qty, position.instrument.qty_max)
    if held <= 0:
        return 0
    return min(qty, held) if qty else held


def reduced_qty(position: Position, flags: int, *, sell: bool, qty: int) -> int | Reject:
    """Return how much of `qty` a ReduceOnly or Close order may do, or why it may not do anything."""
    if position.instrument.is_spot:
        return Reject.INVALID_EXEC_INST
    if (qty or not flags & OrderBit.CLOSE) and qty_is_wrong(position.instrument, qty):
        return Reject.INVALID_ORDER_QTY
    return closing_qty(position, sell=sell, qty=qty) or Reject.REDUCE_ONLY


def collar_error(instrument: Instrument, *, sell: bool, px: int, qty: int) -> Reject | None:
    """Refuse an order priced beyond the collar that is larger than what the touch displays."""
    down, up = instrument.collar_of_mark()
    if (px >= down) if sell else (px <= up):
        return None
    side = instrument.book.against(sell)
    touch = side.best()
    if touch is None and not instrument.mark:
        return None
    limit = instrument.reach(sell)
    if (px >= limit) if sell else (px <= limit):
        return None
    if touch is not None and qty <= side.levels[touch].displayed_qty():
        return None
    return Reject.PRICE_BELOW_COLLAR if sell else Reject.PRICE_ABOVE_COLLAR


def valued_at(instrument: Instrument, *, sell: bool, px: int, is_market: bool) -> int:
    """Return the price that margin is asked for: a market order's touch, the better price of a limit ask."""
    book = instrument.book
    if is_market:
        return book.bid if sell else book.ask
    return max(book.bid, px) if sell else px


def entry_refusal(
    position: Position, *, sell: bool, px: int, qty: int, is_market: bool, locked_before: int | None = None
) -> Refusal | None:
    """Return why collar or margin refuse an order of this price, None if they do not."""
    instrument = position.instrument
    if not is_market:
        error = collar_error(instrument, sell=sell, px=px, qty=qty)
        if error is not None:
            return Refusal(error, 0)
    elif not instrument.book.crosses(sell, px):
        return None
    at = valued_at(instrument, sell=sell, px=px, is_market=is_market)
    return refusal(position, sell=sell, px=at, qty=qty, locked_before=locked_before)

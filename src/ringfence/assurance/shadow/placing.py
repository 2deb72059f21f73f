"""A new limit or market order that is neither triggered nor pegged nor linked.

Every check first, in the order in which docs/reference/rejects.md would have them answered, then the change.
"""

from ringfence.assurance.shadow.accounts import Position
from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.cancelling import adopt
from ringfence.assurance.shadow.checks import (
    collar_error,
    contradict,
    market_of,
    qty_is_wrong,
    reduced_qty,
    valued_at,
)
from ringfence.assurance.shadow.entering import end_of_day, take, why_the_rest_goes
from ringfence.assurance.shadow.margin import refusal
from ringfence.assurance.shadow.matching import enforce_reduce_only, trim_side
from ringfence.assurance.shadow.orders import SHOW_ALL, Order
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import OrderType
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.layouts import DISPLAY_ALL
from ringfence.messages.rejects import Reject


def place(venue: Venue, asked: Asked) -> None:
    market = market_of(venue, asked)
    if isinstance(market, Reject):
        return venue.refuse(asked, market)
    account, instrument = market
    flags, qty = asked.flags, asked.qty
    sell, is_market = bool(flags & OrderBit.SELL), asked.type == OrderType.MARKET
    if contradict(flags, is_market=is_market):
        return venue.refuse(asked, Reject.INVALID_EXEC_INST)
    if not instrument.mark and not instrument.is_spot:
        return venue.refuse(asked, Reject.NO_MARK_PRICE)
    position = venue.position_numbers.position_of(account, instrument)
    reducing = bool(flags & (OrderBit.REDUCE_ONLY | OrderBit.CLOSE))
    if reducing:
        reduced = reduced_qty(position, flags, sell=sell, qty=qty)
        if isinstance(reduced, Reject):
            return venue.refuse(asked, reduced, position.qty if reduced == Reject.REDUCE_ONLY else 0)
        qty = reduced
    if qty_is_wrong(instrument, qty):
        return venue.refuse(asked, Reject.INVALID_ORDER_QTY)
    px = instrument.reach(sell) if is_market else asked.px
    if not 1 <= px <= instrument.px_max:
        return venue.refuse(asked, Reject.INVALID_PRICE)
    display = SHOW_ALL if asked.display == DISPLAY_ALL else asked.display
    if display != SHOW_ALL and (is_market or display > qty or display % instrument.lot_size):
        return venue.refuse(asked, Reject.INVALID_DISPLAY_QTY)
    if len(position.orders) >= instrument.orders_max:
        return venue.refuse(asked, Reject.TOO_MANY_ORDERS, instrument.orders_max)
    if asked.clid and (account.number, asked.clid) in venue.by_client_id:
        return venue.refuse(asked, Reject.DUPLICATE_CLORDID)
    if not is_market:
        error = collar_error(instrument, sell=sell, px=px, qty=qty)
        if error is not None:
            return venue.refuse(asked, error)
    if not is_market or instrument.book.crosses(sell, px):
        at = valued_at(instrument, sell=sell, px=px, is_market=is_market)
        refused = refusal(position, sell=sell, px=at, qty=qty)
        if refused is not None:
            return venue.refuse(asked, refused.reject, refused.figure)
    order = Order(
        venue.take_slot(), venue.sequence & 0xFFFFFFFF, position, sell, asked.clid, px, display=display
    )
    order.take_flags(flags)
    venue.say(
        Event.ACCEPTED, flags=EventBit.SELL if sell else 0, handle=order.handle, account=account.number,
        symbol=instrument.number, qty=qty, px=px,
    )  # fmt: skip
    if flags & OrderBit.CLOSE:
        # It is the one to close the position; what the others could not do beside it goes.
        trim_side(
            venue, position, sell=sell, allowed=abs(position.qty) - qty, only_reduce_only=False,
            reason=CancelReason.CLOSE,
        )  # fmt: skip
    _take_and_rest(venue, position, order, qty=qty, flags=flags, is_market=is_market)


def _take_and_rest(
    venue: Venue, position: Position, order: Order, *, qty: int, flags: int, is_market: bool
) -> None:
    """Let a new order trade; only what rests of it becomes one of the open orders."""
    rest, reason = take(venue, order, px=order.px, qty=qty, flags=flags, is_market=is_market)
    if rest and reason is None:
        reason = why_the_rest_goes(flags, is_market=is_market)
    if rest and reason is None:
        order.leaves, order.filled = rest, qty - rest
        order.show_next_slice()
        if order.day:
            end_of_day(venue)
        position.instrument.book.add(order)
        adopt(venue, order)
    else:
        if rest:
            venue.say(
                Event.CANCELED, flags=reason or 0, handle=order.handle, account=position.account.number,
                symbol=position.instrument.number, qty=rest, px=order.px, amount=order.sell,
            )  # fmt: skip
        venue.give_back_slot(order.slot)
    enforce_reduce_only(venue, position)

"""Cancel and amend: an order that is open changes, or goes."""

from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.cancelling import cancel, stop_waiting, tell_linked_of_fill, wait
from ringfence.assurance.shadow.checks import closing_qty, collar_error, qty_is_wrong, valued_at
from ringfence.assurance.shadow.entering import come_to_rest, take
from ringfence.assurance.shadow.margin import refusal
from ringfence.assurance.shadow.matching import shrink
from ringfence.assurance.shadow.orders import Order
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import InstrumentState
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject

_QTY = OrderBit.AMEND_QTY | OrderBit.AMEND_LEAVES


def find_order(venue: Venue, asked: Asked) -> Order | None:
    """Return the open order that a command names, if it is the account's."""
    if not asked.handle:
        return venue.by_client_id.get((asked.account, asked.orig_clid))
    order = venue.orders.get(asked.handle & 0xFFFFFFFF)
    if order is None or order.handle != asked.handle or order.position.account.number != asked.account:
        return None
    return order


def cancel_one(venue: Venue, asked: Asked) -> None:
    order = find_order(venue, asked)
    if order is None:
        return venue.refuse(asked, Reject.UNKNOWN_ORDER)
    if order.position.instrument.is_halted:
        return venue.refuse(asked, Reject.VENUE_HALTED)
    return cancel(venue, order, CancelReason.REQUESTED)


def amend(venue: Venue, asked: Asked) -> None:
    order = find_order(venue, asked)
    if order is None:
        return venue.refuse(asked, Reject.UNKNOWN_ORDER)
    if order.position.instrument.is_halted:
        return venue.refuse(asked, Reject.VENUE_HALTED)
    if order.untriggered:
        return _amend_untriggered(venue, asked, order)
    flags, instrument = asked.flags, order.position.instrument
    leaves = order.leaves
    if flags & OrderBit.AMEND_QTY:
        leaves = asked.qty - order.filled
    elif flags & OrderBit.AMEND_LEAVES:
        leaves = asked.qty
    px = asked.px if flags & OrderBit.AMEND_PX else order.px
    if not flags & (_QTY | OrderBit.AMEND_PX) and not asked.clid:
        return venue.refuse(asked, Reject.NOTHING_TO_AMEND)
    if leaves != order.leaves and qty_is_wrong(instrument, leaves):
        return venue.refuse(asked, Reject.INVALID_ORDER_QTY)
    if not 1 <= px <= instrument.px_max:
        return venue.refuse(asked, Reject.INVALID_PRICE)
    if _name_is_taken(venue, asked, order):
        return venue.refuse(asked, Reject.DUPLICATE_CLORDID)
    if px == order.px and leaves <= order.leaves:
        new_clid = _rename(venue, asked, order)
        return shrink(venue, order, order.leaves - leaves, new_clid=new_clid)
    return _requeue(venue, asked, order, px, leaves)


def _name_is_taken(venue: Venue, asked: Asked, order: Order) -> bool:
    if not asked.clid or asked.clid == order.clid:
        return False
    return (order.position.account.number, asked.clid) in venue.by_client_id


def _rename(venue: Venue, asked: Asked, order: Order) -> int:
    """Give an order its new clOrdID, if it gets one; return what the event says of it."""
    if not asked.clid or asked.clid == order.clid:
        return 0
    account = order.position.account.number
    if order.clid:
        del venue.by_client_id[account, order.clid]
    order.clid = asked.clid
    venue.by_client_id[account, order.clid] = order
    return order.clid


def _requeue(venue: Venue, asked: Asked, order: Order, px: int, leaves: int) -> None:
    """Amend price or upwards quantity: the order loses its place, and may take liquidity."""
    position, sell = order.position, order.sell
    instrument = position.instrument
    if instrument.state != InstrumentState.OPEN:
        return venue.refuse(asked, Reject.MARKET_NOT_OPEN)
    if position.account.disabled:
        return venue.refuse(asked, Reject.ACCOUNT_DISABLED)
    if order.reduce_only:
        leaves = closing_qty(position, sell=sell, qty=leaves)
        if leaves == 0:
            return venue.refuse(asked, Reject.REDUCE_ONLY, position.qty)
    error = collar_error(instrument, sell=sell, px=px, qty=leaves)
    if error is not None:
        return venue.refuse(asked, error)
    spends_base = instrument.is_spot and sell
    replaced = order.leaves if spends_base else instrument.value(order.px, order.leaves)
    at = valued_at(instrument, sell=sell, px=px, is_market=False)
    refused = refusal(position, sell=sell, px=at, qty=leaves, replaced=replaced)
    if refused is not None:
        return venue.refuse(asked, refused.reject, refused.figure)

    instrument.book.remove(order)
    new_clid = _rename(venue, asked, order)
    venue.say(
        Event.AMENDED, flags=EventBit.SELL if sell else 0, handle=order.handle, account=position.account.number,
        symbol=instrument.number, qty=leaves, px=px, maker_handle=new_clid,
    )  # fmt: skip
    # Out of the book while it takes: nothing may find it as a resting order.
    order.leaves = 0
    rest, reason = take(venue, order, px=px, qty=leaves, flags=0, is_market=False)
    order.filled += leaves - rest
    if rest != leaves and order.linked:
        tell_linked_of_fill(venue, order, done=rest == 0)
    return come_to_rest(venue, order, px=px, rest=rest, reason=reason)


# ---- in no book


def _amend_untriggered(venue: Venue, asked: Asked, order: Order) -> None:
    """Amend an order that waits: quantity, limit price, stop price, peg offset."""
    condition, instrument, flags = order.what_it_waits_for, order.position.instrument, asked.flags
    amends_qty = bool(flags & _QTY)
    leaves = asked.qty if amends_qty else order.leaves
    px = asked.px if flags & OrderBit.AMEND_PX else order.px
    stop_px = asked.stop_px if flags & OrderBit.AMEND_STOP_PX else condition.stop_px
    offset = condition.peg_offset
    if flags & OrderBit.AMEND_PEG_OFFSET:
        offset = asked.display - (asked.display >> 31 << 32)
    anything = _QTY | OrderBit.AMEND_PX | OrderBit.AMEND_STOP_PX | OrderBit.AMEND_PEG_OFFSET
    if not flags & anything and (not asked.clid or asked.clid == order.clid):
        return venue.refuse(asked, Reject.NOTHING_TO_AMEND)
    if leaves != order.leaves and qty_is_wrong(instrument, leaves):
        return venue.refuse(asked, Reject.INVALID_ORDER_QTY)
    has_limit = order.px != 0
    if (flags & OrderBit.AMEND_PX and not has_limit) or not int(has_limit) <= px <= instrument.px_max:
        return venue.refuse(asked, Reject.INVALID_PRICE)
    if stop_px != condition.stop_px and not (condition.is_stop and 1 <= stop_px <= instrument.px_max):
        return venue.refuse(asked, Reject.INVALID_STOP_PX)
    turns = (offset < 0) != (condition.peg_offset < 0)
    if offset != condition.peg_offset and (not condition.is_trailing or turns):
        return venue.refuse(asked, Reject.INVALID_PEG)
    if _name_is_taken(venue, asked, order):
        return venue.refuse(asked, Reject.DUPLICATE_CLORDID)
    new_clid = _rename(venue, asked, order)
    if offset != condition.peg_offset:
        stop_px = min(max(stop_px + offset - condition.peg_offset, 1), instrument.px_max)
    stop_waiting(order)
    if amends_qty:
        condition.whole_position = False
    order.leaves, order.px = leaves, px
    condition.stop_px, condition.peg_offset = stop_px, offset
    wait(venue, order)
    venue.stops_to_look_at = True
    return say_waiting(venue, order, Event.AMENDED, new_clid=new_clid)


def say_waiting(venue: Venue, order: Order, kind: Event, *, flags: int = 0, new_clid: int = 0) -> None:
    """Say what an untriggered order is: ACCEPTED or AMENDED."""
    condition, position = order.what_it_waits_for, order.position
    venue.say(
        kind, flags=(EventBit.SELL if order.sell else 0) | EventBit.UNTRIGGERED | flags, handle=order.handle,
        account=position.account.number, symbol=position.instrument.number,
        qty=0 if condition.whole_position else order.leaves, px=order.px, amount=condition.peg_offset,
        maker_handle=new_clid, maker_amount=condition.stop_px if condition.is_stop else 0,
    )  # fmt: skip

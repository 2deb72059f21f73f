"""How an order ends without a trade, and what that and its trades do to the orders linked with it.

Orders of one position with the same clOrdLinkID form a group. What happens to the others of a group happens
in the order in which they were placed, beginning behind the order that it is about.
"""

from bisect import bisect_left, insort

from ringfence.assurance.shadow.orders import LAST_WITHIN_MARK, Order
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.commands import TriggerPrice
from ringfence.messages.events import CancelReason, Event


def adopt(venue: Venue, order: Order) -> None:
    """Count a new order among the open ones."""
    order.position.orders[order.slot] = order
    venue.orders[order.slot] = order
    if order.reduce_only:
        venue.reduce_only.add(order.slot)
    if order.linked:
        venue.linked.add(order.slot)
    if order.clid:
        venue.by_client_id[order.position.account.number, order.clid] = order


def retire(venue: Venue, order: Order) -> None:
    """Forget an order altogether."""
    if order.untriggered:
        stop_waiting(order)
        order.untriggered = order.waits_for_primary = False
    elif order.in_book:
        order.position.instrument.book.remove(order)
    del order.position.orders[order.slot]
    del venue.orders[order.slot]
    venue.reduce_only.discard(order.slot)
    venue.linked.discard(order.slot)
    if order.clid:
        del venue.by_client_id[order.position.account.number, order.clid]
    order.leaves = 0
    venue.give_back_slot(order.slot)


def drop(venue: Venue, order: Order, reason: CancelReason) -> None:
    """Take an order away and say so, without asking what is linked with it."""
    venue.say(
        Event.CANCELED, flags=reason, handle=order.handle, account=order.position.account.number,
        symbol=order.position.instrument.number, qty=order.leaves, px=order.px, amount=order.sell,
    )  # fmt: skip
    retire(venue, order)


def cancel(venue: Venue, order: Order, reason: CancelReason) -> None:
    """Take an open order away; orders that wait for it as their primary go first."""
    if order.linked and order.what_it_waits_for.is_primary:
        for other in linked_with(order):
            if other.waits_for_primary:
                drop(venue, other, CancelReason.LINKED)
    drop(venue, order, reason)


# ---- groups


def linked_with(order: Order) -> list[Order]:
    """Return the others of an order's group, in the order of their turn."""
    group = order.what_it_waits_for.group
    members = [
        other
        for other in order.position.orders.values()
        if other.linked and other.what_it_waits_for.group == group
    ]
    at = members.index(order)
    return members[at + 1 :] + members[:at]


def tell_linked_of_fill(venue: Venue, order: Order, *, done: bool) -> None:
    """An order of a group traded: a filled primary wakes what waits, any other cancels its rivals."""
    is_primary = order.what_it_waits_for.is_primary
    if is_primary and not done:
        return
    for other in linked_with(order):
        condition = other.what_it_waits_for
        if is_primary:
            if other.waits_for_primary:
                _wake(venue, other)
        elif other.leaves and condition.one_cancels_the_other and not condition.is_primary:
            # Without open quantity it is trading at this moment, with the one that was filled.
            drop(venue, other, CancelReason.LINKED)


def _wake(venue: Venue, order: Order) -> None:
    """The primary is filled: a stop begins to watch prices, any other order is due at once."""
    order.waits_for_primary = False
    wait(venue, order)
    venue.stops_to_look_at = True


# ---- where untriggered orders wait for prices


def wait(venue: Venue, order: Order) -> None:
    """Put an untriggered order into its queue, and among the trailing ones if it is one."""
    if order.waits_for_primary:
        return
    instrument = order.position.instrument
    if not venue.stops_to_look_at:
        instrument.forget_extremes()
    insort(instrument.waiting.setdefault(order.queue(), []), order.place_in_queue())
    if order.what_it_waits_for.is_trailing:
        instrument.trailing[order.slot] = order


def stop_waiting(order: Order) -> None:
    """Take an untriggered order out of its queue."""
    if order.waits_for_primary:
        return
    instrument = order.position.instrument
    queue = instrument.waiting[order.queue()]
    at = bisect_left(queue, order.place_in_queue())
    assert queue[at] == order.place_in_queue()
    del queue[at]
    instrument.trailing.pop(order.slot, None)


def note_last_price(venue: Venue, order: Order) -> None:
    """After a trade at an order's price: remember how far the last price went, if it reaches a stop.

    Stops are triggered after the command, so that each is looked at once.
    """
    instrument, px = order.position.instrument, order.px
    for source in (TriggerPrice.LAST, LAST_WITHIN_MARK):
        rising, falling = instrument.waiting.get((source, False)), instrument.waiting.get((source, True))
        if (rising and px >= rising[0][0]) or (falling and px <= -falling[0][0]):
            instrument.last_high = max(instrument.last_high, px)
            instrument.last_low = min(instrument.last_low, px) if instrument.last_low else px
            venue.stops_to_look_at = True
            return

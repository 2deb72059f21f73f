"""An order into the market: it takes what it may, and its rest stands in the book or goes for a reason."""

from ringfence.assurance.shadow.bits import OrderBit
from ringfence.assurance.shadow.cancelling import cancel, retire, tell_linked_of_fill
from ringfence.assurance.shadow.checks import entry_refusal
from ringfence.assurance.shadow.matching import enforce_reduce_only, execute, fillable
from ringfence.assurance.shadow.orders import Order
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.events import CancelReason
from ringfence.messages.rejects import Reject
from ringfence.units.time import NS_PER_DAY


def enter(
    venue: Venue, order: Order, *, px: int, qty: int, flags: int, is_market: bool,
    check_margin: bool = False, locked_before: int | None = None,
) -> None:  # fmt: skip
    """Let an order that is open but in no book trade and rest."""
    position, sell = order.position, order.sell
    reason: CancelReason | None = None
    if check_margin:
        refused = entry_refusal(
            position, sell=sell, px=px, qty=qty, is_market=is_market, locked_before=locked_before
        )
        if refused is not None:
            short = refused.reject == Reject.INSUFFICIENT_BALANCE
            reason = CancelReason.INSUFFICIENT_MARGIN if short else CancelReason.REFUSED
    order.leaves = 0
    rest = qty
    if reason is None:
        rest, reason = take(venue, order, px=px, qty=qty, flags=flags, is_market=is_market)
    order.filled += qty - rest
    if reason is None and rest:
        reason = why_the_rest_goes(flags, is_market=is_market)
    if rest != qty and order.linked:
        tell_linked_of_fill(venue, order, done=rest == 0)
    come_to_rest(venue, order, px=px, rest=rest, reason=reason)


def take(
    venue: Venue, order: Order, *, px: int, qty: int, flags: int, is_market: bool
) -> tuple[int, CancelReason | None]:
    """Trade as far as an order may; return (still wanted, why the rest is cancelled or None)."""
    position, sell = order.position, order.sell
    if not position.instrument.book.crosses(sell, px):
        return qty, None
    if order.post_only:
        return qty, CancelReason.POST_ONLY
    if flags & OrderBit.FOK and not fillable(position, sell=sell, limit=px, wanted=qty):
        return qty, CancelReason.FILL_OR_KILL
    return execute(venue, position, order.handle, sell=sell, limit=px, wanted=qty, is_market=is_market)


def why_the_rest_goes(flags: int, *, is_market: bool) -> CancelReason | None:
    """Return why what is left of an order does not rest, None if it does."""
    if is_market:
        return CancelReason.COLLAR
    if flags & OrderBit.IOC:
        return CancelReason.IMMEDIATE_OR_CANCEL
    return CancelReason.FILL_OR_KILL if flags & OrderBit.FOK else None


def come_to_rest(venue: Venue, order: Order, *, px: int, rest: int, reason: CancelReason | None) -> None:
    """End what an order came to do: its rest stands in the book, or it is filled, or it goes for a reason."""
    order.px, order.leaves = px, rest
    if rest == 0:
        retire(venue, order)
    else:
        order.show_next_slice()
        order.position.instrument.book.add(order)
        if reason is not None:
            cancel(venue, order, reason)
    enforce_reduce_only(venue, order.position)


def end_of_day(venue: Venue) -> None:
    """A day order came in: have the day end."""
    if venue.day_ends_ns == 0:
        venue.day_ends_ns = venue.timestamp_ns - venue.timestamp_ns % NS_PER_DAY + NS_PER_DAY

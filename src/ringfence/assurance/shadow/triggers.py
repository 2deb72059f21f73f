"""What sets untriggered orders off, and what they do then.

Prices are looked at after the command that moved them, each order once. A triggered order enters like a new one:
what a new order would be refused for cancels it.
"""

from ringfence.assurance.shadow.amending import say_waiting
from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.cancelling import cancel, stop_waiting, tell_linked_of_fill, wait
from ringfence.assurance.shadow.checks import closing_qty
from ringfence.assurance.shadow.entering import enter
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.margin import locked_by
from ringfence.assurance.shadow.orders import LAST_WITHIN_MARK, Order
from ringfence.assurance.shadow.pieces import Piece, events_to_cross
from ringfence.assurance.shadow.special import trailed
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.commands import InstrumentState, TriggerPrice
from ringfence.messages.events import CancelReason, Event
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.rounding import PPM, muldiv

_TRAIL_STEP_PPM = 1_000
"""A trailing stop follows once its price has moved by this much, 0.1 %."""
_SOURCES = (TriggerPrice.MARK, TriggerPrice.LAST, TriggerPrice.INDEX, LAST_WITHIN_MARK)


def follow_trailing(venue: Venue, instrument: Instrument, piece: Piece) -> None:
    """Move the stops of trailing orders after a favourable move of their price; the newest first."""
    for order in list(reversed(instrument.trailing.values())):
        if piece.is_full(venue):
            return
        condition = order.what_it_waits_for
        now, before = instrument.trigger_price(condition.source), condition.reference
        moved = now - before if condition.peg_offset < 0 else before - now
        if now and moved > muldiv(before, _TRAIL_STEP_PPM, PPM):
            stop_waiting(order)
            condition.reference = now
            condition.stop_px = trailed(instrument, condition)
            wait(venue, order)
            say_waiting(venue, order, Event.AMENDED, flags=EventBit.BY_ENGINE)


def run_triggers(venue: Venue, piece: Piece) -> bool:
    """Activate what prices have reached, while the piece lasts; return whether all is done."""
    for instrument in venue.instruments.values():
        if instrument.state == InstrumentState.OPEN:
            for source in _SOURCES:
                for falling in (False, True):
                    if not _run_queue(venue, instrument, source, falling, piece):
                        return False
        instrument.forget_extremes()
    return True


def _run_queue(venue: Venue, instrument: Instrument, source: int, falling: bool, piece: Piece) -> bool:
    """Activate what is reached of one queue; return False if the piece ended before that."""
    queue = instrument.waiting.get((source, falling))
    while queue:
        order = venue.orders[queue[0][2]]
        at = _reached(venue, instrument, order, source, falling)
        if not at:
            break
        if not piece.has_room(venue, _events_of(venue, instrument, order)):
            return False
        _activate(venue, instrument, order, at)
    return True


def _reached(venue: Venue, instrument: Instrument, order: Order, source: int, falling: bool) -> int:
    """Return the price in subticks that has reached an order, 0 if none has."""
    condition = order.what_it_waits_for
    if not condition.is_stop:
        return max(instrument.mark, 1)  # its primary is filled: it comes whatever the price is
    if source in (TriggerPrice.MARK, TriggerPrice.INDEX):
        if source == TriggerPrice.MARK and not instrument.is_spot and instrument.is_stale(venue.timestamp_ns):
            return 0
        now = instrument.trigger_price(source)
    else:
        now = (instrument.last_low if falling else instrument.last_high) * MARK_SUBTICKS
        if source == LAST_WITHIN_MARK:
            span = muldiv(instrument.mark, instrument.last_band_ppm, PPM)
            if (now < instrument.mark - span) if falling else (now > instrument.mark + span):
                return 0
    stop = condition.stop_px * MARK_SUBTICKS
    return now if ((now <= stop) if falling else (now >= stop)) else 0


def _events_of(venue: Venue, instrument: Instrument, order: Order) -> int:
    """Return how many events the activation of an order may cause at most."""
    position = order.position
    qty = abs(position.qty) if order.what_it_waits_for.whole_position else order.leaves
    fills = min(instrument.lots(qty), len(instrument.book.against(order.sell)))
    return events_to_cross(venue, position, fills) + 4


def _activate(venue: Venue, instrument: Instrument, order: Order, at: int) -> None:
    """Turn an untriggered order into what it was waiting to be."""
    condition, position, sell = order.what_it_waits_for, order.position, order.sell
    flags, account = condition.flags, position.account
    stop_waiting(order)
    order.untriggered = False
    qty, reducing = order.leaves, bool(flags & (OrderBit.REDUCE_ONLY | OrderBit.CLOSE))
    if reducing:
        qty = closing_qty(position, sell=sell, qty=0 if condition.whole_position else qty)
    venue.say(
        Event.TRIGGERED, flags=EventBit.SELL if sell else 0, handle=order.handle, account=account.number,
        symbol=instrument.number, qty=qty, px=condition.stop_px if condition.is_stop else 0,
        amount=at if condition.is_stop else 0,
    )  # fmt: skip
    # What its rivals locked is there for it: they go because it comes.
    locked_before = locked_by(position)
    if order.linked and condition.one_cancels_the_other and condition.is_stop:
        tell_linked_of_fill(venue, order, done=False)
    is_market = order.px == 0
    px = instrument.reach(sell) if is_market else order.px
    if qty == 0 or account.disabled:
        order.px = px
        return cancel(venue, order, CancelReason.REDUCE_ONLY if reducing else CancelReason.REFUSED)
    down, up = instrument.collar_of_mark()
    beyond = px < down if sell else px > up
    if not is_market and beyond and instrument.book.crosses(sell, px):
        # It goes as far as an order may and no further; the outside has to know at which price it rests.
        reach = instrument.reach(sell)
        px = max(px, reach) if sell else min(px, reach)
        venue.say(
            Event.AMENDED, flags=(EventBit.SELL if sell else 0) | EventBit.BY_ENGINE, handle=order.handle,
            account=account.number, symbol=instrument.number, qty=qty, px=px,
        )  # fmt: skip
    return enter(
        venue, order, px=px, qty=qty, flags=flags, is_market=is_market, check_margin=True,
        locked_before=locked_before,
    )  # fmt: skip

"""A new order that is triggered, pegged or linked.

Source: messages/commands.py, `OrderType`, `Peg`, `Contingency` and `instructions`.
"""

from typing import NamedTuple

from ringfence.assurance.shadow.accounts import Position
from ringfence.assurance.shadow.amending import say_waiting
from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.cancelling import adopt, wait
from ringfence.assurance.shadow.checks import contradict, entry_refusal, market_of, qty_is_wrong, reduced_qty
from ringfence.assurance.shadow.entering import end_of_day, enter
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.orders import SHOW_ALL, Condition, Order
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import Contingency, OrderType, Peg, TriggerPrice
from ringfence.messages.events import Event
from ringfence.messages.layouts import DISPLAY_ALL
from ringfence.messages.rejects import Reject
from ringfence.units.limits import MARK_SUBTICKS

_MARKETS = (OrderType.MARKET, OrderType.STOP, OrderType.MARKET_IF_TOUCHED)
"""Types without a limit price."""
_LIMITS = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED)
_REDUCING = OrderBit.REDUCE_ONLY | OrderBit.CLOSE


class Instructions(NamedTuple):
    """What the handle of a new order says: see `instructions` in messages/commands.py."""

    trigger: int
    peg: int
    offset: int
    contingency: int
    within_mark: int

    @classmethod
    def of(cls, word: int) -> "Instructions":
        low = word & 0xFFFFFFFF
        offset = low - (1 << 32) if low >> 31 else low
        # The highest bit of all says nothing.
        return cls(word >> 32 & 0xFF, word >> 40 & 0xFF, offset, word >> 48 & 0xFF, word >> 56 & 0x7F)


def place_special(venue: Venue, asked: Asked) -> None:
    market = market_of(venue, asked)
    if isinstance(market, Reject):
        return venue.refuse(asked, market)
    account, instrument = market
    if not instrument.mark and not instrument.is_spot:
        return venue.refuse(asked, Reject.NO_MARK_PRICE)
    position = venue.position_numbers.position_of(account, instrument)
    said, flags = Instructions.of(asked.handle), asked.flags
    sell, reducing = bool(flags & OrderBit.SELL), bool(flags & _REDUCING)
    error = _contradiction(instrument, asked, said)
    if error is not None:
        return venue.refuse(asked, error)
    is_stop = OrderType.STOP <= asked.type <= OrderType.LIMIT_IF_TOUCHED
    whole = is_stop and asked.qty == 0 and bool(flags & OrderBit.CLOSE)
    if not whole and qty_is_wrong(instrument, asked.qty):
        return venue.refuse(asked, Reject.INVALID_ORDER_QTY)
    if len(position.orders) >= instrument.orders_max:
        return venue.refuse(asked, Reject.TOO_MANY_ORDERS, instrument.orders_max)
    if asked.clid and (account.number, asked.clid) in venue.by_client_id:
        return venue.refuse(asked, Reject.DUPLICATE_CLORDID)
    group = _group(position, asked.orig_clid) if said.contingency else []
    waits_for_primary = any(order.what_it_waits_for.is_primary for order in group)
    untriggered = waits_for_primary or is_stop
    if untriggered and sum(order.untriggered for order in position.orders.values()) >= instrument.stops_max:
        return venue.refuse(asked, Reject.TOO_MANY_STOPS, instrument.stops_max)
    px = asked.px
    if asked.type == OrderType.PEGGED:
        px = _pegged_price(instrument, sell=sell, said=said)
        if not 1 <= px <= instrument.px_max:
            return venue.refuse(asked, Reject.NO_LIQUIDITY if px == 0 else Reject.INVALID_PRICE)
    qty = instrument.lot_size if whole else asked.qty
    if not untriggered:
        now = _immediate(position, asked, sell=sell, px=px, qty=qty)
        if isinstance(now, Reject):
            return venue.refuse(asked, now, position.qty if reducing else 0)
        qty = now

    order = Order(venue.take_slot(), venue.sequence & 0xFFFFFFFF, position, sell, asked.clid)
    order.px = 0 if asked.type in _MARKETS else px
    order.leaves = qty
    order.display = SHOW_ALL if asked.display == DISPLAY_ALL else asked.display
    order.take_flags(flags)
    order.untriggered, order.waits_for_primary = untriggered, waits_for_primary
    order.condition = Condition(
        type=asked.type, flags=flags, source=said.trigger, peg=said.peg, peg_offset=said.offset,
        stop_px=asked.stop_px, within_mark=bool(said.within_mark), whole_position=whole,
        contingency=said.contingency, group=asked.orig_clid if said.contingency else 0,
        is_primary=said.contingency == Contingency.ONE_TRIGGERS_THE_OTHER and not group,
    )  # fmt: skip
    if order.condition.is_trailing:
        order.condition.reference = instrument.trigger_price(said.trigger)
        if order.condition.stop_px == 0:
            order.condition.stop_px = trailed(instrument, order.condition)
    adopt(venue, order)
    if order.day:
        end_of_day(venue)
    if untriggered:
        wait(venue, order)
        venue.stops_to_look_at = True
        return say_waiting(venue, order, Event.ACCEPTED)
    is_market = asked.type == OrderType.MARKET
    if is_market:
        px = instrument.reach(sell)
    venue.say(
        Event.ACCEPTED, flags=EventBit.SELL if sell else 0, handle=order.handle, account=account.number,
        symbol=instrument.number, qty=qty, px=px,
    )  # fmt: skip
    return enter(venue, order, px=px, qty=qty, flags=flags, is_market=is_market)


def _group(position: Position, group: int) -> list[Order]:
    """Return the open orders of a position that are linked under this clOrdLinkID."""
    return [
        order for order in position.orders.values() if order.linked and order.what_it_waits_for.group == group
    ]


def _contradiction(instrument: Instrument, asked: Asked, said: Instructions) -> Reject | None:
    """Refuse what contradicts itself: types, prices, pegs, links."""
    kind, flags = asked.type, asked.flags
    is_stop = OrderType.STOP <= kind <= OrderType.LIMIT_IF_TOUCHED
    unknown = (
        kind > OrderType.PEGGED
        or said.peg > Peg.TRAILING
        or said.trigger > TriggerPrice.INDEX
        or said.contingency > Contingency.ONE_TRIGGERS_THE_OTHER
        or said.within_mark > 1
    )
    if unknown or contradict(flags, is_market=kind in _MARKETS):
        return Reject.INVALID_EXEC_INST
    if instrument.is_spot:
        # Spot has no mark, no index and no position to reduce.
        watches_last = said.trigger == TriggerPrice.LAST
        if (is_stop and not watches_last) or said.within_mark or flags & _REDUCING:
            return Reject.INVALID_EXEC_INST
    if said.trigger == TriggerPrice.INDEX and not instrument.index:
        return Reject.NO_INDEX
    if said.within_mark and not (is_stop and said.trigger == TriggerPrice.LAST):
        return Reject.INVALID_EXEC_INST
    pegs = (Peg.PRIMARY, Peg.MARKET) if kind == OrderType.PEGGED else (Peg.NONE, Peg.TRAILING)
    if said.peg not in pegs or (said.peg == Peg.TRAILING and not is_stop):
        return Reject.INVALID_PEG
    if said.peg == Peg.TRAILING:
        # It trails on the side from which its stop is reached.
        below = bool(flags & OrderBit.SELL) == (kind in (OrderType.STOP, OrderType.STOP_LIMIT))
        if said.offset == 0 or (said.offset < 0) != below or abs(said.offset) > instrument.px_max:
            return Reject.INVALID_PEG
    lowest = 0 if said.peg == Peg.TRAILING else 1
    if (is_stop and not lowest <= asked.stop_px <= instrument.px_max) or (not is_stop and asked.stop_px):
        return Reject.INVALID_STOP_PX
    if kind in _LIMITS and not 1 <= asked.px <= instrument.px_max:
        return Reject.INVALID_PRICE
    if said.contingency and not asked.orig_clid:
        return Reject.INVALID_CONTINGENCY
    hides = asked.display != DISPLAY_ALL
    if hides and (is_stop or kind == OrderType.MARKET or asked.display > asked.qty):
        return Reject.INVALID_DISPLAY_QTY
    return None


def _immediate(position: Position, asked: Asked, *, sell: bool, px: int, qty: int) -> int | Reject:
    """Return the quantity of an order that enters the market at once, or why it may not."""
    is_market = asked.type == OrderType.MARKET
    if asked.flags & _REDUCING:
        reduced = reduced_qty(position, asked.flags, sell=sell, qty=qty)
        if isinstance(reduced, Reject):
            return reduced
        qty = reduced
    if is_market:
        px = position.instrument.reach(sell)
    refused = entry_refusal(position, sell=sell, px=px, qty=qty, is_market=is_market)
    return Reject(refused.reject) if refused is not None else qty


def _pegged_price(instrument: Instrument, *, sell: bool, said: Instructions) -> int:
    """Return the limit price of a pegged order now, 0 if there is no price to peg it to."""
    near = instrument.book.side(sell)
    touch = (near if said.peg == Peg.PRIMARY else instrument.book.against(sell)).best()
    return 0 if touch is None else touch + said.offset


def trailed(instrument: Instrument, condition: Condition) -> int:
    """Return the stop price of a trailing order at its distance from where its price was seen last."""
    px = condition.reference // MARK_SUBTICKS + condition.peg_offset
    return min(max(px, 1), instrument.px_max)

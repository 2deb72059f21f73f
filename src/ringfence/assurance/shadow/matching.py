"""Crossing the book: best price first, then displayed before hidden, then time.

At a price with hidden quantity the displayed slices that stood there on arrival trade first; only then the
hidden quantity, every order whole in queue order. So no order trades more than twice for one command.
"""

from ringfence.assurance.shadow.accounts import Position
from ringfence.assurance.shadow.bits import EventBit
from ringfence.assurance.shadow.book import Level
from ringfence.assurance.shadow.cancelling import cancel
from ringfence.assurance.shadow.clearing import trade
from ringfence.assurance.shadow.margin import refusal
from ringfence.assurance.shadow.orders import SHOW_ALL, Order
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.commands import SelfTrade
from ringfence.messages.events import CancelReason, Event


def execute(
    venue: Venue, position: Position, handle: int, *, sell: bool, limit: int, wanted: int, is_market: bool
) -> tuple[int, CancelReason | None]:
    """Take liquidity up to a limit price; return (still wanted, why the rest is cancelled or None)."""
    side = position.instrument.book.against(sell)
    first = side.best()
    while wanted > 0:
        best = side.best()
        if best is None or (best < limit if sell else best > limit):
            break
        level = side.levels[best]
        if is_market and best != first and not _affords(position, sell, best, min(wanted, level.qty())):
            return wanted, CancelReason.INSUFFICIENT_MARGIN
        if not level.shows_everything():
            wanted, reason = _sweep_level_with_hidden(venue, position, handle, level, wanted)
            if reason is not None:
                return wanted, reason
            continue
        maker = level.first()
        assert maker is not None
        if maker.position is position and position.account.self_trade != SelfTrade.ALLOW:
            reason = _prevent_self_trade(venue, maker)
            if reason is not None:
                return wanted, reason
            continue
        qty = min(wanted, maker.leaves)
        wanted -= qty
        trade(venue, position, handle, maker, qty, wanted, hidden=False)
        enforce_reduce_only(venue, maker.position)
    return wanted, None


def _affords(position: Position, sell: bool, px: int, qty: int) -> bool:
    """Return whether a market order may go on at a worse price than the one it was checked at."""
    return refusal(position, sell=sell, px=px, qty=qty) is None


def _sweep_level_with_hidden(
    venue: Venue, position: Position, handle: int, level: Level, wanted: int
) -> tuple[int, CancelReason | None]:
    """Trade at a price where not everything is displayed; return (still wanted, why the rest is cancelled)."""
    displayed = level.displayed_qty()
    while wanted > 0 and (maker := level.first()) is not None:
        shown = maker.displayed()
        if maker.position is position and position.account.self_trade != SelfTrade.ALLOW:
            reason = _prevent_self_trade(venue, maker)
            if reason is not None:
                return wanted, reason
            displayed -= shown
            continue
        hidden = displayed <= 0
        qty = min(wanted, maker.leaves if hidden else shown)
        wanted -= qty
        displayed -= qty
        trade(venue, position, handle, maker, qty, wanted, hidden=hidden)
        enforce_reduce_only(venue, maker.position)
    return wanted, None


def _prevent_self_trade(venue: Venue, resting: Order) -> CancelReason | None:
    """An account met its own order: None after the resting one is gone, or why the taker stops."""
    if resting.position.account.self_trade == SelfTrade.CANCEL_TAKING:
        return CancelReason.SELF_TRADE
    cancel(venue, resting, CancelReason.SELF_TRADE)
    return None


def fillable(position: Position, *, sell: bool, limit: int, wanted: int) -> bool:
    """Return whether the book holds `wanted` within the limit, not counting own orders that may not trade."""
    skip_own = position.account.self_trade != SelfTrade.ALLOW
    for px, level in position.instrument.book.against(sell).walk():
        if wanted <= 0 or (px < limit if sell else px > limit):
            break
        wanted -= sum(order.leaves for order in level if not (skip_own and order.position is position))
    return wanted <= 0


# ---- orders that only reduce


def enforce_reduce_only(venue: Venue, position: Position) -> None:
    """Cut reduce-only orders to what the position still is."""
    if not any(order.reduce_only for order in position.orders.values()):
        return
    for sell, held in ((True, position.qty), (False, -position.qty)):
        trim_side(
            venue,
            position,
            sell=sell,
            allowed=max(held, 0),
            only_reduce_only=True,
            reason=CancelReason.REDUCE_ONLY,
        )


def trim_side(
    venue: Venue,
    position: Position,
    *,
    sell: bool,
    allowed: int,
    only_reduce_only: bool,
    reason: CancelReason,
) -> None:
    """Cancel the least aggressive orders of one side, newest first, until what is left fits `allowed`.

    Reduce-only orders are cut down to the last contract that fits instead of cancelled.
    """
    while True:
        counted = [
            order
            for order in position.newest_first()
            if order.in_book and order.sell == sell and (order.reduce_only or not only_reduce_only)
        ]
        excess = sum(order.leaves for order in counted) - allowed
        if excess <= 0:
            return
        worst = max(counted, key=lambda order: order.px if sell else -order.px)
        if only_reduce_only and worst.leaves > excess:
            shrink(venue, worst, excess, flags=EventBit.BY_ENGINE)
            return
        cancel(venue, worst, reason)


def shrink(venue: Venue, order: Order, by: int, *, flags: int = 0, new_clid: int = 0) -> None:
    """Cut an order's open quantity; it keeps its place in the queue."""
    order.leaves -= by
    if order.display != SHOW_ALL:
        order.shown = min(order.shown, order.leaves)
    venue.say(
        Event.AMENDED, flags=(EventBit.SELL if order.sell else 0) | EventBit.KEPT_PRIORITY | flags,
        handle=order.handle, account=order.position.account.number, symbol=order.position.instrument.number,
        qty=order.leaves, px=order.px, maker_handle=new_clid,
    )  # fmt: skip

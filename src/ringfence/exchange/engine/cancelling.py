"""How an order ends without a trade, and what that and its trades do to the orders linked with it."""

import numpy as np

from ringfence.exchange.engine.book import retire
from ringfence.exchange.engine.listing import NEVER_ABOVE
from ringfence.exchange.engine.margin import release
from ringfence.exchange.engine.records import (
    ORDER_LINKED,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
    ORDER_WAITING,
    PENDING_TRIGGERS,
)
from ringfence.exchange.engine.tables import emit, handle_of, orders, triggers
from ringfence.exchange.engine.views import Record, compiled, inline
from ringfence.exchange.engine.waiting import wait, watches_price
from ringfence.messages.commands import Contingency
from ringfence.messages.events import CancelReason, Event

_CANCELED = int(Event.CANCELED)
_BY_LINK = int(CancelReason.LINKED)
_OCO = int(Contingency.ONE_CANCELS_THE_OTHER)


@inline
def cancel(h: Record, ins: Record, p: Record, slot: int, o: Record, reason: int) -> None:
    """Take an open order away and say why. The caller relocks the position's margin."""
    if o.flags & (ORDER_UNTRIGGERED | ORDER_LINKED):
        cancel_unusual(h, ins, p, slot, o, reason)
        return
    release(h, ins, p, o)
    say_canceled(h, ins, p, slot, o, reason)
    retire(h, ins, p, slot, o)


@inline
def say_canceled(h: Record, ins: Record, p: Record, slot: int, o: Record, reason: int) -> None:
    emit(
        h, _CANCELED, reason, handle_of(o, slot), p.account, ins.number, np.int64(o.leaves),
        np.int64(o.px), np.int64(o.flags & ORDER_SELL),
    )  # fmt: skip


@compiled
def drop(h: Record, ins: Record, p: Record, slot: int, o: Record, reason: int) -> None:
    """Take any order away without asking what is linked with it."""
    if not o.flags & ORDER_UNTRIGGERED:
        release(h, ins, p, o)
    say_canceled(h, ins, p, slot, o, reason)
    retire(h, ins, p, slot, o)


@compiled
def cancel_unusual(h: Record, ins: Record, p: Record, slot: int, o: Record, reason: int) -> None:
    """Cancel an untriggered or linked order; orders that wait for it go with it."""
    if o.flags & ORDER_LINKED and triggers(h, slot).is_primary:
        other = np.int64(triggers(h, slot).link_next)
        while other != slot:
            following = np.int64(triggers(h, other).link_next)
            if orders(h, other).flags & ORDER_WAITING:
                drop(h, ins, p, other, orders(h, other), _BY_LINK)
            other = following
    drop(h, ins, p, slot, o, reason)


@compiled
def linked_filled(h: Record, ins: Record, p: Record, slot: int, done: bool) -> None:
    """An order of a group traded: a filled primary wakes what waits, any other cancels its rivals."""
    t = triggers(h, slot)
    is_primary = t.is_primary != 0
    if is_primary and not done:
        return
    other = np.int64(t.link_next)
    while other != slot:
        following = np.int64(triggers(h, other).link_next)
        if is_primary:
            if orders(h, other).flags & ORDER_WAITING:
                wake(h, ins, other)
        elif orders(h, other).leaves == 0:
            pass  # it is trading at this moment, with the one that was filled; its own fill counts as well
        elif triggers(h, other).contingency == _OCO and not triggers(h, other).is_primary:
            drop(h, ins, p, other, orders(h, other), _BY_LINK)
        other = following


@compiled
def wake(h: Record, ins: Record, slot: int) -> None:
    """The primary is filled: a stop begins to watch prices, any other order is due at once."""
    o, t = orders(h, slot), triggers(h, slot)
    o.flags = np.int64(o.flags) & ~ORDER_WAITING
    if not watches_price(t):
        # As a stop that every price has reached.
        t.source = 0
        t.within_mark = 0
        t.stop_px = NEVER_ABOVE if o.flags & ORDER_SELL else 1
    wait(h, ins, slot, o, t)
    h.pending = np.int64(h.pending) | PENDING_TRIGGERS

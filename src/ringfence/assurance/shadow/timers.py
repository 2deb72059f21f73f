"""What time does: cancel-all-after timers and the end of day orders; and cancelling all at once.

Timers stand in a table in the order in which they were armed. One that is gone leaves its place to the last; they
fire in the order of the table.
"""

from ringfence.assurance.shadow.accounts import Account
from ringfence.assurance.shadow.cancelling import cancel
from ringfence.assurance.shadow.entering import end_of_day
from ringfence.assurance.shadow.liquidation import cancel_orders
from ringfence.assurance.shadow.venue import Asked, Timer, Venue
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject
from ringfence.units.assets import ASSETS
from ringfence.units.time import NS_PER_DAY, NS_PER_MS

_TIMEOUT_MS_MAX = 365 * NS_PER_DAY // NS_PER_MS


def cancel_all(venue: Venue, asked: Asked) -> None:
    account = venue.account(asked.account)
    if account is None:
        return venue.refuse(asked, Reject.INVALID_ACCOUNT)
    if asked.symbol and asked.symbol not in venue.instruments:
        return venue.refuse(asked, Reject.INVALID_SYMBOL)
    return _cancel_all_of(venue, account, CancelReason.CANCEL_ALL, symbol=asked.symbol, only=asked.flags)


def _cancel_all_of(
    venue: Venue, account: Account, reason: CancelReason, *, symbol: int = 0, only: int = 0
) -> None:
    for asset in range(len(ASSETS)):
        for position in list(account.in_asset(asset).positions.values()):
            if symbol in (0, position.instrument.number):
                cancel_orders(venue, position, reason, only=only)


def cancel_all_after(venue: Venue, asked: Asked) -> None:
    if venue.account(asked.account) is None:
        return venue.refuse(asked, Reject.INVALID_ACCOUNT)
    if not 0 <= asked.qty <= _TIMEOUT_MS_MAX:
        return venue.refuse(asked, Reject.INVALID_TIMEOUT)
    armed = next((timer for timer in venue.timers if timer.account == asked.account), None)
    fires_ns = venue.timestamp_ns + asked.qty * NS_PER_MS if asked.qty else 0
    if fires_ns == 0:
        if armed is not None:
            _remove(venue, armed)
    else:
        if armed is None:
            venue.timers.append(Timer(asked.account, fires_ns))
        else:
            armed.fires_ns = fires_ns
        if venue.next_timer_ns == 0 or fires_ns < venue.next_timer_ns:
            venue.next_timer_ns = fires_ns
    return venue.say(Event.TIMER_SET, account=asked.account, amount=fires_ns)


def _remove(venue: Venue, timer: Timer) -> None:
    """Forget a timer; the last one takes its place."""
    at, last = venue.timers.index(timer), venue.timers.pop()
    if last is not timer:
        venue.timers[at] = last


def fire_timers(venue: Venue) -> None:
    """Fire what is due, in the order of the table, and find out when the next one is."""
    at = 0
    while at < len(venue.timers):
        timer = venue.timers[at]
        if timer.fires_ns > venue.timestamp_ns:
            at += 1
            continue
        venue.say(Event.TIMER_FIRED, account=timer.account, amount=timer.fires_ns)
        _cancel_all_of(venue, venue.accounts[timer.account], CancelReason.TIMER)
        _remove(venue, timer)
    venue.next_timer_ns = min((timer.fires_ns for timer in venue.timers), default=0)


def end_day(venue: Venue) -> None:
    """Cancel the day orders, in the order of their slots; those of a halted contract have another day."""
    venue.day_ends_ns = 0
    for slot in sorted(venue.orders):
        order = venue.orders.get(slot)
        if order is None or not order.day:
            continue
        if order.position.instrument.is_halted:
            end_of_day(venue)
        else:
            cancel(venue, order, CancelReason.DAY_ENDED)

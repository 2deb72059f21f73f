"""What is done beside commands: what time brings, and what commands leave over. A halted venue waits.

Source: docs/decisions/0007-upkeep-in-pieces.md. The first piece is done with the command that moved a price, the
rest with TICKs.
"""

from ringfence.assurance.shadow.deleveraging import deleverage
from ringfence.assurance.shadow.funding import fund, sample_premiums
from ringfence.assurance.shadow.halting import next_reopen_ns, reopen_due
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.insurance import work
from ringfence.assurance.shadow.liquidation import scan
from ringfence.assurance.shadow.marking import set_index, set_mark
from ringfence.assurance.shadow.pieces import Done, Piece
from ringfence.assurance.shadow.settlement import settle
from ringfence.assurance.shadow.timers import end_day, fire_timers
from ringfence.assurance.shadow.triggers import follow_trailing, run_triggers
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import Command, InstrumentState, TradingState
from ringfence.messages.events import Event
from ringfence.units.time import NS_PER_MINUTE


def price_command(venue: Venue, asked: Asked) -> None:
    """Take a mark or an index price and begin with what it brings about."""
    take = set_mark if asked.kind == Command.MARK else set_index
    if not take(venue, asked) or venue.halted:
        return
    piece = Piece(len(venue.events), alone=False)
    venue.stops_to_look_at = venue.fund_has_work = True
    for instrument in venue.instruments.values():
        if instrument.mark and instrument.marked_ns == venue.timestamp_ns:
            venue.check_accounts_of(instrument.settle)
    for instrument in venue.instruments.values():
        if not instrument.is_halted_or_cancel_only:
            follow_trailing(venue, instrument, piece)
    _go_on(venue, piece)


def tick(venue: Venue) -> None:
    """Do what is due by now, then go on with what commands left; one large thing for each TICK."""
    now, running = venue.timestamp_ns, venue.halted == TradingState.RUNNING
    if 0 < next_reopen_ns(venue) <= now:
        return reopen_due(venue)
    if running and venue.must_deleverage:
        return deleverage(venue)
    if running and 0 < next_due_ns(venue) <= now:
        return _do_what_is_due(venue)
    cancels = venue.halted != TradingState.HALTED
    timers_due = cancels and 0 < venue.next_timer_ns <= now
    day_over = cancels and 0 < venue.day_ends_ns <= now
    minute_over = now >= venue.sampled_ns + NS_PER_MINUTE
    if running:
        _go_on(venue, Piece(len(venue.events), alone=not (timers_due or day_over or minute_over)))
    venue.say(Event.TICKED, amount=now)
    if timers_due:
        fire_timers(venue)
    if day_over:
        end_day(venue)
    if minute_over:
        sample_premiums(venue)
    return None


def _go_on(venue: Venue, piece: Piece) -> None:
    """Go on with what is pending while the piece lasts: stops, then accounts, then the insurance account."""
    if venue.stops_to_look_at and run_triggers(venue, piece):
        venue.stops_to_look_at = False
    if venue.fund is None:
        venue.accounts_to_check = venue.fund_has_work = venue.must_deleverage = False
        return
    if venue.accounts_to_check:
        if scan(venue, piece) is Done.ALL:
            venue.accounts_to_check = False
        piece.alone = False
    if venue.fund_has_work and work(venue, piece) is Done.ALL:
        venue.fund_has_work = False


# ---- what has its time


def _due_ns(instrument: Instrument) -> int:
    """Return when an instrument pays or settles next, 0 = never, or not while it is halted."""
    if instrument.state == InstrumentState.SETTLED or instrument.is_halted_or_cancel_only:
        return 0
    return min((at for at in (instrument.next_funding_ns, instrument.expiry_ns) if at), default=0)


def next_due_ns(venue: Venue) -> int:
    """Return when the next payment or settlement of any instrument is, 0 = never."""
    return min((due for due in map(_due_ns, venue.instruments.values()) if due), default=0)


def _do_what_is_due(venue: Venue) -> None:
    """Settle or fund one instrument whose time has come; the next TICK does the next."""
    now = venue.timestamp_ns
    for instrument in venue.instruments.values():
        if not 0 < _due_ns(instrument) <= now:
            continue
        if 0 < instrument.expiry_ns <= now:
            return settle(venue, instrument)
        return fund(venue, instrument)
    return None

"""What is done beside commands: what time brings, and what commands leave over.

A command that moves a price leaves accounts to check and stops to look at. That is done in bounded pieces, the
first with the command itself, the rest with TICKs that the core sends until nothing is left. How far a piece
goes depends on the state alone, never on this process, so a replay goes just as far.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.deleveraging import deleverage
from ringfence.exchange.engine.funding import fund_one, sample_premiums
from ringfence.exchange.engine.halting import reopen_due
from ringfence.exchange.engine.insurance import work
from ringfence.exchange.engine.liquidation import scan
from ringfence.exchange.engine.margin import ask_for_scan
from ringfence.exchange.engine.marking import set_index, set_mark
from ringfence.exchange.engine.records import PENDING_ADL, PENDING_SCAN, PENDING_TRIGGERS, PENDING_WORK
from ringfence.exchange.engine.settlement import settle
from ringfence.exchange.engine.stops import follow_trailing, run_triggers
from ringfence.exchange.engine.tables import ALL, ROOM, emit, has_room, instruments
from ringfence.exchange.engine.timers import end_day, fire_timers
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import Command, InstrumentState, TradingState
from ringfence.messages.events import Event
from ringfence.messages.records import RECORD_BYTES
from ringfence.units.time import NS_PER_MINUTE

_TICKED = int(Event.TICKED)
_SETTLED = int(InstrumentState.SETTLED)
_STATE_CANCEL_ONLY = int(InstrumentState.CANCEL_ONLY)
_HALTED = int(TradingState.HALTED)
_MARK = int(Command.MARK)
EVENTS_PER_PIECE = 1 << 14
"""Room that a piece of upkeep has. A single step that might need more gets a piece of its own."""
_MARKED_EVENTS = 256


@compiled
def price_command(h: Record, cmd: Record) -> bool:
    """Take a mark or an index price and begin with what it brings about."""
    if not has_room(h, EVENTS_PER_PIECE + _MARKED_EVENTS):
        return False
    epoch = h.epoch
    if cmd.kind == _MARK:
        set_mark(h, cmd)
    else:
        set_index(h, cmd)
    if h.epoch == epoch or h.halted != 0:
        return True
    until = h.cursor + EVENTS_PER_PIECE * RECORD_BYTES
    h.pending = np.int64(h.pending) | PENDING_TRIGGERS | PENDING_WORK
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        if ins.marked_ns == h.timestamp_ns and ins.mark != 0:
            ask_for_scan(h, np.int64(ins.settle))
    if h.n_untriggered != 0:
        for symbol in range(1, np.int64(h.n_instruments) + 1):
            ins = instruments(h, symbol)
            if ins.state < _STATE_CANCEL_ONLY:
                follow_trailing(h, ins, until)
    go_on(h, until, False)
    return True


@compiled
def tick(h: Record) -> bool:
    """Do what is due by now, then go on with what commands left. False = the buffer has no room."""
    now = h.timestamp_ns
    running = h.halted == 0
    cancels = h.halted != _HALTED
    timers_due = cancels and h.next_timer_ns != 0 and h.next_timer_ns <= now
    day_over = cancels and h.day_ends_ns != 0 and h.day_ends_ns <= now
    room: Any = EVENTS_PER_PIECE + _MARKED_EVENTS
    if timers_due or day_over:
        room += np.int64(h.n_live) + np.int64(h.n_untriggered) + np.int64(h.n_timers)
    if not has_room(h, room):
        return False
    if h.next_reopen_ns != 0 and h.next_reopen_ns <= now:
        return reopen_due(h)
    if running and h.pending & PENDING_ADL:
        return deleverage(h)
    if running and h.next_due_ns != 0 and h.next_due_ns <= now:
        return one_due(h)
    first = h.cursor
    until = first + EVENTS_PER_PIECE * RECORD_BYTES
    alone = not timers_due and not day_over and now < h.sampled_ns + NS_PER_MINUTE
    if running and not go_on(h, until, alone):
        return False
    emit(h, _TICKED, 0, U(0), 0, 0, 0, 0, now)
    if timers_due:
        fire_timers(h)
    if day_over:
        end_day(h)
    if now >= h.sampled_ns + NS_PER_MINUTE:
        sample_premiums(h)
    return True


@compiled
def one_due(h: Record) -> bool:
    """Settle or fund one instrument whose time has come; the next TICK does the next."""
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        if ins.state == _SETTLED or ins.state >= _STATE_CANCEL_ONLY:
            continue
        if ins.expiry_ns != 0 and ins.expiry_ns <= h.timestamp_ns:
            return settle(h, ins)
        if ins.next_funding_ns != 0 and ins.next_funding_ns <= h.timestamp_ns:
            return fund_one(h, ins)
    return True


@compiled
def go_on(h: Record, until: int, alone: bool) -> bool:
    """Go on with what is pending while events stay below `until`.

    `alone`: nothing else is done by this command, so a single triggered order, account or fund's order that
    needs more room than a piece has may ask for a larger buffer: False, with nothing changed.
    """
    begun = h.cursor
    if h.pending & PENDING_TRIGGERS:
        if run_triggers(h, until, alone):
            h.pending = np.int64(h.pending) & ~PENDING_TRIGGERS
        elif alone and h.cursor == begun:
            return False
    if h.fund_account == 0:
        h.pending = np.int64(h.pending) & PENDING_TRIGGERS
        return True
    scanned = (np.int64(h.pending) & PENDING_SCAN) != 0
    if scanned:
        done = scan(h, until, alone and h.cursor == begun)
        if done == ROOM:
            return False
        if done == ALL:
            h.pending = np.int64(h.pending) & ~PENDING_SCAN
    if h.pending & PENDING_WORK:
        done = work(h, until, alone and h.cursor == begun and not scanned)
        if done == ROOM:
            return False
        if done == ALL:
            h.pending = np.int64(h.pending) & ~PENDING_WORK
    return True

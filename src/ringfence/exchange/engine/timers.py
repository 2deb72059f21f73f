"""What time does, told by TICK commands: cancel-all-after timers and the end of day orders."""

from typing import Any

import numpy as np

from ringfence.exchange.engine.margin import owner_margin, relock
from ringfence.exchange.engine.matching import cancel
from ringfence.exchange.engine.orders import EVENTS_PER_COMMAND, arm_day_end, cancel_orders, count_orders
from ringfence.exchange.engine.records import ORDER_DAY
from ringfence.exchange.engine.tables import (
    emit,
    has_room,
    instruments,
    margin_of,
    orders,
    positions,
    refuse,
    timers,
)
from ringfence.exchange.engine.views import Record, U, compiled
from ringfence.messages.commands import InstrumentState
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject
from ringfence.units.assets import ASSETS
from ringfence.units.time import NS_PER_DAY, NS_PER_MS

_TIMER_SET, _TIMER_FIRED = int(Event.TIMER_SET), int(Event.TIMER_FIRED)
_BY_TIMER, _BY_DAY = int(CancelReason.TIMER), int(CancelReason.DAY_ENDED)
_BY_CANCEL_ALL = int(CancelReason.CANCEL_ALL)
_R_ACCOUNT, _R_TIMEOUT = int(Reject.INVALID_ACCOUNT), int(Reject.INVALID_TIMEOUT)
_R_SYMBOL = int(Reject.INVALID_SYMBOL)
_TIMEOUT_MS_MAX = 365 * NS_PER_DAY // NS_PER_MS
_HALTED = int(InstrumentState.HALTED)
_N_ASSETS = len(ASSETS)


@compiled
def orders_of_account(h: Record, account: int) -> Any:
    total = np.int64(0)
    for asset in range(_N_ASSETS):
        total += count_orders(h, margin_of(h, asset, account))
    return total


@compiled
def cancel_all(h: Record, cmd: Record) -> bool:
    account = np.int64(cmd.account)
    if account == 0 or account > h.n_accounts:
        return refuse(h, cmd, _R_ACCOUNT, 0)
    if cmd.symbol > h.n_instruments:
        return refuse(h, cmd, _R_SYMBOL, 0)
    if not has_room(h, orders_of_account(h, account) + EVENTS_PER_COMMAND):
        return False
    for asset in range(_N_ASSETS):
        m = margin_of(h, asset, account)
        cancel_orders(h, m, np.int64(cmd.symbol), np.int64(cmd.flags), _BY_CANCEL_ALL)
    return True


@compiled
def remove_timer(h: Record, index: int) -> None:
    """Forget a timer; the last one takes its place."""
    gone, last = timers(h, index), timers(h, h.n_timers)
    margin_of(h, 0, gone.account).timer = 0
    if index != h.n_timers:
        gone.account = last.account
        gone.fires_ns = last.fires_ns
        margin_of(h, 0, gone.account).timer = index
    last.account = 0
    last.fires_ns = 0
    h.n_timers -= 1


@compiled
def cancel_all_after(h: Record, cmd: Record) -> bool:
    account = np.int64(cmd.account)
    if account == 0 or account > h.n_accounts:
        return refuse(h, cmd, _R_ACCOUNT, 0)
    if cmd.qty < 0 or cmd.qty > _TIMEOUT_MS_MAX:
        return refuse(h, cmd, _R_TIMEOUT, 0)
    m = margin_of(h, 0, account)
    fires_ns = np.int64(0)
    if cmd.qty == 0:
        if m.timer != 0:
            remove_timer(h, np.int64(m.timer))
    else:
        fires_ns = h.timestamp_ns + cmd.qty * NS_PER_MS
        if m.timer == 0:
            h.n_timers += 1
            m.timer = h.n_timers
        timer = timers(h, m.timer)
        timer.account = account
        timer.fires_ns = fires_ns
        if h.next_timer_ns == 0 or fires_ns < h.next_timer_ns:
            h.next_timer_ns = fires_ns
    emit(h, _TIMER_SET, 0, U(0), account, 0, 0, 0, fires_ns)
    return True


@compiled
def fire_timers(h: Record) -> None:
    """Fire what is due, in table order, and find out when the next one is."""
    index = np.int64(1)
    earliest = np.int64(0)
    while index <= h.n_timers:
        timer = timers(h, index)
        if timer.fires_ns <= h.timestamp_ns:
            account = np.int64(timer.account)
            emit(h, _TIMER_FIRED, 0, U(0), account, 0, 0, 0, timer.fires_ns)
            for asset in range(_N_ASSETS):
                cancel_orders(h, margin_of(h, asset, account), 0, 0, _BY_TIMER)
            remove_timer(h, index)
        else:
            if earliest == 0 or timer.fires_ns < earliest:
                earliest = timer.fires_ns
            index += 1
    h.next_timer_ns = earliest


@compiled
def end_day(h: Record) -> None:
    """Cancel the day orders, in slot order; those of a halted contract have another day."""
    h.day_ends_ns = 0
    for slot in range(1, np.int64(h.n_orders)):
        o = orders(h, slot)
        if o.leaves > 0 and o.flags & ORDER_DAY:
            ins = instruments(h, o.symbol)
            if ins.state == _HALTED:
                arm_day_end(h)
                continue
            p = positions(h, o.position)
            cancel(h, ins, p, slot, o, _BY_DAY)
            relock(ins, owner_margin(h, ins, p), p)

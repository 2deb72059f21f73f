"""The entry point: apply a run of commands, write their events.

Memory is the bottleneck once the state outgrows the cache, so the lines that a command will touch
are asked for a block of commands ahead: first what the command names, then what those records point
to. Hints change nothing but time. A third stage (the newest order of the position, the maker that
will be met) cost 5 ns a command more than it saved on every workload.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.book import clid_tag, remember_clid
from ringfence.exchange.engine.halting import halt, refusal_of_halt, resume
from ringfence.exchange.engine.listing import (
    brings_unknown_rules,
    configure,
    configure_venue,
    list_instrument,
    needs_ladder,
    rules_of,
    set_state,
)
from ringfence.exchange.engine.orders import EVENTS_PER_COMMAND, amend, cancel_one, place
from ringfence.exchange.engine.records import BLOCK_LARGE
from ringfence.exchange.engine.settings import (
    configure_account,
    deposit,
    open_account,
    set_leverage,
    set_risk_limit,
    transfer,
    transfer_margin,
    withdraw,
)
from ringfence.exchange.engine.settlement import settle_now
from ringfence.exchange.engine.stops import place_special
from ringfence.exchange.engine.tables import (
    command,
    control,
    find_position,
    has_room,
    header,
    instruments,
    levels,
    margin_index,
    margin_of,
    names_order,
    orders,
    positions,
    prefetch_cell,
    prefetch_level,
    prefetch_margin,
    prefetch_order,
    prefetch_position,
    refuse,
    slot_of_handle,
)
from ringfence.exchange.engine.timers import cancel_all, cancel_all_after
from ringfence.exchange.engine.upkeep import price_command, tick
from ringfence.exchange.engine.views import Record, U, compiled, entry, inline
from ringfence.messages.commands import Command, OrderType
from ringfence.messages.records import RECORD_BYTES
from ringfence.messages.rejects import Reject
from ringfence.messages.rules import COMMAND_SINCE
from ringfence.units.limits import SYMBOL_MAX

__all__ = ["ACCOUNTS", "CLIDS", "DONE", "EVENTS", "LADDER", "ORDERS", "POSITIONS", "RANKS", "RULES",
           "TIMERS", "refill_clids", "run"]  # fmt: skip

PLACE, AMEND, CANCEL = int(Command.PLACE), int(Command.AMEND), int(Command.CANCEL)
CANCEL_ALL, CANCEL_ALL_AFTER = int(Command.CANCEL_ALL), int(Command.CANCEL_ALL_AFTER)
SET_LEVERAGE, SET_RISK_LIMIT = int(Command.SET_LEVERAGE), int(Command.SET_RISK_LIMIT)
TRANSFER_MARGIN, OPEN_ACCOUNT = int(Command.TRANSFER_MARGIN), int(Command.OPEN_ACCOUNT)
CONFIGURE_ACCOUNT = int(Command.CONFIGURE_ACCOUNT)
DEPOSIT, WITHDRAW = int(Command.DEPOSIT), int(Command.WITHDRAW)
MARKET = int(OrderType.MARKET)
RARE_ORDERS = 4_096
"""Orders that liquidations may open for one command."""
MARK, INDEX, TICK, LIST = int(Command.MARK), int(Command.INDEX), int(Command.TICK), int(Command.LIST)
TRANSFER, SETTLE = int(Command.TRANSFER), int(Command.SETTLE)
CONFIGURE, SET_STATE = int(Command.CONFIGURE), int(Command.SET_STATE)
HALT, RESUME = int(Command.HALT), int(Command.RESUME)
CONFIGURE_VENUE, DATA = int(Command.CONFIGURE_VENUE), int(Command.DATA)
_R_UNKNOWN = int(Reject.UNKNOWN_COMMAND)

# Why the kernel stopped before the end; the engine makes room and calls again. For RULES there is none to make.
DONE, EVENTS, ORDERS, POSITIONS, CLIDS, ACCOUNTS, TIMERS, LADDER, RANKS, RULES = range(10)
_NO_KIND = 0


@inline
def lacks_room(h: Record, cmd: Record) -> Any:
    """Return which table or buffer is too full for any command of this kind, DONE if none."""
    if not has_room(h, EVENTS_PER_COMMAND * 2):
        return EVENTS
    if cmd.kind == PLACE:
        if h.n_orders >= h.cap_orders:
            return ORDERS
        if h.n_positions + BLOCK_LARGE > h.cap_positions:
            return POSITIONS
    if cmd.kind <= AMEND and 2 * np.int64(h.n_clids) + 2 > h.cap_clids:
        return CLIDS
    return DONE


@compiled
def lacks_room_rarely(h: Record, cmd: Record) -> Any:
    # The insurance account may take over in several instruments at once and move to larger blocks.
    if h.n_positions + 4 * BLOCK_LARGE > h.cap_positions:
        return POSITIONS
    if h.n_orders + RARE_ORDERS >= h.cap_orders:
        return ORDERS
    if h.fund_account != 0 and h.n_accounts >= h.cap_ranks:
        return RANKS
    if cmd.kind == OPEN_ACCOUNT and np.int64(h.n_accounts) + 1 >= h.cap_accounts:
        return ACCOUNTS
    if cmd.kind == CANCEL_ALL_AFTER and np.int64(h.n_timers) + 1 >= h.cap_timers:
        return TIMERS
    if cmd.kind == SET_STATE and needs_ladder(h, cmd):
        return LADDER
    return DONE


@inline
def kind_in_force(h: Record, cmd: Record) -> Any:
    """Return a command's kind; of one that is newer than the rules in force none, as it is to an older build."""
    kind = np.int64(cmd.kind)
    if kind < len(COMMAND_SINCE) and COMMAND_SINCE[kind] > rules_of(h):
        return _NO_KIND
    return kind


@compiled
def apply_rare(h: Record, cmd: Record) -> Any:
    """Apply everything that is not order flow. Returns why it could not be applied yet, DONE if it was."""
    stop = lacks_room_rarely(h, cmd)
    if stop != DONE:
        return stop
    kind = kind_in_force(h, cmd)
    code = refusal_of_halt(h, cmd, kind)
    if code != 0:
        refuse(h, cmd, code, 0)
        return DONE
    if kind == CONFIGURE_VENUE and brings_unknown_rules(h, cmd):
        return RULES
    applied = True
    if kind == MARK or kind == INDEX:
        applied = price_command(h, cmd)
    elif kind == TICK:
        applied = tick(h)
    elif kind == CANCEL_ALL:
        applied = cancel_all(h, cmd)
    elif kind == CANCEL_ALL_AFTER:
        applied = cancel_all_after(h, cmd)
    elif kind == SET_LEVERAGE:
        applied = set_leverage(h, cmd)
    elif kind == SET_RISK_LIMIT:
        applied = set_risk_limit(h, cmd)
    elif kind == TRANSFER_MARGIN:
        applied = transfer_margin(h, cmd)
    elif kind == OPEN_ACCOUNT:
        applied = open_account(h, cmd)
    elif kind == CONFIGURE_ACCOUNT:
        applied = configure_account(h, cmd)
    elif kind == DEPOSIT:
        applied = deposit(h, cmd)
    elif kind == WITHDRAW:
        applied = withdraw(h, cmd)
    elif kind == TRANSFER:
        applied = transfer(h, cmd)
    elif kind == LIST:
        applied = list_instrument(h, cmd)
    elif kind == CONFIGURE:
        applied = configure(h, cmd)
    elif kind == SET_STATE:
        applied = set_state(h, cmd)
    elif kind == SETTLE:
        applied = settle_now(h, cmd)
    elif kind == CONFIGURE_VENUE:
        applied = configure_venue(h, cmd)
    elif kind == HALT:
        applied = halt(h, cmd)
    elif kind == RESUME:
        applied = resume(h, cmd)
    else:
        applied = refuse(h, cmd, _R_UNKNOWN, np.int64(cmd.kind))
    return DONE if applied else EVENTS


@inline
def apply(h: Record, cmd: Record) -> Any:
    """Apply one command completely, or not at all: then return which room it lacks."""
    if cmd.kind == DATA:
        return DONE
    stop = lacks_room(h, cmd)
    if stop != DONE:
        return stop
    if cmd.kind == PLACE:
        if cmd.type > MARKET or cmd.handle != U(0):
            return DONE if place_special(h, cmd) else EVENTS
        return DONE if place(h, cmd) else EVENTS
    if cmd.kind == CANCEL:
        cancel_one(h, cmd)
        return DONE
    if cmd.kind == AMEND:
        return DONE if amend(h, cmd) else EVENTS
    # Only what is not order flow is held against the rules in force: order flow is as old as the first.
    return apply_rare(h, cmd)


# ---- prefetch: hints only. Asking for an address that does not exist is harmless, so only what is
# loaded on the way is tested, and that without branches where it can be done.


@inline
def named_instrument(h: Record, cmd: Record) -> Record:
    """Return some instrument, the right one if the command's is listed: the table is always full size."""
    return instruments(h, np.int64(cmd.symbol) & SYMBOL_MAX)


@inline
def has_level(ins: Record, px: int) -> bool:
    return bool(px >= 0 and px < ins.cap_levels)


@inline
def ask_for_named(h: Record, cmd: Record) -> None:
    """Stage 1: addresses known from the command alone."""
    if cmd.kind == PLACE:
        ins = named_instrument(h, cmd)
        prefetch_margin(h, margin_index(h, ins.settle, cmd.account))
        prefetch_level(ins, np.int64(cmd.px))
        if cmd.clid != U(0):
            prefetch_cell(h, clid_tag(np.int64(cmd.account), cmd.clid) & (h.cap_clids - 1))
    else:
        prefetch_order(h, slot_of_handle(cmd.handle))


@inline
def ask_for_linked(h: Record, cmd: Record) -> None:
    """Stage 2: what the named records point to."""
    if cmd.kind == PLACE:
        ins = named_instrument(h, cmd)
        if cmd.account <= h.n_accounts:
            m = margin_of(h, ins.settle, cmd.account)
            prefetch_position(h, find_position(m, np.int64(cmd.symbol)))
        if has_level(ins, np.int64(cmd.px)):
            prefetch_order(h, levels(ins, cmd.px).tail)
    elif cmd.kind <= CANCEL and names_order(h, cmd.handle):
        o = orders(h, slot_of_handle(cmd.handle))
        ins = instruments(h, o.symbol)
        prefetch_position(h, o.position)
        prefetch_level(ins, np.int64(o.px))
        prefetch_order(h, o.prev)
        prefetch_order(h, o.next)
        prefetch_order(h, o.sibling_prev)
        prefetch_order(h, o.sibling_next)
        prefetch_margin(h, margin_index(h, ins.settle, cmd.account))
        prefetch_level(ins, np.int64(cmd.px))


BLOCK = 16
_RECORD_SHIFT = 6
assert 1 << _RECORD_SHIFT == RECORD_BYTES


@entry
def run(control_address: int) -> Any:
    """Apply commands begin..end of the control record; return how many events were written.

    `begin` moves to the first command that was not applied; `stop` says why there is one.
    """
    c = control(control_address)
    h = header(c.header)
    h.timestamp_ns = c.timestamp_ns
    h.cursor = c.events
    h.events_end = c.events_end
    k, end = c.begin, c.end
    c.stop = DONE
    base = c.commands
    named = linked = k
    while k < end and c.stop == DONE:
        # Each stage is a loop of its own: independent loads that the processor overlaps.
        while named < min(k + 2 * BLOCK, end):
            ask_for_named(h, command(base + named * RECORD_BYTES))
            named += 1
        until = min(k + BLOCK, end)
        while linked < until:
            ask_for_linked(h, command(base + linked * RECORD_BYTES))
            linked += 1
        while k < until:
            stop = apply(h, command(base + k * RECORD_BYTES))
            if stop != DONE:
                c.stop = stop
                break
            h.sequence += 1
            k += 1
    c.begin = k
    written = (h.cursor - c.events) >> _RECORD_SHIFT
    h.event_count += written
    return written


@entry
def refill_clids(header_address: int) -> Any:
    """Fill an empty clOrdID table from the live orders; return how many there are."""
    h = header(header_address)
    for slot in range(1, np.int64(h.n_orders)):
        o = orders(h, slot)
        if o.leaves > 0 and o.clid != U(0):
            remember_clid(h, np.int64(positions(h, o.position).account), slot, o.clid)
    return np.int64(h.n_clids)

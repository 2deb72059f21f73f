"""Where records live: one getter a table, and the lookups that several rules share."""

from typing import Any

import numpy as np

from ringfence.exchange.engine.records import (
    BLOCK_LARGE,
    BLOCK_MEDIUM,
    BLOCK_SMALL,
    CELL,
    CONTROL,
    HEADER,
    INSTRUMENT,
    LEVEL,
    MARGIN,
    ORDER,
    POSITION,
    RANK,
    TIMER,
    TRIGGER,
    WORD,
)
from ringfence.exchange.engine.views import Record, U, at_address, compiled, inline, table
from ringfence.messages.events import Event
from ringfence.messages.records import COMMAND, EVENT, RECORD_BYTES

header = at_address(HEADER)
control = at_address(CONTROL)
command = at_address(COMMAND)
event = at_address(EVENT)
orders, prefetch_order = table(HEADER, ORDER, "orders")
margins, prefetch_margin = table(HEADER, MARGIN, "margins")
positions, prefetch_position = table(HEADER, POSITION, "positions")
instruments, _ = table(HEADER, INSTRUMENT, "instruments")
cells, prefetch_cell = table(HEADER, CELL, "clids")
timers, _ = table(HEADER, TIMER, "timers")
triggers, _ = table(HEADER, TRIGGER, "triggers")
ranks, _ = table(HEADER, RANK, "ranks")
levels, prefetch_level = table(INSTRUMENT, LEVEL, "levels")
words, _ = table(INSTRUMENT, WORD, "words")

_REJECTED = int(Event.REJECTED)
_HALF = U(32)
_LOW = U(0xFFFFFFFF)
_ONE = U(1)


@inline
def margin_index(h: Record, asset: int, account: int) -> Any:
    """Return the index of an account's margin in one asset: the table is laid out [asset][account]."""
    return np.int64(asset) * h.cap_accounts + np.int64(account)


@inline
def margin_of(h: Record, asset: int, account: int) -> Record:
    return margins(h, margin_index(h, asset, account))


@inline
def handle_of(o: Record, slot: int) -> Any:
    """Return the handle by which the outside names the order in this slot."""
    return (U(o.sequence) << _HALF) | U(slot)


@inline
def slot_of_handle(handle: Any) -> Any:
    return np.int64(handle & _LOW)


@inline
def names_order(h: Record, handle: Any) -> bool:
    """Return whether the handle still names an open order."""
    slot = slot_of_handle(handle)
    if slot == 0 or slot >= h.n_orders:
        return False
    o = orders(h, slot)
    return o.leaves > 0 and U(o.sequence) == handle >> _HALF


# ---- the positions of one account and asset lie side by side


@inline
def find_position(m: Record, symbol: int) -> Any:
    """Return the index of the position in this instrument, 0 if there is none yet."""
    if m.slots >= BLOCK_MEDIUM:
        return np.int64(m.base) + np.int64(symbol) if symbol < m.slots else np.int64(0)
    packed = m.symbols
    for k in range(np.int64(m.slots)):
        if np.int64(packed & U(0xFFFF)) == symbol:
            return np.int64(m.base) + k
        packed = packed >> U(16)
    return np.int64(0)


@compiled
def open_position(h: Record, m: Record, account: int, symbol: int) -> Any:
    """Return a new position; a block that is full moves to one with a slot per instrument.

    The caller has seen to it that the table has room for a large block.
    """
    if m.slots == 0:
        m.base = h.n_positions
        h.n_positions += BLOCK_SMALL
    if m.slots < BLOCK_SMALL:
        k = np.int64(m.slots)
        m.symbols = m.symbols | (U(symbol) << U(16 * k))
        m.slots += 1
        index = np.int64(m.base) + k
    else:
        move_to_larger_block(h, m, symbol)
        index = np.int64(m.base) + symbol
    p = positions(h, index)
    p.account = account
    p.symbol = symbol
    return index


@compiled
def move_to_larger_block(h: Record, m: Record, symbol: int) -> None:
    """Move to the smallest block with room for all instruments held and this one."""
    old_base, old_size = np.int64(m.base), np.int64(m.slots)
    highest = np.int64(symbol)
    for k in range(old_size):
        highest = max(highest, np.int64(positions(h, old_base + k).symbol))
    new_size = BLOCK_MEDIUM if highest < BLOCK_MEDIUM else BLOCK_LARGE
    new_base = np.int64(h.n_positions)
    h.n_positions += new_size
    held = U(0)
    for k in range(old_size):
        old = positions(h, old_base + k)
        if old.account == 0:
            continue
        own = np.int64(old.symbol)
        new = positions(h, new_base + own)
        new.qty, new.cost = old.qty, old.cost
        new.open_buys, new.open_sells = old.open_buys, old.open_sells
        new.locked, new.transferred = old.locked, old.transferred
        new.account, new.orders = old.account, old.orders
        new.leverage, new.symbol = old.leverage, old.symbol
        new.n_orders, new.tier, new.n_reduce_only = old.n_orders, old.tier, old.n_reduce_only
        if old.qty != 0:
            held |= _ONE << U(own)
        slot = np.int64(old.orders)
        while slot != 0:
            o = orders(h, slot)
            o.position = new_base + own
            slot = np.int64(o.sibling_next)
        old.qty = old.cost = old.open_buys = old.open_sells = old.locked = old.transferred = 0
        old.account = old.orders = 0
        old.leverage = old.symbol = old.n_orders = old.tier = old.n_reduce_only = 0
    m.base = new_base
    m.slots = new_size
    m.symbols = U(0)
    m.held = held


@inline
def position_of(h: Record, m: Record, account: int, symbol: int) -> Any:
    index = find_position(m, symbol)
    if index == 0 or positions(h, index).account == 0:
        index = open_position_in_place(h, m, account, symbol, index)
    return index


@compiled
def open_position_in_place(h: Record, m: Record, account: int, symbol: int, index: int) -> Any:
    if index == 0:
        return open_position(h, m, account, symbol)
    p = positions(h, index)
    p.account = account
    p.symbol = symbol
    return index


# ---- events


@inline
def emit(
    h: Record,
    kind: int,
    flags: int,
    handle: Any,
    account: int,
    symbol: int,
    qty: int,
    px: int,
    amount: int,
) -> Record:
    """Write the next event and return it; the maker fields are zero."""
    e = event(h.cursor)
    h.cursor += RECORD_BYTES
    e.sequence = h.sequence
    e.handle = handle
    e.maker_handle = 0
    e.qty = qty
    e.amount = amount
    e.maker_amount = 0
    e.px = px
    e.account = account
    e.maker_account = 0
    e.symbol = symbol
    e.kind = kind
    e.flags = flags
    return e


@inline
def has_room(h: Record, n_events: int) -> bool:
    return h.cursor + n_events * RECORD_BYTES <= h.events_end


MORE, ALL, ROOM = 0, 1, 2
"""What a piece of upkeep came to: there is more to do, all is done, or it needs a larger event buffer."""


@inline
def room_for(h: Record, events: int, until: int, alone: bool) -> Any:
    """Return whether so many events fit: ALL, or MORE to wait for the next piece, or ROOM.

    What is too large for any piece gets one of its own, as large as it needs.
    """
    end = h.cursor + events * RECORD_BYTES
    if end <= until:
        return ALL
    if not alone:
        return MORE
    return ALL if end <= h.events_end else ROOM


@compiled
def refuse(h: Record, cmd: Record, code: int, figure: int) -> bool:
    """Write a refusal; always True: a refused command is done with."""
    e = emit(h, _REJECTED, 0, cmd.handle, cmd.account, cmd.symbol, cmd.qty, cmd.px, code)
    e.maker_amount = figure
    return True

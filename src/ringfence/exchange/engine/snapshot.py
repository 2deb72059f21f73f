"""A snapshot: the state's tables in one file, checked whole before a byte of it is used.

Layout: magic, length of a JSON index, index, tables one after the other, xxh3-128 of all before it.
Levels, bit maps and clOrdIDs are rebuilt from the orders.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from ringfence.exchange.engine.ladder import words_per_side
from ringfence.exchange.engine.records import (
    HEADER,
    HEADER_STATE_BYTES,
    INSTRUMENT,
    LEVEL,
    MARGIN,
    ORDER,
    ORDER_SELL,
    ORDER_UNTRIGGERED,
    POSITION,
    TIMER,
    TRIGGER,
)
from ringfence.exchange.engine.state import State
from ringfence.messages.records import VERSION
from ringfence.messages.rules import RULES_NEWEST, UnknownRulesError
from ringfence.units.limits import ASSETS_MAX

_MAGIC = b"RFSNAP03"
_CHECKSUM_BYTES = 16
assert HEADER.fields is not None
_RULES_AT = HEADER.fields["rules"][1]
"""Fields before the addresses stay where they are for ever, so a newer build's are found as well."""
_DTYPES = {
    "orders": ORDER, "triggers": TRIGGER, "positions": POSITION, "timers": TIMER, "margins": MARGIN,
    "instruments": INSTRUMENT,
}  # fmt: skip
"""Of each table; `margins` there are by asset."""


class SnapshotError(ValueError):
    """A snapshot file cannot be used. Remedy: take an older one, or replay the journal from 0."""


class Index(msgspec.Struct, frozen=True):
    version: int
    header: str
    sizes: dict[str, int]
    """Records of each table, in file order."""
    ladders: list[int]
    """Instruments that have price levels."""


class Tables(NamedTuple):
    """What a state is saved as, to be read and nothing else."""

    header: Any
    """A HEADER record, without the addresses and capacities of a process."""
    used: dict[str, Any]
    """By name, as `State.used` has them."""


def tables_of(state: State) -> Tables:
    """Return the tables of a state in this process; it must not move while they are read."""
    return Tables(state.header, state.used())


def save(state: State, path: Path) -> None:
    """Write a snapshot and sync it; the caller renames it into place."""
    with open(path, "wb") as file:
        for part in parts(state):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def parts(state: State) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a snapshot piece by piece; views of the tables, so the state must not move meanwhile."""
    used = state.used()
    index = msgspec.json.encode(
        Index(
            version=VERSION,
            header=state.header_bytes().hex(),
            sizes={name: len(table) for name, table in used.items()},
            ladders=sorted(state.ladders),
        )
    )
    checksum = xxhash.xxh3_128()
    for part in (_MAGIC, len(index).to_bytes(8, "little"), index):
        checksum.update(part)
        yield part
    for table in used.values():
        raw = table.view(np.uint8).data
        checksum.update(raw)
        yield raw
    yield checksum.digest()


def load(path: Path) -> State:
    """Return the state of a snapshot file. Raises SnapshotError, UnknownRulesError."""
    return restore(np.fromfile(path, np.uint8), name=path.name)


def mapped(path: Path) -> Tables:
    """Return the tables of a snapshot file where they lie in it: nothing is copied.

    For who looks at a few columns of a large state once a minute; the file may be removed meanwhile. Raises
    SnapshotError, UnknownRulesError, OSError.
    """
    raw = np.memmap(path, np.uint8, mode="r")
    index, at = _checked(raw, name=path.name)
    header = np.zeros(1, HEADER)
    header.view(np.uint8)[:HEADER_STATE_BYTES] = np.frombuffer(_header_of(index), np.uint8)
    used = {}
    for which, count in index.sizes.items():
        dtype = _DTYPES[which.rstrip("0123456789")]
        size = count * dtype.itemsize
        used[which] = raw[at : at + size].view(dtype)
        at += size
    return Tables(header[0], used)


def restore(raw: NDArray[np.uint8], *, name: str) -> State:
    """Return the state of a snapshot's bytes; the clOrdID table is empty until the kernel refills it.

    Raises SnapshotError, which says `name`, if they are incomplete, damaged or of another version, and
    UnknownRulesError if they are of a state under rules that this build does not know.
    """
    index, at = _checked(raw, name=name)
    state = _state_of_size(index.sizes)
    state.set_header_bytes(_header_of(index))
    for which, table in state.used().items():
        size = index.sizes[which] * table.dtype.itemsize
        table.view(np.uint8)[:] = raw[at : at + size]
        at += size
    for field in ("p_levels", "p_words", "cap_levels", "cap_words"):
        state.instruments[field] = 0
    for symbol in index.ladders:
        state.add_ladder(symbol)
        _rebuild_ladder(state, symbol)
    state.set_clids(max(1024, 4 * int(np.count_nonzero(state.orders["leaves"]))))
    return state


def _checked(raw: NDArray[np.uint8], *, name: str) -> tuple[Index, int]:
    """Return the index of a snapshot that is whole, and where its tables begin.

    Raises SnapshotError, UnknownRulesError.
    """
    start = len(_MAGIC) + 8
    if len(raw) < start + _CHECKSUM_BYTES or raw[: len(_MAGIC)].tobytes() != _MAGIC:
        raise SnapshotError(f"{name} is not a snapshot; nothing was loaded")
    if xxhash.xxh3_128(raw[:-_CHECKSUM_BYTES].data).digest() != raw[-_CHECKSUM_BYTES:].tobytes():
        raise SnapshotError(f"{name} is damaged: its checksum does not match; nothing was loaded")
    length = int.from_bytes(raw[len(_MAGIC) : start].tobytes(), "little")
    index = msgspec.json.decode(raw[start : start + length].tobytes(), type=Index)
    if index.version != VERSION:
        raise SnapshotError(
            f"{name} has version {index.version}, this engine reads {VERSION}; nothing was loaded"
        )
    rules = int.from_bytes(_header_of(index)[_RULES_AT : _RULES_AT + 4], "little")
    if rules > RULES_NEWEST:
        raise UnknownRulesError(rules, where=f"{name} is of a state")
    return index, start + length


def _header_of(index: Index) -> bytes:
    """Return a header's bytes; in one of an earlier release, which ends sooner, later fields are 0."""
    return bytes.fromhex(index.header).ljust(HEADER_STATE_BYTES, b"\0")


def _state_of_size(sizes: dict[str, int]) -> State:
    """Return an empty state with room for these tables and as much again."""
    state = State(accounts=max(1024, 2 * sizes["margins0"]), orders=max(1024, 2 * sizes["orders"]))
    # Tables only grow, and a state for many accounts begins with room for as many positions.
    state.set_positions(max(len(state.positions), 2 * sizes["positions"]))
    state.set_timers(max(len(state.timers), 2 * sizes["timers"]))
    assert ASSETS_MAX == sum(name.startswith("margins") for name in sizes)
    return state


def _rebuild_ladder(state: State, symbol: int) -> None:
    """Restore price levels and bit maps from the live orders of one instrument."""
    orders = state.orders[: state.header["n_orders"]]
    in_book = (orders["leaves"] > 0) & (orders["flags"] & ORDER_UNTRIGGERED == 0)
    slots = np.flatnonzero(in_book & (orders["symbol"] == symbol))
    live = orders[slots]
    levels, words = state.ladders[symbol]
    _rebuild_levels(levels, live, slots)
    ticks = len(levels)
    bits = words["bits"]
    for is_sell in (0, 1):
        side = live[(live["flags"] & ORDER_SELL) == is_sell * ORDER_SELL]
        index = np.unique(side["px"].astype(np.int64))
        base, shift = is_sell * words_per_side(ticks), 6
        for _ in range(4):
            np.bitwise_or.at(bits, base + (index >> 6), np.uint64(1) << (index & 63).astype(np.uint64))
            index = np.unique(index >> 6)
            base += ticks >> shift
            shift += 6


def _rebuild_levels(levels: Any, live: Any, slots: Any) -> None:
    assert levels.dtype == LEVEL
    px = live["px"]
    shown = np.where(live["display"] == -1, live["leaves"], live["shown"]).astype(np.int64)
    np.add.at(levels["qty"], px, live["leaves"].astype(np.int64))
    np.add.at(levels["hidden"], px, live["leaves"] - shown)
    in_hidden_queue = live["display"] == 0
    for queue, prefix in ((~in_hidden_queue, ""), (in_hidden_queue, "hidden_")):
        first, last = queue & (live["prev"] == 0), queue & (live["next"] == 0)
        levels[prefix + "head"][px[first]] = slots[first]
        levels[prefix + "tail"][px[last]] = slots[last]

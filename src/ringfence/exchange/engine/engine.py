"""The engine: a pure function of its commands, with its state in tables that the kernel changes."""

import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from ringfence.exchange.engine import kernel, native, snapshot
from ringfence.exchange.engine.records import BLOCK_SMALL, CONTROL, HEADER, ORDER_SELL, ORDER_UNTRIGGERED
from ringfence.exchange.engine.state import State, Table, address_of, allocate
from ringfence.messages.batch import Records
from ringfence.messages.records import COMMAND, EVENT, RECORD_BYTES
from ringfence.messages.rules import UnknownRulesError

_EVENTS_AT_START = 1 << 15
# commands, begin, end, events, events_end, timestamp_ns of the CONTROL record, then begin and stop again.
_ASK = struct.Struct("<6q")
_BEGIN, _STOP = (list(CONTROL.names or ()).index(name) for name in ("begin", "stop"))
_TIMESTAMP = list(HEADER.names or ()).index("timestamp_ns")
_run, _refill_clids = native.callables(kernel.run, kernel.refill_clids)


class Engine:
    """One exchange. `step` applies commands in order and returns what happened.

    The same commands in the same batches give the same events and the same state on every machine;
    batch borders matter only through the timestamp.
    """

    def __init__(self, *, accounts: int = 1 << 10, orders: int = 1 << 14, state: State | None = None) -> None:
        self.state = state or State(accounts=accounts, orders=orders)
        self._events = allocate(EVENT, _EVENTS_AT_START)
        self._events_address = address_of(self._events)
        control = allocate(CONTROL, 1)
        self._control_address = address_of(control)
        self._control: Any = control.view(np.int64)
        self._control[0] = self.state.header_address
        self._header = self.state.header_words
        if state is not None:
            _refill_clids(self.state.header_address)

    # ---- what it does

    def step(self, commands: Records, *, timestamp_ns: int) -> Records:
        """Apply a batch and return its events: a view that is valid until the next step.

        `commands` is a contiguous array of COMMAND; each takes one sequence number. Timestamps must
        not go back. Raises UnknownRulesError before a command that puts rules in force which this build does not
        know; what came before it in the batch has moved the state, so nothing may be made of this engine any more.
        """
        assert timestamp_ns >= self._header[_TIMESTAMP]
        address = _address_of(commands)
        count = len(commands)
        begin = written = 0
        while True:
            first = self._events_address
            end = first + len(self._events) * RECORD_BYTES
            _ASK.pack_into(
                self._control, 8, address, begin, count, first + written * RECORD_BYTES, end, timestamp_ns
            )
            written += _run(self._control_address)
            stop = self._control[_STOP]
            if stop == kernel.DONE:
                return self._events[:written]
            begin = int(self._control[_BEGIN])
            self._make_room(int(stop), commands[begin], written)

    def _make_room(self, stop: int, command: Any, written: int) -> None:
        """Enlarge what the kernel ran out of before it applied `command`."""
        state, header = self.state, self.state.header
        if stop == kernel.EVENTS:
            grown = allocate(EVENT, 2 * len(self._events))
            grown[:written] = self._events[:written]
            self._events, self._events_address = grown, address_of(grown)
        elif stop == kernel.ORDERS:
            state.set_orders(2 * len(state.orders))
        elif stop == kernel.POSITIONS:
            state.set_positions(2 * len(state.positions))
        elif stop == kernel.CLIDS:
            state.set_clids(2 * len(state.clids))
            _refill_clids(state.header_address)
        elif stop == kernel.ACCOUNTS:
            state.set_accounts(2 * int(header["cap_accounts"]))
        elif stop == kernel.RANKS:
            state.set_ranks(int(header["cap_accounts"]))
        elif stop == kernel.TIMERS:
            state.set_timers(2 * len(state.timers))
        elif stop == kernel.RULES:
            raise UnknownRulesError.at(self.next_sequence, int(command["qty"]))
        else:
            assert stop == kernel.LADDER, f"the kernel stopped for an unknown reason: {stop}"
            state.add_ladder(int(command["symbol"]))

    # ---- where it is

    @property
    def next_sequence(self) -> int:
        return int(self.state.header["sequence"])

    @property
    def event_count(self) -> int:
        """Events since the journal began."""
        return int(self.state.header["event_count"])

    @property
    def timestamp_ns(self) -> int:
        """Timestamp of the last batch."""
        return int(self.state.header["timestamp_ns"])

    @property
    def rules(self) -> int:
        """Version of the rules in force."""
        return self.state.rules

    @property
    def has_more_to_do(self) -> bool:
        """Whether a command left something over that TICKs go on with, at once and until nothing is left."""
        return bool(self.state.header["pending"]) and not self.state.header["halted"]

    @property
    def wake_at_ns(self) -> int:
        """When the next TICK has something to do, 0 = nothing is waiting."""
        header = self.state.header
        names = ("next_reopen_ns", "next_timer_ns", "day_ends_ns", "next_due_ns")
        # Cancel-only takes timers; a venue that is halted waits for nothing but its reopening.
        waiting = names[: (4, 3, 1)[int(header["halted"])]]
        return min((int(header[name]) for name in waiting if header[name]), default=0)

    def digest(self) -> bytes:
        """Return 16 bytes that are equal exactly where two engines would go on identically."""
        return self.state.digest()

    # ---- snapshots

    def save(self, path: Path) -> None:
        """Write a snapshot and sync it; the caller renames it into place."""
        snapshot.save(self.state, path)

    def snapshot(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of a snapshot; the engine must not step before the last one was taken."""
        return snapshot.parts(self.state)

    @classmethod
    def restore(cls, raw: bytes, *, name: str) -> Self:
        """Return the engine of a snapshot's bytes.

        Raises SnapshotError (a ValueError) if they are no good, UnknownRulesError.
        """
        return cls(state=snapshot.restore(np.frombuffer(raw, np.uint8), name=name))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the engine of a snapshot. Raises SnapshotError (a ValueError) if it is no good, UnknownRulesError."""
        return cls(state=snapshot.load(path))

    # ---- for judges and tests: reads only

    def margin(self, asset: int, account: int) -> Any:
        """Return a copy of an account's MARGIN record in one asset."""
        return self.state.margins[asset * int(self.state.header["cap_accounts"]) + account].copy()

    def position(self, account: int, symbol: int) -> Any | None:
        """Return a copy of a POSITION record, None if the account never had orders there."""
        margin = self.margin(int(self.state.instruments[symbol]["settle"]), account)
        if margin["slots"] == 0:
            return None
        size = max(int(margin["slots"]), BLOCK_SMALL)
        block = self.state.positions[int(margin["base"]) : int(margin["base"]) + size]
        found = np.flatnonzero((block["symbol"] == symbol) & (block["account"] == account))
        return block[found[0]].copy() if len(found) else None

    def instrument(self, symbol: int) -> Any:
        """Return a copy of an INSTRUMENT record."""
        return self.state.instruments[symbol].copy()

    def live_orders(self, symbol: int) -> Table:
        """Return copies of the ORDER records of the orders in an instrument's book, in slot order."""
        orders = self.state.orders[: self.state.header["n_orders"]]
        in_book = (orders["leaves"] > 0) & (orders["flags"] & ORDER_UNTRIGGERED == 0)
        return orders[in_book & (orders["symbol"] == symbol)]

    def book(self, symbol: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (bids, asks), best first, as (px_ticks, displayed quantity)."""
        if symbol not in self.state.ladders:
            return [], []
        live = self.live_orders(symbol)
        levels = self.state.ladders[symbol][0]
        sides = []
        for is_sell in (0, ORDER_SELL):
            prices = np.unique(live["px"][(live["flags"] & ORDER_SELL) == is_sell])
            rows = [(int(px), int(levels[px]["qty"] - levels[px]["hidden"])) for px in prices]
            sides.append([row for row in rows if row[1]])
        return sides[0][::-1], sides[1]


_DATA_AT = 2 * ctypes.sizeof(ctypes.c_void_p)
_word_at = ctypes.c_size_t.from_address


def _address_of(commands: Records) -> int:
    """Return where a contiguous array of COMMAND is.

    An array keeps the address right behind CPython's header: PyArrayObject_fields in NumPy's C interface,
    which every extension has compiled in. Reading it there takes a fifth of the time of `ctypes.data`.
    """
    assert isinstance(commands, np.ndarray)
    assert commands.dtype == COMMAND
    assert commands.flags.c_contiguous
    return _word_at(id(commands) + _DATA_AT).value

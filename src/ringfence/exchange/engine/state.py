"""The tables of one engine: allocate, make room, find, digest.

Tables are mapped lazily: capacity that is not used costs no memory.
"""

from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ringfence.exchange.engine.ladder import words_per_side
from ringfence.exchange.engine.records import (
    BLOCK_LARGE,
    BLOCK_MEDIUM,
    BLOCK_SMALL,
    CELL,
    HEADER,
    HEADER_STATE_BYTES,
    INSTRUMENT,
    INSTRUMENT_STATE_BYTES,
    LEVEL,
    MARGIN,
    ORDER,
    POSITION,
    RANK,
    TIMER,
    TRIGGER,
    WORD,
)
from ringfence.messages.records import RECORD_BYTES
from ringfence.messages.rules import RULES_FIRST
from ringfence.units.limits import ASSETS_MAX, SYMBOL_MAX

Table = NDArray[np.void]


def allocate(dtype: np.dtype[np.void], count: int) -> Table:
    """Return `count` zeroed records that begin on a cache line."""
    size = dtype.itemsize * count
    raw = np.zeros(size + RECORD_BYTES, np.uint8)
    skip = -address_of(raw) % RECORD_BYTES
    table: Table = raw[skip : skip + size].view(dtype)
    return table


def address_of(array: NDArray[Any]) -> int:
    return array.ctypes.data


class State:
    """Every table, with the header that tells the kernel where they are."""

    def __init__(self, *, accounts: int, orders: int) -> None:
        self._header_table = allocate(HEADER, 1)
        self.header = self._header_table[0]
        self.header_words = self._header_table.view(np.int64)
        self.header_address = address_of(self._header_table)
        self.header["n_orders"] = self.header["n_positions"] = self.header["epoch"] = 1
        self.ladders: dict[int, tuple[Table, Table]] = {}
        self.instruments = allocate(INSTRUMENT, SYMBOL_MAX + 1)
        self._point("instruments", self.instruments)
        self.orders = self.positions = self.clids = self.timers = self.margins = allocate(WORD, 0)
        self.triggers = self.ranks = self.orders
        self.header["n_triggers"] = 1
        self.set_orders(orders)
        self.set_ranks(0)
        self.set_positions(8 * BLOCK_LARGE + (BLOCK_SMALL + BLOCK_MEDIUM) * max(64, accounts))
        self.set_accounts(accounts)
        self.set_timers(1024)
        self.set_clids(max(1024, orders))

    def _point(self, name: str, table: Table) -> None:
        self.header["p_" + name] = address_of(table)
        self.header["cap_" + name] = len(table)

    @property
    def rules(self) -> int:
        """Version of the rules in force."""
        return max(int(self.header["rules"]), RULES_FIRST)

    # ---- room

    def set_orders(self, capacity: int) -> None:
        self.orders = _grown(self.orders, ORDER, capacity, int(self.header["n_orders"]))
        self._point("orders", self.orders)
        self.triggers = _grown(self.triggers, TRIGGER, capacity, int(self.header["n_triggers"]))
        self._point("triggers", self.triggers)

    def set_positions(self, capacity: int) -> None:
        self.positions = _grown(self.positions, POSITION, capacity, int(self.header["n_positions"]))
        self._point("positions", self.positions)

    def set_timers(self, capacity: int) -> None:
        self.timers = _grown(self.timers, TIMER, capacity, int(self.header["n_timers"]) + 1)
        self._point("timers", self.timers)

    def set_ranks(self, capacity: int) -> None:
        """Give deleveraging room to rank this many accounts; what was in it is of no use."""
        self.ranks = allocate(RANK, capacity)
        self._point("ranks", self.ranks)

    def set_accounts(self, capacity: int) -> None:
        """Give every asset room for this many accounts, number 0 included."""
        grown = allocate(MARGIN, ASSETS_MAX * capacity)
        old = int(self.header["cap_accounts"])
        if old:
            grown.reshape(ASSETS_MAX, capacity)[:, :old] = self.margins.reshape(ASSETS_MAX, old)
        self.margins = grown
        self._point("margins", grown)
        self.header["cap_accounts"] = capacity

    def set_clids(self, capacity: int) -> None:
        """Start an empty clOrdID table; its capacity is a power of two. The kernel refills it."""
        self.clids = allocate(CELL, 1 << (capacity - 1).bit_length())
        self._point("clids", self.clids)
        self.header["n_clids"] = 0

    def add_ladder(self, symbol: int) -> None:
        """Give an instrument its price levels and bit maps."""
        instrument = self.instruments[symbol]
        ticks = int(instrument["ticks"])
        levels, words = allocate(LEVEL, ticks), allocate(WORD, 2 * words_per_side(ticks))
        self.ladders[symbol] = (levels, words)
        for name, table in (("levels", levels), ("words", words)):
            instrument["p_" + name] = address_of(table)
            instrument["cap_" + name] = len(table)

    # ---- what is in use

    def used(self) -> dict[str, Table]:
        """Return the parts of the tables that are state, in the order in which they are saved."""
        self.orders[0] = 0  # links to nothing are written there and never read
        h = self.header
        accounts = int(h["n_accounts"]) + 1
        by_asset = self.margins.reshape(ASSETS_MAX, int(h["cap_accounts"]))
        return {
            "orders": self.orders[: h["n_orders"]],
            "triggers": self.triggers[: h["n_triggers"]],
            "positions": self.positions[: h["n_positions"]],
            "timers": self.timers[: int(h["n_timers"]) + 1],
            **{f"margins{asset}": by_asset[asset, :accounts] for asset in range(ASSETS_MAX)},
            "instruments": self.instruments[: int(h["n_instruments"]) + 1],
        }

    def header_bytes(self) -> bytes:
        return self._header_table.tobytes()[:HEADER_STATE_BYTES]

    def set_header_bytes(self, raw: bytes) -> None:
        self._header_table.view(np.uint8)[:HEADER_STATE_BYTES] = np.frombuffer(raw, np.uint8)

    def digest(self) -> bytes:
        """Return 16 bytes that are equal exactly where two engines would go on identically.

        Price levels, bit maps and the clOrdID table follow from the orders and are left out, as are
        addresses and capacities.
        """
        digest = xxhash.xxh3_128(self.header_bytes())
        for name, table in self.used().items():
            digest.update((_state_bytes(table) if name == "instruments" else table.view(np.uint8)).data)
        return digest.digest()


def _grown(old: Table, dtype: np.dtype[np.void], capacity: int, used: int) -> Table:
    """Return a table of a larger capacity with the records in use; copying the others would touch their memory."""
    table = allocate(dtype, capacity)
    if len(old):
        table[:used] = old[:used]
    return table


def _state_bytes(instruments: Table) -> NDArray[np.uint8]:
    rows = instruments.view(np.uint8).reshape(len(instruments), INSTRUMENT.itemsize)
    return np.ascontiguousarray(rows[:, :INSTRUMENT_STATE_BYTES])

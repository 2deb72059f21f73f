"""A cut: the engine's own tables at one sequence number, in a file that a forked child of the core wrote.

Never the live tables: a judge that reads them while they change sees a state that never was, and halts a healthy
exchange. A snapshot leaves price levels out, since they follow from the orders; so that the live ones are judged
as well, `levels_of` writes those in use beside it.
"""

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.margins import Recount, recount
from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.levels import SUFFIX, levels_of, read_levels
from ringfence.exchange.engine.records import ORDER_UNTRIGGERED
from ringfence.exchange.engine.state import State
from ringfence.units.limits import ASSETS_MAX


class Cut:
    """The tables, and the price levels as they were in memory; None if the file came without them."""

    def __init__(self, state: State, levels: NDArray[np.void] | None) -> None:
        self.sequence = int(state.header["sequence"])
        self.state, self.levels = state, levels
        self._matched: Matched | None = None
        self._recount: Recount | None = None

    @classmethod
    def of(cls, state: State) -> Self:
        """Return the cut of a state in this process; it must not move while it is judged."""
        return cls(state, levels_of(state))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the cut in a file, with the levels beside it. Raises SnapshotError if it is damaged."""
        state = Engine.load(path).state
        beside = path.with_suffix(SUFFIX)
        levels = read_levels(beside) if beside.exists() else None
        return cls(state, levels)

    # ---- the tables in use

    @property
    def header(self) -> Any:
        return self.state.header

    @property
    def accounts(self) -> int:
        return int(self.header["n_accounts"])

    @property
    def positions(self) -> Any:
        return self.state.positions[: int(self.header["n_positions"])]

    @property
    def orders(self) -> Any:
        return self.state.orders[: int(self.header["n_orders"])]

    @property
    def triggers(self) -> Any:
        return self.state.triggers[: int(self.header["n_triggers"])]

    @property
    def margins(self) -> Any:
        """By asset, then by account; more accounts than are in use."""
        return self.state.margins.reshape(ASSETS_MAX, int(self.header["cap_accounts"]))

    @property
    def instruments(self) -> Any:
        return self.state.instruments

    # ---- beside the books

    def matched(self, books: Books) -> "Matched":
        """Return which row of the books each of the engine's positions is."""
        if self._matched is None:
            self._matched = _match(self.positions, books)
        return self._matched

    def recount(self, books: Books) -> Recount:
        """Return what all margins and sums come to; it is worked out once."""
        if self._recount is None:
            self._recount = recount(
                self.positions, self.margins, books, accounts=self.accounts, epoch=int(self.header["epoch"])
            )
        return self._recount

    def resting(self) -> NDArray[np.int64]:
        """Return the slots of the orders that stand in a book."""
        orders = self.orders
        standing = (orders["leaves"] > 0) & (orders["flags"] & ORDER_UNTRIGGERED == 0)
        return np.flatnonzero(standing)


class Matched(NamedTuple):
    """Positions of the engine that belong to somebody, and the rows of the books for them."""

    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    """0, a row of zeros, for a position that the books never heard of."""
    missing: NDArray[np.int64]
    """Rows of the books that the engine has no position for."""


def _match(positions: Any, books: Books) -> Matched:
    rows = np.flatnonzero(positions["account"])
    wanted = positions["account"][rows].astype(np.int64) << 6 | positions["symbol"][rows]
    accounts, symbols = (np.array(column, np.int64) for column in (books.account_of, books.symbol_of))
    keys = accounts << 6 | symbols
    by_key = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys, wanted, sorter=by_key), len(keys) - 1)
    slots = np.where(keys[by_key[at]] == wanted, by_key[at], 0)
    known = np.zeros(len(keys), np.bool_)
    known[slots] = True
    return Matched(rows, slots, np.flatnonzero(~known[1:]) + 1)

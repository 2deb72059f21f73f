"""The price levels as they are in memory: a snapshot leaves them out, since they follow from the orders."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringfence.exchange.engine.records import LEVEL, ORDER_UNTRIGGERED
from ringfence.exchange.engine.state import State
from ringfence.messages.records import record

SUFFIX = ".levels"
_LEVEL_ROW = record(
    ("symbol", "i8"), ("px", "i8"), ("qty", "i8"), ("hidden", "i8"), ("head", "i8"), ("tail", "i8"),
    ("hidden_head", "i8"), ("hidden_tail", "i8"),
)  # fmt: skip


def read_levels(path: Path) -> NDArray[np.void]:
    """Return the levels in a file. Raises OSError."""
    return np.fromfile(path, _LEVEL_ROW)


def levels_of(state: State) -> NDArray[np.void]:
    """Return the price levels that hold something, or at whose price an order stands."""
    orders = state.orders[: int(state.header["n_orders"])]
    parts = [np.zeros(0, _LEVEL_ROW)]
    for symbol, (levels, words) in sorted(state.ladders.items()):
        own = orders[(orders["symbol"] == symbol) & (orders["leaves"] > 0)]
        own = own[own["flags"] & ORDER_UNTRIGGERED == 0]
        ticks = len(levels)
        lowest = words["bits"][: ticks >> 6] | words["bits"][len(words) // 2 :][: ticks >> 6]
        filled = np.flatnonzero(lowest)
        bits = np.unpackbits(lowest[filled].view(np.uint8), bitorder="little").reshape(-1, 64)
        word, bit = np.nonzero(bits)
        marked = filled[word] * 64 + bit
        prices = np.union1d(own["px"].astype(np.int64), marked)
        rows = np.zeros(len(prices), _LEVEL_ROW)
        rows["symbol"], rows["px"] = symbol, prices
        for name in LEVEL.names or ():
            rows[name] = levels[name][prices]
        parts.append(rows)
    return np.concatenate(parts)

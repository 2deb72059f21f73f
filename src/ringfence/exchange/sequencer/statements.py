"""The statements of all accounts and of the venue, out of the engine's tables of this moment."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ringfence.commitments.statement import (
    ACCOUNT_MAGIC,
    HEADER,
    ORDER,
    ORDER_IS_UNTRIGGERED,
    ORDER_SELLS,
    POSITION,
    WALLET,
    InstrumentLine,
    venue_statement,
)
from ringfence.exchange.engine.records import ORDER_SELL, ORDER_UNTRIGGERED
from ringfence.exchange.engine.state import State
from ringfence.exchange.engine.stops import WHOLE_POSITION
from ringfence.messages.commands import OrderType
from ringfence.units.limits import ASSETS_MAX

_WALLET = np.dtype({"names": ["asset", "wallet", "locked"], "formats": ["<u2", "<i8", "<i8"],
                    "offsets": [0, 8, 16], "itemsize": WALLET.size})  # fmt: skip
_POSITION = np.dtype(
    {"names": ["symbol", "leverage", "tier", "qty", "cost", "transferred"],
     "formats": ["<u2", "<u2", "<u4", "<i8", "<i8", "<i8"], "offsets": [0, 2, 4, 8, 16, 24],
     "itemsize": POSITION.size}
)  # fmt: skip
_ORDER = np.dtype(
    {"names": ["symbol", "flags", "stop_px", "handle", "leaves", "filled", "px"],
     "formats": ["<u2", "<u2", "<i4", "<u8", "<i4", "<i4", "<i4"], "offsets": [0, 2, 4, 8, 16, 20, 24],
     "itemsize": ORDER.size}
)  # fmt: skip


def account_statements(state: State) -> Iterator[bytes]:
    """Yield the statement of every account, from number 1 on."""
    accounts = int(state.header["n_accounts"])
    parts = [_cut(*of(state), accounts) for of in (_wallets, _positions, _orders)]
    parents = state.margins["parent"][: accounts + 1].tolist()
    for account, (wallets, positions, orders) in enumerate(zip(*parts, strict=True), 1):
        counts = (len(wallets) // WALLET.size, len(positions) // POSITION.size, len(orders) // ORDER.size)
        yield HEADER.pack(ACCOUNT_MAGIC, account, parents[account], *counts) + wallets + positions + orders


def _cut(owners: NDArray[np.int64], lines: NDArray[np.void], accounts: int) -> list[bytes]:
    """Return the lines of each account from 1 on, given lines that are sorted by their owner."""
    raw, size = lines.tobytes(), lines.itemsize
    ends = (np.searchsorted(owners, np.arange(accounts + 1), side="right") * size).tolist()
    return [raw[begin:end] for begin, end in pairwise(ends)]


def _wallets(state: State) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    accounts = int(state.header["n_accounts"]) + 1
    # Laid out [asset][account]: turned, they come by account and then by asset.
    margins = state.margins.reshape(ASSETS_MAX, -1)[:, :accounts].T
    owners, assets = np.nonzero((margins["wallet"] != 0) | (margins["locked"] != 0))
    held = margins[owners, assets]
    lines = np.zeros(len(held), _WALLET)
    lines["asset"], lines["wallet"], lines["locked"] = assets, held["wallet"], held["locked"]
    return owners, lines


def _positions(state: State) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    used = state.positions[: int(state.header["n_positions"])]
    said = (used["qty"] != 0) | (used["leverage"] != 0) | (used["tier"] != 0) | (used["transferred"] != 0)
    held = used[(used["account"] != 0) & said]
    held = held[np.lexsort((held["symbol"], held["account"]))]
    lines = np.zeros(len(held), _POSITION)
    for name in _POSITION.names or ():
        lines[name] = held[name]
    return held["account"].astype(np.int64), lines


def _orders(state: State) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    used = state.orders[: int(state.header["n_orders"])]
    slots = np.flatnonzero(used["leaves"] > 0)
    live = used[slots]
    handles = (live["sequence"].astype(np.uint64) << np.uint64(32)) | slots.astype(np.uint64)
    owners = state.positions["account"][live["position"]].astype(np.int64)
    order = np.lexsort((handles, owners))
    live, slots, handles, owners = live[order], slots[order], handles[order], owners[order]
    lines = np.zeros(len(live), _ORDER)
    for name in ("symbol", "leaves", "filled", "px"):
        lines[name] = live[name]
    lines["handle"] = handles
    lines["flags"] = np.where(live["flags"] & ORDER_SELL, ORDER_SELLS, 0)
    waiting = np.flatnonzero(live["flags"] & ORDER_UNTRIGGERED)
    triggers = state.triggers[slots[waiting]]
    lines["flags"][waiting] |= ORDER_IS_UNTRIGGERED
    lines["leaves"][waiting[triggers["flags"] & WHOLE_POSITION != 0]] = 0
    lines["stop_px"][waiting] = np.where(triggers["type"] >= OrderType.STOP, triggers["stop_px"], 0)
    return owners, lines


def venue_of(state: State) -> bytes:
    """Return the venue's statement."""
    header = state.header
    instruments = [
        InstrumentLine(
            symbol=int(row["number"]), state=int(row["state"]), funding_rate_e8=int(row["funding_rate_e8"]),
            mark=int(row["mark"]), index_px=int(row["index_px"]), fee_pool=int(row["fee_pool"]),
            next_funding_ns=int(row["next_funding_ns"]),
        )
        for row in state.instruments[1 : int(header["n_instruments"]) + 1]
    ]  # fmt: skip
    return venue_statement(
        halt_sequence=int(header["halt_sequence"]), reopens_ns=int(header["reopens_ns"]),
        accounts=int(header["n_accounts"]), insurance_account=int(header["fund_account"]),
        halted=int(header["halted"]), deposits_halted=int(header["deposits_halted"]),
        withdrawals_halted=int(header["withdrawals_halted"]), signers_halted=int(header["signers_halted"]),
        people=int(header["people"]), configuration=int(header["configuration"]),
        rules=state.rules, instruments=instruments,
    )  # fmt: skip

"""All accounts at once: every margin again from what is held, every sum again from its parts.

The compiled twin of `arithmetic.py`, run over the engine's own tables as a cut has them. What an account locks,
what its positions have made at the marks, what is left for it and whether that carries them is worked out from
quantities, costs, open orders and settings alone, and compared with what the engine had written down.

Sums are split: a 64-bit sum wraps without a word, so the low and the high 32 bits of every term are added up
apart and put together as Python integers, which have no end.

Numba compiles this in some seconds, once per version; the code is kept where the engine keeps its own.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.contract import Contract
from ringfence.exchange.engine.records import BLOCK_MEDIUM, MARGIN, MARGIN_CLASSIC, POSITION
from ringfence.units.limits import ASSETS_MAX, SYMBOL_MAX

Integers = NDArray[np.int64]
SUSPECTS_MAX = 64
"""How many accounts of each suspicion are named."""

# What the kernel is told of an instrument: one row of integers each.
_SIGN, _IS_SPOT, _BASE, _LOT, _MARK, _INITIAL, _MAINTENANCE, _TAKER, _LONG_PAYS, _SHORT_PAYS, _COLUMNS = (
    range(11)
)
# What it says of an instrument, and of an asset: sums in two halves.
_QTY, _COST = 0, 2
_WALLET, _LOCKED = 0, 2
_BLOCK = 64
"""Accounts that are summed and then checked: their records stay in the nearest cache between the two. In one loop
there would be more figures than the processor has registers, which takes twice as long."""
_MILLION = 1_000_000
_ONE, _NONE = np.uint64(1), np.uint64(0)
_SMALL = 2**40
"""Times any rate below 2**22 ppm this fits 63 bits."""


class Recount(NamedTuple):
    """What the tables of a cut come to."""

    qty: list[int]
    cost: list[int]
    unrealised: list[int]
    """By instrument: sums over all positions."""
    wallets: list[int]
    locked: list[int]
    """By asset: sums over all accounts."""
    positions: int
    """How many were met on the way through the accounts."""
    wrong_positions: list[int]
    """Rows whose locked margin is not what their contents need; the first of them."""
    wrong_margins: list[tuple[int, int]]
    """(asset, account) whose locked margin, profit at the marks or list is not that of their positions."""
    short: list[tuple[int, int]]
    """(asset, account) whose cross positions are not carried by what there is: the first of them."""


def recount(positions: Any, margins: Any, books: Books, *, accounts: int, epoch: int) -> Recount:
    """Go through all accounts of a cut.

    `positions`: (n,) POSITION records. `margins`: (ASSETS_MAX, capacity) MARGIN records, of which the first
    `accounts` + 1 of each asset are in use. Prices and rates are those of the books at the same sequence.
    """
    contracts = contract_table(books)
    by_symbol = np.zeros((SYMBOL_MAX + 1, 4), np.int64)
    by_asset = np.zeros((ASSETS_MAX, 4), np.int64)
    bases = np.zeros(ASSETS_MAX, np.int64)
    for of in books.contracts.values():
        bases[of.base] |= of.is_spot
    owed = np.zeros((ASSETS_MAX, accounts + 1 if bases.any() else 0), np.int64)
    wrong_positions, n_wrong = np.zeros(SUSPECTS_MAX, np.int64), np.zeros(3, np.int64)
    wrong_margins = np.zeros((SUSPECTS_MAX, 2), np.int64)
    short = np.zeros((SUSPECTS_MAX, 2), np.int64)
    met = 0
    for asset in assets_in_use(books):
        met += _recount(
            positions, margins[asset], asset, accounts, epoch, contracts.ravel(), 1 / contracts[:, _LOT], bases,
            owed, by_symbol.ravel(), by_asset[asset], wrong_positions, wrong_margins, short, n_wrong,
        )  # fmt: skip
    for asset in np.flatnonzero(bases).tolist():
        for account in np.flatnonzero(owed[asset])[:SUSPECTS_MAX].tolist():
            if n_wrong[1] < SUSPECTS_MAX:
                wrong_margins[n_wrong[1]] = asset, account
                n_wrong[1] += 1
    qty, cost = _joined(by_symbol, _QTY), _joined(by_symbol, _COST)
    return Recount(
        qty=qty,
        cost=cost,
        unrealised=[_made(of, qty[n], cost[n]) for n, of in enumerate(contracts.tolist())],
        wallets=_joined(by_asset, _WALLET),
        locked=_joined(by_asset, _LOCKED),
        positions=met,
        wrong_positions=wrong_positions[: n_wrong[0]].tolist(),
        wrong_margins=[(int(asset), int(account)) for asset, account in wrong_margins[: n_wrong[1]]],
        short=[(int(asset), int(account)) for asset, account in short[: n_wrong[2]]],
    )


def assets_in_use(books: Books) -> list[int]:
    """Return the assets that coins came in of, or that something is traded in."""
    traded = {asset for of in books.contracts.values() if of.lot_size for asset in (of.settle, of.base)}
    return [asset for asset in range(ASSETS_MAX) if books.deposited[asset] or asset in traded]


def contract_table(books: Books) -> Integers:
    table = np.zeros((SYMBOL_MAX + 1, _COLUMNS), np.int64)
    table[:, _LOT] = 1
    for number, of in books.contracts.items():
        table[number] = _row(of)
    return table


def _row(of: Contract) -> tuple[int, ...]:
    rate = of.funding_rate_e8
    return (
        -1 if of.is_inverse else 1, of.is_spot, of.base, of.lot_size or 1, of.mark_lot_value, of.initial_ppm,
        of.maintenance_ppm, max(of.taker_ppm, 0), max(rate, 0) // 100, max(-rate, 0) // 100,
    )  # fmt: skip


def exact_sum(column: Any) -> int:
    """Return the sum of 64-bit integers, however large."""
    values = np.ascontiguousarray(column, np.int64)
    low = int((values & 0xFFFF_FFFF).sum())
    return (int((values >> 32).sum()) << 32) + low


def _joined(table: Integers, at: int) -> list[int]:
    return [
        low + (high << 32) for low, high in zip(table[:, at].tolist(), table[:, at + 1].tolist(), strict=True)
    ]


def _made(of: list[int], qty: int, cost: int) -> int:
    """Return what all positions of an instrument have made at the mark: every one of them is of whole lots."""
    return of[_SIGN] * (qty // of[_LOT] * of[_MARK] - cost) if not of[_IS_SPOT] else 0


# ---- compiled


def _njit(signature: str | None = None, **options: Any) -> Any:
    """Compile with the code kept beside the engine's, whatever the user's own Numba is told."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    nb.config.CACHE_DIR = str(Path(home) / "ringfence" / "audit")
    return nb.njit(signature, cache=True, error_model="numpy", **options)


@_njit(inline="always")
def _div(top: int, bottom: int) -> Any:
    """Return top // bottom for neither below zero: signed division costs three times as much."""
    return np.int64(np.uint64(top) // np.uint64(bottom))


@_njit(inline="always")
def _up_ppm(value: int, ppm: int) -> Any:
    """Return value * ppm / 1e6 rounded up, for neither below zero; in two steps where the product would wrap."""
    if value < _SMALL:
        return _div(value * ppm + (_MILLION - 1), _MILLION)
    millions = _div(value, _MILLION)
    return millions * ppm + _div((value - millions * _MILLION) * ppm + (_MILLION - 1), _MILLION)


@_njit(inline="always")
def _add_four(sums: Any, at: int, a: int, b: int, c: int, d: int) -> None:
    sums[at] += a
    sums[at + 1] += b
    sums[at + 2] += c
    sums[at + 3] += d


_POSITIONS = nb.from_dtype(POSITION)[::1]
_MARGINS = nb.from_dtype(MARGIN)[::1]
_RECOUNT = nb.int64(
    _POSITIONS, _MARGINS, nb.int64, nb.int64, nb.int64, nb.int64[::1], nb.float64[::1], nb.int64[::1],
    nb.int64[:, ::1], nb.int64[::1], nb.int64[::1], nb.int64[::1], nb.int64[:, ::1], nb.int64[:, ::1],
    nb.int64[::1],
)  # fmt: skip


_SUM_UP = nb.void(_POSITIONS, _MARGINS, nb.int64, nb.int64, nb.int64[::1], nb.int64[::1], nb.int64[::1])


@_njit(_SUM_UP)
def _sum_up(
    positions: Any, margins: Any, first: int, until: int, contracts: Any, by_symbol: Any, by_asset: Any
) -> None:
    """Add what a block of accounts has to the sums, those of spot in wallets alone."""
    current = np.int64(0)
    qty_low = qty_high = cost_low = cost_high = np.int64(0)
    wallet_low = wallet_high = locked_low = locked_high = np.int64(0)
    size_of_table = np.int64(len(positions))
    for account in range(first, until):
        m = margins[account]
        wallet_low += m.wallet & 0xFFFF_FFFF
        wallet_high += m.wallet >> 32
        locked_low += m.locked & 0xFFFF_FFFF
        locked_high += m.locked >> 32
        base, slots = np.int64(m.base), np.int64(m.slots)
        if base + slots > size_of_table:
            continue
        for index in range(base, base + slots):
            p = positions[index]
            symbol = np.int64(p.symbol) & SYMBOL_MAX
            if p.account != account or contracts[symbol * _COLUMNS + _IS_SPOT]:
                continue
            if symbol != current:
                # One contract after the other is the usual case; adding up in memory would wait for itself.
                _add_four(by_symbol, current * 4, qty_low, qty_high, cost_low, cost_high)
                qty_low = qty_high = cost_low = cost_high = np.int64(0)
                current = symbol
            qty, cost = p.qty, p.cost
            qty_low += qty & 0xFFFF_FFFF
            qty_high += qty >> 32
            cost_low += cost & 0xFFFF_FFFF
            cost_high += cost >> 32
    _add_four(by_symbol, current * 4, qty_low, qty_high, cost_low, cost_high)
    _add_four(by_asset, 0, wallet_low, wallet_high, locked_low, locked_high)


@_njit(_RECOUNT)
def _recount(
    positions: Any, margins: Any, asset: int, accounts: int, epoch: int, contracts: Any, per_lot: Any, bases: Any,
    owed: Any, by_symbol: Any, by_asset: Any, wrong_positions: Any, wrong_margins: Any, short: Any, n_wrong: Any,
) -> Any:  # fmt: skip
    """Go through the accounts of one asset; return how many positions were met.

    Tables are flat and indexed as such: taking a row of an array counts a reference, which costs more than
    all of the arithmetic.

    Twins: `arithmetic.py` here, `margin.py` in the engine.
    """
    met = 0
    is_base = bases[asset] != 0
    size_of_table = np.int64(len(positions))
    for account in range(accounts + 1):
        if account % _BLOCK == 0:
            _sum_up(
                positions,
                margins,
                account,
                min(account + _BLOCK, accounts + 1),
                contracts,
                by_symbol,
                by_asset,
            )
        m = margins[account]
        wallet, slots = m.wallet, np.int64(m.slots)
        locked_sum = np.int64(0)
        made_sum = np.int64(0)
        needed = np.int64(0)
        isolated = np.int64(0)
        classic = (np.int64(m.flags) & MARGIN_CLASSIC) != 0
        # What the account is said to hold, bit by bit, and in a small block in which contracts. Shifting by one
        # place at a time costs a third of shifting by as many as there are.
        said, symbols, strange = np.uint64(m.held), np.int64(m.symbols), np.int64(0)
        is_small = np.int64(-1) if slots < BLOCK_MEDIUM else np.int64(0)
        base = np.int64(m.base)
        if base + slots > size_of_table:
            if n_wrong[1] < SUSPECTS_MAX:
                wrong_margins[n_wrong[1], 0] = asset
                wrong_margins[n_wrong[1], 1] = account
                n_wrong[1] += 1
            continue
        for index in range(base, base + slots):
            p = positions[index]
            strange |= np.int64(said & _ONE) ^ np.int64(p.qty != 0)
            strange |= ((symbols & 0xFFFF) ^ np.int64(p.symbol)) & is_small
            said = said >> _ONE
            symbols >>= 16
            if p.account != account:
                continue
            met += 1
            symbol, qty, cost = np.int64(p.symbol) & SYMBOL_MAX, p.qty, p.cost
            of = symbol * _COLUMNS
            taker, tier, leverage = contracts[of + _TAKER], np.int64(p.tier), np.int64(p.leverage)
            if contracts[of + _IS_SPOT]:
                need = p.open_buys + _up_ppm(p.open_buys, taker)
                if p.open_sells != 0:
                    owed[contracts[of + _BASE], account] += p.open_sells
            else:
                exposure = abs(cost)
                worst = max(max(cost + p.open_buys, p.open_sells - cost), exposure)
                rate = contracts[of + _INITIAL] + tier * contracts[of + _MAINTENANCE]
                upkeep = contracts[of + _MAINTENANCE] * (1 + tier)
                if leverage != 0:
                    rate = max(rate, _div(100 * _MILLION + leverage - 1, leverage))
                need = _up_ppm(worst - exposure, rate + 2 * taker)
                # Sides alternate at random: a branch on them is guessed wrong every other time.
                is_short = np.int64(qty < 0)
                # A product is several times as quick as a division, and right if it comes out even; it does
                # for whole lots, and there are no others.
                size = abs(qty)
                lots = np.int64(np.float64(size) * per_lot[symbol] + 0.5)
                strange |= lots * contracts[of + _LOT] ^ size
                value = lots * contracts[of + _MARK] * (1 - 2 * is_short)
                made = contracts[of + _SIGN] * (value - cost)
                if leverage == 0:
                    need += _up_ppm(exposure, upkeep)
                    needed += _up_ppm(exposure, upkeep + contracts[of + _LONG_PAYS + is_short])
                    made_sum += min(made, 0) if classic else made
                elif exposure != 0:
                    initial = _div(exposure * 100 + leverage - 1, leverage)
                    own = initial + _up_ppm(exposure + initial, taker) + p.transferred
                    need += own
                    isolated += own
            if need != p.locked and n_wrong[0] < SUSPECTS_MAX:
                wrong_positions[n_wrong[0]] = index
                n_wrong[0] += 1
            locked_sum += need
        wrong = strange != 0 or said != _NONE or (m.epoch == epoch and m.unrealised != made_sum)
        if is_base:
            owed[asset, account] += locked_sum - m.locked
        else:
            wrong = wrong or locked_sum != m.locked
        if wrong and n_wrong[1] < SUSPECTS_MAX:
            wrong_margins[n_wrong[1], 0] = asset
            wrong_margins[n_wrong[1], 1] = account
            n_wrong[1] += 1
        if needed > 0 and wallet - isolated + made_sum < needed and n_wrong[2] < SUSPECTS_MAX:
            short[n_wrong[2], 0] = asset
            short[n_wrong[2], 1] = account
            n_wrong[2] += 1
    return met

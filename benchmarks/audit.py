"""What it costs to check everything: `python benchmarks/audit.py [--json] [--quick]`.

Full re-margining and conservation: for every account of a million, what each position and its orders lock, its
profit at the mark and its maintenance margin are worked out again, compared with what the engine wrote down, and
wallets, costs and quantities are summed exactly. Beside it the same in NumPy, column by column, and in plain
Python over a sample, scaled up. Then the auditor's own books, and all laws together, over a turbulent market.
"""

import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from ringfence.assurance.audit.arithmetic import locked, maintenance, unrealised
from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.audit.books import Books
from ringfence.assurance.audit.contract import Contract
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.margins import exact_sum, recount
from ringfence.exchange.engine.records import MARGIN, POSITION
from ringfence.exchange.engine.state import allocate
from ringfence.testing.measure import Result, pin_to_one_core, report, seconds
from ringfence.testing.stretch import Stretch
from ringfence.units.limits import ASSETS_MAX

QUICK = "--quick" in sys.argv[1:]
ACCOUNTS = 100_000 if QUICK else 1_000_000
RUNS = 3 if QUICK else 11
SAMPLE = 20_000
_BLOCK = {1: 2, 10: 16}
"""Slots of the engine's block for so many positions of an account."""
_MARK, _LOT_COST = 13_000_000, 7_600_000


class Tables(NamedTuple):
    """The engine's tables of a venue with so many accounts, every figure in them right."""

    books: Books
    positions: Any
    margins: list[Any]
    accounts: int


def venue(accounts: int, per_account: int) -> Tables:
    """Return accounts with positions of random sizes and sides, half of them with an open order."""
    books, rng = Books(), np.random.default_rng(1)
    books.deposited[0] = 1
    for number in range(1, per_account + 1):
        of = books.contracts[number] = Contract(number, 0 if number == 1 else 1)
        of.lot_size, of.mark = 100, _MARK
        of.mark_lot_value = 7_692_308 if of.is_inverse else _MARK
        of.initial_ppm, of.maintenance_ppm, of.taker_ppm, of.maker_ppm = 10_000, 5_000, 750, -100
    slots = _BLOCK[per_account] if per_account == 10 else per_account
    count = accounts * slots + 1
    positions, margins = allocate(POSITION, count), allocate(MARGIN, accounts + 1)
    used = (np.arange(accounts) * slots + 1)[:, None] + np.arange(per_account) + (per_account == 10)
    rows = used.ravel()
    lots = rng.integers(1, 50, len(rows)) * np.where(rng.random(len(rows)) < 0.5, 1, -1)
    positions["account"][rows] = np.repeat(np.arange(1, accounts + 1), per_account)
    positions["symbol"][rows] = np.tile(np.arange(1, per_account + 1), accounts)
    positions["qty"][rows], positions["cost"][rows] = lots * 100, lots * _LOT_COST
    positions["open_buys"][rows] = rng.integers(0, 2, len(rows)) * 10 * _LOT_COST
    positions["locked"][rows] = _locked(positions[rows])
    margins["base"][1:] = np.arange(accounts) * slots + 1
    margins["slots"][1:], margins["wallet"][1:] = slots, 10**13
    margins["held"][1:] = sum(1 << k + (per_account == 10) for k in range(per_account))
    margins["symbols"][1:] = 1 if per_account == 1 else 0
    margins["locked"][1:] = positions["locked"][rows].reshape(accounts, per_account).sum(axis=1)
    return Tables(books, positions, [margins, *[margins[:0]] * (ASSETS_MAX - 1)], accounts)


def _locked(rows: Any) -> Any:
    exposure = np.abs(rows["cost"])
    worst = np.maximum(
        rows["cost"] + rows["open_buys"], np.maximum(rows["open_sells"] - rows["cost"], exposure)
    )
    return -(-(worst - exposure) * 11_500 // 1_000_000) + -(-exposure * 5_000 // 1_000_000)


def compiled(tables: Tables) -> None:
    found = recount(tables.positions, tables.margins, tables.books, accounts=tables.accounts, epoch=1)
    assert not found.wrong_positions
    assert not found.wrong_margins
    assert found.positions >= tables.accounts


def numpy_columns(tables: Tables) -> None:
    """The same with whole columns: what one would write without a compiler."""
    rows = tables.positions
    of = [tables.books.contracts.get(k) for k in range(len(tables.books.contracts) + 1)]
    mark = np.array([c.mark_lot_value if c else 0 for c in of])[rows["symbol"]]
    sign = np.array([-1 if c is None or c.is_inverse else 1 for c in of])[rows["symbol"]]
    value = np.abs(rows["qty"]) // 100 * mark * np.sign(rows["qty"])
    made = sign * (value - rows["cost"])
    need = _locked(rows)
    assert not (need != rows["locked"]).any()
    accounts = rows["account"]
    profits = np.bincount(accounts, weights=made, minlength=tables.accounts + 1)
    sums = np.bincount(accounts, weights=need, minlength=tables.accounts + 1)
    assert not (sums[1:] != tables.margins[0]["locked"][1:]).any()
    equity = tables.margins[0]["wallet"] + profits
    assert not (equity[1:] < np.abs(rows["cost"]).max() * 0.005).any()
    for symbol in tables.books.contracts:
        own = rows["symbol"] == symbol
        exact_sum(rows["qty"][own]), exact_sum(rows["cost"][own]), exact_sum(made[own])
    exact_sum(tables.margins[0]["wallet"])


def plain_python(tables: Tables, sample: int) -> None:
    """The auditor's own formulas, account by account, over the first accounts."""
    contracts, totals = tables.books.contracts, [0] * 64
    for account in range(1, sample + 1):
        m = tables.margins[0][account]
        equity, needed, locks = int(m["wallet"]), 0, 0
        for p in tables.positions[int(m["base"]) : int(m["base"]) + int(m["slots"])]:
            if p["account"] != account:
                continue
            of, qty, cost = contracts[int(p["symbol"])], int(p["qty"]), int(p["cost"])
            need = locked(
                of, cost=cost, buys=int(p["open_buys"]), sells=int(p["open_sells"]), leverage=0, tier=0,
                transferred=0,
            )  # fmt: skip
            assert need == p["locked"]
            locks += need
            equity += unrealised(of, qty=qty, cost=cost)
            needed += maintenance(of, qty=qty, cost=cost, leverage=0, tier=0)
            totals[of.number] += qty
        assert locks == m["locked"]
        assert equity >= needed


def full(per_account: int, name: str, limit_ms: float) -> Iterator[Result]:
    tables = venue(ACCOUNTS, per_account)
    scale = 1_000_000 / ACCOUNTS
    compiled(tables)

    def milliseconds(action: Callable[[], None], runs: int) -> list[float]:
        return [seconds(action) * 1e3 * scale for _ in range(runs)]

    ours = milliseconds(lambda: compiled(tables), RUNS)
    numpy_ms = median(milliseconds(lambda: numpy_columns(tables), 3))
    sample = min(SAMPLE // per_account, ACCOUNTS)
    python_ms = median(milliseconds(lambda: plain_python(tables, sample), 3)) * ACCOUNTS / sample
    yield Result(name, median(ours), "ms", f"the limit of {limit_ms:.0f} ms", median(ours) / limit_ms)
    yield Result(f"{name}.best", min(ours), "ms", f"the limit of {limit_ms:.0f} ms", min(ours) / limit_ms)
    yield Result(f"{name}.numpy", numpy_ms, "ms", "compiled", numpy_ms / median(ours))
    label = f"compiled; {sample:,} accounts, scaled"
    yield Result(f"{name}.python", python_ms, "ms", label, python_ms / median(ours))


def streams() -> Iterator[Result]:
    """Events a second, by the books alone and with every law looking on; what a cut of that venue costs."""
    stretch = Stretch(2, count=3_000 if QUICK else 9_000, cuts=5)
    events = sum(len(batch.events) for batch in stretch.batches)
    commands = sum(len(batch.commands) for batch in stretch.batches)
    batches = len(stretch.batches)

    def fold() -> None:
        books = Books()
        for batch in stretch.batches:
            books.fold(batch)

    def audit() -> None:
        auditor = Auditor()
        for batch in stretch.batches:
            assert not auditor.on_batch(batch)

    runs = 3 if QUICK else 5
    alone = median(seconds(fold) for _ in range(runs))
    whole = median(seconds(audit) for _ in range(runs))
    yield Result(
        "audit.books_events_per_s", events / alone, "events/s", "the aim of 50,000", events / alone / 50_000
    )
    yield Result("audit.laws_events_per_s", events / whole, "events/s", "books alone", alone / whole)
    yield Result(
        "audit.laws_per_batch_us", whole / batches * 1e6, "us", f"{commands / batches:.0f} commands each"
    )
    auditor = Auditor()
    sequence = stretch.cut_at[-1]
    for batch in stretch.batches:
        if batch.next_sequence <= sequence:
            auditor.on_batch(batch)
    cuts = [Cut.of(stretch.state_at(sequence)) for _ in range(runs)]
    spent = median(seconds(lambda cut=cut: auditor.on_cut(cut)) for cut in cuts)
    yield Result("audit.small_cut_ms", spent * 1e3, "ms")
    stretch.close()


def results() -> Iterator[Result]:
    yield from full(1, "audit.full_1m_ms", 25)
    yield from full(10, "audit.full_1m_x10_ms", 250)
    yield from streams()


if __name__ == "__main__":
    pin_to_one_core()
    report(results())

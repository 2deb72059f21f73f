"""The figures of history: how far it is behind, and what the views that it folds anyway say of risk.

Margins of all accounts are looked through every ten seconds at most: with many accounts that takes a while.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ringfence.exchange.projections import Views
from ringfence.exchange.projections.positions import Margin
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command, HaltScope, IndexStatus, InstrumentState
from ringfence.messages.constituents import Reference, decode_constituents
from ringfence.messages.events import Event, LiquidationStep
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample
from ringfence.units.assets import ASSETS
from ringfence.units.time import NS_PER_SECOND

if TYPE_CHECKING:
    from ringfence.daemons.history import History

_RISK_EVERY_SECONDS = 10.0
_ADMIN = (
    Command.LIST, Command.CONFIGURE, Command.SET_STATE, Command.CONFIGURE_VENUE, Command.SETTLE, Command.HALT,
    Command.RESUME, Command.MARK, Command.CONFIGURE_ACCOUNT, Command.DEPOSIT, Command.WITHDRAW,
)  # fmt: skip
"""What no customer asks for."""
_KINDS = 256
_MARKED = (InstrumentState.OPEN, InstrumentState.CANCEL_ONLY, InstrumentState.HALTED)
"""States in which marks go on; who is settled is never marked again."""


class Risk(NamedTuple):
    """What was found when all accounts were looked through."""

    at: float
    under_maintenance: int
    backlog: int


class HistoryFigures:
    """What is counted while batches are folded."""

    def __init__(self) -> None:
        self.commands = np.zeros(_KINDS, dtype=np.int64)
        self.events = np.zeros(_KINDS, dtype=np.int64)
        self.steps = dict.fromkeys(LiquidationStep, 0)
        self.newest_ns = 0
        self.risk = Risk(0.0, 0, 0)

    def take(self, batch: Batch) -> None:
        self.commands += np.bincount(batch.commands["kind"], minlength=_KINDS)
        self.events += np.bincount(batch.events["kind"], minlength=_KINDS)
        self.newest_ns = batch.timestamp_ns
        for step in batch.events["px"][batch.events["kind"] == Event.LIQUIDATION].tolist():
            self.steps[LiquidationStep(step)] += 1


def serving_history(directory: Path, history: "History") -> AbstractAsyncContextManager[None]:
    def trouble() -> str:
        if not history.is_connected:
            return "the core is away"
        return "" if history.lag_slots == 0 or history.lag_seconds < 1 else "it is behind the core"

    return serving(directory, Page("history", lambda: _measure(history), trouble))


def _measure(history: "History") -> Iterator[Sample]:
    figures, views = history.figures, history.views
    yield sample(metrics.SEQUENCE, views.next_sequence)
    yield sample(metrics.CORE_CONNECTED, int(history.is_connected))
    yield sample(metrics.LAG, history.lag_slots)
    yield sample(metrics.LAG_SECONDS, history.lag_seconds)
    yield from _of_halts(views)
    yield from _of_risk(figures, views)
    yield from _of_prices(views, time.time_ns())
    for kind in _ADMIN:
        yield sample(metrics.ADMIN, int(figures.commands[kind]), kind.name.lower())


def _of_halts(views: Views) -> Iterator[Sample]:
    yield sample(metrics.STATE, int(views.halts.venue))
    now = [view.scope for view in views.halts.now]
    for scope in HaltScope:
        yield sample(metrics.HALTED, now.count(scope), scope.name.lower())
    yield sample(metrics.HALTS, sum(view.reason is not None for view in views.halts.history))


def _of_risk(figures: HistoryFigures, views: Views) -> Iterator[Sample]:
    now = time.time()
    if now - figures.risk.at >= _RISK_EVERY_SECONDS:
        figures.risk = Risk(now, under_maintenance(views), _taken_over(views))
    fund = views.accounts.get(views.fund_account)
    for asset, margin in sorted(fund.margins.items()) if fund is not None else ():
        yield sample(metrics.FUND, margin.wallet, ASSETS[asset].currency)
    yield sample(metrics.ACCOUNTS, len(views.accounts))
    yield sample(metrics.ORDERS, len(views.orders))
    yield sample(metrics.UNDER_MAINTENANCE, figures.risk.under_maintenance)
    yield sample(metrics.BACKLOG, figures.risk.backlog)
    yield sample(metrics.RISK_AGE, now - figures.risk.at)
    for step, count in figures.steps.items():
        yield sample(metrics.LIQUIDATIONS, count, step.name.lower())
    yield sample(metrics.ADL, int(figures.events[Event.DELEVERAGED]))


def under_maintenance(views: Views) -> int:
    """Return how many accounts have a position that is not backed by its maintenance margin."""
    return sum(
        any(_is_short(margin) for margin in account.margins.values()) for account in views.accounts.values()
        if account.number != views.fund_account
    )  # fmt: skip


def _is_short(margin: Margin) -> bool:
    """Return whether one asset's positions are short: each isolated one by itself, all cross ones together."""
    cross = None
    for one in margin.positions:
        if not one.qty or not one.instrument.is_contract:
            continue
        if one.leverage:
            if one.position_margin + one.unrealised < one.maintenance:
                return True
        else:
            cross = one
    if cross is None:
        return False
    backing, needed = margin.cross_backing(cross)
    return backing + cross.unrealised < needed


def _taken_over(views: Views) -> int:
    fund = views.accounts.get(views.fund_account)
    return sum(1 for one in fund.positions.values() if one.qty) if fund is not None else 0


def _of_prices(views: Views, now_ns: int) -> Iterator[Sample]:
    for market in list(views.markets.values()):
        of, symbol = market.instrument, market.instrument.symbol
        if not of.is_index and market.state in _MARKED:
            yield sample(metrics.BOOK_LEVELS, len(market.bids.prices), symbol, "bid")
            yield sample(metrics.BOOK_LEVELS, len(market.asks.prices), symbol, "ask")
        if not of.is_index:
            if of.is_contract and market.mark_subticks and market.state in _MARKED:
                yield sample(metrics.MARK_AGE, max(now_ns - market.timestamp_ns, 0) / NS_PER_SECOND, symbol)
            continue
        if not market.index_stamped_ns:
            continue
        age_s = max(now_ns - market.index_stamped_ns, 0) / NS_PER_SECOND
        yield sample(metrics.INDEX_AGE, age_s, symbol)
        yield sample(metrics.INDEX_FROZEN, int(market.index_status == IndexStatus.FROZEN), symbol)
        try:
            said = decode_constituents(market.constituents)[1] if market.constituents else ()
        except ValueError:
            said = ()  # an operator's own INDEX command need not have any
        for one in said:
            name = Reference(one.reference).name.lower()
            yield sample(metrics.SOURCE_AGE, age_s + one.age_ms / 1000, symbol, name)

"""Orders that are triggered, pegged or linked: the views agree with the engine after every batch."""

from collections import Counter

import numpy as np
import pytest

from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.records import ORDER_UNTRIGGERED
from ringfence.exchange.projections import TABLES, Execution, Order, Views
from ringfence.messages.batch import Batch
from ringfence.messages.commands import Command
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.workloads import turmoil

ACCOUNTS = 6
SIZE = 40


def waiting(engine: Engine) -> list[tuple[int, int, int, int]]:
    """Return (sequence, limit price, stop price, peg offset) of what the engine holds untriggered."""
    held = engine.state.orders[: engine.state.header["n_orders"]]
    found = []
    for slot in np.flatnonzero((held["leaves"] > 0) & (held["flags"] & ORDER_UNTRIGGERED != 0)):
        trigger = engine.state.triggers[slot]
        stop_px = int(trigger["stop_px"]) if trigger["type"] >= 2 else 0
        found.append(
            (int(held[slot]["sequence"]), int(held[slot]["px"]), stop_px, int(trigger["peg_offset"]))
        )
    return sorted(found)


def seen(order: Order) -> tuple[int, int, int, int]:
    assert order.condition is not None
    return order.sequence, order.px, order.condition.stop_px, order.condition.peg_offset


def check(engine: Engine, views: Views) -> None:
    for number, market in views.markets.items():
        bids, asks = engine.book(number)
        assert sorted(market.bids.levels.items(), reverse=True) == bids
        assert sorted(market.asks.levels.items()) == asks
    untriggered = [order for order in views.orders.values() if order.is_untriggered]
    assert sorted(map(seen, untriggered)) == waiting(engine)
    live = Counter(
        (int(order["sequence"]), int(order["px"]), int(order["leaves"]))
        for number in views.markets
        for order in engine.live_orders(number)
    )
    plain = (order for order in views.orders.values() if not order.is_untriggered)
    assert Counter((order.sequence, order.px, order.leaves) for order in plain) == live


@pytest.mark.parametrize("seed", range(600, 606))
def test_views_follow_every_order_that_waits(seed: int) -> None:
    engine, views = Engine(accounts=64, orders=1 << 12), Views()
    commands = turmoil(seed, count=1_200, accounts=ACCOUNTS)
    batches = [
        opening(accounts=ACCOUNTS), *(commands[k : k + SIZE] for k in range(0, len(commands), SIZE))
    ]  # fmt: skip
    reports: list[Execution] = []
    now_ns = START_NS
    for rows in batches:
        now_ns += 20 * 10**9
        while True:
            sequence, event = engine.next_sequence, engine.event_count
            events = engine.step(rows, timestamp_ns=now_ns).copy()
            changes = views.apply(Batch(sequence, now_ns, event, rows, events))
            reports += changes.executions
            for order, _ in changes.orders.values():
                row = order.row()
                assert tuple(row) == TABLES["order"].names
                assert "" not in row.values()
                assert not (order.is_untriggered and row["workingIndicator"])
            if not engine.has_more_to_do:
                break
            rows = command(Command.TICK)
        check(engine, views)
    kinds = Counter(report.kind for report in reports)
    assert kinds["TriggeredOrActivatedBySystem"] > 20
    assert {report.order.ordtype for report in reports if report.kind == "New"} == set(range(7))
    for report in reports:
        row = report.row()
        assert tuple(row) == TABLES["execution"].names
        assert "" not in row.values()

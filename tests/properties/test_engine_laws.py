"""Laws that hold after every batch, whatever was asked for."""

from typing import Any

import numpy as np
import pytest

from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.records import ORDER_SELL
from ringfence.instruments import value
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.specification import Instrument
from ringfence.messages.events import Event
from ringfence.testing.play import START_NS, opening
from ringfence.testing.workloads import everything
from ringfence.units.assets import ASSETS

ACCOUNTS = 5
INSTRUMENTS = [instrument for instrument in start_instruments(START_NS) if not instrument.is_index]


def total(column: Any) -> int:
    """Return an exact sum; NumPy's wraps."""
    return sum(column.tolist())


def positions(engine: Engine) -> list[tuple[int, Instrument, Any]]:
    found = []
    for account in range(1, ACCOUNTS + 1):
        for instrument in INSTRUMENTS:
            position = engine.position(account, instrument.number)
            if position is not None:
                found.append((account, instrument, position))
    return found


def check_positions_sum_to_zero(engine: Engine) -> None:
    for instrument in INSTRUMENTS:
        held = [position for _, of, position in positions(engine) if of is instrument]
        assert sum(int(position["qty"]) for position in held) == 0
        assert all(int(p["cost"]) == 0 for p in held if p["qty"] == 0)
        assert all((int(p["cost"]) > 0) == (int(p["qty"]) > 0) for p in held if p["qty"] and p["cost"])


def check_coins_are_conserved(engine: Engine, flows: list[int]) -> None:
    """Wallets, fee pools and what positions cost add up to what came in, to the last unit."""
    for asset in range(len(ASSETS)):
        held = sum(int(engine.margin(asset, account)["wallet"]) for account in range(1, ACCOUNTS + 1))
        fees = sum(
            int(engine.instrument(instrument.number)["fee_pool"])
            for instrument in INSTRUMENTS
            if instrument.settle_asset == asset
        )
        costs = sum(
            int(position["cost"]) * (1 if instrument.is_inverse else -1)
            for _, instrument, position in positions(engine)
            if instrument.settle_asset == asset
        )
        assert held + fees + costs == flows[asset]


def check_margins_equal_their_twin(engine: Engine) -> None:
    """What is locked equals the plain-Python formulas, position by position and in sum."""
    locked = {(account, asset): 0 for account in range(1, ACCOUNTS + 1) for asset in range(len(ASSETS))}
    for account, instrument, position in positions(engine):
        orders = engine.live_orders(instrument.number)
        own = [o for o in orders if _owner(engine, o) == account]
        buys, sells, sold = 0, 0, 0
        for order in own:
            worth = value.order_value(instrument, int(order["px"]), int(order["leaves"]))
            if order["flags"] & ORDER_SELL:
                sells += worth
                sold += int(order["leaves"])
            else:
                buys += worth
        assert int(position["n_orders"]) == len(own)
        assert int(position["open_buys"]) == buys
        if instrument.is_spot:
            assert int(position["open_sells"]) == sold
            expected = buys - (-buys * max(instrument.taker_fee_ppm, 0) // 1_000_000)
            assert instrument.base_asset is not None
            locked[account, instrument.base_asset] += sold
        else:
            assert int(position["open_sells"]) == sells
            setting = {"tier": int(position["tier"]), "leverage_hundredths": int(position["leverage"])}
            expected = value.order_margin(
                instrument, cost=int(position["cost"]), open_buys=buys, open_sells=sells, **setting
            )
            expected += value.position_margin(
                instrument, cost=int(position["cost"]), transferred=int(position["transferred"]), **setting
            )
        assert int(position["locked"]) == expected
        locked[account, instrument.settle_asset] += expected
    for (account, asset), amount in locked.items():
        assert int(engine.margin(asset, account)["locked"]) == amount


def _owner(engine: Engine, order: Any) -> int:
    return int(engine.state.positions[order["position"]]["account"])


def check_books_are_whole(engine: Engine) -> None:
    """Best prices and level totals are those of the orders, and the book is not crossed."""
    for instrument in INSTRUMENTS:
        record = engine.instrument(instrument.number)
        orders = engine.live_orders(instrument.number)
        sell = (orders["flags"] & ORDER_SELL) != 0
        bids, asks = orders["px"][~sell], orders["px"][sell]
        assert int(record["bid"]) == max(bids.tolist(), default=0)
        assert int(record["ask"]) == min(asks.tolist(), default=int(record["ticks"]))
        assert int(record["bid"]) < int(record["ask"])
        assert (int(record["n_bids"]), int(record["n_asks"])) == (len(bids), len(asks))
        levels = engine.state.ladders[instrument.number][0]
        for px in np.unique(orders["px"]).tolist():
            there = orders[orders["px"] == px]
            assert int(levels[px]["qty"]) == total(there["leaves"])
            kept_back = there["leaves"] - np.where(there["display"] == -1, there["leaves"], there["shown"])
            assert int(levels[px]["hidden"]) == total(kept_back)
        assert int(np.count_nonzero(levels["qty"])) == len(np.unique(orders["px"]))


def check_reduce_only_orders_reduce(engine: Engine) -> None:
    for account, instrument, position in positions(engine):
        orders = engine.live_orders(instrument.number)
        for is_sell in (0, ORDER_SELL):
            mine = [
                int(o["leaves"]) for o in orders
                if o["flags"] & 4 and (o["flags"] & ORDER_SELL) == is_sell and _owner(engine, o) == account
            ]  # fmt: skip
            held = int(position["qty"]) if is_sell else -int(position["qty"])
            assert sum(mine) <= max(held, 0)


@pytest.mark.parametrize("seed", range(100, 112))
def test_laws_hold_after_every_batch(seed: int) -> None:
    engine = Engine(accounts=64, orders=64)
    flows = [0] * len(ASSETS)
    setup = opening(accounts=ACCOUNTS)
    commands = everything(seed, count=900, accounts=ACCOUNTS)
    batches = [setup, *(commands[k : k + 60] for k in range(0, len(commands), 60))]
    for index, batch in enumerate(batches):
        events = engine.step(batch, timestamp_ns=START_NS + index * 10**9)
        for event in events:
            if event["kind"] == Event.DEPOSITED:
                flows[event["symbol"]] += int(event["amount"])
            elif event["kind"] == Event.WITHDRAWN:
                flows[event["symbol"]] -= int(event["amount"])
        check_positions_sum_to_zero(engine)
        check_coins_are_conserved(engine, flows)
        check_margins_equal_their_twin(engine)
        check_books_are_whole(engine)
        check_reduce_only_orders_reduce(engine)


@pytest.mark.parametrize("seed", [7, 8])
def test_a_snapshot_anywhere_goes_on_identically(seed: int, tmp_path: Any) -> None:
    """Levels, bit maps and clOrdIDs are rebuilt from the orders: the future must not notice."""
    commands = everything(seed, count=1_000, accounts=ACCOUNTS)
    straight = Engine()
    straight.step(opening(accounts=ACCOUNTS), timestamp_ns=START_NS)
    straight.step(commands[:500], timestamp_ns=START_NS)
    straight.save(tmp_path / "snapshot")
    resumed = Engine.load(tmp_path / "snapshot")
    assert resumed.digest() == straight.digest()
    for symbol, (levels, words) in straight.state.ladders.items():
        assert resumed.state.ladders[symbol][0].tobytes() == levels.tobytes()
        assert resumed.state.ladders[symbol][1].tobytes() == words.tobytes()
    later = START_NS + 10**9
    expected = straight.step(commands[500:], timestamp_ns=later).tobytes()
    assert resumed.step(commands[500:], timestamp_ns=later).tobytes() == expected
    assert resumed.digest() == straight.digest()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batch_borders_do_not_matter(size: int) -> None:
    commands = everything(9, count=1_000, accounts=ACCOUNTS)
    whole, cut = Engine(), Engine()
    for engine in (whole, cut):
        engine.step(opening(accounts=ACCOUNTS), timestamp_ns=START_NS)
    expected = whole.step(commands, timestamp_ns=START_NS).tobytes()
    parts = [
        cut.step(commands[k : k + size], timestamp_ns=START_NS).tobytes()
        for k in range(0, len(commands), size)
    ]
    assert b"".join(parts) == expected
    assert whole.digest() == cut.digest()

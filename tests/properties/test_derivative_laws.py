"""Laws of a leveraged market in motion: whatever is triggered, liquidated or deleveraged, it adds up."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.records import ORDER_UNTRIGGERED
from ringfence.messages.batch import Records
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.events import Event
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.workloads import turmoil
from ringfence.units.assets import ASSETS
from tests.properties.test_engine_laws import (
    INSTRUMENTS,
    check_books_are_whole,
)

TRADERS = 8
FUND = TRADERS + 1
POOR_XBT, POOR_USDT = 3_000_000, 30_000_000
"""A few times the margin of one order: a wallet does not last long."""


def founded(fund: int) -> Records:
    rows = [opening(accounts=0)]
    for account in range(1, FUND + 1):
        rows.append(command(Command.OPEN_ACCOUNT, account=account))
        rich = 100 if account == 1 else 1
        coins = (fund, fund) if account == FUND else (POOR_XBT * rich, POOR_USDT * rich)
        for asset, amount in enumerate(coins):
            if amount:
                rows.append(command(Command.DEPOSIT, account=account, symbol=asset, qty=amount))
    rows.append(command(Command.CONFIGURE_VENUE, type=VenueParameter.INSURANCE_ACCOUNT, qty=FUND))
    return np.concatenate(rows)


def with_ticks(commands: Records, every: int = 10) -> Records:
    """Return commands with TICKs between them: what is left over is gone on with."""
    parts = [
        np.concatenate([commands[k : k + every], *[command(Command.TICK)] * 3])
        for k in range(0, len(commands), every)
    ]
    return np.concatenate(parts)


def held(engine: Engine, asset: int) -> int:
    """Return what wallets, fee pools and the cost of positions add up to."""
    total = sum(int(engine.margin(asset, account)["wallet"]) for account in range(1, FUND + 1))
    for instrument in INSTRUMENTS:
        if instrument.settle_asset != asset:
            continue
        total += int(engine.instrument(instrument.number)["fee_pool"])
        for account in range(1, FUND + 1):
            position = engine.position(account, instrument.number)
            if position is not None:
                total += int(position["cost"]) * (1 if instrument.is_inverse else -1)
    return total


def wallets(engine: Engine) -> dict[tuple[int, int], int]:
    return {
        (account, asset): int(engine.margin(asset, account)["wallet"])
        for account in range(1, FUND + 1)
        for asset in range(2)
    }


def deltas(events: Any) -> Counter[tuple[int, int]]:
    """Return what the events say about wallets: the ledger rule of `messages/events.py`."""
    settle = {instrument.number: instrument.settle_asset for instrument in INSTRUMENTS}
    moved: Counter[tuple[int, int]] = Counter()
    for e in events:
        kind, account, symbol = Event(int(e["kind"])), int(e["account"]), int(e["symbol"])
        amount, other = int(e["amount"]), int(e["maker_account"])
        if kind == Event.TRADE:
            moved[account, settle[symbol]] -= amount
            moved[other, settle[symbol]] -= int(e["maker_amount"])
        elif kind in (Event.REALISED, Event.FUNDED):
            moved[account, settle[symbol]] += amount
        elif kind == Event.SETTLED:
            moved[account, settle[symbol]] -= amount
        elif kind == Event.DEPOSITED:
            moved[account, symbol] += amount
        elif kind == Event.WITHDRAWN:
            moved[account, symbol] -= amount
        elif kind == Event.COVERED:
            moved[account, symbol] += amount
            moved[FUND, symbol] -= amount
        elif kind == Event.TRANSFERRED:
            moved[account, symbol] -= amount
            moved[other, symbol] += amount
    return moved


def check_deleveraging(events: Any) -> None:
    """What is taken is exactly what nobody could take, or everything that winners had."""
    wanted, lots = 0, 1
    for e in events:
        if e["kind"] == Event.ADL_BEGUN:
            wanted = int(e["qty"])
            lots = next(i.lot_size for i in INSTRUMENTS if i.number == e["symbol"])
        elif e["kind"] == Event.DELEVERAGED:
            wanted -= int(e["qty"])
            assert int(e["qty"]) % lots == 0
            assert wanted >= 0


def drain(engine: Engine, now: int) -> list[Any]:
    """Go on until nothing is left over."""
    events = []
    for _ in range(1_000):
        if not engine.has_more_to_do and not 0 < engine.wake_at_ns <= now:
            return events
        events += [e.copy() for e in engine.step(command(Command.TICK), timestamp_ns=now)]
    raise AssertionError(f"there is always something left to do: {engine.state.header['pending']}")


@pytest.mark.parametrize("fund", [0, 2_000_000, 10**9])
@pytest.mark.parametrize("seed", [0, 1, 2, 202, 216, 239])
def test_a_market_in_motion_adds_up(seed: int, fund: int) -> None:
    engine = Engine(accounts=64, orders=64)
    engine.step(founded(fund), timestamp_ns=START_NS)
    commands = turmoil(seed, count=1_500, accounts=TRADERS)
    seen: Counter[Event] = Counter()
    deposited = [held(engine, asset) for asset in range(len(ASSETS))]
    now = START_NS
    for begin in range(0, len(commands), 30):
        now += 5 * 10**9 if begin % 600 else 8 * 3600 * 10**9
        before = wallets(engine)
        events = [e.copy() for e in engine.step(commands[begin : begin + 30], timestamp_ns=now)]
        events += [e.copy() for e in drain(engine, now)]
        events += [e.copy() for e in engine.step(command(Command.TICK), timestamp_ns=now)]
        events += [e.copy() for e in drain(engine, now)]
        moved = deltas(events)
        for key, amount in wallets(engine).items():
            assert amount - before[key] == moved[key], f"the events do not say what happened to {key}"
        for e in events:
            seen[Event(int(e["kind"]))] += 1
            if e["kind"] == Event.WITHDRAWN:
                deposited[int(e["symbol"])] -= int(e["amount"])
        assert [held(engine, asset) for asset in range(len(ASSETS))] == deposited
        check_deleveraging(events)
        for instrument in INSTRUMENTS:
            positions = [engine.position(a, instrument.number) for a in range(1, FUND + 1)]
            assert sum(int(p["qty"]) for p in positions if p is not None) == 0
        for asset in range(2):
            assert int(engine.margin(asset, FUND)["wallet"]) >= 0, "the insurance fund went below zero"
            fund_is_empty = int(engine.margin(asset, FUND)["wallet"]) == 0
            for account in range(1, FUND):
                margin = engine.margin(asset, account)
                assert margin["wallet"] >= 0 or margin["held"] or fund_is_empty, "a deficit nobody covered"
        check_books_are_whole(engine)
        untriggered = engine.state.orders["flags"] & ORDER_UNTRIGGERED != 0
        assert int(engine.state.header["n_untriggered"]) == int(np.count_nonzero(untriggered))
    if seed == 0:
        for kind in (Event.LIQUIDATION, Event.TRIGGERED, Event.FUNDED):
            assert seen[kind], f"a market without {kind.name} proves little: {seen}"


@pytest.mark.parametrize("seed", [70, 71])
def test_a_snapshot_anywhere_goes_on_identically(seed: int, tmp_path: Any) -> None:
    """Heaps, rings and what is left over are part of the state."""
    commands = with_ticks(turmoil(seed, count=1_000, accounts=TRADERS))
    straight = Engine()
    straight.step(founded(fund=10**6), timestamp_ns=START_NS)
    half = len(commands) // 2
    straight.step(commands[:half], timestamp_ns=START_NS)
    straight.save(tmp_path / "snapshot")
    resumed = Engine.load(tmp_path / "snapshot")
    assert resumed.digest() == straight.digest()
    later = START_NS + 10**9
    expected = straight.step(commands[half:], timestamp_ns=later).tobytes()
    assert resumed.step(commands[half:], timestamp_ns=later).tobytes() == expected
    assert resumed.digest() == straight.digest()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batch_borders_do_not_matter(size: int) -> None:
    """How much room a buffer happens to have must not show."""
    commands = with_ticks(turmoil(72, count=1_000, accounts=TRADERS))
    whole, cut = Engine(), Engine()
    for engine in (whole, cut):
        engine.step(founded(fund=10**6), timestamp_ns=START_NS)
    expected = whole.step(commands, timestamp_ns=START_NS).tobytes()
    parts = [
        cut.step(commands[k : k + size], timestamp_ns=START_NS).tobytes()
        for k in range(0, len(commands), size)
    ]
    assert b"".join(parts) == expected
    assert whole.digest() == cut.digest()

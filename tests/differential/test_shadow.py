"""The shadow agrees with the engine, byte for byte and figure for figure, whatever the market does."""

from collections.abc import Iterator

import numpy as np
import pytest

from ringfence.messages.batch import Records
from ringfence.messages.commands import AdlMethod, Command, InstrumentParameter, OrderFlag, OrderType
from ringfence.messages.events import Event
from ringfence.testing import cascade, remark, turbulence
from ringfence.testing.play import START_NS, command, opening, rows_of
from ringfence.testing.twins import ShadowedEngine
from ringfence.testing.workloads import SMALL, everything, turmoil, workload
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.time import NS_PER_HOUR, NS_PER_SECOND
from tests.differential.markets import large_contracts, operated, small_numbers
from tests.properties.test_derivative_laws import TRADERS, founded

FUNDS = (0, 2_000_000, 10**9)
SIZE = 30


def drive(engine: ShadowedEngine, rows: Records, *, cut_every: int = 300) -> None:
    """Apply commands in small batches while time passes; compare the state at cuts."""
    now = START_NS
    for begin in range(0, len(rows), SIZE):
        now += 8 * NS_PER_HOUR if begin % 600 == 0 else 5 * NS_PER_SECOND
        part = rows[begin : begin + SIZE].copy()
        # Who lifts a halt names the last one.
        resumes = (part["kind"] == Command.RESUME) & (part["handle"] == 1)
        part["handle"][resumes] = engine.state.header["halt_sequence"]
        engine.step(part, timestamp_ns=now)
        engine.settle_down(timestamp_ns=now)
        engine.step(command(Command.TICK), timestamp_ns=now)
        engine.settle_down(timestamp_ns=now)
        if begin % cut_every == 0:
            engine.compare_state()
    engine.compare_state()


@pytest.mark.parametrize("seed", range(16))
def test_everything_that_a_client_can_send(seed: int) -> None:
    engine = ShadowedEngine(accounts=64, orders=64)
    engine.step(opening(accounts=8), timestamp_ns=START_NS)
    drive(engine, everything(seed, count=2_000, accounts=8), cut_every=600)


@pytest.mark.parametrize("fund", FUNDS)
@pytest.mark.parametrize("seed", [*range(12), 63, 202, 216, 239])
def test_a_leveraged_market_in_motion(seed: int, fund: int) -> None:
    engine = ShadowedEngine(accounts=64, orders=64)
    engine.step(founded(fund), timestamp_ns=START_NS)
    drive(engine, turmoil(seed, count=1_500, accounts=TRADERS))
    if seed == 0:
        for kind in (Event.LIQUIDATION, Event.TRIGGERED, Event.FUNDED):
            assert engine.seen[kind], f"a market without {kind.name} proves little: {engine.seen}"


@pytest.mark.parametrize("fund", FUNDS)
@pytest.mark.parametrize("seed", range(1_000, 1_014))
def test_a_market_whose_operator_changes_everything(seed: int, fund: int) -> None:
    engine = ShadowedEngine(accounts=64, orders=64)
    engine.step(founded(fund), timestamp_ns=START_NS)
    drive(engine, operated(seed, count=1_500, accounts=TRADERS))


@pytest.mark.parametrize("seed", [*range(12), 16, 24])
def test_contracts_as_large_as_their_records(seed: int) -> None:
    """16 and 24: the leverage of holders with next to nothing left did not fit 64 bits in their rank."""
    engine = ShadowedEngine(accounts=64, orders=64)
    drive(engine, large_contracts(seed, count=1_500, accounts=8))


@pytest.mark.parametrize("seed", [4, 5, 8, 9, 10, 16, 18, 19, 22])
def test_a_market_of_small_numbers(seed: int) -> None:
    """Figures are so small that those which a rule compares are often the same."""
    engine = ShadowedEngine(accounts=64, orders=64)
    drive(engine, small_numbers(seed, count=3_000, accounts=6))
    if seed == 5:
        for kind in (Event.LIQUIDATION, Event.DELEVERAGED, Event.FUNDED, Event.COVERED, Event.SETTLED):
            assert engine.seen[kind], f"a market without {kind.name} proves little: {engine.seen}"


@pytest.mark.parametrize("seed", [1, 3, 7, 9])
def test_a_market_of_small_numbers_with_a_poor_fund(seed: int) -> None:
    engine = ShadowedEngine(accounts=64, orders=64)
    drive(engine, small_numbers(seed, count=3_000, accounts=10, fund_keeps_ppm=0))
    if seed == 9:
        assert engine.seen[Event.DELEVERAGED] > 10, f"a market like that proves little: {engine.seen}"


@pytest.mark.parametrize("method", list(AdlMethod))
def test_a_market_in_trouble_with_deleveraging(method: AdlMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turbulence, "Engine", ShadowedEngine)
    world = turbulence.Turbulence(5, adl_method=method)
    for _ in world.batches(150):
        pass
    assert isinstance(world.engine, ShadowedEngine)
    world.engine.compare_state()
    seen = world.engine.seen
    for kind in (Event.DELEVERAGED, Event.SETTLED, Event.LIQUIDATION):
        assert seen[kind], f"a market without {kind.name} proves little: {seen}"


@pytest.mark.parametrize("method", list(AdlMethod))
def test_a_cascade(method: AdlMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "Engine", ShadowedEngine)
    shape = cascade.Cascade(
        accounts=300, instruments=3, makers=3, seconds=12, fund_units=2_000 * 10**6, adl_method=method
    )
    out = cascade.run_cascade(shape)
    assert out.liquidated > 50
    assert out.deleveraged > 10
    assert out.residue_units == 0


def test_stops_beyond_one_piece_are_triggered_in_the_next() -> None:
    """A mark that reaches 10,000 stops: what one command does of it, and in which order, is the same."""
    accounts, each = 50, 200
    engine = ShadowedEngine(accounts=64, orders=64)
    engine.step(opening(accounts=accounts), timestamp_ns=START_NS)
    engine.step(
        command(Command.CONFIGURE, symbol=1, type=InstrumentParameter.STOPS_PER_ACCOUNT_MAX, qty=each),
        timestamp_ns=START_NS,
    )
    dice = np.random.default_rng(1)
    bids, stops = rows_of(40 * accounts, Command.PLACE), rows_of(accounts * 150, Command.PLACE)
    for rows in (bids, stops):
        rows["symbol"], rows["account"], rows["qty"] = 1, 1 + np.arange(len(rows)) % accounts, 100
    bids["px"] = dice.integers(9_000, 9_990, len(bids))
    stops["type"], stops["flags"] = OrderType.STOP, OrderFlag.SELL
    stops["stop_px"] = dice.integers(9_500, 9_990, len(stops))
    for rows in (bids, stops):
        engine.step(rows, timestamp_ns=START_NS)
    engine.step(command(Command.MARK, symbol=1, qty=9_400 * MARK_SUBTICKS), timestamp_ns=START_NS + 1)
    assert engine.has_more_to_do
    engine.settle_down(timestamp_ns=START_NS + 1)
    engine.compare_state()
    assert engine.seen[Event.TRIGGERED] == len(stops)


def test_all_accounts_are_looked_at_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """More accounts than a piece looks at: where one piece ends and the next begins is the same."""
    monkeypatch.setattr(remark, "Engine", ShadowedEngine)
    remark.remark_milliseconds(20_000, runs=1)


@pytest.mark.parametrize("name", list(SMALL))
def test_the_flow_of_the_benchmarks(name: str) -> None:
    flow = workload(name, SMALL)
    engine = ShadowedEngine(accounts=64, orders=64)
    for part in chunks(np.concatenate([flow.setup, flow.commands]), 500):
        engine.step(part, timestamp_ns=START_NS)
    engine.compare_state()


def chunks(rows: Records, size: int) -> Iterator[Records]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]

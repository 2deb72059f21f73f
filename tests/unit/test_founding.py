"""Founding: every step is known by its event, an interrupted one goes on, each names its operator."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ringfence.assurance.halting import People, Role, new_private_key, person_of
from ringfence.daemons import founding
from ringfence.daemons.admin import signed
from ringfence.daemons.custody_ports import Ports, ensure_ports, read_ports
from ringfence.daemons.founding import Step
from ringfence.daemons.venue import BOTS, INSURANCE, Venue, read_venue, write_venue
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedWriter
from ringfence.exchange.index_prices import Configuration, indices_of, source_of
from ringfence.exchange.index_prices.sources.walk import SEED, deviation_ppb, index_units
from ringfence.exchange.users.keys import read_records
from ringfence.instruments.catalogue import start_instruments
from ringfence.instruments.value import lot_value_at_mark
from ringfence.messages.batch import OPERATOR, Batch, Records, command_positions, decode_data
from ringfence.messages.events import Event, EventFlag
from ringfence.messages.halts import Scheme
from ringfence.testing.play import START_NS

TRADERS = {"demo-1": 1, "demo-2": 2}
BOT_ACCOUNTS = {name: 3 + index for index, name in enumerate(BOTS)}
FUND = 5
CUSTODY = 6


PEOPLE = People((person_of("anna", Role.RISK, new_private_key(Scheme.ED25519)),))


def all_steps() -> list[Step]:
    return list(founding.steps(start_instruments(START_NS), TRADERS, BOT_ACCOUNTS, FUND, PEOPLE, CUSTODY))


def commands_of(steps: Sequence[Step]) -> Records:
    return signed(np.concatenate([step.commands for step in steps]), operator="anna", token=1)


def venue() -> Venue:
    return Venue(
        founded_ns=START_NS,
        instruments=tuple(start_instruments(START_NS)),
        traders=TRADERS,
        bots=BOT_ACCOUNTS,
        insurance=FUND,
    )


def test_the_engine_takes_every_step_and_each_is_known_by_its_event(tmp_path: Path) -> None:
    steps = all_steps()
    commands = commands_of(steps)
    events = Engine(accounts=64, orders=64).step(commands, timestamp_ns=START_NS)
    assert not (events["kind"] == Event.REJECTED).any()
    FeedWriter(tmp_path / "feed").append(Batch(0, START_NS, 0, commands, events))
    past = founding.look_back(tmp_path, below=len(commands))
    assert past.done == {step.done for step in steps}
    assert len(past.done) == len(steps)
    assert past.accounts == {**TRADERS, **BOT_ACCOUNTS, INSURANCE: FUND, "custody": CUSTODY}
    assert list(past.instruments.values()) == start_instruments(START_NS)


@pytest.mark.parametrize("taken", [0, 1, 2, 9, 17, 60, 110, 120])
def test_an_interrupted_founding_goes_on_where_it_stopped(tmp_path: Path, taken: int) -> None:
    steps = all_steps()
    engine = Engine(accounts=64, orders=64)
    if taken:
        commands = commands_of(steps[:taken])
        events = engine.step(commands, timestamp_ns=START_NS)
        FeedWriter(tmp_path / "feed").append(Batch(0, START_NS, 0, commands, events))
    past = founding.look_back(tmp_path, below=engine.next_sequence)
    missing = [step for step in steps if step.done not in past.done]
    assert [step.done for step in missing] == [step.done for step in steps[taken:]]
    if missing:
        events = engine.step(commands_of(missing), timestamp_ns=START_NS)
        assert not (events["kind"] == Event.REJECTED).any()


def test_every_command_names_its_operator() -> None:
    commands = commands_of(all_steps())
    for position in command_positions(commands):
        assert decode_data(commands, position)[OPERATOR] == b"anna"


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines"])
def test_an_operator_without_a_name_does_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="operator's name"):
        signed(all_steps()[0].commands, operator=name, token=1)


def test_demo_coins_are_marked() -> None:
    events = Engine(accounts=64, orders=64).step(commands_of(all_steps()), timestamp_ns=START_NS)
    deposits = events[events["kind"] == Event.DEPOSITED]
    assert len(deposits) == 2 * len(TRADERS | BOT_ACCOUNTS) + 2
    assert (deposits["flags"] & EventFlag.DEMO).all()


def test_keys_are_made_once_and_nobody_else_reads_them(tmp_path: Path) -> None:
    first = founding.ensure_keys(tmp_path, venue())
    assert [(key.name, key.account, key.permissions) for key in first] == [
        ("demo-1", 1, ("order", "withdraw")),
        ("demo-1 order only", 1, ("order",)),
        ("demo-1 read only", 1, ()),
        ("demo-2", 2, ("order", "withdraw")),
        ("bot-maker", 3, ("order",)),
        ("bot-taker", 4, ("order",)),
    ]
    assert founding.ensure_keys(tmp_path, venue()) == first == read_records(tmp_path / "keys.json")
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_the_venue_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_venue(tmp_path) is None
    write_venue(tmp_path, venue())
    assert read_venue(tmp_path) == venue()
    (tmp_path / "founded.json").write_text("{")
    with pytest.raises(ValueError, match="Delete it"):
        read_venue(tmp_path)


# ---- simulated prices


def test_prices_depend_on_the_seed_and_the_second_and_stay_near_their_start() -> None:
    walk = [deviation_ppb(1, "XBT", second) for second in range(0, 10_000_000, 9_973)]
    assert walk == [deviation_ppb(1, "XBT", second) for second in range(0, 10_000_000, 9_973)]
    assert max(map(abs, walk)) < 50_000_000
    assert max(walk) - min(walk) > 1_000_000
    assert deviation_ppb(1, "XBT", 1_000) != deviation_ppb(2, "XBT", 1_000)
    steps = [deviation_ppb(1, "XBT", s + 1) - deviation_ppb(1, "XBT", s) for s in range(2_000)]
    assert max(map(abs, steps)) < 100_000


def test_first_marks_are_the_simulated_index_and_the_feed_begins_there(tmp_path: Path) -> None:
    listed = start_instruments(START_NS)
    marks = {of.symbol: founding.first_mark(of, at_ns=START_NS) for of in listed if of.is_contract}
    prices = {of.symbol: of.mark_price(marks[of.symbol]) for of in listed if of.is_contract}
    assert prices["XBTUSD"] == prices["XBTUSDT"]
    assert prices["ETHUSD"] == prices["ETHUSDT"]
    (future,) = (of for of in listed if of.expiry_ns is not None)
    assert prices[future.symbol] == pytest.approx(prices["XBTUSD"], abs=future.price(1))
    for of in listed:
        assert not of.is_contract or lot_value_at_mark(of, marks[of.symbol]) > 0
    indices = indices_of(Configuration(), [of for of in listed if of.is_index])
    source = source_of(Configuration(), indices, tmp_path, now_ns=START_NS)
    for index in indices:
        walk = index_units(index.base, seed=SEED, at_ns=START_NS)
        good = [tick.price for tick in source.ticks(index, now_ns=START_NS) if tick.price]
        assert sum(abs(price - walk) * 1_000 < walk for price in good) >= len(index.constituents) - 1


# ---- ports


def test_a_venue_from_before_the_console_gets_a_port_for_it_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "custody" / "ports.json"
    path.parent.mkdir()
    path.write_text('{"node":1,"cosigners":{"ops-1":2},"ethereum":3,"solana":4}')
    ports = ensure_ports(tmp_path, ("ops-1",))
    assert ports.console > 0
    assert ports == Ports(1, {"ops-1": 2}, 3, 4, ports.console)
    assert ensure_ports(tmp_path, ("ops-1",)) == read_ports(tmp_path) == ports

"""Which rules are in force is part of the state, and a build stops in front of what it does not know.

The build that knows more is a copy of this one with one version more; it runs in a process of its own.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.assurance.audit.books import Books
from ringfence.assurance.shadow import Shadow, figures
from ringfence.assurance.shadow.statements import venue_of as shadows_statement
from ringfence.cli import upgrade as cli
from ringfence.commitments import venue_statement
from ringfence.commitments.statement import CONFIGURED_VENUE_MAGIC, RULED_VENUE_MAGIC, VENUE_MAGIC
from ringfence.daemons import upgrading
from ringfence.daemons.replica import Heartbeat, Standing
from ringfence.exchange.engine import Engine
from ringfence.exchange.feed import FeedReader, published_below
from ringfence.exchange.projections import Views
from ringfence.exchange.sequencer import Replay, Sequencer, recover, snapshots
from ringfence.exchange.sequencer.statements import venue_of
from ringfence.messages.batch import Records
from ringfence.messages.commands import Command, TradingState, VenueParameter
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.messages.rules import RULES_FIRST, RULES_NEWEST, UnknownRulesError
from ringfence.testing.newer_build import NEWER, PAUSE, PAUSE_NS, newer_build
from ringfence.testing.play import START_NS, command, opening
from ringfence.testing.twins import figures_of
from ringfence.units.time import NS_PER_SECOND, iso

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(12)


def activation(rules: int) -> Records:
    return command(Command.CONFIGURE_VENUE, type=VenueParameter.RULES, qty=rules)


# ---- by this build alone


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, NEWER + 2), max_size=5))
def test_rules_go_up_one_at_a_time_and_stop_where_they_are_not_known(numbers: list[int]) -> None:
    engine, shadow = Engine(), Shadow()
    for index, number in enumerate(numbers):
        said, stamp = activation(number), START_NS + index
        if number == engine.rules + 1 > RULES_NEWEST:
            for step in (engine.step, lambda said, **at: shadow.step(said.tobytes(), **at)):
                with pytest.raises(UnknownRulesError, match=f"under rules {number}.*Install a build") as met:
                    step(said, timestamp_ns=stamp)
                assert met.value.rules == number
            assert engine.next_sequence == shadow.next_sequence == index
            break
        taken = number == engine.rules + 1
        events = engine.step(said, timestamp_ns=stamp)
        assert shadow.step(said.tobytes(), timestamp_ns=stamp) == events.tobytes()
        assert [Event(kind) for kind in events["kind"]] == [Event.VENUE_SET if taken else Event.REJECTED]
    assert engine.rules == shadow.venue.rules <= RULES_NEWEST
    assert list(figures_of(engine)) == list(figures(shadow.venue))
    assert venue_of(engine.state) == shadows_statement(shadow.venue)


def test_what_comes_before_in_the_same_batch_is_told_to_nobody() -> None:
    """The process that met them ends, and nobody has seen what it made of the batch."""
    engine = Engine()
    with pytest.raises(UnknownRulesError, match="follows sequence 1 is"):
        engine.step(np.concatenate([command(Command.TICK), activation(NEWER)]), timestamp_ns=START_NS)


def test_a_halted_exchange_refuses_new_rules_as_it_refuses_all_settings() -> None:
    engine, shadow = Engine(), Shadow()
    said = np.concatenate([command(Command.HALT, qty=TradingState.HALTED), activation(NEWER)])
    events = engine.step(said, timestamp_ns=START_NS)
    assert shadow.step(said.tobytes(), timestamp_ns=START_NS) == events.tobytes()
    assert (int(events[-1]["kind"]), int(events[-1]["amount"])) == (Event.REJECTED, Reject.VENUE_HALTED)


def test_the_statement_has_the_version_from_the_second_on() -> None:
    """Old journals have to give old roots."""
    facts = dict.fromkeys(
        ("halt_sequence", "reopens_ns", "accounts", "insurance_account", "halted", "deposits_halted",
         "withdrawals_halted", "signers_halted", "people"), 1,
    )  # fmt: skip

    def statement(*, configuration: int, rules: int) -> bytes:
        return venue_statement(**facts, configuration=configuration, rules=rules, instruments=[])

    plain = statement(configuration=0, rules=RULES_FIRST)[8:]
    number, two = (10).to_bytes(8, "little"), (2).to_bytes(8, "little")
    assert statement(configuration=0, rules=RULES_FIRST) == VENUE_MAGIC + plain
    assert statement(configuration=10, rules=RULES_FIRST) == CONFIGURED_VENUE_MAGIC + plain + number
    assert statement(configuration=10, rules=2) == RULED_VENUE_MAGIC + plain + number + two
    assert statement(configuration=0, rules=2) == RULED_VENUE_MAGIC + plain + bytes(8) + two


# ---- who is asked before they come into force


@pytest.mark.parametrize(
    ("rules", "machines", "judges", "without", "why"),
    [
        (2, {}, {}, (), None),
        (1, {}, {}, (), "rules 1 are in force: the next are 2, and none are taken back"),
        (3, {}, {}, (), "rules 1 are in force: the next are 2, and none are taken back"),
        (2, {"b": 2, "c": 3}, {"shadow": 2}, (), None),
        (2, {"b": 2, "c": 1}, {}, (), "c knows rules up to 1: install a build there that knows rules 2"),
        (2, {"b": 0, "c": 2}, {}, (), "b is of a release that knows no later rules"),
        (2, {"b": None, "c": 2}, {}, (), "b is not heard: start it, or name it with --without"),
        (2, {"b": None, "c": 2}, {}, ("b",), None),
        (2, {"b": 1, "c": 2}, {}, ("b",), "b is not lost, it is heard"),
        (2, {"b": 2}, {}, ("d",), "there is no other machine 'd'"),
        (2, {}, {"shadow": 1, "auditor": 2}, (), "shadow knows rules up to 1"),
    ],
)
def test_whoever_has_to_apply_them_is_asked_first(
    monkeypatch: pytest.MonkeyPatch, rules: int, machines: Mapping[str, int | None], judges: Mapping[str, int],
    without: tuple[str, ...], why: str | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(upgrading, "RULES_NEWEST", 3)
    said = upgrading.refusal(rules, in_force=1, machines=machines, judges=judges, without=without)
    assert said == why if why is None or said is None else said.startswith(why)


def test_a_core_puts_nothing_in_force_that_its_own_build_does_not_know() -> None:
    said = upgrading.refusal(NEWER, in_force=RULES_NEWEST, machines={}, judges={}, without=())
    assert said is not None
    assert said.startswith(f"the build that leads knows rules up to {RULES_NEWEST}")


def test_a_release_that_does_not_say_what_it_knows_knows_nothing_later() -> None:
    heard = msgspec.json.decode(b'{"node": "a", "epoch": 1, "number": 2, "roots": 3}', type=Heartbeat)
    stands = msgspec.json.decode(b'{"node": "a", "number": 2}', type=Standing)
    assert (heard.rules, stands.rules) == (0, 0)


def test_a_judge_that_reports_now_says_what_it_knows(tmp_path: Path) -> None:
    assert upgrading.judges_know(tmp_path) == {}
    (tmp_path / "judges").mkdir()

    def report(judge: str, age_seconds: float, said: str) -> None:
        stamp = iso(time.time_ns() - round(age_seconds * NS_PER_SECOND))
        text = f'{{"judge": "{judge}", "timestamp": "{stamp}", "green": 3{said}}}'
        (tmp_path / "judges" / f"{judge}.report.json").write_text(text)

    report("shadow", 0, ', "rulesNewest": 4')
    report("auditor", 0, "")
    assert upgrading.judges_know(tmp_path) == {"shadow": 4, "auditor": 0}
    report("shadow", 60, ', "rulesNewest": 4')
    assert upgrading.judges_know(tmp_path) == {"auditor": 0}, "one that does not run here cannot be asked"


def test_nothing_is_asked_of_a_core_that_has_never_said_what_it_knows(tmp_path: Path) -> None:
    """Its engine would refuse the command, and read again by a later release it would count."""
    with pytest.raises(SystemExit, match=r"does not know later rules.*nothing was sent"):
        cli.activate(NEWER, tmp_path, operator="anna")
    upgrading.note_rules(tmp_path, RULES_FIRST)
    assert upgrading.read_rules(tmp_path) == upgrading.Rules(RULES_FIRST, RULES_NEWEST)
    with pytest.raises(SystemExit, match="no exchange core answers"):
        cli.activate(NEWER, tmp_path, operator="anna")
    (tmp_path / upgrading.FILE).write_text("{")
    with pytest.raises(SystemExit, match="Delete it: the core makes it again"):
        cli.show(tmp_path)


# ---- by a build that knows one version more


def flow(seed: int) -> list[Records]:
    """Return batches of what an operator may say, with commands and parameters that only a newer build knows."""
    dice = random.Random(seed)
    batches = []
    for _ in range(30):
        rows = []
        for _ in range(dice.randint(1, 3)):
            kind = dice.choice(
                (Command.CONFIGURE_VENUE, Command.CONFIGURE_VENUE, PAUSE, PAUSE + 1, Command.TICK)
            )
            parameter = dice.choice(
                (VenueParameter.CONFIGURATION, VenueParameter.CANCEL_ONLY_NS, PAUSE_NS, 0, 40)
            )
            rows.append(command(kind, type=parameter, qty=dice.randint(-1, 10**9)))
        if dice.random() < 0.1:
            rows.append(
                command(Command.HALT, qty=dice.choice((TradingState.CANCEL_ONLY, TradingState.HALTED)))
            )
        batches.append(np.concatenate(rows))
    return batches


def played(batches: list[Records]) -> dict[str, Any]:
    """Return what engine and shadow, which have to agree, make of batches."""
    engine, shadow = Engine(), Shadow()
    said = []
    for index, batch in enumerate(batches):
        events = engine.step(batch, timestamp_ns=START_NS + index).tobytes()
        assert shadow.step(batch.tobytes(), timestamp_ns=START_NS + index) == events
        assert list(figures_of(engine)) == list(figures(shadow.venue))
        assert venue_of(engine.state) == shadows_statement(shadow.venue)
        said.append(events.hex())
    return {
        "events": said, "digest": engine.digest().hex(), "statement": venue_of(engine.state).hex(),
        "rules": engine.rules, "pause": int(engine.state.header["cancel_only_ns"]),
    }  # fmt: skip


async def _write(directory: Path, rules: int) -> None:
    sequencer = Sequencer(recover(directory), directory)
    new = command(Command(PAUSE), qty=7)
    before, after = opening(accounts=1), np.concatenate([command(Command.TICK), activation(rules), new])
    await sequencer.apply(before.tobytes(), timestamp_ns=START_NS)
    await sequencer.apply(after.tobytes(), timestamp_ns=START_NS + 1)
    sequencer.close(snapshot=True)


def by_newer_build(directory: Path, rules: int) -> None:
    """Print what a newer build makes of every flow, and write a journal that goes on under its newest rules."""
    asyncio.run(_write(directory, rules))
    later = [activation(rules), command(Command(PAUSE), qty=7), activation(rules)]
    given = command(Command.CONFIGURE_VENUE, type=PAUSE_NS, qty=9)
    print(
        json.dumps(
            {
                "before": [played(flow(seed)) for seed in SEEDS],
                "after": [played([activation(rules), *flow(seed)]) for seed in SEEDS],
                "command": played(later),
                "parameter": played([activation(rules), given]),
                "too soon": played([given, activation(rules)]),
            }
        )
    )


class Newer:
    """What a newer build has printed, and a directory whose journal it has written."""

    def __init__(self, folder: Path) -> None:
        self.directory = folder / "exchange"
        self.directory.mkdir()
        environment = newer_build(folder / "build")
        environment["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
        code = (
            "import sys; from pathlib import Path; from tests.unit.test_rules import by_newer_build\n"
            "by_newer_build(Path(sys.argv[1]), int(sys.argv[2]))"
        )
        arguments = [sys.executable, "-c", code, str(self.directory), str(NEWER)]
        done = subprocess.run(
            arguments, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        self.said: dict[str, Any] = json.loads(done.stdout)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Newer:
    return Newer(tmp_path_factory.mktemp("newer"))


def test_until_they_are_in_force_a_newer_build_does_what_the_older_does(newer: Newer) -> None:
    """Down to the refusals: machines with both are of one mind."""
    assert newer.said["before"] == [played(flow(seed)) for seed in SEEDS]


def test_from_then_on_engine_and_shadow_know_what_is_new(newer: Newer) -> None:
    assert newer.said["after"] != newer.said["before"]
    assert {one["rules"] for one in newer.said["after"]} == {NEWER}
    assert all(bytes.fromhex(one["statement"]).startswith(RULED_VENUE_MAGIC) for one in newer.said["after"])
    assert newer.said["command"]["pause"] == 7
    # Said once more they are refused: they go up only.
    assert newer.said["command"]["events"][2] != newer.said["command"]["events"][0]
    assert newer.said["parameter"]["pause"] == 9
    assert newer.said["too soon"]["pause"] == 0


def test_a_snapshot_of_newer_rules_is_refused_by_name(newer: Newer) -> None:
    (newest,) = snapshots(newer.directory)[:1]
    with pytest.raises(UnknownRulesError, match=f"{newest.name} is of a state under rules {NEWER}"):
        Engine.load(newest)
    with pytest.raises(UnknownRulesError, match=newest.name):
        recover(newer.directory)


def test_recovery_and_replay_stop_in_front_of_newer_rules(newer: Newer, tmp_path: Path) -> None:
    """What came before is in the feed; what goes on under them is left to a build that knows them."""
    for name in ("journal", "feed"):
        (tmp_path / name).mkdir()
        for file in (newer.directory / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UnknownRulesError, match=f"under rules {NEWER}"):
        Replay(tmp_path).run()
    for file in (tmp_path / "feed").iterdir():
        file.unlink()
    with pytest.raises(UnknownRulesError, match=f"under rules {NEWER}"):
        recover(tmp_path)
    assert published_below(tmp_path / "feed") == len(opening(accounts=1))


def test_views_and_the_auditors_books_stop_there_as_well(newer: Newer) -> None:
    for fold in (Views().apply, Books().fold):
        reader = FeedReader(newer.directory / "feed")
        first, second = reader.read(), reader.read()
        reader.close()
        assert first is not None
        assert second is not None
        fold(first)
        with pytest.raises(UnknownRulesError, match=f"under rules {NEWER}"):
            fold(second)

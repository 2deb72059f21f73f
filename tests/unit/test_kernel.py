"""What is promised about the compiled kernel: no floats, no reference counts, three builds alike."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash

from ringfence.exchange.engine import Engine
from ringfence.exchange.engine.views import BUILD, COMPILED
from ringfence.messages.batch import Records
from ringfence.messages.events import Event
from ringfence.testing.play import START_NS, opening
from ringfence.testing.workloads import SMALL, everything, turmoil, workload
from tests.properties.test_derivative_laws import TRADERS, founded, with_ticks

ROOT = Path(__file__).resolve().parents[2]
NAMES = [*SMALL, "everything", "turmoil"]
SEEDS = (1, 2, 3)


def flows(name: str) -> list[tuple[Records, Records]]:
    """Return (setup, commands) pairs."""
    if name == "everything":
        return [(opening(accounts=6), everything(seed, count=1_500, accounts=6)) for seed in SEEDS]
    if name == "turmoil":
        return [
            (founded(fund=10**6), with_ticks(turmoil(seed, count=900, accounts=TRADERS)))
            for seed in SEEDS[:2]
        ]
    work = workload(name, SMALL)
    return [(work.setup, work.commands)]


def fingerprint(name: str) -> str:
    """Return a hash of every event and of the state after every batch."""
    digest = xxhash.xxh3_128()
    for setup, commands in flows(name):
        engine = Engine(accounts=64, orders=64)
        digest.update(engine.step(setup, timestamp_ns=START_NS).tobytes())
        for index, begin in enumerate(range(0, len(commands), 100)):
            stamp = START_NS + index * 500_000_000
            digest.update(engine.step(commands[begin : begin + 100], timestamp_ns=stamp).tobytes())
            digest.update(engine.digest())
    return digest.hexdigest()


def fingerprints_of_build(build: str) -> dict[str, str]:
    code = (
        "from tests.unit.test_kernel import NAMES, fingerprint\n"
        "for name in NAMES: print(name, fingerprint(name))\n"
    )
    environment = {**os.environ, "RINGFENCE_ENGINE": build, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def own_fingerprints() -> dict[str, str]:
    return {name: fingerprint(name) for name in NAMES}


@pytest.mark.parametrize("build", [build for build in ("checked", "unchecked", "python") if build != BUILD])
def test_every_build_gives_the_same_events_and_state(build: str, own_fingerprints: dict[str, str]) -> None:
    for name in SMALL:
        flows(name)  # the generator needs a compiled build; the other process finds its output
    assert fingerprints_of_build(build) == own_fingerprints


def test_the_random_flow_reaches_every_kind_of_outcome() -> None:
    """A flow that never fills, cuts or refuses would prove nothing."""
    seen = np.zeros(256, np.int64)
    for setup, commands in flows("everything"):
        engine = Engine()
        engine.step(setup, timestamp_ns=START_NS)
        for index, begin in enumerate(range(0, len(commands), 100)):
            events = engine.step(commands[begin : begin + 100], timestamp_ns=START_NS + index * 10**9)
            seen += np.bincount(events["kind"], minlength=256)
    wanted = [
        Event.ACCEPTED, Event.TRADE, Event.CANCELED, Event.AMENDED, Event.REJECTED, Event.REALISED,
        Event.POSITION_SET, Event.ACCOUNT_SET, Event.WITHDRAWN, Event.TIMER_SET, Event.TIMER_FIRED,
        Event.MARKED, Event.TICKED,
    ]  # fmt: skip
    missing = [kind.name for kind in wanted if seen[kind] == 0]
    assert not missing
    assert seen[Event.TRADE] > 300


@pytest.mark.skipif(not COMPILED, reason="there is no machine code to look at")
@pytest.mark.parametrize(
    "wrong",
    [
        "define i64 @_ZN9ringfence1f() {\n  %x = fadd double %a, %b\n}",
        "define i64 @_ZN9ringfence1f() {\n  call void @NRT_incref(ptr %m)\n}",
    ],
)
def test_a_kernel_with_floats_or_reference_counts_is_not_built(wrong: str) -> None:
    """The test runs while the kernel is compiled; here it is seen to bite."""
    from ringfence.exchange.engine.compiler import refuse_floats_and_reference_counts

    refuse_floats_and_reference_counts("define i64 @_ZN9ringfence1f() {\n  %x = add i64 %a, %b\n}")
    with pytest.raises(AssertionError, match="the kernel may not use"):
        refuse_floats_and_reference_counts(wrong)

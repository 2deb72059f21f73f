"""The simulated world: green on its default seeds, the same run again, and nothing real in it."""

import os
import socket
import subprocess
import sys
import time

import pytest

from ringfence.exchange.gateway import pending
from ringfence.testing.world import FAULTS, World, draw, missing
from ringfence.testing.world.batch import run_on_cores, run_options
from ringfence.testing.world.fence import RealWorldError, fence
from ringfence.testing.world.shrink import fails_like, regression, shrink


@pytest.mark.parametrize("seeds", [75, pytest.param(300, marks=pytest.mark.slow)])
def test_the_default_seeds_hold_every_promise_and_reach_what_they_must(seeds: int) -> None:
    tally = run_on_cores(range(seeds), workers=2, on_progress=lambda _: None)
    assert tally.failures == {}, "replay with `nox -s simulate -- SEED`"
    assert tally.seeds == seeds
    assert missing(tally.reached, seeds=seeds) == {}


def trace_of(seed: int, hash_seed: str) -> str:
    code = f"from ringfence.testing.world import World, draw; print(World(draw({seed})).run().trace)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_a_seed_is_the_same_run_again_whatever_python_hashes() -> None:
    for seed in (3, 44):
        here = World(draw(seed)).run()
        again = World(draw(seed)).run()
        assert here == again
        assert {trace_of(seed, hash_seed) for hash_seed in ("0", "1", "4711")} == {here.trace}
    assert World(draw(4)).run().trace != here.trace


def test_nothing_real_is_within_reach_of_a_run() -> None:
    doors = (
        lambda: time.time(),
        lambda: socket.socket(),
        lambda: os.urandom(8),
        lambda: os.open("x", os.O_RDONLY),
    )
    for reach in doors:
        with fence(), pytest.raises(RealWorldError):
            reach()
    assert time.time() > 0


def test_without_faults_there_is_no_trouble_and_every_seed_draws_its_own() -> None:
    tally = run_options(draw(0).changed(faults=()))
    assert tally.failures == {}
    assert tally.reached["killed"] == tally.reached["power cut"] == tally.reached["outcome asked for"] == 0
    drawn = {draw(seed).faults for seed in range(100)}
    assert len(drawn) > 90
    assert {fault for faults in drawn for fault in faults} == set(FAULTS)


@pytest.mark.slow
def test_a_failing_run_shrinks_to_a_test_that_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: a gateway gives up what waits as soon as its line is lost."""

    def lost(self: pending.Pending) -> None:
        self._connection += 1
        self.settle(is_again=False)

    monkeypatch.setattr(pending.Pending, "lost", lost)
    options = next(
        draw(seed) for seed in range(100) if "kill" in draw(seed).faults and run_options(draw(seed)).failures
    )
    failure = run_options(options).failures[options.seed]
    small = shrink(options, fails_like(failure))
    assert small.operations - len(small.skip) < options.operations * 2 / 3
    assert len(small.faults) < len(options.faults)
    code = regression(small, failure)
    namespace: dict[str, object] = {}
    exec(code, namespace)
    test = namespace[f"test_seed_{options.seed}"]
    with pytest.raises(AssertionError):
        test()
    monkeypatch.undo()
    test()

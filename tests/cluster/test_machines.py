"""Three machines in virtual time: whatever happens to them, nobody is told two different things.

RINGFENCE_CLUSTER_SEEDS=10000 makes it the long run.
"""

import gc
import logging
import os

import pytest

from ringfence.exchange.journal import JournalError, StreamLostError
from ringfence.testing.machines import Count, Options, SplitError, play

SEEDS = int(os.environ.get("RINGFENCE_CLUSTER_SEEDS", "60"))
FAULTY_SEEDS = 20


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="ringfence.exchange.sequencer.joining")


def test_what_was_told_is_told_once_and_kept() -> None:
    counts = [play(seed) for seed in range(SEEDS)]
    whole = Count(*(sum(column) for column in zip(*counts, strict=True)))
    print(f"{SEEDS} seeds: {whole}")
    # A run in which nothing of this happened would show nothing.
    assert whole.told > 50 * SEEDS
    assert min(whole.leads, whole.fenced, whole.deaths, whole.withdrawn, whole.from_snapshot) > 0
    assert whole.leads > SEEDS


def test_a_seed_is_the_same_run_again() -> None:
    assert play(11) == play(11)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [Options(is_fenced=False), Options(waits_for_stream=False)],
    ids=["not fenced", "does not wait"],
)
def test_a_safeguard_that_is_taken_away_is_missed(options: Options) -> None:
    caught = 0
    for seed in range(FAULTY_SEEDS):
        try:
            play(seed, options)
        except (SplitError, StreamLostError, JournalError, AssertionError):
            caught += 1
        # What a run that failed leaves half done is finished here: finished while pytest parses a module, it makes
        # CPython 3.11 lose count of its recursion.
        gc.collect()
    assert caught > FAULTY_SEEDS // 10, f"{caught} of {FAULTY_SEEDS} seeds noticed"
    print(f"{caught} of {FAULTY_SEEDS} seeds noticed")

"""python -m ringfence.testing.world SEED | --seeds N: one run in detail, or many with a tally."""

import argparse
import subprocess
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ringfence.testing.world.batch import Tally, describe, run_on_cores
from ringfence.testing.world.options import draw
from ringfence.testing.world.reached import FLOORS, missing
from ringfence.testing.world.shrink import fails_like, regression, shrink
from ringfence.testing.world.world import World

_SHOWN = 20


def commit() -> str:
    """Return what this code is, for a report that can be replayed."""
    here = Path(__file__).parent
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def run_one(seed: int, *, wants_smallest: bool) -> int:
    options = draw(seed)
    print(f"seed {seed}, commit {commit()}")
    print(msgspec.json.encode(options).decode())
    world = World(options)
    try:
        outcome = world.run()
    except Exception as error:
        failure = describe(error)
        print(f"FAILED after {world.loop.happened} steps, trace {world.loop.trace()[:16]}\n  {failure}")
        if wants_smallest:
            print("looking for the smallest run that fails like this", file=sys.stderr)
            print(regression(shrink(options, fails_like(failure)), failure))
        return 1
    print(f"green: {outcome.commands} commands in {outcome.batches} batches, trace {outcome.trace[:16]}")
    for state, times in sorted(outcome.reached.items()):
        print(f"  {times:6} {state}")
    return 0


def run_many(first: int, count: int, *, workers: int) -> int:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=count)

        def on_progress(tally: Tally) -> None:
            progress.update(task, completed=tally.seeds, description=f"seeds, {len(tally.failures)} failed")

        tally = run_on_cores(range(first, first + count), workers=workers, on_progress=on_progress)
    for state in sorted(tally.reached):
        floor = f"at least {FLOORS[state] * count / 1000:.0f}" if state in FLOORS else ""
        print(f"  {tally.reached[state]:8} {state:40} {floor}")
    short = missing(tally.reached, seeds=count)
    for state, how in short.items():
        print(f"not reached often enough: {state}: {how}")
    for seed, failure in sorted(tally.failures.items())[:_SHOWN]:
        print(f"seed {seed}: {failure}")
    print(
        f"{tally.seeds} seeds from {first}, commit {commit()}: {len(tally.failures)} failed, {tally.commands} commands,"
        f" {tally.seeds / tally.seconds:.1f} seeds a second and core"
    )
    return 1 if tally.failures or short else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="replay this one and say what happened")
    parser.add_argument("--seeds", type=int, help="run so many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--shrink", action="store_true", help="print the smallest failing run as a test")
    given = parser.parse_args()
    if given.seeds:
        sys.exit(run_many(given.first, given.seeds, workers=given.workers))
    if given.seed is None:
        parser.error("name a seed, or how many: --seeds N")
    sys.exit(run_one(given.seed, wants_smallest=given.shrink))


if __name__ == "__main__":
    main()

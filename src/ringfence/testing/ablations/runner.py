"""One ablation in a process of its own, and all of them on several cores."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ringfence.testing.ablations.hook import ablated, edit
from ringfence.testing.ablations.register import ABLATIONS, WORLD, Ablation

_SECONDS_MAX = 400
_FAILURES_ENOUGH = 3


class Caught(NamedTuple):
    """What came of one ablation."""

    name: str
    is_caught: bool
    how: str
    """Failing seeds of how many, or which test failed."""
    failures: int = 0
    seeds: int = 0


def by_name(name: str) -> Ablation:
    return next(ablation for ablation in ABLATIONS if ablation.name == name)


# ---- inside the process


def run_here(name: str, catcher: str, seeds: int, *, first_only: bool) -> Caught:
    """Take the safeguard away from this process and let the catcher look. The process is spoilt afterwards."""
    ablation = by_name(name)
    edit(ablation.module, ablated(ablation))
    if catcher == WORLD:
        return _in_world(name, seeds, first_only=first_only)
    import pytest

    status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *catcher.split()])
    return Caught(name, status == pytest.ExitCode.TESTS_FAILED, catcher)


def _in_world(name: str, seeds: int, *, first_only: bool) -> Caught:
    from ringfence.testing.world.batch import run_seeds

    failures, done = {}, 0
    for begin in range(0, seeds, 5):
        tally = run_seeds(range(begin, min(begin + 5, seeds)))
        done += tally.seeds
        failures.update(tally.failures)
        if failures and (first_only or len(failures) >= _FAILURES_ENOUGH):
            break
    said = min(failures.items(), default=(0, ""))[1]
    return Caught(name, bool(failures), said[:160], len(failures), done)


# ---- from outside


def run_apart(ablation: Ablation, *, first_only: bool = False) -> Caught:
    """Run one ablation in a fresh process."""
    environment = {**os.environ, "RINGFENCE_ENGINE": "python" if ablation.is_engine else "checked"}
    words = [sys.executable, "-m", "ringfence.testing.ablations", "--one", ablation.name]
    words += ["--first"] if first_only else []
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return Caught(ablation.name, False, f"it did not come to an end in {_SECONDS_MAX} seconds")
    last = done.stdout.strip().splitlines()[-1:] or [""]
    try:
        return Caught(**json.loads(last[0]))
    except ValueError:
        return Caught(ablation.name, False, f"exit status {done.returncode}: {done.stderr[-400:]}")


def run_all(
    ablations: Iterable[Ablation],
    *,
    workers: int,
    on_progress: Callable[[Caught], None],
    first_only: bool = False,
) -> list[Caught]:
    def run(ablation: Ablation) -> Caught:
        caught = run_apart(ablation, first_only=first_only)
        on_progress(caught)
        return caught

    with ThreadPoolExecutor(workers) as threads:
        return list(threads.map(run, ablations))


def page(results: list[Caught]) -> str:
    """Return the table of all ablations as a page of the documentation."""
    lines = [
        "# Ablations", "",
        "Each line is a safeguard that was taken away, and who missed it. Made by `nox -s ablations`; see",
        "`src/ringfence/testing/ablations`.", "",
        "| safeguard taken away | in | caught by |", "|---|---|---|",
    ]  # fmt: skip
    for ablation, caught in zip(ABLATIONS, results, strict=True):
        assert ablation.name == caught.name
        module = ablation.module.removeprefix("ringfence.").removeprefix("exchange.")
        lines.append(f"| {ablation.name} | {module} | {_who(ablation, caught)} |")
    found = sum(caught.is_caught for caught in results)
    lines += ["", f"{found} of {len(results)} were caught."]
    return "\n".join(lines) + "\n"


def _who(ablation: Ablation, caught: Caught) -> str:
    if not caught.is_caught:
        return "**nobody**"
    if ablation.catcher != WORLD:
        return ablation.catcher.removeprefix("tests/").split("::")[0].replace(".py", "")
    return f"the world: {caught.failures} of the first {caught.seeds} seeds"


def write_page(results: list[Caught], path: Path) -> None:
    path.write_text(page(results))

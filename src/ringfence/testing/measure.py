"""What benchmarks share: one result a line for machines, a table for people, a pinned core."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Result(NamedTuple):
    """One measured figure. `ratio` = value over the peer's value, in the same unit and run."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    ratio: float | None = None


def pin_to_one_core() -> None:
    """Keep this process on the last core it may use, away from the interrupts of the first."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median_seconds(action: Callable[[], object], *, runs: int) -> float:
    return median(seconds(action) for _ in range(runs))


def percentile(values: Sequence[float] | NDArray[np.float64], point: float) -> float:
    """Return the smallest value that so many per cent of all are not above. Raises ValueError if there is none."""
    if len(values) == 0:
        raise ValueError("a percentile of nothing was asked for: nothing was measured")
    return float(np.percentile(np.asarray(values), point, method="inverted_cdf"))


def report(results: Iterable[Result]) -> None:
    """Print results as they come: JSON lines with --json, else aligned text."""
    as_json = "--json" in sys.argv[1:]
    for result in results:
        if as_json:
            row = {key: value for key, value in result._asdict().items() if value is not None}
            print(json.dumps(row), flush=True)
            continue
        against = "" if result.ratio is None else f"   {result.ratio:.2f} x {result.peer}"
        if result.ratio is None and result.peer:
            against = f"   ({result.peer})"
        print(f"{result.name:<52}{result.value:>16,.3f} {result.unit}{against}", flush=True)

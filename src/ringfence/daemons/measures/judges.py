"""A judge's figures: each of its checks by name, how old it is, how old it may be, and whether it is red.

A check that was not made for too long is red like one that has found something; a judge that is gone has no page at
all, and rules ask for that too.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from ringfence.assurance.audit.law import STALE_NS, When
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample
from ringfence.units.time import NS_PER_SECOND

if TYPE_CHECKING:
    from ringfence.daemons.judging import JudgeDaemon


def serving_judge(judge: "JudgeDaemon") -> AbstractAsyncContextManager[None]:
    def trouble() -> str:
        return "" if judge.is_caught_up else "it is not as far as the exchange"

    return serving(judge.directory, Page(judge.bench.name, lambda: _measure(judge), trouble))


def _measure(judge: "JudgeDaemon") -> Iterator[Sample]:
    yield sample(metrics.SEQUENCE, judge.sequence)
    yield sample(metrics.JUDGE_LAG, judge.lag_ns / NS_PER_SECOND)
    yield sample(metrics.JUDGE_CAUGHT_UP, int(judge.is_caught_up))
    yield sample(metrics.FINDINGS, len(judge.findings))
    if judge.last_root is not None:
        yield sample(metrics.JUDGED_ROOT_AGE, time.time() - judge.last_root.timestamp_ns / NS_PER_SECOND)
    _, _, report = judge.checks()
    for row in report.get("laws", ()):
        yield from _of_law(row)


def _of_law(row: dict[str, Any]) -> Iterator[Sample]:
    names = row["law"], When(row["when"]).name.lower()
    yield sample(metrics.CHECK_AGE, row["ageMs"] / 1000, *names)
    yield sample(metrics.CHECK_LIMIT, STALE_NS[When(row["when"])] / NS_PER_SECOND, *names)
    yield sample(metrics.CHECK_RED, int(row["verdict"] != "green"), *names)

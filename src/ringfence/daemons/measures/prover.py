"""The prover's figures: are minutes committed to, does a snapshot come when it is due, is anything withheld."""

import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample
from ringfence.units.time import NS_PER_SECOND

if TYPE_CHECKING:
    from ringfence.daemons.prover import Prover


def serving_prover(prover: "Prover") -> AbstractAsyncContextManager[None]:
    return serving(prover.directory, Page("prover", lambda: _measure(prover), lambda: _trouble(prover)))


def _trouble(prover: "Prover") -> str:
    return "" if prover.minutes.committed_ns else "no minute was committed to yet"


def _measure(prover: "Prover") -> Iterator[Sample]:
    now_ns = time.time_ns()
    yield sample(metrics.SEQUENCE, prover.minutes.sequence)
    if prover.minutes.committed_ns:
        yield sample(metrics.MINUTE_AGE, (now_ns - prover.minutes.committed_ns) / NS_PER_SECOND)
    yield sample(metrics.PROOF_DUE, max(now_ns - prover.due_ns, 0) / NS_PER_SECOND)
    yield sample(metrics.PROOF_RED, len(prover.troubles) + len(prover.opener.differences))

"""A value of a metric, a histogram, and the text in which Prometheus reads them."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple, TypeVar

from ringfence.monitoring.metrics import Kind, Metric

Given = TypeVar("Given")
Made = TypeVar("Made")


class Histogram:
    """Counts by bucket. To observe is one search among some sixteen bounds and two additions."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, metric: Metric) -> None:
        assert metric.kind == Kind.HISTOGRAM
        self._bounds = metric.buckets
        self.counts = [0] * (len(metric.buckets) + 1)
        self.total = 0.0

    def timed(self, work: Callable[[Given], Made], given: Given) -> Made:
        """Do a piece of work and observe how many seconds it took, also if it fails."""
        began = time.perf_counter()
        try:
            return work(given)
        finally:
            self.observe(time.perf_counter() - began)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Sample(NamedTuple):
    """What a metric has for one set of labels, in the order of its table."""

    metric: Metric
    value: float | Histogram
    labels: tuple[str, ...] = ()


def sample(metric: Metric, value: float | Histogram, *labels: object) -> Sample:
    """Return a sample; it must have the labels and the kind that the table says."""
    assert len(labels) == len(metric.labels), f"{metric.name} has the labels {metric.labels}"
    assert isinstance(value, Histogram) == (metric.kind == Kind.HISTOGRAM)
    return Sample(metric, value, tuple(str(label) for label in labels))


def expose(samples: Iterable[Sample], *, process: str) -> str:
    """Return the text of a page, each metric in one piece as the format demands."""
    families: dict[Metric, list[str]] = {}
    for one in samples:
        labels = ("process", *one.metric.labels), (process, *one.labels)
        families.setdefault(one.metric, []).extend(_lines(one, _pairs(*labels)))
    return "".join(
        f"{head_of(metric)}{''.join(line + chr(10) for line in lines)}"
        for metric, lines in families.items()
    )  # fmt: skip


def head_of(metric: Metric) -> str:
    return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"


def _lines(one: Sample, pairs: str) -> Iterator[str]:
    name, value = one.metric.name, one.value
    if not isinstance(value, Histogram):
        yield f"{name}{{{pairs}}} {_number(value)}"
        return
    for bound, count in zip((*one.metric.buckets, None), accumulate(value.counts), strict=True):
        edge = "+Inf" if bound is None else _number(bound)
        yield f'{name}_bucket{{{pairs},le="{edge}"}} {count}'
    yield f"{name}_sum{{{pairs}}} {_number(value.total)}"
    yield f"{name}_count{{{pairs}}} {sum(value.counts)}"


def _pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """Write a number; integers as they are, for the wallets of some assets have more digits than a float."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else repr(float(value))

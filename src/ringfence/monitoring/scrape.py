"""A node's page as values that can be asked for by metric, and what has changed between two of them."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from ringfence.monitoring.metrics import Kind, Metric

_SECONDS = 5.0
_BYTES_MAX = 32 << 20
Labels = dict[str, str]


class ScrapeError(Exception):
    """Nobody tells how the exchange is. It may be well."""


class Scrape:
    """One page, and when it was read."""

    def __init__(self, text: str, *, at: float) -> None:
        """Raises ScrapeError if the text is no page."""
        self.at = at
        self._series: dict[str, list[tuple[Labels, float]]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for one in family.samples:
                    self._series.setdefault(one.name, []).append((one.labels, one.value))
        except (ValueError, IndexError, KeyError) as error:
            raise ScrapeError(f"what came is no page of metrics: {error}") from error

    def each(self, metric: Metric, part: str = "", **labels: str) -> Iterator[tuple[Labels, float]]:
        """Yield every sample of a metric that has these labels."""
        for found, value in self._series.get(metric.name + part, ()):
            if all(found.get(name) == wanted for name, wanted in labels.items()):
                yield found, value

    def value(self, metric: Metric, **labels: str) -> float | None:
        """Return the first such sample, None if there is none: nobody has said it, which is not zero."""
        return next((value for _, value in self.each(metric, **labels)), None)

    def total(self, metric: Metric, part: str = "", **labels: str) -> float:
        return sum(value for _, value in self.each(metric, part, **labels))

    def by(self, metric: Metric, label: str, **labels: str) -> dict[str, float]:
        """Return sums by one label."""
        sums: dict[str, float] = {}
        for found, value in self.each(metric, **labels):
            sums[found.get(label, "")] = sums.get(found.get(label, ""), 0.0) + value
        return sums


class Between(NamedTuple):
    """Two pages, one after the other. A process that began again in between counts from nothing."""

    before: Scrape
    now: Scrape

    @property
    def seconds(self) -> float:
        return max(self.now.at - self.before.at, 1e-3)

    def rate(self, metric: Metric, **labels: str) -> float:
        """Return how much a counter has grown, by the second."""
        before, now = self.before.total(metric, **labels), self.now.total(metric, **labels)
        return (now - before if now >= before else now) / self.seconds

    def rates(self, metric: Metric, label: str, **labels: str) -> dict[str, float]:
        """Return the same by one label, without what stands still."""
        before, now = self.before.by(metric, label, **labels), self.now.by(metric, label, **labels)
        grown = {name: value - before.get(name, 0.0) for name, value in now.items()}
        return {
            name: (more if more >= 0 else now[name]) / self.seconds for name, more in grown.items() if more
        }

    def quantile(self, metric: Metric, share: float, **labels: str) -> float | None:
        """Return what a share of the observations in between stayed below, None if there was none.

        Between the bounds of a bucket a straight line is assumed, as Prometheus does.
        """
        assert metric.kind == Kind.HISTOGRAM
        edges = [*(repr(bound) for bound in metric.buckets), "+Inf"]
        counts = []
        for edge in edges:
            before = self.before.total(metric, "_bucket", le=edge, **labels)
            now = self.now.total(metric, "_bucket", le=edge, **labels)
            counts.append(now - before if now >= before else now)
        if not counts[-1]:
            return None
        rank, low, below = share * counts[-1], 0.0, 0.0
        for bound, count in zip(metric.buckets, counts, strict=False):
            if count >= rank:
                return low + (bound - low) * (rank - below) / max(count - below, 1e-9)
            low, below = bound, count
        return low


def scrape(url: str) -> Scrape:
    """Ask a gatherer. Raises ScrapeError."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=_SECONDS) as answer:  # noqa: S310 - an operator's own URL
            text = answer.read(_BYTES_MAX).decode()
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise ScrapeError(f"{url} does not answer: {error}") from error
    return Scrape(text, at=time.time())

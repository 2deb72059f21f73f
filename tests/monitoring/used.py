"""Which metrics an expression of Prometheus asks for: each must be in the table, with the labels that it selects."""

import re
from pathlib import Path

from ringfence.monitoring.metrics import METRICS, Kind, Metric

HOME = Path(__file__).parents[2] / "deploy" / "monitoring"
_SELECTED = re.compile(r"\b(ringfence_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_PARTS = ("_bucket", "_sum", "_count")


def used_metrics(expression: str) -> set[Metric]:
    """Return the metrics that an expression names. Raises AssertionError for one that nobody exports."""
    found = set()
    for name, labels in _SELECTED.findall(expression):
        metric = _metric(name)
        assert metric is not None, f"nobody exports {name}"
        unknown = set(_LABEL.findall(labels)) - {*metric.labels, "process", "le", "instance", "job"}
        assert not unknown, f"{metric.name} has no label {unknown}"
        found.add(metric)
    return found


def _metric(name: str) -> Metric | None:
    for part in _PARTS:
        whole = METRICS.get(name.removesuffix(part))
        if name.endswith(part) and whole is not None and whole.kind == Kind.HISTOGRAM:
            return whole
    found = METRICS.get(name)
    return found if found is None or found.kind != Kind.HISTOGRAM else None

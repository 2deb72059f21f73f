"""Dashboards ask for what there is, and all that there is is asked for somewhere."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from ringfence.monitoring.metrics import METRICS
from tests.monitoring.used import HOME, used_metrics

DASHBOARDS = sorted((HOME / "dashboards").glob("*.json"))


def _maker() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_dashboards", HOME / "make_dashboards.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _expressions(path: Path) -> list[str]:
    panels = json.loads(path.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_dashboards_are_what_the_table_says() -> None:
    maker = _maker()
    assert {path.stem for path in DASHBOARDS} == set(maker.DASHBOARDS)
    for path in DASHBOARDS:
        assert path.read_text() == maker.dashboard(path.stem), "python deploy/monitoring/make_dashboards.py"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_metrics_that_there_are(path: Path) -> None:
    for expression in _expressions(path):
        assert used_metrics(expression), expression
    for legend in re.findall(r"\{\{(\w+)\}\}", path.read_text()):
        assert legend in {"process", *(label for metric in METRICS.values() for label in metric.labels)}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in the Debian package prometheus")
def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"a:{number}", "expr": expression} for number, expression in enumerate(
        expression for path in DASHBOARDS for expression in _expressions(path))]  # fmt: skip
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_exported_is_looked_at_somewhere() -> None:
    """A figure that is on no dashboard and in no rule is one that nobody will find when it is needed."""
    texts = [expression for path in DASHBOARDS for expression in _expressions(path)]
    texts += [rule["expr"] for group in yaml.safe_load((HOME / "rules" / "ringfence.yml").read_text())["groups"]
              for rule in group["rules"]]  # fmt: skip
    looked_at = {metric.name for text in texts for metric in used_metrics(text)}
    spare = {"ringfence_process_start_time_seconds", "ringfence_process_open_files"}
    assert sorted(set(METRICS) - looked_at - spare) == []

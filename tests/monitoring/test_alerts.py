"""Every alert fires when it should and is quiet when all is well; each has an owner, a severity and a runbook."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.assurance.audit.laws import LAWS
from tests.monitoring.fired import CALM, FIRES, Case, as_promtool
from tests.monitoring.used import HOME, used_metrics

ROOT = Path(__file__).parents[2]
RULES = HOME / "rules" / "ringfence.yml"
OWNERS = {"operations", "trading", "risk", "custody", "security"}
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is in the Debian package prometheus"
)


def _rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    return {rule["alert"]: rule for rule in rules}


def _run_promtool(folder: Path, tests: list[dict[str, Any]]) -> str:
    """Return what promtool objects to, empty if nothing."""
    path = folder / "tests.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests})
    )
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@promtool
def test_every_alert_fires_when_it_should(tmp_path: Path) -> None:
    assert _run_promtool(tmp_path, as_promtool(FIRES, _rules())) == ""


@promtool
def test_a_rule_that_did_not_fire_would_be_seen(tmp_path: Path) -> None:
    calm = Case(
        "TradingHalted",
        [('ringfence_trading_state{process="history"}', "0x20")],
        "1m",
        {"process": "history"},
    )
    assert "TradingHalted" in _run_promtool(tmp_path, as_promtool([calm], _rules()))


@promtool
def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    quiet = {
        "interval": "5s",
        "input_series": [{"series": series, "values": values} for series, values in CALM],
        "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": []}
                            for name in _rules() for at in ("5m", "70m")],
    }  # fmt: skip
    assert _run_promtool(tmp_path, [quiet]) == ""


@promtool
@pytest.mark.parametrize("what", ["rules rules/ringfence.yml", "config prometheus.yml"])
def test_promtool_takes_the_files(what: str) -> None:
    done = subprocess.run(
        ["promtool", "check", *what.split()], cwd=HOME, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_case_for_every_alert() -> None:
    assert {case.alert for case in FIRES} == set(_rules())


@pytest.mark.parametrize("name", _rules())
def test_an_alert_says_whom_it_wakes_and_what_they_do(name: str) -> None:
    rule = _rules()[name]
    assert set(rule["labels"]) == {"severity", "owner"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["owner"] in OWNERS
    assert len(rule["annotations"]["summary"]) > 20
    runbook = ROOT / rule["annotations"]["runbook"]
    assert runbook.parent.name == "runbooks"
    assert name in runbook.read_text(), "the runbook says which alerts lead to it"


@pytest.mark.parametrize("name", _rules())
def test_an_alert_asks_for_metrics_that_there_are(name: str) -> None:
    assert used_metrics(_rules()[name]["expr"])


def test_a_law_that_nobody_looks_at_alerts_like_one_that_is_broken() -> None:
    asked = _rules()["CheckMissing"]["expr"] + _rules()["ChainCheckMissing"]["expr"]
    assert [law.id for law in LAWS if f'law="{law.id}"' not in asked] == []

"""Units, containers and the chart name what there is: modules, arguments, exit statuses; and they are well formed."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.cli.cluster import found
from ringfence.daemons import supervisor
from ringfence.daemons.cluster import read_cluster
from ringfence.daemons.stream_server import program_of

ROOT = Path(__file__).parents[2]
EXCHANGE = ROOT / "deploy" / "exchange"
FINAL = {
    "core": supervisor._FINAL_OF_CORE, "gateway": supervisor._FINAL_OF_GATEWAY,
    "stream_server": supervisor._FINAL_OF_NATS,
    "history": supervisor._FINAL_OF_HISTORY, "price_feed": supervisor._FINAL_OF_PRICE_FEED,
    "shadow": supervisor._FINAL_OF_JUDGES, "auditor": supervisor._FINAL_OF_JUDGES,
    "prover": supervisor._FINAL_OF_PROVER, "metrics": supervisor._FINAL_OF_METRICS,
}  # fmt: skip


def _units() -> Any:
    spec = importlib.util.spec_from_file_location("make_units", EXCHANGE / "make_units.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_units"] = module
    spec.loader.exec_module(module)
    return module


def test_units_are_current() -> None:
    made = _units().files()
    assert {path.name: path.read_text() for path in (EXCHANGE / "systemd").iterdir()} == made


def test_units_end_for_good_where_the_supervisor_says() -> None:
    for unit in _units().UNITS:
        assert unit.final == FINAL[unit.module], unit.module
        # 76 of a core is a lost lead: started again, it follows.
        assert 76 not in unit.final


def test_every_module_that_is_started_exists() -> None:
    texts = [path.read_text() for path in EXCHANGE.rglob("*") if path.is_file()]
    names = {name for text in texts for name in re.findall(r"ringfence\.daemons\.([a-z_]+)", text)}
    assert {"core", "gateway", "stream_server", "history", "metrics"} <= names
    for name in names:
        assert importlib.util.find_spec(f"ringfence.daemons.{name}") is not None, name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name, text in _units().files().items():
        text = text.replace("/opt/ringfence/bin/python", sys.executable)
        instance = name.replace("@.", "@main.")
        (tmp_path / instance).write_text(text.replace("/opt/ringfence/bin/ringfence", "/bin/true"))
    for unit in sorted(tmp_path.iterdir()):
        command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert unit.name not in done.stderr, done.stderr


def test_the_compose_file_names_what_it_uses() -> None:
    read = yaml.safe_load((EXCHANGE / "compose.yaml").read_text())
    services = read["services"]
    assert {"found", "postgres", "prometheus", "history", "metrics"} <= set(services)
    for number in (1, 2, 3):
        assert {f"nats-{number}", f"core-{number}", f"gateway-{number}"} <= set(services)
    for name, service in services.items():
        needed = service.get("depends_on", [])
        assert set(needed) <= set(services), name
        mode = service.get("network_mode", "")
        assert not mode or mode.removeprefix("service:") in services, name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in read["volumes"] or (EXCHANGE / source).resolve().exists(), volume
        if service.get("image", "").startswith("ringfence"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


@pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not installed")
def test_helm_makes_three_machines_of_the_chart() -> None:
    chart = str(EXCHANGE / "helm")
    done = subprocess.run(["helm", "lint", "--strict", chart], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    made = subprocess.run(["helm", "template", "demo", chart], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    found = [
        one["metadata"]["name"] for one in yaml.safe_load_all(made.stdout) if one["kind"] == "StatefulSet"
    ]
    assert sorted(found) == ["demo-1", "demo-2", "demo-3"]


def test_the_chart_is_yaml() -> None:
    """Without Helm, which few machines have: conditions and loops are taken out, values are words."""
    chart, values = (
        yaml.safe_load((EXCHANGE / "helm" / name).read_text()) for name in ("Chart.yaml", "values.yaml")
    )
    assert chart["name"] == "ringfence"
    kinds = []
    for path in sorted((EXCHANGE / "helm" / "templates").iterdir()):
        text = path.read_text()
        for used in re.findall(r"\.Values\.([A-Za-z.]+)", text):
            here: Any = values
            for part in used.split("."):
                assert part in here, f"{path.name} uses {used}"
                here = here[part]
        plain = re.sub(r"^\s*\{\{-? .*?\}\}\n", "", text, flags=re.MULTILINE)
        plain = re.sub(r"\{\{.*?toJson \}\}", "{}", plain)
        plain = re.sub(r"\{\{.*?\}\}", "x", plain)
        kinds += [document["kind"] for document in yaml.safe_load_all(plain) if document]
    assert sorted(kinds) == ["NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "StatefulSet"]


def test_a_cluster_is_founded_for_machines_of_their_own(tmp_path: Path) -> None:
    directory = tmp_path / "exchange"
    found(directory, host=("machine-1", "machine-2", "machine-3"))
    for number, own in enumerate((directory, *(directory / "nodes" / f"node-{n}" for n in (2, 3))), 1):
        config = read_cluster(own)
        assert config is not None
        assert config.nodes[config.node].line == f"machine-{number}:7000"
        assert config.servers[0] == f"tls://machine-{number}:4222"
        program = program_of("nats")
        assert program is not None
        written = directory / "stream" / f"nats-{number}.conf"
        done = subprocess.run(
            [str(program), "-t", "-c", str(written)], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
    with pytest.raises(SystemExit, match="belongs to a cluster already"):
        found(directory, host=("a", "b", "c"))
    with pytest.raises(SystemExit, match="a different one each time"):
        found(tmp_path / "other", host=("a", "a", "b"))

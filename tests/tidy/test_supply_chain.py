"""What Ringfence is made of is pinned, file by file; it is written down, and what is known against it is asked for."""

import datetime
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import _res

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / "supply" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sbom, audit = load("sbom"), load("audit")


# ---- locks


def test_every_lock_file_is_read() -> None:
    skipped = ("node_modules", ".venv", ".venvs", ".tools", "target", "var")
    found = {
        path.relative_to(ROOT).as_posix()
        for name in (
            "uv.lock",
            "Cargo.lock",
            "package-lock.json",
            "poetry.lock",
            "yarn.lock",
            "pnpm-lock.yaml",
        )
        for path in ROOT.rglob(name)
        if not set(path.relative_to(ROOT).parts) & set(skipped)
    }
    assert found == set(sbom.LOCKS)


def test_every_package_is_pinned_by_a_hash_that_holds() -> None:
    parts = sbom.parts_of()
    counted = Counter(part.ecosystem for part in parts)
    print(f"\npinned by hash: {dict(counted)}")
    assert min(counted[name] for name in ("pypi", "npm", "cargo")) > 100
    for part in parts:
        assert part.hashes, f"{part.url} of {part.lock} has no hash"
        for algorithm, digest in part.hashes:
            # SHA-1 is no pin any more: two files can be made that share one.
            assert (algorithm, len(digest)) in (("sha256", 64), ("sha512", 128)), part.url


def test_a_package_without_a_hash_would_be_seen(tmp_path: Path) -> None:
    for lock in sbom.LOCKS:
        (tmp_path / lock).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / lock).read_text()
        text = re.sub(r', hash = "sha256:[0-9a-f]+"', "", text)
        text = re.sub(r'checksum = "[0-9a-f]+"\n', "", text)
        (tmp_path / lock).write_text(re.sub(r'"integrity": "[^"]+",?', "", text))
    assert not [part for part in sbom.parts_of(tmp_path) if part.hashes]


def test_nothing_comes_from_anywhere_but_a_registry() -> None:
    """No branch of a repository, no address, no folder: what a name leads to there changes without a hash."""
    uv = (ROOT / "uv.lock").read_text()
    assert set(re.findall(r"^source = \{ (\w+) =", uv, re.MULTILINE)) == {"registry", "editable"}
    cargo = (ROOT / "mpc-engine" / "Cargo.lock").read_text()
    assert {
        source.partition("+")[0] for source in re.findall(r'^source = "([^"]+)"', cargo, re.MULTILINE)
    } == {"registry"}
    for lock in sbom.LOCKS:
        if lock.endswith(".json"):
            for name, package in json.loads((ROOT / lock).read_text())["packages"].items():
                assert not package.get("link"), f"{name} of {lock} is a folder"
                assert not str(package.get("resolved", "")).startswith(("git", "file")), f"{name} of {lock}"


def test_what_is_installed_is_what_is_locked() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "sync --frozen" in makefile
    assert not re.search(r"npm (install|i|update)\b", makefile)
    assert makefile.count("npm ci") == makefile.count("--ignore-scripts")
    for script in ("mpc-engine/build", "web/build", "deploy/local/age/build"):
        text = (ROOT / script).read_text()
        if "cargo" in text:
            assert "--locked" in text, script
        assert "npm install" not in text, script
        assert text.count("npm ci") == text.count("npm ci --ignore-scripts"), script


# ---- the bill of materials


def test_the_bill_of_materials_is_the_same_each_time_and_names_every_part(tmp_path: Path) -> None:
    parts = sbom.parts_of()
    made = sbom.document(parts)
    assert json.dumps(made) == json.dumps(sbom.document(sbom.parts_of()))
    assert [component["purl"] for component in made["components"]] == [part.url for part in parts]
    assert len({component["bom-ref"] for component in made["components"]}) == len(parts)
    assert str(ROOT) not in json.dumps(made)
    other = sbom.document(parts[1:])
    assert other["serialNumber"] != made["serialNumber"]


def test_the_bill_of_materials_is_cyclonedx() -> None:
    made = sbom.document(sbom.parts_of())
    check = validator()
    assert check.is_valid(made), next(check.iter_errors(made))
    assert not check.is_valid({**made, "components": [{"name": "no type"}]})
    read: Any = Bom.from_json(made)  # type: ignore[attr-defined]
    assert len(read.components) == len(made["components"])


def validator() -> Any:
    """Return a validator for the schema that cyclonedx-python-lib carries."""
    folder = Path(_res.__file__).parent
    names = [f"{name}.SNAPSHOT.schema.json" for name in ("bom-1.5", "spdx", "jsf-0.82")]
    texts = {name: json.loads((folder / name).read_text()) for name in names}
    registry = jsonschema_rs.Registry(
        [(f"http://cyclonedx.org/schema/{name}", texts[name]) for name in names]
    )
    return jsonschema_rs.validator_for(texts[names[0]], registry=registry)


def test_uv_names_the_same_python_packages() -> None:
    uv = ROOT / ".tools" / "bin" / "uv"
    if not uv.exists():
        pytest.skip("uv is not here: make installs it")
    words = [
        "export",
        "--frozen",
        "--all-extras",
        "--all-groups",
        "--no-emit-project",
        "--format",
        "cyclonedx1.5",
    ]
    said = subprocess.run(
        [uv, *words, "--quiet"], cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    theirs = {component["purl"].partition("?")[0] for component in json.loads(said)["components"]}
    ours = {part.url for part in sbom.parts_of() if part.ecosystem == "pypi"}
    assert theirs <= ours
    assert len(ours - theirs) < 5, ours - theirs


# ---- asking what is known


def test_a_database_that_was_not_asked_is_no_pass() -> None:
    whole = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]}]}
    assert audit.read_pip_audit(json.dumps(whole)) == [audit.Hole("PYSEC-1", "a")]
    skipped = {"dependencies": [*whole["dependencies"], {"name": "b", "skip_reason": "not found"}]}
    npm = {"vulnerabilities": {"c": {"via": ["d", {"url": "https://example.org/GHSA-1"}]}}}
    assert audit.read_npm(json.dumps(npm)) == [audit.Hole("GHSA-1", "c")]
    rust = {"vulnerabilities": {"list": [{"advisory": {"id": "RUSTSEC-1"}, "package": {"name": "e"}}]}}
    assert audit.read_cargo(json.dumps(rust)) == [audit.Hole("RUSTSEC-1", "e")]
    for read, said in (
        (audit.read_pip_audit, json.dumps(skipped)), (audit.read_pip_audit, '{"dependencies": []}'),
        (audit.read_pip_audit, "<html>"), (audit.read_npm, '{"message": "405 Method Not Allowed"}'),
        (audit.read_npm, "[]"), (audit.read_npm, ""), (audit.read_cargo, "{}"), (audit.read_cargo, "null"),
    ):  # fmt: skip
        with pytest.raises(audit.NotAskedError):
            read(said)
    with pytest.raises(audit.NotAskedError, match="not installed"):
        audit._run("no-such-tool-anywhere")


def test_the_whole_says_so_when_it_could_not_ask(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "supply" / "audit.py", "--uv", "no-such-uv"],
        capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2, done
    assert done.stdout.count("NOT ASKED") == 3
    assert "This is no pass" in done.stdout
    assert shutil.which("sh") is not None


def test_what_is_ignored_has_a_reason_and_an_end(tmp_path: Path) -> None:
    today = datetime.date(2026, 12, 1)
    hole = audit.Hole("GHSA-1", "a")
    good = audit.Ignored("GHSA-1", "a", "Only its command line is concerned.", datetime.date(2026, 12, 1))
    assert audit.faults([hole], [], today) == ["a has GHSA-1: update it"]
    assert audit.faults([hole], [good], today) == []
    assert "take the line away" in audit.faults([], [good], today)[0]
    assert audit.faults([], [good], today, all_asked=False) == []
    late = audit.faults([hole], [good], datetime.date(2026, 12, 2))
    assert len(late) == 2
    assert "look at it again" in late[1]
    for line in ('reason = "no"\nuntil = 2026-12-31', 'reason = "Only its command line is concerned."'):
        path = tmp_path / "ignored.toml"
        path.write_text(f'[[ignored]]\nid = "X"\npackage = "a"\n{line}\n')
        with pytest.raises(ValueError, match="needs a reason"):
            audit.read_ignored(path)
    assert isinstance(audit.read_ignored(), list)

"""Asks what is known of holes in what Ringfence is made of, one database for each kind of package.

    python deploy/supply/audit.py [--uv UV]

Exit status: 0 every database was asked and knows of nothing that is not in `ignored.toml`; 1 holes were found, or a
line of `ignored.toml` is past its date or speaks of nothing; 2 a database could not be asked. 2 is no pass: run it
again where the network is.
"""

import argparse
import datetime
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
IGNORED = Path(__file__).with_name("ignored.toml")
_SECONDS = 300
NPM_FOLDERS = ("web", "tests/browser", "deploy/local/age", "deploy/local/anvil")


class Hole(NamedTuple):
    """What a database says of a package at its pinned version."""

    id: str
    package: str


class NotAskedError(Exception):
    """The database was not asked; says why."""


class Ignored(NamedTuple):
    """A hole that does not concern us, until when and why."""

    id: str
    package: str
    reason: str
    until: datetime.date


# ---- asking


def _run(*words: str, folder: Path = ROOT) -> str:
    """Return what a tool prints, whatever its exit status: finding something is one. Raises NotAskedError."""
    if shutil.which(words[0]) is None:
        raise NotAskedError(f"{words[0]} is not installed")
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotAskedError(f"{words[0]} did not come to an end within {_SECONDS} s") from error
    if not done.stdout.strip():
        lines = done.stderr.strip().splitlines()
        raise NotAskedError(lines[-1].strip() if lines else f"{words[0]} said nothing")
    return done.stdout


def python_holes(uv: str) -> list[Hole]:
    """Ask the Python Packaging Advisory Database with pip-audit. Raises NotAskedError."""
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "requirements.txt"
        pinned.write_text(_run(uv, "export", "--frozen", "--all-extras", "--no-emit-project", "--quiet"))
        pip_audit = str(Path(sys.executable).with_name("pip-audit"))
        said = _run(pip_audit, "--requirement", str(pinned), "--disable-pip", "--require-hashes", "--format", "json",
                    "--progress-spinner", "off")  # fmt: skip
    return read_pip_audit(said)


def read_pip_audit(said: str) -> list[Hole]:
    """Raises NotAskedError if it skipped anything: a package that was not looked for is not known to be sound."""
    rows = _json(said, "pip-audit")["dependencies"]
    skipped = [row["name"] for row in rows if "skip_reason" in row]
    if skipped or not rows:
        raise NotAskedError(
            f"{len(skipped)} of {len(rows)} packages were not found there, {skipped[:1]} first"
        )
    return [Hole(hole["id"], row["name"]) for row in rows for hole in row["vulns"]]


def npm_holes() -> list[Hole]:
    """Ask the npm registry, which knows GitHub's advisories. Raises NotAskedError."""
    found = []
    for folder in NPM_FOLDERS:
        found += read_npm(_run("npm", "audit", "--json", "--package-lock-only", folder=ROOT / folder))
    return found


def read_npm(said: str) -> list[Hole]:
    """Raises NotAskedError."""
    told = _json(said, "npm audit")
    if "vulnerabilities" not in told:
        raise NotAskedError(str(told.get("message") or told.get("error") or "npm audit did not say")[:200])
    return [
        Hole(str(via["url"]).rpartition("/")[2], name)
        for name, one in told["vulnerabilities"].items()
        for via in one["via"]
        if isinstance(via, dict)
    ]


def cargo_holes() -> list[Hole]:
    """Ask the RustSec database with cargo-audit, which has to be installed. Raises NotAskedError."""
    if shutil.which("cargo-audit") is None:
        raise NotAskedError("cargo-audit is not installed: cargo install cargo-audit --locked")
    return read_cargo(_run("cargo-audit", "audit", "--json", "--file", "mpc-engine/Cargo.lock"))


def read_cargo(said: str) -> list[Hole]:
    """Raises NotAskedError."""
    told = _json(said, "cargo audit")
    if "vulnerabilities" not in told:
        raise NotAskedError("cargo audit did not say")
    rows = told["vulnerabilities"]["list"]
    return [Hole(row["advisory"]["id"], row["package"]["name"]) for row in rows]


def _json(said: str, tool: str) -> dict:  # type: ignore[type-arg]
    try:
        value = json.loads(said)
    except ValueError as error:
        raise NotAskedError(f"{tool} did not answer in JSON") from error
    if not isinstance(value, dict):
        raise NotAskedError(f"{tool} did not answer with an object")
    return value


# ---- judging


def read_ignored(path: Path = IGNORED) -> list[Ignored]:
    """Return the lines of the list. Raises ValueError if one has no reason or no end."""
    found = []
    for line in tomllib.loads(path.read_text()).get("ignored", []):
        reason, until = line.get("reason", ""), line.get("until")
        if len(reason) < 20 or not isinstance(until, datetime.date):
            raise ValueError(f"{path.name}: {line.get('id')} needs a reason in a sentence and a date `until`")
        found.append(Ignored(line["id"], line["package"], reason, until))
    return found


def faults(
    holes: list[Hole], ignored: list[Ignored], today: datetime.date, *, all_asked: bool = True
) -> list[str]:
    """Return what has to be done, in sentences; the list may not outlive its reasons."""
    excused = {(one.id, one.package) for one in ignored if one.until >= today}
    told = [
        f"{hole.package} has {hole.id}: update it" for hole in holes if (hole.id, hole.package) not in excused
    ]
    for one in ignored:
        if one.until < today:
            told.append(f"{one.package}: {one.id} was ignored until {one.until}: look at it again")
        elif all_asked and (one.id, one.package) not in holes:
            told.append(f"{one.package}: {one.id} is ignored and not there: take the line away")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="audit", description=__doc__)
    parser.add_argument("--uv", default=str(ROOT / ".tools" / "bin" / "uv"))
    given = parser.parse_args()
    asked: dict[str, Callable[[], list[Hole]]] = {
        "Python": lambda: python_holes(given.uv), "npm": npm_holes, "Rust": cargo_holes
    }  # fmt: skip
    holes: list[Hole] = []
    missing = 0
    for name, ask in asked.items():
        try:
            found = ask()
        except NotAskedError as error:
            missing += 1
            print(f"{name}: NOT ASKED: {error}")
        else:
            holes += found
            print(f"{name}: {len(found)} known")
    today = datetime.datetime.now(datetime.UTC).date()
    told = faults(holes, read_ignored(), today, all_asked=not missing)
    for line in told:
        print(line)
    if missing:
        print(f"This is no pass: {missing} of {len(asked)} databases were not asked.")
    sys.exit(1 if told else 2 if missing else 0)


if __name__ == "__main__":
    main()

"""Has every Python that is there copy one journal, as a standby and as a restore do, and compares.

    python -m ringfence.testing.pythons DIRECTORY --commands 1000000 PYTHON ...

PYTHON is an interpreter of an environment with Ringfence's dependencies. Prints a table; status 1 if two differ.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_SAME = ("commands", "events", "state", "feed", "journal")
HASH_SEEDS = ("0", "1", "4242")


def run(python: str, hash_seed: str, *arguments: str) -> dict[str, Any]:
    """Return what one copy says. Raises CalledProcessError."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    if python != sys.executable:
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [python, "-m", "ringfence.testing.copies", *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "seed": hash_seed}


def compare(directory: Path, pythons: list[str], *, commands: int) -> list[dict[str, Any]]:
    """Return what the first Python made and what every copy says. Raises CalledProcessError."""
    rows = [run(pythons[0], "0", "make", str(directory / "made"), "--commands", str(commands))]
    for number, python in enumerate(pythons):
        for seed in HASH_SEEDS if number == 0 else HASH_SEEDS[:1]:
            for how in ("restored", "followed"):
                copy = directory / f"{how}-{number}-{seed}"
                rows.append(run(python, seed, how, str(directory / "made"), str(copy)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="pythons", description="one journal, every Python")
    parser.add_argument("directory", type=Path)
    parser.add_argument("python", nargs="*", default=[])
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = compare(given.directory, [sys.executable, *given.python], commands=given.commands)
    table = Table(box=None, header_style="bold")
    names = ("how", "python", "seed", *_SAME)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(row[name])[:16] for name in names))
        if given.json:
            print(json.dumps(row))
    if not given.json:
        Console().print(table)
    sys.exit(len({tuple(row[name] for name in _SAME) for row in rows}) != 1)


if __name__ == "__main__":
    main()

"""`ringfence proofs`: what was published, when the next snapshot is due, and one more on request.

Exit status: 0 well, 66 there is no such exchange, 70 the prover is not content or nothing came in time.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.journal import DIRECTORY, AsJson, Directory

app = App(name="proofs", help="Proofs of reserves and liabilities: how they stand, and one more on request.")
EXIT_NO_INPUT, EXIT_RED = 66, 70
_POLL_SECONDS = 0.5


@app.command
def status(*, directory: Directory = DIRECTORY, as_json: AsJson = False) -> None:
    """Show the snapshots so far, the chain of minutes, and what the prover is not content with."""
    report = _report(directory)
    found: dict[str, Any] = {"report": report, "snapshots": _snapshots(directory)}
    if as_json:
        print(json.dumps(found))
    else:
        _show(report, found["snapshots"])
    if report["red"]:
        sys.exit(EXIT_RED)


@app.command
def publish(
    *,
    directory: Directory = DIRECTORY,
    seconds: Annotated[float, Parameter(help="How long to wait for it.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Publish one more snapshot now. The signed index says of it that it was asked for."""
    from ringfence.daemons.proof_secrets import home_of
    from ringfence.daemons.proof_snapshots import ASKED
    from ringfence.files import replace

    _report(directory)
    before = {one["snapshot"] for one in _snapshots(directory)}
    replace(home_of(directory) / ASKED, b"")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        new = [one for one in _snapshots(directory) if one["snapshot"] not in before]
        if new and (new[-1]["withheld"] or not (home_of(directory) / ASKED).exists()):
            print(json.dumps(new[-1]) if as_json else _line(new[-1]))
            sys.exit(EXIT_RED if new[-1]["withheld"] else 0)
        time.sleep(_POLL_SECONDS)
    findings = "; ".join(f"{one['what']}: {one['found']}" for one in _report(directory)["findings"])
    sys.exit(f"no snapshot came in {seconds:.0f} s; it is still asked for. {findings}")


def _report(directory: Path) -> dict[str, Any]:
    path = directory / "judges" / "prover.report.json"
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        print(f"no prover has run in {directory}: ringfence up", file=sys.stderr)
        sys.exit(EXIT_NO_INPUT)
    return report


def _snapshots(directory: Path) -> list[dict[str, Any]]:
    """Return what the index lists, oldest first; nothing before the first snapshot."""
    path = directory / "proofs" / "published" / "index.json"
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(json.loads(path.read_bytes())["index"])["snapshots"]
    return found


def _line(one: dict[str, Any]) -> str:
    if one["withheld"]:
        return f"snapshot {one['snapshot']} was withheld: {one['withheld']}"
    return f"snapshot {one['snapshot']} is published, {len(one['files'])} files, {one['because']}"


def _show(report: dict[str, Any], snapshots: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from ringfence.assurance.proofs.plots import decimal
    from ringfence.units.assets import BY_CURRENCY

    table = Table(title="snapshots, newest first", box=None)
    for name in ("number", "time", "because", "asset", "owed", "coins", "demo coins"):
        table.add_column(name, justify="left" if name in ("time", "because", "asset") else "right")
    for one in snapshots[:-6:-1]:
        if one["withheld"]:
            table.add_row(str(one["snapshot"]), one["timestamp"], f"[red]withheld: {one['withheld']}[/]")
        for currency, asset in sorted(one["assets"].items()):
            known = BY_CURRENCY[currency]
            amounts = (decimal(int(asset[name]), known.scale) for name in ("total", "reserves", "demo"))
            table.add_row(str(one["snapshot"]), one["timestamp"], one["because"], known.asset, *amounts)
    console = Console()
    console.print(table)
    print(f"lines of the chain of minutes  {report['minutes']:,}")
    print(f"minutes opened                 {report['opened']}")
    print(f"next snapshot                  {report['nextSnapshot']}")
    for one in report["findings"]:
        console.print(f"[red]{one['what']}[/]: {one['found']}", highlight=False, soft_wrap=True)

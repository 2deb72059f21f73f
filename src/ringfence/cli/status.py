"""`ringfence status`: every process of an exchange, how far each is, and the last trade."""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ringfence.cli import security
from ringfence.cli.up import DIRECTORY


def status(directory: Path = DIRECTORY, *, as_json: Annotated[bool, Parameter("--json")] = False) -> None:
    """Show the processes of an exchange that `ringfence up` runs; exit status 1 if it does not run.

    Parameters
    ----------
    directory
        Where its journal, keys and logs are.
    as_json
        One JSON object instead of a table.
    """
    found = look(directory)
    if found is None:
        sys.exit(f"nothing was started in {directory} yet: ringfence up")
    print(json.dumps(found)) if as_json else _show(found)
    if not found["is_running"]:
        sys.exit(1)


def look(directory: Path) -> dict[str, Any] | None:
    """Return what is known from outside: the supervisor's list, the kernel's figures, and answers."""
    from ringfence.daemons.probe import core_sequence, get_json
    from ringfence.daemons.supervisor import is_running, read_run_state

    try:
        state = read_run_state(directory)
    except ValueError as error:
        sys.exit(str(error))
    if state is None:
        return None
    sequence = asyncio.run(core_sequence(directory))
    history = _history_sequence(directory)
    began = time.monotonic()
    trades = get_json(f"{state.url}/api/v1/trade?reverse=true&count=1")
    answered_ms = (time.monotonic() - began) * 1000 if trades is not None else None
    instruments = get_json(f"{state.url}/api/v1/instrument?columns=timestamp") or []
    newest = max((row["timestamp"] for row in instruments), default=None)
    halts = get_json(f"{state.url}/api/v1/halt/status")
    reports = {one["judge"]: one for one in get_json(f"{state.url}/api/v1/audit") or []}
    proofs = get_json(f"{state.url}/api/v1/porl/status")
    alive = is_running(directory)
    figures = _figures(state.supervisor if alive else 0)
    processes = [{"name": "supervisor", "state": "running", "restarts": 0, **figures}]
    processes += [
        {"name": p.name, "state": p.state, "restarts": p.restarts, **_figures(p.pid)} for p in state.processes
    ]
    for process in processes:
        if process["state"] == "running" and not process["pid"]:
            process["state"] = "gone"
        if process["name"] == "core":
            process["sequence"] = sequence
        if process["name"] == "history":
            process["sequence"] = history
        if process["name"] in reports:
            process["sequence"] = reports[process["name"]]["sequence"]
    return {
        "directory": str(directory), "url": state.url, "is_running": alive, "processes": processes,
        "journal_sequence": sequence,
        "history_lag": sequence - history if sequence is not None and history is not None else None,
        "views_age_seconds": round(_age(newest), 1) if newest else None,
        "answer_milliseconds": round(answered_ms, 1) if answered_ms is not None else None,
        "trading": halts["state"] if halts else None,
        "judges": [
            {name: one[name] for name in ("judge", "timestamp", "green", "red", "lagMs", "rootSequence", "findings")}
            for one in reports.values()
        ],
        "proofs": proofs,
        "security_reports": security.overdue(directory),
        "configuration": _configuration(directory),
        "last_trade": trades[0] if trades else None,
    }  # fmt: skip


def _history_sequence(directory: Path) -> int | None:
    from sqlalchemy.exc import SQLAlchemyError

    from ringfence.database.addresses import Purpose, history_url
    from ringfence.exchange.projections.history import HistoryReader

    try:
        url = history_url(directory, Purpose.READER)
        if url.startswith("sqlite") and not (directory / "history.sqlite").exists():
            return None
        reader = HistoryReader(url)
        found = reader.next_sequence()
        reader.close()
    except (OSError, ValueError, SQLAlchemyError):
        return None  # status says what it can; the daemon's own log says what is wrong
    return found


def _configuration(directory: Path) -> dict[str, Any]:
    """Return which configuration is in force and which the file is; None where there is none that can be read."""
    from ringfence.configuration import SettingsError, in_words, number_in_force, read_configuration

    found: dict[str, Any] = {"in_force": None, "file": None}
    with suppress(SettingsError):
        in_force = number_in_force(directory)
        found["in_force"] = in_words(in_force) if in_force else None
        found["file"] = in_words(read_configuration(directory).number)
    return found


def _age(stamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()


def _figures(pid: int) -> dict[str, Any]:
    """Return what Linux says of a process; nulls where it is gone or there is no /proc."""
    unknown = {"pid": None, "up_seconds": None, "cpu_percent": None, "memory_mb": None}
    if not pid or not _is_alive(pid):
        return unknown
    try:
        # Behind the command's name, which may hold spaces: field 3 of proc(5) is first.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        up = float(Path("/proc/uptime").read_text().split()[0]) - int(fields[19]) / ticks
        cpu = (int(fields[11]) + int(fields[12])) / ticks
        memory = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return {**unknown, "pid": pid}
    return {
        "pid": pid, "up_seconds": round(up, 1), "cpu_percent": round(100 * cpu / max(up, 0.01), 1),
        "memory_mb": round(memory / 1e6, 1),
    }  # fmt: skip


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("process", "state", "pid", "up", "cpu", "memory", "sequence", "restarts"):
        table.add_column(name, justify="left" if name in ("process", "state") else "right")
    for process in found["processes"]:
        colour = "green" if process["state"] == "running" else "red"
        table.add_row(
            process["name"], f"[{colour}]{process['state']}[/]", _text(process["pid"]),
            _duration(process["up_seconds"]), _text(process["cpu_percent"], " %"), _text(process["memory_mb"], " MB"),
            _text(process.get("sequence")), str(process["restarts"]),
        )  # fmt: skip
    console.print(table)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"\n{found['url']} answers in {_text(found['answer_milliseconds'], ' ms')}")
    say(f"journal at sequence {_text(found['journal_sequence'])}")
    say(f"history {_text(found['history_lag'])} commands behind")
    say(f"newest public change {_text(found['views_age_seconds'], ' s')} old")
    colour = "green" if found["trading"] == "Running" else "red"
    say(f"trading [{colour}]{_text(found['trading'])}[/]")
    configuration = found["configuration"]
    is_in_force = configuration["in_force"] == configuration["file"]
    differs = (
        ""
        if is_in_force
        else f", [red]ringfence.toml is {_text(configuration['file'])}[/]: ringfence config diff"
    )
    say(f"configuration {_text(configuration['in_force'])}{differs}")
    for one in found["judges"]:
        verdict = "[green]content[/]" if not one["red"] else f"[red]{one['red']} red[/]"
        say(
            f"{one['judge']}: {one['green']} checks green, {verdict}, {one['lagMs']} ms behind, {one['timestamp']}"
        )
        for finding in one["findings"]:
            values = f"expected {finding['expected']}, found {finding['found']}"
            say(f"  [red]{finding['law']}[/] {finding['what']}: {values}")
    proofs = found["proofs"]
    if proofs:
        colour, verdict = ("red", f"{proofs['red']} red") if proofs["red"] else ("green", "content")
        say(
            f"prover: {proofs['minutes']} minutes, snapshot {_text(proofs['snapshot'])}, [{colour}]{verdict}[/]"
        )
        for finding in proofs["findings"]:
            say(f"  [red]{finding['what']}[/] {finding['found']}")
    if found["security_reports"]:
        late = sum(row["overdue"] for row in found["security_reports"])
        kept = f"[red]{late} overdue[/]: ringfence security list" if late else "none overdue"
        say(f"{len(found['security_reports'])} security reports are open, {kept}")
    trade = found["last_trade"]
    if trade:
        say(
            f"last trade {trade['symbol']} {trade['side']} {trade['size']} @ {trade['price']} at {trade['timestamp']}"
        )
    if not found["is_running"]:
        say("[red]the supervisor does not run[/]")


def _text(value: Any, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02d}:{minutes:02d}:{rest:02d}" if days else f"{hours}:{minutes:02d}:{rest:02d}"

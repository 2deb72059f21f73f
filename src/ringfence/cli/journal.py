"""`ringfence journal`: check it, read it, replay it. Nothing is written and the core may go on running.

Exit status: 0 as it should be, 65 the journal is damaged, 66 there is none, 70 replay gives something
else than was written down, 72 it is under rules that this build does not know, 74 the disk does not read.
Answers go to stdout, everything else to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.messages.commands import Command

if TYPE_CHECKING:
    from rich.console import Console

    from ringfence.exchange.journal import Frame, JournalReader, Progress
    from ringfence.exchange.sequencer import Replay

app = App(name="journal", help="Check, read and replay what was said. Nothing is written.")

EXIT_CORRUPT, EXIT_NO_INPUT, EXIT_DIFFERENT, EXIT_DISK = 65, 66, 70, 74
DIRECTORY = Path("var/exchange")

Directory = Annotated[Path, Parameter(help="The exchange's data directory.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead.")]


# ---- verify


@app.command
def verify(*, directory: Directory = DIRECTORY, as_json: AsJson = False) -> None:
    """Check every byte of the journal and the whole hash chain."""
    from ringfence.cli.describe import timestamp
    from ringfence.exchange.sequencer import acknowledged_below

    with _errors(as_json=as_json), progress("verifying") as on_progress:
        _require(directory)
        acknowledged = acknowledged_below(directory)
        reader = _reader(directory, on_progress)
        first = last = None
        frames = commands = 0
        for frame in reader.frames():
            first, last = first or frame, frame
            frames += 1
            commands += _count_commands(frame)
        unfinished = reader.check_end(acknowledged=acknowledged)
    found: dict[str, Any] = {
        "ok": True,
        "segments": len(reader.segments),
        "frames": frames,
        "commands": commands,
        "firstSequence": first.first_sequence if first else None,
        "firstTime": timestamp(first.timestamp_ns) if first else None,
        "lastSequence": last.next_sequence - 1 if last else None,
        "lastTime": timestamp(last.timestamp_ns) if last else None,
        "head": reader.head.hex() if reader.head else None,
        "acknowledged": acknowledged,
        "unfinished": {"segment": reader.segment, "offset": reader.offset} if unfinished else None,
    }
    if as_json:
        print(json.dumps(found))
        return
    slots = reader.next_sequence
    lines = [
        ("journal", str(directory / "journal")),
        ("segments", f"{found['segments']:,}"),
        ("frames", f"{frames:,}"),
        ("commands", f"{commands:,}, and {slots - commands:,} slots of text"),
        ("first", f"sequence {found['firstSequence']} at {found['firstTime']}" if first else "none yet"),
        ("last", f"sequence {found['lastSequence']} at {found['lastTime']}" if last else "none yet"),
        ("head", found["head"] or ""),
        ("published", f"sequences below {acknowledged} were, and all are there"),
    ]
    if unfinished:
        where = f"byte {reader.offset} of {reader.segment}"
        lines.append(("unfinished", f"the frame at {where}: it is being written, or nobody was told of it"))
    lines.append(("result", "every byte and the whole hash chain check"))
    for name, value in lines:
        print(f"{name:<11} {value}")


def _count_commands(frame: "Frame") -> int:
    kinds = frame.commands[58::64]
    return len(kinds) - kinds.count(Command.DATA)


# ---- export


@app.command
def export(output: Path, *, directory: Directory = DIRECTORY, as_json: AsJson = False) -> None:
    """Write the journal for the public: everything that was asked, without names and texts of customers."""
    from ringfence.assurance.replay import ExportError
    from ringfence.assurance.replay import export as write
    from ringfence.commitments import ChainError

    if output.exists():
        sys.exit(f"{output} is there already; nothing was written")
    with _errors(as_json=as_json), progress("exporting") as on_progress:
        _require(directory)
        try:
            exported = write(directory, output, on_progress=on_progress)
        except (ExportError, ChainError) as error:
            _fail(EXIT_CORRUPT, error, as_json=as_json)
    found = {**exported._asdict(), "bytes": output.stat().st_size, "file": str(output)}
    if as_json:
        print(json.dumps({"ok": True, **found}))
        return
    print(
        f"{exported.commands:,} slots in {exported.frames:,} frames and {exported.roots:,} signed roots: "
        f"{found['bytes']:,} bytes in {output}"
    )
    print(f"anybody checks it with `ringfence verify replay {output.name}`")


# ---- show


@app.command
def show(
    *,
    directory: Directory = DIRECTORY,
    first: Annotated[int, Parameter(help="The sequence to begin at.")] = 0,
    count: Annotated[int, Parameter(help="How many commands to show, 0 = all.")] = 50,
    kind: Annotated[Command | None, Parameter(help="Only this kind, e.g. PLACE.")] = None,
    account: Annotated[int | None, Parameter(help="Only this account's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print commands with names for their numbers; with --json one object a line."""
    chosen = _choose(directory, first=first, kind=kind, account=account)
    with _errors(as_json=as_json):
        _require(directory)
        shown: list[dict[str, Any]] = []
        try:
            for number, words in enumerate(chosen):
                if count and number == count:
                    break
                if as_json:
                    print(json.dumps(words))
                else:
                    shown.append(words)
        finally:
            # What was whole before damage is still worth reading.
            if not as_json:
                _print_table(shown)


def _choose(
    directory: Path, *, first: int, kind: Command | None, account: int | None
) -> Iterator[dict[str, Any]]:
    """Yield commands in words. Reads from the beginning, because that is where the instruments are."""
    import numpy as np

    from ringfence.cli.describe import Describer
    from ringfence.messages.records import COMMAND

    describer = Describer()
    reader = _reader(directory, None)
    for frame in reader.frames():
        commands = np.frombuffer(frame.commands, COMMAND)
        describer.learn(commands)
        if frame.next_sequence <= first:
            continue
        wanted = commands["kind"] != Command.DATA
        if kind is not None:
            wanted &= commands["kind"] == kind
        if account is not None:
            wanted &= commands["account"] == account
        for position in np.flatnonzero(wanted).tolist():
            sequence = frame.first_sequence + position
            if sequence >= first:
                yield describer.describe(
                    commands, position, sequence=sequence, timestamp_ns=frame.timestamp_ns
                )
    reader.check_end()


_COLUMNS = {
    "sequence": ("sequence",), "time": ("timestamp",), "kind": ("kind",), "account": ("account",),
    "symbol": ("symbol", "currency"), "side": ("side",), "qty": ("orderQty", "leavesQty", "amount"),
    "price": ("price", "markPrice"), "clOrdID": ("clOrdID", "clOrdIDHash"), "text": ("text",),
}  # fmt: skip
_RIGHT = {"sequence", "account", "qty", "price"}
_USUAL = {"timeInForce": "GoodTillCancel", "ordType": "Limit"}


def _print_table(rows: list[dict[str, Any]]) -> None:
    """Print what most commands have in columns and the rest as name=value."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*_COLUMNS, "and"):
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=name in _RIGHT)
    for words in rows:
        rest = {name: value for name, value in words.items() if _USUAL.get(name) != value}
        cells = []
        for names in _COLUMNS.values():
            present = [name for name in names if name in rest]
            cells.append(str(rest.pop(present[0])) if present else "")
        cells[1] = cells[1][:-7] + "Z"  # milliseconds are enough to read
        cells.append(" ".join(f"{name}={value}" for name, value in rest.items()))
        # Text is a customer's: it may hold anything, markup and terminal controls included.
        table.add_row(*(Text("".join(c if c.isprintable() else "?" for c in cell)) for cell in cells))
    width = None if sys.stdout.isatty() else 240
    Console(width=width).print(table)


# ---- replay


@app.command
def replay(*, directory: Directory = DIRECTORY, as_json: AsJson = False) -> None:
    """Apply the whole journal to a new engine and compare with the feed and every snapshot."""
    from rich.console import Console

    Console(stderr=True).print("loading the engine")
    from ringfence.exchange.sequencer import Replay

    with _errors(as_json=as_json), progress("replaying") as on_progress:
        _require(directory)
        started = time.monotonic()
        run = Replay(directory, on_progress=on_progress)
        try:
            run.run()
        except (IndexError, AssertionError) as error:
            _fail(
                EXIT_DIFFERENT,
                f"the engine met an impossible state after sequence {run.engine.next_sequence}: {error!r}",
                as_json=as_json,
            )
        seconds = time.monotonic() - started
    rate = round(run.commands / max(seconds, 1e-9))
    if as_json:
        print(json.dumps(_replay_as_json(run, rate)))
    else:
        _print_replay(run, rate, seconds)
    if run.different:
        sys.exit(EXIT_DIFFERENT)


def _replay_as_json(run: "Replay", rate: int) -> dict[str, Any]:
    return {
        "ok": not run.different,
        "commands": run.commands,
        "commandsPerSecond": rate,
        "nextSequence": run.engine.next_sequence,
        "digest": run.engine.digest().hex(),
        "batches": run.batches,
        "batchesCompared": run.batches_compared,
        "snapshotsCompared": run.snapshots_compared,
        "different": run.different,
        "differences": [difference._asdict() for difference in run.differences],
        "events": run.event_counts(),
        "totals": {
            total.asset.currency: {name: value for name, value in total._asdict().items() if name != "asset"}
            for total in run.totals()
        },
    }


def _print_replay(run: "Replay", rate: int, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    lines = [
        ("commands", f"{run.commands:,} in {seconds:.1f} s, {rate:,} commands/s with all comparisons"),
        ("digest", f"{run.engine.digest().hex()} at sequence {run.engine.next_sequence}"),
        ("feed", f"{run.batches_compared:,} of {run.batches:,} batches are published and were compared"),
        ("snapshots", f"{run.snapshots_compared} compared"),
    ]
    for name, value in lines:
        print(f"{name:<11} {value}")
    totals = Table("asset", box=None, pad_edge=False, header_style="bold")
    for name in ("deposited", "withdrawn", "wallets", "locked", "fees"):
        totals.add_column(name, justify="right")
    for total in run.totals():
        totals.add_row(total.asset.currency, *(f"{amount:,}" for amount in total[1:]))
    events = Table("event", box=None, pad_edge=False, header_style="bold")
    events.add_column("count", justify="right")
    for name, events_of_kind in run.event_counts().items():
        events.add_row(name, f"{events_of_kind:,}")
    for table in (totals, events):
        console.print()
        console.print(table)
    console.print()
    if not run.different:
        print("result      the feed and the snapshots are what the commands give")
        return
    print(f"result      {run.different} differences")
    for difference in run.differences:
        print(f"  sequence {difference.sequence}, {difference.place}: {difference.what}")


# ---- what they share


def _require(directory: Path) -> None:
    if not (directory / "journal").is_dir():
        raise FileNotFoundError(f"there is no journal in {directory}; name another with --directory")


def _reader(directory: Path, on_progress: "Progress | None") -> "JournalReader":
    from ringfence.exchange.journal import JournalReader, RealDisk

    return JournalReader(RealDisk(directory / "journal"), on_progress=on_progress)


@contextmanager
def _errors(*, as_json: bool) -> Iterator[None]:
    """Turn what can go wrong into one sentence and an exit status."""
    from ringfence.exchange.journal import JournalError, JournalReadError
    from ringfence.messages.rules import EXIT_RULES, UnknownRulesError

    try:
        yield
        sys.stdout.flush()
    except JournalReadError as error:
        _fail(EXIT_DISK, error, as_json=as_json)
    except JournalError as error:
        _fail(EXIT_CORRUPT, error, as_json=as_json)
    except UnknownRulesError as error:
        _fail(EXIT_RULES, error, as_json=as_json)
    except FileNotFoundError as error:
        _fail(EXIT_NO_INPUT, error, as_json=as_json)
    except BrokenPipeError:
        # The reader of a pipe has seen enough. What Python flushes at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(status: int, what: Exception | str, *, as_json: bool) -> None:
    facts = {name: getattr(what, name) for name in ("segment", "offset", "sequence") if hasattr(what, name)}
    if as_json:
        error = type(what).__name__ if isinstance(what, Exception) else "EngineError"
        print(json.dumps({"ok": False, "error": error, **facts, "message": str(what)}))
    else:
        _stderr().print(f"[bold red]failed[/bold red] {_plain(str(what))}", soft_wrap=True)
    sys.exit(status)


def _stderr() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@contextmanager
def progress(what: str) -> "Iterator[Progress]":
    """Show a bar on stderr while the journal is read."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    told = 0.0
    with Bar(*columns, console=_stderr(), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def on_progress(done: int, total: int) -> None:
            nonlocal told
            # Frames are small: telling of every one would take longer than reading it.
            if done == total or time.monotonic() - told > 0.1:
                told = time.monotonic()
                bar.update(task, completed=done, total=total)

        yield on_progress

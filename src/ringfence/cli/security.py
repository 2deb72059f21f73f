"""`ringfence security`: reports of holes, for who holds the security role's key.

Every change is signed with the role's key and goes to the desk, which keeps a chained log of them. `list` needs no key:
it reads nothing.

Exit status: 0 well, 66 there is no such exchange or report, 70 something is overdue or was changed on the disk.
"""

import json as encoder
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli import passphrase
from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.assurance.disclosure import Case
    from ringfence.assurance.disclosure.casebook import Fold
    from ringfence.assurance.disclosure.changes import Change
    from ringfence.assurance.disclosure.sealed import KeyFile

_EXIT_TEMPFAIL = 75
"""sysexits: whoever piped a mail in keeps it and tries again."""
app = App(
    name="security",
    help="Reports of holes: `list`, `show`, `state`, `message`, `thank`, `publish`; `new-key`, `hand-over`.",
)
EXIT_NO_INPUT, EXIT_RED = 66, 70
PASSPHRASE = Annotated[Path | None, Parameter(help="A file with the key's passphrase; else it is asked for.")]
KEY = Annotated[
    Path | None, Parameter(help="The role's key file; that of the demonstration if none is given.")
]
Json = Annotated[bool, Parameter(help="For machines.")]


@app.command(name="list")
def list_(*, directory: Path = DIRECTORY, json: Json = False) -> None:
    """Show every report: how far it is, what is due when, what is overdue. Nothing of what it says."""
    from ringfence.assurance.disclosure.casebook import in_order

    fold, now_ns = _fold(directory), time.time_ns()
    rows = [_row(case, now_ns) for case in in_order(fold)]
    if json:
        print(encoder.dumps({"reports": rows, "log": {"entries": fold.count, "head": fold.head}}))
    else:
        _show_list(rows)
    if any(row["overdue"] for row in rows):
        sys.exit(EXIT_RED)


@app.command
def intake(*, directory: Path = DIRECTORY) -> None:
    """Take a report that a mail server pipes in: one mail on standard input; receipts go back by mail."""
    import asyncio

    from ringfence.assurance.disclosure.sealed import SealedError
    from ringfence.daemons.security_intake import IntakeError, take

    try:
        ids = asyncio.run(take(directory, sys.stdin.buffer.read()))
    except IntakeError as error:
        print(f"{error}; nothing was taken", file=sys.stderr)
        sys.exit(_EXIT_TEMPFAIL)
    except (SealedError, OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was taken")
    print(" ".join(ids))


@app.command
def show(
    report: str, *, key: KEY = None, passphrase_file: PASSPHRASE = None, directory: Path = DIRECTORY, json: Json = False
) -> None:  # fmt: skip
    """Open one report and what was added to it, as the role. Nothing of it is executed, drawn or linked."""
    from ringfence.assurance.disclosure import CasebookError
    from ringfence.assurance.disclosure.casebook import read_blob
    from ringfence.assurance.disclosure.sealed import SealedError, check_sealed, unseal

    case, private = _case(_fold(directory), report), _key(key, passphrase_file, directory)
    home, red = directory / "security", False
    texts = []
    for name, sha256 in [(case.blob, case.sha256), *((one.sealed, one.sha256) for one in case.follow_ups)]:
        try:
            texts.append(unseal(read_blob(home, name, sha256), private.identity).decode(errors="replace"))
        except (OSError, SealedError, CasebookError) as error:
            red = True
            texts.append(f"({error})")
    for message in case.messages:
        try:
            texts.append(
                "> " + unseal(check_sealed(message.sealed), private.identity).decode(errors="replace")
            )
        except SealedError as error:
            texts.append(f"> ({error})")
    row = _row(case, time.time_ns())
    if json:
        print(encoder.dumps({**row, "texts": texts}))
    else:
        print(
            f"{row['report']}: {row['state']}, {row['band'] or 'no band'}; {row['due'] or 'nothing is due'}"
        )
        for step in case.steps:
            print(f"  {_time(step.at_ns)}  {step.state}  by {step.by}")
        for text in texts:
            print("-" * 80)
            print(_readable(text))
    if red:
        sys.exit(EXIT_RED)


@app.command
def state(
    report: str, state: str, *, band: str = "", vector: str = "", duplicate_of: str = "", reward_usd: int = 0,
    key: KEY = None, passphrase_file: PASSPHRASE = None, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Say how far a report is: acknowledged, triaged, accepted, rejected, duplicate, fixed."""
    from ringfence.assurance.disclosure import Band, Change, State
    from ringfence.assurance.disclosure.changes import What

    if state not in set(State) or (band and band not in set(Band)):
        sys.exit(f"a state is one of {', '.join(State)}, a band one of {', '.join(Band)}; nothing was sent")
    case = _case(_fold(directory), report)
    change = Change(
        report=case.id, number=case.changes, what=What.STATE, state=State(state), band=Band(band) if band else None,
        vector=vector, duplicate_of=duplicate_of, reward_usd=reward_usd,
    )  # fmt: skip
    _send(directory, change, _key(key, passphrase_file, directory))
    print(f"{report} is {state}")


@app.command
def message(
    report: str, text: Annotated[str, Parameter(help="What is said; - reads it from standard input.")], *,
    key: KEY = None, passphrase_file: PASSPHRASE = None, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Write to whoever reported it. It is sealed for them and for the role; nobody between can read it."""
    from ringfence.assurance.disclosure import Change
    from ringfence.assurance.disclosure.changes import What
    from ringfence.assurance.disclosure.sealed import SealedError, seal

    case, private = _case(_fold(directory), report), _key(key, passphrase_file, directory)
    recipient = str(_opened(directory, case, private).get("reply", ""))
    if not recipient:
        sys.exit("the report names no recipient for answers; use the contact that it gives. Nothing was sent")
    said = sys.stdin.read() if text == "-" else text
    try:
        sealed = seal(said.encode(), [recipient, private.recipient])
    except SealedError as error:
        sys.exit(f"the report's recipient for answers: {error}; nothing was sent")
    _send(directory, Change(report=case.id, number=case.changes, what=What.MESSAGE, message=sealed), private)
    print(f"sealed for who reported {report}")


@app.command
def thank(
    report: str, *, name: str = "", key: KEY = None, passphrase_file: PASSPHRASE = None, directory: Path = DIRECTORY
) -> None:  # fmt: skip
    """Put whoever reported it on the page of thanks, under the name that the report gives for that."""
    from ringfence.assurance.disclosure import Change
    from ringfence.assurance.disclosure.changes import What

    case, private = _case(_fold(directory), report), _key(key, passphrase_file, directory)
    wanted = str(_opened(directory, case, private).get("thanks", ""))
    if not wanted:
        sys.exit("the report does not ask to be thanked by name; nothing was sent")
    if name and name != wanted:
        sys.exit("that is another name than the report gives; nothing was sent")
    _send(directory, Change(report=case.id, number=case.changes, what=What.THANK, name=wanted), private)
    print(f"thanked: {_readable(wanted)}")


@app.command
def publish(
    report: str, *, title: str, text: Annotated[Path, Parameter(help="A file with the advisory, plain text.")],
    key: KEY = None, passphrase_file: PASSPHRASE = None, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Publish what was wrong, once it is fixed: the report is disclosed then."""
    from ringfence.assurance.disclosure import Change
    from ringfence.assurance.disclosure.changes import What

    case = _case(_fold(directory), report)
    try:
        said = text.read_text()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{text} cannot be read: {error}; nothing was sent")
    change = Change(report=case.id, number=case.changes, what=What.PUBLISH, title=title, advisory=said)
    _send(directory, change, _key(key, passphrase_file, directory))
    print(f"{report} is disclosed")


@app.command
def new_key(
    output: Path, *, name: str, passphrase_file: Annotated[Path | None, Parameter(help="Else it is asked for.")] = None
) -> None:  # fmt: skip
    """Make a key for the security role, on its own machine; prints the line that `hand-over` takes."""
    import msgspec

    from ringfence.assurance.disclosure.changes import role_key_of
    from ringfence.assurance.disclosure.sealed import new_key_file, write_key_file

    made = new_key_file(name)
    try:
        write_key_file(output, made, passphrase=passphrase.fresh(passphrase_file))
    except OSError as error:
        sys.exit(f"{error}; no key was made")
    print(msgspec.json.encode(role_key_of(made)).decode())


@app.command
def hand_over(
    role: Annotated[Path, Parameter(help="A file with the line that `new-key` has printed.")], *,
    key: KEY = None, passphrase_file: PASSPHRASE = None, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Name another key for the role, signed by the present one. What came before stays sealed for the old key."""
    import msgspec

    from ringfence.assurance.disclosure import Change, RoleKey
    from ringfence.assurance.disclosure.changes import What

    try:
        new = msgspec.json.decode(role.read_bytes(), type=RoleKey)
    except (OSError, msgspec.MsgspecError) as error:
        sys.exit(f"{role} cannot be read: {error}; nothing was sent")
    number = _fold(directory).role_changes
    _send(directory, Change(number=number, what=What.ROLE, role=new), _key(key, passphrase_file, directory))
    print(f"reports are sealed for {new.recipient} from now on")


# ---- what the commands share


def overdue(directory: Path) -> list[dict[str, Any]] | None:
    """Return the rows of open reports, overdue ones marked; None if no desk has run. For `ringfence status`."""
    from ringfence.assurance.disclosure import read_casebook
    from ringfence.assurance.disclosure.casebook import in_order
    from ringfence.chained_log import LogError
    from ringfence.database.stores import SECURITY, read_lines

    try:
        fold = read_casebook(directory / "security", read_lines(directory, SECURITY))
    except (OSError, ValueError, LogError):
        return None
    now_ns = time.time_ns()
    return [_row(case, now_ns) for case in in_order(fold) if not case.is_over]


def _fold(directory: Path) -> "Fold":
    from ringfence.assurance.disclosure import read_casebook
    from ringfence.chained_log import LogError
    from ringfence.database.stores import SECURITY, read_lines

    try:
        return read_casebook(directory / "security", read_lines(directory, SECURITY))
    except FileNotFoundError:
        print(f"no security desk has run in {directory}: ringfence up", file=sys.stderr)
        sys.exit(EXIT_NO_INPUT)
    except (OSError, ValueError) as error:
        print(f"the log of reports cannot be read: {error}", file=sys.stderr)
        sys.exit(EXIT_NO_INPUT)
    except LogError as error:
        print(f"the log of reports is not what was written: {error}", file=sys.stderr)
        sys.exit(EXIT_RED)


def _case(fold: "Fold", report: str) -> "Case":
    case = fold.cases.get(report)
    if case is None:
        print(f"there is no report {_readable(report)}: ringfence security list", file=sys.stderr)
        sys.exit(EXIT_NO_INPUT)
    return case


def _key(path: Path | None, passphrase_file: Path | None, directory: Path) -> "KeyFile":
    from ringfence.assurance.disclosure.sealed import SealedError, read_key_file
    from ringfence.daemons.security_desk import DEMO_ROLE

    path = path or directory / "people" / f"{DEMO_ROLE}.key"
    try:
        return read_key_file(path, passphrase=passphrase.existing(path, passphrase_file))
    except (OSError, SealedError) as error:
        sys.exit(f"{error}; nothing was done")


def _opened(directory: Path, case: "Case", key: "KeyFile") -> dict[str, Any]:
    """Return the fields of a report that the page has made; nothing of one that is plain text."""
    from ringfence.assurance.disclosure import CasebookError
    from ringfence.assurance.disclosure.casebook import read_blob
    from ringfence.assurance.disclosure.sealed import SealedError, unseal

    try:
        raw = unseal(read_blob(directory / "security", case.blob, case.sha256), key.identity)
    except (OSError, SealedError, CasebookError) as error:
        sys.exit(f"{error}; nothing was done")
    try:
        found = encoder.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _send(directory: Path, change: "Change", key: "KeyFile") -> None:
    import socket

    import msgspec

    from ringfence.assurance.disclosure.changes import sign

    question = {"ask": "change", "signed": msgspec.to_builtins(sign(change, key))}
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(15)
            line.connect(str(directory / "security" / "desk.sock"))
            line.sendall(encoder.dumps(question).encode() + b"\n")
            with line.makefile("rb") as file:
                said: dict[str, Any] = encoder.loads(file.readline())
    except (OSError, ValueError) as error:
        sys.exit(f"the security desk does not answer: {error}. Is `ringfence up` running here?")
    if "error" in said:
        sys.exit(f"{said['error']}; nothing was changed")


def _row(case: "Case", now_ns: int) -> dict[str, Any]:
    from ringfence.assurance.disclosure import due

    next_ = due(case)
    return {
        "report": case.id, "received": _time(case.received_ns), "state": str(case.state),
        "band": str(case.band) if case.band else None, "vector": case.vector or None, "name": case.name or None,
        "due": f"{next_.what} until {_time(next_.at_ns)}" if next_ else None,
        "overdue": next_ is not None and next_.is_missed(now_ns),
    }  # fmt: skip


def _time(at_ns: int) -> str:
    from ringfence.units.time import iso

    return iso(at_ns)[:16] + "Z"


def _readable(text: str) -> str:
    """Return a stranger's text without what a terminal would obey."""
    return "".join(one if one.isprintable() or one == "\n" else f"\\x{ord(one):02x}" for one in text)


def _show_list(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in ("report", "received", "state", "band", "due"):
        table.add_column(name)
    for row in rows:
        late = f"[bold red]OVERDUE: {row['due']}[/]" if row["overdue"] else row["due"] or ""
        table.add_row(row["report"], row["received"], row["state"], row["band"] or "", late)
    Console().print(table if rows else "no report has come")

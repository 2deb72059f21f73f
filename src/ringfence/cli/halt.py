"""`ringfence halt`: stop the exchange at once, and let two people together start it again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli import passphrase
from ringfence.cli.asking import carry_out, number_of
from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.daemons.halts import Target
    from ringfence.messages.halts import Signature

app = App(
    name="halt",
    help="Halt at once; go on only with two people. `now`, `status`, then `draft`, `sign` (twice), `resume`.",
)
Scope = Annotated[str, Parameter(help="venue, contract, deposits, withdrawals or signers.")]
Of = Annotated[str | None, Parameter(help="Symbol of a contract, currency of coins (XBt ...), or all.")]
PASSPHRASE = Annotated[Path | None, Parameter(help="A file with the key's passphrase; else it is asked for.")]


@app.command
def now(
    *, because: str, operator: str, scope: Scope = "venue", of: Of = None, cancel_only: bool = False,
    directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Halt. Anyone who may reach the core may do this alone; it takes two to go on."""
    from ringfence.daemons import halts
    from ringfence.messages.commands import TradingState
    from ringfence.messages.halts import Reason

    state = TradingState.CANCEL_ONLY if cancel_only else TradingState.HALTED
    records = halts.halt(_target(directory, scope, of), Reason(by=operator, what=because), state=state)
    sequence = carry_out(directory, operator, records)
    print(f"halted: {scope}{f' {of}' if of else ''}, {state.name}; the halt is of sequence {sequence}")


@app.command
def status(*, directory: Path = DIRECTORY, json: bool = False) -> None:
    """Say what is halted, since when and why, and what the judges say."""
    from rich.console import Console
    from rich.table import Table

    said = _ask(directory, "/halt/status")
    if json:
        import json as encoder

        print(encoder.dumps(said))
        return
    console = Console()
    console.print(f"venue: [bold]{said['state']}[/] at sequence {said['sequence']}")
    if not said["halted"]:
        return
    table = Table("scope", "of", "state", "since", "goes on", "law", "by", "why")
    for row in said["halted"]:
        table.add_row(
            row["scope"], row["symbol"] or row["currency"] or "", row["state"], row["timestamp"],
            row["reopens"] or "not before two people say so", row["law"], row["by"], row["text"],
        )  # fmt: skip
    console.print(table)


@app.command
def draft(
    *, cause: str, funding: str = "pay", scope: Scope = "venue", of: Of = None, output: Path,
    directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Write the statement that two people sign: what goes on, from which state, and what was wrong."""
    from ringfence.daemons import halts
    from ringfence.messages.commands import MissedFunding

    said = _ask(directory, "/halt/status")
    if not said["halted"]:
        sys.exit("nothing is halted; nothing was written")
    if funding.upper() not in MissedFunding.__members__:
        sys.exit(
            "--funding is pay or skip: what becomes of payments that fell due meanwhile; nothing was written"
        )
    target = _target(directory, scope, of)
    last = max(row["halt"] for row in said["halted"])
    try:
        statement = halts.draft(
            directory, target, halt=last, funding=MissedFunding[funding.upper()], cause=cause
        )
    except ValueError as error:
        sys.exit(f"{error}; nothing was written")
    output.write_text(statement.text)
    print(statement.text, end="")
    print(f"written to {output}: two people of different roles sign it with `ringfence halt sign {output}`")


@app.command
def sign(
    statement: Path, *, name: str, role: str, key: Path, passphrase_file: PASSPHRASE = None,
) -> None:  # fmt: skip
    """Sign a statement with your own key, after reading it. Runs anywhere; writes STATEMENT.NAME.sig."""
    import msgspec

    from ringfence.assurance.halting import read_private_key, readable
    from ringfence.assurance.halting import sign as sign_text
    from ringfence.messages.halts import Signature

    text = _read(statement)
    try:
        readable(text)
        private = read_private_key(key, passphrase=passphrase.existing(key, passphrase_file))
    except (OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was signed")
    signature = Signature(name, role, sign_text(private, text.encode()).hex())
    path = statement.with_name(f"{statement.name}.{name}.sig")
    path.write_bytes(msgspec.json.encode(signature))
    print(f"{text}signed as {name} ({role}): {path}")


@app.command
def resume(
    statement: Path, *, signature: Annotated[list[Path], Parameter(help="One file for each person.")],
    operator: str, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Lift a halt with a statement that two people have signed."""
    from ringfence.assurance.halting import parse_resume
    from ringfence.daemons import halts

    try:
        said = parse_resume(_read(statement))
        signatures = _signatures(signature)
    except (OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was sent")
    sequence = carry_out(directory, operator, halts.resume(directory, said, signatures))
    print(f"lifted at sequence {sequence}; `ringfence halt status` says when trading goes on")


@app.command
def new_key(output: Path, *, name: str, role: str, scheme: str = "ed25519") -> None:
    """Make a key of your own, on your own machine, and print the line that goes on the list of people."""
    import msgspec

    from ringfence.assurance.halting import Role, new_private_key, person_of, write_private_key
    from ringfence.messages.halts import Scheme

    if role not in set(Role) or scheme not in set(Scheme):
        sys.exit(f"--role is one of {', '.join(Role)}, --scheme one of {', '.join(Scheme)}; no key was made")
    words = passphrase.fresh()
    private = new_private_key(Scheme(scheme))
    try:
        write_private_key(output, private, passphrase=words)
    except OSError as error:
        sys.exit(f"{error}; no key was made")
    print(msgspec.json.encode(person_of(name, Role(role), private)).decode())


@app.command
def people(*, directory: Path = DIRECTORY) -> None:
    """Show who may lift a halt, and which judges must be content."""
    for one in _ask(directory, "/halt/people")["people"]:
        print(f"{one['role']:12} {one['name']:24} {one['scheme']:18} {one['public_key']}")


@app.command
def draft_people(new_list: Path, *, output: Path, directory: Path = DIRECTORY) -> None:
    """Write the statement that two people of the present list sign to put a new list in force."""
    from ringfence.assurance.halting import PeopleStatement, decode_people
    from ringfence.commitments import load_keys

    try:
        listed = decode_people(new_list.read_bytes())
    except (OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was written")
    venue = load_keys(directory).public_bytes.hex()
    output.write_text(
        PeopleStatement(venue, int(_ask(directory, "/halt/people")["number"]), listed.number).text
    )
    print(f"written to {output}: two people of the present list sign it with `ringfence halt sign {output}`")


@app.command
def put_people(
    new_list: Path, *, signature: Annotated[list[Path], Parameter(help="One file for each person.")],
    operator: str, directory: Path = DIRECTORY,
) -> None:  # fmt: skip
    """Put a new list of people in force, with the signatures of two of the present one."""
    from ringfence.assurance.halting import decode_people
    from ringfence.daemons import founding

    try:
        listed = decode_people(new_list.read_bytes())
        records = founding.put_in_force(listed, _signatures(signature))
    except (OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was sent")
    print(f"in force from sequence {carry_out(directory, operator, records)}")


# ---- what the commands share


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{path} cannot be read: {error}; nothing was done")


def _signatures(paths: list[Path]) -> "list[Signature]":
    """Raises OSError, ValueError."""
    import msgspec

    from ringfence.messages.halts import Signature

    return [msgspec.json.decode(path.read_bytes(), type=Signature) for path in paths]


def _target(directory: Path, scope: str, of: str | None) -> "Target":
    from ringfence.daemons.halts import Target
    from ringfence.messages.commands import ALL_ASSETS, HaltScope
    from ringfence.units.assets import BY_CURRENCY

    if scope.upper() not in HaltScope.__members__:
        sys.exit(f"--scope is one of {', '.join(one.name.lower() for one in HaltScope)}; nothing was sent")
    named = HaltScope[scope.upper()]
    if named == HaltScope.CONTRACT:
        if of is None:
            sys.exit("--of SYMBOL is needed: which contract; nothing was sent")
        return Target(named, number_of(directory, of))
    if named in (HaltScope.DEPOSITS, HaltScope.WITHDRAWALS):
        if of in (None, "all"):
            return Target(named, ALL_ASSETS)
        if of not in BY_CURRENCY:
            sys.exit(f"--of is all or one of {', '.join(BY_CURRENCY)}; nothing was sent")
        return Target(named, BY_CURRENCY[of].number)
    return Target(named)


def _ask(directory: Path, path: str) -> dict[str, Any]:
    from ringfence.daemons.probe import get_json
    from ringfence.daemons.supervisor import read_run_state

    state = read_run_state(directory)
    said = get_json(f"{state.url}/api/v1{path}") if state else None
    if said is None:
        sys.exit(f"no exchange answers in {directory}; nothing was done")
    return said  # type: ignore[no-any-return]

"""`ringfence upgrade`: which version of the rules is in force, who knows which, and putting the next one in force."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.asking import carry_out
from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.daemons.upgrading import Rules

app = App(
    name="upgrade", help="The version of the rules: `show` it, and `activate` the next when all know it."
)
Directory = Annotated[Path, Parameter(help="Of the exchange, or of one machine of several.")]
AsJson = Annotated[bool, Parameter("--json", help="One JSON object.")]
_ASK_SECONDS = 3.0


@app.command
def show(directory: Directory = DIRECTORY, *, as_json: AsJson = False) -> None:
    """Show which rules are in force, and the newest that this core, the other machines and the judges know."""
    found = _look(directory)
    if as_json:
        print(json.dumps(found))
        return
    print(f"rules {found['inForce']} are in force; the core here knows rules up to {found['newest']}")
    for name, known in {**found["machines"], **found["judges"]}.items():
        if known is None:
            print(f"{name} is not heard")
        else:
            print(
                f"{name} knows rules up to {known}" if known else f"{name} is of a release that does not say"
            )
    if found["inForce"] < found["newest"]:
        print(f"next: ringfence upgrade activate {found['inForce'] + 1} --operator NAME")


@app.command
def activate(
    rules: int,
    directory: Directory = DIRECTORY,
    *,
    operator: Annotated[
        str, Parameter(help="Who does this: somebody of `ringfence halt people`; it is journaled.")
    ],
    without: Annotated[
        tuple[str, ...],
        Parameter(
            help="A machine that is lost. If it comes back with an older build it stops at its first start."
        ),
    ] = (),
) -> None:
    """Put the next version of the rules in force. It is never taken back: no older build can go on from there."""
    from ringfence.daemons.upgrading import activate as command

    # An engine of an earlier release would refuse the command, and later ones would read it as taken.
    if 0 in (_read(directory).newest, _leaders(directory)):
        sys.exit(
            "the core that leads is of a release that does not know later rules: replace it, machine by machine, "
            "before anything is put in force; nothing was sent"
        )
    sequence = carry_out(directory, operator, command(rules, without=without))
    print(f"rules {rules} are in force; sequence {sequence}, operator {operator}")


def _look(directory: Path) -> dict[str, Any]:
    from ringfence.daemons.upgrading import judges_know

    rules, status = _read(directory), _status(directory)
    return {
        "inForce": rules.in_force, "newest": rules.newest, "machines": status.get("rulesKnown", {}),
        "judges": judges_know(directory),
    }  # fmt: skip


def _read(directory: Path) -> "Rules":
    from ringfence.daemons.upgrading import read_rules

    try:
        return read_rules(directory)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


def _status(directory: Path) -> dict[str, Any]:
    """Return what the core of one machine of several says, nothing if it is alone or does not answer."""
    import asyncio

    from ringfence.daemons.cluster import SOCKET
    from ringfence.lines import NoAnswerError, ask

    try:
        return asyncio.run(ask(directory / SOCKET, {"ask": "status"}, seconds=_ASK_SECONDS))
    except NoAnswerError:
        return {}


def _leaders(directory: Path) -> int | None:
    """Return the newest version that the machine which leads knows, as far as this one has heard."""
    status = _status(directory)
    if status.get("role") == "leader":
        return int(status["rulesNewest"])
    known: int | None = status.get("rulesKnown", {}).get(status.get("leader"))
    return known

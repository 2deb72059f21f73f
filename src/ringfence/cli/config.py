"""`ringfence config`: the one file of settings, what it takes, and which text of it is in force."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli.asking import carry_out
from ringfence.cli.up import DIRECTORY

if TYPE_CHECKING:
    from ringfence.configuration import Configuration

app = App(
    name="config",
    help="The settings of an exchange in `ringfence.toml`: `show`, `check`, `diff`, then `apply` or `restore`.",
)
Directory = Annotated[Path, Parameter(help="Of the exchange, or of one machine of several.")]
AsJson = Annotated[bool, Parameter("--json", help="One JSON object.")]
InForce = Annotated[bool, Parameter(help="What is in force instead of what stands in the file.")]


@app.command
def show(directory: Directory = DIRECTORY, *, in_force: InForce = False, as_json: AsJson = False) -> None:
    """Show every setting: its value, what it takes, what it is."""
    from ringfence.configuration import SETTINGS

    number = _in_force(directory)
    configuration = _held(directory, number) if in_force else _written(directory)
    rows = [
        {
            "name": one.name,
            "value": one.of(configuration.settings),
            "unit": one.unit,
            "takes": one.takes,
            "what": one.what,
        }
        for one in SETTINGS
    ]
    found = _numbers(configuration.number, number)
    if as_json:
        print(json.dumps({**found, "settings": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("setting", "value", "takes", "what it is"):
        table.add_column(head)
    for row in rows:
        takes = f"{row['takes']}, {row['unit']}" if row["unit"] else row["takes"]
        table.add_row(row["name"], json.dumps(row["value"]), takes, row["what"])
    Console().print(table)
    _say(found)


@app.command
def check(directory: Directory = DIRECTORY, *, as_json: AsJson = False) -> None:
    """Say whether every process could go by the file: exit status 78 and each value that is wrong if not."""
    found = _numbers(_written(directory).number, _in_force(directory))
    print(json.dumps(found)) if as_json else _say(found)


@app.command
def diff(directory: Directory = DIRECTORY, *, as_json: AsJson = False) -> None:
    """Show what is different in the file from what is in force; exit status 1 if anything is."""
    from ringfence.configuration import NAME, SETTINGS, differences

    number = _in_force(directory)
    if number == 0:
        sys.exit("nothing was ever in force: `ringfence config apply --operator NAME` puts the file in force")
    here, there = _written(directory), _held(directory, number)
    changed = {
        one.name: {"inForce": one.of(there.settings), "file": one.of(here.settings)}
        for one in SETTINGS
        if one.of(there.settings) != one.of(here.settings)
    }
    if as_json:
        print(json.dumps({**_numbers(here.number, number), "changed": changed}))
    elif here.number != number:
        print(differences(there.text, here.text, names=("in force", NAME)))
    if here.number != number:
        sys.exit(1)


@app.command
def apply(
    directory: Directory = DIRECTORY,
    *,
    operator: Annotated[
        str, Parameter(help="Who does this: somebody of `ringfence halt people`; it is journaled.")
    ],
) -> None:
    """Put the file in force. Every process goes by it from its next start on."""
    from ringfence.configuration import in_words
    from ringfence.daemons.configuring import put_in_force

    written = _written(directory)
    if written.number == _in_force(directory):
        print(f"{in_words(written.number)} is in force already; nothing was sent")
        return
    sequence = carry_out(directory, operator, put_in_force(written.text))
    print(f"{in_words(written.number)} is in force; sequence {sequence}, operator {operator}")
    print("each process goes by it from its next start on; on other machines: ringfence config restore")


@app.command
def restore(directory: Directory = DIRECTORY) -> None:
    """Write what is in force into the file: to take a change back, or to have what was applied on another machine."""
    from ringfence.configuration import NAME, in_words
    from ringfence.files import replace

    number = _in_force(directory)
    if number == 0:
        sys.exit(
            f"nothing was ever in force; {NAME} stays as it is (`ringfence config found` writes the first)"
        )
    text = _text(directory, number)
    replace(directory / NAME, text)
    print(f"{directory / NAME} is {in_words(number)}, as is in force")


@app.command
def found(directory: Directory = DIRECTORY) -> None:
    """Write the file of an exchange that has none, with the values in use until now. `up` does it by itself."""
    from ringfence.configuration import EXIT_CONFIG, NAME, SettingsError, in_words
    from ringfence.daemons import configuring

    if (directory / NAME).exists():
        sys.exit(f"{directory / NAME} is there; nothing was written")
    if number := _in_force(directory):
        sys.exit(f"{in_words(number)} is in force: `ringfence config restore` writes it; nothing was written")
    try:
        written = configuring.found(directory)
    except (SettingsError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    print(f"{directory / NAME} is {in_words(written.number)}; `ringfence config apply` puts it in force")


def _written(directory: Path) -> "Configuration":
    from ringfence.configuration import EXIT_CONFIG, SettingsError, read_configuration

    try:
        return read_configuration(directory)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_CONFIG)


def _in_force(directory: Path) -> int:
    from ringfence.configuration import SettingsError, number_in_force

    try:
        return number_in_force(directory)
    except SettingsError as error:
        sys.exit(str(error))


def _text(directory: Path, number: int) -> bytes:
    from ringfence.configuration import in_words
    from ringfence.daemons.configuring import text_of_journal
    from ringfence.exchange.journal import JournalError

    try:
        text = text_of_journal(directory, number)
    except (JournalError, OSError) as error:
        sys.exit(f"the journal cannot be read: {error}; nothing was written")
    if text is None:
        sys.exit(f"no copy of {in_words(number)} is here, nor is it in the journal; nothing was written")
    return text


def _held(directory: Path, number: int) -> "Configuration":
    from ringfence.configuration import Configuration, SettingsError, decode

    if number == 0:
        sys.exit("nothing was ever in force")
    text = _text(directory, number)
    try:
        return Configuration(decode(text), text)
    except SettingsError as error:
        sys.exit(f"what is in force was written for another release: {error}")


def _numbers(here: int, in_force: int) -> dict[str, Any]:
    from ringfence.configuration import in_words

    return {
        "number": in_words(here), "inForce": in_words(in_force) if in_force else None, "isInForce": here == in_force,
    }  # fmt: skip


def _say(found: dict[str, Any]) -> None:
    if found["isInForce"]:
        print(f"{found['number']}, in force")
    elif found["inForce"]:
        print(f"{found['number']}; in force is {found['inForce']}: ringfence config diff")
    else:
        print(f"{found['number']}; nothing was ever in force: ringfence config apply --operator NAME")

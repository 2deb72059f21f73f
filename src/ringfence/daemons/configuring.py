"""What the processes make of `ringfence.toml`: how it begins, and whether it is what is in force.

Who is told what, when the file is not what the journal says is in force (docs/operating/configuration.md):

- gateways refuse to start, and say which number is which;
- the core starts with the text in force, of which it keeps a copy: without a core nothing could be put in force;
- while nothing was ever in force, every file that can be read will do.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ringfence.configuration import (
    ANY,
    FIRST,
    NAME,
    NONE,
    Configuration,
    Settings,
    SettingsError,
    checked,
    configuration_in_force,
    decode,
    in_words,
    keep_text,
    number_of,
    read_configuration,
    text_in_force,
    with_values,
    write_first,
)
from ringfence.daemons.admin import command
from ringfence.exchange.disk import RealDisk
from ringfence.exchange.journal import JournalReader
from ringfence.messages.batch import CONFIGURATION_TEXT, Records, decode_slots, encode_data
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.records import COMMAND, RECORD_BYTES

log = logging.getLogger("ringfence.configuration")

OLD_FILES = ("gateway.json", "fix.json", "accounts/rates.json")
"""What said some of it before there was one file."""
MOVED = ".moved"
_OF_COMMAND_LINE = {"core_directory": "--core-directory", "history_url": "--history-url"}
_NO_LONGER = ("sessions_max", "connections_per_address")
"""Of `fix.json`: nobody has ever had a reason to choose them."""


# ---- the first file


def found(directory: Path, **given: Any) -> Configuration:
    """Return an exchange's configuration; who has no file gets one, with the values of its older files.

    `given` are values of a new file, by name, such as `gateway.port`. Raises SettingsError, OSError.
    """
    if (directory / NAME).exists():
        return read_configuration(directory)
    written = write_first(directory, with_values(_of_old_files(directory), given))
    for name in OLD_FILES:
        if (directory / name).exists():
            (directory / name).rename(directory / (name + MOVED))
    return written


def has_old_files(directory: Path) -> bool:
    return any((directory / name).exists() for name in OLD_FILES)


def _of_old_files(directory: Path) -> Settings:
    said = msgspec.to_builtins(FIRST)
    gateway, fix, rates = (_old(directory / name) for name in OLD_FILES)
    if gateway is not None:
        # Limits that it did not name were BitMEX's, not those of a new exchange.
        said["limits"] = msgspec.to_builtins(Settings().limits)
        _take_over(said, "gateway", gateway)
    if fix is not None:
        fix = {
            name: value for name, value in fix.items() if name not in (*_NO_LONGER, "pending_max", "limits")
        }
        _take_over(said, "fix", fix)
    if rates is not None:
        _take_over(said, "accounts", rates)
    return checked(said)


def _old(path: Path) -> dict[str, Any] | None:
    try:
        said = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, OSError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}; {NAME} was not written") from error
    for name, option in _OF_COMMAND_LINE.items():
        if said.pop(name, None) is not None:
            raise SettingsError(
                f"{path.name}: {name} is of one process and not of the exchange: start that process with {option}, "
                f"and take it out of {path.name}; {NAME} was not written"
            )
    return said


def _take_over(said: dict[str, Any], table: str, old: dict[str, Any]) -> None:
    said["limits"] |= old.pop("limits", {})
    absent = {"public_host": ANY, "certificate": NONE, "private_key": NONE}
    values = {name: absent.get(name) if value is None else value for name, value in old.items()}
    if isinstance(gathered := values.get("flush_milliseconds"), float):
        values["flush_milliseconds"] = max(1, round(gathered))
    said[table] |= values


# ---- what is in force


def put_in_force(text: bytes) -> Records:
    """Return the command that puts a text in force. Raises SettingsError if it is no configuration."""
    number = Configuration(decode(text), text).number
    said = np.frombuffer(encode_data([(CONFIGURATION_TEXT, text)]), COMMAND)
    return np.concatenate(
        [command(Command.CONFIGURE_VENUE, type=VenueParameter.CONFIGURATION, qty=number), said]
    )


def text_of_journal(directory: Path, number: int) -> bytes | None:
    """Return the text with a number: the copy of it, or what the whole journal says; None if it is in neither.

    Raises JournalError, OSError.
    """
    text = text_in_force(directory, number)
    if text is not None:
        return text
    for frame in JournalReader(RealDisk(directory / "journal", make=False)).frames():
        if Command.CONFIGURE_VENUE not in frame.commands[58::RECORD_BYTES]:
            continue
        rows = np.frombuffer(frame.commands, COMMAND)
        is_it = (rows["kind"] == Command.CONFIGURE_VENUE) & (rows["type"] == VenueParameter.CONFIGURATION)
        for position in np.flatnonzero(is_it & (rows["qty"] == number)).tolist():
            text = decode_slots(frame.commands, position).get(CONFIGURATION_TEXT, b"")
            if number_of(text) == number:
                return text
    return None


def settings_of_core(directory: Path, written: Configuration, *, in_force: int) -> Settings:
    """Return what the core goes by: what is in force, whatever stands in the file by now.

    A text that this release cannot read, or of which no copy is here, is no reason to stay away: then nobody could
    put another in force.
    """
    if written.number == in_force:
        with suppress(OSError):  # a copy, for `ringfence config restore`
            keep_text(directory, written.text)
        return written.settings
    if in_force == 0:
        log.warning(
            "no configuration was ever in force: `ringfence config apply --operator NAME` puts %s in force",
            NAME,
        )
        return written.settings
    held = configuration_in_force(directory, in_force)
    log.warning(
        "%s is %s, in force is %s: the core goes by %s; `ringfence config apply` or `ringfence config restore`",
        NAME, in_words(written.number), in_words(in_force),
        "what is in force" if held else "the file, for it has no copy of that which it can read",
    )  # fmt: skip
    return held.settings if held else written.settings

"""`ringfence.toml`: from text to settings, and the other way round. Whoever cannot read all of it starts nothing."""

import difflib
import hashlib
import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ringfence.configuration.settings import SETTINGS, Setting, Settings, tables
from ringfence.files import replace

NAME = "ringfence.toml"
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: the file is no good, or is not what is in force."""
BYTES_MAX = 32_768
"""It is journaled as a text beside one command."""
_COLUMNS = 100
_SHOWN_CHARACTERS = 60
_HEAD = """\
# The settings of this exchange: all of them, with every value written out. The same on every machine of a cluster.
# No secrets: the text is journaled, and its number stands under the signed state root.
# A change takes effect with `ringfence config apply --operator NAME` and the next start of a process.
# docs/operating/configuration.md says more.
"""


class SettingsError(ValueError):
    """The file cannot be used. Nothing was started; the text names each value that is wrong and what it takes."""


class Configuration(NamedTuple):
    """A text that was read, and what it says."""

    settings: Settings
    text: bytes

    @property
    def number(self) -> int:
        return number_of(self.text)


def number_of(text: bytes) -> int:
    """Return the first 63 bits of the text's BLAKE2b digest, as VenueParameter.CONFIGURATION carries it; never 0."""
    return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1) or 1


def in_words(number: int) -> str:
    """Return a number as it is shown to people, and as its file is named; 0 = none was ever in force."""
    return f"{number:016x}" if number else "none"


def read_configuration(directory: Path) -> Configuration:
    """Return what an exchange's file says. Raises SettingsError."""
    try:
        text = (directory / NAME).read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{directory / NAME} cannot be read: {error.strerror}. "
            f"`ringfence config restore` writes what is in force, `ringfence config found` the first one"
        ) from error
    return Configuration(decode(text), text)


def text_refusal(number: int, text: bytes) -> str | None:
    """Return why a command with this number and text puts no configuration in force, None if it may.

    What the text says is not looked at: a journal outlives the settings of its time.
    """
    if not text or len(text) > BYTES_MAX:
        return f"a configuration has 1 to {BYTES_MAX} bytes, not {len(text)}"
    if number_of(text) != number:
        return f"the text beside it is {in_words(number_of(text))}, the command is about {in_words(number)}"
    return None


def decode(text: bytes) -> Settings:
    """Return what a text says. Raises SettingsError, which names everything that is wrong with it."""
    if len(text) > BYTES_MAX:
        raise SettingsError(f"{NAME} has {len(text)} bytes; at most {BYTES_MAX} are journaled")
    try:
        said = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{NAME} is no TOML: {error}") from error
    return checked(said)


def checked(said: dict[str, Any]) -> Settings:
    """Return what tables of values say. Raises SettingsError, which names everything that is wrong with them."""
    wrong = [*_unknown(said), *_wrong(said)]
    if wrong:
        raise SettingsError("\n".join(f"{NAME}: {one}" for one in wrong))
    return msgspec.convert(said, Settings)


def _unknown(said: dict[str, Any]) -> list[str]:
    known = {(one.table, one.key) for one in SETTINGS}
    found = []
    for table, values in said.items():
        if table not in tables():
            found.append(f"{table} is nothing that there is; remove it")
        elif not isinstance(values, dict):
            found.append(f"{table} = {_shown(values)} is no table [{table}]")
        else:
            found += [
                f"{table}.{key} is nothing that there is; remove it"
                for key in values
                if (table, key) not in known
            ]
    return found


def _wrong(said: dict[str, Any]) -> list[str]:
    return [why for one in SETTINGS if (why := _why_not(one, said.get(one.table))) is not None]


def _why_not(one: Setting, values: Any) -> str | None:
    """Return why one value is missing or wrong, None if it is neither."""
    unit = f", {one.unit}" if one.unit else ""
    if not isinstance(values, dict) or one.key not in values:
        return f"{one.name} is missing; it takes {one.takes}{unit}"
    try:
        msgspec.convert(values[one.key], one.kind)
    except msgspec.ValidationError:
        return f"{one.name} = {_shown(values[one.key])} is not {one.takes}{unit}"
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


# ---- writing


def render(settings: Settings) -> bytes:
    """Return the file with these values, each with what it is and takes."""
    lines = [_HEAD.rstrip()]
    table = ""
    for one in SETTINGS:
        if one.table != table:
            table = one.table
            doc = (tables()[table].__doc__ or "").strip()
            lines += ["", f"# {doc}", f"[{table}]"]
        unit = f", {one.unit}" if one.unit else ""
        said = f"{one.what} It takes {one.takes}{unit}."
        lines += [f"# {line}" for line in textwrap.wrap(said, _COLUMNS)]
        lines.append(f"{one.key} = {toml(one.of(settings))}")
    return ("\n".join(lines) + "\n").encode()


def toml(value: Any) -> str:
    """Return a value as TOML writes it: for these types, as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def write_first(directory: Path, settings: Settings) -> Configuration:
    """Write the file of an exchange that has none, and return it. Raises OSError."""
    text = render(settings)
    replace(directory / NAME, text)
    return Configuration(settings, text)


def differences(before: bytes, after: bytes, *, names: tuple[str, str]) -> str:
    """Return what changes from one text to another, line by line; empty if nothing does."""
    old, new = before.decode().splitlines(), after.decode().splitlines()
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm="", n=1))

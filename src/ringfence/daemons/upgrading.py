"""Rules are put in force: by a command, of which everybody who has to apply it says beforehand that they can.

    rules.json      what the core of a directory last said: which version is in force, and which its build knows

A command that puts a version in force which somebody does not know would stop them: a machine of the cluster, a judge.
So the core that takes it asks around first. Machines say it with every word of theirs that the leader hears, judges
say it in their reports.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from ringfence.daemons.admin import command
from ringfence.daemons.venue import JUDGES
from ringfence.files import replace
from ringfence.messages.batch import WITHOUT, Records, encode_data
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.records import COMMAND
from ringfence.messages.rules import RULES_FIRST, RULES_NEWEST

FILE = "rules.json"
_REPORT_SECONDS = 5.0
"""A judge reports every second; one that has not for so long does not run here."""
Known = Mapping[str, int | None]
"""The newest version that each of several knows: 0 = it is of a release that does not say, None = it is not heard."""


class Rules(msgspec.Struct, frozen=True):
    """What a core says of itself."""

    in_force: int = RULES_FIRST
    newest: int = 0
    """The newest that its build knows, 0 = none has said yet."""


class _Report(msgspec.Struct, frozen=True):
    """What counts here of a judge's report."""

    timestamp: datetime
    rulesNewest: int = 0  # noqa: N815


def activate(rules: int, *, without: Sequence[str]) -> Records:
    """Return the command that puts a version in force; `without` names machines that are lost."""
    row = command(Command.CONFIGURE_VENUE, type=VenueParameter.RULES, qty=rules)
    if not without:
        return row
    said = np.frombuffer(encode_data([(WITHOUT, " ".join(without).encode())]), COMMAND)
    return np.concatenate([row, said])


# ---- what the core writes down


def note_rules(directory: Path, in_force: int) -> None:
    """Write down what is in force and what this build knows. Raises OSError."""
    replace(directory / FILE, msgspec.json.encode(Rules(in_force, RULES_NEWEST)))


def read_rules(directory: Path) -> Rules:
    """Return what the core wrote down last. Raises ValueError if it cannot be read, OSError."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=Rules)
    except FileNotFoundError:
        return Rules()
    except msgspec.MsgspecError as error:
        raise ValueError(f"{FILE} cannot be read: {error}. Delete it: the core makes it again.") from error


# ---- who knows what


def judges_know(directory: Path) -> dict[str, int]:
    """Return what the judges of a directory know, those that report now."""
    known = {}
    for name in JUDGES:
        try:
            raw = (directory / "judges" / f"{name}.report.json").read_bytes()
            report = msgspec.json.decode(raw, type=_Report)
        except (OSError, msgspec.MsgspecError):
            continue  # there is none here; it says nothing, and nobody depends on it
        if time.time() - report.timestamp.timestamp() < _REPORT_SECONDS:
            known[name] = report.rulesNewest
    return known


def refusal(
    rules: int, *, in_force: int, machines: Known, judges: Mapping[str, int], without: Sequence[str]
) -> str | None:
    """Return why a version may not come into force, None if it may."""
    if rules != in_force + 1:
        return f"rules {in_force} are in force: the next are {in_force + 1}, and none are taken back"
    if rules > RULES_NEWEST:
        return f"the build that leads knows rules up to {RULES_NEWEST}: install one that knows rules {rules}"
    for name in without:
        if name not in machines:
            return f"there is no other machine {name!r}"
        if machines[name] is not None:
            return f"{name} is not lost, it is heard: leave it out of --without, and install a build there if it is old"
    for name, known in (*machines.items(), *judges.items()):
        if known is None and name not in without:
            return f"{name} is not heard: start it, or name it with --without if it is lost"
        if known is not None and known < rules:
            says = f"knows rules up to {known}" if known else "is of a release that knows no later rules"
            return f"{name} {says}: install a build there that knows rules {rules}, and start it"
    return None

"""The texts that are signed. What is signed is what is read: lines of plain words, one fact each."""

from typing import NamedTuple

import msgspec

from ringfence.messages.commands import HaltScope, MissedFunding
from ringfence.messages.halts import Signature

_CAUSE_MAX = 1_000


class StatementError(ValueError):
    """A text is no statement, or not the only way to write it. Nothing was done."""


def _lines(title: str, *facts: tuple[str, object]) -> str:
    return "\n".join((title, *(f"{name}: {value}" for name, value in facts))) + "\n"


class ResumeStatement(NamedTuple):
    """What two people say when they lift a halt."""

    venue: str
    """Public key of the chain of roots, hexadecimal: which exchange this is about."""
    scope: HaltScope
    target: int
    """Number of the contract or asset, 0 if the scope has none."""
    halt: int
    """Sequence of the halt that is lifted."""
    sequence: int
    """Of the root that was looked at."""
    accounts_root: str
    """Hexadecimal: every account's wallets, positions and orders."""
    funding: MissedFunding
    cause: str
    """What was wrong and why it is right now, in one line."""

    @property
    def text(self) -> str:
        return _lines(
            "RINGFENCE RESUME", ("venue", self.venue), ("scope", self.scope.name), ("target", self.target),
            ("halt", self.halt), ("sequence", self.sequence), ("accounts root", self.accounts_root),
            ("missed funding", self.funding.name), ("cause", self.cause),
        )  # fmt: skip


def parse_resume(text: str) -> ResumeStatement:
    """Return what a text says. Raises StatementError unless it is exactly what `text` would give."""
    lines = text.split("\n")
    try:
        values = dict(line.split(": ", 1) for line in lines[1:-1])
        said = ResumeStatement(
            venue=values["venue"], scope=HaltScope[values["scope"]], target=int(values["target"]),
            halt=int(values["halt"]), sequence=int(values["sequence"]), accounts_root=values["accounts root"],
            funding=MissedFunding[values["missed funding"]], cause=values["cause"],
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise StatementError(f"this is no statement that lifts a halt: {error}") from error
    if said.text != text or not said.cause.strip() or len(said.cause) > _CAUSE_MAX:
        raise StatementError("the statement is not written as it must be, or names no cause")
    return said


class PeopleStatement(NamedTuple):
    """What two people of the old list say when they put a new one in force."""

    venue: str
    previous: int
    number: int
    """`People.number` of the new list."""

    @property
    def text(self) -> str:
        return _lines(
            "RINGFENCE PEOPLE",
            ("venue", self.venue),
            ("previous list", self.previous),
            ("new list", self.number),
        )


def readable(text: str) -> None:
    """Raises StatementError if a text is neither of the statements that people sign."""
    if text.startswith("RINGFENCE PEOPLE\n") and text.count("\n") == len(PeopleStatement._fields) + 1:
        return
    parse_resume(text)


class ChecksReport(NamedTuple):
    """What a judge says of one cut."""

    venue: str
    sequence: int
    accounts_root: str
    timestamp_ns: int
    green: int
    """Checks that found nothing."""
    red: int
    """Checks that found something, or that are overdue."""

    @property
    def text(self) -> str:
        return _lines(
            "RINGFENCE CHECKS", ("venue", self.venue), ("sequence", self.sequence),
            ("accounts root", self.accounts_root), ("timestamp", self.timestamp_ns), ("green", self.green),
            ("red", self.red),
        )  # fmt: skip


class SignedChecks(msgspec.Struct, frozen=True):
    """A report with its judge's signature, as it lies beside a RESUME."""

    venue: str
    sequence: int
    accounts_root: str
    timestamp_ns: int
    green: int
    red: int
    judge: Signature

    @property
    def report(self) -> ChecksReport:
        return ChecksReport(
            self.venue, self.sequence, self.accounts_root, self.timestamp_ns, self.green, self.red
        )

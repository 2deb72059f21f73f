"""What the core asks before it lets a RESUME, or a new list of people, into the journal.

The engine cannot check a signature, so this stands in front of it. Whoever replays the journal can ask the
same again: the list of people, the statement, the signatures and the judges' reports are all in it.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from ringfence.assurance.halting.people import People, Person, Role, decode_people, verifies
from ringfence.assurance.halting.statements import PeopleStatement, SignedChecks, StatementError, parse_resume
from ringfence.commitments import Root
from ringfence.messages.batch import CHECKS, PEOPLE_LIST, RESUME_STATEMENT, SIGNATURES
from ringfence.messages.commands import HaltScope
from ringfence.messages.halts import Signature, decode_signatures
from ringfence.units.time import NS_PER_MINUTE

STALE_NS = 15 * NS_PER_MINUTE
"""A root that is older was looked at too long ago."""
CHECKS_STALE_NS = NS_PER_MINUTE
PEOPLE_NEEDED = 2


class Facts(NamedTuple):
    """What the core knows at the moment when it is asked."""

    venue: str
    """Public key of its chain of roots, hexadecimal."""
    now_ns: int
    people: int
    """VenueParameter.PEOPLE, 0 = no list was ever in force."""
    halt_sequence: int
    roots: tuple[Root, ...]
    """The latest ones, oldest first."""


class Request(NamedTuple):
    """One RESUME command."""

    scope: int
    target: int
    halt: int
    funding: int
    texts: dict[int, bytes]

    @classmethod
    def of(cls, row: np.void, texts: dict[int, bytes]) -> "Request":
        """Return the request of a RESUME record and the texts beside it."""
        return cls(int(row["type"]), int(row["symbol"]), int(row["handle"]), int(row["qty"]), texts)


class Authority:
    """Holds the list of people that is in force; says why something may not be done, or that it may."""

    def __init__(self, people: People | None) -> None:
        self.people = people

    # ---- lifting a halt

    def resume_refusal(self, request: Request, facts: Facts) -> str | None:
        """Return why a halt may not be lifted, None if it may."""
        if self.people is None or self.people.number != facts.people:
            return "the list of people in people.json is not the one in force"
        try:
            statement = parse_resume(request.texts.get(RESUME_STATEMENT, b"").decode())
            signatures = decode_signatures(request.texts.get(SIGNATURES, b"[]"))
        except (ValueError, StatementError) as error:
            return str(error)
        said = (
            statement.venue,
            int(statement.scope),
            statement.target,
            statement.halt,
            int(statement.funding),
        )
        if said != (facts.venue, request.scope, request.target, request.halt, request.funding):
            return "the statement is about something else than the command"
        if statement.halt != facts.halt_sequence:
            return f"the statement is about halt {statement.halt}; the last one is {facts.halt_sequence}"
        root = next((one for one in facts.roots if one.sequence == statement.sequence), None)
        if root is None or root.accounts_root.hex() != statement.accounts_root:
            return "the state that was signed is none that this exchange committed to lately"
        return (
            self._stale(statement.scope, root, facts)
            or self._unsigned(statement.text.encode(), signatures)
            or self._unchecked(request.texts.get(CHECKS, b"[]"), root, facts)
        )

    def _stale(self, scope: HaltScope, root: Root, facts: Facts) -> str | None:
        if root.sequence <= facts.halt_sequence:
            return "the state that was signed is from before the halt"
        if facts.now_ns - root.timestamp_ns > STALE_NS:
            return "the state that was signed is older than 15 minutes: look at a fresh one"
        if scope == HaltScope.VENUE and root.accounts_root != facts.roots[-1].accounts_root:
            return "accounts have changed since the state that was signed: halt fully, then sign again"
        return None

    def _unsigned(self, text: bytes, signatures: list[Signature]) -> str | None:
        """Return why these are not two people of different roles."""
        assert self.people is not None
        signers: list[Person] = []
        for one in signatures:
            person = self.people.find(one.name, one.role)
            if person is None:
                return f"{one.name} is not on the list as {one.role}"
            if person.role == Role.JUDGE:
                return f"{one.name} is a judge: judges halt, they lift nothing"
            if not _verifies(person, text, one.signature):
                return f"the signature of {one.name} is not of this statement"
            signers.append(person)
        if len({person.name for person in signers}) < PEOPLE_NEEDED:
            return f"{PEOPLE_NEEDED} people must sign, there are {len({person.name for person in signers})}"
        if len({person.role for person in signers}) < PEOPLE_NEEDED:
            return f"the people must have different roles; all are {signers[0].role}"
        return None

    def _unchecked(self, raw: bytes, root: Root, facts: Facts) -> str | None:
        """Return why not every judge is content with the state that was signed, or a later one."""
        assert self.people is not None
        try:
            reports = msgspec.json.decode(raw, type=list[SignedChecks])
        except msgspec.MsgspecError:
            return "the judges' reports cannot be read"
        for judge in (one for one in self.people.people if one.role == Role.JUDGE):
            report = next((one for one in reports if one.judge.name == judge.name), None)
            if report is None:
                return f"there is no report of {judge.name}"
            if not _verifies(judge, report.report.text.encode(), report.judge.signature):
                return f"the report of {judge.name} has no valid signature"
            if report.venue != facts.venue or report.sequence < root.sequence:
                return f"the report of {judge.name} is about an earlier state, or another exchange"
            if facts.now_ns - report.timestamp_ns > CHECKS_STALE_NS:
                return f"the report of {judge.name} is older than a minute"
            if report.red or not report.green:
                return f"{judge.name} is not content: {report.red} checks are red"
        return None

    # ---- a new list

    def people_refusal(self, number: int, texts: dict[int, bytes], facts: Facts) -> str | None:
        """Return why a list of people may not come into force, None if it may."""
        try:
            new = decode_people(texts.get(PEOPLE_LIST, b""))
        except ValueError as error:
            return str(error)
        if new.number != number:
            return "the command is about another list than the one beside it"
        named = {person.role for person in new.people} - {Role.JUDGE}
        if len(named) < PEOPLE_NEEDED:
            return "nobody could lift a halt: the list needs people of two roles"
        if all(person.role != Role.JUDGE for person in new.people):
            return "nobody would have to be content: the list needs a judge"
        if facts.people == 0:
            return None
        if self.people is None or self.people.number != facts.people:
            return "the list of people in people.json is not the one in force"
        statement = PeopleStatement(facts.venue, facts.people, number)
        try:
            signatures = decode_signatures(texts.get(SIGNATURES, b"[]"))
        except ValueError as error:
            return str(error)
        return self._unsigned(statement.text.encode(), signatures)


def _verifies(person: Person, text: bytes, signature: str) -> bool:
    try:
        return verifies(person, text, bytes.fromhex(signature))
    except ValueError:
        return False

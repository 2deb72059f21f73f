"""What stands before the core's queue: a RESUME or a new list of people goes through only with its signatures, a
configuration only if it is one, rules only if everybody knows them; to both somebody on the list puts their name.

One that may not is journaled all the same, as a command that the engine refuses, with the reason beside it:
who tried what stays on record.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ringfence.assurance.halting import Authority, Facts, People, Role, decode_people
from ringfence.assurance.halting.authority import STALE_NS, Request
from ringfence.commitments import CommitmentKeys, Root, read_roots
from ringfence.commitments.root import ROOT_BYTES
from ringfence.configuration import SettingsError, decode, keep_text, note_in_force, text_refusal
from ringfence.daemons import upgrading
from ringfence.exchange.engine import Engine
from ringfence.files import replace
from ringfence.messages.batch import (
    CONFIGURATION_TEXT,
    OPERATOR,
    PEOPLE_LIST,
    REFUSED_BECAUSE,
    WITHOUT,
    Records,
    decode_data,
    encode_data,
)
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.records import COMMAND, RECORD_BYTES
from ringfence.units.time import NS_PER_SECOND

log = logging.getLogger("ringfence.core")

_RESUME, _CONFIGURE_VENUE = int(Command.RESUME), int(Command.CONFIGURE_VENUE)
_NO_SCOPE = 255
"""As a scope or a venue parameter: nothing that the engine knows."""
_REASON_BYTES_MAX = 400


def people_path(directory: Path, number: int) -> Path:
    """Return where the list of people with a number is kept."""
    return directory / "people" / f"{number:016x}.json"


def read_people(directory: Path, number: int) -> People | None:
    """Return the list in force, None if it is missing or is not what its number says."""
    try:
        people = decode_people(people_path(directory, number).read_bytes())
    except (OSError, ValueError):
        return None
    return people if people.number == number else None


class Gatekeeper:
    """Lets submissions through, changed where something in them may not be."""

    def __init__(
        self, directory: Path, engine: Engine, keys: CommitmentKeys, *, machines: Callable[[], upgrading.Known] = dict
    ) -> None:  # fmt: skip
        """`machines` says which rules the other machines of the cluster know."""
        self._directory, self._engine, self._machines = directory, engine, machines
        self._noted: tuple[int, int] | None = None
        self.venue = keys.public_bytes.hex()
        self._roots: deque[Root] = deque(
            _latest_roots(directory, keys), maxlen=STALE_NS // NS_PER_SECOND + 60
        )

    def note(self, root: Root) -> None:
        """Take note of a root that was written."""
        self._roots.append(root)

    def follow(self, commands: Records) -> None:
        """Keep the lists of people and the configurations that the leader let through: whoever leads next needs those
        in force.
        """
        for position in np.flatnonzero(commands["kind"] == _CONFIGURE_VENUE).tolist():
            row, texts = commands[position], decode_data(commands, position)
            if row["type"] == VenueParameter.PEOPLE and PEOPLE_LIST in texts:
                self._keep(int(row["qty"]), texts[PEOPLE_LIST])
            elif row["type"] == VenueParameter.CONFIGURATION and CONFIGURATION_TEXT in texts:
                keep_text(self._directory, texts[CONFIGURATION_TEXT])

    @property
    def configuration(self) -> int:
        """Number of the configuration in force, 0 = none ever was."""
        return int(self._engine.state.header["configuration"])

    def note_what_is_in_force(self) -> None:
        """Write down which configuration and which rules are in force, for who has no engine, whenever one is new."""
        found = self.configuration, self._engine.rules
        if found == self._noted:
            return
        try:
            note_in_force(self._directory, self.configuration)
            upgrading.note_rules(self._directory, self._engine.rules)
        except OSError as error:
            log.error("what is in force could not be written down: %s", error)
        self._noted = found

    def admit(self, slots: bytes) -> bytes:
        """Return what may be queued of a submission."""
        kinds = slots[58::RECORD_BYTES]
        if _RESUME not in kinds and _CONFIGURE_VENUE not in kinds:
            return slots
        records = np.frombuffer(slots, COMMAND)
        starts = np.flatnonzero(records["kind"] != Command.DATA).tolist()
        parts = [
            self._checked(records[begin:end])
            for begin, end in zip(starts, [*starts[1:], len(records)], strict=True)
        ]
        return b"".join(parts)

    def _checked(self, said: Records) -> bytes:
        """Return one command with its texts as it may be queued."""
        row, texts = said[0], decode_data(said, 0)
        refusal = None
        if row["kind"] == _RESUME:
            refusal = self._authority().resume_refusal(Request.of(row, texts), self._facts())
        elif row["kind"] == _CONFIGURE_VENUE and row["type"] == VenueParameter.PEOPLE:
            refusal = self._authority().people_refusal(int(row["qty"]), texts, self._facts())
            if refusal is None:
                self._keep(int(row["qty"]), texts[PEOPLE_LIST])
        elif row["kind"] == _CONFIGURE_VENUE and row["type"] == VenueParameter.CONFIGURATION:
            refusal = self._configuration_refusal(int(row["qty"]), texts)
        elif row["kind"] == _CONFIGURE_VENUE and row["type"] == VenueParameter.RULES:
            refusal = self._rules_refusal(int(row["qty"]), texts)
        if refusal is None:
            return said.tobytes()
        changed = said[:1].copy()
        changed["type"] = _NO_SCOPE
        texts[REFUSED_BECAUSE] = refusal.encode()[:_REASON_BYTES_MAX]
        return changed.tobytes() + encode_data(list(texts.items()))

    def _configuration_refusal(self, number: int, texts: dict[int, bytes]) -> str | None:
        """Return why a configuration may not come into force, None if it may."""
        text = texts.get(CONFIGURATION_TEXT, b"")
        if (why := text_refusal(number, text)) is not None:
            return why
        try:
            decode(text)
        except SettingsError as error:
            return str(error)
        if (why := self._name_refusal(texts)) is not None:
            return why
        try:
            keep_text(self._directory, text)
        except OSError as error:
            return f"no copy of it could be kept: {error}"
        return None

    def _rules_refusal(self, rules: int, texts: dict[int, bytes]) -> str | None:
        """Return why a version of the rules may not come into force, None if it may."""
        if (why := self._name_refusal(texts)) is not None:
            return why
        return upgrading.refusal(
            rules, in_force=self._engine.rules, machines=self._machines(),
            judges=upgrading.judges_know(self._directory),
            without=texts.get(WITHOUT, b"").decode(errors="replace").split(),
        )  # fmt: skip

    def _name_refusal(self, texts: dict[int, bytes]) -> str | None:
        """Return why the name beside a command is not enough, None if it is."""
        operator = texts.get(OPERATOR, b"").decode(errors="replace")
        if not operator:
            return "nobody puts their name to it"
        if self._number:
            people = read_people(self._directory, self._number)
            if people is None:
                return "the list of people in people/ is not the one in force"
            if not any(one.name == operator and one.role != Role.JUDGE for one in people.people):
                return f"{operator} has no role: it takes somebody of `ringfence halt people` who is no judge"
        return None

    def _keep(self, number: int, people: bytes) -> None:
        path = people_path(self._directory, number)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace(path, people)

    def _authority(self) -> Authority:
        return Authority(read_people(self._directory, self._number))

    @property
    def _number(self) -> int:
        return int(self._engine.state.header["people"])

    def _facts(self) -> Facts:
        header = self._engine.state.header
        return Facts(
            venue=self.venue, now_ns=time.time_ns(), people=self._number,
            halt_sequence=int(header["halt_sequence"]), roots=tuple(self._roots),
        )  # fmt: skip


def _latest_roots(directory: Path, keys: CommitmentKeys) -> list[Root]:
    """Return the roots of the last quarter of an hour."""
    path = directory / "roots" / "chain.roots"
    count = path.stat().st_size // ROOT_BYTES if path.exists() else 0
    first = max(0, count - STALE_NS // NS_PER_SECOND)
    return list(read_roots(path, keys.signing.public_key(), after=first))

"""From a public journal to the same roots: with the engine, or with the shadow, which shares no rule with it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.assurance.halting import Authority, Facts, People, decode_people
from ringfence.assurance.halting.authority import Request
from ringfence.assurance.replay.export import FRAME_HEAD, About
from ringfence.assurance.replay.file import FileError, Record, Tag, read
from ringfence.commitments import Root, leaves_of, nonce_keys, root_of, venue_digest
from ringfence.commitments.keys import EPOCH_NS
from ringfence.commitments.root import FIRST, EventsHash, decode_root
from ringfence.configuration import text_refusal
from ringfence.exchange.engine import Engine
from ringfence.exchange.sequencer.statements import account_statements, venue_of
from ringfence.messages.batch import CONFIGURATION_TEXT, PEOPLE_LIST, REFUSED_BECAUSE, decode_slots
from ringfence.messages.commands import Command, VenueParameter
from ringfence.messages.events import Event
from ringfence.messages.records import COMMAND, RECORD_BYTES


class VerifyError(ValueError):
    """What the exchange committed to is not what the rules give. The text says where, and both values."""


class Judge(Protocol):
    """Somebody who knows the rules."""

    def step(self, commands: bytes, *, timestamp_ns: int) -> bytes:
        """Return the events of one frame."""
        ...

    def statements(self) -> list[bytes]:
        """Return the statements of all accounts, from 1 on."""
        ...

    def venue(self) -> bytes: ...


class EngineJudge:
    """The engine, begun from nothing."""

    def __init__(self) -> None:
        self._engine = Engine()

    def step(self, commands: bytes, *, timestamp_ns: int) -> bytes:
        return self._engine.step(np.frombuffer(commands, COMMAND), timestamp_ns=timestamp_ns).tobytes()

    def statements(self) -> list[bytes]:
        return list(account_statements(self._engine.state))

    def venue(self) -> bytes:
        return venue_of(self._engine.state)


class Configured(NamedTuple):
    """From which command on a configuration was in force."""

    sequence: int
    timestamp_ns: int
    number: int
    text: str


class Outcome(NamedTuple):
    """What was replayed, if nothing differed."""

    venue: str
    frames: int
    commands: int
    events: dict[str, int]
    """By kind."""
    roots: int
    every_root: bool
    """Whether the accounts' root was computed at each of them, or at the last of many only."""
    resumed: int
    """Halts that were lifted, each with its signatures checked."""
    last: Root | None
    configurations: tuple[Configured, ...] = ()
    """Oldest first; while there is none, nobody had said."""


class Verification:
    """One pass over a file."""

    def __init__(self, judge: Judge, *, every: int = 1) -> None:
        self._judge, self._every = judge, every
        self._about: About | None = None
        self._key: Ed25519PublicKey | None = None
        self._events = EventsHash(int(Event.AMENDED))
        self._kinds: Counter[int] = Counter()
        self._sequence = self._event_count = self._commands = self._frames = self._resumed = 0
        self._roots: list[Root] = []
        self._people: People | None = None
        self._configurations: list[Configured] = []
        self._halt_sequence = 0
        self._is_signed = False

    def take(self, record: Record) -> None:
        """Raises VerifyError, FileError."""
        if self._is_signed:
            raise FileError(f"record {record.number} comes after the end")
        if (record.tag == Tag.ABOUT) != (record.number == 0):
            raise FileError(f"record {record.number} is where it does not belong")
        if record.tag == Tag.ABOUT:
            self._about = msgspec.json.decode(record.body, type=About)
            self._key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self._about.venue))
        elif record.tag == Tag.FRAME:
            self._frame(record)
        elif record.tag == Tag.ROOT:
            self._root(record)
        else:
            self._end(record)

    def _frame(self, record: Record) -> None:
        first, timestamp_ns = FRAME_HEAD.unpack_from(record.body)
        commands = record.body[FRAME_HEAD.size :]
        if first != self._sequence or not commands or len(commands) % RECORD_BYTES:
            raise FileError(f"record {record.number} does not continue at sequence {self._sequence}")
        self._check_admitted(commands, timestamp_ns)
        events = self._judge.step(commands, timestamp_ns=timestamp_ns)
        self._events.update(events)
        self._kinds.update(events[62::RECORD_BYTES])
        self._note_halts(events)
        self._frames += 1
        self._sequence += len(commands) // RECORD_BYTES
        self._event_count += len(events) // RECORD_BYTES
        self._commands += len(commands) // RECORD_BYTES - commands[58::RECORD_BYTES].count(Command.DATA)

    def _note_halts(self, events: bytes) -> None:
        for k, kind in enumerate(events[62::RECORD_BYTES]):
            if kind == Event.HALT_SET:
                self._halt_sequence = int.from_bytes(events[k * RECORD_BYTES + 8 :][:8], "little")

    def _root(self, record: Record) -> None:
        root = decode_root(record.body)
        assert self._key is not None
        root.check_signature(self._key)
        at = f"at sequence {root.sequence}"
        previous = self._roots[-1].digest if self._roots else FIRST
        if root.previous != previous:
            raise VerifyError(f"the root {at} does not follow the one before it")
        facts = [
            ("sequence", root.sequence, self._sequence), ("events", root.event_count, self._event_count),
            ("the hash of events since the root before", root.events.hex(), self._events.take().hex()),
            ("the venue's statement", root.venue.hex(), venue_digest(self._judge.venue()).hex()),
        ]  # fmt: skip
        assert self._about is not None
        is_last = root.sequence == self._about.until
        if is_last or len(self._roots) % self._every == 0:
            statements = self._judge.statements()
            facts.append(("accounts", root.accounts, len(statements)))
            facts.append(
                ("the accounts' root", root.accounts_root.hex(), self._accounts_root(root, statements))
            )
        for what, said, found in facts:
            if said != found:
                raise VerifyError(f"{at}: {what}: the exchange committed to {said}, the rules give {found}")
        self._roots.append(root)

    def _accounts_root(self, root: Root, statements: list[bytes]) -> str:
        assert self._about is not None
        epoch = self._about.epoch_keys.get(str(root.timestamp_ns // EPOCH_NS))
        if epoch is None:
            raise FileError(f"the key of the nonces at sequence {root.sequence} is missing")
        nonces = nonce_keys(bytes.fromhex(epoch), len(statements))
        return root_of(leaves_of(nonces, statements)).hex()

    def _end(self, record: Record) -> None:
        assert self._key is not None
        try:
            self._key.verify(record.body, record.chain)
        except InvalidSignature as error:
            raise FileError("the file's last record is not signed by the exchange") from error
        self._is_signed = True

    # ---- what the core let through

    def _check_admitted(self, commands: bytes, timestamp_ns: int) -> None:
        """Check again what the core checked: every RESUME, every list of people and every configuration."""
        kinds = commands[58::RECORD_BYTES]
        if Command.RESUME not in kinds and Command.CONFIGURE_VENUE not in kinds:
            return
        rows = np.frombuffer(commands, COMMAND)
        for position in np.flatnonzero(
            np.isin(rows["kind"], (Command.RESUME, Command.CONFIGURE_VENUE))
        ).tolist():
            row, texts = rows[position], decode_slots(commands, position)
            if REFUSED_BECAUSE in texts:
                continue
            authority, facts = Authority(self._people), self._facts(timestamp_ns)
            if row["kind"] == Command.RESUME:
                why = authority.resume_refusal(Request.of(row, texts), facts)
                self._resumed += 1
            elif row["type"] == VenueParameter.PEOPLE:
                why = authority.people_refusal(int(row["qty"]), texts, facts)
                self._people = decode_people(texts[PEOPLE_LIST]) if why is None else self._people
            elif row["type"] == VenueParameter.CONFIGURATION:
                number, text = int(row["qty"]), texts.get(CONFIGURATION_TEXT, b"")
                why = text_refusal(number, text)
                said = text.decode(errors="replace")
                self._configurations.append(Configured(self._sequence + position, timestamp_ns, number, said))
            else:
                continue
            if why is not None:
                raise VerifyError(
                    f"sequence {self._sequence + position}: the core let through what may not be: {why}"
                )

    def _facts(self, now_ns: int) -> Facts:
        assert self._about is not None
        number = self._people.number if self._people else 0
        return Facts(self._about.venue, now_ns, number, self._halt_sequence, tuple(self._roots[-1000:]))

    def outcome(self) -> Outcome:
        """Raises FileError if the file ended too soon."""
        if self._about is None or not self._is_signed or self._sequence != self._about.until:
            raise FileError("the file is cut off: it ends before the exchange's signature")
        return Outcome(
            venue=self._about.venue, frames=self._frames, commands=self._commands,
            events={Event(kind).name: count for kind, count in sorted(self._kinds.items())},
            roots=len(self._roots), every_root=self._every == 1, resumed=self._resumed,
            last=self._roots[-1] if self._roots else None, configurations=tuple(self._configurations),
        )  # fmt: skip


def verify(
    path: Path,
    judge: Judge | None = None,
    *,
    every: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Replay a file and return what it holds, if every root is what the rules give.

    `every`: the accounts' root is computed at each n-th root and at the last. Raises VerifyError, FileError, OSError;
    UnknownRulesError if the file goes on under rules that this build does not know; IndexError or AssertionError from
    an engine that was given an impossible command.
    """
    size = path.stat().st_size
    verification = Verification(judge or EngineJudge(), every=every)
    with open(path, "rb") as file:
        for record in read(file):
            try:
                verification.take(record)
            except (msgspec.MsgspecError, ValueError) as error:
                if isinstance(error, VerifyError | FileError):
                    raise
                raise FileError(f"record {record.number}, at byte {record.offset}: {error}") from error
            if on_progress:
                on_progress(record.offset, size)
    return verification.outcome()

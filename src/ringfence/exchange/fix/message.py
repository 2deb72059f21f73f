"""One message: read from the bytes that came, checked against the dictionary, written."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from simplefix import FixMessage, FixParser
from simplefix.errors import ParsingError

from ringfence.exchange.fix.dictionary import (
    HEADER,
    HEADER_REQUIRED,
    INCOMING,
    OTHER_TYPES,
    Fault,
    MsgType,
    Tag,
    fault_of_value,
)

BEGIN_STRING = "FIX.4.4"
_WHOLE = re.compile(rb"(?:[1-9][0-9]{0,5}=[^\x01]*\x01)+")


class Unreadable(Exception):
    """The bytes have the right length and checksum and are no message all the same."""


class Problem(NamedTuple):
    """What a message is refused for."""

    fault: Fault
    tag: int
    text: str


class Message:
    """What came: its fields by tag. `problem` is the first thing that is wrong with its form."""

    __slots__ = ("fields", "problem", "seq", "type")

    def __init__(self, raw: bytes) -> None:
        """Raises Unreadable if it has no type or no number: there is nothing to answer then."""
        if _WHOLE.fullmatch(raw) is None:
            raise Unreadable("it is not made of fields")
        parser = FixParser(allow_empty_values=True)
        parser.append_buffer(raw)
        try:
            read = parser.get_message()
        except (ParsingError, ValueError, OverflowError) as error:
            raise Unreadable(str(error)) from error
        if read is None or parser.get_buffer():
            raise Unreadable("it does not end where its length says")
        self.fields: dict[int, str] = {}
        self.problem: Problem | None = None
        for tag, value in read.pairs:
            number = int(tag)
            text = value.decode("utf-8", "replace")
            if number in self.fields:
                self._note(Fault.REPEATED_TAG, number, "the field is there twice")
            elif not text:
                self._note(Fault.NO_VALUE, number, "the field has no value")
            elif "\ufffd" in text or not text.isprintable():
                self._note(Fault.FORMAT, number, "the field is no printable text")
            self.fields.setdefault(number, text)
        self.type = self.fields.get(Tag.MSG_TYPE, "")
        number_text = self.fields.get(Tag.MSG_SEQ_NUM, "")
        if not self.type or not number_text.isascii() or not number_text.isdigit() or len(number_text) > 12:
            raise Unreadable("it has no MsgType or no MsgSeqNum")
        self.seq = int(number_text)
        if self.problem is None:
            self._check()

    def _note(self, fault: Fault, tag: int, text: str) -> None:
        if self.problem is None:
            self.problem = Problem(fault, tag, text)

    def _check(self) -> None:
        for needed in HEADER_REQUIRED:
            if needed not in self.fields:
                self._note(Fault.REQUIRED_TAG, needed, "a required field is missing")
        spec = INCOMING.get(self.type)
        if spec is None:
            if self.type not in OTHER_TYPES:
                self._note(Fault.MSG_TYPE, Tag.MSG_TYPE, "FIX 4.4 has no such MsgType")
            return
        for tag in sorted(spec.required):
            if tag not in self.fields:
                self._note(Fault.REQUIRED_TAG, tag, "a required field is missing")
        for tag, value in self.fields.items():
            if tag not in HEADER and tag not in spec.required and tag not in spec.optional:
                self._note(Fault.TAG_NOT_DEFINED, tag, "this message has no such field here")
            else:
                fault = fault_of_value(tag, value)
                if fault is not None:
                    self._note(fault, tag, "the value is not one that is understood")

    def get(self, tag: int) -> str:
        """Return a field's text, empty if it is not there."""
        return self.fields.get(tag, "")

    def has_flag(self, tag: int) -> bool:
        return self.fields.get(tag) == "Y"

    @property
    def is_possible_duplicate(self) -> bool:
        return self.has_flag(Tag.POSS_DUP)


def time_text(timestamp_ns: int) -> str:
    """Return a UTC timestamp with milliseconds as FIX writes it."""
    seconds, rest = divmod(timestamp_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d-%H:%M:%S}.{rest // 1_000_000:03d}"


def parse_time(text: str) -> int:
    """Return the nanoseconds of a UTC timestamp. Raises ValueError."""
    whole, _, part = text.partition(".")
    stamp = datetime.strptime(whole, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    return int(stamp.timestamp()) * 1_000_000_000 + (int(part.ljust(9, "0")[:9]) if part else 0)


def encode(
    kind: str, fields: Iterable[tuple[int, str]], *, sender: str, target: str, seq: int, sent_ns: int,
    original: str | None = None,
) -> bytes:  # fmt: skip
    """Return the bytes of a message. `original` is the SendingTime of what may have been sent before."""
    message = FixMessage()
    message.append_pair(Tag.BEGIN_STRING, BEGIN_STRING, header=True)
    message.append_pair(Tag.MSG_TYPE, kind, header=True)
    message.append_pair(Tag.SENDER, sender, header=True)
    message.append_pair(Tag.TARGET, target, header=True)
    message.append_pair(Tag.MSG_SEQ_NUM, seq, header=True)
    if original is not None:
        message.append_pair(Tag.POSS_DUP, "Y", header=True)
    message.append_pair(Tag.SENDING_TIME, time_text(sent_ns), header=True)
    if original is not None:
        message.append_pair(Tag.ORIG_SENDING_TIME, original, header=True)
    for tag, value in fields:
        message.append_pair(tag, clean(value))
    raw: bytes = message.encode()
    return raw


def clean(text: str) -> bytes:
    """Return text as a field can carry it: its lines side by side."""
    joined = " | ".join(text.splitlines())
    return "".join(c if c.isprintable() else "?" for c in joined).encode("utf-8", "replace") or b"-"


def fields_of(raw: bytes) -> tuple[str, list[tuple[int, str]], str]:
    """Return the type, the body and the SendingTime of a message that `encode` made."""
    parser = FixParser()
    parser.append_buffer(raw)
    read = parser.get_message()
    assert read is not None
    pairs = [(int(tag), value.decode()) for tag, value in read.pairs]
    named = dict(pairs)
    return named[Tag.MSG_TYPE], [pair for pair in pairs if pair[0] not in HEADER], named[Tag.SENDING_TIME]


def is_session_message(kind: str) -> bool:
    """Return whether a message is the session's own business: it is never sent again."""
    return kind in (
        MsgType.HEARTBEAT, MsgType.TEST_REQUEST, MsgType.RESEND_REQUEST, MsgType.SEQUENCE_RESET, MsgType.LOGOUT,
        MsgType.LOGON,
    )  # fmt: skip

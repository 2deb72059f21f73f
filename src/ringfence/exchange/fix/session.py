"""One session: sequence numbers, resends, heartbeats, logout. It has no socket and no clock of its own.

The order of the checks is the standard's (FIX 4.4, volume 2, and its session test cases). What is sent is
numbered and in the store before it is on the wire; what came is in the store before it has an effect.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ringfence.exchange.fix.dictionary import INCOMING, Fault, MsgType, Tag
from ringfence.exchange.fix.message import (
    BEGIN_STRING,
    Message,
    encode,
    fields_of,
    is_session_message,
    parse_time,
    time_text,
)
from ringfence.exchange.fix.store import Asked, Out, Store

log = logging.getLogger(__name__)

Pairs = list[tuple[int, str]]
SKEW_NS = 30 * 1_000_000_000
"""How far a message's SendingTime may be from our clock."""
_GRACE = 1.2
"""So many intervals without a message, and the other side is asked whether it is there."""
_ASK_AGAIN_SECONDS = 5.0
UNSENT_BYTES_MAX = 16 << 20
_INFINITY = 999_999
"""Older versions' EndSeqNo for everything; FIX 4.4 says 0."""


class Line(Protocol):
    """The connection that a session has at the moment."""

    @property
    def is_full(self) -> bool: ...

    def write(self, raw: bytes) -> None: ...

    def end(self, why: str) -> None:
        """Close when what was written is sent."""
        ...


class Application(Protocol):
    """What is done with the messages that are not the session's own."""

    def take(self, message: Message) -> Asked | None:
        """Carry out a message that came in order; return what was sent to the core for it."""
        ...


class Session:
    """`take` what came, `tick` now and then, `flush` after either."""

    def __init__(self, store: Store, application: Application, clock_ns: Callable[[], int]) -> None:
        self.store, self._application, self._clock_ns = store, application, clock_ns
        self.line: Line | None = None
        self._interval = 30.0
        self._heard = self._said = 0.0
        self._test_sent = False
        self._asked_through = 0
        self._asked_at = 0.0
        self._ranges: deque[tuple[int, int]] = deque()
        self._unsent: deque[tuple[int, bytes]] = deque()
        self._unsent_bytes = 0
        self._is_over = False

    @property
    def name(self) -> str:
        return f"{self.store.account}/{self.store.sender}/{self.store.target}"

    def _now(self) -> float:
        return self._clock_ns() / 1e9

    # ---- logon and the end

    def log_on(self, message: Message, line: Line) -> None:
        """Take an authenticated Logon. The caller has seen that nobody else has this session."""
        assert self.line is None
        resets = message.has_flag(Tag.RESET_SEQ_NUM)
        self.line, self._is_over, self._test_sent = line, False, False
        self._asked_through = 0
        self._ranges.clear()
        self._unsent.clear()
        self._unsent_bytes = 0
        self._interval = float(int(message.get(Tag.HEART_BT_INT)))
        self._heard = self._said = self._now()
        sent_ns, expected = parse_time(message.get(Tag.SENDING_TIME)), self.store.next_in
        is_low = message.seq < expected
        # One that fails changes nothing but that it cannot be used again.
        cancels = self.store.cancels if is_low else message.has_flag(Tag.CANCEL_ON_DISCONNECT)
        self.store.logged_on(sent_ns, cancels=cancels)
        if is_low:
            self.log_out(f"MsgSeqNum too low, expecting {expected} but received {message.seq}")
            return
        fields = [(Tag.ENCRYPT_METHOD, "0"), (Tag.HEART_BT_INT, message.get(Tag.HEART_BT_INT))]
        if resets:
            fields.append((Tag.RESET_SEQ_NUM, "Y"))
        if self.store.cancels:
            fields.append((Tag.CANCEL_ON_DISCONNECT, "Y"))
        self.send(MsgType.LOGON, [(int(tag), value) for tag, value in fields])
        if message.seq > expected:
            self._ask_for_missing(message.seq)
        else:
            self.store.heard(message.seq + 1)

    def log_out(self, text: str) -> None:
        """Say goodbye and hang up."""
        if self.line is not None and not self._is_over:
            self.send(MsgType.LOGOUT, [(Tag.TEXT, text)])
            self._is_over = True
            self._ranges.clear()
            self.flush()
            self.line.end(text)

    def lost(self) -> None:
        """The connection is gone."""
        self.line = None

    # ---- out

    def send(self, kind: str, fields: Pairs, meta: Out | None = None) -> int:
        """Number a message, note it, and send it if somebody is there; return its number."""
        seq, now = self.store.next_out, self._clock_ns()
        raw = encode(
            kind, fields, sender=self.store.target, target=self.store.sender, seq=seq, sent_ns=now
        )  # fmt: skip
        meta = Out(seq) if meta is None else meta
        meta.seq = seq
        self.store.sent(meta, b"" if is_session_message(kind) else raw)
        if self.line is not None and not self._is_over:
            self._unsent.append((seq, raw))
            self._unsent_bytes += len(raw)
        return seq

    def flush(self) -> None:
        """Make durable what was noted, then send. Raises OSError."""
        self.store.flush()
        while self.line is not None and not self.line.is_full:
            if self._ranges:
                self._send_again()
            elif self._unsent:
                _, raw = self._unsent.popleft()
                self._unsent_bytes -= len(raw)
                self._said = self._now()
                self.line.write(raw)
            else:
                return
        if self.line is not None and self._unsent_bytes > UNSENT_BYTES_MAX:
            self._unsent.clear()
            self._unsent_bytes = 0
            self.line.end("the client does not read; what it missed can be asked for again")

    def _send_again(self) -> None:
        """Send the next message of what was asked for, or one gap fill for those that are not sent twice."""
        assert self.line is not None
        begin, end = self._ranges[0]
        at = begin
        while at <= end and (raw := self.store.message(at)) is None:
            at += 1
        now = self._clock_ns()
        names = {"sender": self.store.target, "target": self.store.sender}
        if at > begin:
            fields = [(int(Tag.GAP_FILL), "Y"), (int(Tag.NEW_SEQ_NO), str(at))]
            original = time_text(now)
            self.line.write(
                encode(MsgType.SEQUENCE_RESET, fields, **names, seq=begin, sent_ns=now, original=original)
            )
        else:
            assert raw is not None
            kind, fields, sent = fields_of(raw)
            self.line.write(encode(kind, fields, **names, seq=at, sent_ns=now, original=sent))
            at += 1
        self._said = self._now()
        if at > end:
            self._ranges.popleft()
        else:
            self._ranges[0] = (at, end)

    # ---- time

    def tick(self) -> None:
        """Send a heartbeat when nothing was said for an interval; ask whether the other side is there."""
        if self.line is None or self._is_over:
            return
        now = self._now()
        silent = now - self._heard
        if self._test_sent and silent > 2 * _GRACE * self._interval:
            self.log_out("no message came, nor an answer to a TestRequest")
            return
        if not self._test_sent and silent > _GRACE * self._interval:
            self._test_sent = True
            self.send(MsgType.TEST_REQUEST, [(Tag.TEST_REQ_ID, str(self._clock_ns()))])
        elif now - self._said >= self._interval:
            self.send(MsgType.HEARTBEAT, [])

    # ---- in

    def take(self, message: Message) -> None:
        """Take one message after the logon."""
        if self._is_over:
            return
        self._heard, self._test_sent = self._now(), False
        if self._is_foreign(message):
            return
        if message.type == MsgType.SEQUENCE_RESET and not message.has_flag(Tag.GAP_FILL):
            self._reset_next(message)
            return
        expected = self.store.next_in
        if message.seq < expected:
            self._take_old(message, expected)
        elif message.seq > expected:
            self._take_early(message)
        else:
            self._take_next(message)

    def _is_foreign(self, message: Message) -> bool:
        """Check what makes everything else meaningless: version, names, clocks."""
        if message.get(Tag.BEGIN_STRING) != BEGIN_STRING:
            self.log_out("Incorrect BeginString: FIX.4.4 is spoken here")
            return True
        names = (message.get(Tag.SENDER), message.get(Tag.TARGET))
        if names != (self.store.sender, self.store.target):
            self._refuse_and_end(message, Fault.COMP_ID, Tag.SENDER, "CompID problem")
            return True
        try:
            sent = parse_time(message.get(Tag.SENDING_TIME))
        except ValueError:
            sent = 0
        if abs(sent - self._clock_ns()) > SKEW_NS:
            self._refuse_and_end(
                message, Fault.SENDING_TIME, Tag.SENDING_TIME, "SendingTime accuracy problem"
            )
            return True
        return False

    def _refuse_and_end(self, message: Message, fault: Fault, tag: int, text: str) -> None:
        self._reject(message, fault, tag, text)
        if message.seq == self.store.next_in:
            self.store.heard(message.seq + 1)
        self.log_out(text)

    def _take_old(self, message: Message, expected: int) -> None:
        if not message.is_possible_duplicate:
            self.log_out(f"MsgSeqNum too low, expecting {expected} but received {message.seq}")
            return
        # It was taken before, or will never be: nothing is done twice.
        self._check_original(message)

    def _check_original(self, message: Message) -> bool:
        """Return whether a possible duplicate says when it was sent first; refuse it if not."""
        original = message.get(Tag.ORIG_SENDING_TIME)
        if not original:
            self._reject(message, Fault.REQUIRED_TAG, Tag.ORIG_SENDING_TIME, "OrigSendingTime is missing")
            return False
        try:
            if parse_time(original) <= parse_time(message.get(Tag.SENDING_TIME)):
                return True
        except ValueError:
            pass
        self._refuse_and_end(
            message, Fault.SENDING_TIME, Tag.ORIG_SENDING_TIME, "OrigSendingTime is after SendingTime"
        )
        return False

    def _take_early(self, message: Message) -> None:
        """Something before it is missing: ask for it, and let this one come again."""
        if message.type == MsgType.LOGOUT:
            self.log_out("goodbye")
        elif message.type == MsgType.RESEND_REQUEST and message.problem is None:
            # Answered at once, or two sides would wait for each other.
            self._resend(message)
        self._ask_for_missing(message.seq)

    def _ask_for_missing(self, seen: int) -> None:
        now = self._now()
        if self._asked_through >= self.store.next_in and now - self._asked_at < _ASK_AGAIN_SECONDS:
            self._asked_through = max(self._asked_through, seen - 1)
            return
        self._asked_through, self._asked_at = seen - 1, now
        self.send(
            MsgType.RESEND_REQUEST, [(Tag.BEGIN_SEQ_NO, str(self.store.next_in)), (Tag.END_SEQ_NO, "0")]
        )

    def _take_next(self, message: Message) -> None:
        following, asked = message.seq + 1, None
        if message.is_possible_duplicate and not self._check_original(message):
            pass
        elif message.problem is not None:
            problem = message.problem
            self._reject(message, problem.fault, problem.tag, problem.text)
        elif message.type == MsgType.SEQUENCE_RESET:
            new = int(message.get(Tag.NEW_SEQ_NO))
            if new > message.seq:
                following = new
            else:
                self._reject(message, Fault.VALUE, Tag.NEW_SEQ_NO, "NewSeqNo is not after MsgSeqNum")
        elif message.type in (MsgType.HEARTBEAT, MsgType.REJECT, MsgType.BUSINESS_REJECT):
            if message.type != MsgType.HEARTBEAT:
                log.warning("session %s refuses our message %s", self.name, message.get(Tag.REF_SEQ_NUM))
        elif message.type == MsgType.TEST_REQUEST:
            self.send(MsgType.HEARTBEAT, [(Tag.TEST_REQ_ID, message.get(Tag.TEST_REQ_ID))])
        elif message.type == MsgType.RESEND_REQUEST:
            self._resend(message)
        elif message.type == MsgType.LOGON:
            self._reject(message, Fault.MSG_TYPE, Tag.MSG_TYPE, "this session has logged on already")
        elif message.type == MsgType.LOGOUT:
            self.store.heard(following)
            self.log_out("goodbye")
            return
        elif message.type in INCOMING:
            asked = self._application.take(message)
        else:
            self.refuse_business(message, "3", "this message is not supported")
        self.store.heard(following, asked)

    def _reset_next(self, message: Message) -> None:
        """SequenceReset-Reset: the next number is what it says, whatever its own is."""
        if message.problem is not None:
            self._reject(message, message.problem.fault, message.problem.tag, message.problem.text)
            return
        new = int(message.get(Tag.NEW_SEQ_NO))
        if new < self.store.next_in:
            self._reject(message, Fault.VALUE, Tag.NEW_SEQ_NO, "NewSeqNo would go back")
        else:
            self.store.heard(new)

    def _resend(self, message: Message) -> None:
        begin, end = int(message.get(Tag.BEGIN_SEQ_NO)), int(message.get(Tag.END_SEQ_NO))
        last = self.store.next_out - 1
        if end == 0 or end >= _INFINITY or end > last:
            end = last
        if not begin >= 1:
            self._reject(message, Fault.VALUE, Tag.BEGIN_SEQ_NO, "BeginSeqNo is below 1")
        elif begin <= end:
            # One that asks again need not get everything twice.
            self._ranges.clear()
            self._drop_unsent(begin, end)
            self._ranges.append((begin, end))

    def _drop_unsent(self, begin: int, end: int) -> None:
        """What waits to be sent for the first time and is now sent again goes out once."""
        self._unsent = deque((seq, raw) for seq, raw in self._unsent if not begin <= seq <= end)
        self._unsent_bytes = sum(len(raw) for _, raw in self._unsent)

    def _reject(self, message: Message, fault: Fault, tag: int, text: str) -> None:
        self.send(
            MsgType.REJECT,
            [
                (Tag.REF_SEQ_NUM, str(message.seq)), (Tag.REF_TAG, str(int(tag))), (Tag.REF_MSG_TYPE, message.type),
                (Tag.SESSION_REJECT_REASON, str(int(fault))), (Tag.TEXT, f"{text} ({int(tag)})"),
            ],
        )  # fmt: skip

    def refuse_business(self, message: Message, reason: str, text: str) -> None:
        """Refuse a message that is well formed: BusinessMessageReject."""
        fields: Pairs = [
            (Tag.REF_SEQ_NUM, str(message.seq)), (Tag.REF_MSG_TYPE, message.type),
            (Tag.BUSINESS_REJECT_REASON, reason), (Tag.TEXT, text),
        ]  # fmt: skip
        if message.get(Tag.CLORDID):
            fields.insert(2, (Tag.BUSINESS_REJECT_REF, message.get(Tag.CLORDID)))
        self.send(MsgType.BUSINESS_REJECT, fields)

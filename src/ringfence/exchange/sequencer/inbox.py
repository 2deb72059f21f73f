"""What has arrived and waits for its batch."""

from collections import deque

import numpy as np

from ringfence.messages.commands import Command
from ringfence.messages.records import COMMAND, RECORD_BYTES
from ringfence.units.time import NS_PER_MINUTE

BATCH_SLOTS_MAX = 4096
QUEUE_SLOTS_MAX = 65_536


class InvalidSubmissionError(ValueError):
    """A gateway sent what is no command. Remedy: cut it off; nothing of the message was taken."""


class Inbox:
    """A queue of submissions; each goes into one batch whole."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self.queued_slots = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def is_full(self) -> bool:
        return self.queued_slots >= QUEUE_SLOTS_MAX

    def submit(self, slots: bytes, *, origin: int) -> None:
        """Queue what one gateway sent in one message. Raises InvalidSubmissionError."""
        records = np.frombuffer(bytearray(slots), COMMAND)
        if records["kind"][0] == Command.DATA:
            raise InvalidSubmissionError("a message begins with text that belongs to no command")
        records["origin"] = np.where(records["kind"] == Command.DATA, records["origin"], origin)
        self._enqueue(records.tobytes())

    def tick(self) -> None:
        """Queue the sequencer's own word that time has passed."""
        row = np.zeros(1, COMMAND)
        row["kind"] = Command.TICK
        self._enqueue(row.tobytes())

    def _enqueue(self, slots: bytes) -> None:
        self._queue.append(slots)
        self.queued_slots += len(slots) // RECORD_BYTES

    def take(self) -> bytes:
        """Return what goes into the next batch: whole submissions, in order of arrival."""
        parts: list[bytes] = []
        slots = 0
        while self._queue:
            size = len(self._queue[0]) // RECORD_BYTES
            if parts and slots + size > BATCH_SLOTS_MAX:
                break
            parts.append(self._queue.popleft())
            slots += size
        self.queued_slots -= slots
        return b"".join(parts)


class Alarm:
    """Says when a TICK is due: when the engine waits for one, and at each full minute."""

    def __init__(self) -> None:
        self._next_minute_ns = 0

    def is_due(self, now_ns: int, *, wake_at_ns: int) -> bool:
        """Return whether time must be told now; `wake_at_ns` is the engine's, 0 = it waits for nothing."""
        if now_ns < self._next_minute_ns and not (wake_at_ns and now_ns >= wake_at_ns):
            return False
        self._next_minute_ns = now_ns - now_ns % NS_PER_MINUTE + NS_PER_MINUTE
        return True

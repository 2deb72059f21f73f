"""What has arrived and waits for its batch.

While everything that waits fits into one batch it is taken in its order of arrival, and nothing is looked at. Once
more waits than that, what waits is sorted into lanes:

| lane     | what                                                          | order               | shed    |
|----------|---------------------------------------------------------------|---------------------|---------|
| system   | ticks, prices, funds, operators, judges                       | of arrival          | never   |
| reserved | cancels, dead man's switch, Close, reduce-only, margin in     | fair by account     | never   |
| ordinary | new orders, amendments, leverage, risk limits                 | fair by account     | may be  |

A batch takes the system's, then the reserved ones, and leaves a quarter of itself to ordinary ones.

**What waits is bounded.** An account may have as much waiting in the ordinary lane as is still free there, and the lane
holds what is drained within `AGE_MAX_NS` at the measured rate: who sends more than others is shed first, and who sends
little always finds room. What waits for longer all the same (the disk stood still) is shed when its turn comes. What
is shed never gets to the journal.

**The order of one account.** Ordinary commands keep their order among themselves, and so do reserved ones. A reserved
one may overtake ordinary ones of its account, but never so that it misses what it is meant for:

- a cancel by clOrdID, a cancel-all and a Close take back placements of theirs that still wait: those are shed as
  `WITHDRAWN`, so nothing is placed after it was cancelled;
- a cancel by a clOrdID that a waiting amendment gives stands behind that amendment, and is not shed;
- a reduce-only order stands behind what its account has waiting in that instrument, and is not shed: it must not find
  a position missing that an earlier order was to open;
- an account has at most `RESERVED_PLACEMENTS_MAX` Close and reduce-only orders waiting in the reserved lane; more are
  ordinary. Nobody gets around the queue by calling every order a close.

**Barriers.** A TICK that carries a token is a question: everything that arrived before it is in the journal or shed
when its turn comes.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from ringfence.exchange.sequencer.lanes import Lane, Queue, Waiting
from ringfence.messages.commands import Command, OrderFlag
from ringfence.messages.load import LoadState, ShedReason
from ringfence.messages.records import COMMAND, RECORD_BYTES
from ringfence.units.time import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND

BATCH_SLOTS_MAX = 4096
QUEUE_SLOTS_MAX = 65_536
AGE_MAX_NS = 500 * NS_PER_MS
RESERVED_PLACEMENTS_MAX = 8
_ORDINARY_PART = 4
"""One of so many parts of a batch is kept for ordinary commands."""
_RATE_WEIGHT = 0.25

_ORDINARY = frozenset((Command.PLACE, Command.AMEND, Command.SET_LEVERAGE, Command.SET_RISK_LIMIT))
_RESERVED = frozenset((Command.CANCEL, Command.CANCEL_ALL, Command.CANCEL_ALL_AFTER, Command.TRANSFER_MARGIN))
"""TRANSFER_MARGIN out of a position is ordinary all the same."""
_CLOSE, _REDUCE_ONLY, _SELL = int(OrderFlag.CLOSE), int(OrderFlag.REDUCE_ONLY), int(OrderFlag.SELL)
_ONLY_BUYS, _ONLY_SELLS = int(OrderFlag.ONLY_BUYS), int(OrderFlag.ONLY_SELLS)


class InvalidSubmissionError(ValueError):
    """A gateway sent what is no command. Remedy: cut it off; nothing of the message was taken."""


class Shed(NamedTuple):
    """A command that was not taken and is nowhere. `token` is the gateway's, `origin` its line."""

    origin: int
    token: int
    reason: ShedReason


class Inbox:
    """Everything between the lines and the sequencer. It has no clock: nanoseconds of any steady one are passed in."""

    def __init__(
        self, *, batch_slots: int = BATCH_SLOTS_MAX, queue_slots: int = QUEUE_SLOTS_MAX, age_ns: int = AGE_MAX_NS
    ) -> None:  # fmt: skip
        self._batch_slots, self._queue_slots, self._age_ns = batch_slots, queue_slots, age_ns
        self._arrived: deque[tuple[bytes, int, int]] = deque()
        """Not sorted yet, which is all there is in quiet times: (slots, origin, when)."""
        self._arrived_slots = 0
        self._system: deque[Waiting] = deque()
        self._system_slots = 0
        self._reserved, self._ordinary = Lane(), Lane()
        self._barriers: deque[Waiting] = deque()
        self._before: dict[int, int] = {}
        """How many slots wait, by the number of the barrier that they came before."""
        self._barriers_come = 0
        self._ordinary_slots_max = queue_slots
        self._slots_per_second = 0.0
        self._sheds: list[Shed] = []
        self.shed_counts = dict.fromkeys(ShedReason, 0)
        """Since the start."""

    def __bool__(self) -> bool:
        return bool(self._arrived or self._system or self._reserved or self._ordinary or self._barriers)

    # ---- how things stand

    @property
    def queued_slots(self) -> int:
        sorted_slots = self._system_slots + self._reserved.slots + self._ordinary.slots
        return self._arrived_slots + sorted_slots + len(self._barriers)

    @property
    def is_full(self) -> bool:
        """Nothing more should be read from the lines: what is never shed is bounded by that."""
        return self.queued_slots >= self._queue_slots

    @property
    def state(self) -> LoadState:
        if not self._is_sorted:
            return LoadState.OPEN
        is_full = self._ordinary.slots >= self._ordinary_slots_max
        return LoadState.CANCEL_ONLY if is_full else LoadState.SHEDDING

    @property
    def wait_ns(self) -> int:
        """How long what arrives now will wait, at the measured rate."""
        if not self._slots_per_second:
            return 0
        return int(self.queued_slots / self._slots_per_second * NS_PER_SECOND)

    @property
    def _is_sorted(self) -> bool:
        return bool(self._system or self._reserved or self._ordinary or self._barriers)

    def drained(self, slots: int, *, took_ns: int) -> None:
        """Learn from a batch that is done how fast things go. Small ones say nothing: they cost a sync."""
        if slots * _ORDINARY_PART < self._batch_slots or took_ns <= 0:
            return
        rate = slots * NS_PER_SECOND / took_ns
        before = self._slots_per_second or rate
        self._slots_per_second = before + _RATE_WEIGHT * (rate - before)
        within_age = int(self._slots_per_second * self._age_ns / NS_PER_SECOND)
        self._ordinary_slots_max = min(self._queue_slots, max(self._batch_slots, within_age))

    # ---- in

    def submit(self, slots: bytes, *, origin: int, now_ns: int) -> None:
        """Queue what one gateway sent in one message. Raises InvalidSubmissionError."""
        records = np.frombuffer(bytearray(slots), COMMAND)
        if records["kind"][0] == Command.DATA:
            raise InvalidSubmissionError("a message begins with text that belongs to no command")
        records["origin"] = np.where(records["kind"] == Command.DATA, records["origin"], origin)
        self._enqueue(records.tobytes(), origin, now_ns)

    def tick(self) -> None:
        """Queue the sequencer's own word that time has passed."""
        row = np.zeros(1, COMMAND)
        row["kind"] = Command.TICK
        self._enqueue(row.tobytes(), 0, 0)

    def _enqueue(self, slots: bytes, origin: int, now_ns: int) -> None:
        self._arrived.append((slots, origin, now_ns))
        self._arrived_slots += len(slots) // RECORD_BYTES
        if self._is_sorted or self._arrived_slots > self._batch_slots:
            self._sort()

    def _sort(self) -> None:
        """Put what has arrived into its lanes; shed what finds no room."""
        for slots, origin, now_ns in self._arrived:
            self._sort_message(slots, origin, now_ns)
        self._arrived.clear()
        self._arrived_slots = 0

    def _sort_message(self, slots: bytes, origin: int, now_ns: int) -> None:
        records = np.frombuffer(slots, COMMAND)
        starts = np.flatnonzero(records["kind"] != Command.DATA)
        rows = records[starts].tolist()
        ends = [*starts[1:].tolist(), len(records)]
        system: list[bytes] = []
        for start, end, row in zip(starts.tolist(), ends, rows, strict=True):
            raw = slots[start * RECORD_BYTES : end * RECORD_BYTES]
            command = _Row(*row)
            is_barrier = command.kind == Command.TICK and command.request
            if not is_barrier and command.kind not in _ORDINARY and command.kind not in _RESERVED:
                system.append(raw)  # neighbours stay together: an operator waits for all of them at once
                continue
            self._add_system(system)
            if is_barrier:
                self._barriers.append(Waiting(raw))
                self._barriers_come += 1
            else:
                self._sort_command(raw, command, origin, now_ns)
        self._add_system(system)

    def _add_system(self, parts: list[bytes]) -> None:
        if parts:
            unit = Waiting(b"".join(parts), arrival=self._barriers_come)
            parts.clear()
            self._system.append(unit)
            self._system_slots += unit.size
            self._note(unit, 1)

    def _sort_command(self, raw: bytes, command: "_Row", origin: int, now_ns: int) -> None:
        is_place = command.kind == Command.PLACE
        names = is_place or command.kind == Command.AMEND
        unit = Waiting(
            raw, account=command.account, token=command.request, origin=origin, since_ns=now_ns,
            arrival=self._barriers_come, is_place=is_place, clid=command.clid if names else 0,
            market=(command.symbol, bool(command.flags & _SELL)),
        )  # fmt: skip
        waiting = self._ordinary.of(command.account)
        takes_margin_out = command.kind == Command.TRANSFER_MARGIN and command.qty < 0
        if command.kind in _RESERVED and not takes_margin_out:
            self._add_reserved(unit, command, waiting)
        elif is_place and self._is_close(command):
            self._add_close(unit, command, waiting)
        else:
            self._add_ordinary(unit, waiting)

    def _is_close(self, command: "_Row") -> bool:
        """Return whether an order only lets its account out, and its account has not too many of them waiting."""
        closes_all = command.flags & _CLOSE and command.qty == 0
        if not closes_all and not command.flags & _REDUCE_ONLY:
            return False
        held = self._reserved.of(command.account)
        return held is None or held.places < RESERVED_PLACEMENTS_MAX

    def _add_reserved(self, unit: Waiting, command: "_Row", waiting: Queue | None) -> None:
        if waiting is not None and command.kind == Command.CANCEL:
            named = waiting.named(command.orig_clid)
            if any(not other.is_place for other in named):
                self._add(self._ordinary, unit)
                return
            self._withdraw(named)
        elif waiting is not None and command.kind == Command.CANCEL_ALL:
            self._withdraw(waiting.placed(command.symbol, _sides(command.flags)))
        self._add(self._reserved, unit)

    def _add_close(self, unit: Waiting, command: "_Row", waiting: Queue | None) -> None:
        earlier = waiting.placed(command.symbol) if waiting is not None else []
        if earlier and not command.flags & _CLOSE:
            self._add(self._ordinary, unit)
            return
        self._withdraw(earlier)
        self._add(self._reserved, unit)

    def _add_ordinary(self, unit: Waiting, waiting: Queue | None) -> None:
        held = waiting.slots if waiting is not None else 0
        if held + unit.size > self._ordinary_slots_max - self._ordinary.slots:
            self._shed(unit, ShedReason.SHARE)
            return
        unit.may_shed = True
        self._add(self._ordinary, unit)

    def _add(self, lane: Lane, unit: Waiting) -> None:
        lane.add(unit)
        self._note(unit, 1)

    def _note(self, unit: Waiting, sign: int) -> None:
        left = self._before.get(unit.arrival, 0) + sign * unit.size
        if left:
            self._before[unit.arrival] = left
        else:
            del self._before[unit.arrival]

    def _withdraw(self, units: list[Waiting]) -> None:
        for unit in units:
            self._ordinary.remove(unit)
            self._note(unit, -1)
            self._shed(unit, ShedReason.WITHDRAWN)

    def _shed(self, unit: Waiting, reason: ShedReason) -> None:
        self.shed_counts[reason] += 1
        self._sheds.append(Shed(unit.origin, unit.token, reason))

    # ---- out

    def collect_sheds(self) -> list[Shed]:
        """Return what was shed since the last call, in the order in which it was."""
        sheds, self._sheds = self._sheds, []
        return sheds

    def take(self, *, now_ns: int) -> bytes:
        """Return what goes into the next batch; empty if all that waited was shed."""
        if not self._is_sorted:
            parts = [slots for slots, _, _ in self._arrived]
            self._arrived.clear()
            self._arrived_slots = 0
            return b"".join(parts)
        batch: list[bytes] = []
        room = self._batch_slots
        while self._system and (not batch or self._system[0].size <= room):
            unit = self._system.popleft()
            self._system_slots -= unit.size
            self._note(unit, -1)
            batch.append(unit.slots)
            room -= unit.size
        kept = min(self._ordinary.slots, self._batch_slots // _ORDINARY_PART)
        room -= self._fill(batch, self._reserved, room - kept, now_ns)
        room -= self._fill(batch, self._ordinary, room, now_ns)
        room -= self._fill(batch, self._reserved, room, now_ns)
        self._release_barriers(batch, room)
        return b"".join(batch)

    def _fill(self, batch: list[bytes], lane: Lane, room: int, now_ns: int) -> int:
        """Take from a lane as its turns are; return how many slots."""
        taken = 0
        # The first of a batch goes whatever its size: else it would wait for ever.
        while (unit := lane.pop(room - taken if batch else self._queue_slots)) is not None:
            self._note(unit, -1)
            if unit.may_shed and now_ns - unit.since_ns > self._age_ns:
                self._shed(unit, ShedReason.AGE)
                continue
            batch.append(unit.slots)
            taken += unit.size
        return taken

    def _release_barriers(self, batch: list[bytes], room: int) -> None:
        """Let the barriers pass before which nothing waits any more."""
        while self._barriers and (room > 0 or not batch):
            number = self._barriers_come - len(self._barriers)
            if self._before.get(number):
                return
            batch.append(self._barriers.popleft().slots)
            room -= 1


class _Row(NamedTuple):
    """A command as Python's own integers; fields as in `messages.layouts`."""

    handle: int
    qty: int
    clid: int
    orig_clid: int
    request: int
    px: int
    stop_px: int
    account: int
    display: int
    symbol: int
    kind: int
    type: int
    flags: int
    origin: int


def _sides(flags: int) -> tuple[bool, ...]:
    """Return which sides a CANCEL_ALL means: False buys, True sells."""
    if flags & _ONLY_BUYS:
        return (False,)
    return (True,) if flags & _ONLY_SELLS else (False, True)


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

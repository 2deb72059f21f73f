"""The loop of the core: what has arrived becomes batches; the clock, roots and snapshots beside it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from ringfence.commitments import Root, load_keys
from ringfence.configuration import CoreSettings
from ringfence.daemons.core_line import Line
from ringfence.daemons.gatekeeper import Gatekeeper
from ringfence.daemons.measures.core import CoreFigures
from ringfence.daemons.upgrading import Known
from ringfence.exchange.feed import Load
from ringfence.exchange.sequencer import Alarm, Committer, Inbox, Sequencer
from ringfence.messages.batch import Batch
from ringfence.messages.load import LoadState, ShedReason
from ringfence.messages.records import RECORD_BYTES
from ringfence.units.time import NS_PER_MS

log = logging.getLogger("ringfence.core")

_ORIGIN_MAX = 2**16 - 1
_FINISH_SECONDS = 1.0
WriteRoot = Callable[[Root], Awaitable[Root]]


class NoRootsError(Exception):
    """The chain of state roots cannot be continued. Nothing was started."""


def attach(
    directory: Path, sequencer: Sequencer, *, machines: Callable[[], Known] = dict
) -> tuple[Committer, Gatekeeper]:
    """Return what makes a core's roots and what guards its queue. Raises NoRootsError.

    `machines` says which rules the other machines of the cluster know.
    """
    try:
        keys = load_keys(directory)
        gatekeeper = Gatekeeper(directory, sequencer.engine, keys, machines=machines)
        return Committer(sequencer.engine, directory, keys), gatekeeper
    except (OSError, ValueError) as error:
        raise NoRootsError(f"the chain of state roots cannot be continued: {error}") from error


class Core:
    """What has arrived, and the loop that turns it into batches."""

    def __init__(
        self, sequencer: Sequencer, committer: Committer, gatekeeper: Gatekeeper,
        settings: CoreSettings, *,
        write_root: WriteRoot | None = None, on_batch: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`write_root` makes a root durable where that is more than this disk; `on_batch` hears of each batch."""
        self.sequencer = sequencer
        self._committer, self._gatekeeper = committer, gatekeeper
        self._write_root = write_root or self._write_here
        self._on_batch = on_batch
        self._committing: asyncio.Task[None] | None = None
        self.lines: dict[int, Line] = {}
        """By origin."""
        self._snapshot_every = settings.snapshot_commands
        self.inbox = Inbox(
            queue_slots=settings.queue_slots_max, age_ns=settings.queue_milliseconds_max * NS_PER_MS
        )
        self.figures = CoreFigures()
        self._arrived = asyncio.Event()
        self.stopping = False
        self._alarm = Alarm()
        self._is_under_way = False
        self._origins = 0
        self._told = LoadState.OPEN
        self._is_holding = False
        """So much waits that nothing more is read from the lines."""

    def next_origin(self) -> int:
        self._origins = self._origins % _ORIGIN_MAX + 1
        return self._origins

    def submit(self, slots: bytes, *, origin: int) -> None:
        """Take what a gateway sent. Raises InvalidSubmissionError."""
        self.inbox.submit(self._gatekeeper.admit(slots), origin=origin, now_ns=time.monotonic_ns())
        self.figures.arrived()
        self._arrived.set()
        if self.inbox.state is not self._told:
            self.tell_lines()
        self._tell_sheds()
        if self.inbox.is_full and not self._is_holding:
            self._hold(True)

    def note_cut(self) -> None:
        self.figures.lines_cut += 1

    def stop(self) -> None:
        self.stopping = True
        self._arrived.set()

    @property
    def load(self) -> Load:
        counts = self.inbox.shed_counts
        return Load(self.inbox.state, self.inbox.wait_ns, tuple(counts[reason] for reason in ShedReason))

    def tell_lines(self) -> None:
        load = self.load
        self._told = load.state
        for line in self.lines.values():
            line.tell(self.sequencer.next_sequence, load)

    def greet(self, line: Line) -> None:
        """Tell a new line how far the exchange is."""
        line.tell(self.sequencer.next_sequence, self.load)

    def _tell_sheds(self) -> None:
        """Tell each gateway which of its commands were not taken."""
        by_origin: dict[int, list[tuple[int, ShedReason]]] = {}
        for shed in self.inbox.collect_sheds():
            by_origin.setdefault(shed.origin, []).append((shed.token, shed.reason))
        for origin, sheds in by_origin.items():
            # A line that is gone hears nothing: its gateway's barrier on the next one says that nothing was done.
            if (line := self.lines.get(origin)) is not None:
                line.tell_sheds(sheds)

    def _hold(self, is_holding: bool) -> None:
        """Stop reading from the lines, or go on: cancels are never shed, so they are bounded by that."""
        self._is_holding = is_holding
        for line in list(self.lines.values()):
            line.hold(is_holding)

    async def run(self) -> None:
        """Apply batches until asked to stop; then finish what has arrived."""
        timer = asyncio.create_task(self._watch_clock())
        # A clock that stopped would leave timers unfired and nobody the wiser: the core stops with it.
        timer.add_done_callback(lambda done: self._arrived.set())
        try:
            while True:
                if timer.done():
                    timer.result()
                if not self.inbox:
                    if self.stopping:
                        timer.cancel()
                        await self._finish_root()
                        return
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                self._is_under_way = True
                batch = await self._next_batch()
                self._is_under_way = False
                self.tell_lines()
                if batch is None:
                    continue
                self._on_batch()
                self._gatekeeper.note_what_is_in_force()
                self._committer.take(batch)
                self._begin_root()
                if self.sequencer.engine.has_more_to_do:
                    self._tick()  # behind what has arrived meanwhile: nobody waits for all accounts
                if (
                    self.sequencer.engine.next_sequence - self.sequencer.snapshot_sequence
                    >= self._snapshot_every
                ):
                    self.sequencer.begin_snapshot()
        finally:
            timer.cancel()
            if self._committing is not None:
                self._committing.cancel()

    async def _next_batch(self) -> Batch | None:
        """Apply what is taken next; None if all of it was shed."""
        began = time.monotonic_ns()
        commands = self.inbox.take(now_ns=began)
        self._tell_sheds()
        if self._is_holding and not self.inbox.is_full and not self.stopping:
            self._hold(False)
        if not commands:
            return None
        taken = self.figures.begin(is_queue_empty=not self.inbox)
        batch = await self.sequencer.apply(commands, timestamp_ns=time.time_ns())
        self.figures.applied(batch, taken)
        self.inbox.drained(len(commands) // RECORD_BYTES, took_ns=time.monotonic_ns() - began)
        return batch

    def _begin_root(self) -> None:
        """Begin with a state root if one is due; while a batch is under way the tables are ahead of it."""
        if not self._is_under_way and self._committer.begin(
            now_ns=time.time_ns(), journal=self.sequencer.journal_head
        ):
            self.sequencer.note_root()

    def _tick(self) -> None:
        self.inbox.tick()
        self._arrived.set()

    async def _watch_clock(self) -> None:
        """Say that time passes, and see whether a snapshot is done."""
        while True:
            if self._alarm.is_due(time.time_ns(), wake_at_ns=self.sequencer.engine.wake_at_ns):
                self._tick()
            if self.sequencer.collect_snapshot() is False:
                self.figures.snapshots_failed += 1
                log.error("a snapshot failed; the journal is whole, the next one is tried in a while")
            self._begin_root()
            self._begin_commit()
            await asyncio.sleep(0.05)

    def _begin_commit(self) -> None:
        """Write a root beside everything else: where it goes to more machines that may take long."""
        if self._committing is not None and self._committing.done():
            self._committing.result()
            self._committing = None
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())

    async def _finish_root(self) -> None:
        """Let a root that is being written get to every machine; without its servers it does not, which is no harm."""
        if self._committing is not None:
            await asyncio.wait({self._committing}, timeout=_FINISH_SECONDS)

    async def _commit(self) -> None:
        """Write a root that is ready. Without one trading goes on; the judges see that it is missing."""
        try:
            ready = self._committer.collect(now_ns=time.time_ns())
            if ready is not None and self._committer.collected_since != self._committer.last_sequence:
                # It was begun behind one that was not written, or before an earlier leader's came: its events are
                # not those since the root that it would follow.
                self._committer.start_over()
            elif ready is not None:
                self._gatekeeper.note(await self._write_root(ready))
        except OSError as error:
            log.error("no state root was written, the next one is tried: %s", error)
            self._committer.start_over()

    async def _write_here(self, root: Root) -> Root:
        return await asyncio.get_running_loop().run_in_executor(None, self._committer.write, root)

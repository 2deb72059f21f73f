"""The core's figures. While it works it does per batch what a few integers cost; text is made when somebody asks."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.exchange.sequencer import Sequencer, snapshots
from ringfence.messages.batch import Batch
from ringfence.monitoring import Histogram, Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample

if TYPE_CHECKING:
    from ringfence.daemons.core_loop import Core

_ALONE: dict[str, Any] = {"role": "leader", "epoch": 0, "behind": 0, "silentSeconds": 0.0}
"""A core alone leads, and has led from the beginning."""


class CoreFigures:
    """What is counted while batches go by."""

    def __init__(self) -> None:
        self.commands = self.events = self.batches = 0
        self.snapshots_failed = self.lines_cut = 0
        self.batch_slots = Histogram(metrics.BATCH_SIZE)
        self.apply = Histogram(metrics.APPLY)
        self.queue_wait = Histogram(metrics.QUEUE_WAIT)
        self._waiting_since = 0.0
        """When the queue was last empty no more; 0 = it is empty."""

    def arrived(self) -> None:
        if not self._waiting_since:
            self._waiting_since = time.perf_counter()

    @property
    def queue_age(self) -> float:
        return time.perf_counter() - self._waiting_since if self._waiting_since else 0.0

    def begin(self, *, is_queue_empty: bool) -> float:
        """A batch was taken out of the queue; return when."""
        now = time.perf_counter()
        if self._waiting_since:
            self.queue_wait.observe(now - self._waiting_since)
        if is_queue_empty:
            self._waiting_since = 0.0
        return now

    def applied(self, batch: Batch, began: float) -> None:
        slots = len(batch.commands)
        self.batches += 1
        self.commands += slots
        self.events += len(batch.events)
        self.batch_slots.observe(slots)
        self.apply.observe(time.perf_counter() - began)


def serving_core(directory: Path, core: "Core") -> AbstractAsyncContextManager[None]:
    """Serve the page of a core that is alone."""
    return _serving(directory, core.sequencer, lambda: core, lambda: _ALONE)


def serving_replica(
    directory: Path,
    sequencer: Sequencer,
    core: Callable[[], "Core | None"],
    status: Callable[[], dict[str, Any]],
) -> AbstractAsyncContextManager[None]:
    """Serve the page of one machine of several; `core` is there while it leads, `status` is what its desk answers."""
    return _serving(directory, sequencer, core, status)


def _serving(
    directory: Path,
    sequencer: Sequencer,
    core: Callable[[], "Core | None"],
    status: Callable[[], dict[str, Any]],
) -> AbstractAsyncContextManager[None]:
    def trouble() -> str:
        leading = core()
        if leading is None:
            return "" if status()["ready"] else "it is not as far as the leader"
        if leading.stopping:
            return "it was asked to stop"
        return "the queue is full" if leading.inbox.is_full else ""

    def measure() -> Iterator[Sample]:
        yield from _of_machine(directory, sequencer, status())
        if (leading := core()) is not None:
            yield from _of_leader(leading)

    return serving(directory, Page("core", measure, trouble))


def _of_machine(directory: Path, sequencer: Sequencer, status: dict[str, Any]) -> Iterator[Sample]:
    """Yield what leader and followers have alike."""
    yield sample(metrics.SEQUENCE, sequencer.next_sequence)
    yield sample(metrics.ROLE, 1, status["role"])
    yield sample(metrics.EPOCH, status["epoch"])
    yield sample(metrics.STREAM_BEHIND, status["behind"])
    yield sample(metrics.LEADER_SILENT, status["silentSeconds"])
    yield sample(metrics.STEP, sequencer.step_seconds)
    yield sample(metrics.SYNC, sequencer.sync_seconds)
    yield sample(metrics.SNAPSHOT_LAG, sequencer.next_sequence - sequencer.snapshot_sequence)
    # A disk that is away, or a snapshot that is just being replaced by a newer one, takes no other figure with it.
    with suppress(OSError):
        for newest in snapshots(directory)[:1]:
            yield sample(metrics.SNAPSHOT_AGE, time.time() - newest.stat().st_mtime)
    roots = directory / "roots" / "chain.roots"
    if roots.exists():
        yield sample(metrics.ROOT_AGE, time.time() - roots.stat().st_mtime)


def _of_leader(core: "Core") -> Iterator[Sample]:
    figures = core.figures
    yield sample(metrics.COMMANDS, figures.commands)
    yield sample(metrics.EVENTS, figures.events)
    yield sample(metrics.BATCHES, figures.batches)
    yield sample(metrics.BATCH_SIZE, figures.batch_slots)
    yield sample(metrics.QUEUE_SLOTS, core.inbox.queued_slots)
    yield sample(metrics.QUEUE_AGE, figures.queue_age)
    yield sample(metrics.QUEUE_WAIT, figures.queue_wait)
    yield sample(metrics.APPLY, figures.apply)
    yield sample(metrics.LINES, len(core.lines))
    yield sample(metrics.LINES_CUT, figures.lines_cut)
    yield sample(metrics.SNAPSHOTS_FAILED, figures.snapshots_failed)

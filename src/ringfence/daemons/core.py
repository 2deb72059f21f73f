"""The exchange core: one process with the sequencer, the engine and the journal.

    python -m ringfence.daemons.core DIRECTORY

Gateways connect to `core.sock` in the directory. Exit status: 0 asked to stop, 65 the journal is
damaged, 70 the engine met an impossible state, 74 the disk failed, 75 another core has the directory.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

from ringfence.commitments import load_keys
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.gatekeeper import Gatekeeper
from ringfence.daemons.measures.core import CoreFigures, serving_core
from ringfence.exchange.feed import FeedWriteError
from ringfence.exchange.feed.client import LENGTH, SUBMIT_BYTES_MAX, encode_status
from ringfence.exchange.journal import JournalError, JournalReadError, JournalWriteError
from ringfence.exchange.sequencer import Alarm, Committer, Inbox, InvalidSubmissionError, Sequencer, recover
from ringfence.messages.records import RECORD_BYTES
from ringfence.monitoring.logs import set_up_logs

log = logging.getLogger("ringfence.core")

SNAPSHOT_EVERY = 1_000_000
EXIT_CORRUPT, EXIT_BUG, EXIT_DISK, EXIT_LOCKED = 65, 70, 74, 75
_ORIGIN_MAX = 2**16 - 1


class Core:
    """What has arrived, and the loop that turns it into batches."""

    def __init__(self, sequencer: Sequencer, committer: Committer, gatekeeper: Gatekeeper) -> None:
        self.sequencer = sequencer
        self._committer, self._gatekeeper = committer, gatekeeper
        self.lines: set[Line] = set()
        self.inbox = Inbox()
        self.figures = CoreFigures()
        self._arrived = asyncio.Event()
        self.stopping = False
        self._alarm = Alarm()
        self._is_under_way = False
        self._origins = 0

    def next_origin(self) -> int:
        self._origins = self._origins % _ORIGIN_MAX + 1
        return self._origins

    def submit(self, slots: bytes, *, origin: int) -> None:
        """Take what a gateway sent. Raises InvalidSubmissionError."""
        was_full = self.inbox.is_full
        self.inbox.submit(self._gatekeeper.admit(slots), origin=origin)
        self.figures.arrived()
        self._arrived.set()
        if self.inbox.is_full and not was_full:
            self.tell_lines()

    def stop(self) -> None:
        self.stopping = True
        self._arrived.set()

    def tell_lines(self) -> None:
        for line in self.lines:
            line.tell(self.sequencer.next_sequence, queue_is_full=self.inbox.is_full)

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
                        return
                    self._arrived.clear()
                    await self._arrived.wait()
                    continue
                self._is_under_way = True
                commands = self.inbox.take()
                began = self.figures.begin(is_queue_empty=not self.inbox)
                batch = await self.sequencer.apply(commands, timestamp_ns=time.time_ns())
                self.figures.applied(batch, began)
                self._is_under_way = False
                self.tell_lines()
                self._committer.take(batch)
                self._begin_root()
                if self.sequencer.engine.has_more_to_do:
                    self._tick()  # behind what has arrived meanwhile: nobody waits for all accounts
                if self.sequencer.engine.next_sequence - self.sequencer.snapshot_sequence >= SNAPSHOT_EVERY:
                    self.sequencer.begin_snapshot()
        finally:
            timer.cancel()

    def _begin_root(self) -> None:
        """Begin with a state root if one is due; while a batch is under way the tables are ahead of it."""
        if not self._is_under_way:
            self._committer.begin(now_ns=time.time_ns(), journal=self.sequencer.journal_head)

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
            await self._commit()
            await asyncio.sleep(0.05)

    async def _commit(self) -> None:
        """Write a root that is ready. Without one trading goes on; the judges see that it is missing."""
        try:
            if (ready := self._committer.collect(now_ns=time.time_ns())) is not None:
                loop = asyncio.get_running_loop()
                self._gatekeeper.note(await loop.run_in_executor(None, self._committer.write, ready))
        except OSError as error:
            log.error("no state root was written, the next one is tried: %s", error)
            self._committer.start_over()


class Line(asyncio.Protocol):
    """One gateway's connection."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._origin = core.next_origin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._core.lines.add(self)
        self.tell(self._core.sequencer.next_sequence, queue_is_full=self._core.inbox.is_full)

    def tell(self, next_sequence: int, *, queue_is_full: bool) -> None:
        if self._transport and self._transport.get_write_buffer_size() < 1 << 16:
            self._transport.write(encode_status(next_sequence, self._origin, queue_is_full=queue_is_full))

    def data_received(self, data: bytes) -> None:
        self._received += data
        offset = 0
        while len(self._received) - offset >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._received, offset)
            if length == 0 or length % RECORD_BYTES or length > SUBMIT_BYTES_MAX:
                self._refuse(f"a message of {length} bytes is not a number of whole slots")
                return
            end = offset + LENGTH.size + length
            if len(self._received) < end:
                break
            self._accept(bytes(self._received[offset + LENGTH.size : end]))
            offset = end
        del self._received[:offset]

    def _accept(self, slots: bytes) -> None:
        try:
            self._core.submit(slots, origin=self._origin)
        except InvalidSubmissionError as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        self._core.figures.lines_cut += 1
        log.error("gateway %d was cut off: %s; nothing of the message was applied", self._origin, why)
        if self._transport:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._core.lines.discard(self)
        self._transport = None


def lock(directory: Path) -> int:
    """Return the lock on a data directory. Raises BlockingIOError if another core has it."""
    descriptor = os.open(directory / "core.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


async def serve(directory: Path) -> int:
    started = told = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > 1:
            told = time.monotonic()
            log.info("replaying the journal: %d of %d commands", done, total)

    try:
        recovered = recover(directory, on_progress=progress)
    except (JournalReadError, JournalWriteError, FeedWriteError) as error:
        log.critical("%s", error)
        return EXIT_DISK
    except JournalError as error:
        log.critical("%s", error)
        return EXIT_CORRUPT
    except (IndexError, AssertionError):
        log.critical("the engine met an impossible state while replaying the journal", exc_info=True)
        return EXIT_BUG
    sequencer = Sequencer(recovered, directory)
    try:
        keys = load_keys(directory)
        committer = Committer(sequencer.engine, directory, keys)
        gatekeeper = Gatekeeper(directory, sequencer.engine, keys)
    except (OSError, ValueError) as error:
        log.critical("the chain of state roots cannot be continued: %s", error)
        return EXIT_CORRUPT
    core = Core(sequencer, committer, gatekeeper)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, core.stop)
    path = directory / "core.sock"
    path.unlink(missing_ok=True)
    os.umask(0o177)
    server = await loop.create_unix_server(lambda: Line(core), str(path))
    os.umask(0o077)
    log.info(
        "ready at sequence %d after %.2f s, %d commands replayed",
        sequencer.next_sequence, time.monotonic() - started, recovered.replayed,
    )  # fmt: skip
    try:
        async with serving_core(directory, core):
            await core.run()
    except (JournalWriteError, FeedWriteError) as error:
        log.critical("%s", error)
        return EXIT_DISK
    except (IndexError, AssertionError):
        log.critical(
            "the engine met an impossible state; it stops before a wrong number is told", exc_info=True
        )
        return EXIT_BUG
    finally:
        server.close()
        committer.close()
    sequencer.close(snapshot=True)
    log.info("stopped at sequence %d", sequencer.next_sequence)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-core", description="the exchange core")
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    forbid_core_dumps()
    set_up_logs("core")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        held = lock(directory)
    except BlockingIOError:
        log.critical("%s is in use by another core; nothing was started", directory)
        sys.exit(EXIT_LOCKED)
    try:
        sys.exit(uvloop.run(serve(directory)))
    finally:
        os.close(held)


if __name__ == "__main__":
    main()

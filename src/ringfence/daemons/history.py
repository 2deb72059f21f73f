"""The history daemon: one process that folds the feed into SQL and keeps checkpoints of the views.

Once a day it also puts accounts into their fee tiers (`fee_tiers`).

    python -m ringfence.daemons.history DIRECTORY [--url sqlite:///...]

The database is that of `database.url` in the directory, else history.sqlite there.

It hears from the core's socket that there is something new, and looks by itself while the core is away.
Exit status: 0 asked to stop, 65 the database belongs to another journal, to a longer one, to something else or to a
newer version, 66 database.url is not what it must be, 70 a fold met an impossible state, 74 the database or the disk
failed or another process writes to that database, 75 another history daemon has the directory. After each of them
nothing is lost: what is not in the database is folded again.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import uvloop
from sqlalchemy.exc import SQLAlchemyError

from ringfence.daemons.fee_tiers import FeeTiers
from ringfence.daemons.measures.history import HistoryFigures, serving_history
from ringfence.database import addresses, engines
from ringfence.exchange.feed import CoreClient, FeedReader
from ringfence.exchange.forked import in_forked_child
from ringfence.exchange.projections import Views
from ringfence.exchange.projections.history import HistoryError, HistoryWriter, WriterBusyError, checkpoint
from ringfence.messages.batch import Batch
from ringfence.messages.rules import EXIT_RULES, UnknownRulesError
from ringfence.monitoring.logs import set_up_logs
from ringfence.units.time import NS_PER_SECOND

log = logging.getLogger("ringfence.history")

CHECKPOINT_EVERY = 200_000
COMMIT_SECONDS = 0.02
POLL_SECONDS = 0.05
CHECK_SECONDS = 1.0
"""How often to look without a wake-up, and to try to reach a core that is away."""
_SECRET_BYTES = 32
EXIT_REFUSED, EXIT_INPUT, EXIT_BUG, EXIT_DISK, EXIT_LOCKED = 65, 66, 70, 74, 75


class History:
    """Follows the feed: folds, writes, commits, and now and then writes a checkpoint."""

    def __init__(self, directory: Path, writer: HistoryWriter, fee_tiers: FeeTiers | None = None) -> None:
        self._fee_tiers = fee_tiers
        self._feed = directory / "feed"
        self._checkpoints = directory / "checkpoints"
        self._writer = writer
        loaded = checkpoint.load(self._checkpoints, at_most=writer.next_sequence)
        self.views = loaded or Views()
        self.figures = HistoryFigures()
        self._checkpoint_sequence = self.views.next_sequence
        self._checkpoint_child = 0
        self._reader: FeedReader | None = None
        self._is_waiting = False
        self._core = CoreClient(directory / "core.sock", self._heard, self._lost)
        self._core_sequence = 0
        self._try_core_at = 0.0
        self._woken = asyncio.Event()
        self._stopping = False

    @property
    def is_connected(self) -> bool:
        return self._core.is_connected

    @property
    def lag_slots(self) -> int:
        """How much the core has told of, and the views do not have."""
        return max(self._core_sequence - self.views.next_sequence, 0)

    @property
    def lag_seconds(self) -> float:
        """Age of the newest batch that was folded, 0 if there is no newer one."""
        return (time.time_ns() - self.views.timestamp_ns) / NS_PER_SECOND if self.lag_slots else 0.0

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Follow until asked to stop. Raises HistoryError, and SQLAlchemy's errors."""
        while not self._stopping:
            await self._reach_core()
            began = time.monotonic()
            self._woken.clear()
            if self._reader is None:
                self._reader = self._open_feed()
            is_all = self._reader is None or self._fold(began)
            self._writer.commit()
            self._keep_checkpoint()
            if is_all:
                if self._fee_tiers is not None and self._core.is_connected:
                    self._fee_tiers.run_if_due(self.views)
                await self._wait()
            # Under a steady trickle of small batches, one transaction for all that came meanwhile.
            await asyncio.sleep(max(0.0, began + COMMIT_SECONDS - time.monotonic()) if is_all else 0)

    async def _wait(self) -> None:
        seconds = CHECK_SECONDS if self._core.is_connected else POLL_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    def close(self) -> None:
        """Commit nothing more; write a last checkpoint for a quick start."""
        self._core.close()
        if self._checkpoint_child:
            os.waitpid(self._checkpoint_child, 0)
        if self.views.next_sequence > self._checkpoint_sequence:
            checkpoint.save(self.views, self._checkpoints)

    # ---- the feed

    def _fold(self, began: float) -> bool:
        """Take batches for a while; return whether there are no more."""
        assert self._reader is not None
        while time.monotonic() < began + COMMIT_SECONDS:
            batch = self._reader.read()
            if batch is None:
                self._check_gap()
                return True
            self._writer.apply(batch, self.views.apply(batch))
            self.figures.take(batch)
        return False

    def _check_gap(self) -> None:
        """The core tells of a batch when the feed holds it. Raises HistoryError if it does not."""
        if self._core_sequence > self.views.next_sequence:
            raise HistoryError(
                f"the feed does not hold sequence {self.views.next_sequence}, which the core has published. "
                "Stop the core, delete its folder `feed` and start it: it writes the feed anew."
            )

    def _open_feed(self) -> FeedReader | None:
        """Return a reader that stands where the views stand, None while the feed is not that long.

        Raises HistoryError if the feed is of another journal than the history.
        """
        written = self._writer.progress.next_sequence
        reader = FeedReader(self._feed, next_sequence=max(written - 1, 0))
        if written:
            last: Batch | None = reader.read()
            if last is None:
                reader.close()
                if not self._is_waiting:
                    log.info("waiting for the feed to reach sequence %d", written)
                self._is_waiting = True
                return None
            self._writer.check_last(last)
            if self.views.next_sequence < written:
                reader.close()
                reader = FeedReader(self._feed, next_sequence=self.views.next_sequence)
        self._is_waiting = False
        log.info("history reaches sequence %d, folding from %d", written, self.views.next_sequence)
        return reader

    # ---- the core

    async def _reach_core(self) -> None:
        """Connect to the core if it is there. Raises HistoryError if its journal is shorter than ours."""
        if self._core.is_connected or time.monotonic() < self._try_core_at:
            return
        self._try_core_at = time.monotonic() + CHECK_SECONDS
        written = self._writer.progress.next_sequence
        try:
            await asyncio.wait_for(self._core.connect(), CHECK_SECONDS)
        except (OSError, TimeoutError):
            self._core.close()
            return
        # The core opens its socket when the feed is as long as the journal. Nothing is read before
        # this line, so what it says cannot be older than what we have.
        if self._core_sequence < written:
            raise HistoryError(
                f"the history reaches sequence {written}, the journal {self._core_sequence}. Nothing was "
                "written. If the journal is the right one, delete this history database: it is made again."
            )
        log.info("connected to the core at sequence %d", self._core_sequence)
        # A core that was away may have written the feed anew, in other files of the same names.
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _heard(self, next_sequence: int) -> None:
        self._core_sequence = next_sequence
        self._woken.set()

    def _lost(self) -> None:
        self._core_sequence = 0
        if not self._stopping:
            log.warning("the core hung up; looking at the feed until it is back")
        self._woken.set()

    # ---- checkpoints

    def _keep_checkpoint(self) -> None:
        """Fork a child that writes a checkpoint of this moment, if it is time; see how the last one went."""
        if self._checkpoint_child:
            child, status = os.waitpid(self._checkpoint_child, os.WNOHANG)
            if not child:
                return
            self._checkpoint_child = 0
            if status:
                log.error("a checkpoint failed; the next one is tried in a while")
        if self.views.next_sequence - self._checkpoint_sequence < CHECKPOINT_EVERY:
            return
        self._checkpoint_sequence = self.views.next_sequence
        self._checkpoint_child = in_forked_child(lambda: checkpoint.save(self.views, self._checkpoints))


def receipt_secret(directory: Path) -> bytes:
    """Return the secret that names accounts on receipts of deleveraging, made on first use.

    It belongs to the venue like its keys: with another one the receipts of the past change their names.
    """
    path = directory / "receipts.secret"
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
    found = path.read_bytes()
    if len(found) != _SECRET_BYTES:
        raise HistoryError(f"{path} is damaged: restore it, or delete it to name the receipts anew")
    return found


def lock(directory: Path) -> int:
    """Return the lock on a data directory. Raises BlockingIOError if another daemon has it."""
    descriptor = os.open(directory / "history.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


async def follow(directory: Path, url: str) -> int:
    started = time.monotonic()
    try:
        writer = HistoryWriter(url, receipt_secret=receipt_secret(directory))
        fee_tiers = FeeTiers(directory, url)
        history = History(directory, writer, fee_tiers)
        log.info(
            "ready after %.2f s: history reaches %d, views %d",
            time.monotonic() - started, writer.next_sequence, history.views.next_sequence,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, history.stop)
        async with serving_history(directory, history):
            await history.run()
        await fee_tiers.close()
        history.close()
    except WriterBusyError as error:
        # The other one may be ourselves, whom the database has not missed yet.
        log.critical("%s", error)
        return EXIT_DISK
    except HistoryError as error:
        log.critical("%s", error)
        return EXIT_REFUSED
    except UnknownRulesError as error:
        log.critical("%s", error)
        return EXIT_RULES
    except (OSError, SQLAlchemyError) as error:
        log.critical("the history stops, nothing is lost: %s", error)
        return EXIT_DISK
    except Exception:
        log.critical("a fold met an impossible state; nothing of it was written", exc_info=True)
        return EXIT_BUG
    writer.close()
    log.info("stopped at sequence %d", writer.next_sequence)
    return 0


def _url(directory: Path, given: str | None) -> str:
    """Raises OSError, ValueError."""
    if given and engines.parse(given).password:
        raise ValueError(
            f"everybody on this machine can read a password in --url: put it into {addresses.NAME}"
        )
    return given or addresses.history_url(directory, addresses.Purpose.HISTORY)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-history", description="history in SQL")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--url", help="SQLAlchemy database URL without a password; default: see above")
    given = parser.parse_args()
    directory: Path = given.directory.absolute()
    set_up_logs("history")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        url = _url(directory, given.url)
    except (OSError, ValueError) as error:
        log.critical("%s; nothing was started", error)
        sys.exit(EXIT_INPUT)
    try:
        held = lock(directory)
    except BlockingIOError:
        log.critical("%s is in use by another history daemon; nothing was started", directory)
        sys.exit(EXIT_LOCKED)
    try:
        sys.exit(uvloop.run(follow(directory, url)))
    finally:
        os.close(held)


if __name__ == "__main__":
    main()

"""The exchange core: one process with the sequencer, the engine and the journal.

    python -m ringfence.daemons.core DIRECTORY

Gateways connect to `core.sock` in the directory. With a `cluster.toml` in it this is one of several machines, of
which one leads. Exit status: 0 asked to stop, 65 the journal is damaged, 70 the engine met an impossible state, 72
the journal is under rules that this build does not know, 74 the disk failed, 75 another core has the directory, 76
another machine leads: start again and follow it, 78 `ringfence.toml` is no good.
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

import uvloop

from ringfence.configuration import EXIT_CONFIG, Configuration, SettingsError, read_configuration
from ringfence.daemons.cluster import EXIT_FENCED, ClusterError, read_cluster
from ringfence.daemons.configuring import settings_of_core
from ringfence.daemons.core_line import Line, listen
from ringfence.daemons.core_loop import Core, NoRootsError, attach
from ringfence.daemons.crashes import forbid_core_dumps
from ringfence.daemons.measures.core import serving_core
from ringfence.exchange.feed import FeedWriteError
from ringfence.exchange.journal import (
    FencedError,
    JournalError,
    JournalReadError,
    JournalWriteError,
    StreamLostError,
)
from ringfence.exchange.sequencer import DivergedError, Sequencer, recover
from ringfence.messages.rules import EXIT_RULES, UnknownRulesError
from ringfence.monitoring.logs import set_up_logs

log = logging.getLogger("ringfence.core")

EXIT_CORRUPT, EXIT_BUG, EXIT_DISK, EXIT_LOCKED = 65, 70, 74, 75


def lock(directory: Path) -> int:
    """Return the lock on a data directory. Raises BlockingIOError if another core has it."""
    descriptor = os.open(directory / "core.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


class Told:
    """Says how far a replay is, once a second."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._at > 1:
            self._at = time.monotonic()
            log.info("replaying the journal: %d of %d commands", done, total)


async def serve(directory: Path) -> int:
    """Run the core of a directory, alone or as one of a cluster, until it is asked to stop; return the exit status."""
    try:
        written = read_configuration(directory)
        cluster = read_cluster(directory)
        if cluster is None:
            return await _serve_alone(directory, written)
        # Servers' clients and TLS are for those who have a cluster.
        from ringfence.daemons.replica import Replica

        return await Replica(directory, cluster, written, on_progress=Told()).run()
    except SettingsError as error:
        log.critical("%s; nothing was started", error)
        return EXIT_CONFIG
    except (JournalReadError, JournalWriteError, FeedWriteError) as error:
        log.critical("%s", error)
        return EXIT_DISK
    except (JournalError, StreamLostError, NoRootsError, ClusterError) as error:
        log.critical("%s", error)
        return EXIT_CORRUPT
    except FencedError as error:
        log.critical("%s", error)
        return EXIT_FENCED
    except UnknownRulesError as error:
        log.critical("%s", error)
        return EXIT_RULES
    except DivergedError as error:
        log.critical("%s", error)
        return EXIT_BUG
    except (IndexError, AssertionError):
        log.critical(
            "the engine met an impossible state; it stops before a wrong number is told", exc_info=True
        )
        return EXIT_BUG


async def _serve_alone(directory: Path, written: Configuration) -> int:
    started = time.monotonic()
    recovered = recover(directory, on_progress=Told())
    sequencer = Sequencer(recovered, directory)
    committer, gatekeeper = attach(directory, sequencer)
    settings = settings_of_core(directory, written, in_force=gatekeeper.configuration)
    gatekeeper.note_what_is_in_force()
    core = Core(sequencer, committer, gatekeeper, settings.core)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, core.stop)
    server = await listen(directory, lambda: Line(core))
    log.info(
        "ready at sequence %d after %.2f s, %d commands replayed",
        sequencer.next_sequence, time.monotonic() - started, recovered.replayed,
    )  # fmt: skip
    try:
        async with serving_core(directory, core):
            await core.run()
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

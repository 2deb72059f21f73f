"""What every judging process does: follow the feed, halt for what is found, report, and never fall behind unseen."""

import argparse
import asyncio
import logging
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from ringfence.commitments import ChainError, Root
from ringfence.daemons.bench import Bench, Finding
from ringfence.daemons.measures.judges import serving_judge
from ringfence.exchange.feed import FeedReader
from ringfence.messages.batch import Batch
from ringfence.messages.commands import TradingState
from ringfence.messages.events import Event
from ringfence.messages.rules import EXIT_RULES, RULES_NEWEST, UnknownRulesError
from ringfence.monitoring.logs import set_up_logs
from ringfence.units.time import NS_PER_MS, NS_PER_SECOND

log = logging.getLogger("ringfence.judging")

EXIT_INPUT = 66
LAG_HALTS_NS = 5 * NS_PER_SECOND
_POLL_SECONDS = 0.01
_REPORT_SECONDS = 1.0
_LATE_SECONDS = 2.0
_SLICE_SECONDS = 0.1


class JudgeDaemon(ABC):
    """One judge. What a judge is about is in its four methods; findings go to `found`."""

    def __init__(self, directory: Path, bench: Bench, *, next_sequence: int) -> None:
        self.directory, self.bench = directory, bench
        self.reader = FeedReader(directory / "feed", next_sequence=next_sequence)
        self.is_caught_up = False
        self.findings: list[Finding] = []
        """What nobody has lifted a halt after, one of each law."""
        self.last_root: Root | None = None
        self._lag_ns = self._lag_max_ns = 0
        self._late_since = time.monotonic()
        self._next_report = 0.0

    # ---- what a judge is about

    @abstractmethod
    def take(self, batch: Batch) -> None:
        """Look at the next batch."""

    @abstractmethod
    def look_at(self, root: Root) -> None:
        """Look at a root that was signed."""

    @abstractmethod
    async def idle(self) -> None:
        """Look at what comes with time; called between slices of batches."""

    @abstractmethod
    def evidence(self) -> dict[str, Any]:
        """Return what goes into a dump."""

    @abstractmethod
    def checks(self) -> tuple[int, int, dict[str, Any]]:
        """Return how many checks are green and red, and what else a report says."""

    # ---- what every judge does

    def find(self, finding: Finding) -> None:
        """Note a finding: it halts once the judge is as far as the exchange."""
        if finding.law not in {one.law for one in self.findings}:
            self.findings.append(finding)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            is_behind = self._follow()
            await self.idle()
            self._look_at_roots()
            if self.is_caught_up:
                self._note_lag()
                for finding in self.findings:
                    # Who does not keep up has found nothing: traders may still take their orders away.
                    state = TradingState.CANCEL_ONLY if finding.law == "LAG" else TradingState.HALTED
                    await self.bench.halt(finding, evidence=self.evidence(), state=state)
            self._say()
            await asyncio.sleep(0 if is_behind else _POLL_SECONDS)
        self.reader.close()

    def _follow(self) -> bool:
        """Take what has been published, for a while; return whether there is more."""
        until = time.monotonic() + _SLICE_SECONDS
        while time.monotonic() < until:
            batch = self.reader.read()
            if batch is None:
                self.is_caught_up = True
                self._lag_ns = 0
                return False
            self._lag_ns = time.time_ns() - batch.timestamp_ns
            if self.is_caught_up:
                self._lag_max_ns = max(self._lag_max_ns, self._lag_ns)
            self.take(batch)
            self._note_release(batch)
        return True

    def _note_release(self, batch: Batch) -> None:
        """What was found before somebody lifted a halt was known to them."""
        halts = batch.events[batch.events["kind"] == Event.HALT_SET]
        if any(row["qty"] < row["amount"] for row in halts):
            self.bench.lifted()
            self.findings.clear()

    def _look_at_roots(self) -> None:
        try:
            for root in self.bench.new_roots():
                self.look_at(root)
        except ChainError as error:
            self.find(Finding("I07", "the chain of roots is broken", "a chain", str(error), self.sequence))

    @property
    def sequence(self) -> int:
        return self.reader.next_sequence

    @property
    def lag_ns(self) -> int:
        return self._lag_ns

    def _note_lag(self) -> None:
        """Halt for a lag that is too long and does not go away; a machine that stood still makes one, too."""
        now = time.monotonic()
        if self._lag_ns <= LAG_HALTS_NS:
            self._late_since = now
        elif now - self._late_since > _LATE_SECONDS:
            lag = f"{self._lag_ns / NS_PER_SECOND:.1f} s"
            what = f"the {self.bench.name} does not keep up"
            self.find(Finding("LAG", what, "at most 5 s", lag, self.sequence))

    def _say(self) -> None:
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + _REPORT_SECONDS
        green, red, more = self.checks()
        red += len(self.findings) + (not self.is_caught_up)
        self.bench.report(
            {
                "sequence": self.sequence, "caughtUp": self.is_caught_up, "lagMs": self._lag_ns // NS_PER_MS,
                "lagMaxMs": self._lag_max_ns // NS_PER_MS, "green": green, "red": red,
                "rootSequence": self.last_root.sequence if self.last_root else None, **more,
                "rulesNewest": RULES_NEWEST, "findings": [finding._asdict() for finding in self.findings],
            }
        )  # fmt: skip
        if self.last_root is not None:
            self.bench.sign_checks(self.last_root, green=green, red=red)


async def _serve(open_daemon: Callable[[], JudgeDaemon]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    try:
        daemon = open_daemon()
    except (OSError, ValueError) as error:
        log.critical("%s; nothing was started", error)
        return EXIT_INPUT
    log.info("following from sequence %d", daemon.sequence)
    async with serving_judge(daemon):
        try:
            await daemon.run(stop)
        except UnknownRulesError as error:
            # Whoever cannot tell has found nothing: the exchange goes on, and is short of a judge.
            log.critical("%s", error)
            return EXIT_RULES
    log.info("stopped")
    return 0


def main(name: str, open_daemon: Callable[[Path], JudgeDaemon]) -> None:
    """Run a judge until it is asked to stop."""
    parser = argparse.ArgumentParser(
        prog=f"ringfence-{name}", description="a judge: it reads, and it may halt"
    )
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    set_up_logs(name)
    sys.exit(uvloop.run(_serve(lambda: open_daemon(directory))))

"""The shadow's process: it follows the feed, computes everything again, and halts at the first difference.

    python -m ringfence.daemons.shadow DIRECTORY

Of every batch: are the commands those that the journal's hash chain names, are the events those that the rules
give? Of every signed root: is it over the accounts and the venue that the shadow has? It lags behind the core
by some milliseconds; a lag of five seconds is itself a halt, because nobody checks then.
"""

import argparse
import asyncio
import hashlib
import logging
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import uvloop

from ringfence.assurance.shadow import disagreement
from ringfence.assurance.shadow.statements import account_statements, statement_of, venue_of
from ringfence.commitments import ChainError, Root, leaf_of, load_nonces, nonce_key, root_of
from ringfence.commitments.root import EventsHash
from ringfence.daemons.bench import Bench, Finding
from ringfence.daemons.shadow_state import load_shadow, save_shadow
from ringfence.exchange.feed import FeedReader
from ringfence.exchange.journal.frame import encode as encode_frame
from ringfence.messages.batch import Batch
from ringfence.messages.commands import TradingState
from ringfence.messages.events import Event
from ringfence.messages.layouts import RECORD_BYTES
from ringfence.units.time import NS_PER_SECOND

log = logging.getLogger("ringfence.shadow")

EXIT_INPUT = 66
_POLL_SECONDS = 0.01
_REPORT_SECONDS = 1.0
_SAVE_SECONDS = 60.0
_LATE_SECONDS = 2.0
LAG_HALTS_NS = 5 * NS_PER_SECOND
FULL_ACCOUNTS_MAX = 5_000
"""Up to so many accounts every root is computed as a whole; beyond, the events alone are checked at each root."""
_RELEASED = (int(Event.HALT_SET),)


class Moment(NamedTuple):
    """What the shadow has at a sequence of which a root is being made."""

    sequence: int
    event_count: int
    accounts_root: bytes
    venue: bytes
    journal: bytes
    events: bytes
    """Hash of the events since the moment before."""
    since: int
    """Sequence of the moment before, -1 = this process was not there."""


class ShadowJudge:
    """The shadow and what it has found out. `take` batches, `look_at` roots; findings come back."""

    def __init__(self, directory: Path, bench: Bench) -> None:
        self._bench = bench
        self._nonces = load_nonces(directory)
        self.shadow, self.head = load_shadow(directory)
        self._events = EventsHash(int(Event.AMENDED))
        self._moments: dict[int, Moment] = {}
        self._since = 0 if self.shadow.next_sequence == 0 else -1
        self._last_sequence = 0
        """Of the newest root that was looked at."""
        self.batches = self.events = self.roots = 0
        self.accounts_checked = 0
        self.last_root: Root | None = None
        self.findings: list[Finding] = []

    def take(self, batch: Batch) -> None:
        """Check one batch and remember what there is if a root is made of the moment before it."""
        if self._bench.root_begun() == self.shadow.next_sequence:
            self._note_moment()
        commands, said = batch.commands.tobytes(), batch.events.tobytes()
        _, self.head = encode_frame(
            commands, first_sequence=batch.first_sequence, timestamp_ns=batch.timestamp_ns, previous=self.head
        )
        events = self.shadow.step(commands, timestamp_ns=batch.timestamp_ns)
        if (found := disagreement(events, said)) is not None:
            self._find("I07", "the shadow gives another event", found.mine, found.theirs, found.sequence)
        self._events.update(said)
        self.batches += 1
        self.events += len(said) // RECORD_BYTES

    def _note_moment(self) -> None:
        sequence = self.shadow.next_sequence
        if sequence not in self._moments:
            self._moments[sequence] = self._moment()
            for old in sorted(self._moments)[:-8]:
                del self._moments[old]

    def _moment(self) -> Moment:
        venue = self.shadow.venue
        accounts_root = b""
        if len(venue.accounts) <= FULL_ACCOUNTS_MAX:
            epoch = self._nonces.epoch_key(venue.timestamp_ns)
            leaves = [leaf_of(nonce_key(epoch, n), one) for n, one in enumerate(account_statements(venue), 1)]
            accounts_root = root_of(leaves)
        since, self._since = self._since, self.shadow.next_sequence
        return Moment(
            self.shadow.next_sequence, self.shadow.event_count, accounts_root,
            hashlib.blake2b(venue_of(venue), digest_size=32).digest(), self.head, self._events.take(), since,
        )  # fmt: skip

    def look_at(self, root: Root) -> None:
        """Check a signed root, if the shadow was there when it was made."""
        if root.sequence == self.shadow.next_sequence:
            self._note_moment()
        moment = self._moments.pop(root.sequence, None)
        before, self._last_sequence = self._last_sequence, root.sequence
        if moment is None:
            return
        facts = [
            ("the number of events", moment.event_count, root.event_count),
            ("the hash of the journal's last frame", moment.journal.hex(), root.journal.hex()),
            ("the venue's statement", moment.venue.hex(), root.venue.hex()),
        ]
        if moment.since == before:  # else a root in between was begun and never written
            facts.append(("the hash of the events", moment.events.hex(), root.events.hex()))
        if moment.accounts_root:
            facts.append(("the root over all accounts", moment.accounts_root.hex(), root.accounts_root.hex()))
            self.accounts_checked = root.accounts
        for what, mine, theirs in facts:
            if mine != theirs:
                self._find(
                    "I07", f"a signed root has another value: {what}", str(mine), str(theirs), root.sequence
                )
        self.roots += 1
        self.last_root = root

    def _find(self, law: str, what: str, expected: str, found: str, sequence: int) -> None:
        self.findings.append(Finding(law, what, expected, found, sequence))

    def evidence(self) -> dict[str, object]:
        """Return what the shadow has, for a dump: every account's statement, the venue's, where it is."""
        venue = self.shadow.venue
        return {
            "nextSequence": self.shadow.next_sequence, "venue": venue_of(venue).hex(),
            "accounts": {number: statement_of(one).hex() for number, one in list(venue.accounts.items())[:1000]},
        }  # fmt: skip


class ShadowDaemon:
    def __init__(self, directory: Path) -> None:
        """Raises OSError, ValueError."""
        self._directory = directory
        self._bench = Bench(directory, "shadow")
        self._judge = ShadowJudge(directory, self._bench)
        self._reader = FeedReader(directory / "feed", next_sequence=self._judge.shadow.next_sequence)
        self._is_caught_up = False
        self._lag_ns = self._lag_max_ns = 0
        self._late_since = time.monotonic()
        self._next_report = self._next_save = 0.0
        self._found: list[Finding] = []

    async def run(self, stop: asyncio.Event) -> None:
        self._next_save = time.monotonic() + _SAVE_SECONDS
        while not stop.is_set():
            busy = self._follow()
            await self._halt_for(self._judge.findings)
            self._judge.findings.clear()
            self._say()
            if not busy:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                await asyncio.sleep(0)
        self._reader.close()
        if not self._found:
            save_shadow(self._directory, self._judge.shadow, self._judge.head)

    def _follow(self) -> bool:
        """Take what has been published, for a tenth of a second at most; return whether there is more."""
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            batch = self._reader.read()
            if batch is None:
                self._is_caught_up = True
                self._lag_ns = 0
                self._look_at_roots()
                return False
            self._lag_ns = time.time_ns() - batch.timestamp_ns
            self._lag_max_ns = max(self._lag_max_ns, self._lag_ns) if self._is_caught_up else 0
            self._judge.take(batch)
            if any(kind in _RELEASED for kind in batch.events["kind"].tolist()):
                self._note_release(batch)
        self._look_at_roots()
        return True

    def _note_release(self, batch: Batch) -> None:
        events = batch.events[batch.events["kind"] == Event.HALT_SET]
        if any(row["qty"] < row["amount"] for row in events):
            self._bench.lifted()
            self._found.clear()

    def _look_at_roots(self) -> None:
        try:
            for root in self._bench.new_roots():
                self._judge.look_at(root)
        except ChainError as error:
            self._judge.findings.append(
                Finding(
                    "I07", "the chain of roots is broken", "a chain", str(error), self._reader.next_sequence
                )
            )

    async def _halt_for(self, findings: list[Finding]) -> None:
        if self._is_late():
            lag = f"{self._lag_ns / NS_PER_SECOND:.1f} s"
            where = self._reader.next_sequence
            findings.append(Finding("LAG", "the shadow does not keep up", "at most 5 s", lag, where))
        for finding in findings:
            if finding.law not in {one.law for one in self._found}:
                self._found.append(finding)
            state = TradingState.CANCEL_ONLY if finding.law == "LAG" else TradingState.HALTED
            await self._bench.halt(finding, evidence=self._judge.evidence(), state=state)

    def _is_late(self) -> bool:
        """Return whether the lag is too long and does not go away: a machine that stood still makes one, too."""
        now = time.monotonic()
        if not self._is_caught_up or self._lag_ns <= LAG_HALTS_NS:
            self._late_since = now
        return now - self._late_since > _LATE_SECONDS

    def _say(self) -> None:
        now, judge = time.monotonic(), self._judge
        if now >= self._next_save and not self._found and self._is_caught_up:
            self._next_save = now + _SAVE_SECONDS
            save_shadow(self._directory, judge.shadow, judge.head)
        if now < self._next_report:
            return
        self._next_report = now + _REPORT_SECONDS
        red = len(self._found) + (not self._is_caught_up)
        accounts = len(judge.shadow.venue.accounts)
        self._bench.report(
            {
                "sequence": self._reader.next_sequence, "caughtUp": self._is_caught_up,
                "lagMs": self._lag_ns // 1_000_000, "lagMaxMs": self._lag_max_ns // 1_000_000,
                "batches": judge.batches, "events": judge.events, "roots": judge.roots,
                "rootSequence": judge.last_root.sequence if judge.last_root else None,
                "accounts": accounts, "accountsChecked": judge.accounts_checked,
                "mode": "full" if accounts <= FULL_ACCOUNTS_MAX else "events",
                "findings": [finding._asdict() for finding in self._found],
            }
        )  # fmt: skip
        if judge.last_root is not None:
            self._bench.sign_checks(
                judge.last_root, green=int(judge.roots > 0) + int(judge.batches > 0), red=red
            )


async def serve(directory: Path) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    try:
        daemon = ShadowDaemon(directory)
    except (OSError, ValueError) as error:
        log.critical("%s; nothing was started", error)
        return EXIT_INPUT
    log.info("following from sequence %d", daemon._reader.next_sequence)
    await daemon.run(stop)
    log.info("stopped")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="ringfence-shadow", description="the second implementation")
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    logging.basicConfig(level=logging.INFO, format="%(asctime)s shadow %(levelname)s %(message)s")
    sys.exit(uvloop.run(serve(directory)))


if __name__ == "__main__":
    main()

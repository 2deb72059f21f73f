"""The shadow's process: it follows the feed, computes everything again, and halts at the first difference.

    python -m ringfence.daemons.shadow DIRECTORY

Of every batch: are the commands those that the journal's hash chain names, are the events those that the rules
give? Of every signed root: is it over the accounts and the venue that the shadow has? It lags behind the core
by some milliseconds; a lag of five seconds is itself a halt, because nobody checks then.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, NamedTuple

import ringfence.assurance.shadow
from ringfence.assurance.shadow import Shadow, disagreement
from ringfence.assurance.shadow.statements import account_statements, statement_of, venue_of
from ringfence.commitments import Root, leaves_of, load_nonces, nonce_keys, root_of, venue_digest
from ringfence.commitments.root import EventsHash
from ringfence.daemons.bench import Bench, Finding
from ringfence.daemons.judge_state import JudgeState
from ringfence.daemons.judging import JudgeDaemon, main
from ringfence.exchange.journal import GENESIS
from ringfence.exchange.journal.frame import encode as encode_frame
from ringfence.messages.batch import Batch
from ringfence.messages.events import Event
from ringfence.messages.layouts import RECORD_BYTES

_SAVE_SECONDS = 60.0
FULL_ACCOUNTS_MAX = 5_000
"""Up to so many accounts every root is computed as a whole; beyond, the events alone are checked at each root."""


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


class ShadowDaemon(JudgeDaemon):
    def __init__(self, directory: Path) -> None:
        """Raises OSError, ValueError."""
        self._nonces = load_nonces(directory)
        self._state = JudgeState(directory, "shadow", ringfence.assurance.shadow)
        self.shadow: Shadow
        self.head: bytes
        self.shadow, self.head = self._state.load() or (Shadow(), GENESIS)
        super().__init__(directory, Bench(directory, "shadow"), next_sequence=self.shadow.next_sequence)
        self._hash = EventsHash(int(Event.AMENDED))
        self._moments: dict[int, Moment] = {}
        self._since = 0 if self.shadow.next_sequence == 0 else -1
        self._last_sequence = 0
        """Of the newest root that was looked at."""
        self._batches = self._events = self._roots = self._accounts_checked = 0
        self._next_save = time.monotonic() + _SAVE_SECONDS

    def take(self, batch: Batch) -> None:
        """Check one batch and remember what there is if a root is made of the moment before it."""
        if self.bench.root_begun() == self.shadow.next_sequence:
            self._note_moment()
        commands, said = batch.commands.tobytes(), batch.events.tobytes()
        _, self.head = encode_frame(
            commands, first_sequence=batch.first_sequence, timestamp_ns=batch.timestamp_ns, previous=self.head
        )
        events = self.shadow.step(commands, timestamp_ns=batch.timestamp_ns)
        if (found := disagreement(events, said)) is not None:
            self._find("I07", "the shadow gives another event", found.mine, found.theirs, found.sequence)
        self._hash.update(said)
        self._batches += 1
        self._events += len(said) // RECORD_BYTES

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
            statements = list(account_statements(venue))
            accounts_root = root_of(leaves_of(nonce_keys(epoch, len(statements)), statements))
        since, self._since = self._since, self.shadow.next_sequence
        return Moment(
            self.shadow.next_sequence, self.shadow.event_count, accounts_root,
            venue_digest(venue_of(venue)), self.head, self._hash.take(), since,
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
            self._accounts_checked = root.accounts
        for what, mine, theirs in facts:
            if mine != theirs:
                self._find(
                    "I07", f"a signed root has another value: {what}", str(mine), str(theirs), root.sequence
                )
        self._roots += 1
        self.last_root = root

    def _find(self, law: str, what: str, expected: str, found: str, sequence: int) -> None:
        self.find(Finding(law, what, expected, found, sequence))

    def evidence(self) -> dict[str, Any]:
        """Return what the shadow has, for a dump: every account's statement, the venue's, where it is."""
        venue = self.shadow.venue
        return {
            "nextSequence": self.shadow.next_sequence, "venue": venue_of(venue).hex(),
            "accounts": {number: statement_of(one).hex() for number, one in list(venue.accounts.items())[:1000]},
        }  # fmt: skip

    async def idle(self) -> None:
        if self.is_caught_up and not self.findings and time.monotonic() >= self._next_save:
            self._save()

    def _save(self) -> None:
        self._next_save = time.monotonic() + _SAVE_SECONDS
        self._state.save((self.shadow, self.head))

    async def run(self, stop: asyncio.Event) -> None:
        await super().run(stop)
        if not self.findings:
            self._save()

    def checks(self) -> tuple[int, int, dict[str, Any]]:
        accounts = len(self.shadow.venue.accounts)
        report = {
            "batches": self._batches, "events": self._events, "roots": self._roots, "accounts": accounts,
            "accountsChecked": self._accounts_checked, "mode": "full" if accounts <= FULL_ACCOUNTS_MAX else "events",
        }  # fmt: skip
        return (self._batches > 0) + (self._roots > 0), 0, report


if __name__ == "__main__":
    main("shadow", ShadowDaemon)

"""The auditor's process: laws over every batch, every cut of the state, the history database and the journal.

    python -m ringfence.daemons.auditor DIRECTORY

It keeps books of its own from the first command on and shares no arithmetic with the engine. A law that was not
looked at for too long counts as broken.
"""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import sqlalchemy

import ringfence.assurance.audit
from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.audit.finding import Finding as Broken
from ringfence.assurance.audit.law import When
from ringfence.assurance.audit.rows import Sweep, read_sweep
from ringfence.commitments import Root
from ringfence.daemons.bench import Bench, Finding
from ringfence.daemons.chains_reader import ChainsReader
from ringfence.daemons.custody_founding import FoundingError
from ringfence.daemons.halts import Target
from ringfence.daemons.judge_state import JudgeState
from ringfence.daemons.judging import JudgeDaemon, main
from ringfence.daemons.venue import read_venue
from ringfence.database.addresses import Purpose, of_exchange
from ringfence.exchange.journal import JournalError
from ringfence.exchange.journal.tail import JournalPlace, JournalTail
from ringfence.exchange.projections.history.schema import open_engine
from ringfence.messages.batch import Batch

_SWEEP_SECONDS = _SAVE_SECONDS = 60.0
_FIRST_SWEEP_SECONDS = 10.0
_CHAIN_SECONDS = 2.0
_BLOCKS = 32
"""Of 1,024 events each: what one sweep reads back."""
_FRAMES_PER_SLICE = 500


class AuditorDaemon(JudgeDaemon):
    def __init__(self, directory: Path) -> None:
        """Raises OSError, ValueError."""
        self._state = JudgeState(directory, "auditor", ringfence.assurance.audit)
        venue = read_venue(directory)
        self._has_custody = venue is not None and venue.custody != 0
        without = () if self._has_custody else (When.CHAIN,)
        held = self._state.load() or (Auditor(begun_ns=time.time_ns(), without=without), (0, 0, 0))
        self._auditor: Auditor = held[0]
        super().__init__(directory, Bench(directory, "auditor"), next_sequence=self._auditor.next_sequence)
        self._journal = JournalTail(directory / "journal", JournalPlace(*held[1]))
        self._history = self._open_history()
        self._cut_sequence = 0
        self._cuts = 0
        self._chain: ChainsReader | None = None
        self._next_chain = 0.0
        self._roots: dict[int, Root] = {}
        """Of the last cuts, until the cut is judged."""
        self._next_sweep = time.monotonic() + _FIRST_SWEEP_SECONDS
        self._next_save = time.monotonic() + _SAVE_SECONDS
        self._sweep: asyncio.Future[Sweep] | None = None
        # Which blocks are looked at is nobody's business beforehand.
        self._random = random.SystemRandom()

    def _open_history(self) -> sqlalchemy.Engine:
        """Return an engine by which nothing can be written and all questions of a sweep see one moment."""
        addresses = of_exchange(self.directory)
        if addresses is None:
            path = self.directory / "history.sqlite"
            return open_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
        return open_engine(addresses.of(Purpose.READER), is_pinged=True, isolation="REPEATABLE READ")

    def _has_history(self) -> bool:
        return self._history.dialect.name != "sqlite" or (self.directory / "history.sqlite").exists()

    # ---- what arrives

    def take(self, batch: Batch) -> None:
        self._take(self._auditor.on_batch(batch))

    def look_at(self, root: Root) -> None:
        self._roots[root.sequence] = root
        for old in sorted(self._roots)[:-60]:
            del self._roots[old]
        if root.sequence <= self._cut_sequence and (
            self.last_root is None or root.sequence > self.last_root.sequence
        ):
            self.last_root = root

    async def idle(self) -> None:
        self._read_journal()
        if not self.is_caught_up:
            return
        self._take(self._auditor.on_time(time.time_ns()))
        self._judge_cuts()
        self._judge_chain()
        await self._judge_rows()
        if not self.findings and time.monotonic() >= self._next_save:
            self._save()

    def _save(self) -> None:
        self._next_save = time.monotonic() + _SAVE_SECONDS
        self._state.save((self._auditor, tuple(self._journal.place)))

    async def run(self, stop: asyncio.Event) -> None:
        await super().run(stop)
        self._journal.close()
        if not self.findings:
            self._save()

    def _read_journal(self) -> None:
        try:
            for _ in range(_FRAMES_PER_SLICE):
                if self._journal.next_sequence >= self.sequence or (frame := self._journal.read()) is None:
                    return
                self._take(self._auditor.on_frame(frame))
        except (JournalError, OSError) as error:
            self._take(self._auditor.on_damage(str(error)))

    def _judge_cuts(self) -> None:
        """Judge the newest cut that the books have reached."""
        for path in sorted((self.directory / "cuts").glob("*.snapshot"), reverse=True):
            sequence = int(path.stem)
            if sequence <= self._cut_sequence:
                return
            if sequence > self.sequence:
                continue
            try:
                self._take(self._auditor.on_cut(path))
            except FileNotFoundError:
                continue  # it has just been replaced by newer ones
            self._cut_sequence = sequence
            self._cuts += 1
            if sequence in self._roots:
                self.last_root = self._roots[sequence]
            return

    def _judge_chain(self) -> None:
        """Hold the chain against the books, a few times a minute: at each block and after whatever moves coins."""
        if not self._has_custody or time.monotonic() < self._next_chain:
            return
        self._next_chain = time.monotonic() + _CHAIN_SECONDS
        if self._chain is None:
            try:
                self._chain = ChainsReader.of(self.directory)
            except (FoundingError, OSError, ValueError):
                return  # custody is being founded; the law grows stale if it never is
        self._take(self._auditor.on_chain(self._chain, time.time_ns()))

    async def _judge_rows(self) -> None:
        if self._sweep is None:
            if time.monotonic() < self._next_sweep or not self._has_history():
                return
            places = self._auditor.ledger.next_places(_BLOCKS, draw=self._random.sample)
            self._sweep = asyncio.get_running_loop().run_in_executor(None, read_sweep, self._history, places)
            return
        if not self._sweep.done():
            return
        sweep, self._sweep = self._sweep, None
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS
        try:
            self._take(self._auditor.on_rows(sweep.result()))
        except sqlalchemy.exc.SQLAlchemyError:
            return  # the database is being made, or is gone: the law grows stale, which counts as red

    def _take(self, found: list[Broken]) -> None:
        for one in found:
            target = Target(one.scope, one.halt_symbol)
            self.find(Finding(one.law, one.what, one.expected, one.found, max(one.sequence, 0), target))

    # ---- what it says

    def evidence(self) -> dict[str, Any]:
        return {
            "report": self._auditor.report(time.time_ns()),
            "findings": [str(one) for one in self._auditor.findings[:100]],
            "books": {"nextSequence": self._auditor.books.next_sequence},
        }

    def checks(self) -> tuple[int, int, dict[str, Any]]:
        rows = self._auditor.report(time.time_ns())
        verdicts = [row["verdict"] for row in rows]
        report = {
            "cuts": self._cuts, "cutSequence": self._cut_sequence, "laws": rows,
            "notLookedAt": [] if self._has_custody else ["I02: there is no custody"],
        }  # fmt: skip
        return verdicts.count("green"), verdicts.count("stale"), report


if __name__ == "__main__":
    main("auditor", AuditorDaemon)

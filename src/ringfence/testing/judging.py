"""Shows evidence to the real judges, in the order in which it would have come to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import create_engine

from ringfence.assurance.audit.auditor import Auditor
from ringfence.assurance.audit.cuts import Cut
from ringfence.assurance.audit.evidence import Evidence
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.law import Law
from ringfence.assurance.audit.laws import LAWS
from ringfence.assurance.audit.rows import Sweep, read_sweep
from ringfence.assurance.shadow import Shadow, disagreement
from ringfence.exchange.engine.snapshot import parts
from ringfence.exchange.engine.state import State
from ringfence.exchange.journal import JournalError, JournalReader
from ringfence.messages.batch import Batch
from ringfence.messages.commands import HaltScope
from ringfence.units.time import NS_PER_SECOND

SHADOW = "SHADOW"


class Witness:
    """The shadow's account of a true stretch, worked out once; lies about events are held against it.

    Where a lie changed what was asked for, the shadow itself is asked again.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        shadow = Shadow()
        self._batches = list(batches)
        self._said = [shadow.step(b.commands.tobytes(), timestamp_ns=b.timestamp_ns) for b in batches]

    def look(self, batches: Sequence[Batch], number: int) -> list[Finding]:
        """Return what the shadow has to say of a batch, given that it agreed with all before it."""
        batch = batches[number]
        if all(self._is_true(batches, n) for n in range(number + 1)):
            mine = self._said[number]
        else:
            shadow = Shadow()
            try:
                for before in batches[: number + 1]:
                    if before.first_sequence != shadow.next_sequence:
                        return [self._differ(batch, str(shadow.next_sequence), str(before.first_sequence))]
                    mine = shadow.step(before.commands.tobytes(), timestamp_ns=before.timestamp_ns)
            except AssertionError as error:
                return [self._differ(batch, "a frame that can follow", str(error))]
        parted = disagreement(mine, batch.events.tobytes())
        return [self._differ(batch, parted.mine, parted.theirs)] if parted else []

    def _is_true(self, batches: Sequence[Batch], number: int) -> bool:
        mine, theirs = self._batches[number], batches[number]
        return mine is theirs or (
            mine.timestamp_ns == theirs.timestamp_ns and np.array_equal(mine.commands, theirs.commands)
        )

    def _differ(self, batch: Batch, expected: str, found: str) -> Finding:
        return Finding(
            SHADOW, HaltScope.VENUE, batch.first_sequence, "what the shadow makes of it", expected, found
        )


class Verdict(NamedTuple):
    """The first that any judge had to say."""

    stage: str
    """What was looked at: batch, second, cut, frame, bytes, sweep, chain."""
    batch: int
    """Which batch it was, -1 = none."""
    findings: list[Finding]


def judge(
    evidence: Evidence, *, laws: Sequence[type[Law]] = LAWS, witness: Witness | None = None
) -> Verdict | None:
    """Return the first verdict, None if all is well as far as anybody can see."""
    auditor = Auditor(laws=laws)
    cuts = _cuts(evidence)
    for number, batch in enumerate(evidence.batches):
        found = auditor.on_batch(batch)
        if witness is not None and (found or number == evidence.planted_batch):
            found += witness.look(evidence.batches, number)
        if found:
            return Verdict("batch", number, found)
        if found := auditor.on_time(batch.timestamp_ns):
            return Verdict("second", number, found)
        state = cuts.get(batch.next_sequence)
        if state is not None and (found := auditor.on_cut(_cut_of(evidence, state()))):
            return Verdict("cut", number, found)
    for frame in evidence.frames:
        if found := auditor.on_frame(frame):
            return Verdict("frame", -1, found)
    if evidence.disk is not None and (found := _read_journal(evidence, auditor)):
        return Verdict("bytes", -1, found)
    if evidence.database is not None and (found := auditor.on_rows(sweep_of(evidence, auditor))):
        return Verdict("sweep", -1, found)
    now_ns = auditor.books.timestamp_ns + NS_PER_SECOND
    if evidence.chain is not None and (found := auditor.on_chain(evidence.chain, now_ns)):
        return Verdict("chain", -1, found)
    return None


def _cuts(evidence: Evidence) -> dict[int, Any]:
    """Return the cuts that are looked at: the one that was planted into, or all."""
    if evidence.planted_cut is None:
        return {sequence: lambda at=sequence: evidence.true_cut(at) for sequence in evidence.cut_at}
    cuts: dict[int, Any] = {int(evidence.planted_cut.header["sequence"]): lambda: evidence.planted_cut}
    if evidence.later_cut is not None:
        cuts[int(evidence.later_cut.header["sequence"])] = lambda: evidence.later_cut
    return cuts


def _cut_of(evidence: Evidence, state: State) -> Cut | Path:
    """Return the cut, or a file of it with a bit flipped."""
    if evidence.flip_cut_at < 0:
        return Cut.of(state)
    raw = bytearray(b"".join(map(bytes, parts(state))))
    raw[int(len(raw) * evidence.flip_cut_at)] ^= 1
    assert evidence.database is not None
    path = evidence.database.with_name("flipped.cut")
    path.write_bytes(raw)
    return path


def _read_journal(evidence: Evidence, auditor: Auditor) -> list[Finding]:
    try:
        reader = JournalReader(evidence.disk)
        for _ in reader.frames():
            pass
        reader.check_end(acknowledged=evidence.batches[-1].next_sequence)
    except JournalError as error:
        return auditor.on_damage(str(error))
    return []


def sweep_of(evidence: Evidence, auditor: Auditor) -> Sweep:
    """Read every block of the history database back, those included that nothing should be in."""
    engine = create_engine(f"sqlite:///{evidence.database}")
    sweep = read_sweep(
        engine, auditor.ledger.next_places(10_000, draw=lambda places, count: list(places[:count]))
    )
    engine.dispose()
    return sweep

"""The drill: every kind of lie in twenty places, told to the real judges, who must find each one.

Kinds are the faults of the laws, and those below: what a bug, a bad disk or an intruder would do without
thinking of any law. Each case takes a true stretch of a venue's life, plants one lie and shows it to an auditor
with all laws. What is counted: whether it was found, by which law, and how soon.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ringfence.assurance.audit.evidence import PLACES, Evidence, NothingToPlantError
from ringfence.assurance.audit.finding import Finding
from ringfence.assurance.audit.laws import LAWS
from ringfence.messages.events import Event, EventFlag
from ringfence.testing.judging import Verdict, Witness, judge
from ringfence.testing.stretch import Stretch

STRETCHES = ((2, 2_000_000), (7, 2_000_000), (31, 2_000_000), (32, 2_000_000), (54, 10**9))
"""Seeds and insurance funds: between them everything happens, deleveraging by both methods included."""


class Kind(NamedTuple):
    """One kind of lie."""

    name: str
    law: str
    """Whose fault it is; empty if it is nobody's in particular."""
    plant: Callable[[Evidence], None]


class Case(NamedTuple):
    """One lie in one place, and what became of it."""

    kind: Kind
    place: int
    verdict: Verdict | None
    batches: int
    """How many batches later than the lie it was found; what is no batch's is found where it is looked at."""

    @property
    def detected(self) -> bool:
        return self.verdict is not None

    @property
    def how_soon(self) -> str:
        if self.verdict is None:
            return "never"
        if self.verdict.stage == "batch":
            return "same batch" if self.batches <= 0 else "a later batch"
        return _HOW_SOON[self.verdict.stage]


_HOW_SOON = {
    "second": "next second", "cut": "next cut", "frame": "next frame", "bytes": "when it is read",
    "sweep": "next sweep", "chain": "next block",
}  # fmt: skip


class Row(NamedTuple):
    """All places of one kind."""

    kind: Kind
    planted: int
    detected: int
    how_soon: str
    laws: str


# ---- lies that are no law's in particular


def _invent_fill(evidence: Evidence) -> None:
    """A trade is told twice, and everything after it counted on."""
    event = evidence.event(Event.TRADE)
    batch = evidence.batches[evidence.planted_batch]
    at = _index(batch, event)
    evidence.replace_events(np.insert(batch.events, at, batch.events[at]))


def _drop_fill(evidence: Evidence) -> None:
    """A trade and the profits that it made are not told, and everything after it counted on."""
    event = evidence.event(Event.TRADE)
    batch = evidence.batches[evidence.planted_batch]
    at = _index(batch, event)
    end = at + 1
    while end < len(batch.events) and batch.events["kind"][end] == Event.REALISED:
        end += 1
    evidence.replace_events(np.delete(batch.events, slice(at, end)))


def _index(batch: Any, event: Any) -> int:
    return next(k for k, other in enumerate(batch.events) if other.tobytes() == event.tobytes())


def _trade_for_another(evidence: Evidence) -> None:
    event = evidence.event(Event.TRADE)
    event["account"] = event["account"] % 8 + 1


def _trade_with_another(evidence: Evidence) -> None:
    event = evidence.event(Event.TRADE)
    event["maker_account"] = event["maker_account"] % 8 + 1


def _other_contract(evidence: Evidence) -> None:
    event = evidence.event(Event.TRADE)
    event["symbol"] = event["symbol"] % 5 + 1


def _turn_sides(evidence: Evidence) -> None:
    evidence.event(Event.TRADE)["flags"] ^= EventFlag.SELL


def _smaller_fill(evidence: Evidence) -> None:
    event = evidence.event(Event.TRADE, lambda e: e["qty"] > 100)
    event["qty"] -= 100


def _fees_exchanged(evidence: Evidence) -> None:
    """The taker's fee for the maker and the other way round: the venue takes in what it did."""
    event = evidence.event(Event.TRADE, lambda e: e["amount"] != e["maker_amount"])
    event["amount"], event["maker_amount"] = event["maker_amount"].copy(), event["amount"].copy()


def _batch_twice(evidence: Evidence) -> None:
    number = evidence.planted_batch = evidence.pick(range(1, len(evidence.batches)))
    evidence.batches.insert(number, evidence.batches[number])
    evidence.planted_batch += 1


def _batches_exchanged(evidence: Evidence) -> None:
    number = evidence.planted_batch = evidence.pick(range(1, len(evidence.batches) - 1))
    batches = evidence.batches
    batches[number], batches[number + 1] = batches[number + 1], batches[number]


def _cancel_untold(evidence: Evidence) -> None:
    evidence.event(Event.CANCELED, lambda e: e["flags"] == 0)
    batch = evidence.batches[evidence.planted_batch]
    kept = (batch.events["kind"] != Event.CANCELED) | (batch.events["flags"] != 0)
    evidence.replace_events(batch.events[kept])


def _reject_as_cancel(evidence: Evidence) -> None:
    evidence.event(Event.REJECTED)["kind"] = Event.CANCELED


def _withdraw_less(evidence: Evidence) -> None:
    evidence.event(Event.WITHDRAWN)["amount"] -= 1


def _position_for_another(evidence: Evidence) -> None:
    event = evidence.event(Event.POSITION_SET)
    event["account"] = event["account"] % 8 + 1


def _unknown_kind(evidence: Evidence) -> None:
    evidence.event(Event.TICKED)["kind"] = 250


def _future_sequence(evidence: Evidence) -> None:
    evidence.event(Event.TICKED)["sequence"] += 1_000


def _flip_journal(evidence: Evidence) -> None:
    _flip(evidence, lambda size: 128 + evidence.place * 7)


def _flip_header(evidence: Evidence) -> None:
    _flip(evidence, lambda size: evidence.place * 5)


def _flip_anywhere(evidence: Evidence) -> None:
    _flip(evidence, lambda size: evidence.place * (size // PLACES) + 31 * evidence.place)


def _flip(evidence: Evidence, where: Callable[[int], int]) -> None:
    name = evidence.disk.names(".journal")[0]
    raw = bytearray(evidence.disk.read(name))
    used = len(bytes(raw).rstrip(b"\0"))
    raw[where(used) % used] ^= 1 << evidence.place % 8
    evidence.disk.put(name, bytes(raw))


def _cut_journal(evidence: Evidence) -> None:
    """The end of the journal is gone, though it was published."""
    name = evidence.disk.names(".journal")[-1]
    raw = evidence.disk.read(name)
    used = len(raw.rstrip(b"\0"))
    kept = used * evidence.place // PLACES
    evidence.disk.put(name, raw[:kept] + bytes(len(raw) - kept))


def _zero_sector(evidence: Evidence) -> None:
    name = evidence.disk.names(".journal")[0]
    raw = bytearray(evidence.disk.read(name))
    used = len(bytes(raw).rstrip(b"\0"))
    at = evidence.place * (used // PLACES) // 512 * 512
    raw[at : at + 512] = bytes(512)
    evidence.disk.put(name, bytes(raw))


def _flip_snapshot(evidence: Evidence) -> None:
    evidence.flip_cut_at = evidence.place / PLACES


def _wallet_of_many(evidence: Evidence) -> None:
    """A wallet so rich that a sum of 64 bits would come out as before."""
    wallets = evidence.cut().margins["wallet"]
    wallets[1:5] += 2**62


def _open_in_the_dark(evidence: Evidence) -> None:
    """A position and its counterpart that nobody traded: they sum to zero."""
    positions = evidence.cut().positions
    held = np.flatnonzero(positions["qty"])
    first = evidence.pick(held)
    others = held[(positions["symbol"][held] == positions["symbol"][first]) & (held != first)]
    if not len(others):
        raise NothingToPlantError
    positions["qty"][first] += 100
    positions["qty"][others[0]] -= 100


def _transfer_in_the_dark(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["leverage"] > 0)["transferred"] += 1


def _leverage_in_the_dark(evidence: Evidence) -> None:
    evidence.rows("positions", lambda table: table["account"] != 0)["leverage"] += 100


def _owner_of_order(evidence: Evidence) -> None:
    evidence.rows("orders", lambda table: table["leaves"] > 0)["position"] += 1


def _filled_more(evidence: Evidence) -> None:
    evidence.rows("orders", lambda table: table["leaves"] > 0)["filled"] += 100


def _sequence_of_cut(evidence: Evidence) -> None:
    evidence.cut().header["event_count"] += 1 + evidence.place


OTHERS = (
    Kind("a fill invented", "", _invent_fill),
    Kind("a fill dropped", "", _drop_fill),
    Kind("a fill for another taker", "", _trade_for_another),
    Kind("a fill with another maker", "", _trade_with_another),
    Kind("a fill in another contract", "", _other_contract),
    Kind("a fill with its sides turned", "", _turn_sides),
    Kind("a fill that is smaller", "", _smaller_fill),
    Kind("fees of taker and maker exchanged", "", _fees_exchanged),
    Kind("a batch told twice", "", _batch_twice),
    Kind("two batches exchanged", "", _batches_exchanged),
    Kind("a cancel not told", "", _cancel_untold),
    Kind("a refusal told as a cancel", "", _reject_as_cancel),
    Kind("a withdrawal of less", "", _withdraw_less),
    Kind("a setting of another account", "", _position_for_another),
    Kind("an event of no known kind", "", _unknown_kind),
    Kind("an event of a command to come", "", _future_sequence),
    Kind("a bit of a frame's commands", "", _flip_journal),
    Kind("a bit of a frame's header", "", _flip_header),
    Kind("a bit anywhere in the journal", "", _flip_anywhere),
    Kind("a journal cut short", "", _cut_journal),
    Kind("a sector of the journal zeroed", "", _zero_sector),
    Kind("a bit of a cut's file", "", _flip_snapshot),
    Kind("wallets that wrap a sum", "", _wallet_of_many),
    Kind("a position opened in the dark", "", _open_in_the_dark),
    Kind("margin moved into a position in the dark", "", _transfer_in_the_dark),
    Kind("leverage changed in the dark", "", _leverage_in_the_dark),
    Kind("an order of another position", "", _owner_of_order),
    Kind("an order that was filled further", "", _filled_more),
    Kind("a cut that counts other events", "", _sequence_of_cut),
)


def kinds() -> list[Kind]:
    """Return all kinds: the laws' own first."""
    return [Kind(fault.name, law.id, fault.plant) for law in LAWS for fault in law.faults] + list(OTHERS)


# ---- the drill


def stretches(count: int = 900) -> list[Stretch]:
    return [Stretch(seed, count=count, fund=fund) for seed, fund in STRETCHES]


def evidence_for(stretch_list: Sequence[Stretch], kind: Kind, place: int) -> tuple[Evidence, int] | None:
    """Return evidence with the lie in this place, and which stretch it is; None if there is nowhere to tell it.

    Where this place has nothing that the lie could be about, the next one has its turn.
    """
    for shift in range(PLACES):
        for offset in range(len(stretch_list)):
            number = (place + offset) % len(stretch_list)
            evidence = stretch_list[number].evidence(place=(place + shift) % PLACES)
            try:
                kind.plant(evidence)
            except NothingToPlantError:
                continue
            return evidence, number
    return None


def witnesses(stretch_list: Sequence[Stretch]) -> list[Witness]:
    """Return what the shadow makes of each stretch."""
    return [Witness(stretch.batches) for stretch in stretch_list]


def run(
    stretch_list: Sequence[Stretch], kind: Kind, places: Sequence[int], shadows: Sequence[Witness] = ()
) -> Iterator[Case]:
    """Tell one kind of lie in each place."""
    for place in places:
        found = evidence_for(stretch_list, kind, place)
        if found is not None:
            evidence, number = found
            verdict = judge(evidence, witness=shadows[number] if shadows else None)
            late = verdict.batch - evidence.planted_batch if verdict and verdict.stage == "batch" else 0
            yield Case(kind, place, verdict, late)


def row_of(kind: Kind, cases: Sequence[Case]) -> Row:
    soon = Counter(case.how_soon for case in cases)
    laws: Counter[str] = Counter()
    for case in cases:
        if case.verdict is not None:
            laws.update({finding.law for finding in case.verdict.findings})
    return Row(
        kind, len(cases), sum(case.detected for case in cases),
        ", ".join(f"{how} {n}" if len(soon) > 1 else how for how, n in soon.most_common()),
        " ".join(law for law, _ in laws.most_common(4)),
    )  # fmt: skip


def false_halts(seeds: Sequence[int], on_seed: Callable[[int], None] = lambda seed: None) -> list[Finding]:
    """Show true stretches to the auditor, and return what it had to say all the same."""
    found: list[Finding] = []
    for seed in seeds:
        stretch = Stretch(seed, fund=(2_000_000, 10**9, 0)[seed % 3])
        verdict = judge(stretch.evidence())
        found += verdict.findings if verdict else []
        stretch.close()
        on_seed(seed)
    return found

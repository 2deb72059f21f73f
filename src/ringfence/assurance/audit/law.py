"""What a law is, when it is looked at, and the faults that show that it looks."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ringfence.assurance.audit.finding import Finding
from ringfence.messages.commands import HaltScope
from ringfence.messages.events import Event

if TYPE_CHECKING:
    from ringfence.assurance.audit.books import Books, Look
    from ringfence.assurance.audit.chains import ChainReader
    from ringfence.assurance.audit.cuts import Cut
    from ringfence.assurance.audit.evidence import Evidence
    from ringfence.assurance.audit.rows import Ledger, Sweep
    from ringfence.exchange.journal import Frame
    from ringfence.messages.batch import Batch

Findings = Iterable[Finding]


class When(StrEnum):
    """How often a law is looked at; `STALE_NS` says after how long without it a law counts as broken."""

    BATCH = "every batch"
    SECOND = "every second"
    CUT = "every cut (5 s)"
    SWEEP = "every database sweep (60 s)"
    FRAME = "every frame of the journal"
    CHAIN = "every block, at most 10 min"


_SECOND_NS = 10**9
STALE_NS: dict[When, int] = {
    When.BATCH: 120 * _SECOND_NS,
    When.SECOND: 120 * _SECOND_NS,
    When.CUT: 20 * _SECOND_NS,
    When.SWEEP: 180 * _SECOND_NS,
    When.FRAME: 120 * _SECOND_NS,
    When.CHAIN: 1_800 * _SECOND_NS,
}
"""The core speaks once a minute at least (a TICK), so two without a batch are a core that is gone."""


class Fault(NamedTuple):
    """What a law must catch: a small lie, planted into evidence that is true."""

    name: str
    plant: Callable[["Evidence"], None]


class Law:
    """One law. It remembers what it needs between looks, so every auditor has laws of its own."""

    id: ClassVar[str]
    says: ClassVar[str]
    """In one sentence, what holds."""
    when: ClassVar[tuple[When, ...]]
    halts: ClassVar[HaltScope]
    faults: ClassVar[tuple[Fault, ...]]

    # ---- what it looks at; each law has some of these

    def begin(self, books: "Books", batch: "Batch") -> Findings:
        """Look at a batch before it is entered."""
        return ()

    def at(self) -> Mapping[Event, "Look"]:
        """Return who looks at which event before it is entered."""
        return {}

    def end(self, books: "Books") -> Findings:
        """Look at the books after each command."""
        return ()

    def second(self, books: "Books") -> Findings:
        """Look at all of the books, once a second."""
        return ()

    def cut(self, cut: "Cut", books: "Books") -> Findings:
        """Hold the engine's own tables against the books at the same sequence."""
        return ()

    def frame(self, frame: "Frame") -> Findings:
        """Look at the next frame of the journal."""
        return ()

    def sweep(self, sweep: "Sweep", expected: "Ledger", books: "Books") -> Findings:
        """Look at rows of the history database."""
        return ()

    def chain(self, reader: "ChainReader", books: "Books", now_ns: int) -> Findings:
        """Look at a chain."""
        return ()

    # ---- what it says

    def broken(
        self,
        sequence: int,
        what: str,
        expected: object,
        found: object,
        *,
        symbol: int = -1,
        scope: HaltScope | None = None,
    ) -> Finding:
        return Finding(
            self.id, self.halts if scope is None else scope, sequence, what, str(expected), str(found), symbol
        )

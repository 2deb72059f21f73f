"""One report's way from received to disclosed, and what is due when."""

from enum import StrEnum

import msgspec

from ringfence.assurance.disclosure.severity import BANDS, Band
from ringfence.units.time import NS_PER_DAY

ACKNOWLEDGE_NS = NS_PER_DAY
TRIAGE_NS = 3 * NS_PER_DAY
DISCLOSE_NS = 90 * NS_PER_DAY


class State(StrEnum):
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    TRIAGED = "triaged"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    FIXED = "fixed"
    DISCLOSED = "disclosed"


FOLLOWS: dict[State, tuple[State, ...]] = {
    State.RECEIVED: (State.ACKNOWLEDGED,),
    State.ACKNOWLEDGED: (State.TRIAGED, State.REJECTED),
    State.TRIAGED: (State.ACCEPTED, State.REJECTED, State.DUPLICATE),
    State.ACCEPTED: (State.FIXED,),
    # What was turned down may be looked at again: whoever reported it may have been right.
    State.REJECTED: (State.TRIAGED,),
    State.DUPLICATE: (State.TRIAGED,),
    State.FIXED: (State.ACCEPTED, State.DISCLOSED),
    State.DISCLOSED: (),
}
OVER = (State.REJECTED, State.DUPLICATE, State.DISCLOSED)


class Step(msgspec.Struct, frozen=True):
    """A state that was reached."""

    state: State
    at_ns: int
    by: str


class Message(msgspec.Struct, frozen=True):
    """Something that one side has sealed for the other."""

    at_ns: int
    by: str
    sealed: str
    """Armoured age; of a reporter's follow-up the name of its blob."""
    sha256: str | None = None
    """Of a follow-up's blob."""


class Case(msgspec.Struct):
    """What is known of a report without reading it."""

    id: str
    received_ns: int
    blob: str
    sha256: str
    secret_sha256: str
    steps: list[Step]
    messages: list[Message] = []
    follow_ups: list[Message] = []
    changes: int = 0
    """How many changes there were: each names its number, so none counts twice."""
    band: Band | None = None
    vector: str = ""
    duplicate_of: str = ""
    reward_usd: int = 0
    name: str = ""
    """How who reported it is thanked, if they want to be."""
    title: str = ""
    advisory: str = ""

    @property
    def state(self) -> State:
        return self.steps[-1].state

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class Due(msgspec.Struct, frozen=True):
    what: str
    at_ns: int

    def is_missed(self, now_ns: int) -> bool:
        return now_ns > self.at_ns


def due(case: Case) -> Due | None:
    """Return what has to happen next and until when, None if nothing has. Every clock starts with the report."""
    if case.state == State.RECEIVED:
        return Due("acknowledge", case.received_ns + ACKNOWLEDGE_NS)
    if case.state == State.ACKNOWLEDGED:
        return Due("triage", case.received_ns + TRIAGE_NS)
    if case.state in (State.TRIAGED, State.ACCEPTED):
        assert case.band is not None
        return Due("fix", case.received_ns + BANDS[case.band].fix_ns)
    if case.state == State.FIXED:
        return Due("disclose", case.received_ns + DISCLOSE_NS)
    return None

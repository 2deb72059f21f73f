"""Where two runs of the same commands part, in words."""

from typing import NamedTuple

from ringfence.messages.commands import InstrumentState
from ringfence.messages.events import CancelReason, Event, EventFlag, LiquidationStep
from ringfence.messages.layouts import EVENT_NAMES, EVENT_STRUCT, RECORD_BYTES
from ringfence.messages.rejects import Reject

_NAMES: dict[tuple[int, str], type[CancelReason | Reject | LiquidationStep | InstrumentState]] = {
    (Event.CANCELED, "flags"): CancelReason,
    (Event.REJECTED, "amount"): Reject,
    (Event.LIQUIDATION, "px"): LiquidationStep,
    (Event.STATE_SET, "qty"): InstrumentState,
}
"""Fields that are numbers of an enumeration."""
_WITH_FLAGS = (Event.ACCEPTED, Event.TRADE, Event.AMENDED, Event.TRIGGERED, Event.DELEVERAGED, Event.DEPOSITED,
               Event.WITHDRAWN)  # fmt: skip


class Disagreement(NamedTuple):
    """The first event that is not the same."""

    sequence: int
    """Of the command that caused it, on the side that is first."""
    place: int
    """Among the events compared, from 0."""
    mine: str
    theirs: str

    def __str__(self) -> str:
        return f"command {self.sequence}, event {self.place}: here {self.mine}; there {self.theirs}"


def disagreement(mine: bytes, theirs: bytes) -> Disagreement | None:
    """Return where the 64-byte events of one frame part, None if they are the same."""
    if mine == theirs:
        return None
    size = max(len(mine), len(theirs))
    at = next(k for k in range(0, size, RECORD_BYTES) if _event(mine, k) != _event(theirs, k))
    here, there = _event(mine, at), _event(theirs, at)
    sequences = [int.from_bytes(event[:8], "little") for event in (here, there) if event]
    return Disagreement(min(sequences), at // RECORD_BYTES, in_words(here), in_words(there))


def _event(events: bytes, at: int) -> bytes:
    return events[at : at + RECORD_BYTES]


def in_words(event: bytes) -> str:
    """Return one event in words: its kind and the fields that say something; `nothing` for no event."""
    if not event:
        return "nothing"
    fields = dict(zip(EVENT_NAMES, EVENT_STRUCT.unpack(event), strict=True))
    kind = fields.pop("kind")
    name = Event(kind).name if kind in set(Event) else f"event {kind}"
    said = [f"{field} {_value(kind, field, value)}" for field, value in fields.items() if value]
    return " ".join([name, *said])


def _value(kind: int, field: str, value: int) -> str:
    if field.endswith("handle"):
        return f"{value >> 32}/{value & 0xFFFFFFFF}"
    if field == "flags" and kind in _WITH_FLAGS:
        return "+".join(flag.name or "?" for flag in EventFlag if value & flag)
    names = _NAMES.get((kind, field))
    return names(value).name if names is not None and value in set(names) else str(value)

"""What is said where two runs part: it is the first thing that somebody reads after a halt."""

from ringfence.assurance.shadow import disagreement, in_words
from ringfence.messages.events import CancelReason, Event, EventFlag
from ringfence.messages.layouts import EVENT_STRUCT


def event(sequence: int, kind: int, *, amount: int = 0, handle: int = 0, flags: int = 0) -> bytes:
    return EVENT_STRUCT.pack(sequence, handle, 0, 0, amount, 0, 0, 0, 0, 0, kind, flags)


def test_the_same_bytes_are_no_disagreement() -> None:
    assert disagreement(b"", b"") is None
    assert disagreement(event(1, Event.TICKED), event(1, Event.TICKED)) is None


def test_the_first_event_that_differs_is_named_with_its_command() -> None:
    same = event(4, Event.TICKED)
    found = disagreement(
        same + event(5, Event.DEPOSITED, amount=1), same + event(5, Event.DEPOSITED, amount=2)
    )
    assert found is not None
    assert (found.sequence, found.place) == (5, 1)
    assert found.mine == "DEPOSITED sequence 5 amount 1"
    assert found.theirs == "DEPOSITED sequence 5 amount 2"


def test_an_event_that_only_one_has_is_named() -> None:
    same = event(4, Event.TICKED)
    found = disagreement(same, same + event(6, Event.TICKED))
    assert found is not None
    assert (found.sequence, found.mine, found.theirs) == (6, "nothing", "TICKED sequence 6")


def test_numbers_that_have_names_are_named() -> None:
    handle = 9 << 32 | 3
    said = in_words(event(9, Event.CANCELED, handle=handle, flags=CancelReason.POST_ONLY))
    assert said == "CANCELED sequence 9 handle 9/3 flags POST_ONLY"
    said = in_words(event(9, Event.TRADE, flags=EventFlag.SELL | EventFlag.MAKER_DONE))
    assert said == "TRADE sequence 9 flags SELL+MAKER_DONE"
    assert in_words(event(9, 200)) == "event 200 sequence 9"

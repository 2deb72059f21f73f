"""Our messages against the tables of FIX 4.4, written down here a second time, by hand."""

import pytest

from ringfence.exchange.fix.dictionary import INCOMING, Fault
from ringfence.exchange.fix.message import Message, Unreadable, encode, fields_of, parse_time, time_text
from ringfence.testing.fix import FixClient, Row, frame, stamp
from ringfence.testing.venue import Venue
from tests.fix.conftest import Make

HEADER = {8, 9, 35, 49, 56, 34, 52, 10}
REQUIRED_OUT = {
    "0": set(), "1": {112}, "2": {7, 16}, "3": {45}, "4": {36}, "5": set(), "A": {98, 108},
    "8": {37, 17, 150, 39, 55, 54, 151, 14, 6}, "9": {37, 11, 41, 39, 434}, "j": {372, 380}, "r": {37, 530, 531},
}  # fmt: skip
"""What the standard requires of each message that we send. (ExecutionReport's OrderID and ExecID included.)"""
REQUIRED_IN = {
    "0": set(), "1": {112}, "2": {7, 16}, "3": {45}, "4": {36}, "5": set(), "A": {98, 108}, "j": {372, 380},
    "D": {11, 55, 54, 60, 40}, "F": {41, 11, 55, 54, 60}, "G": {41, 11, 55, 54, 60, 40}, "H": {11, 55, 54},
    "q": {11, 530, 60},
}  # fmt: skip
OURS_OF_LOGON = {553, 95, 96}
EXEC_TYPES, ORD_STATUSES = set("04F58IL"), set("01248")


def test_what_we_require_is_what_the_standard_requires() -> None:
    found = {kind: set(map(int, spec.required)) for kind, spec in INCOMING.items()}
    found["A"] -= OURS_OF_LOGON
    assert found == REQUIRED_IN


def check(message: Row) -> None:
    missing = (HEADER | REQUIRED_OUT[message[35]]) - set(message)
    assert not missing, (missing, message)
    assert list(message)[:3] == [8, 9, 35], "the first three fields stand where they must"
    assert list(message)[-1] == 10
    if message[35] == "8":
        assert message[150] in EXEC_TYPES
        assert message[39] in ORD_STATUSES
        assert int(message[38]) >= int(message[14]) + int(message[151]) or message[39] == "8"
        if message[150] == "F":
            assert {31, 32} <= set(message)
        if message[39] in "248":
            assert message[151] == "0"
    for tag in (6, 31, 44, 99):
        if tag in message:
            assert set(message[tag]) <= set("0123456789."), "a plain decimal"


def test_everything_that_we_send_has_what_the_standard_requires(make: Make, fix_venue: Venue) -> None:
    client: FixClient = make(1)
    other: FixClient = make(2)
    quiet: FixClient = make(3, heartbeat=1)
    client.log_on()
    other.log_on()
    client.place("n1", "1", 200, "9999.5")
    client.report("n1", kind="0")
    other.place("n2", "2", 100, "9999.5", t59="3")
    client.report("n1", kind="F")
    client.place("n3", "1", 100, None, t40="3", t99="12000")
    client.replace("n4", "n1", "1", t38="300", t44="9999")
    client.cancel("n5", "n4", "1")
    client.cancel("n6", "n4", "1")
    client.place("n7", "1", 100, "9999.77")
    client.send("H", (11, "n3"), (55, "XBTUSD"), (54, "1"))
    client.send("q", (11, "n8"), (530, "7"), (60, stamp()))
    client.send("V", (262, "x"))
    client.send("1", (112, "x"), (58, "y"))
    client.send("2", (7, 1), (16, 0))
    client.report("n8")
    client.until(lambda m: m[35] == "4")
    client.raw("0")
    client.send("0")
    client.until(lambda m: m[35] == "2")
    client.log_out()
    # One that says nothing hears a Heartbeat and is asked.
    quiet.log_on()
    quiet.until(lambda m: m[35] == "0")
    quiet.until(lambda m: m[35] == "1")
    heard = client.heard + other.heard + quiet.heard
    seen = {message[35] for message in heard}
    assert seen == set(REQUIRED_OUT), set(REQUIRED_OUT) - seen
    for message in heard:
        check(message)


def test_a_message_is_read_as_it_was_written() -> None:
    raw = encode(
        "8",
        [(58, "two\nlines\x01and more"), (55, "XBTUSD")],
        sender="A",
        target="B",
        seq=7,
        sent_ns=1_000_000,
    )
    kind, fields, sent = fields_of(raw)
    assert (kind, sent) == ("8", "19700101-00:00:00.001")
    assert fields == [(58, "two | lines?and more"), (55, "XBTUSD")]
    assert parse_time(time_text(1_790_000_000_123_000_000)) == 1_790_000_000_123_000_000


def test_what_has_no_number_is_unreadable_and_what_is_unknown_is_a_problem() -> None:
    with pytest.raises(Unreadable):
        Message(frame((35, "0"), (49, "A"), (56, "B"), (52, stamp())))
    message = Message(frame((35, "0"), (49, "A"), (56, "B"), (34, 1), (52, stamp()), (110, 5)))
    assert message.problem is not None
    assert (message.problem.fault, message.problem.tag) == (Fault.TAG_NOT_DEFINED, 110)

"""The session layer against the standard's test cases (FIX 4.4, volume 2): one line of the table a case.

The gateway is the acceptor. Each case says what a client does on a raw socket and what it hears.
"""

import hashlib
import hmac
import time
from collections.abc import Callable

import pytest

from ringfence.exchange.fix.dictionary import Fault
from ringfence.testing.client import Client
from ringfence.testing.fix import SOH, FixClient, frame, signature, stamp
from ringfence.testing.venue import Venue
from tests.fix.conftest import Make

Case = Callable[[FixClient], None]
CASES: dict[str, Case] = {}


def case(number: str) -> Callable[[Case], Case]:
    def note(test: Case) -> Case:
        CASES[f"{number} {(test.__doc__ or '').splitlines()[0]}"] = test
        return test

    return note


def alive(client: FixClient) -> None:
    """The session is in order: a TestRequest is answered, and nobody asks for anything again."""
    name = f"alive{time.monotonic_ns()}"
    client.send("1", (112, name))
    client.until(lambda m: m[35] == "0" and m.get(112) == name)


def rejected(client: FixClient, tag: int | None, fault: Fault) -> None:
    found = client.until(lambda m: m[35] == "3")
    assert found[373] == str(int(fault)), found
    if tag is not None:
        assert found[371] == str(tag), found


def farewell(client: FixClient, words: str) -> None:
    found = client.until(lambda m: m[35] == "5")
    assert words in found[58], found
    assert client.is_hung_up()


# ---- 1S: logon


@case("1S.a")
def _valid(client: FixClient) -> None:
    """a valid Logon is answered with a Logon"""
    answer = client.log_on()
    assert (answer[35], answer[34], answer[98], answer[108]) == ("A", "1", "0", "30")
    alive(client)


@case("1S.b")
def _second_connection(client: FixClient) -> None:
    """a second connection of a session that is logged on is turned away, and the first lives on"""
    client.log_on()
    second = FixClient(client.port, 1, sender=client.sender)
    second.next_out = 2
    assert "already" in second.log_on()[58]
    assert second.is_hung_up()
    alive(client)


@case("1S.c")
def _too_high_logon(client: FixClient) -> None:
    """a Logon whose number is too high is taken, and what is before it asked for"""
    client.next_out = 5
    assert client.log_on()[35] == "A"
    ask = client.until(lambda m: m[35] == "2")
    assert (ask[7], ask[16]) == ("1", "0")
    alive(client)


@case("1S.d")
def _too_low_logon(client: FixClient) -> None:
    """a Logon whose number is too low is answered with a Logout that says what is expected"""
    client.log_on()
    client.log_out()
    client.next_out, client.heard = 1, []
    client.log_on()
    farewell(client, "expecting 3 but received 1")


@case("1S.e")
def _first_not_logon(client: FixClient) -> None:
    """a first message that is no Logon ends the connection without an answer"""
    client.connect()
    client.send("0")
    assert client.is_hung_up()
    assert not client.heard


@case("1S.f")
def _reset(client: FixClient) -> None:
    """ResetSeqNumFlag begins both numbers anew"""
    client.log_on()
    alive(client)
    client.log_out()
    answer = client.log_on(reset=True)
    assert (answer[34], answer[141]) == ("1", "Y")
    alive(client)


@case("1S.g")
def _second_logon(client: FixClient) -> None:
    """a second Logon in a session is rejected and the session goes on"""
    client.log_on()
    proof = signature(client.secret, "x")
    client.send("A", (98, 0), (108, 30), (553, client.key), (95, len(proof)), (96, proof))
    rejected(client, 35, Fault.MSG_TYPE)
    alive(client)


# ---- 2S: messages


@case("2S.a")
def _in_order(client: FixClient) -> None:
    """a message with the expected number is taken"""
    client.log_on()
    alive(client)


@case("2S.b")
def _too_high(client: FixClient) -> None:
    """a number that is too high brings a ResendRequest, and what was missing is carried out in order"""
    client.log_on()
    lost = client.raw(
        "D", (11, "lost"), (55, "XBTUSD"), (54, 1), (60, stamp()), (38, 100), (40, 2), (44, 9000)
    )
    assert lost
    client.cancel("after", "lost", "1")
    ask = client.until(lambda m: m[35] == "2")
    assert (ask[7], ask[16]) == ("2", "0")
    assert client.report("lost")[39] == "0"
    assert client.report("after")[39] == "4"
    alive(client)
    assert sum(m.get(11) == "lost" and m[150] == "0" for m in client.messages) == 1


@case("2S.c")
def _too_low(client: FixClient) -> None:
    """a number that is too low without PossDupFlag ends the session"""
    client.log_on()
    alive(client)
    client.send("0", seq=2)
    farewell(client, "too low, expecting 3 but received 2")


@case("2S.d")
def _possible_duplicate(client: FixClient) -> None:
    """a number that is too low with PossDupFlag is passed over: an order is not placed twice"""
    client.log_on()
    client.place("once", "1", 100, "9000")
    client.report("once")
    client.send("D", *client.sent[2][1:], seq=2, dup=True)
    alive(client)
    assert sum(m.get(11) == "once" for m in client.messages) == 1


@case("2S.e")
def _duplicate_later(client: FixClient) -> None:
    """a possible duplicate that says it was sent first later than now ends the session"""
    client.log_on()
    alive(client)
    client.send("0", seq=2, dup=True, original=stamp(time.time() + 20))
    rejected(client, 122, Fault.SENDING_TIME)
    farewell(client, "OrigSendingTime")


@case("2S.f")
def _no_original_time(client: FixClient) -> None:
    """a possible duplicate without OrigSendingTime is rejected"""
    client.log_on()
    alive(client)
    head = [(35, "0"), (49, client.sender), (56, client.target), (34, 2), (43, "Y"), (52, stamp())]
    client.send_raw(frame(*head))
    rejected(client, 122, Fault.REQUIRED_TAG)
    alive(client)


@case("2S.g")
def _version(client: FixClient) -> None:
    """another BeginString ends the session"""
    client.log_on()
    client.send("0", begin="FIX.4.2")
    farewell(client, "BeginString")


@case("2S.h")
def _comp_id(client: FixClient) -> None:
    """another CompID is rejected and ends the session"""
    client.log_on()
    client.send("0", sender="SOMEBODY")
    rejected(client, 49, Fault.COMP_ID)
    farewell(client, "CompID")


@case("2S.i")
def _clock(client: FixClient) -> None:
    """a SendingTime two minutes off is rejected and ends the session"""
    client.log_on()
    client.send("0", sent=stamp(time.time() - 120))
    rejected(client, 52, Fault.SENDING_TIME)
    farewell(client, "SendingTime")


@case("2S.j")
def _unknown_type(client: FixClient) -> None:
    """a MsgType that FIX 4.4 does not have is rejected"""
    client.log_on()
    client.send("ZZ")
    rejected(client, 35, Fault.MSG_TYPE)
    alive(client)


@case("2S.k")
def _unsupported_type(client: FixClient) -> None:
    """a MsgType of the standard that is not done here brings a BusinessMessageReject"""
    client.log_on()
    client.send("V", (262, "x"))
    assert client.until(lambda m: m[35] == "j")[380] == "3"
    alive(client)


# ---- 3: garbled


def _garbled(client: FixClient, raw: bytes) -> None:
    """What is garbled uses up no number and has no answer; the same number is good afterwards."""
    client.send_raw(raw)
    alive(client)
    assert not any(m[35] in "235j" for m in client.heard)


@case("3.a")
def _checksum(client: FixClient) -> None:
    """a wrong checksum is passed over"""
    client.log_on()
    raw = client.raw("0", seq=client.next_out)
    _garbled(client, raw[:-4] + (b"000" if raw[-4:-1] != b"000" else b"001") + b"\x01")


@case("3.b")
def _length(client: FixClient) -> None:
    """a wrong BodyLength is passed over, too short or too long"""
    client.log_on()
    raw = client.raw("1", (112, "garbled"), seq=client.next_out)
    length = int(raw.split(b"\x01")[1][2:])
    _garbled(client, raw.replace(b"9=%d\x01" % length, b"9=%d\x01" % (length - 3), 1))
    _garbled(client, raw.replace(b"9=%d\x01" % length, b"9=%d\x01" % (length + 5), 1))


@case("3.c")
def _noise(client: FixClient) -> None:
    """noise between messages is passed over"""
    client.log_on()
    _garbled(client, b"\x00\xff noise 8=FI 9=12 10=000\x01")


# ---- 4: heartbeats


@case("4.a")
def _heartbeat(client: FixClient) -> None:
    """a Heartbeat comes when nothing else was said for an interval"""
    client.heartbeat = 1
    client.log_on()
    began = time.monotonic()
    client.until(lambda m: m[35] == "0")
    assert 0.5 < time.monotonic() - began < 2.5


@case("4.b")
def _test_request(client: FixClient) -> None:
    """a TestRequest is answered with a Heartbeat of its id"""
    client.log_on()
    alive(client)


@case("4.c")
def _silence(client: FixClient) -> None:
    """a client that says nothing is asked, and hung up on if it stays silent"""
    client.heartbeat = 1
    client.log_on()
    client.send = lambda *pairs, **changes: None  # type: ignore[method-assign]
    client.until(lambda m: m[35] == "1")
    farewell(client, "TestRequest")


# ---- 8: resends


@case("8.a")
def _resend(client: FixClient) -> None:
    """what is asked for comes again with PossDupFlag and its first SendingTime, gaps for the session's own"""
    client.log_on()
    alive(client)
    client.place("again", "1", 100, "9000")
    first = client.report("again")
    alive(client)
    at = len(client.heard)
    client.send("2", (7, 1), (16, 0))
    client.until(lambda m: m[35] == "4" and int(m[36]) > int(first[34]) + 1, since=at)
    gap, copy, end = client.heard[at:][:3]
    assert (gap[35], gap[34], gap[123], gap[36], gap[43]) == ("4", "1", "Y", first[34], "Y")
    assert (copy[34], copy[43], copy[122], copy[17]) == (first[34], "Y", first[52], first[17])
    assert (end[35], end[123]) == ("4", "Y")
    alive(client)
    assert sum(m.get(11) == "again" for m in client.messages) == 1


@case("8.b")
def _resend_part(client: FixClient) -> None:
    """a ResendRequest of one number brings that one"""
    client.log_on()
    client.place("part", "1", 100, "9000")
    first = client.report("part")
    at = len(client.heard)
    client.send("2", (7, first[34]), (16, first[34]))
    alive(client)
    assert [m[34] for m in client.heard[at:] if m.get(43) == "Y"] == [first[34]]


@case("8.c")
def _both_miss(client: FixClient) -> None:
    """a ResendRequest whose own number is too high is answered and then what is missing asked for"""
    client.log_on()
    client.raw("0")
    at = len(client.heard)
    client.send("2", (7, 1), (16, 1))
    client.until(lambda m: m[35] == "4" and m[36] == "2", since=at)
    client.until(lambda m: m[35] == "2", since=at)
    alive(client)


# ---- 10, 11: sequence resets


@case("10.a")
def _gap_fill(client: FixClient) -> None:
    """a SequenceReset-GapFill moves the expected number on"""
    client.log_on()
    client.send("4", (123, "Y"), (36, 10))
    client.next_out = 10
    alive(client)


@case("10.b")
def _gap_fill_back(client: FixClient) -> None:
    """a SequenceReset-GapFill that goes back is rejected"""
    client.log_on()
    alive(client)
    client.send("4", (123, "Y"), (36, 1))
    rejected(client, 36, Fault.VALUE)
    alive(client)


@case("11.a")
def _reset_forward(client: FixClient) -> None:
    """a SequenceReset-Reset moves the expected number whatever its own is"""
    client.log_on()
    client.send("4", (36, 20), seq=1)
    client.next_out = 20
    alive(client)


@case("11.b")
def _reset_back(client: FixClient) -> None:
    """a SequenceReset-Reset that goes back is rejected"""
    client.log_on()
    alive(client)
    client.send("4", (36, 1), seq=client.next_out)
    rejected(client, 36, Fault.VALUE)
    alive(client)


# ---- 13: logout


@case("13.a")
def _logout(client: FixClient) -> None:
    """a Logout is answered with a Logout, and the numbers go on at the next Logon"""
    client.log_on()
    client.log_out()
    answer = client.log_on()
    assert answer[34] == "3"
    alive(client)


# ---- 14: fields

FIELDS = {
    "14.a a required field is missing": ([(55, None)], 55, Fault.REQUIRED_TAG),
    "14.b a field that the message does not have": ([(110, "5")], 110, Fault.TAG_NOT_DEFINED),
    "14.c a field without a value": ([(58, "")], 58, Fault.NO_VALUE),
    "14.d a value that is none of those there are": ([(54, "7")], 54, Fault.VALUE),
    "14.e a number that is none": ([(44, "1e4")], 44, Fault.FORMAT),
    "14.f a negative quantity": ([(38, "-100")], 38, Fault.FORMAT),
    "14.g a time that is none": ([(60, "yesterday")], 60, Fault.FORMAT),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_are_wrong_are_rejected_by_their_number(make: Make, name: str) -> None:
    changes, tag, fault = FIELDS[name]
    client = make(2)
    client.log_on()
    client.place("bad", "1", 100, "9000", **{f"t{t}": value for t, value in changes})
    rejected(client, tag, fault)
    alive(client)
    assert not client.messages or client.messages[0][35] == "3"


def test_a_field_that_is_there_twice_is_rejected(make: Make) -> None:
    client = make(2)
    client.log_on()
    client.send("1", (112, "a"), (112, "b"))
    rejected(client, 112, Fault.REPEATED_TAG)
    alive(client)


@pytest.mark.parametrize("name", CASES)
def test_the_session_layer_does_what_the_standard_says(make: Make, name: str) -> None:
    CASES[name](make(1))


# ---- who is let in


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("nobody", "Invalid API Key"), ("key-off", "disabled"), ("key-elsewhere", "Access Denied"),
        ("key-nobody", "Invalid account"),
    ],
)  # fmt: skip
def test_keys_are_let_in_as_rest_lets_them_in(make: Make, key: str, words: str) -> None:
    client = make(1, key=key, secret="secret-1")
    assert words in client.log_on()[58]
    assert client.is_hung_up()


def test_a_wrong_signature_is_turned_away(make: Make) -> None:
    client = make(1, secret="secret-2")
    assert "Signature" in client.log_on()[58]
    other = make(1)
    good = signature("secret-1", stamp(), "A", 1, other.sender, other.target)
    assert "Signature" in other.log_on(proof=good[:-1] + ("0" if good[-1] != "0" else "1"))[58]


@pytest.mark.parametrize("ahead", [-120, 120])
def test_a_logon_of_another_time_is_turned_away(make: Make, ahead: int) -> None:
    client = make(1)
    assert "lock" in client.log_on(sent=stamp(time.time() + ahead))[58]


def test_a_logon_that_was_heard_cannot_be_used_again(make: Make) -> None:
    client = make(1)
    sent = stamp()
    client.log_on(sent=sent)
    client.log_out()
    thief = FixClient(client.port, 1, sender=client.sender)
    assert "used before" in thief.log_on(sent=sent, seq=1)[58]


def test_the_documented_signature_is_the_one_that_is_checked(make: Make) -> None:
    client = make(1)
    sent = stamp()
    text = f"{sent}{SOH}A{SOH}1{SOH}{client.sender}{SOH}RINGFENCE"
    proof = hmac.new(b"secret-1", text.encode(), hashlib.sha256).hexdigest()
    assert client.log_on(sent=sent, proof=proof)[35] == "A"


@pytest.mark.slow
def test_who_does_not_log_on_is_hung_up_on_after_ten_seconds(make: Make) -> None:
    client = make(1)
    client.connect()
    began = time.monotonic()
    assert client.is_hung_up(15)
    assert 9 < time.monotonic() - began < 13


def test_a_flood_and_a_giant_are_cut_off(make: Make, fix_venue: Venue) -> None:
    flooder, giant, victim = make(1), make(1), make(2)
    victim.log_on()
    flooder.log_on()
    flooder.send_raw(b"".join(flooder.raw("0") for _ in range(1_500)))
    farewell(flooder, "messages in a second")
    giant.log_on()
    giant.send_raw(b"8=FIX.4.4\x019=999999\x01" + b"x" * 1000)
    farewell(giant, "at most 8192")
    alive(victim)
    assert Client(fix_venue.port, 1).get("/user/wallet")

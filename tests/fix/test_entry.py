"""Orders over FIX against a real venue: what is asked, what is answered, and that nothing else happens."""

import time
from typing import Any

import pytest

from ringfence.testing.client import Client
from ringfence.testing.fix import stamp
from ringfence.testing.venue import Venue
from tests.fix.conftest import Make

BUY, SELL = "1", "2"


def test_an_order_lives_from_new_to_filled_with_exact_numbers(make: Make) -> None:
    alice, bob = make(1), make(2)
    alice.log_on()
    bob.log_on()
    alice.place("a1", BUY, 300, "10000.5")
    new = alice.report("a1")
    assert (new[150], new[39], new[38], new[151], new[14], new[44]) == (
        "0",
        "0",
        "300",
        "300",
        "0",
        "10000.5",
    )
    bob.place("b1", SELL, 100, "10000.5", t59="3")
    fill = alice.report("a1", kind="F")
    assert (fill[39], fill[32], fill[31], fill[151], fill[14], fill[851]) == (
        "1", "100", "10000.5", "200", "100", "1"
    )  # fmt: skip
    assert bob.report("b1", kind="F")[39] == "2"
    assert fill[527] == bob.report("b1", kind="F")[527], "both sides name one trade"
    bob.place("b2", SELL, 200)
    bob.report("b2", kind="F")
    last = alice.until(lambda m: m.get(39) == "2")
    assert (last[151], last[14], last[6]) == ("0", "300", "10000.5")


def test_every_kind_of_order_is_taken_as_rest_takes_it(make: Make, fix_venue: Venue) -> None:
    client, rest = make(3), Client(fix_venue.port, 3)
    client.log_on()
    client.place("post", BUY, 100, "9000", t18="6")
    client.place("iceberg", BUY, 300, "9000", t111="100")
    client.place("stop", BUY, 100, None, t40="3", t99="12000", t9002="2")
    client.place("stoplimit", BUY, 100, "12010", t40="4", t99="12000", t59="1")
    client.place("day", BUY, 100, "9000", t59="0")
    for name in ("post", "iceberg", "stop", "stoplimit", "day"):
        assert client.report(name)[150] == "0", client.report(name)
    rows = {row["clOrdID"]: row for row in rest.get("/order?filter=%7B%22open%22%3Atrue%7D")}
    assert rows["post"]["execInst"] == "ParticipateDoNotInitiate"
    assert rows["iceberg"]["displayQty"] == 100
    assert (rows["stop"]["ordType"], rows["stop"]["stopPx"]) == ("Stop", 12000)
    assert rows["stop"]["execInst"] == "LastPrice"
    assert (rows["stoplimit"]["ordType"], rows["stoplimit"]["price"]) == ("StopLimit", 12010)
    assert rows["day"]["timeInForce"] == "Day"
    assert client.report("stop")[636] == "N", "it waits for its price"
    client.place("fok", BUY, 100, "9000", t59="4")
    assert client.report("fok", kind="4")[151] == "0"
    client.place("reduce", SELL, 100, "11000", t18="E")
    assert client.report("reduce")[39] == "8", "there is nothing to reduce"


REFUSED = [
    ({55: "NOPE"}, "1"), ({38: "0"}, "13"), ({44: "10000.25"}, "99"), ({18: "6 Z"}, "99"), ({1: "77"}, "15"),
    ({38: "100000000000"}, "13"), ({44: None}, "99"), ({38: None}, "13"), ({99: "10000"}, "99"),
    ({111: "100", 1138: "200"}, "99"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_cannot_be_done_is_rejected_and_nothing_happens(
    make: Make, fix_venue: Venue, changes: dict[int, Any], reason: str
) -> None:
    client = make(4)
    client.log_on()
    client.place("bad", BUY, 100, "9000", **{f"t{tag}": value for tag, value in changes.items()})
    refused = client.report("bad")
    assert (refused[150], refused[39], refused[37], refused[151]) == ("8", "8", "NONE", "0")
    assert refused[103] == reason, refused
    assert refused[58]
    assert not Client(fix_venue.port, 4).get("/order?filter=%7B%22open%22%3Atrue%7D")


def test_a_cancel_names_both_orders_and_a_second_one_is_too_late(make: Make) -> None:
    client = make(1)
    client.log_on()
    client.place("c1", BUY, 100, "9000")
    order = client.report("c1")
    client.cancel("c2", "c1", BUY)
    gone = client.report("c2")
    assert (gone[150], gone[39], gone[41], gone[37], gone[151]) == ("4", "4", "c1", order[37], "0")
    client.cancel("c3", "c1", BUY)
    late = client.report("c3")
    assert (late[35], late[102], late[434], late[41]) == ("9", "0", "1", "c1")
    client.cancel("c4", "never", BUY)
    assert client.report("c4")[102] == "1"
    client.place("c5", BUY, 100, "9000")
    client.report("c5")
    client.cancel("c6", "c5", SELL)
    assert client.report("c6")[102] == "99", "it says another side than the order's"


def test_a_replace_changes_what_differs_and_gives_the_order_its_new_name(make: Make) -> None:
    client = make(1)
    client.log_on()
    client.place("r1", BUY, 100, "9000")
    client.report("r1")
    client.replace("r2", "r1", BUY, t38="200", t44="9000")
    report = client.report("r2")
    assert (report[150], report[39], report[38], report[44], report[41]) == ("5", "0", "200", "9000", "r1")
    client.replace("r3", "r1", BUY, t38="300", t44="9000")
    assert (client.report("r3")[35], client.report("r3")[434]) == ("9", "2"), "r1 is r2 now"
    client.replace("r4", "r2", BUY, t38="200", t44="9000")
    assert (client.report("r4")[150], client.report("r4")[38]) == ("5", "200"), "it has another name, no more"
    client.cancel("r5", "r4", BUY)
    assert client.report("r5")[150] == "4"


def test_a_clordid_is_used_once(make: Make) -> None:
    client = make(1)
    client.log_on()
    client.place("d1", BUY, 100, "9000")
    client.report("d1")
    client.cancel("d2", "d1", BUY)
    client.report("d2")
    count = len(client.messages)
    client.place("d1", BUY, 100, "9000")
    client.until(lambda m: m.get(103) == "6")
    client.send(
        "D",
        (11, "d1"),
        (55, "XBTUSD"),
        (54, BUY),
        (60, stamp()),
        (38, 100),
        (40, "2"),
        (44, "9000"),
        (97, "Y"),
    )
    told = client.until(lambda m: m.get(150) == "I")
    assert (told[39], told[151]) == ("4", "0"), "what may be a repetition is answered with what became of it"
    assert len(client.messages) == count + 2


def test_the_state_of_an_order_can_be_asked(make: Make) -> None:
    client = make(1)
    client.log_on()
    client.place("s1", BUY, 100, "9000")
    client.report("s1")
    for name, status, reason in (("s1", "0", None), ("s2", "8", "5")):
        at = len(client.heard)
        client.send("H", (11, name), (55, "XBTUSD"), (54, BUY))
        told = client.until(lambda m: m.get(150) == "I", since=at)
        assert (told[39], told.get(103), told[17]) == (status, reason, "0")


def test_a_mass_cancel_reports_each_order_and_their_number(make: Make) -> None:
    client = make(5)
    client.log_on()
    for number in range(4):
        client.place(f"m{number}", BUY if number % 2 else SELL, 100, "9000" if number % 2 else "11000")
        client.report(f"m{number}")
    client.send("q", (11, "q1"), (530, "7"), (54, SELL), (60, stamp()))
    report = client.report("q1")
    assert (report[35], report[531], report[533]) == ("r", "7", "2")
    assert client.report("m0", kind="4")[34] < report[34]
    client.send("q", (11, "q2"), (530, "1"), (55, "XBTUSD"), (60, stamp()))
    assert client.report("q2")[533] == "2"
    client.send("q", (11, "q3"), (530, "1"), (55, "NOPE"), (60, stamp()))
    assert client.report("q3")[531] == "0"


def test_permissions_are_those_of_rest(make: Make) -> None:
    reader, canceller, owner = (
        make(1, key="key-read", secret="secret-1"), make(1, key="key-cancel", secret="secret-1"), make(1),
    )  # fmt: skip
    for client in (reader, canceller, owner):
        client.log_on()
    owner.place("p1", BUY, 100, "9000")
    owner.report("p1")
    for client in (reader, canceller):
        client.place("p2", BUY, 100, "9000")
        assert (client.report("p2")[39], client.report("p2")[9004]) == ("8", "403")
    reader.cancel("p3", "p1", BUY)
    assert (reader.report("p3")[35], reader.report("p3")[9004]) == ("9", "403")
    canceller.cancel("p4", "p1", BUY)
    assert canceller.report("p4")[150] == "4"
    assert owner.report("p1", kind="4")[39] == "4", "its owner is told, whoever cancels"


def test_a_lost_connection_cancels_if_that_was_asked_and_leaves_others_alone(
    make: Make, fix_venue: Venue
) -> None:
    careful, other, rest = make(6, cancels=True), make(6), Client(fix_venue.port, 6)
    assert careful.log_on()[9001] == "Y"
    other.log_on()
    careful.place("x1", BUY, 100, "9000")
    careful.report("x1")
    other.place("x2", BUY, 100, "9000")
    other.report("x2")
    careful.place("x3", BUY, 100, "9000")
    careful.close()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = {row["clOrdID"] for row in rest.get("/order?filter=%7B%22open%22%3Atrue%7D")}
        if found == {"x2"}:
            break
    assert found == {"x2"}
    other.close()
    time.sleep(0.3)
    assert {row["clOrdID"] for row in rest.get("/order?filter=%7B%22open%22%3Atrue%7D")} == {"x2"}
    careful.log_on()
    assert careful.report("x1", kind="4")[39] == "4", "it learns that when it comes back"

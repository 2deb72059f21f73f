"""Processes are killed in mid-flight: every order has one outcome, every report is told once, in every session."""

import asyncio
import resource
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ringfence.testing.client import Client
from ringfence.testing.fix import FixClient, Row
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue

ORDERS = 240
_EXEC_TYPES = {
    "New": "0", "Trade": "F", "Canceled": "4", "Replaced": "5", "TriggeredOrActivatedBySystem": "L",
}  # fmt: skip


def as_rest(report: Row) -> tuple[Any, ...]:
    """Return what a drop copy and a row of /execution both say."""
    return (
        report[17], report[37], report.get(11), report[150], int(report[151]), int(report[14]),
        float(report[44]) if 44 in report else None, int(report[32]) if 32 in report else None,
        float(report[31]) if 31 in report else None, int(report[12]) if 12 in report else None,
        report[55], "Sell" if report[54] == "2" else "Buy",
    )  # fmt: skip


def as_copy(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["execID"], row["orderID"], row["clOrdID"], _EXEC_TYPES[row["execType"]], row["leavesQty"], row["cumQty"],
        row["price"], row["lastQty"], row["lastPx"], row["execComm"], row["symbol"], row["side"],
    )  # fmt: skip


def executions(client: Client) -> list[dict[str, Any]]:
    """Return every row of /execution, oldest first."""
    rows: list[dict[str, Any]] = []
    while True:
        page = client.get(f"/execution?count=500&start={len(rows)}")
        rows += page
        if len(page) < 500:
            return rows


def catch_up(client: FixClient, seconds: float = 3.0) -> None:
    """Take what comes until nothing more does."""
    quiet, count = time.monotonic(), -1
    while time.monotonic() - quiet < 0.5 and seconds > 0:
        began = time.monotonic()
        client.poll()
        seconds -= time.monotonic() - began
        if len(client.heard) != count:
            quiet, count = time.monotonic(), len(client.heard)


def come_back(client: FixClient) -> None:
    """Connect again as soon as somebody is there, as often as it takes, and take what was missed."""
    client.close()
    until = time.monotonic() + 30
    while True:
        try:
            if client.log_on()[35] == "A":
                break
        except (OSError, TimeoutError):
            if time.monotonic() > until:
                raise
        client.close()
        time.sleep(0.1)
    client.send("1", (112, f"back{time.monotonic_ns()}"))
    catch_up(client)


def outcomes(trader: FixClient) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for message in trader.messages:
        found.setdefault(message[11], []).append(message)
    return found


def trade_through(venue: Venue, victim: str, kills: int, *, pause: float) -> None:
    """Send orders while a process is killed again and again, then compare every account of what happened."""
    assert Client(venue.port, 2).place(orderQty=-ORDERS * 100, price=10_000).status == 200
    trader = FixClient(venue.fix_port, 1, sender="TRADER")
    copy = FixClient(venue.fix_port, 1, sender="COPY", target="RINGFENCE-DC")
    trader.log_on()
    copy.log_on()

    def kill() -> None:
        for _ in range(kills):
            time.sleep(0.7)
            venue.kill(victim)
            venue.start(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    for number in range(ORDERS):
        try:
            # Two thirds stay in the book, on either side, and a third takes what another account left.
            side, price = (("1", 9_000), ("2", 11_000), ("1", 10_000))[number % 3]
            trader.place(f"o{number}", side, 100, price, t59="1")
            trader.poll(0.001)
        except (OSError, AssertionError):
            come_back(trader)
        time.sleep(pause)
    killer.join()
    if victim != "fix_gateway":
        time.sleep(1)
    come_back(trader)
    come_back(copy)
    catch_up(trader)
    catch_up(copy)
    rest = Client(venue.port, 1)
    rows = executions(rest)
    placed = [row for row in rows if row["execType"] == "New"]
    by_name = {row["clOrdID"]: row for row in placed}
    assert len(by_name) == len(placed), "no order was placed twice"
    found = outcomes(trader)
    assert set(found) == {f"o{number}" for number in range(ORDERS)}, "every order has an outcome"
    for name, messages in found.items():
        first = [m for m in messages if m[150] in "08"]
        assert len(first) == 1, (name, messages)
        assert (first[0][150] == "0") == (name in by_name), (name, messages)
        if first[0][150] == "8":
            assert "Nothing was done" in first[0][58] or "overload" in first[0][58], messages
    ids = [m[17] for m in trader.messages]
    assert len(set(ids)) == len(ids), "no report was told twice"
    assert {m[17] for m in trader.messages if m[150] != "8"} == {row["execID"] for row in rows}
    assert [as_rest(m) for m in copy.messages] == [as_copy(row) for row in rows]
    assert any(row["execType"] == "Trade" for row in rows)
    assert len(by_name) > ORDERS // 6, "enough of it went through for the test to mean something"
    trader.close()
    copy.close()


def test_a_killed_fix_gateway_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=2, fix=True) as venue:
        trade_through(venue, "fix_gateway", 3, pause=0.012)


@pytest.mark.slow
def test_a_killed_core_leaves_every_order_with_one_outcome(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=2, fix=True) as venue:
        trade_through(venue, "core", 2, pause=0.04)


@pytest.mark.slow
def test_a_drop_copy_that_was_away_gets_what_rest_websocket_and_fix_did(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=2, fix=True) as venue:
        copy = FixClient(venue.fix_port, 1, sender="COPY", target="RINGFENCE-DC")
        copy.log_on()
        copy.log_out()
        rest, other = Client(venue.port, 1), Client(venue.port, 2)
        for number in range(20):
            assert rest.place(orderQty=100, price=9_990 + number, clOrdID=f"r{number}").status == 200
        assert other.place(orderQty=-1_000, price=9_990).status == 200

        async def over_websocket() -> None:
            signed = await Socket.signed(venue.realtime_url, 1)
            for number in range(5):
                assert (await signed.order(orderQty=100, price=9_000, clOrdID=f"w{number}"))["status"] == 200
            signed.close()

        asyncio.run(over_websocket())
        trader = FixClient(venue.fix_port, 1, sender="TRADER")
        trader.log_on()
        trader.place("f1", "1", 100, "9000")
        trader.report("f1")
        venue.kill("fix_gateway")
        assert rest.call("DELETE", "/order/all").status == 200
        venue.start("fix_gateway")
        come_back(copy)
        rows = executions(rest)
        assert [as_rest(m) for m in copy.messages] == [as_copy(row) for row in rows]
        assert {row["execType"] for row in rows} == {"New", "Trade", "Canceled"}
        come_back(trader)
        assert trader.report("f1", kind="4")[39] == "4"
        assert all(m[11].startswith("f") for m in trader.messages), "its own orders alone"
        copy.place("f2", "1", 100, "9000")
        refused = copy.until(lambda m: m[35] == "j")
        assert (refused[380], refused[379]) == ("6", "f2")
        assert not [row for row in executions(rest) if row["clOrdID"] == "f2"]
        copy.close()
        trader.close()


@pytest.mark.slow
def test_an_order_whose_file_entry_was_torn_off_is_not_lost(tmp_path: Path) -> None:
    """The end of a session's file is cut, as a power cut may: what it said is folded from the feed again."""
    with Venue(tmp_path / "venue", accounts=1, fix=True) as venue:
        copy = FixClient(venue.fix_port, 1, sender="COPY", target="RINGFENCE-DC")
        copy.log_on()
        rest = Client(venue.port, 1)
        for number in range(10):
            rest.place(orderQty=100, price=9_000, clOrdID=f"r{number}")
        catch_up(copy)
        first = [m[17] for m in copy.messages]
        venue.kill("fix_gateway")
        copy.close()
        (path,) = (tmp_path / "venue" / "fix" / "sessions").glob("*.session")
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) * 2 // 3])
        venue.start("fix_gateway")
        again = FixClient(venue.fix_port, 1, sender="COPY", target="RINGFENCE-DC")
        again.next_out = 50
        come_back(again)
        assert [m[17] for m in again.messages] == first


def test_a_full_disk_stops_the_gateway_and_the_next_start_tells_what_was_not_told(tmp_path: Path) -> None:
    with Venue(tmp_path / "venue", accounts=2, fix=True) as venue:
        copy = FixClient(venue.fix_port, 1, sender="COPY", target="RINGFENCE-DC")
        copy.log_on()
        rest = Client(venue.port, 1)
        rest.place(orderQty=100, price=9_000, clOrdID="before")
        copy.report("before")
        (path,) = (tmp_path / "venue" / "fix" / "sessions").glob("*.session")
        process = venue.processes["fix_gateway"]
        # Nothing may be longer than the file is and half a report more: a disk that is full.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 200,) * 2)
        for number in range(10):
            assert rest.place(orderQty=100, price=9_000, clOrdID=f"after{number}").status == 200
        assert process.wait(20) == 74
        venue.start("fix_gateway")
        come_back(copy)
        assert [as_rest(m) for m in copy.messages] == [as_copy(row) for row in executions(rest)]
        assert len(copy.messages) == 11
        copy.close()

"""The judges against a real exchange: they follow it, and a number that changes in its memory halts it."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ringfence.daemons import founding
from ringfence.daemons.venue import JUDGES
from ringfence.messages.commands import Command
from ringfence.testing.client import Client
from ringfence.testing.play import command
from ringfence.testing.venue import Venue

ODD_AMOUNT = 1_234_567_890_123
"""Of units of an asset: eight bytes that are nowhere else in the core's memory."""


def _until(ask: Callable[[], Any], seconds: float = 15) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := ask():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Venue]:
    with Venue(tmp_path, accounts=3, history=False) as venue:
        people = founding.put_in_force(founding.ensure_people(tmp_path))
        deposit = command(Command.DEPOSIT, account=3, symbol=2, qty=ODD_AMOUNT)
        asyncio.run(venue.submit(np.concatenate([people, deposit])))
        for judge in JUDGES:
            venue.start(judge)
        yield venue


def _report(venue: Venue, judge: str) -> Any:
    path = venue.directory / "judges" / f"{judge}.report.json"
    return msgspec.json.decode(path.read_bytes()) if path.exists() else {}


def _trade(venue: Venue) -> None:
    Client(venue.port, 1).place(orderQty=100, price=9_990)
    Client(venue.port, 2).place(orderQty=-100, price=9_990)


def flip_in_memory(pid: int, old: int, new: int) -> int:
    """Change a number wherever it stands in a process's memory; return in how many places."""
    wanted, changed = old.to_bytes(8, "little"), 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        for line in maps:
            begin, end, access = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
            if not access.startswith("rw"):
                continue
            start = int(begin, 16)
            try:
                memory.seek(start)
                raw = memory.read(int(end, 16) - start)
            except (OSError, OverflowError):
                continue
            at = raw.find(wanted)
            while at >= 0:
                if at % 8 == 0:
                    memory.seek(start + at)
                    memory.write(new.to_bytes(8, "little"))
                    changed += 1
                at = raw.find(wanted, at + 1)
    return changed


def _trade_until(venue: Venue, ask: Callable[[], Any], seconds: float = 60) -> Any:
    """Trade every now and then until something is there: without batches there are no roots."""

    def trade_and_ask() -> Any:
        _trade(venue)
        time.sleep(0.2)
        return ask()

    return _until(trade_and_ask, seconds)


@pytest.mark.slow
def test_an_honest_exchange_is_followed_and_never_halted(judged: Venue) -> None:
    report = _trade_until(judged, lambda: (r := _report(judged, "shadow")).get("roots", 0) >= 3 and r)
    assert report["findings"] == []
    assert report["accountsChecked"] == 3
    assert report["lagMaxMs"] < 5_000
    assert {one["judge"] for one in Client(judged.port, None).get("/audit")} >= {"shadow"}
    # It goes on where it was, not at the first command again.
    judged.signal("shadow", signal.SIGTERM)
    judged.processes["shadow"].wait()
    judged.start("shadow")
    _trade_until(judged, lambda: _report(judged, "shadow").get("roots", 0) in range(1, 3))
    begun = re.findall(r"following from sequence (\d+)", (judged.directory / "shadow.log").read_text())
    assert [int(number) > 0 for number in begun] == [False, True]
    assert Client(judged.port, None).get("/halt/status")["state"] == "Running"


@pytest.mark.skipif(os.geteuid() != 0, reason="writing into another process's memory needs root")
def test_a_coin_that_appears_in_memory_halts_the_exchange_within_seconds(judged: Venue) -> None:
    _trade_until(judged, lambda: _report(judged, "shadow").get("roots", 0) >= 2)
    anyone = Client(judged.port, None)
    assert flip_in_memory(judged.processes["core"].pid, ODD_AMOUNT, ODD_AMOUNT + 1) >= 1
    begun = time.monotonic()
    status = _trade_until(judged, lambda: (s := anyone.get("/halt/status"))["state"] == "Halted" and s)
    took = time.monotonic() - begun
    row = status["halted"][0]
    assert row["law"] in ("I07", "I01", "I10")
    assert row["by"] in JUDGES
    assert row["dump"]
    assert list((judged.directory / "judges" / "dumps").glob("*.json"))
    assert took < 5
    assert Client(judged.port, 1).place(orderQty=100, price=9_990).error == "Market is not open"
    print(f"halted after {took:.2f} s by {row['by']}: {row['law']} {row['text']}")

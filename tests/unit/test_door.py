"""Who is let in at a gateway under load, and what everybody is told of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ringfence.exchange.feed import Load
from ringfence.exchange.gateway import turns as turns_module
from ringfence.exchange.gateway.door import AGE_MAX_SECONDS, Door
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.load import REASONS, LoadBoard, ShedMeter
from ringfence.exchange.gateway.pending import Outcome, Pending
from ringfence.exchange.gateway.turns import MESSAGES_EACH_MAX, MESSAGES_STEADY_MAX, Turns
from ringfence.exchange.projections import Result
from ringfence.messages.commands import Command
from ringfence.messages.load import LoadState, ShedReason

MAX = 60
Heard = list[Sequence[Outcome] | Refused]


def result(token: int) -> Result:
    return Result(Command.PLACE, token, 1, 1)


class Room:
    """A door, with commands that wait for their outcome behind it."""

    def __init__(self, *, pending_max: int = MAX) -> None:
        self.pending, self.turns = Pending(), Turns()
        self.now = 0.0
        self.door = Door(self.pending, self.turns, pending_max=pending_max, clock=lambda: self.now)
        self.token = 0

    async def enter(self, account: int, *, now: float = 0.0) -> str | None:
        """Let one order in; return why it was not let in."""
        self.now = now
        reason = self.door.refusal(account, 1)
        if reason is None:
            self.token += 1
            self.pending.add([self.token], lambda outcome: None, account=account)
            self.pending.note_time(self.token, now)
        return reason


async def test_an_account_has_at_most_as_much_waiting_as_is_free() -> None:
    room = Room()
    refused = [await room.enter(1) for _ in range(MAX)]
    assert refused == [None] * (MAX // 2) + ["accountShare"] * (MAX // 2)
    for other in range(2, 6):
        assert await room.enter(other) is None
    assert room.door.state() is LoadState.SHEDDING


async def test_room_comes_back_with_the_results() -> None:
    room = Room()
    while await room.enter(1) is None:
        pass
    room.pending.hear([result(token) for token in range(1, room.token + 1)])
    assert room.pending.held(1) == 0
    assert await room.enter(1) is None
    assert room.door.state() is LoadState.OPEN


async def test_nobody_is_let_in_when_all_is_full_or_the_core_says_so() -> None:
    room = Room(pending_max=4)
    for account in range(1, 5):
        room.pending.add([account], lambda outcome: None, account=account)
    assert await room.enter(9) == "queueFull"
    assert room.door.state() is LoadState.CANCEL_ONLY
    other = Room()
    other.door.core = Load(LoadState.CANCEL_ONLY)
    assert await other.enter(1) == "queueFull"


async def test_what_has_waited_long_closes_the_door_unless_little_waits() -> None:
    room = Room(pending_max=10_000)
    assert await room.enter(1) is None
    assert await room.enter(1, now=AGE_MAX_SECONDS * 9) is None
    for account in range(2, 100):
        assert await room.enter(account) is None
    assert await room.enter(1, now=AGE_MAX_SECONDS * 2) == "queueAge"
    assert await room.enter(1, now=AGE_MAX_SECONDS / 2) is None


# ---- outcomes of what the core did not take


def test_a_request_of_which_all_was_shed_is_refused_and_of_which_some_says_which() -> None:
    pending, heard = Pending(), Heard()
    pending.add([1], heard.append, account=1)
    pending.add([2, 3], heard.append, account=1)
    pending.add([4, 5], heard.append, account=1)
    pending.shed([(1, ShedReason.SHARE), (3, ShedReason.AGE), (4, ShedReason.AGE), (5, ShedReason.WITHDRAWN)])
    assert [refused.reason for refused in heard if isinstance(refused, Refused)] == [
        "accountShare",
        "queueAge",
    ]
    pending.hear([result(2)])
    mixed = heard[-1]
    assert not isinstance(mixed, Refused)
    assert isinstance(mixed[0], Result)
    assert isinstance(mixed[1], Refused)
    assert mixed[1].retry_after_seconds
    assert len(pending) == pending.held(1) == 0


def test_results_that_come_in_another_order_are_told_in_that_of_the_commands() -> None:
    pending, heard = Pending(), Heard()
    pending.add([1, 2], heard.append, account=1)
    pending.hear([result(2), result(1)])
    told = heard[0]
    assert not isinstance(told, Refused)
    assert [r.request for r in told if isinstance(r, Result)] == [1, 2]


def test_what_was_given_up_with_its_line_takes_no_room() -> None:
    pending, heard = Pending(), Heard()
    pending.add([1, 2], heard.append, account=7)
    pending.lost()
    pending.barrier(3, lambda: pending.settle(is_again=False))
    pending.hear([result(3)])
    assert isinstance(heard[0], Refused)
    assert pending.held(7) == 0


# ---- turns


class Connection:
    def __init__(self) -> None:
        self.paused = 0
        self.is_paused = self.is_full = False

    def pause(self) -> None:
        self.paused, self.is_paused = self.paused + 1, True

    def resume(self) -> None:
        self.is_paused = False

    def has_unread(self) -> bool:
        return self.is_full


class Clock:
    """The loop's as well as the turns'."""

    def __init__(self, monkeypatch: Any) -> None:
        self._now = 0.0
        monkeypatch.setattr(turns_module.time, "monotonic", lambda: self._now)

    async def passes(self, seconds: float) -> None:
        """Let the turn end after so long, and what is due by then happen."""
        self._now += seconds
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_connection_is_not_read_beyond_its_accounts_part_of_a_turn(monkeypatch: Any) -> None:
    clock = Clock(monkeypatch)
    turns, busy, quiet, other = Turns(), Connection(), Connection(), Connection()
    for connection, who in ((busy, 1), (quiet, 1), (other, 2)):
        turns.join(connection, who)
    for _ in range(MESSAGES_EACH_MAX):
        turns.message(1, busy)
    turns.message(2, other)
    assert (busy.is_paused, quiet.is_paused, other.is_paused) == (True, False, False)
    for _ in range(2 * MESSAGES_EACH_MAX):
        turns.message(1, busy)  # what was read already: it may cancel elsewhere all the same
    assert (quiet.is_paused, other.is_paused, busy.paused) == (False, False, 1)
    for _ in range(MESSAGES_EACH_MAX):
        turns.message(1, Connection())  # more connections are no more room
    assert (quiet.is_paused, other.is_paused, busy.paused) == (True, False, 1)
    await clock.passes(0.01)
    await clock.passes(0.01)
    assert not busy.is_paused
    assert not quiet.is_paused
    turns.leave(busy, 1)
    turns.message(1, quiet)
    assert not quiet.is_paused


@pytest.mark.parametrize("accounts", [1, 2, 9])
async def test_those_who_flood_leave_a_part_of_the_time_to_the_others(
    accounts: int, monkeypatch: Any
) -> None:
    clock = Clock(monkeypatch)
    turns = Turns()
    flooding = [Connection() for _ in range(accounts)]
    for who, connection in enumerate(flooding):
        turns.join(connection, who)
        for _ in range(MESSAGES_EACH_MAX):
            turns.message(who, connection)
    await clock.passes(0.009)
    assert all(connection.is_paused for connection in flooding)
    # Somebody's turn in between lets nobody back earlier.
    turns.message("quiet", Connection())
    await clock.passes(0.009 / accounts - 0.0005)
    assert all(connection.is_paused for connection in flooding)
    await clock.passes(0.001)
    assert not any(connection.is_paused for connection in flooding)


async def test_who_always_sends_more_than_their_part_is_shed_and_nobody_else(monkeypatch: Any) -> None:
    clock = Clock(monkeypatch)
    turns, busy = Turns(), Connection()
    turns.join(busy, 1)
    busy.is_full = True
    for _ in range(20):
        for _ in range(3 * MESSAGES_EACH_MAX):
            turns.message(1, busy)
        await clock.passes(0.02)
        # Other accounts' turns, in which it is not read at all, make it no better.
        turns.message(2, Connection())
        await clock.passes(0.02)
    assert turns.is_shedding
    taken = [turns.has_room(1, 1) for _ in range(MESSAGES_STEADY_MAX + 2)]
    assert taken == [True] * MESSAGES_STEADY_MAX + [False] * 2
    assert all(turns.has_room(2, 1) for _ in range(3 * MESSAGES_EACH_MAX))
    busy.is_full = False
    await clock.passes(0.02)
    turns.message(1, busy)
    await clock.passes(0.02)
    assert not turns.is_shedding
    assert all(turns.has_room(1, 1) for _ in range(3 * MESSAGES_EACH_MAX))


async def test_who_waits_for_answers_between_bursts_is_not_shed(monkeypatch: Any) -> None:
    clock = Clock(monkeypatch)
    turns, trader = Turns(), Connection()
    turns.join(trader, 1)
    for _ in range(40):
        for _ in range(MESSAGES_EACH_MAX):
            turns.message(1, trader)
        await clock.passes(0.02)
        await clock.passes(0.02)
        assert not turns.is_shedding


# ---- what everybody sees


def test_a_minute_is_forgotten_second_by_second() -> None:
    meter = ShedMeter()
    meter.count("queueAge", 100)
    meter.count("accountShare", 130, times=5)
    assert meter.last_minute(159)["queueAge"] == 1
    assert meter.last_minute(160) == {**dict.fromkeys(REASONS, 0), "accountShare": 5}
    assert meter.last_minute(10_000) == dict.fromkeys(REASONS, 0)


def test_trouble_is_told_at_once_and_its_end_when_it_has_lasted() -> None:
    told: list[dict[str, Any]] = []
    now = [10**18]
    board = LoadBoard(told.append, clock=lambda: now[0])
    calm, core = (0, 0, 0), (0, 0, 0)
    board.hear(LoadState.OPEN, 0, calm)
    assert not told
    board.hear(LoadState.SHEDDING, 3_000_000, core)
    assert [(row["state"], row["queueMilliseconds"]) for row in told] == [("Shedding", 3)]
    board.hear(LoadState.SHEDDING, 0, (4, 1, 0))
    assert len(told) == 1
    now[0] += 1_000_000_001
    board.hear(LoadState.SHEDDING, 0, (4, 1, 0))
    assert (told[-1]["shedsPerMinute"], told[-1]["accountShare"], told[-1]["queueAge"]) == (5, 4, 1)
    board.hear(LoadState.OPEN, 0, (4, 1, 0))
    assert told[-1]["state"] == "Shedding"
    now[0] += 1_000_000_001
    board.hear(LoadState.OPEN, 0, (4, 1, 0))
    assert told[-1]["state"] == "Open"
    assert board.row()["since"] == told[-1]["since"]


def test_a_core_that_starts_again_counts_from_nothing() -> None:
    board = LoadBoard(lambda row: None, clock=lambda: 10**18)
    for counts in ((100, 0, 0), (103, 0, 0), (0, 0, 0), (2, 0, 0)):
        board.hear(LoadState.OPEN, 0, counts)
    assert board.row()["accountShare"] == 5

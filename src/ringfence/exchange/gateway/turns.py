"""Turns of the event loop: what one account sends over realtime connections does not hold up what others send.

In each turn the loop reads whatever has come, from one connection after another. A connection of an account that has
sent its part of a turn is not read any further until the next. Of the loop's time, one account that sends more gets
half, two get a third each, and so on: what is left is for those who send little, and find the loop at rest.

An account that sends more than its part for half a second without a break would be answered later and later: from then
on more of it is read, its part is taken, and the rest is shed, which is quick; and it gets a quarter of the time
instead of half. The same is shed of everybody when turns take so long that all would feel it.
"""

import asyncio
import fcntl
import termios
import time
from collections.abc import Hashable
from typing import Protocol

MESSAGES = 700
"""What all accounts together may have read in one turn: some 20 ms of work, so that a cancel waits a few of them."""
MESSAGES_EACH_MAX = 64
"""Of one account, when few are here: a burst is read in one piece, which costs least."""
MESSAGES_STEADY_MAX = 12
"""Of one that had more to send than its part in the turn before: a stream, which is read in small pieces."""
READ_WHEN_SHEDDING = 2
"""Times an account's part that is read when it is shed: what is shed costs a fourth of what is taken."""
REST, REST_WHEN_SHEDDING = 1.0, 3.0
"""Turns' lengths that the loop rests after a turn in which one account was over its part; of two, each half of it."""
SHED_AFTER_SECONDS = 0.5
BEHIND_SECONDS, CALM_SECONDS = 0.1, 0.05
_WEIGHT = 0.2


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Return whether the kernel keeps something of a connection that was not read."""
    if transport.is_closing():
        return False
    count = bytearray(4)
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, count)
    return any(count)


class Paused(Protocol):
    """A connection that can be left unread for a while."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def has_unread(self) -> bool: ...


class Turns:
    """Counts what accounts send in the turn under way."""

    def __init__(self) -> None:
        self._messages: dict[Hashable, int] = {}
        self._orders: dict[Hashable, int] = {}
        self._members: dict[Hashable, set[Paused]] = {}
        self._paused: set[Paused] = set()
        self._part, self._steady = MESSAGES_EACH_MAX, MESSAGES_STEADY_MAX
        """How many messages of each account are taken in a turn: of a burst, and of a stream."""
        self._over_since: dict[Hashable, float] = {}
        """Accounts that sent more than their part, and of whom something waits unread ever since."""
        self._over_now: set[Hashable] = set()
        self._shed: set[Hashable] = set()
        self._began = 0.0
        self._is_under_way = self._is_resting = False
        self._seconds = 0.0
        self._is_behind = False

    @property
    def is_shedding(self) -> bool:
        return self._is_behind or bool(self._shed)

    def join(self, connection: Paused, who: Hashable) -> None:
        """Count a connection among those of an account, or of an address that has not said who it is."""
        self._members.setdefault(who, set()).add(connection)

    def leave(self, connection: Paused, who: Hashable) -> None:
        members = self._members.get(who)
        if members is not None:
            members.discard(connection)
            if not members:
                del self._members[who]
        self._paused.discard(connection)

    def message(self, who: Hashable, connection: Paused) -> None:
        """Count a message; stop reading the connection if its account has sent its part."""
        if not self._is_under_way:
            self._begin()
        if connection in self._paused:
            return  # it was read before the connection was left: no part of this turn of the account's others
        count = self._messages[who] = self._messages.get(who, 0) + 1
        limit = self._steady if who in self._over_since else self._part
        if count < limit:
            return
        if self._sheds(who):
            limit *= READ_WHEN_SHEDDING
        if count < limit:
            return
        self._over_now.add(who)
        self._pause(connection)
        # Other connections of the account are heard once more: it may cancel on one what it has sent on another.
        if count == 2 * limit:
            for other in self._members.get(who, ()):
                self._pause(other)

    def _pause(self, connection: Paused) -> None:
        if connection not in self._paused:
            self._paused.add(connection)
            connection.pause()

    def _sheds(self, who: Hashable) -> bool:
        return self._is_behind or who in self._shed

    def has_room(self, who: Hashable, orders: int) -> bool:
        """Return whether orders may be taken; count them if they are of somebody of whom some are shed."""
        if not self._is_under_way:
            self._begin()
        if not self._sheds(who):
            return True
        count = self._orders.get(who, 0)
        if count >= self._steady:
            return False
        self._orders[who] = count + orders
        return True

    def _begin(self) -> None:
        self._is_under_way, self._began = True, time.monotonic()
        # Runs when everything that has come by now is read.
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        now = time.monotonic()
        took = now - self._began
        self._seconds += _WEIGHT * (took - self._seconds)
        self._is_behind = self._seconds > (CALM_SECONDS if self._is_behind else BEHIND_SECONDS)
        busy = max(1, len(self._messages), len(self._orders))
        self._part = max(1, min(MESSAGES_EACH_MAX, MESSAGES // busy))
        self._steady = min(MESSAGES_STEADY_MAX, self._part)
        over, self._over_now = self._over_now, set()
        if over or self._over_since:
            self._note(over, now)
        self._is_under_way = False
        self._messages.clear()
        self._orders.clear()
        if over and not self._is_resting:
            self._is_resting = True
            rest = (REST_WHEN_SHEDDING if self._shed else REST) / len(over)
            asyncio.get_running_loop().call_later(rest * took, self._resume)

    def _note(self, over: set[Hashable], now: float) -> None:
        """Note who sends more than their part, and for how long: until nothing of theirs waits unread."""
        since = {who: at for who, at in self._over_since.items() if who in over or self._has_unread(who)}
        self._over_since = {**dict.fromkeys(over, now), **since}
        self._shed = {who for who, at in since.items() if now - at > SHED_AFTER_SECONDS}

    def _has_unread(self, who: Hashable) -> bool:
        return any(connection.has_unread() for connection in self._members.get(who, ()))

    def _resume(self) -> None:
        """Read those again who were held."""
        self._is_resting = False
        if not self._is_under_way:
            # A turn for them: whoever has no more to send by then was not over their part for long.
            self._begin()
        paused, self._paused = self._paused, set()
        for connection in paused:
            connection.resume()

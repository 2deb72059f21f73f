"""Turns of the event loop: what one account sends over realtime connections does not hold up what others send.

In each turn the loop reads whatever has come, from one connection after another. An account that has sent more than its
part of a turn is not read any further until the next; what it sends waits with its own computer. When turns take so
long that others feel it, an account's orders beyond its part of a turn are shed, which is quick.
"""

import asyncio
import time
from collections.abc import Hashable
from typing import Protocol

MESSAGES = 1_000
"""What all accounts together may have read in one turn: some 30 ms of work."""
MESSAGES_EACH_MAX = 32
"""Of one account, when few are here: a millisecond."""
ORDERS_WHEN_BEHIND = 500
"""What all accounts together may have taken in one turn when turns are long."""
BEHIND_SECONDS, CALM_SECONDS = 0.05, 0.02
_WEIGHT = 0.2


class Paused(Protocol):
    """A connection that can be left unread for a while."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Turns:
    """Counts what accounts send in the turn under way."""

    def __init__(self) -> None:
        self._messages: dict[Hashable, int] = {}
        self._orders: dict[Hashable, int] = {}
        self._members: dict[Hashable, set[Paused]] = {}
        self._paused: set[Paused] = set()
        self._messages_each = MESSAGES_EACH_MAX
        self._orders_each = ORDERS_WHEN_BEHIND
        self._began = 0.0
        self._is_under_way = False
        self._seconds = 0.0
        self.is_behind = False
        """Turns take so long that orders beyond an account's part are shed."""

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

    def message(self, who: Hashable) -> None:
        """Count a message; stop reading from whoever has sent their part."""
        if not self._is_under_way:
            self._begin()
        count = self._messages[who] = self._messages.get(who, 0) + 1
        if count == self._messages_each:
            for connection in self._members.get(who, ()):
                connection.pause()
                self._paused.add(connection)

    def has_room(self, who: Hashable, orders: int) -> bool:
        """Count orders; return whether they may be taken."""
        if not self._is_under_way:
            self._begin()
        count = self._orders.get(who, 0)
        if self.is_behind and count >= self._orders_each:
            return False
        self._orders[who] = count + orders
        return True

    def _begin(self) -> None:
        self._is_under_way, self._began = True, time.monotonic()
        # Runs when everything that has come by now is read.
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        took = time.monotonic() - self._began
        self._seconds += _WEIGHT * (took - self._seconds)
        self.is_behind = self._seconds > (CALM_SECONDS if self.is_behind else BEHIND_SECONDS)
        busy = max(1, len(self._messages))
        self._messages_each = max(1, min(MESSAGES_EACH_MAX, MESSAGES // busy))
        self._orders_each = max(1, ORDERS_WHEN_BEHIND // max(busy, len(self._orders)))
        if self.is_behind:
            # What is shed costs little, and what is not read is not answered.
            self._messages_each *= 4
        self._is_under_way = False
        self._messages.clear()
        self._orders.clear()
        paused, self._paused = self._paused, set()
        for connection in paused:
            connection.resume()

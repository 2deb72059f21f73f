"""A lane: what waits, fairly between accounts, by deficit round-robin: nobody waits for what another has sent."""

from collections import deque
from typing import Any

from ringfence.messages.records import RECORD_BYTES

QUANTUM_SLOTS = 8
"""What an account's turn is worth: a command with the longest texts that an order has."""


class Waiting:
    """One command with its texts, or several that have to stay together."""

    __slots__ = (
        "account", "arrival", "clid", "is_gone", "is_place", "market", "may_shed", "origin", "since_ns", "size",
        "slots", "token",
    )  # fmt: skip

    def __init__(
        self, slots: bytes, *, account: int = 0, token: int = 0, origin: int = 0, since_ns: int = 0,
        arrival: int = 0, may_shed: bool = False, is_place: bool = False, clid: int = 0,
        market: tuple[int, bool] = (0, False),
    ) -> None:  # fmt: skip
        self.slots, self.size = slots, len(slots) // RECORD_BYTES
        self.account, self.token, self.origin = account, token, origin
        self.since_ns = since_ns
        self.arrival = arrival
        """Which barrier it came before: the number of the next one."""
        self.may_shed, self.is_place = may_shed, is_place
        self.clid = clid
        """Of an order: the hash of the clOrdID that it will have, 0 = none."""
        self.market = market
        """Of a new order: (instrument number, whether it sells)."""
        self.is_gone = False


class Queue:
    """What one account has waiting, in its order."""

    def __init__(self, account: int) -> None:
        self.account = account
        self.slots = self.places = 0
        self.deficit = QUANTUM_SLOTS
        self._units: deque[Waiting] = deque()
        self._by_clid: dict[int, dict[int, Waiting]] = {}
        self._by_market: dict[tuple[int, bool], dict[int, Waiting]] = {}

    def add(self, unit: Waiting) -> None:
        self._units.append(unit)
        self.slots += unit.size
        if unit.clid:
            self._by_clid.setdefault(unit.clid, {})[id(unit)] = unit
        if unit.is_place:
            self.places += 1
            self._by_market.setdefault(unit.market, {})[id(unit)] = unit

    def first(self) -> Waiting | None:
        while self._units and self._units[0].is_gone:
            self._units.popleft()
        return self._units[0] if self._units else None

    def remove(self, unit: Waiting) -> None:
        """Forget one, wherever it stands."""
        assert not unit.is_gone
        unit.is_gone = True
        self.slots -= unit.size
        if unit.clid:
            _drop(self._by_clid, unit.clid, unit)
        if unit.is_place:
            self.places -= 1
            _drop(self._by_market, unit.market, unit)

    def named(self, clid: int) -> list[Waiting]:
        """Return the placements and amendments that give an order this clOrdID."""
        return list(self._by_clid.get(clid, {}).values()) if clid else []

    def placed(self, symbol: int, sides: tuple[bool, ...] = (False, True)) -> list[Waiting]:
        """Return the placements of an instrument, 0 = of all, that buy (False) or sell (True)."""
        return [
            unit
            for market, units in self._by_market.items()
            if market[1] in sides and symbol in (0, market[0])
            for unit in units.values()
        ]


def _drop(index: dict[Any, dict[int, Waiting]], key: object, unit: Waiting) -> None:
    left = index[key]
    del left[id(unit)]
    if not left:
        del index[key]


class Lane:
    """The queues of the accounts that have something waiting, in turn. Every operation is O(1) a command."""

    def __init__(self) -> None:
        self._queues: dict[int, Queue] = {}
        self._turns: deque[Queue] = deque()
        self.slots = 0

    def __bool__(self) -> bool:
        return self.slots > 0

    def of(self, account: int) -> Queue | None:
        """Return what an account has waiting, None if that is nothing."""
        return self._queues.get(account)

    def add(self, unit: Waiting) -> None:
        queue = self._queues.get(unit.account)
        if queue is None:
            queue = self._queues[unit.account] = Queue(unit.account)
            self._turns.append(queue)
        queue.add(unit)
        self.slots += unit.size

    def remove(self, unit: Waiting) -> None:
        self._queues[unit.account].remove(unit)
        self.slots -= unit.size

    def pop(self, room: int) -> Waiting | None:
        """Take out whose turn it is; None if nothing waits, or what is next has more slots than `room`."""
        while self._turns:
            queue = self._turns[0]
            unit = queue.first()
            if unit is None:
                self._turns.popleft()
                del self._queues[queue.account]
            elif queue.deficit < unit.size:
                queue.deficit += QUANTUM_SLOTS
                self._turns.rotate(-1)
            elif unit.size > room:
                return None
            else:
                queue.deficit -= unit.size
                self.remove(unit)
                return unit
        return None

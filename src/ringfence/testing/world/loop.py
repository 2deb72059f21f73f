"""Virtual time: a heap of what happens next, and a hash over everything that was decided."""

import hashlib
import heapq
from collections.abc import Callable
from typing import Any

from ringfence.testing.play import START_NS
from ringfence.units.time import NS_PER_MS


class Node:
    """Something that lives and dies: what was planned for an earlier life does not happen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.life = 0

    def end_life(self) -> None:
        self.life += 1


Thunk = Callable[..., None]


class Loop:
    """One run's time. Ties are broken by the order in which things were planned, never by objects."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self._heap: list[tuple[int, int, Node, int, Thunk, tuple[Any, ...]]] = []
        self._planned = 0
        self._trace = hashlib.sha256()
        self.happened = 0

    def after(self, delay_ns: int, node: Node, thunk: Thunk, *arguments: Any) -> None:
        """Plan something for a node in so many nanoseconds, unless its life ends before."""
        assert delay_ns >= 0
        self._planned += 1
        item = (self.now_ns + delay_ns, self._planned, node, node.life, thunk, arguments)
        heapq.heappush(self._heap, item)

    def after_ms(self, delay_ms: float, node: Node, thunk: Thunk, *arguments: Any) -> None:
        self.after(int(delay_ms * NS_PER_MS), node, thunk, *arguments)

    def step(self) -> bool:
        """Let the next thing happen; False if nothing is planned."""
        while self._heap:
            when, number, node, life, thunk, arguments = heapq.heappop(self._heap)
            if life != node.life:
                continue
            self.now_ns = when
            self.happened += 1
            self.note(b"%d %d %b %b" % (when - START_NS, number, node.name.encode(), thunk.__name__.encode()))
            thunk(*arguments)
            return True
        return False

    def note(self, decision: bytes) -> None:
        """Take a decision into the trace."""
        self._trace.update(decision)
        self._trace.update(b"\n")

    def trace(self) -> str:
        """Return a hash that two runs have in common exactly if they decided the same."""
        return self._trace.hexdigest()

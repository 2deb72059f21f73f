"""How much is taken, for everybody to see, and what was shed in the last minute."""

import time
from collections.abc import Callable
from typing import Any

from ringfence.messages.load import LoadState, ShedReason
from ringfence.units.time import NS_PER_MS, iso

REASONS = {
    "accountShare": "your account has as much waiting as it may; others find room",
    "queueAge": "it would have waited, or has waited, for too long",
    "queueFull": "there is no room for orders of anybody",
    "gatewayBusy": "you send more than your part of what the gateway can read",
    "withdrawn": "your own cancel or Close came before its turn",
}
"""What `error.reason` of a 503 says, and a column of the table `shed` counts."""
CORE_REASONS = {
    ShedReason.SHARE: "accountShare", ShedReason.AGE: "queueAge", ShedReason.WITHDRAWN: "withdrawn",
}  # fmt: skip
STATES = {LoadState.OPEN: "Open", LoadState.SHEDDING: "Shedding", LoadState.CANCEL_ONLY: "CancelOnly"}
_SECONDS = 60
_CALM_NS = 1_000 * NS_PER_MS
"""How long nothing may have been amiss before it is said that all is well again."""
_EVERY_NS = 1_000 * NS_PER_MS


class ShedMeter:
    """Counts by reason, of the last sixty seconds."""

    def __init__(self) -> None:
        self._counts = [dict.fromkeys(REASONS, 0) for _ in range(_SECONDS)]
        self._second = 0
        self.totals = dict.fromkeys(REASONS, 0)

    def count(self, reason: str, second: int, *, times: int = 1) -> None:
        self._turn_to(second)
        self._counts[second % _SECONDS][reason] += times
        self.totals[reason] += times

    def last_minute(self, second: int) -> dict[str, int]:
        self._turn_to(second)
        return dict(self.totals)

    def _turn_to(self, second: int) -> None:
        """Forget what is older than a minute."""
        for passed in range(max(self._second + 1, second - _SECONDS + 1), second + 1):
            counts = self._counts[passed % _SECONDS]
            for reason, times in counts.items():
                self.totals[reason] -= times
                counts[reason] = 0
        self._second = max(self._second, second)


class LoadBoard:
    """The row that everybody sees. `publish(row)` runs before the first refusal that follows from a new state."""

    def __init__(
        self, publish: Callable[[dict[str, Any]], None], *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._publish, self._clock = publish, clock
        self._meter = ShedMeter()
        self._core_sheds: tuple[int, ...] | None = None
        self._state = LoadState.OPEN
        self._since_ns = clock()
        self._calm_since_ns = self._told_ns = 0
        self._wait_ns = 0
        self._is_changed = False

    def count(self, reason: str) -> None:
        """Count a command that this gateway did not let in."""
        self._meter.count(reason, self._clock() // 10**9)
        self._is_changed = True

    def hear(self, state: LoadState, wait_ns: int, core_sheds: tuple[int, ...] | None = None) -> None:
        """Take how things stand. A worse state is told at once, a better one when it has lasted a second.

        `core_sheds` are counts since the core's start, by ShedReason; None if the core said nothing new.
        """
        now_ns = self._clock()
        self._wait_ns = wait_ns
        if core_sheds is not None:
            self._count_core(core_sheds, now_ns // 10**9)
        if state >= self._state:
            self._calm_since_ns = 0
        elif not self._calm_since_ns:
            self._calm_since_ns = now_ns
        is_calm = self._calm_since_ns and now_ns - self._calm_since_ns >= _CALM_NS
        if state > self._state or is_calm:
            self._state, self._since_ns, self._calm_since_ns = state, now_ns, 0
            self._tell(now_ns)
        elif self._is_changed and now_ns - self._told_ns >= _EVERY_NS:
            self._tell(now_ns)

    def _count_core(self, counts: tuple[int, ...], second: int) -> None:
        before = self._core_sheds
        self._core_sheds = counts
        # A gateway that has just come, or a core that has: what was counted before is not of this minute.
        if before is None or any(new < old for new, old in zip(counts, before, strict=True)):
            return
        for reason, new, old in zip(ShedReason, counts, before, strict=True):
            if new > old:
                self._meter.count(CORE_REASONS[reason], second, times=new - old)
                self._is_changed = True

    def _tell(self, now_ns: int) -> None:
        self._told_ns, self._is_changed = now_ns, False
        self._publish(self.row())

    def row(self) -> dict[str, Any]:
        now_ns = self._clock()
        counts = self._meter.last_minute(now_ns // 10**9)
        return {
            "venue": "Ringfence", "timestamp": iso(now_ns), "state": STATES[self._state],
            "since": iso(self._since_ns), "queueMilliseconds": self._wait_ns // NS_PER_MS,
            "shedsPerMinute": sum(counts.values()), **counts,
        }  # fmt: skip

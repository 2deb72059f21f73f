"""A token bucket: how often something may be done. It is told the time."""


class Bucket:
    """A token bucket: `capacity` tokens, refilled evenly over `period_seconds`."""

    __slots__ = ("_at", "_rate", "_tokens", "capacity")

    def __init__(self, capacity: int, period_seconds: float, now: float) -> None:
        self.capacity = capacity
        self._rate = capacity / period_seconds
        self._tokens = float(capacity)
        self._at = now

    def has(self, cost: int, now: float) -> bool:
        """Return whether there are enough tokens."""
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= cost

    def take(self, cost: int, now: float) -> bool:
        """Take tokens if there are enough."""
        if not self.has(cost, now):
            return False
        self._tokens -= cost
        return True

    @property
    def remaining(self) -> int:
        return int(self._tokens)

    def seconds_until(self, cost: int) -> int:
        """Return whole seconds, at least 1, until so many tokens are there."""
        return max(1, -int(-(min(cost, self.capacity) - self._tokens) / self._rate // 1))

    def is_full_at(self, now: float) -> bool:
        return self._tokens + (now - self._at) * self._rate >= self.capacity

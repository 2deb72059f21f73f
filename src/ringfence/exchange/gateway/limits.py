"""Rate limits: token buckets by account or address, and the headers that tell about them.

BitMEX's figures are the defaults: 120 requests a minute for an account, 30 for an address without a
key, and 10 a second for what moves orders.
"""

from collections import Counter

from ringfence.configuration import Limits
from ringfence.exchange.bucket import Bucket
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.users.keys import ApiKey


def take(bucket: Bucket | None, now: float) -> Bucket | None:
    """Take one token of a bucket, if there is one at all. Raises Refused (429)."""
    if bucket is not None and not bucket.take(1, now):
        seconds = bucket.seconds_until(1)
        raise Refused(
            429, f"Rate limit exceeded, retry in {seconds} seconds.", "RateLimitError", retry_after_seconds=seconds
        )  # fmt: skip
    return bucket


class Presence:
    """Who is connected, by address. An address that has too many connections keeps nobody else out."""

    def __init__(self, limits: Limits) -> None:
        self._each, self._all = limits.connections_per_address, limits.connections_at_once
        self._here: Counter[str] = Counter()
        self._count = 0

    def enter(self, address: str) -> bool:
        """Count a connection if there is room for it."""
        if self._each and self._here[address] >= self._each:
            return False
        if self._all and self._count >= self._all:
            return False
        self._here[address] += 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        self._here[address] -= 1
        self._count -= 1
        if not self._here[address]:
            del self._here[address]


class Limiter:
    """The buckets of everyone who was here lately."""

    _SWEEP_ABOVE = 10_000

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buckets: dict[tuple[str, object, int], Bucket] = {}

    def _bucket(self, kind: str, who: object, capacity: int, period: float, now: float) -> Bucket | None:
        if capacity == 0:
            return None
        # Keys of one account may have different limits: each limit has its bucket, so that using one
        # key never refills another's.
        name = (kind, who, capacity)
        found = self._buckets.get(name)
        if found is None:
            if len(self._buckets) > self._SWEEP_ABOVE:
                self._buckets = {k: b for k, b in self._buckets.items() if not b.is_full_at(now)}
            found = self._buckets[name] = Bucket(capacity, period, now)
        return found

    def requests(self, key: ApiKey | None, address: str, now: float) -> Bucket | None:
        """Return the bucket of ordinary requests, None if they are not limited."""
        if key is None:
            return self._bucket("address", address, self.limits.anonymous_requests_per_minute, 60, now)
        own = key.record.limits.requests_per_minute
        capacity = self.limits.requests_per_minute if own is None else own
        return self._bucket("account", key.account, capacity, 60, now)

    def orders(self, key: ApiKey, now: float) -> Bucket | None:
        own = key.record.limits.orders_per_second
        capacity = self.limits.orders_per_second if own is None else own
        return self._bucket("orders", key.account, capacity, 1, now)

    def pages(self, address: str, now: float) -> Bucket | None:
        return self._bucket("pages", address, self.limits.page_files_per_minute, 60, now)

    def reports(self, address: str, now: float) -> Bucket | None:
        return self._bucket("reports", address, self.limits.security_reports_per_hour, 3600, now)

    def policy_reports(self, address: str, now: float) -> Bucket | None:
        return self._bucket("policy reports", address, self.limits.policy_reports_per_hour, 3600, now)

    def connections(self, address: str, now: float) -> Bucket | None:
        return self._bucket("connections", address, self.limits.connections_per_hour, 3600, now)

"""How often somebody may be wrong. Nobody can lock others out.

Strangers share the tries of an address and the tries at a user; a device that has signed in before has tries of its
own. So whoever guesses a stranger's password exhausts what strangers may do there, and the user still comes in from
the devices that they use. Addresses of mail that nobody has are counted alike.
"""

from typing import NamedTuple

from ringfence.configuration import Rates
from ringfence.exchange.bucket import Bucket

_HOUR_SECONDS = 3_600.0
_SWEEP_ABOVE = 20_000


class Throttled(NamedTuple):
    """It was too often; after so many seconds there is room again."""

    seconds: int


class Try(NamedTuple):
    """Somebody wants to be a user."""

    user: str
    address: str
    device: str
    """Empty unless it has signed in as that user before."""


class Throttle:
    def __init__(self, rates: Rates) -> None:
        self._rates, self.failures = rates, 0
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def may_try(self, who: Try, *, now: float) -> Throttled | None:
        """Return None if there is a try left."""
        for bucket in self._of_try(who, now):
            if not bucket.has(1, now):
                return Throttled(bucket.seconds_until(1))
        return None

    def failed(self, who: Try, *, now: float) -> None:
        self.failures += 1
        for bucket in self._of_try(who, now):
            bucket.take(1, now)

    def may_mail(self, *, person: str, address: str, now: float) -> bool:
        """Count a mail that somebody has us write; return whether it goes."""
        of_address = self._bucket("mail from", address, self._rates.mails_of_address, now)
        of_person = self._bucket("mail to", person, self._rates.mails_of_person, now)
        return of_address.take(1, now) and of_person.take(1, now)

    def _of_try(self, who: Try, now: float) -> list[Bucket]:
        if who.device:
            return [self._bucket("device", who.device, self._rates.failures_of_device, now)]
        return [
            self._bucket("address", who.address, self._rates.failures_of_address, now),
            self._bucket("user", who.user, self._rates.failures_of_user, now),
        ]

    def _bucket(self, kind: str, who: str, capacity: int, now: float) -> Bucket:
        found = self._buckets.get((kind, who))
        if found is None:
            if len(self._buckets) > _SWEEP_ABOVE:
                self._buckets = {k: b for k, b in self._buckets.items() if not b.is_full_at(now)}
            found = self._buckets[kind, who] = Bucket(capacity, _HOUR_SECONDS, now)
        return found

"""When a snapshot is due. Two known days a week, and minutes that nobody knows beforehand in between."""

from datetime import UTC, datetime, timedelta

import msgspec

from ringfence.units.time import NS_PER_SECOND

TUESDAY, THURSDAY = 1, 3
_WEEK_DAYS = 7
_SECONDS_PER_DAY = 86_400


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`proofs.json`: what an operator may choose."""

    weekdays: tuple[int, ...] = (TUESDAY, THURSDAY)
    """0 = Monday."""
    time: str = "12:00"
    """UTC."""
    late_minutes: int = 60
    """After so long a snapshot that did not come is an alarm."""
    stamp_minutes: int = 10
    opened: int = 3
    """Minutes of a period that a later block opens."""
    start_minutes: int = 30
    """How often the whole state is kept, from which a drawn minute is replayed; until the minutes are opened."""
    calendars: tuple[str, ...] = ()
    """OpenTimestamps calendars, https; without any, a development chain takes the stamps."""

    def check(self) -> None:
        """Raises ValueError."""
        if not self.weekdays or any(not 0 <= day < _WEEK_DAYS for day in self.weekdays):
            raise ValueError("proofs.json: weekdays are numbers from 0, Monday, to 6, and at least one")
        datetime.strptime(self.time, "%H:%M")
        numbers = (self.late_minutes, self.stamp_minutes, self.opened, self.start_minutes)
        if min(numbers) < 1:
            raise ValueError("proofs.json: every number of minutes is at least 1, and so is `opened`")

    @property
    def period_seconds(self) -> int:
        """Return the longest time between two snapshots."""
        days = sorted(set(self.weekdays))
        pairs = zip(days, [*days[1:], days[0]], strict=True)
        gaps = [(after - before) % _WEEK_DAYS or _WEEK_DAYS for before, after in pairs]
        return max(gaps) * _SECONDS_PER_DAY

    def next_after(self, timestamp_ns: int) -> int:
        """Return the first moment above this one at which a snapshot is due."""
        now = datetime.fromtimestamp(timestamp_ns // NS_PER_SECOND, UTC)
        hour, minute = (int(part) for part in self.time.split(":"))
        for days in range(_WEEK_DAYS + 1):
            due = (now + timedelta(days=days)).replace(hour=hour, minute=minute, second=0, microsecond=0)
            due_ns = int(due.timestamp()) * NS_PER_SECOND
            if due.weekday() in self.weekdays and due_ns > timestamp_ns:
                return due_ns
        raise AssertionError("a week without any of its days")

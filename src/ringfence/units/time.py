"""Nanoseconds since 1970 inside, ISO-8601 UTC with milliseconds on the wire.

Nothing here reads a clock: stamps arrive from the sequencer.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def iso(timestamp_ns: int) -> str:
    """Return e.g. 2026-11-24T12:00:00.000Z: exactly three decimals, as clients compare it byte for byte.

    Remembered, because everything that one batch changed carries the same stamp.
    """
    stamp = _EPOCH + timedelta(milliseconds=timestamp_ns // NS_PER_MS)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{stamp.microsecond // 1000:03d}Z"


def parse_iso(text: str) -> int:
    """Return the nanoseconds of an ISO-8601 text; without an offset it is taken as UTC. Raises ValueError."""
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    delta = stamp - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_SECOND + delta.microseconds * 1_000


def floor_to(timestamp_ns: int, step_ns: int) -> int:
    """Return the latest multiple of the step at or before the stamp."""
    return timestamp_ns - timestamp_ns % step_ns

"""The bots' look at their own money: says long before it runs out that it will."""

import logging
import time

from ringfence.daemons.bots.connection import Connection, Row

log = logging.getLogger("ringfence.bots")

_LOOK_SECONDS = 60.0
_TELL_SECONDS = 3600.0
_LOW = 0.2
"""Warn when less than this part of a wallet is free, or when it is spent within a week at this rate."""
_DAYS_LOW = 7.0
_SETTLED_SECONDS = 600.0
"""A rate of loss means little before this long."""


class Watch:
    """Asks for the margin rows now and then: one partial, not a stream."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._look_at = 0.0
        self._tell_at = 0.0
        self._first: dict[str, tuple[float, int]] = {}

    def look(self, connection: Connection, now: float) -> None:
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            connection.subscribe("margin")
            connection.unsubscribe("margin")

    def take(self, rows: list[Row]) -> None:
        now = time.monotonic()
        tell = now >= self._tell_at
        for row in rows:
            wallet, free, balance = row["walletBalance"], row["availableMargin"], row["marginBalance"]
            if not wallet:
                continue
            days = self._days_left(row["currency"], now, balance)
            if free < _LOW * wallet or days < _DAYS_LOW:
                log.warning(
                    "%s: %s runs low: %d of %d free, %.1f days left",
                    self._who,
                    row["currency"],
                    free,
                    wallet,
                    days,
                )
            elif tell:
                log.info("%s: %s %d, free %d", self._who, row["currency"], wallet, free)
        if tell:
            self._tell_at = now + _TELL_SECONDS

    def _days_left(self, currency: str, now: float, balance: int) -> float:
        began, first = self._first.setdefault(currency, (now, balance))
        lost = first - balance
        if now - began < _SETTLED_SECONDS or lost <= 0:
            return float("inf")
        return balance / lost * (now - began) / 86_400

"""Months of operation in virtual time; RINGFENCE_MONTHS=24 makes it two years."""

import asyncio
import logging
import os

import pytest

from ringfence.testing import virtual_time
from ringfence.testing.months import TROUBLES, play

MONTHS = int(os.environ.get("RINGFENCE_MONTHS", "2"))


def test_the_machines_come_to_one_state_after_months_of_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, logger="ringfence")
    found = play(1, MONTHS)
    print(found)
    assert found["days"] >= 30 * MONTHS - 2
    assert found["backups"] == MONTHS
    assert found["restarts"] == 3 * MONTHS
    assert sum(found.get(trouble, 0) for trouble in TROUBLES) == MONTHS
    assert found["leads"] >= MONTHS
    assert found["told"] > 100 * MONTHS
    assert found["begun from a snapshot"] > 3 * MONTHS


def test_time_passes_after_years_too() -> None:
    """After half a year of seconds, what asyncio takes for a clock's resolution is less than a step of the number."""

    async def live() -> float:
        loop = asyncio.get_running_loop()
        for seconds in (2.0**24, 1e9):
            await asyncio.sleep(seconds)
            for _ in range(100):
                await asyncio.sleep(0.1)
        return loop.time()

    assert virtual_time.run(live()) > 1e9

"""Months of operation in virtual time; RINGFENCE_MONTHS=24 makes it two years."""

import logging
import os

from ringfence.testing.months import TROUBLES, play

MONTHS = int(os.environ.get("RINGFENCE_MONTHS", "2"))


def test_the_machines_come_to_one_state_after_months_of_trouble() -> None:
    logging.getLogger("ringfence").setLevel(logging.CRITICAL)
    found = play(1, MONTHS)
    print(found)
    assert found["days"] >= 30 * MONTHS - 2
    assert found["backups"] == MONTHS
    assert found["restarts"] == 3 * MONTHS
    assert sum(found.get(trouble, 0) for trouble in TROUBLES) == MONTHS
    assert found["leads"] >= MONTHS
    assert found["told"] > 100 * MONTHS

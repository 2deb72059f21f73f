"""Power cuts under load: what was acknowledged is there, and nothing was done twice.

RINGFENCE_KILLS=200 makes it the long run; the default is a short one.
"""

import os
import random
import threading
import time
from pathlib import Path

from ringfence.testing.traders import Trader, check, wait_enough
from ringfence.testing.venue import Venue

KILLS = int(os.environ.get("RINGFENCE_KILLS", "8"))
TRADERS = 4
_VICTIMS = ("core", "core", "gateway", "history")


def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    dice = random.Random(2026)
    stop = threading.Event()
    with Venue(tmp_path, accounts=TRADERS) as venue:
        traders = [Trader(venue.port, account, stop) for account in range(1, TRADERS + 1)]
        for trader in traders:
            trader.start()
        for kill in range(KILLS):
            time.sleep(dice.uniform(0.05, 0.6))
            victim = _VICTIMS[kill % len(_VICTIMS)]
            venue.kill(victim)
            venue.start(victim)
            venue.wait_ready()
        wait_enough(traders)
        stop.set()
        for trader in traders:
            trader.join(30)
            assert trader.fault is None, trader.fault
        for trader in traders:
            check(trader)
        print(
            f"{KILLS} kills, {sum(len(t.acknowledged) for t in traders)} acknowledged,"
            f" {sum(t.lost for t in traders)} answers lost"
        )

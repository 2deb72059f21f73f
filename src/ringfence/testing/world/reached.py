"""States that a batch of runs must have been in: a simulation that never gets there proves nothing."""

from collections import Counter

FLOORS: dict[str, float] = {
    "core started again": 5000,
    "killed": 8000,
    "power cut": 1500,
    "crash inside recovery": 120,
    "crash inside a write": 250,
    "crash inside a snapshot": 50,
    "torn tail set aside": 60,
    "the batch in flight survived": 800,
    "refused to start: rot": 120,
    "refused to start: watermark": 500,
    "damage found by verify": 60,
    "damaged snapshot passed over": 1000,
    "snapshot fallback": 300,
    "started from a snapshot": 2000,
    "feed damaged": 800,
    "disk failed": 600,
    "disk full, then recovered": 800,
    "snapshot failed": 30,
    "gateway started again": 2500,
    "gateway rebuilt its views": 600,
    "line lost with commands on it": 600,
    "nothing was done, sent again": 20000,
    "shed, then accepted": 100,
    "retry refused as duplicate": 400,
    "placed again after it was done": 500,
    "outcome asked for": 20000,
    "stale request refused": 2000,
    "clock jumped back": 600,
    "funding paid": 120,
    "session or timer fired": 250,
    "partial liquidation": 25,
    "full take-over": 800,
    "insurance paid": 30,
    "insurance empty": 5,
    "deleveraging": 500,
    "deleveraging of 3 accounts": 60,
    "self-trade: resting cancelled": 1500,
    "self-trade: taking cancelled": 1500,
    "self-trade: allowed": 1500,
    "stop triggered": 5000,
    "stop cascade of 5": 60,
    "trailing stop followed": 2500,
    "linked order cancelled": 1000,
    "reduce-only clipped": 300,
    "contract settled": 25,
    "margin transferred": 150,
    "sub-account transfer": 600,
}
"""At least so often in 1,000 seeds of the default set; checked in proportion for fewer."""


def missing(reached: Counter[str], *, seeds: int) -> dict[str, str]:
    """Return what was reached too rarely for so many seeds; floors below 3 in so few seeds say nothing."""
    short = {}
    for name, floor in FLOORS.items():
        wanted = floor * seeds / 1000 * 0.5
        if wanted >= 3 and reached[name] < wanted:
            short[name] = f"{reached[name]} of at least {wanted:.0f}"
    return short

"""States that a batch of runs must have been in: a simulation that never gets there proves nothing."""

from collections import Counter

FLOORS: dict[str, float] = {
    "core started again": 3000,
    "killed": 1000,
    "power cut": 1000,
    "crash inside recovery": 100,
    "crash inside a write": 300,
    "torn tail set aside": 100,
    "the batch in flight survived": 50,
    "refused to start: rot": 50,
    "refused to start: watermark": 20,
    "damaged snapshot passed over": 20,
    "snapshot fallback": 20,
    "started from a snapshot": 300,
    "feed written again": 50,
    "disk failed": 50,
    "disk full, then recovered": 20,
    "gateway started again": 100,
    "gateway rebuilt its views": 50,
    "line lost with commands on it": 50,
    "nothing was done, sent again": 50,
    "shed, then accepted": 20,
    "retry refused as duplicate": 100,
    "outcome asked for": 100,
    "stale request refused": 50,
    "clock jumped back": 50,
    "funding paid": 300,
    "session or timer fired": 50,
    "partial liquidation": 100,
    "full take-over": 100,
    "insurance paid": 50,
    "insurance empty": 30,
    "deleveraging": 50,
    "deleveraging of 3 accounts": 10,
    "self-trade: resting cancelled": 50,
    "self-trade: taking cancelled": 50,
    "self-trade: allowed": 50,
    "stop triggered": 200,
    "stop cascade of 5": 5,
    "trailing stop followed": 20,
    "linked order cancelled": 50,
    "reduce-only clipped": 20,
    "contract settled": 50,
    "margin transferred": 50,
    "sub-account transfer": 50,
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

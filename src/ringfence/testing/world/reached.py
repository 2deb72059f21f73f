"""States that a batch of runs must have been in: a simulation that never gets there proves nothing."""

from collections import Counter

FLOORS: dict[str, float] = {
    "clock jumped back": 420,
    "contract settled": 18,
    "core started again": 3369,
    "crash inside a snapshot": 45,
    "crash inside a write": 170,
    "crash inside recovery": 76,
    "damage found by verify": 50,
    "damaged snapshot passed over": 1070,
    "deleveraging": 465,
    "deleveraging of 3 accounts": 34,
    "disk failed": 502,
    "disk failed while starting": 877,
    "disk full": 766,
    "disk full, then recovered": 622,
    "feed damaged": 818,
    "full take-over": 640,
    "funding paid": 62,
    "gateway rebuilt its views": 458,
    "gateway started again": 1860,
    "halted or resumed": 900,
    "insurance empty": 2,
    "insurance paid": 4,
    "killed": 5788,
    "line lost with commands on it": 709,
    "linked order cancelled": 921,
    "margin transferred": 176,
    "nothing was done, sent again": 74160,
    "outcome asked for": 85041,
    "partial liquidation": 10,
    "placed again after it was done": 1577,
    "power cut": 1021,
    "reduce-only clipped": 181,
    "refused to start: rot": 85,
    "refused to start: watermark": 425,
    "retry refused as duplicate": 390,
    "self-trade: allowed": 1863,
    "self-trade: resting cancelled": 2100,
    "self-trade: taking cancelled": 1595,
    "sent again over a new line": 2400,
    "session or timer fired": 242,
    "shed, then accepted": 5621,
    "snapshot failed": 22,
    "snapshot fallback": 332,
    "stale request refused": 3184,
    "started from a snapshot": 1594,
    "started on a full disk": 125,
    "stop cascade of 5": 77,
    "stop triggered": 5014,
    "sub-account transfer": 592,
    "the batch in flight survived": 552,
    "torn tail set aside": 33,
    "trading goes on after a halt": 288,
    "trailing stop followed": 2857,
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

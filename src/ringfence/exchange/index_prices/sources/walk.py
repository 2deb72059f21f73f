"""Made-up prices: a function of a seed and the second, in integers.

The walk is fractal noise. Each octave is a line through pseudo-random points, the slower the octave the
larger; sizes grow with the square root of the period, as those of a random walk do. Nothing is
remembered: a feed that was killed continues where it would have been, every process that asks gets
the same price, and however long it runs the price stays within a few per cent of where it began.
"""

from hashlib import blake2b

from ringfence.units.limits import INDEX_DECIMALS
from ringfence.units.rounding import round_div
from ringfence.units.time import NS_PER_SECOND

SEED = 1
START_PRICES = {"XBT": 100_000, "ETH": 3_500, "SOL": 180}
"""Whole dollars. An underlying that is not here begins at 100."""
_BILLION = 10**9
_OCTAVES = range(3, 19)
"""Periods of 8, 16, 32 ... 2**18 seconds, which is three days. Faster ones would only tremble: they move
the makers' orders to and fro, and every move is a row of history for ever."""
_STEP_PPB = 8_000
"""The size of an octave of one second, in parts per billion: 0.8 dollars of 100 000."""


def noise(seed: int, name: str, octave: int, point: int) -> int:
    """Return a pseudo-random integer within +-2**31."""
    text = f"{seed}/{name}/{octave}/{point}".encode()
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big") - 2**31


def deviation_ppb(seed: int, underlying: str, second: int) -> int:
    """Return how far the underlying is from its start price, in parts per billion."""
    total = 0
    for octave in _OCTAVES:
        period = 1 << octave
        point, into = divmod(second, period)
        before = noise(seed, underlying, octave, point)
        after = noise(seed, underlying, octave, point + 1)
        here = before + (after - before) * into // period
        # sqrt(2**octave) as an integer: 1448/1024 is the square root of two.
        size = (_STEP_PPB << octave // 2) * (1448 if octave % 2 else 1024) // 1024
        total += here * size >> 31
    return total


def index_units(underlying: str, *, seed: int, at_ns: int) -> int:
    """Return the simulated price of a coin in index units."""
    base = START_PRICES.get(underlying, 100) * 10**INDEX_DECIMALS
    return round_div(base * (_BILLION + deviation_ppb(seed, underlying, at_ns // NS_PER_SECOND)), _BILLION)

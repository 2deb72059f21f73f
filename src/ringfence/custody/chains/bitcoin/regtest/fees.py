"""What a transaction should pay to be in one of the next blocks, from what the last ones were paid.

Much simpler than Core's estimator, and like it silent while it knows too little: whoever asks needs a rate of
his own for then, and a cap for always.
"""

from collections import deque
from collections.abc import Iterable

from ringfence.custody.chains.bitcoin.regtest.mempool import FEE_RATE_SATS_PER_KVB_MIN, Entry
from ringfence.custody.chains.bitcoin.regtest.mining import BLOCK_WEIGHT_MAX
from ringfence.custody.chains.bitcoin.transactions import WITNESS_SCALE

BLOCKS = 24
RATES_MIN = 10
"""Fewer transactions than this say nothing."""
_QUANTILES_PERCENT = ((2, 75), (6, 50))
_QUANTILE_PERCENT_PATIENT = 25


class FeeEstimator:
    """Remembers the fee rates of the newest blocks."""

    def __init__(self) -> None:
        self._blocks: deque[list[int]] = deque(maxlen=BLOCKS)

    def block_came(self, rates_sats_per_kvb: list[int]) -> None:
        self._blocks.append(rates_sats_per_kvb)

    def block_left(self) -> None:
        if self._blocks:
            self._blocks.pop()

    def rate_sats_per_kvb(self, target_blocks: int, waiting: Iterable[Entry]) -> int | None:
        """Return a rate with which to be in one of the next blocks, None if too little is known."""
        paid = sorted(rate for rates in self._blocks for rate in rates)
        if len(paid) < RATES_MIN:
            return None
        percent = next((p for blocks, p in _QUANTILES_PERCENT if target_blocks <= blocks), None)
        usual = paid[(len(paid) - 1) * (percent or _QUANTILE_PERCENT_PATIENT) // 100]
        return max(usual, _rate_of_the_queue(target_blocks, waiting), FEE_RATE_SATS_PER_KVB_MIN)


def _rate_of_the_queue(target_blocks: int, waiting: Iterable[Entry]) -> int:
    """Return what has to be paid to stand before the end of so many full blocks."""
    room = target_blocks * BLOCK_WEIGHT_MAX // WITNESS_SCALE
    for entry in sorted(waiting, key=lambda entry: -entry.fee_rate_sats_per_kvb):
        room -= entry.transaction.vsize
        if room < 0:
            return entry.fee_rate_sats_per_kvb + 1
    return 0

"""What an index is made of: whose prices, with which weights, under which rules."""

from typing import Any

import msgspec

from ringfence.instruments.specification import Instrument
from ringfence.messages.constituents import CONSTITUENTS_MAX, WEIGHT_ONE, Reference

_R = Reference


class Constituent(msgspec.Struct, frozen=True):
    """One source of an index. `weight` is in 1e-4."""

    reference: Reference
    weight: int


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a constituent is trusted. The figures are BitMEX's where BitMEX has published one."""

    tolerance_ppm: int = 250_000
    """Further from the median than this, a constituent is dropped."""
    stale_ms: int = 15 * 60_000
    return_ms: int = 15 * 60_000
    """How long a dropped one must have been back near the others before it counts again."""
    return_band_ppm: int = 20_000
    """What near means there, and what agreeing means in the quorum."""
    pull_ppm: int = 10_000
    """No constituent counts with a price further from the median than this; ours, see docs/decisions/0009."""
    step_ppm: int = 100_000
    """The index moves no further than this from one price to the next, unless a quorum agrees."""
    quorum: int = 3


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index as it is calculated. Raises ValueError for what cannot be one."""

    symbol: str
    number: int
    base: str
    quote: str
    constituents: tuple[Constituent, ...]
    rules: Rules

    def __post_init__(self) -> None:
        references = {one.reference for one in self.constituents}
        if not 2 <= len(self.constituents) <= CONSTITUENTS_MAX or len(references) < len(self.constituents):
            raise ValueError(f"{self.symbol}: an index has 2 to {CONSTITUENTS_MAX} different constituents")
        if any(one.weight <= 0 for one in self.constituents):
            raise ValueError(f"{self.symbol}: every constituent has a weight above 0")
        if sum(one.weight for one in self.constituents) != WEIGHT_ONE:
            raise ValueError(f"{self.symbol}: the weights add up to {WEIGHT_ONE}, each in 1e-4")
        rules = self.rules
        if any(value <= 0 for value in msgspec.structs.astuple(rules)):
            raise ValueError(f"{self.symbol}: every figure of its rules is above 0")


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator has said of one index; what is not said stays as it is."""

    weights: dict[str, int] | None = None
    rules: dict[str, int] = {}


SIMULATED: dict[str, dict[Reference, int]] = {
    "XBT": {
        _R.SIMULATED_A: 3000, _R.SIMULATED_B: 2500, _R.SIMULATED_C: 2000, _R.SIMULATED_D: 1500,
        _R.SIMULATED_E: 1000,
    },
    "ETH": {_R.SIMULATED_A: 3500, _R.SIMULATED_B: 3000, _R.SIMULATED_C: 2000, _R.SIMULATED_D: 1500},
    "": {_R.SIMULATED_A: 4000, _R.SIMULATED_B: 3500, _R.SIMULATED_C: 2500},
}  # fmt: skip
"""By underlying; "" = any other."""
REAL: dict[str, dict[Reference, int]] = {
    "USD": {_R.COINBASE: 3500, _R.KRAKEN: 2500, _R.BITSTAMP: 2500, _R.GEMINI: 1500},
    "USDT": {_R.BINANCE: 4000, _R.OKX: 2500, _R.BYBIT: 2000, _R.KRAKEN: 1500},
}
"""By quote currency. A start; weights follow volume, and an operator says which."""
_ALT_TOLERANCE_PPM = 500_000
AVERAGE_SUFFIX = "30M"
"""`.BXBT30M` is the average of `.BXBT` over the last 30 minutes."""


def index_of(instrument: Instrument, *, is_simulated: bool, override: Override | None = None) -> Index:
    """Return how the price of a listed index is made. Raises ValueError if an override is no good."""
    assert instrument.is_index
    override = override or Override()
    base, quote = instrument.underlying, instrument.quote_currency
    if override.weights is not None:
        unknown = set(override.weights) - set(Reference.__members__)
        if unknown:
            raise ValueError(f"{instrument.symbol}: nobody is called {', '.join(sorted(unknown))}")
        weights = {Reference[name]: weight for name, weight in override.weights.items()}
    elif is_simulated:
        weights = SIMULATED.get(base, SIMULATED[""])
    elif quote in REAL:
        weights = REAL[quote]
    else:
        raise ValueError(f"{instrument.symbol}: say its weights, for there are none for {quote}")
    wanted: dict[str, Any] = {"tolerance_ppm": _ALT_TOLERANCE_PPM} if base != "XBT" else {}
    try:
        rules = msgspec.convert(wanted | override.rules, Rules)
    except msgspec.ValidationError as error:
        raise ValueError(f"{instrument.symbol}: rules: {error}") from error
    return Index(
        symbol=instrument.symbol, number=instrument.number, base=base, quote=quote, rules=rules,
        constituents=tuple(Constituent(reference, weight) for reference, weight in weights.items()),
    )  # fmt: skip

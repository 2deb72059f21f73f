"""What a listed instrument is. The specification travels as JSON in the journal, beside LIST.

Prices are whole ticks; `tick_size = tick_units / 10**tick_decimals`. Everything that can change an
outcome is also sent to the engine as integers by `listing_commands`, so the engine never reads text.
"""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

import msgspec

from ringfence.messages.commands import ContractKind, InstrumentParameter
from ringfence.units.assets import ASSETS, Asset
from ringfence.units.limits import LEVERAGE_HUNDREDTHS_MAX
from ringfence.units.rounding import PPM


class Instrument(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One instrument as it is listed. Field names follow BitMEX, units are in the names."""

    number: int
    symbol: str
    root_symbol: str
    typ: str
    """FFWCSX perpetual, FFCCSX future, IFXXXP spot."""
    kind: ContractKind
    underlying: str
    quote_currency: str
    position_currency: str | None
    settle_asset: int
    """Asset in which margin, profit and fees are counted; for spot the quote asset."""
    base_asset: int | None = None
    """Spot only: the asset that is bought and sold."""
    tick_units: int
    tick_decimals: int
    lot_size: int
    multiplier: int
    """BitMEX's multiplier: negative for inverse contracts; settlement units per contract and price unit."""
    underlying_to_position: int | None = None
    underlying_to_settle: int | None = None
    quote_to_settle: int | None = None
    value_divisor: int = 1
    """Linear and spot: value = multiplier * price * qty / value_divisor."""
    qty_max: int
    px_ticks_max: int
    initial_margin_ppm: int
    maintenance_margin_ppm: int
    risk_limit_base: int
    risk_limit_step: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    settlement_fee_ppm: int = 0
    collar_ppm: int = 50_000
    """How far through the touch or the mark an order may execute, 5 % as in BitMEX's trading rules."""
    reference_symbol: str | None = None
    listing_ns: int = 0
    expiry_ns: int | None = None
    funding_interval_hours: int | None = None

    @property
    def settle(self) -> Asset:
        return ASSETS[self.settle_asset]

    @cached_property
    def is_inverse(self) -> bool:
        return self.kind == ContractKind.INVERSE

    @cached_property
    def is_spot(self) -> bool:
        return self.kind == ContractKind.SPOT

    @cached_property
    def is_quanto(self) -> bool:
        return self.kind == ContractKind.LINEAR and self.quote_currency != ASSETS[self.settle_asset].asset

    @cached_property
    def lot_value_factor(self) -> int:
        """Inverse: settlement units x ticks of a lot. Linear, spot: settlement units of a lot per tick.

        Raises ValueError where it is no whole number: such an instrument cannot be listed.
        """
        tick = Fraction(self.tick_units, 10**self.tick_decimals)
        if self.is_inverse:
            factor = abs(self.multiplier) * self.lot_size / tick
        else:
            factor = self.multiplier * self.lot_size * tick / self.value_divisor
        if factor.denominator != 1 or factor <= 0:
            raise ValueError(f"{self.symbol}: lot value factor {factor} is not a positive integer")
        return int(factor)

    @property
    def leverage_hundredths_max(self) -> int:
        return min(LEVERAGE_HUNDREDTHS_MAX, 100 * PPM // self.initial_margin_ppm)

    @cached_property
    def price_max(self) -> Decimal:
        """The highest price that an order may have, exactly."""
        return Decimal(self.px_ticks_max * self.tick_units).scaleb(-self.tick_decimals)

    def price(self, px_ticks: int) -> float:
        """Return the price of a tick as the wire's JSON number. For display only."""
        return px_ticks * self.tick_units / int(10**self.tick_decimals)

    def mark_price(self, subticks: int) -> float:
        """Return the price of a mark in subticks as the wire's JSON number. For display only."""
        return subticks * self.tick_units / int(10 ** (self.tick_decimals + 2))

    def parameters(self) -> Iterator[tuple[InstrumentParameter, int]]:
        """Yield what the engine needs to know, in the order in which it is configured."""
        yield InstrumentParameter.LOT_SIZE, self.lot_size
        yield InstrumentParameter.LOT_VALUE_FACTOR, self.lot_value_factor
        yield InstrumentParameter.SETTLE_ASSET, self.settle_asset
        if self.base_asset is not None:
            yield InstrumentParameter.BASE_ASSET, self.base_asset
        yield InstrumentParameter.PX_TICKS_MAX, self.px_ticks_max
        yield InstrumentParameter.QTY_MAX, self.qty_max
        yield InstrumentParameter.INITIAL_MARGIN_PPM, self.initial_margin_ppm
        yield InstrumentParameter.MAINTENANCE_MARGIN_PPM, self.maintenance_margin_ppm
        yield InstrumentParameter.RISK_LIMIT_BASE, self.risk_limit_base
        yield InstrumentParameter.RISK_LIMIT_STEP, self.risk_limit_step
        yield InstrumentParameter.MAKER_FEE_PPM, self.maker_fee_ppm
        yield InstrumentParameter.TAKER_FEE_PPM, self.taker_fee_ppm
        yield InstrumentParameter.COLLAR_PPM, self.collar_ppm


def encode(instrument: Instrument) -> bytes:
    """Return the specification as JSON, as it stands in the journal."""
    return msgspec.json.encode(instrument)


def decode(text: bytes) -> Instrument:
    """Return the specification of a LIST command's DATA. Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Instrument)

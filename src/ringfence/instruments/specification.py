"""What a listed instrument is. The specification travels as JSON in the journal, beside LIST.

Prices are whole ticks; `tick_size = tick_units / 10**tick_decimals`. Everything that can change an
outcome is also sent to the engine as integers by `listing_commands`, so the engine never reads text.
"""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

import msgspec

from ringfence.messages.commands import AdlMethod, ContractKind, InstrumentParameter, MarkMethod
from ringfence.units.assets import ASSETS, Asset
from ringfence.units.limits import INDEX_DECIMALS, LEVERAGE_HUNDREDTHS_MAX, MARK_SUBTICKS
from ringfence.units.rounding import PPM
from ringfence.units.time import NS_PER_HOUR


class Instrument(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One instrument as it is listed. Field names follow BitMEX, units are in the names."""

    number: int
    symbol: str
    root_symbol: str
    typ: str
    """FFWCSX perpetual, FFCCSX future, IFXXXP spot, MRCXXX index."""
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
    qty_max: int = 0
    px_ticks_max: int = 0
    initial_margin_ppm: int = 0
    maintenance_margin_ppm: int = 0
    risk_limit_base: int = 0
    risk_limit_step: int = 0
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    settlement_fee_ppm: int = 0
    collar_ppm: int = 50_000
    """How far through the touch or the mark an order may execute, 5 % as in BitMEX's trading rules."""
    reference_symbol: str | None = None
    index_number: int = 0
    """Instrument number of the index that mark, funding and settlement follow; 0 = none."""
    listing_ns: int = 0
    expiry_ns: int | None = None
    funding_interval_hours: int | None = None
    funding_offset_hours: int = 4
    """Payments at this hour UTC and every interval after it."""
    interest_e8: int = 10_000
    """Interest component of one funding interval in 1e-8: 0.01 %."""
    impact_value: int = 0
    """What impact prices are averaged over: contracts if inverse, else settlement units."""
    mark_method: MarkMethod = MarkMethod.FAIR
    adl_method: AdlMethod = AdlMethod.PRO_RATA
    stops_max: int = 10
    """Untriggered orders of one account."""
    last_band_ppm: int = 50_000
    """How far from the mark the last price counts: LastWithinMark, lastPriceProtected."""

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
    def is_index(self) -> bool:
        return self.kind == ContractKind.INDEX

    @cached_property
    def is_contract(self) -> bool:
        """Return whether positions are held in it, with a mark price: neither spot nor an index."""
        return not self.is_spot and not self.is_index

    @cached_property
    def index_units_per_subtick(self) -> int:
        """Return how many units of the index price (1e-4) are one subtick of the mark price.

        Raises ValueError where it is no whole number: such a contract cannot follow an index.
        """
        tick = Fraction(self.tick_units, 10**self.tick_decimals)
        units = tick / MARK_SUBTICKS * 10**INDEX_DECIMALS
        if units.denominator != 1:
            raise ValueError(f"{self.symbol}: a subtick is {units} index units, not a whole number")
        return int(units)

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

    def mark_text(self, subticks: int) -> str:
        """Return the price of a mark as exact decimal text, without zeros at its end."""
        price = Decimal(subticks * self.tick_units).scaleb(-self.tick_decimals - 2)
        return f"{price.normalize():f}"

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
        if self.is_contract:
            yield from self._contract_parameters()

    def _contract_parameters(self) -> Iterator[tuple[InstrumentParameter, int]]:
        """Yield what derives from an index: mark, funding, expiry; and the last resort."""
        yield InstrumentParameter.IMPACT_VALUE, self.impact_value
        yield InstrumentParameter.MARK_METHOD, self.mark_method
        yield InstrumentParameter.ADL_METHOD, self.adl_method
        yield InstrumentParameter.STOPS_PER_ACCOUNT_MAX, self.stops_max
        yield InstrumentParameter.LAST_BAND_PPM, self.last_band_ppm
        if self.index_number:
            yield InstrumentParameter.INDEX_UNITS_PER_SUBTICK, self.index_units_per_subtick
            yield InstrumentParameter.INDEX, self.index_number
        if self.funding_interval_hours:
            yield InstrumentParameter.INTEREST_E8, self.interest_e8
            yield InstrumentParameter.FUNDING_OFFSET_NS, self.funding_offset_hours * NS_PER_HOUR
            yield InstrumentParameter.FUNDING_INTERVAL_NS, self.funding_interval_hours * NS_PER_HOUR
        if self.expiry_ns is not None:
            yield InstrumentParameter.SETTLEMENT_FEE_PPM, self.settlement_fee_ppm
            yield InstrumentParameter.EXPIRY_NS, self.expiry_ns


def encode(instrument: Instrument) -> bytes:
    """Return the specification as JSON, as it stands in the journal."""
    return msgspec.json.encode(instrument)


def decode(text: bytes) -> Instrument:
    """Return the specification of a LIST command's DATA. Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Instrument)

"""Instruments: list, configure, open, close; and the venue's own settings.

Source: docs/reference/contracts.md, "Bounds". An instrument opens only where nothing it can be asked for leaves the
64 bits of the exchange's records.
"""

from ringfence.assurance.shadow.accounts import FEE_EXEMPT, Account
from ringfence.assurance.shadow.funding import next_funding_ns
from ringfence.assurance.shadow.halting import state_of
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import (
    AdlMethod,
    ContractKind,
    InstrumentParameter,
    InstrumentState,
    MarkMethod,
    VenueParameter,
)
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.messages.rules import PARAMETER_SINCE, check_known
from ringfence.units.assets import ASSETS
from ringfence.units.limits import (
    INT64_MAX,
    MARK_SUBTICKS,
    ORDERS_PER_POSITION_MAX,
    POSITION_COST_MAX,
    PRICE_TICKS_MAX,
    QTY_MAX,
    RATE_PPM_MAX,
    SYMBOL_MAX,
)
from ringfence.units.time import NS_PER_DAY, NS_PER_MINUTE

_TIERS_MAX = 200
_P = InstrumentParameter

_FIELDS: dict[int, str] = {
    _P.LOT_SIZE: "lot_size", _P.LOT_VALUE_FACTOR: "factor", _P.SETTLE_ASSET: "settle", _P.BASE_ASSET: "base",
    _P.PX_TICKS_MAX: "px_max", _P.QTY_MAX: "qty_max", _P.INITIAL_MARGIN_PPM: "initial_ppm",
    _P.MAINTENANCE_MARGIN_PPM: "maintenance_ppm", _P.RISK_LIMIT_BASE: "risk_base",
    _P.RISK_LIMIT_STEP: "risk_step", _P.MAKER_FEE_PPM: "maker_ppm", _P.TAKER_FEE_PPM: "taker_ppm",
    _P.COLLAR_PPM: "collar_ppm", _P.ORDERS_PER_ACCOUNT_MAX: "orders_max", _P.INDEX: "index",
    _P.INDEX_UNITS_PER_SUBTICK: "units_per_subtick", _P.FUNDING_INTERVAL_NS: "funding_interval_ns",
    _P.FUNDING_OFFSET_NS: "funding_offset_ns", _P.INTEREST_E8: "interest_e8", _P.IMPACT_VALUE: "impact_value",
    _P.EXPIRY_NS: "expiry_ns", _P.SETTLEMENT_FEE_PPM: "settlement_fee_ppm", _P.MARK_METHOD: "mark_method",
    _P.ADL_METHOD: "adl_method", _P.STOPS_PER_ACCOUNT_MAX: "stops_max", _P.LAST_BAND_PPM: "last_band_ppm",
}  # fmt: skip
assert set(_FIELDS) == set(InstrumentParameter)

_RANGES: dict[int, tuple[int, int]] = {
    _P.LOT_SIZE: (1, QTY_MAX), _P.LOT_VALUE_FACTOR: (1, 2**53 - 1), _P.SETTLE_ASSET: (0, len(ASSETS) - 1),
    _P.BASE_ASSET: (0, len(ASSETS) - 1), _P.PX_TICKS_MAX: (1, PRICE_TICKS_MAX - 1), _P.QTY_MAX: (1, QTY_MAX),
    _P.INITIAL_MARGIN_PPM: (1, RATE_PPM_MAX), _P.MAINTENANCE_MARGIN_PPM: (1, RATE_PPM_MAX),
    _P.RISK_LIMIT_BASE: (1, POSITION_COST_MAX), _P.RISK_LIMIT_STEP: (1, POSITION_COST_MAX),
    _P.MAKER_FEE_PPM: (1 - RATE_PPM_MAX, RATE_PPM_MAX - 1), _P.TAKER_FEE_PPM: (1 - RATE_PPM_MAX, RATE_PPM_MAX - 1),
    _P.COLLAR_PPM: (0, RATE_PPM_MAX - 1), _P.ORDERS_PER_ACCOUNT_MAX: (1, ORDERS_PER_POSITION_MAX),
    _P.INDEX: (0, SYMBOL_MAX), _P.INDEX_UNITS_PER_SUBTICK: (1, 2**20 - 1),
    _P.FUNDING_INTERVAL_NS: (NS_PER_MINUTE, NS_PER_DAY), _P.FUNDING_OFFSET_NS: (0, NS_PER_DAY - 1),
    _P.INTEREST_E8: (1 - 2**20, 2**20 - 1), _P.IMPACT_VALUE: (0, POSITION_COST_MAX),
    _P.EXPIRY_NS: (1, 2**62 - 1), _P.SETTLEMENT_FEE_PPM: (0, RATE_PPM_MAX - 1),
    _P.MARK_METHOD: (0, MarkMethod.LAST_PROTECTED), _P.ADL_METHOD: (0, AdlMethod.RANKED),
    _P.STOPS_PER_ACCOUNT_MAX: (1, ORDERS_PER_POSITION_MAX), _P.LAST_BAND_PPM: (0, RATE_PPM_MAX - 1),
}  # fmt: skip
"""Lowest and highest value. A funding interval may be 0 as well: no funding."""
_FIXED_ONCE_OPEN = (
    _P.LOT_SIZE, _P.LOT_VALUE_FACTOR, _P.SETTLE_ASSET, _P.BASE_ASSET, _P.PX_TICKS_MAX, _P.QTY_MAX,
)  # fmt: skip
_NOT_FOR_SPOT = (_P.FUNDING_INTERVAL_NS, _P.EXPIRY_NS)


def list_instrument(venue: Venue, asked: Asked) -> None:
    number = len(venue.instruments) + 1
    if asked.symbol != number or number > SYMBOL_MAX:
        return venue.refuse(asked, Reject.INVALID_SYMBOL, number)
    if asked.type > ContractKind.INDEX:
        return venue.refuse(asked, Reject.INVALID_PARAMETER)
    venue.instruments[number] = Instrument(number, asked.type)
    return venue.say(Event.LISTED, symbol=number, px=asked.type)


def configure(venue: Venue, asked: Asked) -> None:
    instrument = venue.instruments.get(asked.symbol)
    if instrument is None:
        return venue.refuse(asked, Reject.INVALID_SYMBOL)
    parameter, value = asked.type, asked.qty
    if not _is_valid(instrument, parameter, value):
        return venue.refuse(asked, Reject.INVALID_PARAMETER, parameter)
    setattr(instrument, _FIELDS[parameter], value)
    if parameter == InstrumentParameter.FUNDING_INTERVAL_NS:
        instrument.next_funding_ns = next_funding_ns(instrument, venue.timestamp_ns) if value else 0
    if parameter == InstrumentParameter.COLLAR_PPM:
        instrument.set_width(venue.timestamp_ns)
    return venue.say(Event.INSTRUMENT_SET, symbol=asked.symbol, px=parameter, qty=value)


def _is_valid(instrument: Instrument, parameter: int, value: int) -> bool:
    """Return whether a value is in range; what orders depend on is fixed once the market is open."""
    if parameter not in _RANGES:
        return False
    if parameter in _FIXED_ONCE_OPEN and instrument.state != InstrumentState.UNLISTED:
        return False
    if parameter == InstrumentParameter.FUNDING_INTERVAL_NS and value == 0:
        return True
    lowest, highest = _RANGES[parameter]
    return lowest <= value <= highest and not (instrument.is_spot and parameter in _NOT_FOR_SPOT)


def set_state(venue: Venue, asked: Asked) -> None:
    instrument = venue.instruments.get(asked.symbol)
    if instrument is None:
        return venue.refuse(asked, Reject.INVALID_SYMBOL)
    wanted, now = asked.qty, instrument.listed
    allowed = InstrumentState.OPEN <= wanted <= InstrumentState.SETTLED and wanted != now
    if instrument.kind == ContractKind.INDEX or now == InstrumentState.SETTLED or not allowed:
        return venue.refuse(asked, Reject.INVALID_PARAMETER)
    if wanted == InstrumentState.OPEN:
        broken = _limits_broken(venue, instrument)
        if broken is not None:
            return venue.refuse(asked, Reject.INSTRUMENT_LIMITS, broken)
        instrument.was_open = True
    instrument.listed = wanted
    instrument.state = state_of(venue, instrument)
    return venue.say(Event.STATE_SET, symbol=asked.symbol, qty=instrument.state)


def _limits_broken(venue: Venue, instrument: Instrument) -> InstrumentParameter | None:
    """Return the parameter because of which the instrument cannot open, None if its limits are proven."""
    for parameter in (_P.LOT_SIZE, _P.LOT_VALUE_FACTOR, _P.PX_TICKS_MAX):
        if not getattr(instrument, _FIELDS[parameter]):
            return parameter
    if not instrument.qty_max or instrument.qty_max % instrument.lot_size:
        return _P.QTY_MAX
    if not 0 < instrument.maintenance_ppm <= instrument.initial_ppm:
        return _P.INITIAL_MARGIN_PPM
    if not instrument.risk_base or not instrument.risk_step:
        return _P.RISK_LIMIT_BASE
    if instrument.is_spot:
        if instrument.base == instrument.settle:
            return _P.BASE_ASSET
    elif instrument.risk_limit(venue.risk_tiers_max) > POSITION_COST_MAX:
        return _P.RISK_LIMIT_STEP
    # An inverse lot is worth most at one tick, all others at the highest price. Values at a mark are rounded,
    # which doubles what is divided.
    dearest = instrument.factor if instrument.is_inverse else instrument.factor * instrument.px_max
    scale = 2 * MARK_SUBTICKS
    if not instrument.is_inverse:
        if dearest * scale > INT64_MAX:
            return _P.LOT_VALUE_FACTOR
        scale = 1
    if dearest > INT64_MAX // scale - PRICE_TICKS_MAX * MARK_SUBTICKS:
        return _P.LOT_VALUE_FACTOR
    if instrument.lots(instrument.qty_max) * dearest > INT64_MAX:
        return _P.QTY_MAX
    return None


# ---- the venue


def configure_venue(venue: Venue, asked: Asked) -> None:
    parameter, value = asked.type, asked.qty
    if _is_of_later_rules(venue, parameter):
        return venue.refuse(asked, Reject.INVALID_PARAMETER, parameter)
    if parameter == VenueParameter.RISK_TIERS_MAX and 0 <= value <= _TIERS_MAX and not venue.instruments:
        venue.risk_tiers_max = value
    elif parameter == VenueParameter.CUSTODY_ACCOUNT and venue.custody is None and _is_unused(venue, value):
        venue.custody, venue.instruction_next = venue.accounts[value], 1
        venue.custody.disabled = True
    elif parameter == VenueParameter.INSURANCE_ACCOUNT and venue.fund is None and _is_unused(venue, value):
        fund = venue.fund = venue.accounts[value]
        # Nobody but the engine trades for it.
        fund.fee_tier, fund.disabled = FEE_EXEMPT, True
    elif parameter == VenueParameter.CANCEL_ONLY_NS and 0 <= value <= NS_PER_DAY:
        venue.cancel_only_ns = value
    elif parameter == VenueParameter.PEOPLE and value > 0:
        venue.people = value
    elif parameter == VenueParameter.CONFIGURATION and value > 0:
        venue.configuration = value
    elif parameter == VenueParameter.RULES and value == venue.rules + 1:
        check_known(value, sequence=venue.sequence)
        venue.rules = value
    elif VenueParameter.FEE_DISCOUNT_1 <= parameter <= VenueParameter.FEE_DISCOUNT_6 and 0 <= value <= 100:
        venue.fee_discounts[parameter - VenueParameter.FEE_DISCOUNT_1 + 1] = value
    else:
        return venue.refuse(asked, Reject.INVALID_PARAMETER, parameter)
    return venue.say(Event.VENUE_SET, px=parameter, qty=value)


def _is_of_later_rules(venue: Venue, parameter: int) -> bool:
    """Return whether a parameter does not exist yet: nobody may make anything of it, whatever this build knows."""
    return parameter in set(VenueParameter) and PARAMETER_SINCE[parameter] > venue.rules


def _is_unused(venue: Venue, number: int) -> bool:
    """Return whether an account may become the venue's own: it never had an order or a position."""
    account: Account | None = venue.account(number)
    if account is None or account is venue.fund or account is venue.custody:
        return False
    return not any(holdings.positions for holdings in account.assets.values())

"""Instruments: list, configure, open; marks; the venue's own settings.

Opening an instrument proves that nothing it can be asked for overflows: from then on no order needs
a test for it.
"""

from typing import Any

import numpy as np

from ringfence.exchange.engine.arithmetic import INVERSE, lot_value_at_mark, udiv
from ringfence.exchange.engine.margin import relock
from ringfence.exchange.engine.records import FEE_EXEMPT, MARGIN_DISABLED, MARGIN_FEE_TIER_SHIFT
from ringfence.exchange.engine.tables import (
    emit,
    find_position,
    instruments,
    margin_of,
    positions,
    refuse,
)
from ringfence.exchange.engine.views import Record, U, compiled, inline
from ringfence.messages.commands import (
    AdlMethod,
    ContractKind,
    InstrumentParameter,
    InstrumentState,
    MarkMethod,
    TradingState,
    VenueParameter,
)
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.messages.rules import PARAMETER_SINCE, RULES_FIRST, RULES_NEWEST
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

_LISTED, _SET, _STATE = int(Event.LISTED), int(Event.INSTRUMENT_SET), int(Event.STATE_SET)
_MARKED, _VENUE_SET = int(Event.MARKED), int(Event.VENUE_SET)
_SPOT, _INDEX_KIND = int(ContractKind.SPOT), int(ContractKind.INDEX)
_UNLISTED, _OPEN, _SETTLED = (
    int(InstrumentState.UNLISTED), int(InstrumentState.OPEN), int(InstrumentState.SETTLED),
)  # fmt: skip
_LOT_SIZE, _FACTOR = int(InstrumentParameter.LOT_SIZE), int(InstrumentParameter.LOT_VALUE_FACTOR)
_SETTLE, _BASE = int(InstrumentParameter.SETTLE_ASSET), int(InstrumentParameter.BASE_ASSET)
_PX_MAX, _QTY_MAX = int(InstrumentParameter.PX_TICKS_MAX), int(InstrumentParameter.QTY_MAX)
_INITIAL = int(InstrumentParameter.INITIAL_MARGIN_PPM)
_MAINTENANCE = int(InstrumentParameter.MAINTENANCE_MARGIN_PPM)
_RISK_BASE, _RISK_STEP = (
    int(InstrumentParameter.RISK_LIMIT_BASE), int(InstrumentParameter.RISK_LIMIT_STEP),
)  # fmt: skip
_MAKER, _TAKER = int(InstrumentParameter.MAKER_FEE_PPM), int(InstrumentParameter.TAKER_FEE_PPM)
_COLLAR = int(InstrumentParameter.COLLAR_PPM)
_ORDERS_MAX = int(InstrumentParameter.ORDERS_PER_ACCOUNT_MAX)
_INDEX, _UNITS = int(InstrumentParameter.INDEX), int(InstrumentParameter.INDEX_UNITS_PER_SUBTICK)
_INTERVAL = int(InstrumentParameter.FUNDING_INTERVAL_NS)
_OFFSET, _INTEREST = int(InstrumentParameter.FUNDING_OFFSET_NS), int(InstrumentParameter.INTEREST_E8)
_IMPACT, _EXPIRY = int(InstrumentParameter.IMPACT_VALUE), int(InstrumentParameter.EXPIRY_NS)
_SETTLEMENT_FEE = int(InstrumentParameter.SETTLEMENT_FEE_PPM)
_MARK_METHOD, _ADL_METHOD = int(InstrumentParameter.MARK_METHOD), int(InstrumentParameter.ADL_METHOD)
_STOPS_MAX, _BAND = int(InstrumentParameter.STOPS_PER_ACCOUNT_MAX), int(InstrumentParameter.LAST_BAND_PPM)
_MARK_METHOD_LAST, _ADL_METHOD_LAST = int(MarkMethod.LAST_PROTECTED), int(AdlMethod.RANKED)
_RISK_TIERS, _FUND = int(VenueParameter.RISK_TIERS_MAX), int(VenueParameter.INSURANCE_ACCOUNT)
_CANCEL_ONLY_NS, _PEOPLE = int(VenueParameter.CANCEL_ONLY_NS), int(VenueParameter.PEOPLE)
_CUSTODY, _CONFIGURATION = int(VenueParameter.CUSTODY_ACCOUNT), int(VenueParameter.CONFIGURATION)
_RULES = int(VenueParameter.RULES)
_CANCEL_ONLY, _HALTED = int(TradingState.CANCEL_ONLY), int(TradingState.HALTED)
_STATE_CANCEL_ONLY, _STATE_HALTED = int(InstrumentState.CANCEL_ONLY), int(InstrumentState.HALTED)
_CLOSED = int(InstrumentState.CLOSED)
_NARROW_NS = 5 * NS_PER_MINUTE
_DISCOUNT_1, _DISCOUNT_6 = int(VenueParameter.FEE_DISCOUNT_1), int(VenueParameter.FEE_DISCOUNT_6)

_R_SYMBOL, _R_PARAMETER = int(Reject.INVALID_SYMBOL), int(Reject.INVALID_PARAMETER)
_R_LIMITS, _R_PRICE = int(Reject.INSTRUMENT_LIMITS), int(Reject.INVALID_PRICE)
LADDER_STEP = 64**3
_N_ASSETS = len(ASSETS)
_TIERS_LIMIT = 200


NEVER_ABOVE = 2**31 - 1
"""A price that no last price reaches."""


@compiled
def list_instrument(h: Record, cmd: Record) -> bool:
    symbol = np.int64(cmd.symbol)
    if symbol != np.int64(h.n_instruments) + 1 or symbol > SYMBOL_MAX:
        return refuse(h, cmd, _R_SYMBOL, np.int64(h.n_instruments) + 1)
    if cmd.type > _INDEX_KIND:
        return refuse(h, cmd, _R_PARAMETER, 0)
    h.n_instruments += 1
    ins = instruments(h, symbol)
    ins.number = symbol
    ins.kind = cmd.type
    ins.orders_max = ORDERS_PER_POSITION_MAX
    ins.units_per_subtick = 1
    ins.stop_above = NEVER_ABOVE
    emit(h, _LISTED, 0, U(0), 0, symbol, 0, np.int64(cmd.type), 0)
    return True


@compiled
def parameter_is_valid(ins: Record, parameter: int, value: int) -> bool:
    """Return whether a value is in range; what orders depend on is fixed once the market is open."""
    structural = (
        parameter == _LOT_SIZE or parameter == _FACTOR or parameter == _SETTLE
        or parameter == _BASE or parameter == _PX_MAX or parameter == _QTY_MAX
    )  # fmt: skip
    if structural and ins.state != _UNLISTED:
        return False
    if parameter == _LOT_SIZE or parameter == _QTY_MAX:
        return bool(0 < value and value <= QTY_MAX)
    if parameter == _FACTOR:
        return bool(0 < value and value < 2**53)
    if parameter == _SETTLE or parameter == _BASE:
        return bool(0 <= value and value < _N_ASSETS)
    if parameter == _PX_MAX:
        return bool(0 < value and value < PRICE_TICKS_MAX)
    if parameter == _INITIAL or parameter == _MAINTENANCE:
        return bool(0 < value and value <= RATE_PPM_MAX)
    if parameter == _RISK_BASE or parameter == _RISK_STEP:
        return bool(0 < value and value <= POSITION_COST_MAX)
    if parameter == _MAKER or parameter == _TAKER:
        return bool(-RATE_PPM_MAX < value and value < RATE_PPM_MAX)
    if parameter == _ORDERS_MAX or parameter == _STOPS_MAX:
        return bool(0 < value and value <= ORDERS_PER_POSITION_MAX)
    return market_parameter_is_valid(ins, parameter, value)


@compiled
def market_parameter_is_valid(ins: Record, parameter: int, value: int) -> bool:
    """Return whether a value of what index, funding, expiry and the last resort need is in range."""
    if parameter == _INDEX:
        return bool(0 <= value and value <= SYMBOL_MAX)
    if parameter == _UNITS:
        return bool(0 < value and value < 2**20)
    if parameter == _INTERVAL:
        return bool(value == 0 or (value >= NS_PER_MINUTE and value <= NS_PER_DAY and ins.kind != _SPOT))
    if parameter == _OFFSET:
        return bool(0 <= value and value < NS_PER_DAY)
    if parameter == _INTEREST:
        return bool(-(2**20) < value and value < 2**20)
    if parameter == _IMPACT:
        return bool(0 <= value and value <= POSITION_COST_MAX)
    if parameter == _EXPIRY:
        return bool(value > 0 and value < 2**62 and ins.kind != _SPOT)
    if parameter == _SETTLEMENT_FEE or parameter == _BAND or parameter == _COLLAR:
        return bool(0 <= value and value < RATE_PPM_MAX)
    if parameter == _MARK_METHOD:
        return bool(0 <= value and value <= _MARK_METHOD_LAST)
    return bool(parameter == _ADL_METHOD and 0 <= value and value <= _ADL_METHOD_LAST)


@compiled
def configure(h: Record, cmd: Record) -> bool:
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return refuse(h, cmd, _R_SYMBOL, 0)
    ins = instruments(h, cmd.symbol)
    parameter, value = np.int64(cmd.type), cmd.qty
    if not parameter_is_valid(ins, parameter, value):
        return refuse(h, cmd, _R_PARAMETER, parameter)
    if parameter == _LOT_SIZE:
        ins.lot_size = value
        ins.per_lot = udiv(np.int64(1 << 62) + value - 1, value)
    elif parameter == _FACTOR:
        ins.factor = value
    elif parameter == _SETTLE:
        ins.settle = value
    elif parameter == _BASE:
        ins.base = value
    elif parameter == _PX_MAX:
        ins.px_max = value
        ins.ticks = (udiv(value, LADDER_STEP) + 1) * LADDER_STEP
        ins.ask = ins.ticks
    elif parameter == _QTY_MAX:
        ins.qty_max = value
    elif parameter == _INITIAL:
        ins.initial_ppm = value
    elif parameter == _MAINTENANCE:
        ins.maintenance_ppm = value
    elif parameter == _RISK_BASE:
        ins.risk_base = value
    elif parameter == _RISK_STEP:
        ins.risk_step = value
    elif parameter == _MAKER:
        ins.maker_ppm = value
    elif parameter == _TAKER:
        ins.taker_ppm = value
    elif parameter == _COLLAR:
        ins.collar_ppm = value
        set_collars(h, ins)
    elif parameter == _ORDERS_MAX:
        ins.orders_max = value
    else:
        configure_market(h, ins, parameter, value)
    if parameter == _INITIAL or parameter == _MAINTENANCE or parameter == _TAKER:
        relock_all(h, ins)
    elif (parameter == _FACTOR or parameter == _PX_MAX) and ins.mark != 0:
        # A mark may be there before the contract is complete.
        ins.mark_lot_value = lot_value_at_mark(ins, ins.mark)
        set_collars(h, ins)
    emit(h, _SET, 0, U(0), 0, cmd.symbol, value, parameter, 0)
    return True


@compiled
def relock_all(h: Record, ins: Record) -> None:
    """Bring what positions lock up to date after a change of the rates."""
    for account in range(1, np.int64(h.n_accounts) + 1):
        m = margin_of(h, ins.settle, account)
        index = find_position(m, np.int64(ins.number))
        if index != 0:
            relock(ins, m, positions(h, index))


@compiled
def configure_market(h: Record, ins: Record, parameter: int, value: int) -> None:
    if parameter == _INDEX:
        ins.index = value
    elif parameter == _UNITS:
        ins.units_per_subtick = value
    elif parameter == _INTERVAL:
        ins.funding_interval_ns = value
        ins.next_funding_ns = next_funding(ins, h.timestamp_ns) if value != 0 else np.int64(0)
    elif parameter == _OFFSET:
        ins.funding_offset_ns = value
    elif parameter == _INTEREST:
        ins.interest_e8 = value
    elif parameter == _IMPACT:
        ins.impact_value = value
    elif parameter == _EXPIRY:
        ins.expiry_ns = value
    elif parameter == _SETTLEMENT_FEE:
        ins.settlement_fee_ppm = value
    elif parameter == _MARK_METHOD:
        ins.mark_method = value
    elif parameter == _ADL_METHOD:
        ins.adl_method = value
    elif parameter == _STOPS_MAX:
        ins.stops_max = value
    else:
        ins.last_band_ppm = value
    if parameter == _INTERVAL or parameter == _EXPIRY:
        set_next_due(h)


@compiled
def next_funding(ins: Record, now: int) -> Any:
    """Return the first payment after `now`: a whole number of intervals after the offset in the day."""
    interval = ins.funding_interval_ns
    return now - (now - ins.funding_offset_ns) % interval + interval


@compiled
def set_next_due(h: Record) -> None:
    """Find out when the next payment or settlement of any instrument is."""
    earliest = np.int64(0)
    for symbol in range(1, np.int64(h.n_instruments) + 1):
        ins = instruments(h, symbol)
        if ins.state == _SETTLED or ins.state >= _STATE_CANCEL_ONLY:
            continue
        due = ins.next_funding_ns
        if due == 0 or (ins.expiry_ns != 0 and ins.expiry_ns < due):
            due = ins.expiry_ns
        if due != 0 and (earliest == 0 or due < earliest):
            earliest = due
    h.next_due_ns = earliest


@compiled
def limits_broken(h: Record, ins: Record) -> Any:
    """Return the parameter because of which the instrument cannot open, 0 if its limits are proven."""
    if ins.lot_size == 0:
        return _LOT_SIZE
    if ins.factor == 0:
        return _FACTOR
    if ins.px_max == 0:
        return _PX_MAX
    if ins.qty_max == 0 or ins.qty_max % ins.lot_size != 0:
        return _QTY_MAX
    if ins.maintenance_ppm == 0 or ins.initial_ppm < ins.maintenance_ppm:
        return _INITIAL
    if ins.risk_base == 0 or ins.risk_step == 0:
        return _RISK_BASE
    if ins.kind != _SPOT:
        if ins.risk_base + np.int64(h.risk_tiers_max) * ins.risk_step > POSITION_COST_MAX:
            return _RISK_STEP
    elif ins.base == ins.settle:
        return _BASE
    # factor < 2**53 and px_max < 2**24. A lot is worth most at the highest price, an inverse lot at
    # one tick; doubling is for the rounding of lot values, subticks for those at the mark.
    lots = udiv(ins.qty_max, ins.lot_size)
    if ins.kind == INVERSE:
        lot_value_max = np.int64(ins.factor)
        marked = 2 * np.int64(MARK_SUBTICKS)
    else:
        if ins.factor > udiv(np.int64(INT64_MAX), np.int64(ins.px_max) * 2 * MARK_SUBTICKS):
            return _FACTOR
        lot_value_max = ins.factor * np.int64(ins.px_max)
        marked = np.int64(1)
    if lot_value_max > udiv(np.int64(INT64_MAX), marked) - PRICE_TICKS_MAX * MARK_SUBTICKS:
        return _FACTOR
    if lots > udiv(np.int64(INT64_MAX), lot_value_max):
        return _QTY_MAX
    return 0


@compiled
def state_is_valid(state: int, wanted: int) -> bool:
    return bool(wanted >= _OPEN and wanted <= _SETTLED and state != _SETTLED and wanted != state)


@compiled
def set_state(h: Record, cmd: Record) -> bool:
    """Open or close a market. The kernel stops before this until an opening market has its ladder."""
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments:
        return refuse(h, cmd, _R_SYMBOL, 0)
    ins = instruments(h, cmd.symbol)
    if ins.kind == _INDEX_KIND or not state_is_valid(np.int64(ins.listed), cmd.qty):
        return refuse(h, cmd, _R_PARAMETER, 0)
    if cmd.qty == _OPEN:
        broken = limits_broken(h, ins)
        if broken != 0:
            return refuse(h, cmd, _R_LIMITS, broken)
    ins.listed = cmd.qty
    ins.state = trading_state(h, ins)
    set_next_due(h)
    emit(h, _STATE, 0, U(0), 0, cmd.symbol, np.int64(ins.state), 0, 0)
    return True


@compiled
def trading_state(h: Record, ins: Record) -> Any:
    """Return the InstrumentState that follows from the listing and from the halts of venue and contract."""
    halted: Any = max(np.int64(h.halted), np.int64(ins.halted))
    if halted == _HALTED and (ins.listed == _OPEN or ins.listed == _CLOSED):
        return np.int64(_STATE_HALTED)
    if halted == _CANCEL_ONLY and (ins.listed == _OPEN or ins.listed == _CLOSED):
        return np.int64(_STATE_CANCEL_ONLY)
    return np.int64(ins.listed)


@compiled
def needs_ladder(h: Record, cmd: Record) -> bool:
    """Return whether this command opens a market whose ladder is not allocated yet."""
    if cmd.symbol == 0 or cmd.symbol > h.n_instruments or cmd.qty != _OPEN:
        return False
    ins = instruments(h, cmd.symbol)
    # Before it opens for the first time its highest price may still change.
    return bool(ins.p_levels == 0 and h.halted != _HALTED and limits_broken(h, ins) == 0)


@compiled
def set_collars(h: Record, ins: Record) -> None:
    """How far from the mark an order may reach before its price needs a closer look."""
    mark = udiv(ins.mark, np.int64(MARK_SUBTICKS))
    span = udiv(mark * ins.collar_ppm, np.int64(1_000_000))
    if h.timestamp_ns < ins.narrow_until_ns:
        span = udiv(span, np.int64(2))
    ins.collar_up = min(mark + span, np.int64(ins.px_max))
    ins.collar_down = max(mark - span, 1)


@compiled
def narrow_collars(h: Record, ins: Record) -> None:
    """For a while after a halt prices may not run away from the mark as far as usual."""
    ins.narrow_until_ns = h.timestamp_ns + _NARROW_NS
    set_collars(h, ins)


@compiled
def configure_venue(h: Record, cmd: Record) -> bool:
    if not venue_parameter_is_valid(h, np.int64(cmd.type), cmd.qty):
        return refuse(h, cmd, _R_PARAMETER, np.int64(cmd.type))
    if cmd.type == _RISK_TIERS:
        h.risk_tiers_max = cmd.qty
    elif cmd.type == _FUND:
        h.fund_account = cmd.qty
        for asset in range(_N_ASSETS):
            m = margin_of(h, asset, cmd.qty)
            # Nobody but the engine trades for it.
            m.flags = np.int64(m.flags) | (FEE_EXEMPT << MARGIN_FEE_TIER_SHIFT) | MARGIN_DISABLED
    elif cmd.type == _CUSTODY:
        h.custody_account = cmd.qty
        h.instruction_next = 1
        for asset in range(_N_ASSETS):
            m = margin_of(h, asset, cmd.qty)
            m.flags = np.int64(m.flags) | MARGIN_DISABLED
    elif cmd.type == _CANCEL_ONLY_NS:
        h.cancel_only_ns = cmd.qty
    elif cmd.type == _PEOPLE:
        h.people = cmd.qty
    elif cmd.type == _CONFIGURATION:
        h.configuration = cmd.qty
    elif cmd.type == _RULES:
        h.rules = cmd.qty
    else:
        shift = U(8 * (np.int64(cmd.type) - _DISCOUNT_1 + 1))
        h.fee_discounts = (h.fee_discounts & ~(U(0xFF) << shift)) | (U(cmd.qty) << shift)
    emit(h, _VENUE_SET, 0, U(0), 0, 0, cmd.qty, np.int64(cmd.type), 0)
    return True


@inline
def rules_of(h: Record) -> Any:
    """Return the version of the rules in force."""
    return max(np.int64(h.rules), RULES_FIRST)


@compiled
def brings_unknown_rules(h: Record, cmd: Record) -> bool:
    """Return whether a CONFIGURE_VENUE puts rules in force that this build cannot apply."""
    return bool(cmd.type == _RULES and cmd.qty == rules_of(h) + 1 and cmd.qty > RULES_NEWEST)


@compiled
def is_unused(h: Record, account: int) -> bool:
    """Return whether an account never had an order or a position, and is neither the fund's nor custody's."""
    if account == h.fund_account or account == h.custody_account:
        return False
    for asset in range(_N_ASSETS):
        if margin_of(h, asset, account).slots != 0:
            return False
    return True


@compiled
def venue_parameter_is_valid(h: Record, parameter: int, value: int) -> bool:
    # One that is newer than the rules in force is refused as by a build that has never heard of it.
    if parameter < len(PARAMETER_SINCE) and PARAMETER_SINCE[parameter] > rules_of(h):
        return False
    if parameter == _RISK_TIERS:
        return bool(0 <= value and value <= _TIERS_LIMIT and h.n_instruments == 0)
    if parameter == _FUND:
        return bool(h.fund_account == 0 and 0 < value and value <= h.n_accounts and is_unused(h, value))
    if parameter == _CUSTODY:
        is_first = h.custody_account == 0
        return bool(is_first and 0 < value and value <= h.n_accounts and is_unused(h, value))
    if parameter == _CANCEL_ONLY_NS:
        return bool(0 <= value and value <= NS_PER_DAY)
    if parameter == _PEOPLE or parameter == _CONFIGURATION:
        return bool(value > 0)
    if parameter == _RULES:
        return bool(value == rules_of(h) + 1)
    return bool(_DISCOUNT_1 <= parameter and parameter <= _DISCOUNT_6 and 0 <= value and value <= 100)

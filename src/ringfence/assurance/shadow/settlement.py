"""Settlement: at its expiry a contract is closed for everybody at the average of its index.

Source: docs/using/margin-and-liquidation.md, "The end of a future". A contract that is settled before its time, or
whose index was never seen in the last half hour, is closed at the last index price, without an index at the mark.
"""

from ringfence.assurance.shadow.accounts import FEE_EXEMPT, Position
from ringfence.assurance.shadow.clearing import fill
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.insurance import cannot_bear
from ringfence.assurance.shadow.liquidation import cancel_orders
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import ContractKind, InstrumentState
from ringfence.messages.events import CancelReason, Event
from ringfence.messages.rejects import Reject
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.rounding import PPM, ceil_div, round_div


def settle_now(venue: Venue, asked: Asked) -> None:
    """An operator ends a contract before its time: it expires with this command."""
    instrument = venue.instruments.get(asked.symbol)
    if instrument is None or instrument.kind in (ContractKind.SPOT, ContractKind.INDEX):
        return venue.refuse(asked, Reject.INVALID_SYMBOL)
    if instrument.state in (InstrumentState.UNLISTED, InstrumentState.SETTLED):
        return venue.refuse(asked, Reject.INVALID_SYMBOL)
    if not instrument.mark:
        return venue.refuse(asked, Reject.NO_MARK_PRICE)
    instrument.expiry_ns = venue.timestamp_ns
    instrument.settle_count = 0
    return settle(venue, instrument)


def _settlement_price(instrument: Instrument) -> int:
    """Return the price in subticks at which a contract is closed."""
    if instrument.settle_count:
        px = round_div(instrument.settle_sum, instrument.settle_count * instrument.units_per_subtick)
    else:
        px = instrument.index_subticks or instrument.mark
    return min(max(px, MARK_SUBTICKS), instrument.px_max * MARK_SUBTICKS)


def settle(venue: Venue, instrument: Instrument) -> None:
    """Close everybody's position at the settlement price."""
    px = _settlement_price(instrument)
    of_fund = venue.fund.find(instrument) if venue.fund else None
    if of_fund is not None and of_fund.qty:
        value, cost = instrument.lots(of_fund.qty) * instrument.lot_value_at(px), abs(of_fund.cost)
        gain = value - cost if (of_fund.qty > 0) != instrument.is_inverse else cost - value
        if cannot_bear(venue, instrument, gain):
            return  # it is still due; winners take the fund's position first
    venue.say(Event.SETTLEMENT, symbol=instrument.number, qty=px)
    instrument.mark = px
    for account in venue.accounts.values():
        position = account.find(instrument)
        if position is not None:
            cancel_orders(venue, position, CancelReason.SETTLED)
            if position.qty:
                _settle_position(venue, position)
    instrument.state = instrument.listed = InstrumentState.SETTLED
    instrument.funding_interval_ns = instrument.next_funding_ns = 0
    venue.say(Event.STATE_SET, symbol=instrument.number, qty=InstrumentState.SETTLED)
    venue.check_accounts_of(instrument.settle)


def _settle_position(venue: Venue, position: Position) -> None:
    instrument, account = position.instrument, position.account
    value = instrument.value_at_mark(position.qty)
    exempt = account.fee_tier == FEE_EXEMPT
    fee = 0 if exempt else ceil_div(value * instrument.settlement_fee_ppm, PPM)
    venue.say(Event.SETTLED, account=account.number, symbol=instrument.number, qty=position.qty, amount=fee)
    position.holdings.wallet -= fee
    instrument.fee_pool += fee
    fill(venue, position, sell=position.qty > 0, qty=abs(position.qty), value=value)

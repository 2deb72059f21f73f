"""Index in, mark out: what a contract is worth, whoever trades it where.

Source: docs/using/margin-and-liquidation.md, "Prices". A perpetual's mark is the index plus what funding will
still be paid on it; a future's is the index plus a yearly basis that its own book shows, looked at while that
book is liquid. Without index or book the last one stands.
"""

from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import ContractKind, IndexStatus, InstrumentState, MarkMethod
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.units.limits import INDEX_UNITS_MAX, MARK_SUBTICKS, RATE_E8
from ringfence.units.rounding import PPM, muldiv, round_div
from ringfence.units.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND

_YEAR_NS = 365 * NS_PER_DAY
_SETTLEMENT_WINDOW_NS = 30 * NS_PER_MINUTE
_BASIS_EVERY_NS = 30 * NS_PER_SECOND
_IMPACT_LEVELS_MAX = 500


def set_mark(venue: Venue, asked: Asked) -> bool:
    """Take a mark given outright, until the next index price; return whether a mark moved."""
    instrument = venue.instruments.get(asked.symbol)
    if instrument is None:
        venue.refuse(asked, Reject.INVALID_SYMBOL)
        return False
    lowest, highest = MARK_SUBTICKS, instrument.px_max * MARK_SUBTICKS
    if instrument.kind in (ContractKind.SPOT, ContractKind.INDEX) or not lowest <= asked.qty <= highest:
        venue.refuse(asked, Reject.INVALID_PRICE)
        return False
    move_mark(venue, instrument, asked.qty, basis=0)
    return True


def move_mark(venue: Venue, instrument: Instrument, subticks: int, *, basis: int) -> None:
    """Set a contract's mark, within what its book can hold, and say so."""
    instrument.mark = min(max(subticks, MARK_SUBTICKS), instrument.px_max * MARK_SUBTICKS)
    instrument.marked_ns = venue.timestamp_ns
    instrument.set_width(venue.timestamp_ns)
    venue.say(Event.MARKED, symbol=instrument.number, qty=instrument.mark, amount=basis)


def set_index(venue: Venue, asked: Asked) -> bool:
    """Take a price of an index, and new marks for all contracts that follow it; return whether a mark moved."""
    index = venue.instruments.get(asked.symbol)
    if index is None or index.kind != ContractKind.INDEX:
        venue.refuse(asked, Reject.INVALID_SYMBOL)
        return False
    if not 0 < asked.qty <= INDEX_UNITS_MAX:
        venue.refuse(asked, Reject.INVALID_PRICE)
        return False
    if asked.type > IndexStatus.FROZEN:
        venue.refuse(asked, Reject.INVALID_PARAMETER, asked.type)
        return False
    index.index_px = asked.qty
    venue.say(Event.INDEXED, flags=asked.type, symbol=asked.symbol, amount=asked.qty)
    moved = False
    if asked.type == IndexStatus.LIVE:
        for instrument in venue.instruments.values():
            follows = instrument.index == asked.symbol and instrument.px_max
            if follows and instrument.state != InstrumentState.SETTLED:
                _follow(venue, instrument, asked.qty)
                moved = True
    return moved


def _follow(venue: Venue, instrument: Instrument, px: int) -> None:
    """Bring a contract's mark up to its index."""
    instrument.index_px = px
    instrument.index_subticks = round_div(px, instrument.units_per_subtick)
    if instrument.expiry_ns:
        if venue.timestamp_ns > instrument.expiry_ns - _SETTLEMENT_WINDOW_NS:
            instrument.settle_sum += px
            instrument.settle_count += 1
        if venue.timestamp_ns >= instrument.basis_due_ns:
            _refresh_basis(venue, instrument)
    remark(venue, instrument)


def remark(venue: Venue, instrument: Instrument) -> None:
    """Set the mark that follows from the last index price at this time."""
    index = instrument.index_subticks
    if instrument.mark_method == MarkMethod.LAST_PROTECTED:
        basis = _last_protected(instrument, index) - index
    elif instrument.expiry_ns:
        left = max(instrument.expiry_ns - venue.timestamp_ns, 0)
        basis = muldiv(index, muldiv(instrument.basis_e8, left, _YEAR_NS), RATE_E8)
    else:
        basis = muldiv(index, funding_to_come_e8(venue, instrument), RATE_E8)
    move_mark(venue, instrument, index + basis, basis=basis)


def funding_to_come_e8(venue: Venue, instrument: Instrument) -> int:
    """Return the part of the current funding rate that is still to come."""
    interval = instrument.funding_interval_ns
    if not interval:
        return 0
    left = min(max(instrument.next_funding_ns - venue.timestamp_ns, 0), interval)
    return muldiv(instrument.funding_rate_e8, left, interval)


def _last_protected(instrument: Instrument, centre: int) -> int:
    """Return the last price in subticks, no further from a centre than the band; the centre if none traded."""
    if not instrument.last:
        return centre
    span = muldiv(centre, instrument.last_band_ppm, PPM)
    return min(max(instrument.last * MARK_SUBTICKS, centre - span), centre + span)


# ---- impact prices


def _impact_price(instrument: Instrument, *, sell: bool) -> int:
    """Return the average price in subticks of selling into the bids (or buying) the impact value, 0 = too thin."""
    wanted, lots_sum, px_sum = instrument.impact_value, 0, 0
    for count, (px, level) in enumerate(instrument.book.against(sell).walk()):
        if count == _IMPACT_LEVELS_MAX:
            break
        # The impact value of inverse contracts is counted in contracts.
        per_lot = instrument.lot_size if instrument.is_inverse else instrument.lot_value(px)
        shown = level.displayed_qty() // instrument.lot_size
        lots = min(shown, -(-wanted // per_lot))
        lots_sum += lots
        px_sum += lots * px
        wanted -= lots * per_lot
        if wanted <= 0:
            return round_div(px_sum * MARK_SUBTICKS, lots_sum) if lots_sum else 0
    return 0


def look_at_book(venue: Venue, instrument: Instrument) -> bool:
    """Take the impact prices of a contract; return whether its book is liquid enough to mark from."""
    if not instrument.was_open or not instrument.impact_value:
        return False
    bid = instrument.impact_bid = _impact_price(instrument, sell=True)
    ask = instrument.impact_ask = _impact_price(instrument, sell=False)
    widest = max(muldiv(instrument.mark, instrument.maintenance_ppm, PPM), 3 * MARK_SUBTICKS)
    liquid = bid > 0 and ask > 0 and ask - bid < widest
    venue.say(Event.IMPACT_SET, symbol=instrument.number, qty=liquid, amount=bid, maker_amount=ask)
    return liquid


def _refresh_basis(venue: Venue, instrument: Instrument) -> None:
    """Look at a future's book for the yearly basis that it shows."""
    instrument.basis_due_ns = venue.timestamp_ns + _BASIS_EVERY_NS
    left = instrument.expiry_ns - venue.timestamp_ns
    # In the last hour a tick of noise would be a huge rate a year.
    if left > NS_PER_HOUR and look_at_book(venue, instrument):
        middle = (instrument.impact_bid + instrument.impact_ask) // 2
        premium_e8 = muldiv(middle - instrument.index_subticks, RATE_E8, instrument.index_subticks)
        instrument.basis_e8 = muldiv(premium_e8, _YEAR_NS, left)

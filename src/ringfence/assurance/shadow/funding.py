"""Funding: what holders of a perpetual pay each other so that its price stays at the index.

Source: docs/using/margin-and-liquidation.md, "Funding".
"""

from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.insurance import cannot_bear
from ringfence.assurance.shadow.marking import funding_to_come_e8, look_at_book, move_mark, remark
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.commands import InstrumentState
from ringfence.messages.events import Event
from ringfence.units.limits import RATE_E8
from ringfence.units.rounding import round_div, trunc_div
from ringfence.units.time import NS_PER_MINUTE, floor_to

_CLAMP_E8 = 50_000
"""The premium pulls the rate only where it is more than 0.05 % away from the interest."""
_WHOLE_PPM_E8 = 100


def sample_premiums(venue: Venue) -> None:
    """Take this minute's premium of every perpetual and say what the rate after the next looks like."""
    venue.sampled_ns = floor_to(venue.timestamp_ns, NS_PER_MINUTE)
    for instrument in venue.instruments.values():
        pays = instrument.funding_interval_ns and instrument.index_subticks
        if not pays or instrument.state != InstrumentState.OPEN:
            continue
        look_at_book(venue, instrument)
        instrument.premium_sum_e8 += _premium_e8(venue, instrument)
        instrument.premium_count += 1
        _say_funding(venue, instrument)


def _premium_e8(venue: Venue, instrument: Instrument) -> int:
    """Return how far the book stands from the index, as a rate; an empty side counts as fair."""
    bid, ask, mark = instrument.impact_bid, instrument.impact_ask, instrument.mark
    above = max(bid - mark, 0) if bid else 0
    below = max(mark - ask, 0) if ask else 0
    shown = trunc_div((above - below) * RATE_E8, instrument.index_subticks)
    return shown + funding_to_come_e8(venue, instrument)


def _next_rate_e8(instrument: Instrument) -> int:
    """Return the rate that the samples of this period make: premium + clamp(interest - premium), capped."""
    count = instrument.premium_count
    premium = trunc_div(instrument.premium_sum_e8, count) if count else 0
    rate = premium + _within(instrument.interest_e8 - premium, _CLAMP_E8)
    # A rate of 1 ppm is 100 e8, and three quarters of it 75.
    cap = (instrument.initial_ppm - instrument.maintenance_ppm) * 75
    step = instrument.maintenance_ppm * 75
    before = instrument.funding_rate_e8
    rate = _within(before + _within(rate - before, step), cap)
    return round_div(rate, _WHOLE_PPM_E8) * _WHOLE_PPM_E8


def _within(value: int, bound: int) -> int:
    return min(max(value, -bound), bound)


def _say_funding(venue: Venue, instrument: Instrument) -> None:
    venue.say(
        Event.FUNDING_SET, symbol=instrument.number, qty=instrument.next_funding_ns,
        amount=instrument.funding_rate_e8, maker_amount=_next_rate_e8(instrument),
    )  # fmt: skip


def next_funding_ns(instrument: Instrument, now_ns: int) -> int:
    """Return the first payment after now: a whole number of intervals after the offset in the day."""
    interval = instrument.funding_interval_ns
    return now_ns - (now_ns - instrument.funding_offset_ns) % interval + interval


def fund(venue: Venue, instrument: Instrument) -> None:
    """Let the holders of one perpetual pay each other."""
    held = venue.fund.find(instrument) if venue.fund else None
    if held is not None and held.qty:
        pays = _payment(instrument, held.qty, instrument.funding_rate_e8)
        if cannot_bear(venue, instrument, pays):
            return  # the payment is still due; winners take the position first
    if instrument.index_subticks:
        # At this instant nothing of the basis is left.
        move_mark(venue, instrument, instrument.index_subticks, basis=0)
    if instrument.mark and instrument.funding_rate_e8:
        _pay(venue, instrument)
    instrument.funding_rate_e8 = _next_rate_e8(instrument)
    instrument.premium_sum_e8 = instrument.premium_count = 0
    instrument.next_funding_ns = next_funding_ns(instrument, venue.timestamp_ns)
    _say_funding(venue, instrument)
    if instrument.index_subticks:
        remark(venue, instrument)
    venue.check_accounts_of(instrument.settle)


def _pay(venue: Venue, instrument: Instrument) -> None:
    rate, left_over = instrument.funding_rate_e8, 0
    for account in venue.accounts.values():
        position = account.find(instrument)
        if position is None or not position.qty:
            continue
        amount = _payment(instrument, position.qty, rate)
        position.holdings.wallet += amount
        left_over -= amount
        venue.say(
            Event.FUNDED, account=account.number, symbol=instrument.number, qty=position.qty, amount=amount,
            maker_amount=rate,
        )  # fmt: skip
    if left_over:
        if venue.fund:
            venue.fund.in_asset(instrument.settle).wallet += left_over
        else:
            instrument.fee_pool += left_over
        fund_number = venue.fund.number if venue.fund else 0
        venue.say(
            Event.FUNDED, account=fund_number, symbol=instrument.number, amount=left_over, maker_amount=rate
        )


def _payment(instrument: Instrument, qty: int, rate_e8: int) -> int:
    """Return what a position receives (negative: pays): payers round up, receivers down.

    Longs pay shorts while the rate is positive; flooring what is received does both.
    """
    value = instrument.value_at_mark(qty)
    return (-value if qty > 0 else value) * rate_e8 // RATE_E8

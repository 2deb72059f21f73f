"""Deleveraging: the winners of an instrument take over what the insurance fund can no longer carry.

Source: docs/using/margin-and-liquidation.md, "Deleveraging"; docs/decisions/0006-deleveraging-in-proportion.md.
They trade with the insurance account at its cost price, so it loses nothing on what they take.
"""

from dataclasses import dataclass

from ringfence.assurance.shadow.accounts import Position
from ringfence.assurance.shadow.bits import EventBit
from ringfence.assurance.shadow.clearing import fill
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.insurance import spendable
from ringfence.assurance.shadow.liquidation import cancel_orders, is_live, price_of_value
from ringfence.assurance.shadow.margin import maintenance_ppm, own_margin, profit_at_mark
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.commands import AdlMethod
from ringfence.messages.events import CancelReason, Event
from ringfence.units.rounding import PPM, muldiv

_KEY_MAX = 2**60
_WEIGHT_MAX = 2**40
"""A profit beyond this weighs no more."""


@dataclass(slots=True)
class Holder:
    """One who holds the other side, and how many lots are taken from it."""

    position: Position
    number: int
    key: int
    lots: int
    take: int = 0


def deleverage(venue: Venue) -> None:
    """Deleverage every instrument whose losses the fund cannot carry."""
    assert venue.fund is not None
    venue.must_deleverage = False
    for instrument in venue.instruments.values():
        if instrument.is_halted_or_cancel_only:
            continue  # it has its turn when trading goes on
        # What has to go goes at the fund's cost price, whatever the mark is; else only a fresh mark counts.
        due, instrument.must_be_deleveraged = instrument.must_be_deleveraged, False
        position = venue.fund.find(instrument)
        if position is None or not position.qty:
            continue
        lost = (
            bool(instrument.mark)
            and is_live(venue, instrument)
            and profit_at_mark(position) < 0
            and spendable(venue, instrument.settle) < 0
        )
        if due or lost:
            _deleverage_one(venue, position, whole=due)
            venue.check_accounts_of(instrument.settle)


def _deleverage_one(venue: Venue, position: Position, *, whole: bool) -> None:
    instrument = position.instrument
    cancel_orders(venue, position, CancelReason.DELEVERAGED)
    needed = instrument.lots(position.qty) if whole else _lots_beyond_fund(venue, position)
    queue = _queue(venue, position)
    venue.say(
        Event.ADL_BEGUN, flags=instrument.adl_method, symbol=instrument.number, amount=len(queue),
        qty=needed * instrument.lot_size, maker_account=position.account.number,
        maker_amount=price_of_value(instrument, position.qty, abs(position.cost)),
    )  # fmt: skip
    if instrument.adl_method == AdlMethod.RANKED:
        _take_in_order(queue, needed)
    else:
        _take_pro_rata(queue, _take_pro_rata(queue, needed, by_profit=True), by_profit=False)
    givers = [holder for holder in queue if holder.take]
    for place, holder in enumerate(givers, 1):
        _hand_over(venue, position, holder, place)


def _lots_beyond_fund(venue: Venue, position: Position) -> int:
    """Return how many lots have to go so that the fund can carry the loss of the rest: rounded up."""
    lots = position.instrument.lots(position.qty)
    lost = max(-profit_at_mark(position), 1)
    shortfall = min(max(-spendable(venue, position.instrument.settle), 0), lost)
    return min(shortfall * lots // lost + 1, lots)


def _queue(venue: Venue, of_fund: Position) -> list[Holder]:
    """Return the holders of the other side: highest key first, then lowest position number."""
    instrument, holders = of_fund.instrument, []
    for account in venue.accounts.values():
        position = account.find(instrument)
        if position is None or not position.qty or venue.is_fund(account):
            continue
        if (position.qty > 0) != (of_fund.qty > 0):
            ranked = instrument.adl_method == AdlMethod.RANKED
            key = _rank_key(position) if ranked else profit_at_mark(position)
            number = position.holdings.number_of(position)
            holders.append(Holder(position, number, key, instrument.lots(position.qty)))
    return sorted(holders, key=lambda holder: (-holder.key, holder.number))


def _rank_key(position: Position) -> int:
    """Return profit per cost times (in profit) or by (in loss) the effective leverage, in ppm."""
    instrument: Instrument = position.instrument
    profit, cost = profit_at_mark(position), abs(position.cost)
    ratio = muldiv(profit, PPM, max(cost, 1))
    margin = own_margin(position) if position.is_isolated else cost * maintenance_ppm(position) // PPM
    equity = max(margin + profit, 1)
    leverage = min(max(instrument.value_at_mark(position.qty) * PPM // equity, 1), _KEY_MAX)
    if profit > 0:
        return min(ratio * min(leverage, _KEY_MAX // PPM) // PPM, _KEY_MAX)
    return muldiv(ratio, PPM, leverage)


def _take_in_order(queue: list[Holder], needed: int) -> None:
    """Take lots from the front of the queue."""
    for holder in queue:
        holder.take = min(holder.lots, needed)
        needed -= holder.take


def _take_pro_rata(queue: list[Holder], needed: int, *, by_profit: bool) -> int:
    """Take lots in proportion to profit (else to what is held); return how many nobody had.

    Whoever has given everything drops out and the others share the rest; what is too little to share goes one lot
    each along the queue.
    """
    while needed > 0:
        weights = [_weight(holder, by_profit=by_profit) for holder in queue]
        total = min(sum(weights), 2**62)
        if total == 0:
            break
        given = 0
        for holder, weight in zip(queue, weights, strict=True):
            share = min(needed * weight // total, holder.lots - holder.take)
            holder.take += share
            given += share
        needed -= given
        if given == 0:
            for holder, weight in zip(queue, weights, strict=True):
                if needed > 0 and weight > 0:
                    holder.take += 1
                    needed -= 1
    return needed


def _weight(holder: Holder, *, by_profit: bool) -> int:
    """Return the weight of a holder, 0 if it has given all it has or is not asked yet."""
    if holder.take >= holder.lots:
        return 0
    return min(max(holder.key, 0), _WEIGHT_MAX) if by_profit else holder.lots


def _hand_over(venue: Venue, of_fund: Position, holder: Holder, place: int) -> None:
    """Close so many lots of a holder against the insurance account at the account's cost price."""
    position, instrument = holder.position, of_fund.instrument
    cancel_orders(venue, position, CancelReason.DELEVERAGED)
    qty, sell = holder.take * instrument.lot_size, position.qty > 0
    value = abs(of_fund.cost) * holder.take // instrument.lots(of_fund.qty)
    venue.say(
        Event.DELEVERAGED, flags=EventBit.SELL if sell else 0, account=position.account.number,
        symbol=instrument.number, qty=qty, px=place, amount=value, maker_account=of_fund.account.number,
    )  # fmt: skip
    fill(venue, position, sell=sell, qty=qty, value=value)
    fill(venue, of_fund, sell=not sell, qty=qty, value=value)

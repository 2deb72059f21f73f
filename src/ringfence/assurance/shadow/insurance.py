"""The insurance account: it works what it took over into the book, and asks the winners when it cannot.

Source: docs/using/margin-and-liquidation.md, "The insurance fund".
"""

from ringfence.assurance.shadow.accounts import Position
from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.cancelling import cancel
from ringfence.assurance.shadow.entering import enter
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.liquidation import is_live, open_order, reachable_qty
from ringfence.assurance.shadow.margin import profit_at_mark
from ringfence.assurance.shadow.pieces import FILLS_MAX, Done, Piece, events_to_cross
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.events import CancelReason, Event
from ringfence.units.limits import MARK_SUBTICKS, QTY_MAX
from ringfence.units.rounding import PPM, ceil_div, muldiv

_SLICES = 8
"""Beyond break-even the fund sells an eighth of what it holds for each index price."""
_ORDER_MAX = QTY_MAX // 2


def spendable(venue: Venue, asset: int) -> int:
    """Return what the fund of an asset could lose: its wallet after all losses that it holds."""
    assert venue.fund is not None
    fund = venue.fund.in_asset(asset)
    return fund.wallet + sum(min(profit_at_mark(position), 0) for position in fund.held())


def cannot_bear(venue: Venue, instrument: Instrument, change: int) -> bool:
    """Return whether a change would leave the fund's wallet below zero; then its position has to go first."""
    assert venue.fund is not None
    if change >= 0 or venue.fund.in_asset(instrument.settle).wallet + change >= 0:
        return False
    instrument.must_be_deleveraged = True
    venue.must_deleverage = True
    return True


def work(venue: Venue, piece: Piece) -> Done:
    """Bring the fund's order in the next instrument up to date.

    One instrument for a piece: its order is named after the command, so a command may have only one.
    """
    assert venue.fund is not None
    while venue.instruments_worked < len(venue.instruments):
        instrument = venue.instruments[venue.instruments_worked + 1]
        position = venue.fund.find(instrument)
        if position is None or not position.qty or not instrument.mark or not is_live(venue, instrument):
            venue.instruments_worked += 1
            continue
        if not piece.has_room(venue, events_to_cross(venue, position, FILLS_MAX)):
            return Done.MORE
        venue.instruments_worked += 1
        _work_position(venue, position)
        if venue.instruments_worked < len(venue.instruments):
            return Done.MORE
    venue.instruments_worked = 0
    return Done.ALL


def _work_position(venue: Venue, position: Position) -> None:
    """Choose price and quantity of the fund's order: break-even if the mark allows, else what it can afford."""
    instrument, sell, flags = position.instrument, position.qty > 0, 0
    px = _break_even_px(position)
    qty = min(abs(position.qty), _ORDER_MAX // instrument.lot_size * instrument.lot_size)
    reach = instrument.reach(sell)
    if profit_at_mark(position) < 0:
        if spendable(venue, instrument.settle) < 0:
            venue.must_deleverage = True
            return
        part = min(ceil_div(instrument.lots(position.qty), _SLICES) * instrument.lot_size, qty)
        worst = _spending_px(instrument, sell=sell)
        # Every fill may round a unit against the fund.
        wallet = position.holdings.wallet - FILLS_MAX
        affords = wallet + min(_gain_at(position, worst, part), 0) >= 0
        if affords and instrument.book.crosses(sell, worst):
            px, qty, flags = worst, part, OrderBit.IOC
    else:
        px = max(px, reach) if sell else min(px, reach)
    if instrument.book.crosses(sell, px):
        found = reachable_qty(instrument, sell=sell, limit=px, wanted=qty)
        qty = min(qty, max(found, instrument.lot_size))
    _place(venue, position, sell=sell, px=px, qty=qty, flags=flags)


def _break_even_px(position: Position) -> int:
    """Return the price in ticks at which the fund's position has its cost, rounded to the fund's favour."""
    instrument = position.instrument
    lots, cost = instrument.lots(position.qty), max(abs(position.cost), 1)
    whole = instrument.factor * lots
    px = whole // cost if instrument.is_inverse else cost // whole
    px = min(max(px, 1), instrument.px_max)
    # One tick further where the division was not exact; being exact a tick off costs nobody anything.
    return px if position.qty < 0 else min(px + 1, instrument.px_max)


def _gain_at(position: Position, px: int, qty: int) -> int:
    """Return what closing `qty` of a position at a price would gain."""
    instrument = position.instrument
    value = instrument.value(px, qty)
    cost = muldiv(abs(position.cost), instrument.lots(qty), instrument.lots(position.qty))
    return value - cost if (position.qty > 0) != instrument.is_inverse else cost - value


def _spending_px(instrument: Instrument, *, sell: bool) -> int:
    """Return the worst price that the fund accepts beyond break-even: near the mark and inside the collar."""
    mark = instrument.mark // MARK_SUBTICKS
    span = mark * instrument.maintenance_ppm // PPM + 1
    reach = instrument.reach(sell)
    return max(mark - span, reach) if sell else min(mark + span, reach)


def _place(venue: Venue, position: Position, *, sell: bool, px: int, qty: int, flags: int) -> None:
    """Place the fund's order, or move the one that is there; it has one in each instrument.

    Beyond break-even it takes and does not rest: what it may cost is what the fund has at this moment.
    """
    instrument = position.instrument
    order = next(iter(position.newest_first()), None)
    if order is not None and order.sell != sell:
        cancel(venue, order, CancelReason.LIQUIDATION)
        order = None
    if order is None:
        order = open_order(venue, position, sell=sell, px=px, qty=qty)
    else:
        stays = order.px == px and order.leaves == qty and not flags
        if stays and not instrument.book.crosses(sell, px):
            return
        instrument.book.remove(order)
        venue.say(
            Event.AMENDED, flags=(EventBit.SELL if sell else 0) | EventBit.BY_ENGINE, handle=order.handle,
            account=position.account.number, symbol=instrument.number, qty=qty, px=px,
        )  # fmt: skip
    enter(venue, order, px=px, qty=qty, flags=flags, is_market=False)

"""What happens to an account whose margin no longer carries its positions.

Source: docs/using/margin-and-liquidation.md, "When margin runs short". Each step is followed by another look.
Cross positions of one asset share their margin, so they go together; classic cross and isolated ones go one by
one.
"""

from typing import NamedTuple

from ringfence.assurance.shadow.accounts import Account, Holdings, Position
from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.cancelling import adopt, cancel
from ringfence.assurance.shadow.clearing import fill
from ringfence.assurance.shadow.entering import enter
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.margin import (
    coins_for_sale,
    isolated_is_short,
    maintenance,
    open_exposure,
    own_margin,
    profit_at_mark,
    worst_exposure,
)
from ringfence.assurance.shadow.orders import SHOW_ALL, Order
from ringfence.assurance.shadow.pieces import ACCOUNTS_PER_PIECE, FILLS_MAX, Done, Piece, events_to_cross
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.commands import InstrumentState
from ringfence.messages.events import CancelReason, Event, LiquidationStep
from ringfence.units.limits import MARK_SUBTICKS
from ringfence.units.rounding import muldiv

_EVENTS_PER_POSITION = 10


# ---- who is short of margin


class Shortage(NamedTuple):
    """What of an account and asset has to be liquidated, as far as marks are fresh and markets open."""

    cross: bool
    isolated: bool
    bankrupt: bool
    """Nothing but isolated positions is left, and the account owes more than they have gained: all of them go."""

    def __bool__(self) -> bool:
        return self.cross or self.isolated or self.bankrupt

    def concerns(self, venue: Venue, position: Position) -> bool:
        """Return whether it is this position's: an isolated one's own, or that of all cross ones."""
        if not position.is_isolated:
            return self.cross
        if self.bankrupt or not position.qty:
            return bool(position.qty)
        return is_live(venue, position.instrument) and isolated_is_short(position)


def is_live(venue: Venue, instrument: Instrument) -> bool:
    """Return whether a position may be taken for its mark."""
    return instrument.state == InstrumentState.OPEN and not instrument.is_stale(venue.timestamp_ns)


def shortage(venue: Venue, account: Account, holdings: Holdings) -> Shortage:
    held = holdings.held()
    isolated = [position for position in held if position.is_isolated]
    cross = [position for position in held if not position.is_isolated]
    needed = sum(maintenance(position) for position in cross)
    cross_is_short = (
        needed > 0
        and all(is_live(venue, position.instrument) for position in cross)
        and _free(holdings) + sum(_counted_profit(account, position) for position in cross) < needed
    )
    isolated_short = any(
        is_live(venue, position.instrument) and isolated_is_short(position) for position in isolated
    )
    bankrupt = (
        needed <= 0
        and all(is_live(venue, position.instrument) for position in held)
        and holdings.wallet
        + sum(_counted_profit(account, position) for position in cross)
        + sum(max(profit_at_mark(position), -own_margin(position)) for position in isolated)
        < 0
    )
    return Shortage(cross_is_short, isolated_short, bankrupt)


def _counted_profit(account: Account, position: Position) -> int:
    profit = profit_at_mark(position)
    return min(profit, 0) if account.classic else profit


def _free(holdings: Holdings) -> int:
    """Return what the cross positions have to lose: the wallet without isolated margins and coins for sale.

    Coins that a spot order may sell at any moment carry no position.
    """
    free = holdings.wallet - sum(own_margin(position) for position in holdings.held() if position.is_isolated)
    some = next(iter(holdings.positions.values()), None)
    for_sale = coins_for_sale(some.account, some.instrument.settle) if some is not None else 0
    return free - min(for_sale, max(free, 0))


# ---- looking at all accounts, a slice at a time


def scan(venue: Venue, piece: Piece) -> Done:
    """Look at the next slice of accounts and liquidate, while the piece lasts."""
    asset = min(venue.assets_to_check)
    begin = max(venue.next_account_to_check, 1)
    end = min(begin + ACCOUNTS_PER_PIECE, len(venue.accounts) + 1)
    for number in range(begin, end):
        account = venue.accounts[number]
        holdings = account.assets.get(asset)
        if holdings is None or venue.is_fund(account):
            continue
        flat = not any(position.qty for position in holdings.positions.values())
        if holdings.wallet >= 0 if flat else not shortage(venue, account, holdings):
            continue
        if not piece.has_room(venue, 2 if flat else _events_to_liquidate(venue, holdings)):
            venue.next_account_to_check = number
            return Done.MORE
        if flat:
            _cover(venue, account, asset, holdings)
        elif not _fund_can_take(venue, account, asset, holdings):
            venue.must_deleverage = True
            venue.next_account_to_check = number
            return Done.MORE
        else:
            _liquidate(venue, account, asset, holdings)
    venue.next_account_to_check = end
    if end <= len(venue.accounts):
        return Done.MORE
    venue.next_account_to_check = 0
    venue.assets_to_check.discard(asset)
    return Done.MORE if venue.assets_to_check else Done.ALL


def _events_to_liquidate(venue: Venue, holdings: Holdings) -> int:
    """Return how many events the liquidation of one account and asset may cause at most."""
    held = holdings.held()
    n_orders = sum(len(position.orders) for position in holdings.positions.values())
    n_raised = sum(1 for position in held if position.tier)
    # Only what is above its base limit is reduced in the market first.
    crossing = events_to_cross(venue, holdings.first_of_block(), FILLS_MAX) if n_raised else 0
    return n_orders + len(held) * _EVENTS_PER_POSITION + n_raised * crossing + 8


def _fund_can_take(venue: Venue, account: Account, asset: int, holdings: Holdings) -> bool:
    """Return whether the insurance account could take over an account's positions without falling below zero.

    What it holds on the other side would be closed against them and the difference realised at once: at most
    what it has lost on it at the mark, and what the account lacks. Where the fund cannot pay that, winners take
    what it holds first; then nothing is realised.
    """
    assert venue.fund is not None
    short = shortage(venue, account, holdings)
    left, lost, opposite = _free(holdings), 0, []
    for position in holdings.held():
        if not short.concerns(venue, position):
            continue
        if position.is_isolated:
            lost += max(-(own_margin(position) + profit_at_mark(position)), 0)
        else:
            left += profit_at_mark(position)
        of_fund = venue.fund.find(position.instrument)
        if of_fund is not None and of_fund.qty and (of_fund.qty > 0) != (position.qty > 0):
            opposite.append(position.instrument)
            lost += max(-profit_at_mark(of_fund), 0)
    if not opposite or venue.fund.in_asset(asset).wallet >= lost + max(-left, 0):
        return True
    for instrument in opposite:
        instrument.must_be_deleveraged = True
    return False


# ---- the steps


def _liquidate(venue: Venue, account: Account, asset: int, holdings: Holdings) -> None:
    """Take the steps until the account is no longer short; in the end nothing is left to be."""
    _lower_tiers(venue, holdings, shortage(venue, account, holdings), with_orders=True)
    short = shortage(venue, account, holdings)
    if short:
        _cancel_everything(venue, holdings, short)
        _lower_tiers(venue, holdings, short, with_orders=False)
        short = shortage(venue, account, holdings)
    if short:
        for position in holdings.held():
            if position.qty and position.tier and short.concerns(venue, position):
                _reduce_to_lower_tier(venue, position)
        short = shortage(venue, account, holdings)
    if short:
        _take_over_short(venue, account, holdings, short)
    if holdings.wallet < 0 and not holdings.held():
        _cover(venue, account, asset, holdings)


def _say_step(venue: Venue, position: Position, step: LiquidationStep) -> None:
    venue.say(
        Event.LIQUIDATION, account=position.account.number, symbol=position.instrument.number, qty=position.qty,
        px=step, amount=position.tier,
    )  # fmt: skip


def _lower_tiers(venue: Venue, holdings: Holdings, short: Shortage, *, with_orders: bool) -> None:
    """Lower the risk limit of every short position to what it needs: that lowers its maintenance margin."""
    for position in holdings.held():
        if not position.tier or not short.concerns(venue, position):
            continue
        exposure = abs(position.cost)
        if with_orders:
            exposure = worst_exposure(position, open_exposure(position))
        tier = position.instrument.tier_for(exposure)
        if tier < position.tier:
            position.tier = tier
            _say_step(venue, position, LiquidationStep.TIER_LOWERED)


def _cancel_everything(venue: Venue, holdings: Holdings, short: Shortage) -> None:
    """Cancel all orders, untriggered ones too, of the instruments that are short; of cross accounts all."""
    for position in list(holdings.positions.values()):
        if position.orders and not position.instrument.is_halted and short.concerns(venue, position):
            cancel_orders(venue, position, CancelReason.LIQUIDATION)
            _say_step(venue, position, LiquidationStep.ORDERS_CANCELED)


def cancel_orders(venue: Venue, position: Position, reason: CancelReason, *, only: int = 0) -> None:
    """Cancel a position's open orders, newest first; `only` = ONLY_BUYS or ONLY_SELLS, 0 = both.

    Those of a halted contract stay.
    """
    if position.instrument.is_halted:
        return
    for order in position.newest_first():
        side = OrderBit.ONLY_SELLS if order.sell else OrderBit.ONLY_BUYS
        # It may have gone with another one.
        if position.orders.get(order.slot) is order and (only == 0 or only & side):
            cancel(venue, order, reason)


def _reduce_to_lower_tier(venue: Venue, position: Position) -> None:
    """Close in the market, all or nothing, what keeps a position above the next lower tier."""
    instrument, exposure = position.instrument, abs(position.cost)
    lots, limit = instrument.lots(position.qty), instrument.risk_limit(position.tier - 1)
    # Rounded up, so that what is left is not above the limit.
    excess = min(muldiv(exposure - limit, lots, exposure) + 1, lots)
    sell, qty = position.qty > 0, excess * instrument.lot_size
    px = instrument.reach(sell)
    if excess <= 0 or reachable_qty(instrument, sell=sell, limit=px, wanted=qty) < qty:
        return
    order = open_order(venue, position, sell=sell, px=px, qty=qty)
    enter(venue, order, px=px, qty=qty, flags=OrderBit.FOK, is_market=False)
    if position.qty:
        position.tier = min(instrument.tier_for(abs(position.cost)), position.tier)
    _say_step(venue, position, LiquidationStep.REDUCED)


def open_order(venue: Venue, position: Position, *, sell: bool, px: int, qty: int) -> Order:
    """Return a new order of the venue's own, accepted but not yet in the market."""
    slot = venue.take_slot(fresh=True)
    order = Order(slot, venue.sequence & 0xFFFFFFFF, position, sell, px=px, leaves=qty)
    adopt(venue, order)
    venue.say(
        Event.ACCEPTED, flags=EventBit.SELL if sell else 0, handle=order.handle,
        account=position.account.number, symbol=position.instrument.number, qty=qty, px=px,
    )  # fmt: skip
    return order


def reachable_qty(instrument: Instrument, *, sell: bool, limit: int, wanted: int) -> int:
    """Return how much of `wanted` the first FILLS_MAX orders of the book hold within a limit price."""
    found = met = 0
    for px, level in instrument.book.against(sell).walk():
        if found >= wanted or met >= FILLS_MAX or (px < limit if sell else px > limit):
            break
        for order in level:
            if found >= wanted or met >= FILLS_MAX:
                break
            found += order.leaves
            # What does not show everything may trade twice.
            met += 1 if order.display == SHOW_ALL else 2
    return min(found, wanted)


# ---- the take-over


def _take_over_short(venue: Venue, account: Account, holdings: Holdings, short: Shortage) -> None:
    """Hand what is short to the insurance account."""
    for position in holdings.held():
        if position.is_isolated and short.concerns(venue, position):
            _take_over(venue, position, -own_margin(position))
    if account.classic:
        while shortage(venue, account, holdings).cross:
            _take_over_worst(venue, holdings)
    elif shortage(venue, account, holdings).cross:
        _take_over_cross(venue, holdings)


def _take_over_cross(venue: Venue, holdings: Holdings) -> None:
    """Take over all cross positions; together they lose exactly what there is to lose.

    What the marks have not lost yet is shared by maintenance margin; the last position bears the rest.
    """
    cross = [position for position in holdings.held() if not position.is_isolated]
    free = _free(holdings)
    left = free + sum(profit_at_mark(position) for position in cross)
    needed = sum(maintenance(position) for position in cross)
    gains = 0
    for position in cross:
        if position is cross[-1]:
            gain = -free - gains
        else:
            gain = profit_at_mark(position) - muldiv(left, maintenance(position), needed)
        gains += _take_over(venue, position, gain)


def _take_over_worst(venue: Venue, holdings: Holdings) -> None:
    """Classic cross: take over the position that loses most; what the others have lost is not its to lose."""
    cross = [position for position in holdings.held() if not position.is_isolated]
    worst = min(cross, key=profit_at_mark)
    kept = sum(
        maintenance(position) - min(profit_at_mark(position), 0)
        for position in cross
        if position is not worst
    )
    _take_over(venue, worst, -max(_free(holdings) - kept, 0))


def _take_over(venue: Venue, position: Position, gain: int) -> int:
    """Move a position to the insurance account at the value where its holder gains `gain`; return the gain."""
    assert venue.fund is not None
    instrument, holdings = position.instrument, position.holdings
    value = _value_of_gain(position, gain)
    qty, sell, before = abs(position.qty), position.qty > 0, holdings.wallet
    venue.say(
        Event.LIQUIDATION, account=position.account.number, symbol=instrument.number, qty=position.qty,
        px=LiquidationStep.TAKEN_OVER, amount=value, maker_amount=price_of_value(instrument, qty, value),
    )  # fmt: skip
    fill(venue, position, sell=sell, qty=qty, value=value)
    position.tier = 0
    of_fund = venue.position_numbers.position_of(venue.fund, instrument)
    # Its price was break-even before; what it is now, the next step says.
    cancel_orders(venue, of_fund, CancelReason.LIQUIDATION)
    fill(venue, of_fund, sell=not sell, qty=qty, value=value)
    venue.fund_has_work = True
    return holdings.wallet - before


def _value_of_gain(position: Position, gain: int) -> int:
    """Return the value at which closing a position gains so much (negative: loses); never below zero."""
    rises = (position.qty > 0) != position.instrument.is_inverse
    return max(abs(position.cost) + (gain if rises else -gain), 0)


def price_of_value(instrument: Instrument, qty: int, value: int) -> int:
    """Return the price in subticks at which a quantity has this value, towards zero; at most the highest."""
    lots, highest = instrument.lots(qty), instrument.px_max * MARK_SUBTICKS
    if not instrument.is_inverse:
        return min(value * MARK_SUBTICKS // (instrument.factor * lots), highest)
    return min(instrument.factor * MARK_SUBTICKS * lots // value, highest) if value else highest


def _cover(venue: Venue, account: Account, asset: int, holdings: Holdings) -> None:
    """Pay an account's deficit from the insurance fund, as far as the fund reaches: nobody is asked for it."""
    assert venue.fund is not None
    fund = venue.fund.in_asset(asset)
    amount = min(-holdings.wallet, max(fund.wallet, 0))
    if amount <= 0:
        return
    holdings.wallet += amount
    fund.wallet -= amount
    venue.say(Event.COVERED, account=account.number, symbol=asset, amount=amount)

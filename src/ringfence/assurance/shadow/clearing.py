"""What a fill does to both sides: position, realised profit, fees, coins.

Source: docs/reference/contracts.md, "Profit" and "Fees". Profit is realised at average cost: a reducing fill
takes out its share of the cost, rounded towards zero, and the rest stays with what is left.
"""

from ringfence.assurance.shadow.accounts import FEE_EXEMPT, Account, Position
from ringfence.assurance.shadow.bits import EventBit
from ringfence.assurance.shadow.cancelling import note_last_price, retire, tell_linked_of_fill
from ringfence.assurance.shadow.orders import Order
from ringfence.assurance.shadow.venue import Venue
from ringfence.messages.events import Event
from ringfence.units.rounding import PPM, muldiv, round_div


def fill(venue: Venue, position: Position, *, sell: bool, qty: int, value: int) -> None:
    """Move one side's position by a fill; profit of what it closes goes to the wallet."""
    sign = -1 if sell else 1
    if position.qty == 0 or (position.qty > 0) != sell:
        position.qty += sign * qty
        position.cost += sign * value
        return
    held = abs(position.qty)
    closed = min(qty, held)
    if qty <= held:
        cost_out = muldiv(position.cost, qty, held)
        gain = -sign * value - cost_out
        position.cost -= cost_out
        position.transferred = muldiv(position.transferred, held - qty, held)
    else:
        # Through zero: the rest opens a new position at the price of the fill.
        exit_value = muldiv(sign * value, held, qty)
        gain = -exit_value - position.cost
        position.cost = sign * value - exit_value
        position.transferred = 0
    position.qty += sign * qty
    profit = -gain if position.instrument.is_inverse else gain
    wallet = position.holdings
    wallet.wallet += profit
    if wallet.wallet < 0:
        # If nothing else is held, that is a deficit to cover.
        venue.check_accounts_of(position.instrument.settle)
    venue.say(
        Event.REALISED, account=position.account.number, symbol=position.instrument.number, qty=closed,
        amount=profit,
    )  # fmt: skip


def fee(venue: Venue, account: Account, value: int, rate_ppm: int) -> int:
    """Return what an account pays for a trade of this value, negative = receives.

    A tier's discount is rounded to the account's favour; rebates are left alone.
    """
    if account.fee_tier == FEE_EXEMPT:
        return 0
    if account.fee_tier and rate_ppm > 0:
        rate_ppm = rate_ppm * (100 - venue.fee_discounts.get(account.fee_tier, 0)) // 100
    return round_div(value * rate_ppm, PPM)


def trade(
    venue: Venue, taker: Position, handle: int, maker: Order, qty: int, rest: int, *, hidden: bool
) -> None:
    """Fill `qty` of the maker for the taker's order, of which `rest` stays wanted."""
    instrument, owner, px = taker.instrument, maker.position, maker.px
    value = instrument.value(px, qty)
    taker_fee = fee(venue, taker.account, value, instrument.taker_ppm)
    maker_fee = fee(venue, owner.account, value, instrument.taker_ppm if hidden else instrument.maker_ppm)
    left = maker.leaves - qty
    flags = (
        (0 if maker.sell else EventBit.SELL)
        | (EventBit.TAKER_DONE if rest == 0 else 0)
        | (EventBit.MAKER_DONE if left == 0 else 0)
        | (EventBit.HIDDEN if hidden else 0)
    )
    venue.say(
        Event.TRADE, flags=flags, handle=handle, account=taker.account.number, symbol=instrument.number,
        qty=qty, px=px, amount=taker_fee, maker_handle=maker.handle, maker_account=owner.account.number,
        maker_amount=maker_fee,
    )  # fmt: skip
    taker.holdings.wallet -= taker_fee
    owner.holdings.wallet -= maker_fee
    instrument.fee_pool += taker_fee + maker_fee
    instrument.last = px
    instrument.volume += qty
    note_last_price(venue, maker)
    for position, sells in ((taker, not maker.sell), (owner, maker.sell)):
        if instrument.is_spot:
            _exchange_coins(position, sell=sells, qty=qty, value=value)
        else:
            fill(venue, position, sell=sells, qty=qty, value=value)
    maker.filled += qty
    instrument.book.take(maker, qty, from_hidden=hidden)
    if maker.linked:
        tell_linked_of_fill(venue, maker, done=left == 0)
    if left == 0:
        retire(venue, maker)


def _exchange_coins(position: Position, *, sell: bool, qty: int, value: int) -> None:
    """Spot: the base asset goes one way, the quote asset the other."""
    base, quote = position.account.in_asset(position.instrument.base), position.holdings
    base.wallet += -qty if sell else qty
    quote.wallet += value if sell else -value

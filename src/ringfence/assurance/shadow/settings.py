"""What an account sets: leverage, risk limit, isolated margin, its own switches."""

from ringfence.assurance.shadow.accounts import FEE_EXEMPT, Account, Position
from ringfence.assurance.shadow.instrument import Instrument
from ringfence.assurance.shadow.margin import (
    available,
    isolated_is_short,
    locked_by,
    open_exposure,
    worst_exposure,
)
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.commands import AccountParameter, AccountSays, ContractKind, CrossMode, SelfTrade
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.units.limits import ACCOUNT_MAX, LEVERAGE_HUNDREDTHS_MAX, WALLET_MAX
from ringfence.units.rounding import PPM


def _position_of(venue: Venue, asked: Asked) -> Position | None:
    """Return the position that a setting is for, None if it was refused: spot and indices have no positions."""
    account = venue.account(asked.account)
    if account is None or venue.is_fund(account):
        venue.refuse(asked, Reject.INVALID_ACCOUNT)
        return None
    instrument = venue.instruments.get(asked.symbol)
    if instrument is None or instrument.kind in (ContractKind.SPOT, ContractKind.INDEX):
        venue.refuse(asked, Reject.INVALID_SYMBOL)
        return None
    return venue.position_numbers.position_of(account, instrument)


def _say_position(venue: Venue, position: Position) -> None:
    instrument = position.instrument
    venue.say(
        Event.POSITION_SET, account=position.account.number, symbol=instrument.number, qty=position.leverage,
        amount=instrument.risk_limit(position.tier), maker_amount=position.transferred,
    )  # fmt: skip


def _leverage_max(instrument: Instrument, tier: int) -> int:
    """Return the highest leverage, in hundredths, whose margin covers the tier's initial rate."""
    rate = instrument.initial_ppm + tier * instrument.maintenance_ppm
    return min(100 * PPM // rate, LEVERAGE_HUNDREDTHS_MAX) if rate else 0


def set_leverage(venue: Venue, asked: Asked) -> None:
    position = _position_of(venue, asked)
    if position is None:
        return None
    if not 0 <= asked.qty <= LEVERAGE_HUNDREDTHS_MAX:
        return venue.refuse(asked, Reject.INVALID_LEVERAGE)
    highest = _leverage_max(position.instrument, position.tier)
    if asked.qty > highest:
        return venue.refuse(asked, Reject.LEVERAGE_TOO_HIGH, highest)
    transferred = position.transferred if asked.qty else 0
    return _change(venue, asked, position, asked.qty, position.tier, transferred)


def set_risk_limit(venue: Venue, asked: Asked) -> None:
    position = _position_of(venue, asked)
    if position is None:
        return None
    instrument = position.instrument
    highest = instrument.risk_limit(venue.risk_tiers_max)
    lowest = max(worst_exposure(position, open_exposure(position)), 1)
    if not lowest <= asked.qty <= highest:
        return venue.refuse(asked, Reject.INVALID_RISK_LIMIT, highest)
    tier = instrument.tier_for(asked.qty)
    leverage_max = _leverage_max(instrument, tier)
    if position.leverage > leverage_max:
        return venue.refuse(asked, Reject.LEVERAGE_TOO_HIGH, leverage_max)
    return _change(venue, asked, position, position.leverage, tier, position.transferred)


def _change(
    venue: Venue, asked: Asked, position: Position, leverage: int, tier: int, transferred: int
) -> None:
    """Apply new settings if the account can afford them, else put the old ones back and refuse."""
    account, asset = position.account, position.instrument.settle
    before = position.leverage, position.tier, position.transferred
    free_before, locked_before = available(account, asset), locked_by(position)
    position.leverage, position.tier, position.transferred = leverage, tier, transferred
    free, locked = available(account, asset), locked_by(position)
    if free < 0 and free < free_before:
        position.leverage, position.tier, position.transferred = before
        return venue.refuse(asked, Reject.INSUFFICIENT_BALANCE, locked - locked_before)
    if _is_below_maintenance(position) and free != free_before:
        position.leverage, position.tier, position.transferred = before
        return venue.refuse(asked, Reject.IMMEDIATE_LIQUIDATION)
    return _say_position(venue, position)


def _is_below_maintenance(position: Position) -> bool:
    return position.is_isolated and position.qty != 0 and isolated_is_short(position)


def transfer_margin(venue: Venue, asked: Asked) -> None:
    position = _position_of(venue, asked)
    if position is None:
        return None
    if not position.is_isolated:
        return venue.refuse(asked, Reject.POSITION_IS_CROSS)
    if asked.qty == 0 or abs(asked.qty) > WALLET_MAX or not position.qty:
        return venue.refuse(asked, Reject.INVALID_AMOUNT)
    if position.transferred + asked.qty < 0:
        return venue.refuse(asked, Reject.INSUFFICIENT_ISOLATED_MARGIN, position.transferred)
    if asked.qty > 0 and available(position.account, position.instrument.settle) < asked.qty:
        return venue.refuse(asked, Reject.INSUFFICIENT_BALANCE, asked.qty)
    position.transferred += asked.qty
    if asked.qty < 0 and _is_below_maintenance(position):
        position.transferred -= asked.qty
        return venue.refuse(asked, Reject.INSUFFICIENT_ISOLATED_MARGIN, position.transferred)
    return _say_position(venue, position)


def open_account(venue: Venue, asked: Asked) -> None:
    number, parent = len(venue.accounts) + 1, asked.handle
    if asked.account != number or number > ACCOUNT_MAX:
        return venue.refuse(asked, Reject.INVALID_ACCOUNT, number)
    # A sub-account has no sub-accounts of its own: a family is one deep.
    if parent and (parent not in venue.accounts or venue.accounts[parent].parent):
        return venue.refuse(asked, Reject.INVALID_ACCOUNT, parent)
    venue.accounts[number] = Account(number, parent)
    return venue.say(Event.ACCOUNT_OPENED, account=number, maker_account=parent)


def configure_account(venue: Venue, asked: Asked) -> None:
    account = venue.account(asked.account)
    if account is None:
        return venue.refuse(asked, Reject.INVALID_ACCOUNT)
    parameter, value = asked.type, asked.qty
    is_fund = venue.is_fund(account)
    if parameter == AccountParameter.SELF_TRADE and 0 <= value <= SelfTrade.ALLOW:
        account.self_trade = value
    elif (
        parameter == AccountParameter.TRADING_DISABLED
        and 0 <= value <= 1
        and not (is_fund or account is venue.custody)
    ):
        account.disabled = bool(value)
    elif parameter == AccountParameter.FEE_TIER and 0 <= value < FEE_EXEMPT and not is_fund:
        account.fee_tier = value
    elif parameter == AccountParameter.CROSS_MODE and 0 <= value <= CrossMode.CLASSIC:
        account.classic = value == CrossMode.CLASSIC
    elif not (parameter == AccountParameter.WITHDRAWALS and value in set(AccountSays)):
        return venue.refuse(asked, Reject.INVALID_PARAMETER)
    return venue.say(Event.ACCOUNT_SET, account=asked.account, px=parameter, qty=value)

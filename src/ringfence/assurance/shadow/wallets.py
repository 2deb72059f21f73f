"""Coins: in, out, and between the accounts of one family."""

from ringfence.assurance.shadow.accounts import Account
from ringfence.assurance.shadow.bits import EventBit, OrderBit
from ringfence.assurance.shadow.margin import withdrawable
from ringfence.assurance.shadow.venue import Asked, Venue
from ringfence.messages.events import Event
from ringfence.messages.rejects import Reject
from ringfence.units.assets import ASSETS
from ringfence.units.limits import WALLET_MAX


def deposit(venue: Venue, asked: Asked) -> None:
    account = _account_of(venue, asked)
    if account is None:
        return None
    numbered = venue.custody is not None and not asked.flags & OrderBit.DEMO
    if numbered and asked.px != venue.instruction_next:
        return venue.refuse(asked, Reject.INSTRUCTION_OUT_OF_ORDER, venue.instruction_next)
    holdings = account.in_asset(asked.symbol)
    room = WALLET_MAX - holdings.wallet
    if not 0 < asked.qty <= WALLET_MAX or asked.qty > room:
        return venue.refuse(asked, Reject.INVALID_AMOUNT, room)
    holdings.wallet += asked.qty
    venue.instruction_next += numbered
    return _say(venue, asked, Event.DEPOSITED)


def withdraw(venue: Venue, asked: Asked) -> None:
    account = _account_of(venue, asked)
    if account is None:
        return None
    numbered = venue.custody is not None and not asked.flags & OrderBit.DEMO
    if venue.custody is not None and numbered != (account is venue.custody):
        return venue.refuse(asked, Reject.CUSTODY_ONLY)
    if numbered and asked.px != venue.instruction_next:
        return venue.refuse(asked, Reject.INSTRUCTION_OUT_OF_ORDER, venue.instruction_next)
    if not 0 < asked.qty <= WALLET_MAX:
        return venue.refuse(asked, Reject.INVALID_AMOUNT)
    if withdrawable(account, asked.symbol) < asked.qty:
        return venue.refuse(asked, Reject.INSUFFICIENT_BALANCE, asked.qty)
    account.in_asset(asked.symbol).wallet -= asked.qty
    venue.instruction_next += numbered
    return _say(venue, asked, Event.WITHDRAWN)


def _account_of(venue: Venue, asked: Asked) -> Account | None:
    """Return the account whose coins move, None if it was refused."""
    account = venue.account(asked.account)
    if account is None:
        venue.refuse(asked, Reject.INVALID_ACCOUNT)
        return None
    if asked.symbol >= len(ASSETS):
        venue.refuse(asked, Reject.INVALID_SYMBOL)
        return None
    return account


def _say(venue: Venue, asked: Asked, kind: Event) -> None:
    demo = EventBit.DEMO if asked.flags & OrderBit.DEMO else 0
    venue.say(kind, flags=demo, account=asked.account, symbol=asked.symbol, amount=asked.qty)


def transfer(venue: Venue, asked: Asked) -> None:
    account, other = venue.account(asked.account), venue.account(asked.handle)
    if account is None or other is None:
        return venue.refuse(asked, Reject.INVALID_ACCOUNT, asked.handle)
    if asked.symbol >= len(ASSETS):
        return venue.refuse(asked, Reject.INVALID_SYMBOL)
    with_custody = venue.custody is not None and venue.custody in (account, other)
    if account is other or not (with_custody or _family_of(account) == _family_of(other)):
        return venue.refuse(asked, Reject.NOT_ONE_FAMILY)
    numbered = venue.custody is not None and account is venue.custody
    if numbered and asked.px != venue.instruction_next:
        return venue.refuse(asked, Reject.INSTRUCTION_OUT_OF_ORDER, venue.instruction_next)
    to = other.in_asset(asked.symbol)
    if not 0 < asked.qty <= WALLET_MAX or to.wallet > WALLET_MAX - asked.qty:
        return venue.refuse(asked, Reject.INVALID_AMOUNT)
    if withdrawable(account, asked.symbol) < asked.qty:
        return venue.refuse(asked, Reject.INSUFFICIENT_BALANCE, asked.qty)
    account.in_asset(asked.symbol).wallet -= asked.qty
    to.wallet += asked.qty
    venue.instruction_next += numbered
    return venue.say(
        Event.TRANSFERRED, account=account.number, symbol=asked.symbol, amount=asked.qty,
        maker_account=other.number,
    )  # fmt: skip


def _family_of(account: Account) -> int:
    """Return the number of an account's main account, its own if it is one."""
    return account.parent or account.number

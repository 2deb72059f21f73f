"""Sub-accounts: a main account opens them, sees their wallets and moves coins between them.

All of it is the main account's alone: a key of a sub-account cannot look at its family, let alone reach
into it. What opens an account or moves coins needs the permission `withdraw`.
"""

from typing import Any

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, invalid, unavailable
from ringfence.exchange.gateway.rest.route import Request, optional, required, route
from ringfence.exchange.projections import Account, Result, Views
from ringfence.exchange.projections.history import transaction_row
from ringfence.exchange.users.keys import Permission
from ringfence.messages.batch import ACCOUNT_NAME
from ringfence.messages.commands import Command
from ringfence.messages.rejects import Reject
from ringfence.units.assets import BY_CURRENCY
from ringfence.units.time import iso

Row = dict[str, Any]
SUBACCOUNTS_MAX = 100
_NAME_MAX = 64
_ATTEMPTS = 20
"""Others may open accounts at the same moment and take the number that was asked for."""
TARGET = optional("targetAccountId", "number", "A sub-account of yours, instead of your own account.")


def family(views: Views, account: int) -> list[Account]:
    """Return a main account and its sub-accounts. Raises Refused if it is a sub-account itself."""
    main = views.accounts[account]
    if main.parent:
        raise Refused(403, "Access Denied")
    return [main, *(found for found in views.accounts.values() if found.parent == account)]


def target_account(request: Request, name: str = "targetAccountId") -> Account:
    """Return the account that a request is about: the caller's own, or one of its sub-accounts.

    Raises Refused. Whether an account of others exists is not told.
    """
    views = request.gateway.desk.views
    number = read.integer(request.parameters, name, low=1)
    if number is None or number == request.account:
        return views.accounts[request.account]
    found = views.accounts.get(number)
    if found is None or found.parent != request.account:
        raise Refused(403, "Access Denied")
    return found


def _row(account: Account) -> Row:
    return {
        "id": account.number, "accountName": account.name or f"account-{account.number}",
        "isMainAccount": not account.parent, "parentId": account.parent or None, "created": iso(account.opened_ns),
    }  # fmt: skip


@route(
    "GET", "/user/getWalletTransferAccounts", "User.getWalletTransferAccounts", returns="WalletTransferAccount[]",
    key=True,
)  # fmt: skip
def get_accounts(request: Request) -> object:
    """Get your account and its sub-accounts: those between which coins can be moved."""
    return [_row(account) for account in family(request.gateway.desk.views, request.account)]


@route(
    "POST", "/user/addSubaccount", "User.addSubaccount", required("accountName"), returns="WalletTransferAccount",
    permission=Permission.WITHDRAW,
)  # fmt: skip
async def add_subaccount(request: Request) -> Row:
    """Open a sub-account. Its keys are made in the page, or by the operator."""
    name = read.text(request.parameters, "accountName", length_max=_NAME_MAX)
    if name is None or not name.isprintable() or not name.strip():
        raise invalid("accountName is required")
    accounts = family(request.gateway.desk.views, request.account)
    if len(accounts) > SUBACCOUNTS_MAX:
        raise invalid(f"Too many sub-accounts, at most {SUBACCOUNTS_MAX}")
    if name in (account.name for account in accounts):
        raise invalid("Duplicate accountName")
    request.gateway.desk.check_room(request.account)
    return _row(await open_account(request, name, parent=request.account))


async def open_account(request: Request, name: str, *, parent: int = 0) -> Account:
    """Open the next account, below `parent` if there is one. Raises Refused.

    The engine names the number to ask for if another came first.
    """
    desk = request.gateway.desk
    number = max(desk.views.accounts, default=0) + 1
    for _ in range(_ATTEMPTS):
        token = desk.token()
        command = commands.pack(
            Command.OPEN_ACCOUNT, request=token, account=number, handle=parent, data=[(ACCOUNT_NAME, name.encode())]
        )  # fmt: skip
        result = await desk.carry_out(token, command)
        if result.refusal is None:
            return desk.views.accounts[number]
        if result.refusal.reject != Reject.INVALID_ACCOUNT or result.refusal.figure == number:
            raise request.gateway.refusal_of(result)
        number = result.refusal.figure
    raise unavailable("too many accounts are being opened")


@route(
    "POST", "/user/walletTransfer", "User.walletTransfer", required("currency"), required("amount", "number"),
    required("targetAccountId", "number"),
    optional("sourceAccountId", "number", "A sub-account of yours to take the coins from, instead of your own."),
    returns="Transaction", permission=Permission.WITHDRAW,
)  # fmt: skip
def wallet_transfer(request: Request) -> object:
    """Move coins between your account and a sub-account, or between two sub-accounts."""
    parameters = request.parameters
    family(request.gateway.desk.views, request.account)
    asset = BY_CURRENCY.get(read.required_text(parameters, "currency"))
    if asset is None or not asset.enabled:
        raise invalid("Invalid currency")
    amount = read.integer(parameters, "amount", low=1)
    if amount is None:
        raise invalid("Invalid amount")
    if read.given(parameters, "targetAccountId") is None:
        raise invalid("targetAccountId is required")
    source, target = target_account(request, "sourceAccountId"), target_account(request)
    if source is target:
        raise invalid("Invalid targetAccountId: it is the account that the coins come from")
    desk = request.gateway.desk
    desk.check_room(request.account)
    token = desk.token()
    command = commands.pack(
        Command.TRANSFER, request=token, account=source.number, handle=target.number, symbol=asset.number,
        qty=amount,
    )  # fmt: skip
    return request.carry_out(token, command, _transaction)


def _transaction(result: Result) -> Row:
    assert result.transaction is not None
    return transaction_row(result.transaction)

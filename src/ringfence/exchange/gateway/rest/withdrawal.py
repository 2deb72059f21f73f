"""/user/requestWithdrawal, /address, /user/withdrawalKey: coins out, where to, and whose signature it takes.

An account that has named a withdrawal key withdraws nothing, and adds nothing to its address book, without the key's
signature below the very text: neither a stolen API key nor this gateway is enough. Each of custody's co-signers checks
it for itself; what is refused here is refused early, to be told why.
"""

import logging
from typing import Any

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway import parameters as read
from ringfence.exchange.gateway.errors import Refused, invalid
from ringfence.exchange.gateway.rest.route import Request, optional, required, route
from ringfence.exchange.projections import Result
from ringfence.exchange.projections.coins import number_of
from ringfence.exchange.projections.history import transaction_row
from ringfence.exchange.users.keys import Permission
from ringfence.messages.batch import FUNDS, encode_data
from ringfence.messages.commands import AccountParameter, AccountSays, Command, OrderFlag
from ringfence.messages.funds import AccountText, Keyed, Listed, Unlisted, Wish, encode
from ringfence.units.assets import BY_CURRENCY, XBT, Asset
from ringfence.units.time import iso

log = logging.getLogger(__name__)

Row = dict[str, Any]
_ADDRESS_CHARACTERS_MAX, _TEXT_CHARACTERS_MAX, _NAME_CHARACTERS_MAX = 90, 128, 64
_NONCE_MAX = 2**63 - 1
_UNAVAILABLE = 503
_SIGNED = (
    optional("nonce", "number", "Of the signature: above the last one, e.g. the time in milliseconds."),
    optional(
        "signature", description="By the account's withdrawal key, if it has one: Ed25519, hexadecimal."
    ),
)


# ---- asking


@route(
    "POST", "/user/requestWithdrawal", "User.requestWithdrawal", required("currency"), required("network"),
    required("amount", "number"), optional("address"), optional("addressId", "number", "Of your address book."),
    optional("memo"), optional("otpToken"), optional("fee", "number"), optional("text"), *_SIGNED,
    returns="Transaction", permission=Permission.WITHDRAW,
)  # fmt: skip
async def request_withdrawal(request: Request) -> Row:
    """Take coins out of your wallet: the amount and the fee are put aside until the chain has confirmed the payment.

    The network's fee is what it is; what it does not take comes back. Demo coins, of assets without a chain, vanish.
    """
    if request.person is not None:
        raise Refused(403, "A person's withdrawal is confirmed first: POST /account/withdrawal")
    row = await send_wish(request)
    await tell_owner(
        request, "A withdrawal was asked for", f"{-row['amount']:,} {row['currency']} to {row['address']}"
    )
    return row


async def send_wish(request: Request) -> Row:
    """Carry out a request for a withdrawal, whoever has confirmed it. Raises Refused."""
    asset, amount = _asset_and_amount(request)
    desk = request.gateway.desk
    desk.check_room(request.account)
    await request.gateway.people.check_not_held(_main_account(request))
    is_on_chain = desk.views.coins.custody_account and (
        asset is XBT or asset.currency in await request.gateway.custody.currencies()
    )
    if is_on_chain:
        return await _requested(request, asset, amount)
    return _transaction(await _done(request, *_vanishing(request, asset, amount)))


async def check_wish(request: Request) -> Row:
    """Return what a request for a withdrawal comes to, its address spelled out. Raises Refused if it cannot be done."""
    asset, amount = _asset_and_amount(request)
    desk = request.gateway.desk
    desk.check_room(request.account)
    wish = _wish(request, asset, amount, await _address(request))
    if desk.views.coins.custody_account:
        await _ask_custody(request, wish, asset)
    available = desk.views.accounts[request.account].margin(asset.number).withdrawable
    if amount + wish.fee_max > available:
        raise invalid(
            f"Account has insufficient Available Balance, {available} {asset.currency} can be withdrawn"
        )
    return {
        "currency": asset.currency, "network": asset.network, "amount": amount, "address": wish.address,
        "fee": wish.fee_max, "text": wish.text, "nonce": wish.nonce, "signature": wish.signature,
    }  # fmt: skip


def _asset_and_amount(request: Request) -> tuple[Asset, int]:
    """Raises Refused."""
    asset = asset_of(request)
    amount = read.integer(request.parameters, "amount", low=1)
    if amount is None or amount < asset.withdrawal_min:
        raise invalid(f"Invalid withdrawal amount: at least {asset.withdrawal_min} {asset.currency}")
    return asset, amount


def _main_account(request: Request) -> int:
    account = request.gateway.desk.views.accounts[request.account]
    return account.parent or account.number


async def tell_owner(request: Request, subject: str, detail: str) -> None:
    """Have the account's user told by mail, and their log say it. What was done stands if that fails."""
    people = request.gateway.people
    if not people.is_there:
        return
    assert request.key is not None
    by = {} if request.person else {"agent": f"API key {request.key.record.name!r}"}
    try:
        origin = {**request.origin, "address": request.address, **by}
        note = {"account": _main_account(request), "subject": subject, "detail": detail}
        await people.ask("note", origin, note)
    except Refused as refused:
        log.error("the owner of account %d was not told of it: %s", request.account, refused.message)


def _vanishing(request: Request, asset: Asset, amount: int) -> tuple[int, bytes]:
    """Return the command that takes demo coins away, with its token."""
    token = request.gateway.desk.token()
    command = commands.pack(
        Command.WITHDRAW,
        request=token,
        account=request.account,
        symbol=asset.number,
        qty=amount,
        flags=OrderFlag.DEMO,
    )
    return token, command


async def _requested(request: Request, asset: Asset, amount: int) -> Row:
    wish = _wish(request, asset, amount, await _address(request))
    try:
        await _ask_custody(request, wish, asset)
    except Refused as refused:
        # Custody may be away for a moment: it looks at what was asked for when it comes back.
        if refused.status != _UNAVAILABLE:
            raise
    _check_second_factor(request)
    desk = request.gateway.desk
    token = desk.token()
    command = commands.pack(
        Command.TRANSFER, request=token, account=request.account, handle=desk.views.coins.custody_account,
        symbol=asset.number, qty=wish.amount + wish.fee_max,
    ) + encode_data([(FUNDS, encode(wish))])  # fmt: skip
    return _transaction(await _done(request, token, command))


def asset_of(request: Request) -> Asset:
    """Return the asset that is asked for, on its network. Raises Refused."""
    asset = BY_CURRENCY.get(read.required_text(request.parameters, "currency"))
    if asset is None or not asset.enabled:
        raise invalid("Invalid currency")
    if read.required_text(request.parameters, "network") != asset.network:
        raise invalid(f"Invalid network: {asset.currency} moves on {asset.network}")
    return asset


async def _address(request: Request) -> str:
    """Return where to, which may be said by the number of a line in the address book. Raises Refused."""
    number = read.integer(request.parameters, "addressId", low=1)
    if number is None:
        return _spelled(request)
    for line in (await _client(request))["addresses"]:
        if line["id"] == number:
            return str(line["address"])
    raise invalid("Invalid addressId: no such line in your address book")


def _spelled(request: Request) -> str:
    address = read.required_text(request.parameters, "address")
    if not 14 <= len(address) <= _ADDRESS_CHARACTERS_MAX or not address.isalnum():
        raise invalid("Invalid address")
    return address


def _wish(request: Request, asset: Asset, amount: int, address: str) -> Wish:
    """Raises Refused."""
    parameters = request.parameters
    fee = read.integer(parameters, "fee", low=asset.withdrawal_fee_min, high=asset.withdrawal_fee_max)
    text = read.text(parameters, "text") or ""
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise invalid(f"Invalid text: at most {_TEXT_CHARACTERS_MAX} characters")
    nonce, signature = _signed(request)
    return Wish(
        address, amount, asset.withdrawal_fee if fee is None else fee, is_confirmed=True, text=text, nonce=nonce,
        signature=signature,
    )  # fmt: skip


def _signed(request: Request) -> tuple[int, str]:
    nonce = read.integer(request.parameters, "nonce", low=0, high=_NONCE_MAX) or 0
    return nonce, _hexadecimal(request, "signature", 64, needed=False)


def _hexadecimal(request: Request, name: str, size: int, *, needed: bool = True) -> str:
    value = (read.required_text if needed else read.text)(request.parameters, name) or ""
    try:
        if value and len(bytes.fromhex(value)) != size:
            raise ValueError
    except ValueError as error:
        raise invalid(f"Invalid {name}: {size} bytes in hexadecimal") from error
    return value.lower()


def _check_second_factor(request: Request) -> None:
    """Raises Refused unless the key asks for no second factor, or its code is right and new."""
    assert request.key is not None
    secret = request.key.record.otp_secret
    if not secret:
        return
    code = read.text(request.parameters, "otpToken") or ""
    if not request.gateway.one_time.takes(request.account, secret, code, now=request.gateway.now()):
        raise Refused(403, "Invalid otpToken: wrong, too old or used before; nothing was asked for")


def _transaction(result: Result) -> Row:
    assert result.transaction is not None
    return transaction_row(result.transaction)


@route(
    "DELETE",
    "/user/withdrawal",
    "User.cancelWithdrawal",
    required("transactID"),
    permission=Permission.WITHDRAW,
)
def cancel_withdrawal(request: Request) -> object:
    """Call a withdrawal back, as long as it is in no batch that is sealed: then its coins come back."""
    number = number_of(read.required_text(request.parameters, "transactID"))
    view = request.gateway.desk.views.coins.withdrawals.get(number or 0)
    if view is None or view.account != request.account:
        raise Refused(404, "Not Found")
    if not view.locked:
        raise Refused(400, f"transactStatus is not Pending: {view.status}")
    return _canceled(request, view.number)


async def _canceled(request: Request, number: int) -> Row:
    await request.gateway.custody.ask(ask="cancel", account=request.account, withdrawal=number)
    return {}


# ---- the address book


@route("GET", "/address", "Address.get", returns="Address[]", key=True)
def get_addresses(request: Request) -> object:
    """Get your address book: from its first line on, coins go nowhere else."""
    return _addresses(request)


async def _addresses(request: Request) -> list[Row]:
    client = await _client(request)
    return [_address_row(request, line) for line in client["addresses"]]


def _address_row(request: Request, line: Row) -> Row:
    return {
        "id": line["id"], "currency": line["currency"], "created": iso(line["since"]), "userId": request.account,
        "address": line["address"], "name": line["name"], "note": None, "skipConfirm": False,
        "skipConfirmVerified": False, "skip2FA": False, "skip2FAVerified": False, "memo": None,
        "network": BY_CURRENCY[line["currency"]].network,
        "cooldownExpires": iso(line["usableFrom"]), "verified": True,
    }  # fmt: skip


@route(
    "POST", "/address", "Address.new", required("currency"), required("network"), required("address"),
    required("name"), optional("note"), optional("otpToken"), *_SIGNED, returns="Address",
    permission=Permission.WITHDRAW,
)  # fmt: skip
def add_address(request: Request) -> object:
    """Add an address to your book; coins go there once `cooldownExpires` is past."""
    asset_of(request)
    name = read.required_text(request.parameters, "name")
    if len(name) > _NAME_CHARACTERS_MAX:
        raise invalid(f"Invalid name: at most {_NAME_CHARACTERS_MAX} characters")
    nonce, signature = _signed(request)
    return _listed(request, Listed(_spelled(request), nonce, signature, name))


async def _listed(request: Request, listed: Listed) -> Row:
    client = await _say(request, AccountSays.LISTED, listed)
    await tell_owner(
        request, "An address was added", f"Withdrawals may go to {listed.address}, after its cool-down."
    )
    line = next(line for line in client["addresses"] if line["address"] == listed.address)
    return _address_row(request, line)


@route(
    "DELETE",
    "/address",
    "Address.remove",
    required("address"),
    returns="Address[]",
    permission=Permission.WITHDRAW,
)
def remove_address(request: Request) -> object:
    """Take an address out of your book, at once; it needs no signature, for it only forbids."""
    return _unlisted(request, Unlisted(_spelled(request)))


async def _unlisted(request: Request, unlisted: Unlisted) -> list[Row]:
    client = await _say(request, AccountSays.UNLISTED, unlisted)
    return [_address_row(request, line) for line in client["addresses"]]


# ---- the withdrawal key


@route("GET", "/user/withdrawalKey", "User.getWithdrawalKey", returns="WithdrawalKey", key=True)
def get_withdrawal_key(request: Request) -> object:
    """Get the key that has to sign your withdrawals, and the nonce that the next signature has to be above."""
    return _key(request)


async def _key(request: Request) -> Row:
    return _key_row(request, await _client(request))


def _key_row(request: Request, client: Row) -> Row:
    since, until = client["keySince"], client["pendingUntil"]
    return {
        "account": request.account, "publicKey": client["key"] or None, "since": since and iso(since),
        "nonce": client["nonce"], "pendingKey": client["pendingKey"] or None, "pendingUntil": until and iso(until),
    }  # fmt: skip


@route(
    "POST", "/user/withdrawalKey", "User.setWithdrawalKey", required("publicKey"), required("nonce", "number"),
    required("signature", description="By the new key."),
    optional("consent", description="By the key in force. Without it the new one waits for seven days."),
    optional("otpToken"), returns="WithdrawalKey", permission=Permission.WITHDRAW,
)  # fmt: skip
def set_withdrawal_key(request: Request) -> object:
    """Name the key that has to sign your withdrawals from now on. `ringfence withdrawal` makes it and signs."""
    key = _hexadecimal(request, "publicKey", 32)
    nonce, signature = _signed(request)
    keyed = Keyed(key, nonce, signature, _hexadecimal(request, "consent", 64, needed=False))
    return _keyed(request, keyed)


async def _keyed(request: Request, keyed: Keyed) -> Row:
    row = _key_row(request, await _say(request, AccountSays.KEYED, keyed))
    await tell_owner(request, "A withdrawal key was named", f"Its public key is {keyed.public_key}.")
    return row


# ---- what an account says


async def _client(request: Request) -> Row:
    return await request.gateway.custody.ask(ask="client", account=request.account)


async def _ask_custody(request: Request, said: AccountText | Wish, asset: Asset = XBT) -> None:
    """Raises Refused: 400 with the reason if it would not count, 503 if custody is away."""
    text = encode(said).decode()
    await request.gateway.custody.ask(ask="doubt", account=request.account, said=text, asset=asset.currency)


async def _say(request: Request, kind: AccountSays, said: AccountText) -> Row:
    """Journal what the account says; return what custody has of the account then. Raises Refused."""
    await _ask_custody(request, said)
    _check_second_factor(request)
    desk = request.gateway.desk
    desk.check_room(request.account)
    token = desk.token()
    command = commands.pack(
        Command.CONFIGURE_ACCOUNT,
        request=token,
        account=request.account,
        type=AccountParameter.WITHDRAWALS,
        qty=kind,
    ) + encode_data([(FUNDS, encode(said))])
    await _done(request, token, command)
    # The desk looks at the feed before it answers, so that what was durable before is in it.
    return await _client(request)


async def _done(request: Request, token: int, command: bytes) -> Result:
    result = await request.gateway.desk.carry_out(token, command)
    if result.refusal is not None:
        raise request.gateway.refusal_of(result)
    return result

"""/account and the making of API keys: what people do with their accounts in the exchange's own page.

Nothing is decided here but what the engine knows: the account desk, another process, knows who somebody is. All of
these routes need the header that pages of other sites cannot send.
"""

from typing import Any

from ringfence.exchange.gateway import commands
from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.people import Answer
from ringfence.exchange.gateway.rest.route import Request, optional, required, route
from ringfence.exchange.gateway.rest.subaccount import target_account
from ringfence.exchange.gateway.rest.withdrawal import check_wish, send_wish
from ringfence.messages.batch import ACCOUNT_NAME
from ringfence.messages.commands import Command
from ringfence.messages.rejects import Reject

Row = dict[str, Any]
_ATTEMPTS = 20
"""Others may open accounts at the same moment and take the number that was asked for."""
_CHALLENGE = required("challenge", description="As it was given with the options.")
_FACTORS = (
    optional("passkey", "JSON", "`credential.toJSON()` of the browser."),
    optional("totp", description="A one-time code."),
    optional("password", description="Where there is no second factor."),
)


async def _ask(request: Request, what: str) -> Answer:
    """Hand a request on to the account desk; its cookies go along with the answer."""
    answer = await request.gateway.people.ask(what, request.origin, request.parameters)
    request.headers = answer.headers
    return answer


async def _answer(request: Request, what: str) -> Any:
    return (await _ask(request, what)).value


async def _changed(request: Request, what: str) -> Any:
    """As `_answer`, for what changes who is signed in, or what they may do."""
    try:
        return await _answer(request, what)
    finally:
        request.gateway.people.forget()


# ---- becoming a user


@route("POST", "/account/register", "Account.register", required("email"), required("password"), page=True)
async def register(request: Request) -> Any:
    """Have a mail sent that opens an account. The answer is the same whoever has one."""
    return await _answer(request, "register")


@route(
    "POST", "/account/verify", "Account.verify", required("token"),
    optional("password", description="In another browser than the one that has registered."), page=True,
)  # fmt: skip
async def verify(request: Request) -> Any:
    """Open the account whose mail was received."""
    await open_account(request, (await _ask(request, "verify")).value["user"])
    return {}


async def open_account(request: Request, user: str) -> int:
    """Return the number of a user's main account in the engine, opening it the first time. Raises Refused.

    The engine knows it by the user's id: whoever is interrupted here finds it again.
    """
    desk = request.gateway.desk
    for _ in range(_ATTEMPTS):
        found = next((one.number for one in desk.views.accounts.values() if one.name == user), None)
        if found is not None:
            await request.gateway.people.ask("opened", {}, {"user": user, "account": found})
            return found
        token = desk.token()
        command = commands.pack(
            Command.OPEN_ACCOUNT, request=token, account=max(desk.views.accounts, default=0) + 1,
            data=[(ACCOUNT_NAME, user.encode())],
        )  # fmt: skip
        result = await desk.carry_out(token, command)
        if result.refusal is not None and result.refusal.reject != Reject.INVALID_ACCOUNT:
            raise request.gateway.refusal_of(result)
    raise unavailable("too many accounts are being opened; sign in later, then it is done")


# ---- signing in


@route("POST", "/account/login", "Account.login", required("email"), required("password"), page=True)
async def login(request: Request) -> Any:
    """Sign in with a password; what else is needed is in the answer."""
    return await _signed_in(request, "login")


@route(
    "POST", "/account/login/factor", "Account.loginFactor", _CHALLENGE, *_FACTORS[:2],
    optional("recoveryCode", description="One of those that were shown once."), page=True,
)  # fmt: skip
async def login_factor(request: Request) -> Any:
    """Show a second factor."""
    return await _signed_in(request, "loginFactor")


@route("POST", "/account/login/passkey/options", "Account.loginPasskeyOptions", page=True)
async def login_passkey_options(request: Request) -> Any:
    """Begin signing in with a passkey alone."""
    return await _answer(request, "loginPasskeyOptions")


@route(
    "POST", "/account/login/passkey", "Account.loginPasskey", _CHALLENGE, required("passkey", "JSON"), page=True
)  # fmt: skip
async def login_passkey(request: Request) -> Any:
    """Sign in with a passkey alone."""
    return await _signed_in(request, "loginPasskey")


async def _signed_in(request: Request, what: str) -> Row:
    said = await _changed(request, what)
    if said["state"] != "signedIn":
        return dict(said)
    if not said["account"]:
        await open_account(request, said["user"])
    return {"state": "signedIn"}


@route("POST", "/account/forgotten", "Account.forgotten", required("email"), page=True)
async def forgotten(request: Request) -> Any:
    """Have a mail sent that lets somebody choose a new password. The answer is the same whoever has an account."""
    return await _answer(request, "forgotten")


@route("POST", "/account/reset", "Account.reset", required("token"), required("password"), page=True)
async def reset(request: Request) -> Any:
    """Choose a new password by the link of a mail; everything is signed out, and withdrawals are held for a day."""
    return await _changed(request, "reset")


@route("POST", "/account/lock", "Account.lock", required("token"), page=True)
async def lock(request: Request) -> Any:
    """Say that it was not you: everything is signed out, and withdrawals are held for a day."""
    return await _changed(request, "lock")


@route("POST", "/account/logout", "Account.logout", page=True)
async def logout(request: Request) -> Any:
    """Sign out."""
    return await _changed(request, "logout")


# ---- what is there


@route("GET", "/account", "Account.get", page=True)
async def get_account(request: Request) -> Any:
    """Get who is signed in, and how the account is secured."""
    return await _answer(request, "account")


@route("GET", "/account/sessions", "Account.getSessions", returns="AccountSession[]", page=True)
async def get_sessions(request: Request) -> Any:
    """Get where you are signed in."""
    return await _answer(request, "sessions")


@route(
    "DELETE", "/account/sessions", "Account.endSessions", optional("id"),
    optional("all", "boolean", "All but this one."), returns="AccountSession[]", page=True,
)  # fmt: skip
async def end_sessions(request: Request) -> Any:
    """Sign out elsewhere."""
    return await _changed(request, "endSessions")


@route(
    "GET", "/account/activity", "Account.getActivity", optional("count", "number"), returns="AccountActivity[]",
    page=True,
)  # fmt: skip
async def get_activity(request: Request) -> Any:
    """Get what was done with your account, newest first; each line holds the digest of its place in the chain."""
    return await _answer(request, "activity")


# ---- confirming that it is you


@route("POST", "/account/stepUp/options", "Account.stepUpOptions", page=True)
async def step_up_options(request: Request) -> Any:
    """Begin to show a factor again."""
    return await _answer(request, "stepUpOptions")


@route("POST", "/account/stepUp", "Account.stepUp", _CHALLENGE, *_FACTORS, page=True)
async def step_up(request: Request) -> Any:
    """Show a factor again: for five minutes this session may change what matters."""
    return await _changed(request, "stepUp")


# ---- what needs that


@route("POST", "/account/password", "Account.setPassword", required("password"), page=True)
async def set_password(request: Request) -> Any:
    """Choose another password; everything else is signed out, and withdrawals are held for a day."""
    return await _changed(request, "password")


@route("POST", "/account/passkeys/options", "Account.passkeyOptions", page=True)
async def passkey_options(request: Request) -> Any:
    """Begin to add a passkey."""
    return await _answer(request, "passkeyOptions")


@route(
    "POST", "/account/passkeys", "Account.addPasskey", _CHALLENGE, required("passkey", "JSON"), required("name"),
    page=True,
)  # fmt: skip
async def add_passkey(request: Request) -> Any:
    """Add a passkey."""
    return await _answer(request, "addPasskey")


@route("DELETE", "/account/passkeys", "Account.removePasskey", required("id"), page=True)
async def remove_passkey(request: Request) -> Any:
    """Remove a passkey; withdrawals are held for a day."""
    return await _answer(request, "removePasskey")


@route("POST", "/account/totp/begin", "Account.beginTotp", page=True)
async def begin_totp(request: Request) -> Any:
    """Get the seed for an authenticator app."""
    return await _answer(request, "beginTotp")


@route("POST", "/account/totp", "Account.addTotp", _CHALLENGE, required("totp"), page=True)
async def add_totp(request: Request) -> Any:
    """Show that the app has the seed; from then on its codes are asked for."""
    return await _answer(request, "addTotp")


@route("DELETE", "/account/totp", "Account.removeTotp", page=True)
async def remove_totp(request: Request) -> Any:
    """Ask for no codes any more; withdrawals are held for a day."""
    return await _answer(request, "removeTotp")


@route("POST", "/account/recoveryCodes", "Account.newRecoveryCodes", page=True)
async def new_recovery_codes(request: Request) -> Any:
    """Get new recovery codes, shown this once; the old ones are void."""
    return await _answer(request, "recoveryCodes")


@route("POST", "/account/antiPhishingCode", "Account.setAntiPhishingCode", required("code"), page=True)
async def set_anti_phishing_code(request: Request) -> Any:
    """Choose words that every mail of ours begins with from now on."""
    return await _answer(request, "antiPhishingCode")


# ---- keys of programs


@route(
    "POST", "/apiKey", "APIKey.new", required("name"), optional("permissions", "JSON"), optional("cidrs", "JSON"),
    optional("targetAccountId", "number"), returns="APIKey", key=True, page=True,
)  # fmt: skip
async def add_key(request: Request) -> Row:
    """Make an API key for your account or a sub-account; its secret is shown this once."""
    request.parameters["account"] = target_account(request).number
    said = await _answer(request, "addKey")
    request.gateway.keys.refresh()
    found = request.gateway.keys.get(said["key"])
    if found is None:
        raise unavailable("the key was made, but cannot be read")
    return found.row() | {"secret": said["secret"]}


@route("DELETE", "/apiKey", "APIKey.remove", required("apiKeyID"), key=True, page=True)
async def remove_key(request: Request) -> Row:
    """Revoke an API key for good; its connections end within a second, its orders stay."""
    found = request.gateway.keys.get(str(request.parameters.get("apiKeyID")))
    accounts = request.gateway.desk.views.accounts
    owner = None if found is None else accounts.get(found.account)
    if found is None or owner is None or request.account not in (owner.number, owner.parent):
        raise Refused(404, "Not Found")
    request.parameters["key"] = found.record.id
    await _answer(request, "removeKey")
    request.gateway.keys.refresh()
    return {"success": True}


# ---- withdrawals


@route(
    "POST", "/account/withdrawal", "Account.askWithdrawal", required("currency"), required("network"),
    required("amount", "number"), optional("address"), optional("addressId", "number"), optional("fee", "number"),
    optional("text"), optional("nonce", "number"), optional("signature"), key=True, page=True,
)  # fmt: skip
async def ask_withdrawal(request: Request) -> Any:
    """Ask for a withdrawal; it waits for a factor that is bound to it, then for the link of a mail."""
    request.parameters = await check_wish(request)
    return await _answer(request, "withdrawal")


@route(
    "POST", "/account/withdrawal/confirm", "Account.confirmWithdrawal", required("id"), _CHALLENGE, *_FACTORS, key=True,
    page=True,
)  # fmt: skip
async def confirm_withdrawal(request: Request) -> Any:
    """Show a factor for a withdrawal; a mail with a link follows."""
    return await _answer(request, "withdrawalConfirm")


@route(
    "POST", "/account/withdrawal/send", "Account.sendWithdrawal", required("token"), returns="Transaction", key=True,
    page=True,
)  # fmt: skip
async def send_withdrawal(request: Request) -> Any:
    """Send a withdrawal by the link of its mail, once."""
    wanted = await _answer(request, "withdrawalSend")
    if wanted.pop("account") != request.account:
        raise Refused(403, "Access Denied")
    request.parameters = {name: value for name, value in wanted.items() if value is not None}
    return await send_wish(request)


@route(
    "GET", "/account/withdrawals", "Account.getWithdrawals", returns="AccountWithdrawal[]", key=True, page=True
)  # fmt: skip
async def get_withdrawals(request: Request) -> Any:
    """Get the withdrawals that wait for you."""
    return await _answer(request, "withdrawals")


@route("DELETE", "/account/withdrawal", "Account.cancelWithdrawal", required("id"), key=True, page=True)
async def cancel_withdrawal(request: Request) -> Any:
    """Give up a withdrawal that waits for you."""
    return await _answer(request, "withdrawalCallBack")

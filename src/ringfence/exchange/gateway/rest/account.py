"""/account and the making of API keys: what people do with their accounts in the exchange's own page.

Nothing is decided here but what the engine knows: the account desk, another process, knows who somebody is, and most
routes only hand on what was said. All of them need the header that pages of other sites cannot send.
"""

from typing import Any, NamedTuple

from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.rest.route import Parameter, Request, optional, required, route
from ringfence.exchange.gateway.rest.subaccount import open_account, target_account
from ringfence.exchange.gateway.rest.withdrawal import check_wish, send_wish

Row = dict[str, Any]
_ID, _EMAIL, _TOKEN, _PASSWORD = (required(name) for name in ("id", "email", "token", "password"))
_CHALLENGE = required("challenge", description="As it was given with the options.")
_PASSKEY = Parameter("passkey", "JSON", True, None, "`credential.toJSON()` of the browser.")
_FACTORS = (
    _PASSKEY._replace(is_required=False),
    optional("totp", description="A one-time code."),
    optional("password", description="Where there is no second factor."),
)


async def _look(request: Request, what: str) -> Any:
    """Hand a request on to the account desk that changes nothing."""
    return (await request.gateway.people.ask(what, request.origin, request.parameters)).value


async def _ask(request: Request, what: str) -> Any:
    """Hand a request on to the account desk; cookies go along with its answer."""
    people = request.gateway.people
    try:
        answer = await people.ask(what, request.origin, request.parameters)
    finally:
        # Whoever asked may have signed in or out, or may do more from now on.
        people.forget()
    request.headers = answer.headers
    return answer.value


# ---- what the desk does alone


class HandedOn(NamedTuple):
    """A route whose answer is the desk's."""

    method: str
    path: str
    operation: str
    ask: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    returns: str = "object"
    key: bool = False


_HANDED_ON = (
    HandedOn("POST", "/account/register", "register", "register",
             "Have a mail sent that opens an account. The answer is the same whoever has one.", (_EMAIL, _PASSWORD)),
    HandedOn("POST", "/account/login/passkey/options", "loginPasskeyOptions", "loginPasskeyOptions",
             "Begin signing in with a passkey alone."),
    HandedOn("POST", "/account/forgotten", "forgotten", "forgotten",
             "Have a mail sent that lets somebody choose a new password. The answer is always the same.", (_EMAIL,)),
    HandedOn("POST", "/account/reset", "reset", "reset",
             "Choose a new password by a mail's link; everything is signed out, and withdrawals are held for a day.",
             (_TOKEN, _PASSWORD)),
    HandedOn("POST", "/account/lock", "lock", "lock",
             "Say that it was not you: everything is signed out, and withdrawals are held for a day.", (_TOKEN,)),
    HandedOn("POST", "/account/logout", "logout", "logout", "Sign out."),
    HandedOn("GET", "/account", "get", "account", "Get who is signed in, and how the account is secured."),
    HandedOn("GET", "/account/sessions", "getSessions", "sessions", "Get where you are signed in.",
             returns="AccountSession[]"),
    HandedOn("DELETE", "/account/sessions", "endSessions", "endSessions", "Sign out elsewhere.",
             (optional("id"), optional("all", "boolean", "All but this one.")), "AccountSession[]"),
    HandedOn("GET", "/account/activity", "getActivity", "activity",
             "Get what was done with your account, newest first, with the digest of each line in the chain.",
             (optional("count", "number"),), "AccountActivity[]"),
    HandedOn("POST", "/account/stepUp/options", "stepUpOptions", "stepUpOptions", "Begin to show a factor again."),
    HandedOn("POST", "/account/stepUp", "stepUp", "stepUp",
             "Show a factor again: for five minutes this session may change what matters.", (_CHALLENGE, *_FACTORS)),
    HandedOn("POST", "/account/password", "setPassword", "password",
             "Choose another password; everything else is signed out, and withdrawals are held for a day.",
             (_PASSWORD,)),
    HandedOn("POST", "/account/passkeys/options", "passkeyOptions", "passkeyOptions", "Begin to add a passkey."),
    HandedOn("POST", "/account/passkeys", "addPasskey", "addPasskey", "Add a passkey.",
             (_CHALLENGE, _PASSKEY, required("name"))),
    HandedOn("DELETE", "/account/passkeys", "removePasskey", "removePasskey",
             "Remove a passkey; withdrawals are held for a day.", (_ID,)),
    HandedOn("POST", "/account/totp/begin", "beginTotp", "beginTotp", "Get the seed for an authenticator app."),
    HandedOn("POST", "/account/totp", "addTotp", "addTotp",
             "Show that the app has the seed; from then on its codes are asked for.", (_CHALLENGE, required("totp"))),
    HandedOn("DELETE", "/account/totp", "removeTotp", "removeTotp",
             "Ask for no codes any more; withdrawals are held for a day."),
    HandedOn("POST", "/account/recoveryCodes", "newRecoveryCodes", "recoveryCodes",
             "Get new recovery codes, shown this once; the old ones are void."),
    HandedOn("POST", "/account/antiPhishingCode", "setAntiPhishingCode", "antiPhishingCode",
             "Choose words that every mail of ours begins with from now on.", (required("code"),)),
    HandedOn("POST", "/account/withdrawal/confirm", "confirmWithdrawal", "withdrawalConfirm",
             "Show a factor for a withdrawal; a mail with a link follows.", (_ID, _CHALLENGE, *_FACTORS), key=True),
    HandedOn("GET", "/account/withdrawals", "getWithdrawals", "withdrawals", "Get the withdrawals that wait for you.",
             returns="AccountWithdrawal[]", key=True),
    HandedOn("DELETE", "/account/withdrawal", "cancelWithdrawal", "withdrawalCallBack",
             "Give up a withdrawal that waits for you.", (_ID,), key=True),
)  # fmt: skip


def _hand_on(one: HandedOn) -> None:
    hand_on = _look if one.method == "GET" else _ask

    async def handler(request: Request) -> Any:
        return await hand_on(request, one.ask)

    handler.__doc__ = one.summary
    operation = f"Account.{one.operation}"
    route(one.method, one.path, operation, *one.parameters, returns=one.returns, key=one.key, page=True)(
        handler
    )


for _one in _HANDED_ON:
    _hand_on(_one)


# ---- what needs the engine: signing in, keys of sub-accounts, coins


@route(
    "POST", "/account/verify", "Account.verify", _TOKEN,
    optional("password", description="In another browser than the one that has registered."), page=True,
)  # fmt: skip
async def verify(request: Request) -> Row:
    """Open the account whose mail was received."""
    await _open_account(request, (await _ask(request, "verify"))["user"])
    return {}


@route("POST", "/account/login", "Account.login", _EMAIL, _PASSWORD, page=True)
async def login(request: Request) -> Row:
    """Sign in with a password; what else is needed is in the answer."""
    return await _signed_in(request, "login")


@route(
    "POST", "/account/login/factor", "Account.loginFactor", _CHALLENGE, *_FACTORS[:2],
    optional("recoveryCode", description="One of those that were shown once."), page=True,
)  # fmt: skip
async def login_factor(request: Request) -> Row:
    """Show a second factor."""
    return await _signed_in(request, "loginFactor")


@route("POST", "/account/login/passkey", "Account.loginPasskey", _CHALLENGE, _PASSKEY, page=True)
async def login_passkey(request: Request) -> Row:
    """Sign in with a passkey alone."""
    return await _signed_in(request, "loginPasskey")


async def _signed_in(request: Request, what: str) -> Row:
    said: Row = await _ask(request, what)
    if said["state"] != "signedIn":
        return said
    if not said["account"]:
        await _open_account(request, said["user"])
    return {"state": "signedIn"}


async def _open_account(request: Request, user: str) -> None:
    """Open a user's main account in the engine, if there is none yet. Raises Refused.

    The engine knows it by the user's id: whoever is interrupted here finds it again.
    """
    accounts = request.gateway.desk.views.accounts.values()
    found = next((one for one in accounts if one.name == user), None) or await open_account(request, user)
    await request.gateway.people.ask("opened", {}, {"user": user, "account": found.number})


@route(
    "POST", "/apiKey", "APIKey.new", required("name"), optional("permissions", "JSON"), optional("cidrs", "JSON"),
    optional("targetAccountId", "number"), returns="APIKey", key=True, page=True,
)  # fmt: skip
async def add_key(request: Request) -> Row:
    """Make an API key for your account or a sub-account; its secret is shown this once."""
    request.parameters["account"] = target_account(request).number
    said = await _ask(request, "addKey")
    request.gateway.keys.refresh()
    found = request.gateway.keys.get(said["key"])
    if found is None:
        raise unavailable("the key was made, but cannot be read")
    return found.row() | {"secret": said["secret"]}


@route("DELETE", "/apiKey", "APIKey.remove", required("apiKeyID"), key=True, page=True)
async def remove_key(request: Request) -> Row:
    """Revoke an API key for good; its connections end within a second, its orders stay."""
    found = request.gateway.keys.get(str(request.parameters.get("apiKeyID")))
    owner = None if found is None else request.gateway.desk.views.accounts.get(found.account)
    if found is None or owner is None or request.account not in (owner.number, owner.parent):
        raise Refused(404, "Not Found")
    request.parameters["key"] = found.record.id
    await _ask(request, "removeKey")
    request.gateway.keys.refresh()
    return {"success": True}


@route(
    "POST", "/account/withdrawal", "Account.askWithdrawal", required("currency"), required("network"),
    required("amount", "number"), optional("address"), optional("addressId", "number"), optional("fee", "number"),
    optional("text"), optional("nonce", "number"), optional("signature"), key=True, page=True,
)  # fmt: skip
async def ask_withdrawal(request: Request) -> Any:
    """Ask for a withdrawal; it waits for a factor that is bound to it, then for the link of a mail."""
    request.parameters = await check_wish(request)
    return await _ask(request, "withdrawal")


@route(
    "POST", "/account/withdrawal/send", "Account.sendWithdrawal", _TOKEN, returns="Transaction", key=True, page=True
)  # fmt: skip
async def send_withdrawal(request: Request) -> Row:
    """Send a withdrawal by the link of its mail, once."""
    wanted: Row = await _ask(request, "withdrawalSend")
    if wanted.pop("account") != request.account:
        raise Refused(403, "Access Denied")
    request.parameters = wanted
    return await send_wish(request)

"""Registration, signing in, and what was forgotten.

Who has an account here is told to nobody: every answer is the same, in words and in time, whether there is such a user
or not; what differs goes into a mail.
"""

import logging
import secrets
from typing import Any

from ringfence.exchange.users.house import (
    HOLD_NS,
    WRONG,
    WRONG_FACTOR,
    Caller,
    House,
    NotDone,
    Row,
    Said,
)
from ringfence.exchange.users.mail import address_of
from ringfence.exchange.users.passkeys import PasskeyError, credential_id, request_options, signed
from ringfence.exchange.users.userbook import User, digest_of
from ringfence.units.time import NS_PER_HOUR, NS_PER_MINUTE

log = logging.getLogger(__name__)

_VERIFY_NS, _RESET_NS = 24 * NS_PER_HOUR, 30 * NS_PER_MINUTE
_USERS_MAX = 1_000_000
_GONE = "This link is not good any more. Ask for a new one."
SIGNED_IN = {"state": "signedIn"}


class SigningIn:
    def __init__(self, house: House) -> None:
        self._house, self._book = house, house.book

    # ---- becoming a user

    async def register(self, caller: Caller, asked: Row) -> Said:
        """Write a mail with a link that makes a user; to who is one, that somebody has tried."""
        email, password = _email(asked), _text(asked, "password")
        hashed = await self._house.hashed(caller, password, email=email)
        device = caller.device or secrets.token_urlsafe(32)
        if self._may_mail(caller, email):
            self._house.after(lambda: self._invite(caller, email, hashed, device))
        return Said({}, device=device)

    def _invite(self, caller: Caller, email: str, hashed: str, device: str) -> None:
        user = self._book.of_email(email)
        if user is not None:
            self._house.write_to(
                user, "You have an account already",
                "Somebody, perhaps you, wants to register with this address at Ringfence. You have an account already: "
                f"sign in at {self._house.url}/account/\n",
            )  # fmt: skip
            return
        if len(self._book.users) >= _USERS_MAX:
            log.critical("there are %d users: nobody else can register", _USERS_MAX)
            return
        data = {"email": email, "password": hashed, "device": digest_of(device)}
        secret = self._house.ticket("verify", user="", lasts_ns=_VERIFY_NS, data=data, origin=caller.origin)
        self._house.outbox.put(
            to=email, subject="Open your account", anti_phishing="",
            text="Somebody, you we hope, wants to open an account at Ringfence with this address. This link opens it, "
            f"within a day:\n{self._house.link('verify', secret)}\n\nIf it was not you, do nothing.\n",
        )  # fmt: skip

    async def verify(self, caller: Caller, asked: Row) -> Said:
        """Make the user whose mail that is; what is returned still needs an account in the engine.

        In another browser than the one that has registered it takes the password as well: a stranger who registers
        with somebody's address would otherwise have them open an account whose password the stranger knows.
        """
        secret = _text(asked, "token")
        ticket = self._book.ticket(secret, "verify")
        if ticket is None:
            raise NotDone(400, _GONE)
        if not caller.device or digest_of(caller.device) != ticket.data["device"]:
            await self._check_registered(caller, asked, ticket.data["password"], ticket.data["email"])
            if self._book.ticket(secret, "verify") is None:
                raise NotDone(400, _GONE)
        email = ticket.data["email"]
        if self._book.of_email(email) is not None:
            raise NotDone(400, "The account is open already. Sign in.")
        user, private = f"u-{secrets.token_hex(8)}", {"email": email, "password": ticket.data["password"]}
        self._book.write(
            "registered", user=user, origin=caller.origin, private=private, spends=digest_of(secret)
        )
        return Said({"user": user})

    async def _check_registered(self, caller: Caller, asked: Row, kept: str, email: str) -> None:
        """Raises NotDone unless the password is given with which the address was registered."""
        if not asked.get("password"):
            raise NotDone(
                403,
                "This is another browser than you registered in: your password is needed.",
                "PasswordRequired",
            )
        self._house.check_tries(caller, email, None)
        if not await self._house.verifies(caller, kept, _text(asked, "password")):
            self._house.failed(caller, email, None, "", "")
            raise NotDone(401, "That is not the password that was registered with.")

    async def opened(self, caller: Caller, asked: Row) -> Said:
        """Take note of a user's account in the engine; the gateway says so, for nobody else is asked."""
        user = self._book.users[str(asked["user"])]
        if not user.account:
            self._book.write("accountOpened", user=user.id, account=int(asked["account"]))
        return Said({})

    # ---- signing in

    async def login(self, caller: Caller, asked: Row) -> Said:
        """Check a password; with a second factor there is more to do."""
        email, password = _email(asked), _text(asked, "password")
        user = self._book.of_email(email)
        self._house.check_tries(caller, email, user)
        if not await self._house.knows(caller, user, password):
            self._house.failed(caller, email, user, "signInFailed", "the password was wrong")
            raise NotDone(401, WRONG)
        assert user is not None
        if not user.factors:
            return self._sign_in(caller, user, {"by": "password"})
        name, challenge = self._house.challenge("login", user.id)
        options = self._house.passkey_options(challenge, user)
        factors = user.factors + ["recoveryCode"] * bool(user.recovery)
        return Said({"state": "secondFactor", "challenge": name, "factors": factors, "publicKey": options})

    async def login_factor(self, caller: Caller, asked: Row) -> Said:
        challenge = self._house.challenged(asked.get("challenge"), "login")
        user = self._book.users[challenge.user]
        self._house.check_tries(caller, f"factor of {user.id}", user)
        try:
            said = await self._house.factor(
                caller, user, challenge, asked, may=("passkey", "totp", "recoveryCode")
            )
        except NotDone as refusal:
            if refusal.status == 401:
                self._house.failed(
                    caller, f"factor of {user.id}", user, "signInFailed", "the second factor was wrong"
                )
            raise
        self._house.answered(asked["challenge"])
        return self._sign_in(caller, user, said)

    async def passkey_options(self, caller: Caller, asked: Row) -> Said:
        """Begin signing in with a passkey alone: it says itself whose it is."""
        name, challenge = self._house.challenge("passkey", "")
        options = request_options(self._house.site, challenge=challenge.raw, known=[])
        return Said({"challenge": name, "publicKey": options})

    async def login_passkey(self, caller: Caller, asked: Row) -> Said:
        challenge = self._house.challenged(asked.get("challenge"), "passkey")
        answer = asked.get("passkey")
        user = self._book.of_passkey(credential_id(answer))
        if user is None:
            raise NotDone(401, WRONG_FACTOR)
        passkey = user.passkeys[credential_id(answer)]
        try:
            count = signed(self._house.site, answer, challenge=challenge.raw, passkey=passkey)
        except PasskeyError as error:
            raise NotDone(401, WRONG_FACTOR) from error
        self._house.answered(asked["challenge"])
        return self._sign_in(caller, user, {"by": "passkey", "passkey": passkey.id, "count": count})

    def _sign_in(self, caller: Caller, user: User, said: Row) -> Said:
        token, session = secrets.token_urlsafe(32), secrets.token_hex(8)
        knows_device = bool(caller.device) and digest_of(caller.device) in user.devices
        device = caller.device if knows_device else secrets.token_urlsafe(32)
        self._book.write(
            "signedIn", user=user.id, origin=caller.origin, session=session, token=digest_of(token),
            device=digest_of(device), **said,
        )  # fmt: skip
        if not knows_device:
            self._house.alert(
                user, "A new device has signed in", "A device that has not been here before has signed in.",
                caller.origin,
            )  # fmt: skip
        return Said({**SIGNED_IN, "user": user.id, "account": user.account}, token, device)

    # ---- what was forgotten, and what was not oneself

    async def forgotten(self, caller: Caller, asked: Row) -> Said:
        email = _email(asked)
        user = self._book.of_email(email)
        if self._may_mail(caller, email) and user is not None:
            self._house.after(lambda: self._lead_to_reset(caller, user))
        return Said({})

    def _lead_to_reset(self, caller: Caller, user: User) -> None:
        secret = self._house.ticket("reset", user=user.id, lasts_ns=_RESET_NS, data={}, origin=caller.origin)
        self._house.write_to(
            user, "Choose a new password",
            f"This link lets you choose a new password, within half an hour:\n"
            f"{self._house.link('reset', secret)}\n\nWithdrawals are held for 24 hours then. A second factor is "
            "still needed to sign in. If you have not asked for this, do nothing.\n",
        )  # fmt: skip

    async def reset(self, caller: Caller, asked: Row) -> Said:
        """Choose a new password by a mail's link. It signs nobody in: the second factor is still needed."""
        secret, password = _text(asked, "token"), _text(asked, "password")
        ticket = self._book.ticket(secret, "reset")
        if ticket is None:
            raise NotDone(400, _GONE)
        user = self._book.users[ticket.user]
        hashed = await self._house.hashed(caller, password, email=user.email)
        if self._book.ticket(secret, "reset") is None:
            raise NotDone(400, _GONE)
        self._book.write(
            "passwordChanged", user=user.id, origin=caller.origin, private={"password": hashed},
            because="it was forgotten", spends=digest_of(secret),
            ends=[one.id for one in self._book.sessions_of(user.id)],
            held_until_ns=self._house.now_ns() + HOLD_NS, held_because="the password was changed",
        )  # fmt: skip
        self._house.alert(user, "Your password was changed", "Your password was changed.", caller.origin)
        return Said({})

    async def lock(self, caller: Caller, asked: Row) -> Said:
        """Somebody says that it was not them: everything is signed out, and withdrawals are held."""
        secret = _text(asked, "token")
        ticket = self._book.ticket(secret, "lock")
        if ticket is None:
            raise NotDone(400, _GONE)
        self._book.write(
            "locked", user=ticket.user, origin=caller.origin, spends=digest_of(secret),
            ends=[one.id for one in self._book.sessions_of(ticket.user)],
            held_until_ns=self._house.now_ns() + HOLD_NS, held_because="you have said that it was not you",
        )  # fmt: skip
        return Said({})

    def _may_mail(self, caller: Caller, email: str) -> bool:
        return self._house.throttle.may_mail(person=email, address=caller.origin.address, now=self._house.now)


def _email(asked: Row) -> str:
    found = address_of(_text(asked, "email"))
    if found is None:
        raise NotDone(400, "That is no e-mail address", "ValidationError")
    return found


def _text(asked: Row, name: str) -> str:
    value: Any = asked.get(name)
    if not isinstance(value, str) or not value or len(value) > 1_000:
        raise NotDone(400, f"{name} is required", "ValidationError")
    return value

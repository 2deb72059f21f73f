"""What everything around signing in shares: the book, the mail, the throttle, challenges, and the clock."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from ringfence.exchange.users import passwords
from ringfence.exchange.users.mail import Outbox
from ringfence.exchange.users.one_time import step_of
from ringfence.exchange.users.passkeys import (
    PasskeyError,
    Site,
    credential_id,
    request_options,
    signed,
)
from ringfence.exchange.users.throttle import Throttle, Try
from ringfence.exchange.users.userbook import Origin, SignedIn, User, Userbook, digest_of
from ringfence.units.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND

log = logging.getLogger(__name__)

Row = dict[str, Any]
Value = TypeVar("Value")
IDLE_NS, SESSION_NS = 30 * NS_PER_MINUTE, 12 * NS_PER_HOUR
STEP_UP_NS = 5 * NS_PER_MINUTE
HOLD_NS = 24 * NS_PER_HOUR
CHALLENGE_NS = 5 * NS_PER_MINUTE
_CHALLENGES_MAX = 20_000
_TRIES_OF_CHALLENGE = 5
_GUESSES_WAITING_MAX, _GUESSES_OF_ADDRESS_MAX = 50, 8
_HASHING_THREADS = 1
"""One core at most is guessed on: orders go on."""
WRONG = "The e-mail address or the password is wrong."
WRONG_FACTOR = "That did not match. Nothing was changed."


class NotDone(Exception):
    """It was not done; becomes the answer of the API."""

    def __init__(self, status: int, message: str, name: str = "HTTPError", *, seconds: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.name, self.seconds = status, message, name, seconds


class Caller(NamedTuple):
    """Whoever asks: where from, and what their browser holds."""

    origin: Origin
    session: str = ""
    device: str = ""


class Said(NamedTuple):
    """An answer, and what the browser is to hold from now on; None = what it holds."""

    value: Any = None
    session: str | None = None
    device: str | None = None


class Challenge:
    """Something that has to be answered in five minutes, by one of the tries that it has."""

    __slots__ = ("data", "expires_ns", "purpose", "raw", "tries", "user")

    def __init__(self, purpose: str, user: str, raw: bytes, expires_ns: int, data: Row) -> None:
        self.purpose, self.user, self.raw, self.expires_ns, self.data = purpose, user, raw, expires_ns, data
        self.tries = _TRIES_OF_CHALLENGE


class House:
    def __init__(
        self,
        book: Userbook,
        outbox: Outbox,
        throttle: Throttle,
        site: Site,
        *,
        url: str,
        now_ns: Callable[[], int],
    ) -> None:
        self.book, self.outbox, self.throttle, self.site, self.url = book, outbox, throttle, site, url
        self.now_ns = now_ns
        self._challenges: dict[str, Challenge] = {}
        self._hashing = ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="argon2")
        self._guesses: Counter[str] = Counter()
        """That wait, by address."""

    def close(self) -> None:
        self._hashing.shutdown(wait=False, cancel_futures=True)
        self.book.close()

    @property
    def now(self) -> float:
        return self.now_ns() / NS_PER_SECOND

    # ---- challenges

    def challenge(
        self, purpose: str, user: str, *, raw: bytes | None = None, **data: Any
    ) -> tuple[str, Challenge]:
        """Return a new challenge with the name that answers it."""
        now_ns = self.now_ns()
        if len(self._challenges) >= _CHALLENGES_MAX:
            self._challenges = {k: c for k, c in self._challenges.items() if c.expires_ns > now_ns}
            if len(self._challenges) >= _CHALLENGES_MAX:
                raise NotDone(503, "Too many people are signing in; try again in a minute", seconds=60)
        name = secrets.token_urlsafe(24)
        found = Challenge(purpose, user, raw or secrets.token_bytes(32), now_ns + CHALLENGE_NS, data)
        self._challenges[name] = found
        return name, found

    def challenged(self, name: Any, purpose: str, user: str | None = None) -> Challenge:
        """Return a challenge that may still be answered, one try fewer. Raises NotDone."""
        found = self._challenges.get(name) if isinstance(name, str) else None
        if (
            found is None or found.purpose != purpose or found.expires_ns < self.now_ns()
            or (user is not None and found.user != user) or found.tries == 0
        ):  # fmt: skip
            raise NotDone(401, "That took too long, or was answered already. Begin again.")
        found.tries -= 1
        return found

    def answered(self, name: str) -> None:
        """A challenge is used up."""
        self._challenges.pop(name, None)

    # ---- tries

    def check_tries(self, caller: Caller, who: str, user: User | None) -> None:
        """Raises NotDone (429): the same for users that are none."""
        found = self.throttle.may_try(_try(caller, who, user), now=self.now)
        if found is not None:
            raise NotDone(
                429, "Too many wrong tries by devices that we do not know. Use one that has signed in before, "
                "sign in with a passkey, or wait.", "RateLimitError", seconds=found.seconds,
            )  # fmt: skip

    def failed(self, caller: Caller, who: str, user: User | None, kind: str, because: str) -> None:
        """Count a wrong try, and write it down for the user."""
        self.throttle.failed(_try(caller, who, user), now=self.now)
        if user is not None:
            self.book.write(kind, user=user.id, origin=caller.origin, because=because)

    # ---- what somebody knows

    async def hashed(self, caller: Caller, password: str, *, email: str) -> str:
        """Return what is kept of a new password. Raises NotDone if it can be guessed."""
        try:
            passwords.check_strength(password, email=email)
        except passwords.WeakPasswordError as error:
            raise NotDone(400, str(error), "WeakPassword") from error
        return await self._in_turn(caller, lambda: passwords.hashed(password))

    async def knows(self, caller: Caller, user: User | None, password: str) -> bool:
        """Return whether that is the user's password; takes as long if there is no such user."""
        kept = passwords.NOBODYS if user is None else user.password
        return await self.verifies(caller, kept, password) and user is not None

    async def verifies(self, caller: Caller, kept: str, password: str) -> bool:
        """Return whether a password is the one that was kept."""
        return await self._in_turn(caller, lambda: passwords.verifies(kept, password))

    async def _in_turn(self, caller: Caller, work: Callable[[], Value]) -> Value:
        """Do what takes an eighth of a second of one core; no address fills the queue for others. Raises NotDone."""
        address = caller.origin.address
        if self._guesses[address] >= _GUESSES_OF_ADDRESS_MAX:
            raise NotDone(429, "Too many at once from one address", "RateLimitError", seconds=1)
        if self._guesses.total() >= _GUESSES_WAITING_MAX:
            raise NotDone(503, "Too many people are signing in; try again in a minute", seconds=60)
        self._guesses[address] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work)
        finally:
            self._guesses[address] -= 1
            if not self._guesses[address]:
                del self._guesses[address]

    # ---- what somebody has

    def passkey_options(self, challenge: Challenge, user: User) -> Row | None:
        known = list(user.passkeys.values())
        return request_options(self.site, challenge=challenge.raw, known=known) if known else None

    async def factor(
        self, caller: Caller, user: User, challenge: Challenge, asked: Row, *, may: tuple[str, ...]
    ) -> Row:
        """Return what the log says of the factor with which `user` has answered. Raises NotDone.

        `may` are those that count here: passkey, totp, recoveryCode, password.
        """
        given = [name for name in may if asked.get(name)]
        if len(given) != 1:
            raise NotDone(400, f"Exactly one of {', '.join(may)} is needed", "ValidationError")
        name, found = given[0], asked[given[0]]
        said: Row | None = None
        if name == "passkey":
            said = self._by_passkey(user, challenge, found)
        elif name == "totp":
            said = self._by_code(user, found)
        elif name == "recoveryCode":
            said = self._by_recovery(user, found)
        elif not user.factors and isinstance(found, str) and await self.knows(caller, user, found):
            said = {}
        if said is None:
            raise NotDone(401, WRONG_FACTOR)
        return {"by": name, **said}

    def _by_passkey(self, user: User, challenge: Challenge, answer: Any) -> Row | None:
        passkey = user.passkeys.get(credential_id(answer))
        if passkey is None:
            return None
        try:
            count = signed(self.site, answer, challenge=challenge.raw, passkey=passkey)
        except PasskeyError:
            return None
        return {"passkey": passkey.id, "count": count}

    def _by_code(self, user: User, code: Any) -> Row | None:
        if not user.totp or not isinstance(code, str) or not code.isascii():
            return None
        step = step_of(user.totp, code, after=user.totp_step, now=self.now)
        return None if step is None else {"step": step}

    def _by_recovery(self, user: User, code: Any) -> Row | None:
        if not isinstance(code, str):
            return None
        digest = digest_of(code.replace("-", "").replace(" ", "").lower())
        return {"recovery": digest} if digest in user.recovery else None

    # ---- sessions

    def session(self, caller: Caller) -> tuple[SignedIn, User]:
        """Return who is signed in. Raises NotDone (401)."""
        found = self.book.sessions.get(digest_of(caller.session)) if caller.session else None
        now_ns = self.now_ns()
        if found is None or now_ns > min(found.seen_ns + IDLE_NS, found.created_ns + SESSION_NS):
            raise NotDone(401, "Nobody is signed in.", "NotSignedIn")
        found.seen_ns = now_ns
        return found, self.book.users[found.user]

    def stepped_up(self, caller: Caller) -> tuple[SignedIn, User]:
        """Return who is signed in and has shown a factor in the last minutes. Raises NotDone."""
        found, user = self.session(caller)
        if found.stepped_up_until_ns < self.now_ns():
            raise NotDone(403, "Confirm that it is you, then ask again.", "StepUpRequired")
        return found, user

    def check_not_held(self, user: User) -> None:
        """Raises NotDone while the user's withdrawals are held."""
        left = user.held_until_ns - self.now_ns()
        if left > 0:
            hours = -(-left // NS_PER_HOUR)
            raise NotDone(403, f"Withdrawals are held for {hours} more hours: {user.held_because}.", "Held")

    # ---- tickets and mail

    def after(self, work: Callable[[], None]) -> None:
        """Do something behind the answer, which then takes as long whether there is anything to do or not."""

        def do() -> None:
            try:
                work()
            except OSError as error:
                log.critical("a mail was not written: %s", error.strerror)

        asyncio.get_running_loop().call_soon(do)

    def ticket(self, what: str, *, user: str, lasts_ns: int, data: Row, origin: Origin) -> str:
        """Return the secret of a new ticket, durable."""
        secret = secrets.token_urlsafe(32)
        self.book.write(
            "asked", user=user, origin=origin, private=data, ticket=digest_of(secret), what=what,
            expires_ns=self.now_ns() + lasts_ns,
        )  # fmt: skip
        return secret

    def link(self, what: str, secret: str) -> str:
        return f"{self.url}/account/#{what}={secret}"

    def write_to(self, user: User, subject: str, text: str) -> None:
        """Write to a user. Raises OSError."""
        self.outbox.put(to=user.email, subject=subject, text=text, anti_phishing=user.anti_phishing)

    def alert(self, user: User, subject: str, what: str, origin: Origin) -> None:
        """Tell a user what has happened to their account, with a link that stops everything."""
        secret = self.ticket("lock", user=user.id, lasts_ns=7 * 24 * NS_PER_HOUR, data={}, origin=origin)
        where = f"From {origin.address or 'an unknown address'}, with {origin.agent or 'no name'}."
        self.write_to(
            user, subject, f"{what}\n\n{where}\n\n"
            "If this was not you, this link signs everything out and holds withdrawals for 24 hours:\n"
            f"{self.link('lock', secret)}\n",
        )  # fmt: skip


def _try(caller: Caller, who: str, user: User | None) -> Try:
    digest = digest_of(caller.device) if caller.device else ""
    knows = user is not None and digest in user.devices
    return Try(who, caller.origin.address, digest if knows else "")

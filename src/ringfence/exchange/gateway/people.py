"""The gateway's line to the account desk: who a browser is, and everything that people do with their accounts.

A browser holds two cookies that no script can read: one for the session, one that tells a device that has signed in
before from a stranger's. They count only beside a header that no form of another site can send. The gateway keeps
neither passwords nor sessions: it asks, and remembers an answer for a second at most.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ringfence import lines
from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.http import HttpRequest
from ringfence.exchange.users.founding import socket_of
from ringfence.exchange.users.keys import ApiKey, KeyRecord, Permission

_SECONDS = 20.0
_KNOWN_SECONDS = 1.0
_KNOWN_MAX = 10_000
_NOTHING: Mapping[str, Any] = MappingProxyType({})
SESSION_COOKIE, DEVICE_COOKIE = "__Host-ringfence", "__Host-ringfence-device"
HEADER = b"x-ringfence"
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"
_DEVICE_SECONDS = 365 * 86_400


class Person(NamedTuple):
    """Somebody who is signed in. What an API key may do, `key` may do for them."""

    user: str
    session: str
    key: ApiKey
    is_stepped_up: bool


class Answer(NamedTuple):
    value: Any
    headers: bytes = b""
    """Complete lines that set cookies."""


def is_page(http: HttpRequest) -> bool:
    """Return whether a request is from a page of ours: other sites' can send no such header."""
    return HEADER in http.headers


def has_session(http: HttpRequest) -> bool:
    return SESSION_COOKIE in _cookies(http)


def origin_of(address: str, http: HttpRequest) -> dict[str, str]:
    """Return where a request is from, as the desk is told."""
    cookies = _cookies(http)
    return {
        "address": address, "agent": http.header(b"user-agent"), "session": cookies.get(SESSION_COOKIE, ""),
        "device": cookies.get(DEVICE_COOKIE, ""),
    }  # fmt: skip


class PeopleDesk:
    """Asks the account desk; one connection a question."""

    def __init__(self, directory: Path) -> None:
        self._socket = socket_of(directory)
        self._known: dict[str, tuple[float, Person | None]] = {}
        """By digest of the cookie: until when, and who."""

    @property
    def is_there(self) -> bool:
        """Whether people can have accounts in this exchange at all; some exchanges are for programs alone."""
        return self._socket.parent.exists()

    async def ask(self, what: str, origin: dict[str, str], asked: Mapping[str, Any] = _NOTHING) -> Answer:
        """Return the answer. `asked` may be what a stranger has sent.

        Raises Refused: 503 if the desk is away, else with its reason.
        """
        try:
            said = await lines.ask(self._socket, {**asked, "ask": what, "from": origin}, seconds=_SECONDS)
        except lines.NoAnswerError as error:
            raise unavailable("the account desk does not answer") from error
        if "refused" in said:
            status, message, name, seconds = said["refused"]
            raise Refused(status, message, name, retry_after_seconds=seconds or None)
        return Answer(said["value"], _set_cookies(said))

    async def person(self, origin: dict[str, str], now: float) -> Person | None:
        """Return who is signed in with a cookie, None if nobody. Raises Refused (503)."""
        digest = hashlib.sha256(origin["session"].encode()).hexdigest()
        until, person = self._known.get(digest, (0.0, None))
        if now < until:
            return person
        said = (await self.ask("session", origin)).value
        person = None if said is None else _person(said)
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[digest] = (now + _KNOWN_SECONDS, person)
        return person

    def forget(self) -> None:
        """Ask anew for everybody: somebody has signed out, or stepped up."""
        self._known.clear()

    async def alive(self, sessions: list[str]) -> set[str]:
        """Return which sessions go on. Raises Refused (503)."""
        return set((await self.ask("alive", {}, {"sessions": sessions})).value)

    async def check_not_held(self, account: int) -> None:
        """Raise Refused while the withdrawals of a main account's user are held, or if nobody can say so."""
        if self.is_there:
            await self.ask("held", {}, {"account": account})


def _person(said: dict[str, Any]) -> Person:
    permissions = (Permission.ORDER, Permission.WITHDRAW) if said["isSteppedUp"] else (Permission.ORDER,)
    # Nobody signs with it: a secret is only what an API key has to have.
    record = KeyRecord(
        id=f"session {said['session']}",
        secret=said["session"],
        account=said["account"],
        permissions=permissions,
    )
    return Person(said["user"], said["session"], ApiKey(record), said["isSteppedUp"])


def _cookies(http: HttpRequest) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in http.header(b"cookie").split(";"))
    return {name: value for name, _, value in pairs}


def _set_cookies(said: dict[str, Any]) -> bytes:
    cookies = []
    if "session" in said:
        age = "" if said["session"] else "; Max-Age=0"
        cookies.append(f"{SESSION_COOKIE}={said['session']}; {_ATTRIBUTES}{age}")
    if "device" in said:
        cookies.append(f"{DEVICE_COOKIE}={said['device']}; {_ATTRIBUTES}; Max-Age={_DEVICE_SECONDS}")
    return "".join(f"set-cookie: {cookie}\r\n" for cookie in cookies).encode()

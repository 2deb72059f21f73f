"""Everything about users, folded from one hash-chained log: nothing of it is anywhere else.

Who did what, when and from where is the record itself, so it cannot be forgotten to be written, and a line that is
changed, taken out or moved is found at the next start. What only this process may know (addresses of mail, hashes of
passwords, seeds) is sealed inside the lines.

Besides what its kind says, a line may carry:

| field        | says                                                                        |
|--------------|-----------------------------------------------------------------------------|
| spends       | a ticket is used up                                                         |
| ends         | these sessions are over                                                     |
| held_until_ns, held_because | no withdrawals until then                                    |
| step         | the one-time code of this step was used                                     |
| passkey, count | a passkey has signed, and says so many times                              |
| recovery     | a recovery code was used                                                    |

When the key is replaced, everything private that counts is written once more, sealed with the new one (`resealed`),
and then that this is all (`resealedAll`). What earlier lines have sealed nobody can open any more, and nobody needs to.
"""

import hashlib
import itertools
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ringfence.chained_log import Entry, Lines, Log
from ringfence.exchange.users.passkeys import Passkey
from ringfence.exchange.users.sealing import Seal, SealError, fingerprint_of, make_next_key, take_next_key

LOG = "log.jsonl"
_SHOWN_MAX = 500
_TICKETS_MAX = 100_000
_RESEALED_AT_ONCE = 200


def digest_of(secret: str) -> str:
    """Return what is kept of a secret of at least 128 random bits."""
    return hashlib.sha256(b"ringfence users" + secret.encode()).hexdigest()


class Origin(msgspec.Struct, frozen=True):
    """Where something was asked from."""

    address: str = ""
    agent: str = ""


class Ticket(msgspec.Struct, frozen=True):
    """What a link in a mail, or a request that waits for a factor, is good for; once."""

    what: str
    user: str
    expires_ns: int
    data: dict[str, Any]


class SignedIn(msgspec.Struct):
    """One session."""

    id: str
    user: str
    token: str
    """Digest of the cookie."""
    device: str
    created_ns: int
    seen_ns: int
    origin: Origin
    stepped_up_until_ns: int = 0


class User(msgspec.Struct):
    id: str
    email: str
    password: str
    """argon2id."""
    created_ns: int
    account: int = 0
    """The main account in the engine; 0 = not opened yet."""
    totp: str = ""
    """Seed, base 32; empty = none."""
    totp_step: int = -1
    """Of the last code that was used."""
    passkeys: dict[str, Passkey] = {}
    recovery: set[str] = set()
    """Digests of codes that were not used."""
    anti_phishing: str = ""
    held_until_ns: int = 0
    held_because: str = ""
    devices: set[str] = set()
    """Digests of what devices hold that have signed in."""
    activity: deque[Entry] = msgspec.field(default_factory=lambda: deque(maxlen=_SHOWN_MAX))

    @property
    def factors(self) -> list[str]:
        """What the user has besides the password, the safest first."""
        return ["passkey"] * bool(self.passkeys) + ["totp"] * bool(self.totp)


class Userbook:
    """`users`, `sessions` and `tickets` as the log has them; `write` adds a line. Raises LogError, SealError."""

    def __init__(self, lines: Lines | Path, seal: Seal, now_ns: Callable[[], int]) -> None:
        self._seal, self._now_ns = seal, now_ns
        self.users: dict[str, User] = {}
        self.sessions: dict[str, SignedIn] = {}
        """By digest of the cookie."""
        self.tickets: dict[str, Ticket] = {}
        self._by_email: dict[str, str] = {}
        self._by_account: dict[int, str] = {}
        self._by_passkey: dict[str, str] = {}
        self._closed = 0
        """Lines that this key does not open, while it may be that all of it was sealed anew later."""
        self._is_read = False
        self._log = Log(lines, on_entry=self._take)
        if self._closed:
            self._log.close()
            raise SealError(f"{self._closed} private parts of the log cannot be opened with this key")
        self._is_read = True
        self.written: Counter[str] = Counter()
        """Lines since the start, by kind."""

    @property
    def head(self) -> str:
        return self._log.head

    @property
    def count(self) -> int:
        """How many lines there are."""
        return self._log.count

    @property
    def is_broken(self) -> bool:
        return self._log.is_broken

    def close(self) -> None:
        self._log.close()

    def write(
        self, kind: str, *, user: str = "", origin: Origin | None = None, private: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Entry:  # fmt: skip
        """Write a line; it is durable and in force when this returns. Raises OSError: then nothing has changed."""
        body: dict[str, Any] = {"user": user, **{name: value for name, value in fields.items() if value}}
        if origin is not None:
            body |= {"address": origin.address, "agent": origin.agent}
        if private is not None:
            body["private"] = self._seal.seal(private, place=f"{kind} {user}")
        self.written[kind] += 1
        return self._log.append(kind, body, now_ns=self._now_ns())

    def reseal(self, key: bytes, *, operator: str) -> None:
        """Seal everything private that counts with another key, and seal with that one from now on.

        When this returns, the key of before opens nothing that is needed. Raises OSError: then both are needed.
        """
        self._seal = Seal(key)
        now_ns = self._now_ns()
        tickets = {
            digest: msgspec.to_builtins(one.data)
            for digest, one in self.tickets.items()
            if one.expires_ns > now_ns
        }
        users = {name: _private_of(user) for name, user in self.users.items()}
        for what, rows in (("users", users), ("tickets", tickets)):
            left = iter(rows.items())
            while some := dict(itertools.islice(left, _RESEALED_AT_ONCE)):
                self.write("resealed", private={what: some})
        counted = {"users": len(users), "tickets": len(tickets)}
        self.write("resealedAll", operator=operator, key=fingerprint_of(key), private=counted)

    # ---- looking

    def of_email(self, email: str) -> User | None:
        return self.users.get(self._by_email.get(email, ""))

    def of_account(self, account: int) -> User | None:
        return self.users.get(self._by_account.get(account, ""))

    def of_passkey(self, credential: str) -> User | None:
        return self.users.get(self._by_passkey.get(credential, ""))

    def sessions_of(self, user: str) -> list[SignedIn]:
        return [session for session in self.sessions.values() if session.user == user]

    def ticket(self, secret: str, what: str) -> Ticket | None:
        """Return a ticket that is still good."""
        found = self.tickets.get(digest_of(secret))
        if found is None or found.what != what or found.expires_ns < self._now_ns():
            return None
        return found

    # ---- folding

    def _take(self, entry: Entry) -> None:
        body = entry.body
        user = self.users.get(body["user"])
        fold = getattr(self, f"_{entry.kind}", None)
        if fold is not None:
            private = self._private(entry)
            if private is None:
                self._take_closed(entry)
            else:
                fold(entry, user, private)
            user = self.users.get(body["user"])
        if user is not None:
            self._take_common(user, entry)
            if entry.kind != "asked":
                user.activity.append(entry)
        self.tickets.pop(body.get("spends", ""), None)
        ends = set(body.get("ends", ()))
        if ends:
            self.sessions = {token: one for token, one in self.sessions.items() if one.id not in ends}

    def _private(self, entry: Entry) -> dict[str, Any] | None:
        """Return what is private in a line, None if it is closed for good. Raises SealError."""
        text = entry.body.get("private")
        if text is None:
            return {}
        try:
            return self._seal.open(text, place=f"{entry.kind} {entry.body['user']}")
        except SealError:
            if self._is_read:
                raise
            self._closed += 1
            return None

    def _take_closed(self, entry: Entry) -> None:
        """Take of a line what anybody can read: its private part comes later, or is not needed any more."""
        if entry.kind == "asked":
            self._asked(entry, None, {})
        elif entry.kind == "registered":
            self.users[entry.body["user"]] = User(entry.body["user"], "", "", entry.at_ns)

    def _resealed(self, entry: Entry, user: User | None, private: dict[str, Any]) -> None:
        for name, said in private.get("users", {}).items():
            found = self.users[name]
            found.email, found.password, found.totp = said["email"], said["password"], said["totp"]
            found.anti_phishing = said["anti_phishing"]
            found.passkeys = {one["id"]: msgspec.convert(one, Passkey) for one in said["passkeys"]}
            self._by_email[found.email] = name
            self._by_passkey |= dict.fromkeys(found.passkeys, name)
        for digest, data in private.get("tickets", {}).items():
            self.tickets[digest] = msgspec.structs.replace(self.tickets[digest], data=data)

    def _resealedAll(self, entry: Entry, user: User | None, private: dict[str, Any]) -> None:  # noqa: N802
        self._closed = 0

    def _take_common(self, user: User, entry: Entry) -> None:
        body = entry.body
        if "held_until_ns" in body:
            user.held_until_ns = max(user.held_until_ns, body["held_until_ns"])
            user.held_because = body["held_because"]
        user.totp_step = max(user.totp_step, body.get("step", -1))
        user.recovery.discard(body.get("recovery", ""))
        used = user.passkeys.get(body.get("passkey", ""))
        if used is not None:
            counted = msgspec.structs.replace(used, count=body.get("count", 0), used_ns=entry.at_ns)
            user.passkeys[used.id] = counted

    def _asked(self, entry: Entry, user: User | None, private: dict[str, Any]) -> None:
        body = entry.body
        if len(self.tickets) >= _TICKETS_MAX:
            now_ns = self._now_ns()
            self.tickets = {key: one for key, one in self.tickets.items() if one.expires_ns > now_ns}
        self.tickets[body["ticket"]] = Ticket(body["what"], body["user"], body["expires_ns"], private)

    def _registered(self, entry: Entry, user: User | None, private: dict[str, Any]) -> None:
        found = User(entry.body["user"], private["email"], private["password"], entry.at_ns)
        self.users[found.id] = found
        self._by_email[found.email] = found.id

    def _accountOpened(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.account = entry.body["account"]
        self._by_account[user.account] = user.id

    def _signedIn(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        body = entry.body
        origin = Origin(body["address"], body["agent"])
        self.sessions[body["token"]] = SignedIn(
            body["session"], user.id, body["token"], body["device"], entry.at_ns, entry.at_ns, origin
        )
        user.devices.add(body["device"])

    def _steppedUp(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        body = entry.body
        session = self.sessions.pop(body["was"])
        session.token, session.stepped_up_until_ns = body["token"], body["until_ns"]
        self.sessions[session.token] = session

    def _passwordChanged(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.password = private["password"]

    def _passkeyAdded(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        passkey = msgspec.convert(private, Passkey)
        user.passkeys[passkey.id] = passkey
        self._by_passkey[passkey.id] = user.id

    def _passkeyRemoved(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.passkeys.pop(entry.body["removed"], None)
        self._by_passkey.pop(entry.body["removed"], None)

    def _codesAdded(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.totp = private["seed"]

    def _codesRemoved(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.totp = ""

    def _recoveryCodesMade(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.recovery = set(entry.body["digests"])

    def _antiPhishingSet(self, entry: Entry, user: User, private: dict[str, Any]) -> None:  # noqa: N802
        user.anti_phishing = private["code"]

    def _locked(self, entry: Entry, user: User, private: dict[str, Any]) -> None:
        """All that was signed in is over; the devices count as strangers again."""
        user.devices.clear()


def rotate_key(book: Userbook, path: Path, *, operator: str) -> str:
    """Replace the key of a file, destroy the old one, and return what names the new one. Raises OSError.

    Killed anywhere, it is run once more: until the end both keys are there, and the next run seals everything anew.
    """
    key = make_next_key(path)
    book.reseal(key, operator=operator)
    take_next_key(path)
    return fingerprint_of(key)


def _private_of(user: User) -> dict[str, Any]:
    return {
        "email": user.email, "password": user.password, "totp": user.totp, "anti_phishing": user.anti_phishing,
        "passkeys": [msgspec.to_builtins(passkey) for passkey in user.passkeys.values()],
    }  # fmt: skip

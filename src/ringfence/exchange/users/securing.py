"""What a person sets for themselves: password, passkeys, codes, sessions, keys of programs.

Whatever could let somebody else in needs a session that has just shown a factor, and what takes a hurdle away holds
withdrawals for a day.
"""

import base64
import ipaddress
import secrets
from typing import Any
from urllib.parse import quote

from ringfence.chained_log import Entry
from ringfence.exchange.users.house import (
    HOLD_NS,
    STEP_UP_NS,
    WRONG_FACTOR,
    Caller,
    House,
    NotDone,
    Row,
    Said,
)
from ringfence.exchange.users.keys import Keys, Permission, new_record
from ringfence.exchange.users.one_time import step_of
from ringfence.exchange.users.passkeys import VENUE, PasskeyError, created, creation_options
from ringfence.exchange.users.userbook import SignedIn, User, digest_of
from ringfence.units.time import iso

_SEED_BYTES = 20
_RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_NAME_CHARACTERS_MAX = 64
_PASSKEYS_MAX, _KEYS_MAX, _CIDRS_MAX = 10, 50, 20
_CODE_MIN, _CODE_MAX = 4, 32
_ENTRIES, _ENTRIES_MAX = 100, 500


class Securing:
    def __init__(self, house: House, keys: Keys) -> None:
        self._house, self._book, self._keys = house, house.book, keys

    # ---- what there is

    async def account(self, caller: Caller, asked: Row) -> Said:
        session, user = self._house.session(caller)
        now_ns = self._house.now_ns()
        is_held = user.held_until_ns > now_ns
        is_up = session.stepped_up_until_ns > now_ns
        return Said({
            "email": user.email, "account": user.account, "created": iso(user.created_ns),
            "hasAntiPhishingCode": bool(user.anti_phishing), "antiPhishingCode": user.anti_phishing or None,
            "hasTotp": bool(user.totp), "passkeys": [_passkey_row(one) for one in user.passkeys.values()],
            "recoveryCodesLeft": len(user.recovery),
            "heldUntil": iso(user.held_until_ns) if is_held else None,
            "heldBecause": user.held_because if is_held else None,
            "steppedUpUntil": iso(session.stepped_up_until_ns) if is_up else None,
        })  # fmt: skip

    async def sessions(self, caller: Caller, asked: Row) -> Said:
        session, user = self._house.session(caller)
        found = sorted(self._book.sessions_of(user.id), key=lambda one: one.created_ns, reverse=True)
        return Said([_session_row(one, is_this=one is session) for one in found])

    async def activity(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.session(caller)
        text = str(asked.get("count", ""))
        count = min(int(text), _ENTRIES_MAX) if text.isdecimal() and len(text) < 5 and int(text) else _ENTRIES
        return Said([_activity_row(entry) for entry in list(user.activity)[: -count - 1 : -1]])

    # ---- sessions

    async def logout(self, caller: Caller, asked: Row) -> Said:
        session, user = self._house.session(caller)
        self._book.write("signedOut", user=user.id, origin=caller.origin, ends=[session.id])
        return Said({}, session="")

    async def end_sessions(self, caller: Caller, asked: Row) -> Said:
        """End one session, or all but this."""
        session, user = self._house.session(caller)
        mine = self._book.sessions_of(user.id)
        if asked.get("all"):
            ends = [one.id for one in mine if one is not session]
        else:
            ends = [one.id for one in mine if one.id == asked.get("id")]
            if not ends:
                raise NotDone(404, "There is no such session")
        if ends:
            self._book.write("signedOut", user=user.id, origin=caller.origin, ends=ends)
        return await self.sessions(caller, {})

    async def step_up_options(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.session(caller)
        name, challenge = self._house.challenge("stepUp", user.id)
        options = self._house.passkey_options(challenge, user)
        return Said({"challenge": name, "factors": user.factors or ["password"], "publicKey": options})

    async def step_up(self, caller: Caller, asked: Row) -> Said:
        """Show a factor again; for some minutes this session may change what matters. Its cookie is a new one."""
        session, user = self._house.session(caller)
        challenge = self._house.challenged(asked.get("challenge"), "stepUp", user.id)
        said = await self.confirmed(caller, user, challenge, asked)
        token, until_ns = secrets.token_urlsafe(32), self._house.now_ns() + STEP_UP_NS
        # Hashing a password takes a while: meanwhile the session may have ended, or stepped up elsewhere.
        session, user = self._house.session(caller)
        self._book.write(
            "steppedUp", user=user.id, origin=caller.origin, was=session.token, token=digest_of(token),
            until_ns=until_ns, session=session.id, **said,
        )  # fmt: skip
        return Said({"steppedUpUntil": iso(until_ns)}, session=token)

    async def confirmed(self, caller: Caller, user: User, challenge: Any, asked: Row) -> Row:
        """Return what the log says of the factor that was shown. Raises NotDone; wrong ones are counted."""
        who = f"factor of {user.id}"
        self._house.check_tries(caller, who, user)
        try:
            said = await self._house.factor(
                caller, user, challenge, asked, may=("passkey", "totp", "password")
            )
        except NotDone as refusal:
            if refusal.status == 401:
                self._house.failed(caller, who, user, "confirmationFailed", WRONG_FACTOR)
            raise
        self._house.answered(asked["challenge"])
        return said

    # ---- the password

    async def password(self, caller: Caller, asked: Row) -> Said:
        session, user = self._house.stepped_up(caller)
        hashed = await self._house.hashed(caller, _text(asked, "password", 256), email=user.email)
        session, user = self._house.stepped_up(caller)
        others = [one.id for one in self._book.sessions_of(user.id) if one is not session]
        self._book.write(
            "passwordChanged", user=user.id, origin=caller.origin, private={"password": hashed}, ends=others,
            **self._hold("the password was changed"),
        )  # fmt: skip
        self._house.alert(user, "Your password was changed", "Your password was changed.", caller.origin)
        return Said({})

    def _hold(self, because: str) -> Row:
        return {"held_until_ns": self._house.now_ns() + HOLD_NS, "held_because": because}

    # ---- passkeys

    async def passkey_options(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        name, challenge = self._house.challenge("newPasskey", user.id)
        known = list(user.passkeys.values())
        options = creation_options(
            self._house.site, challenge=challenge.raw, user=user.id, email=user.email, known=known
        )
        return Said({"challenge": name, "publicKey": options})

    async def add_passkey(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        challenge = self._house.challenged(asked.get("challenge"), "newPasskey", user.id)
        name = _text(asked, "name", _NAME_CHARACTERS_MAX)
        if len(user.passkeys) >= _PASSKEYS_MAX:
            raise NotDone(400, f"At most {_PASSKEYS_MAX} passkeys; remove one first")
        try:
            passkey = created(
                self._house.site, asked.get("passkey"), challenge=challenge.raw, name=name, now_ns=self._house.now_ns()
            )  # fmt: skip
        except PasskeyError as error:
            raise NotDone(400, f"The passkey was not added: {error}") from error
        if self._book.of_passkey(passkey.id) is not None:
            raise NotDone(400, "The passkey was not added: it is in use already")
        self._house.answered(asked["challenge"])
        is_first = not user.factors
        private = {
            "id": passkey.id, "public_key": passkey.public_key, "count": passkey.count, "name": name,
            "created_ns": passkey.created_ns,
        }  # fmt: skip
        self._book.write(
            "passkeyAdded", user=user.id, origin=caller.origin, private=private, named=name, added=passkey.id
        )
        self._house.alert(user, "A passkey was added", f"The passkey {name!r} was added.", caller.origin)
        return Said(_passkey_row(passkey) | {"recoveryCodes": self._first_codes(caller, user, is_first)})

    async def remove_passkey(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        passkey = user.passkeys.get(str(asked.get("id")))
        if passkey is None:
            raise NotDone(404, "There is no such passkey")
        self._book.write(
            "passkeyRemoved", user=user.id, origin=caller.origin, removed=passkey.id, named=passkey.name,
            **self._hold("a passkey was removed"),
        )  # fmt: skip
        self._house.alert(
            user, "A passkey was removed", f"The passkey {passkey.name!r} was removed.", caller.origin
        )
        return Said({})

    # ---- codes of an authenticator

    async def begin_totp(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        if user.totp:
            raise NotDone(400, "There are codes already; remove them first")
        seed = base64.b32encode(secrets.token_bytes(_SEED_BYTES)).decode()
        name, _ = self._house.challenge("newTotp", user.id, seed=seed)
        label = quote(f"{VENUE}:{user.email}")
        return Said({
            "challenge": name, "secret": seed,
            "uri": f"otpauth://totp/{label}?secret={seed}&issuer={VENUE}&algorithm=SHA1&digits=6&period=30",
        })  # fmt: skip

    async def add_totp(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        challenge = self._house.challenged(asked.get("challenge"), "newTotp", user.id)
        code = _text(asked, "totp", 6)
        seed = challenge.data["seed"]
        step = step_of(seed, code, after=-1, now=self._house.now) if code.isascii() else None
        if step is None:
            raise NotDone(401, WRONG_FACTOR)
        self._house.answered(asked["challenge"])
        is_first = not user.factors
        self._book.write("codesAdded", user=user.id, origin=caller.origin, private={"seed": seed}, step=step)
        self._house.alert(user, "One-time codes were set up", "One-time codes were set up.", caller.origin)
        return Said({"recoveryCodes": self._first_codes(caller, user, is_first)})

    async def remove_totp(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        if not user.totp:
            raise NotDone(404, "There are no codes")
        self._book.write(
            "codesRemoved", user=user.id, origin=caller.origin, **self._hold("one-time codes were removed")
        )
        self._house.alert(user, "One-time codes were removed", "One-time codes were removed.", caller.origin)
        return Said({})

    async def recovery_codes(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        return Said({"recoveryCodes": self._new_codes(caller, user)})

    def _first_codes(self, caller: Caller, user: User, is_first: bool) -> list[str] | None:
        return self._new_codes(caller, user) if is_first and not user.recovery else None

    def _new_codes(self, caller: Caller, user: User) -> list[str]:
        raw = [
            base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
            for _ in range(_RECOVERY_CODES)
        ]
        self._book.write(
            "recoveryCodesMade", user=user.id, origin=caller.origin, digests=[digest_of(code) for code in raw]
        )
        return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in raw]

    async def anti_phishing_code(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.stepped_up(caller)
        code = _text(asked, "code", _CODE_MAX)
        if len(code) < _CODE_MIN or not code.isprintable():
            raise NotDone(400, f"{_CODE_MIN} to {_CODE_MAX} printable characters", "ValidationError")
        self._book.write("antiPhishingSet", user=user.id, origin=caller.origin, private={"code": code})
        return Said({})

    # ---- keys of programs

    async def add_key(self, caller: Caller, asked: Row) -> Said:
        """Make an API key of one of the user's accounts; the gateway has checked that it is one."""
        _, user = self._house.stepped_up(caller)
        account = int(asked["account"])
        name = _text(asked, "name", _NAME_CHARACTERS_MAX)
        permissions, cidrs = _permissions(asked.get("permissions")), _networks(asked.get("cidrs"))
        record = new_record(
            account, name=name, permissions=permissions, cidrs=cidrs, created_ns=self._house.now_ns()
        )
        with self._keys.changing() as records:
            if sum(one.account == account and one.enabled for one in records) >= _KEYS_MAX:
                raise NotDone(400, f"At most {_KEYS_MAX} keys an account; revoke one first")
            self._book.write(
                "keyAdded", user=user.id, origin=caller.origin, key=record.id, account=account, named=name,
                permissions=list(permissions), cidrs=list(cidrs),
            )  # fmt: skip
            records.append(record)
        words = ", ".join(permissions) or "read"
        self._house.alert(
            user, "An API key was made", f"The API key {name!r} was made: {words}.", caller.origin
        )
        return Said({"key": record.id, "secret": record.secret})

    async def remove_key(self, caller: Caller, asked: Row) -> Said:
        """Revoke a key for good; the gateway has checked whose it is."""
        _, user = self._house.stepped_up(caller)
        with self._keys.changing() as records:
            at = next((at for at, one in enumerate(records) if one.id == asked["key"]), None)
            if at is None:
                raise NotDone(404, "There is no such key")
            self._book.write(
                "keyRevoked", user=user.id, origin=caller.origin, key=records[at].id, named=records[at].name
            )
            del records[at]
        return Said({})


def _passkey_row(passkey: Any) -> Row:
    return {
        "id": passkey.id, "name": passkey.name, "created": iso(passkey.created_ns),
        "lastUsed": iso(passkey.used_ns) if passkey.used_ns else None,
    }  # fmt: skip


def _session_row(session: SignedIn, *, is_this: bool) -> Row:
    return {
        "id": session.id, "created": iso(session.created_ns), "lastSeen": iso(session.seen_ns),
        "address": session.origin.address, "agent": session.origin.agent, "isThis": is_this,
    }  # fmt: skip


_SHOWN = ("by", "because", "named", "what", "detail", "account", "permissions", "cidrs", "held_because")


def _activity_row(entry: Entry) -> Row:
    body = entry.body
    shown = {name: body[name] for name in _SHOWN if name in body}
    detail = "; ".join(
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in shown.items()
    )
    return {
        "number": entry.number, "timestamp": iso(entry.at_ns), "what": entry.kind,
        "address": body.get("address", ""), "agent": body.get("agent", ""), "detail": detail,
        "digest": entry.digest.hex(),
    }  # fmt: skip


def _permissions(found: Any) -> tuple[Permission, ...]:
    """Raises NotDone."""
    try:
        permissions = tuple(Permission(word) for word in found or [])
    except (ValueError, TypeError) as error:
        raise NotDone(400, f"permissions are {', '.join(Permission)}", "ValidationError") from error
    if {Permission.ORDER, Permission.ORDER_CANCEL} <= set(permissions) or len(set(permissions)) < len(
        permissions
    ):
        raise NotDone(400, "A key has `order` or `orderCancel`, not both", "ValidationError")
    return permissions


def _networks(found: Any) -> tuple[str, ...]:
    """Raises NotDone."""
    if found is None:
        return ()
    try:
        # What is no text is refused and not passed over: a key without networks works from anywhere.
        if (
            not isinstance(found, list)
            or len(found) > _CIDRS_MAX
            or not all(isinstance(one, str) for one in found)
        ):
            raise ValueError
        return tuple(str(ipaddress.ip_network(one, strict=False)) for one in found)
    except ValueError as error:
        raise NotDone(
            400, f"cidrs are at most {_CIDRS_MAX} networks such as 192.0.2.0/24", "ValidationError"
        ) from error


def _text(asked: Row, name: str, longest: int) -> str:
    value: Any = asked.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise NotDone(400, f"{name} is required, at most {longest} characters", "ValidationError")
    return value

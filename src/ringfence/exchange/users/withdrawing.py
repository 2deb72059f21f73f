"""Withdrawals that a person asks for in the page: a factor for this very request, then a link in a mail.

1. The request is written down; the passkey's challenge is a digest of it, so that a confirmation of one request is
   none of another.
2. Confirmed, a mail tells amount and address, and holds a link that is good once, for half an hour.
3. Opened by the same user, signed in, the request is given back to the gateway, which sends it to the core. A request
   that was given out once is never given out again: if it does not arrive, the person asks anew.

Nothing of it moves coins: custody, and the account's withdrawal key if it has one, decide as they do for programs.
"""

import secrets
from hashlib import sha256

import msgspec

from ringfence.exchange.users.house import Caller, House, NotDone, Row, Said
from ringfence.exchange.users.securing import Securing
from ringfence.exchange.users.userbook import Ticket, User, digest_of
from ringfence.units.time import NS_PER_MINUTE, iso

_ASKED_NS = 30 * NS_PER_MINUTE
_WAITING_MAX = 10
_GONE = "This withdrawal does not wait any more: it was sent, called back, or half an hour has passed."
_FIELDS = ("currency", "network", "amount", "address", "fee", "text", "nonce", "signature")


class Withdrawing:
    def __init__(self, house: House, securing: Securing) -> None:
        self._house, self._book, self._securing = house, house.book, securing

    async def ask(self, caller: Caller, asked: Row) -> Said:
        """Write a request down that the gateway has looked at; return how to confirm it."""
        _, user = self._house.session(caller)
        self._house.check_not_held(user)
        if len(self._waiting(user)) >= _WAITING_MAX:
            raise NotDone(400, f"{_WAITING_MAX} withdrawals wait already; send or call back one first")
        request = {name: asked[name] for name in _FIELDS} | {"account": user.account}
        id_ = secrets.token_hex(8)
        ticket = self._house.ticket(
            "withdrawal", user=user.id, lasts_ns=_ASKED_NS, data={"id": id_, "request": request}, origin=caller.origin
        )  # fmt: skip
        raw = sha256(secrets.token_bytes(32) + msgspec.json.encode(request, order="sorted")).digest()
        name, challenge = self._house.challenge(
            "withdrawal", user.id, raw=raw, id=id_, ticket=digest_of(ticket)
        )
        return Said({
            **{part: request[part] for part in _FIELDS[:5]}, "id": id_,
            "expires": iso(self._house.now_ns() + _ASKED_NS), "challenge": name,
            "factors": user.factors or ["password"], "publicKey": self._house.passkey_options(challenge, user),
        })  # fmt: skip

    async def confirm(self, caller: Caller, asked: Row) -> Said:
        """Take the factor for a request and write the mail."""
        _, user = self._house.session(caller)
        self._house.check_not_held(user)
        challenge = self._house.challenged(asked.get("challenge"), "withdrawal", user.id)
        if challenge.data["id"] != asked.get("id"):
            raise NotDone(400, "That confirms another withdrawal")
        said = await self._securing.confirmed(caller, user, challenge, asked)
        ticket = self._book.tickets.get(challenge.data["ticket"])
        if ticket is None:
            raise NotDone(400, _GONE)
        # The request gets another ticket, whose secret is in the mail alone.
        self._book.write(
            "withdrawalConfirmed", user=user.id, origin=caller.origin, spends=challenge.data["ticket"],
            detail=_words(ticket), **said,
        )  # fmt: skip
        secret = self._house.ticket(
            "confirm", user=user.id, lasts_ns=_ASKED_NS, data=ticket.data, origin=caller.origin
        )
        link = self._house.link("confirm", secret)
        self._house.write_to(
            user, "Confirm your withdrawal",
            f"You want to withdraw\n\n    {_words(ticket)}\n\n"
            f"If address and amount are right, this link sends it, once, within half an hour:\n{link}\n\n"
            "If they are not, do not open it.\n",
        )  # fmt: skip
        return Said({"state": "mailed"})

    async def send(self, caller: Caller, asked: Row) -> Said:
        """Give a confirmed request out, once."""
        _, user = self._house.session(caller)
        self._house.check_not_held(user)
        secret = str(asked.get("token"))
        ticket = self._book.ticket(secret, "confirm")
        if ticket is None or ticket.user != user.id:
            raise NotDone(400, _GONE)
        self._book.write(
            "withdrawalSent", user=user.id, origin=caller.origin, spends=digest_of(secret), detail=_words(ticket)
        )  # fmt: skip
        return Said(ticket.data["request"])

    async def waiting(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.session(caller)
        states = {"withdrawal": "asked", "confirm": "mailed"}
        return Said([
            {"id": one.data["id"], **{name: one.data["request"][name] for name in ("currency", "amount", "address")},
             "state": states[one.what], "expires": iso(one.expires_ns)}
            for _, one in self._waiting(user)
        ])  # fmt: skip

    async def call_back(self, caller: Caller, asked: Row) -> Said:
        _, user = self._house.session(caller)
        for digest, one in self._waiting(user):
            if one.data["id"] == asked.get("id"):
                self._book.write(
                    "withdrawalCalledBack", user=user.id, origin=caller.origin, spends=digest, detail=_words(one)
                )  # fmt: skip
                return Said({})
        raise NotDone(404, _GONE)

    # ---- what programs do with keys

    async def held(self, caller: Caller, asked: Row) -> Said:
        """Refuse while the withdrawals of an account's user are held; who has no user here has no hold."""
        user = self._book.of_account(int(asked["account"]))
        if user is not None:
            self._house.check_not_held(user)
        return Said({})

    async def note(self, caller: Caller, asked: Row) -> Said:
        """Write down, and tell the user, what was done about their coins."""
        user = self._book.of_account(int(asked["account"]))
        if user is not None:
            what, detail = str(asked["subject"]), str(asked["detail"])
            self._book.write("noted", user=user.id, origin=caller.origin, what=what, detail=detail)
            self._house.alert(user, what, detail, caller.origin)
        return Said({})

    def _waiting(self, user: User) -> list[tuple[str, Ticket]]:
        now_ns = self._house.now_ns()
        return [
            (digest, one) for digest, one in self._book.tickets.items()
            if one.user == user.id and one.what in ("withdrawal", "confirm") and one.expires_ns > now_ns
        ]  # fmt: skip


def _words(ticket: Ticket) -> str:
    request = ticket.data["request"]
    return f"{request['amount']:,} {request['currency']} to {request['address']} on {request['network']}"

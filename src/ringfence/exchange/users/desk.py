"""The account desk: one question in, one answer out, as the gateway asks them over its socket.

A question is a JSON object: `ask` says what, `from` where from (address, agent, session, device), the rest what was
sent. An answer holds `value`, and `session` and `device` if the browser is to keep other ones; or `refused`.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from ringfence.exchange.users.house import Caller, House, NotDone, Row, Said
from ringfence.exchange.users.keys import Keys
from ringfence.exchange.users.securing import Securing
from ringfence.exchange.users.signing_in import SigningIn
from ringfence.exchange.users.userbook import Origin, rotate_key
from ringfence.exchange.users.withdrawing import Withdrawing

log = logging.getLogger(__name__)

_AGENT_CHARACTERS_MAX, _SECRET_CHARACTERS_MAX = 200, 100
Answer = Callable[[Caller, Row], Awaitable[Said]]


class AccountDesk:
    def __init__(self, house: House, keys: Keys, *, key: Path) -> None:
        """`key` is the file of the key that private parts of the log are sealed with."""
        self._house, self._key = house, key
        signing_in, securing = SigningIn(house), Securing(house, keys)
        withdrawing = Withdrawing(house, securing)
        self._answers: dict[str, Answer] = {
            "register": signing_in.register, "verify": signing_in.verify, "opened": signing_in.opened,
            "login": signing_in.login, "loginFactor": signing_in.login_factor,
            "loginPasskeyOptions": signing_in.passkey_options, "loginPasskey": signing_in.login_passkey,
            "forgotten": signing_in.forgotten, "reset": signing_in.reset, "lock": signing_in.lock,
            "session": self._session, "alive": self._alive,
            "account": securing.account, "sessions": securing.sessions, "activity": securing.activity,
            "logout": securing.logout, "endSessions": securing.end_sessions,
            "stepUpOptions": securing.step_up_options, "stepUp": securing.step_up,
            "password": securing.password, "passkeyOptions": securing.passkey_options,
            "addPasskey": securing.add_passkey, "removePasskey": securing.remove_passkey,
            "beginTotp": securing.begin_totp, "addTotp": securing.add_totp, "removeTotp": securing.remove_totp,
            "recoveryCodes": securing.recovery_codes, "antiPhishingCode": securing.anti_phishing_code,
            "addKey": securing.add_key, "removeKey": securing.remove_key,
            "withdrawal": withdrawing.ask, "withdrawalConfirm": withdrawing.confirm,
            "withdrawalSend": withdrawing.send, "withdrawals": withdrawing.waiting,
            "rotateKey": self._rotate_key,
            "withdrawalCallBack": withdrawing.call_back, "held": withdrawing.held, "note": withdrawing.note,
        }  # fmt: skip

    async def answer(self, line: bytes) -> Row:
        """Answer one line. What is wrong is said in words that repeat nothing of it."""
        try:
            asked = msgspec.json.decode(line, type=Row)
            said = await self._answers[asked["ask"]](_caller(asked.get("from") or {}), asked)
        except NotDone as refusal:
            return {"refused": [refusal.status, refusal.message, refusal.name, refusal.seconds]}
        except (
            msgspec.MsgspecError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
        ) as error:
            # Its text may repeat what was sent.
            log.error("a question cannot be answered: %s", type(error).__name__)
            return {"refused": [400, "That is no question", "ValidationError", 0]}
        except OSError as error:
            log.critical("nothing can be written: %s", error.strerror)
            return {
                "refused": [503, "Nothing can be written at the moment: nothing was done", "HTTPError", 0]
            }
        answer: Row = {"value": said.value}
        if said.session is not None:
            answer["session"] = said.session
        if said.device is not None:
            answer["device"] = said.device
        return answer

    async def _session(self, caller: Caller, asked: Row) -> Said:
        """Return who a cookie is, for the gateway; None if nobody."""
        try:
            session, user = self._house.session(caller)
        except NotDone:
            return Said(None)
        is_up = session.stepped_up_until_ns > self._house.now_ns()
        return Said({"session": session.id, "user": user.id, "account": user.account, "isSteppedUp": is_up})

    async def _alive(self, caller: Caller, asked: Row) -> Said:
        """Return which of these sessions go on."""
        ids = {session.id for session in self._house.book.sessions.values()}
        return Said([one for one in asked["sessions"] if one in ids])

    async def _rotate_key(self, caller: Caller, asked: Row) -> Said:
        """Replace the key of the log; nobody but an operator on this machine asks for it."""
        return Said({"key": rotate_key(self._house.book, self._key, operator=asked["operator"])})


def _caller(said: Row) -> Caller:
    agent = "".join(c for c in str(said.get("agent", "")) if c.isprintable())[:_AGENT_CHARACTERS_MAX]
    session, device = (str(said.get(name, ""))[:_SECRET_CHARACTERS_MAX] for name in ("session", "device"))
    return Caller(Origin(str(said.get("address", "")), agent), session, device)

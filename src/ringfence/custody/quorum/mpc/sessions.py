"""What parties of a run say to each other: signed, once, in rounds with deadlines, and the same to everybody.

The lines between them are encrypted and pinned (mutual TLS); here is what TLS does not give. Every message is signed by
the sender's identity, which lies in its HSM, and names run, round, sender and receiver, so that none can be played
again. After a round with a broadcast everybody tells everybody what it has heard, with the signatures: who has said
two things is known by name. Whoever lets a round's time pass is named too. Nothing here ever waits longer.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from ringfence.custody.quorum.messages import statement
from ringfence.custody.quorum.mpc.engine import Heard, ProtocolAbort, Said

ROUNDS_MAX = 8
WAITING_MAX = 256
"""Messages of runs that have not begun here yet: a peer may be a moment ahead."""


class Message(msgspec.Struct, frozen=True, tag="mpcMessage"):
    """What one party says to one other in one round. Bytes are hexadecimal."""

    run: str
    round: int
    sender: str
    receiver: str
    broadcast: str
    """The same to everybody; empty if nothing."""
    broadcast_signature: str
    """Of `broadcast_digest`, so that others can be shown what was said; empty without a broadcast."""
    private: str
    signature: str
    """Of `message_digest`."""


class Echo(msgspec.Struct, frozen=True, tag="mpcEcho"):
    """What a party has heard broadcast in a round: (sender, SHA-256 of it, the sender's signature)."""

    run: str
    round: int
    sender: str
    receiver: str
    heard: tuple[tuple[str, str, str], ...]
    signature: str


Sent = Message | Echo


def broadcast_digest(run: str, number: int, sender: str, digest: str) -> bytes:
    return statement(b"mpc broadcast", run, number, sender, digest)


def message_digest(one: Message) -> bytes:
    return statement(
        b"mpc message", one.run, one.round, one.sender, one.receiver, _sha(one.broadcast), one.private
    )


def echo_digest(one: Echo) -> bytes:
    return statement(
        b"mpc echo",
        one.run,
        one.round,
        one.sender,
        one.receiver,
        *(part for line in one.heard for part in line),
    )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Identities(NamedTuple):
    """Who the parties are, and how this one signs."""

    me: str
    places: dict[str, int]
    """By name, of everybody who takes part, this one too."""
    sign: Callable[[bytes], bytes]
    verify: Callable[[str, bytes, str], bool]
    """Name, digest, signature in hexadecimal."""


class Session:
    """One run, as one party lives it: a `Carrier`."""

    def __init__(
        self,
        run: str,
        identities: Identities,
        send: Callable[[str, Sent], Awaitable[None]],
        *,
        round_seconds: float,
    ) -> None:
        self._run, self._of, self._send, self._seconds = run, identities, send, round_seconds
        self._others = sorted(set(identities.places) - {identities.me})
        self._messages: dict[tuple[int, str], Message] = {}
        self._echoes: dict[tuple[int, str], Echo] = {}
        self._trouble: ProtocolAbort | None = None
        self._news = asyncio.Event()

    # ---- what comes in

    def take(self, one: Sent) -> None:
        """Take what a peer has sent. What is wrong with it ends the run with the sender's name, here or nowhere."""
        if one.sender not in self._others or one.receiver != self._of.me or not 0 < one.round <= ROUNDS_MAX:
            return  # not of this run: whoever says so is not one whom it could be ended for
        digest = message_digest(one) if isinstance(one, Message) else echo_digest(one)
        if not self._of.verify(one.sender, digest, one.signature):
            return  # anybody can send this in anybody's name; the round's time runs
        if isinstance(one, Message):
            self._keep(self._messages, one)
        else:
            self._keep(self._echoes, one)

    def _keep(self, kept: dict[tuple[int, str], Any], one: Sent) -> None:
        before = kept.setdefault((one.round, one.sender), one)
        if before != one:
            self._trouble = self._abort(one.sender, "has said two things in one round")
        self._news.set()

    # ---- a round

    async def exchange(self, number: int, said: Said) -> Heard:
        """Say what belongs to a round and return what everybody else has. Raises ProtocolAbort, always in time."""
        spoken = said.broadcast.hex()
        signature = ""
        if spoken:
            signature = self._of.sign(broadcast_digest(self._run, number, self._of.me, _sha(spoken))).hex()
        for name in self._others:
            private = said.private.get(self._of.places[name], b"").hex()
            bare = Message(self._run, number, self._of.me, name, spoken, signature, private, "")
            await self._send(name, _signed(bare, message_digest(bare), self._of.sign))
        heard = await self._all_of(self._messages, number)
        if any(one.broadcast for one in heard.values()):
            await self._compare(number, heard)
        places = self._of.places
        return Heard(
            {places[name]: bytes.fromhex(one.broadcast) for name, one in heard.items() if one.broadcast},
            {places[name]: bytes.fromhex(one.private) for name, one in heard.items() if one.private},
        )

    async def _compare(self, number: int, heard: dict[str, Message]) -> None:
        """Tell everybody what was broadcast here, and hear the same from everybody."""
        mine: dict[str, tuple[str, str]] = {}
        for name, one in heard.items():
            digest = _sha(one.broadcast)
            if one.broadcast and not self._of.verify(
                name, broadcast_digest(self._run, number, name, digest), one.broadcast_signature
            ):
                raise self._abort(name, "has not signed what it says to everybody")
            mine[name] = (digest, one.broadcast_signature)
        lines = tuple((name, *mine[name]) for name in sorted(mine))
        for name in self._others:
            bare = Echo(self._run, number, self._of.me, name, lines, "")
            await self._send(name, _signed(bare, echo_digest(bare), self._of.sign))
        for teller, echo in (await self._all_of(self._echoes, number)).items():
            for name, digest, signature in echo.heard:
                if name not in mine or digest == mine[name][0]:
                    continue
                is_proof = self._of.verify(name, broadcast_digest(self._run, number, name, digest), signature)
                raise self._abort(name if is_proof else teller, "does not say the same to everybody")

    async def _all_of(self, kept: dict[tuple[int, str], Any], number: int) -> dict[str, Any]:
        """Wait for everybody's, and name who let the time pass."""
        try:
            async with asyncio.timeout(self._seconds):
                while missing := [name for name in self._others if (number, name) not in kept]:
                    self._raise_trouble()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            what = f"nothing from {', '.join(missing)} in round {number} within {self._seconds:g} s"
            culprit = self._of.places[missing[0]] if len(missing) == 1 else 0
            # In the first round nobody has heard anything yet that a cheat could learn from.
            raise ProtocolAbort(what, culprit=culprit, is_harmless=number == 1) from None
        self._raise_trouble()
        return {name: kept[number, name] for name in self._others}

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    def _abort(self, name: str, what: str) -> ProtocolAbort:
        return ProtocolAbort(f"{name} {what}", culprit=self._of.places[name])


def _signed(bare: Any, digest: bytes, sign: Callable[[bytes], bytes]) -> Any:
    return msgspec.structs.replace(bare, signature=sign(digest).hex())


class Switchboard:
    """Brings what peers send to the run that it is of, also if that begins here a moment later."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._early: dict[str, list[Sent]] = {}

    def begin(self, run: str, session: Session) -> None:
        self._sessions[run] = session
        for one in self._early.pop(run, []):
            session.take(one)

    def end(self, run: str) -> None:
        self._sessions.pop(run, None)

    def take(self, one: Sent) -> None:
        session = self._sessions.get(one.run)
        if session is not None:
            session.take(one)
            return
        while self._early and sum(map(len, self._early.values())) >= WAITING_MAX:
            del self._early[next(iter(self._early))]
        self._early.setdefault(one.run, []).append(one)

"""The console's routes and pages. Whatever is not named here does not exist; GET changes nothing."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ringfence.console import PAGES, deeds, texts
from ringfence.console.deeds import Actor, Deeds, RefusedError
from ringfence.console.hardware import Hardware, HardwareError
from ringfence.console.origin import END_COOKIE, HEADERS, OWN_HEADER, Origin, cookie_of, set_cookie
from ringfence.console.outside import NotDoneError, Outside
from ringfence.console.record import Draft, Record
from ringfence.console.seats import Seat
from ringfence.console.sessions import Clock, Session, Sessions, Throttle
from ringfence.console.sight import Sight, as_text, policy_row
from ringfence.custody.quorum.messages import Standing
from ringfence.exchange.gateway.http import HttpConnection, HttpRequest
from ringfence.units.time import NS_PER_MINUTE, iso

log = logging.getLogger("ringfence.console")

_TYPES = {
    ".html": b"text/html; charset=utf-8", ".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml", ".txt": b"text/plain; charset=utf-8",
}  # fmt: skip
_JSON = b"content-type: application/json; charset=utf-8\r\n"
_BODY_BYTES_MAX = 64 << 10
_AUDIT_PAGE = 200
_NOT_BUILT = (
    "the console's pages are not built: `make web` builds them where npm is; `ringfence custody` works"
)
_DRAFT_SHOWN_NS = 24 * 60 * NS_PER_MINUTE
Row = dict[str, Any]
Body = TypeVar("Body", bound=msgspec.Struct)


# ---- what is asked


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class KeyBegin(Asked, frozen=True):
    seat: str


class Answered(Asked, frozen=True):
    ticket: str
    answer: Row


class KeyFinish(Asked, frozen=True):
    ticket: str
    seat: str
    answer: Row
    signature: str


class KeyRemove(Asked, frozen=True):
    ticket: str
    seat: str
    credential: str
    signature: str


class Approve(Asked, frozen=True):
    withdrawal: str
    digest: str
    at: str
    signature: str


class Veto(Asked, frozen=True):
    withdrawal: str
    digest: str
    because: str
    signature: str


class FreezeAll(Asked, frozen=True):
    because: str
    at: str
    signature: str


class ThawSigned(Asked, frozen=True):
    signatures: list[tuple[str, str, str]]


class Halt(Asked, frozen=True):
    scope: str
    of: str
    cancelOnly: bool  # noqa: N815 - as the page writes it
    because: str


class ResumeDraft(Asked, frozen=True):
    scope: str
    of: str
    funding: str
    cause: str


class PolicyDraft(Asked, frozen=True):
    chain: str
    asset: str
    figures: Row


class OrderDraft(Asked, frozen=True):
    key: str


class DraftSigned(Asked, frozen=True):
    draft: str
    signature: str


class DraftNamed(Asked, frozen=True):
    draft: str


class Nothing(Asked, frozen=True):
    pass


# ---- what is answered


class StatusError(Exception):
    """A refusal with an HTTP status of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Answer(NamedTuple):
    row: Any
    headers: bytes = b""


@dataclass
class Surroundings:
    """Everything that the process has found out beside feed and log, for pages alone."""

    judges: list[Row] = field(default_factory=list)
    reconciliation: list[Row] = field(default_factory=list)
    status: Row = field(default_factory=dict)
    """What the coordinator says of itself."""
    standings: dict[str, Any] = field(default_factory=dict)
    keys: Row = field(default_factory=dict)
    """Of each co-signer: which keys it has a share of."""
    transcripts: list[Row] = field(default_factory=list)
    running: dict[str, Row] = field(default_factory=dict)
    """Ceremonies that go on now, by key."""


Handle = Callable[[HttpRequest, Actor | None], Awaitable[Answer]]


class Route(NamedTuple):
    handle: Handle
    is_open: bool = False
    """For people who are not signed in."""


class Server:
    """Answers each request of the console's own pages, and nobody else's."""

    def __init__(
        self, origin: Origin, record: Record, sight: Sight, outside: Outside, surroundings: Surroundings, *,
        pages: Path = PAGES, clock: Clock = time.monotonic, now_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self.origin, self._record, self._sight, self._outside = origin, record, sight, outside
        self._around, self._now_ns = surroundings, now_ns
        self._deeds = Deeds(record, sight, outside, now_ns)
        self._hardware, self._sessions, self._throttle = (
            Hardware(origin, clock),
            Sessions(clock),
            Throttle(clock),
        )
        self._pages = read_pages(pages)
        self._tasks: set[asyncio.Task[None]] = set()
        self._routes = self._all_routes()
        self.connections: set[HttpConnection] = set()

    def connection(self) -> HttpConnection:
        return HttpConnection(self.handle, self._upgrade, self.connections)

    def close(self) -> None:
        for one in list(self.connections):
            one.close()

    def _upgrade(self, connection: HttpConnection, request: HttpRequest, rest: bytes) -> None:
        connection.close()  # nothing here is spoken but HTTP

    # ---- one request

    def handle(self, connection: HttpConnection, request: HttpRequest) -> None:
        path = request.target.decode("latin-1").partition("?")[0]
        objection = self.origin.objection(request)
        if objection:
            _reply(connection, 403, _error(objection))
        elif path.startswith("/api/"):
            task = asyncio.get_running_loop().create_task(self._answer(connection, request, path))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif request.method not in ("GET", "HEAD"):
            _reply(connection, 405, _error("pages are read"))
        else:
            self._page(connection, path)

    def _page(self, connection: HttpConnection, path: str) -> None:
        found = self._pages.get("/index.html" if path == "/" else path)
        if found is None:
            is_built = "/index.html" in self._pages
            _reply(connection, 404, _error("there is no such page" if is_built else _NOT_BUILT))
            return
        body, kind = found
        connection.reply(200, body, b"", content_type=b"content-type: %s\r\n" % kind, policy=HEADERS)

    async def _answer(self, connection: HttpConnection, request: HttpRequest, path: str) -> None:
        try:
            answer = await self._found(request, path, connection.address)
            _reply(connection, 200, answer.row, answer.headers)
        except StatusError as error:
            _reply(connection, error.status, _error(str(error)))
        except (RefusedError, HardwareError) as error:
            _reply(connection, 400, _error(str(error)))
        except NotDoneError as error:
            _reply(connection, 502, _error(str(error)))
        except OSError as error:
            log.critical("a line of the log may not be on the disk: %s", error)
            _reply(connection, 503, _error("nothing can be written down at the moment, so nothing was done"))
        except Exception:
            log.exception("a request went wrong: %s %s", request.method, path)
            _reply(connection, 500, _error("the console made a mistake; what it was is in its own log"))

    async def _found(self, request: HttpRequest, path: str, address: str) -> Answer:
        name, *_ = path.removeprefix("/api/").partition("/of/")
        route = self._routes.get((request.method, name))
        if route is None:
            raise StatusError(404, "there is no such thing to ask")
        if not request.header(OWN_HEADER):
            raise StatusError(403, "this is asked by the console's own page alone")
        if len(request.body) > _BODY_BYTES_MAX:
            raise StatusError(413, "that is too much")
        actor = self._actor(request, address)
        if actor is None and not route.is_open:
            raise StatusError(401, "sign in first")
        return await route.handle(request, actor)

    def _session(self, request: HttpRequest) -> Session | None:
        is_active = request.header(OWN_HEADER) != "poll"
        token = cookie_of(request)
        return self._sessions.find(token, is_active=is_active) if token else None

    def _actor(self, request: HttpRequest, address: str) -> Actor | None:
        """Return who asks: signed in, with a key that is still enrolled, on a list that is still in force."""
        session = self._session(request)
        if session is None:
            return None
        seat = self._seat_of(session.credential)
        if seat is None:
            self._sessions.end_of(session.credential)
            return None
        return Actor(seat, session.id, address)

    def _seat_of(self, credential: str) -> Seat | None:
        """Return whose a hardware key is: as long as the list names this very person with this very key."""
        key = self._record.keys.get(credential)
        seat = self._sight.seats().get(key.seat) if key is not None else None
        if key is None or seat is None or seat.person.public_key != key.signed_by:
            return None
        return seat

    # ---- routes

    def _all_routes(self) -> dict[tuple[str, str], Route]:
        def signed(handle: Callable[[HttpRequest, Actor], Awaitable[Answer]]) -> Route:
            async def checked(request: HttpRequest, actor: Actor | None) -> Answer:
                assert actor is not None
                return await handle(request, actor)

            return Route(checked)

        return {
            ("GET", "session"): Route(self._get_session, is_open=True),
            ("POST", "login/begin"): Route(self._begin_login, is_open=True),
            ("POST", "login"): Route(self._login, is_open=True),
            ("POST", "key/begin"): Route(self._begin_key, is_open=True),
            ("POST", "key"): Route(self._enrol, is_open=True),
            ("POST", "key/remove/begin"): Route(self._begin_removal, is_open=True),
            ("POST", "key/remove"): Route(self._remove, is_open=True),
            ("POST", "logout"): signed(self._logout),
            ("POST", "still-here"): signed(self._still_here),
            ("GET", "overview"): signed(self._get_overview),
            ("GET", "requests"): signed(self._get_requests),
            ("GET", "request"): signed(self._get_request),
            ("POST", "approve"): signed(self._approve),
            ("POST", "veto"): signed(self._veto),
            ("GET", "flows"): signed(self._get_flows),
            ("GET", "signers"): signed(self._get_signers),
            ("POST", "freeze"): signed(self._freeze),
            ("POST", "thaw"): signed(self._thaw),
            ("GET", "halts"): signed(self._get_halts),
            ("POST", "halt"): signed(self._halt),
            ("POST", "resume/draft"): signed(self._draft_resume),
            ("POST", "resume/sign"): signed(self._sign_resume),
            ("POST", "resume/send"): signed(self._send_resume),
            ("GET", "ceremonies"): signed(self._get_ceremonies),
            ("POST", "policy/draft"): signed(self._draft_policy),
            ("POST", "policy/sign"): signed(self._sign_policy),
            ("POST", "policy/announce"): signed(self._announce),
            ("POST", "order/draft"): signed(self._draft_order),
            ("POST", "order/sign"): signed(self._sign_order),
            ("POST", "order/give"): signed(self._give_order),
            ("GET", "audit"): signed(self._get_audit),
        }

    @property
    def routes(self) -> dict[tuple[str, str], bool]:
        """Return every route, and whether it is for people who are not signed in."""
        return {name: route.is_open for name, route in self._routes.items()}

    # ---- login and hardware keys

    async def _get_session(self, request: HttpRequest, actor: Actor | None) -> Answer:
        who: Row | None = None
        if actor is not None:
            seat, session = actor.seat, self._session(request)
            assert session is not None
            who = {
                "seat": seat.id, "of": seat.of, "name": seat.name, "role": seat.role, "scheme": seat.scheme,
                "publicKey": seat.person.public_key, "session": actor.session, "credential": session.credential,
            }  # fmt: skip
        return Answer({"who": who, "now": str(self._now_ns()), "venue": self._deeds.venue})

    def _count_try(self) -> None:
        if not self._throttle.allows():
            raise StatusError(429, "too many have tried: again in a minute")

    async def _begin_login(self, request: HttpRequest, actor: Actor | None) -> Answer:
        self._count_try()
        body(request, Nothing)
        return Answer(self._hardware.begin_login())

    async def _login(self, request: HttpRequest, actor: Actor | None) -> Answer:
        self._count_try()
        said = body(request, Answered)
        try:
            key, count = self._hardware.finish_login(said.ticket, said.answer, self._record.keys)
        except HardwareError as error:
            self._record.write("turned away", what="login", why=str(error))
            raise StatusError(
                401, "this hardware key opens nothing here, or not this time: try again"
            ) from error
        seat = self._seat_of(key.credential)
        if seat is None:
            self._record.write("turned away", what="login", why=f"{key.seat} is not on its list any more")
            raise StatusError(401, "this hardware key opens nothing here, or not this time: try again")
        # A new session for each login: what the browser had before opens nothing any more.
        self._sessions.end(cookie_of(request))
        token = self._sessions.begin(seat.id, key.credential)
        session = self._sessions.find(token, is_active=True)
        assert session is not None
        self._record.write(
            "signed in", seat=seat.id, credential=key.credential, count=count, session=session.id
        )
        log.info("%s signed in", seat.id)
        return Answer({"seat": seat.id}, set_cookie(token))

    async def _logout(self, request: HttpRequest, actor: Actor) -> Answer:
        self._record.write("signed out", seat=actor.seat.id, session=actor.session)
        self._sessions.end(cookie_of(request))
        return Answer({}, END_COOKIE)

    async def _still_here(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer({})

    async def _begin_key(self, request: HttpRequest, actor: Actor | None) -> Answer:
        self._count_try()
        seat = body(request, KeyBegin).seat
        if not texts.is_line(seat, characters_max=100):
            raise StatusError(400, "this is no seat: LIST/NAME/ROLE")
        return Answer({**self._hardware.begin_enrolment(seat), "venue": self._deeds.venue})

    async def _enrol(self, request: HttpRequest, actor: Actor | None) -> Answer:
        self._count_try()
        said = body(request, KeyFinish)
        key = self._hardware.finish_enrolment(said.ticket, said.answer)
        seat = self._sight.seats().get(said.seat)
        text = texts.enrolment(
            venue=self._deeds.venue, seat=said.seat, credential=key.credential, key=key.digest, challenge=key.challenge
        )  # fmt: skip
        if seat is None or key.credential in self._record.keys or not seat.has_signed(text, said.signature):
            self._record.write("turned away", what="enrolment", why=f"for {said.seat}")
            raise StatusError(401, "nothing was enrolled: the list's key has not signed this for this seat")
        self._record.enrolled(key, seat=seat.id, signed_by=seat.person.public_key, signature=said.signature)
        log.info("a hardware key was enrolled for %s", seat.id)
        return Answer({"seat": seat.id, "credential": key.credential})

    async def _begin_removal(self, request: HttpRequest, actor: Actor | None) -> Answer:
        self._count_try()
        body(request, Nothing)
        return Answer({**self._hardware.begin_removal(), "venue": self._deeds.venue})

    async def _remove(self, request: HttpRequest, actor: Actor | None) -> Answer:
        """Remove a hardware key: by the list's key alone, because the hardware may be lost."""
        self._count_try()
        said = body(request, KeyRemove)
        challenge = self._hardware.finish_removal(said.ticket)
        seat, key = self._sight.seats().get(said.seat), self._record.keys.get(said.credential)
        text = texts.removal(
            venue=self._deeds.venue, seat=said.seat, credential=said.credential, challenge=challenge
        )
        if seat is None or key is None or key.seat != seat.id or not seat.has_signed(text, said.signature):
            self._record.write("turned away", what="removal", why=f"for {said.seat}")
            raise StatusError(401, "nothing was removed: the list's key has not signed this for this seat")
        self._record.write(
            "key removed", seat=seat.id, credential=said.credential, challenge=challenge, signature=said.signature
        )  # fmt: skip
        self._sessions.end_of(said.credential)
        log.info("a hardware key of %s was removed", seat.id)
        return Answer({"seat": seat.id})

    # ---- what is looked at

    async def _get_overview(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer({
            **self._sight.overview(), "status": as_text(self._around.status),
            "halted": [one.row() for one in self._sight.halts.now],
            "log": {"entries": self._record.count, "head": self._record.head},
        })  # fmt: skip

    async def _get_requests(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer(
            {"requests": self._sight.requests(self._now_ns()), "isCaughtUp": self._sight.is_caught_up}
        )

    async def _get_request(self, request: HttpRequest, actor: Actor) -> Answer:
        number = _number(request.target.decode("latin-1").partition("/of/")[2])
        try:
            said = await self._outside.desk(ask="withdrawal", withdrawal=number)
        except NotDoneError as error:
            said = {"error": str(error)}
        row = self._sight.request(number, self._now_ns(), said)
        if row is None:
            raise StatusError(404, f"there is no withdrawal {number}")
        return Answer(row)

    async def _get_flows(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer({
            **self._sight.overview(), "flows": self._sight.flows(), "status": as_text(self._around.status),
            "reconciliation": as_text(self._around.reconciliation),
        })  # fmt: skip

    async def _get_signers(self, request: HttpRequest, actor: Actor) -> Answer:
        rows = []
        for name, told in (await deeds.standings(self._outside)).items():
            member = self._sight.charter.member(name)
            standing = told if isinstance(told, Standing) else None
            line = standing.frozen if standing is not None else ""
            rows.append(
                {
                    "name": name, "role": member.role, "organisation": member.organisation, "site": member.site,
                    "standing": as_text(msgspec.to_builtins(standing)),
                    "trouble": standing.trouble if standing is not None else deeds.why(told),
                    "thawSignedBy": sorted(self._record.thaws.get((name, line), {})) if line else [],
                }
            )  # fmt: skip
        return Answer({"signers": rows})

    async def _get_halts(self, request: HttpRequest, actor: Actor) -> Answer:
        people = self._sight.people
        return Answer({
            "now": [one.row() for one in self._sight.halts.now],
            "history": [one.row() for one in self._sight.halts.history[:-51:-1]],
            "judges": self._around.judges, "people": msgspec.to_builtins(people.people if people else ()),
            "drafts": self._drafts("resume"),
        })  # fmt: skip

    async def _get_ceremonies(self, request: HttpRequest, actor: Actor) -> Answer:
        now_ns, charter = self._now_ns(), self._sight.charter
        return Answer({
            "policies": [policy_row(one, now_ns) for one in self._sight.policies(now_ns)],
            "policyDrafts": self._drafts("policy"), "orderDrafts": self._drafts("order"),
            "charter": {
                "digest": charter.digest, "members": [
                    {"name": one.name, "role": one.role, "organisation": one.organisation, "site": one.site,
                     "model": one.model, "serial": one.serial, "hasTpm": bool(one.tpm_key)}
                    for one in charter.members
                ],
                "people": [{"name": one.name, "group": one.group} for one in charter.people],
            },
            "keys": as_text(self._around.keys), "transcripts": as_text(self._around.transcripts),
            "running": list(self._around.running.values()),
            "annexes": [
                {"chain": one.chain, "key": one.key, "left": [old.key for old in one.left]}
                for one in self._sight.annexes.values()
            ],
        })  # fmt: skip

    async def _get_audit(self, request: HttpRequest, actor: Actor) -> Answer:
        newest = list(self._record.newest)[: -_AUDIT_PAGE - 1 : -1]
        return Answer({
            "entries": [
                {"number": one.number, "at": iso(one.at_ns), "kind": one.kind, "body": as_text(one.body),
                 "digest": one.digest.hex()}
                for one in newest
            ],
            "count": self._record.count, "head": self._record.head,
        })  # fmt: skip

    def _drafts(self, what: str) -> list[Row]:
        """Return what is being signed, and what was lately; newest first."""
        after = self._now_ns() - _DRAFT_SHOWN_NS
        return [
            _draft_row(one)
            for one in reversed(self._record.drafts.values())
            if one.what == what and one.at_ns > after
        ]

    # ---- what is done

    async def _approve(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, Approve)
        done = await self._deeds.approve(
            actor, _number(said.withdrawal), digest=said.digest, at_ns=_number(said.at), signature=said.signature
        )  # fmt: skip
        return Answer({"said": done})

    async def _veto(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, Veto)
        done = await self._deeds.veto(
            actor, _number(said.withdrawal), digest=said.digest, because=said.because, signature=said.signature
        )  # fmt: skip
        return Answer({"said": done})

    async def _freeze(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, FreezeAll)
        done = await self._deeds.freeze(
            actor, because=said.because, at_ns=_number(said.at), signature=said.signature
        )
        return Answer({"said": done})

    async def _thaw(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer({"said": await self._deeds.thaw(actor, body(request, ThawSigned).signatures)})

    async def _halt(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, Halt)
        done = await self._deeds.halt(
            actor, scope=said.scope, of=said.of, cancel_only=said.cancelOnly, because=said.because
        )
        return Answer({"said": done})

    async def _draft_resume(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, ResumeDraft)
        draft = await self._deeds.draft_resume(
            actor, scope=said.scope, of=said.of, funding=said.funding, cause=said.cause
        )
        return Answer(_draft_row(draft))

    async def _sign_resume(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, DraftSigned)
        return Answer(_draft_row(self._deeds.sign_resume(actor, _number(said.draft), said.signature)))

    async def _send_resume(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer(
            {"said": await self._deeds.send_resume(actor, _number(body(request, DraftNamed).draft))}
        )

    async def _draft_policy(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, PolicyDraft)
        return Answer(
            _draft_row(
                self._deeds.draft_policy(actor, chain=said.chain, asset=said.asset, figures=said.figures)
            )
        )

    async def _sign_policy(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, DraftSigned)
        return Answer(_draft_row(self._deeds.sign_policy(actor, _number(said.draft), said.signature)))

    async def _announce(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer({"said": await self._deeds.announce(actor, _number(body(request, DraftNamed).draft))})

    async def _draft_order(self, request: HttpRequest, actor: Actor) -> Answer:
        return Answer(_draft_row(self._deeds.draft_order(actor, key=body(request, OrderDraft).key)))

    async def _sign_order(self, request: HttpRequest, actor: Actor) -> Answer:
        said = body(request, DraftSigned)
        return Answer(_draft_row(self._deeds.sign_order(actor, _number(said.draft), said.signature)))

    async def _give_order(self, request: HttpRequest, actor: Actor) -> Answer:
        """Begin a ceremony; it goes on by itself, and the page looks how far it is."""
        line, order = self._deeds.begin_order(actor, _number(body(request, DraftNamed).draft))
        task = asyncio.get_running_loop().create_task(self._carry_out(line, order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Answer({"said": f"{order.order.key}: the co-signers talk to each other"})

    async def _carry_out(self, line: int, order: Any) -> None:
        try:
            await self._deeds.carry_out(line, order)
        except (NotDoneError, OSError) as error:
            log.warning("a ceremony came to nothing: %s", error)


def body(request: HttpRequest, kind: type[Body]) -> Body:
    """Return what a request says. Raises StatusError if it is not exactly what is asked for."""
    try:
        return msgspec.json.decode(request.body or b"{}", type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise StatusError(400, "this is not what is asked for here") from error


def read_pages(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    """Return every file of the pages by its path: what is not there at the start is not served."""
    return {
        f"/{path.relative_to(folder).as_posix()}": (path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix in _TYPES
    }


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise StatusError(400, "this is no number")
    return int(text)


def _draft_row(draft: Draft) -> Row:
    return {
        "number": str(draft.number), "what": draft.what, "by": draft.seat, "at": iso(draft.at_ns),
        "body": as_text(draft.body), "signedBy": list(draft.signatures), "sent": draft.sent, "isDone": draft.is_done,
        "outcome": draft.outcome,
    }  # fmt: skip


def _error(message: str) -> Row:
    return {"error": {"message": message}}


def _reply(connection: HttpConnection, status: int, row: Any, headers: bytes = b"") -> None:
    connection.reply(status, msgspec.json.encode(row), headers, content_type=_JSON, policy=HEADERS)

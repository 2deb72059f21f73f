"""The gateway: one port for REST and WebSocket, one desk behind them."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from picows import WSAutoPingStrategy, WSCloseCode
from picows.api import WSProtocol

from ringfence.configuration import Limits
from ringfence.database.addresses import Purpose, history_url
from ringfence.exchange.feed import Load
from ringfence.exchange.gateway import pages, policies, published, refusals, swagger, well_known
from ringfence.exchange.gateway.authentication import WEBSOCKET_MESSAGE, authenticate, message_of, require
from ringfence.exchange.gateway.custody import CustodyDesk
from ringfence.exchange.gateway.desk import Desk
from ringfence.exchange.gateway.errors import Refused, unavailable
from ringfence.exchange.gateway.figures import GatewayFigures
from ringfence.exchange.gateway.http import HttpConnection, HttpRequest
from ringfence.exchange.gateway.limits import Limiter, Presence, take
from ringfence.exchange.gateway.load import LoadBoard
from ringfence.exchange.gateway.origins import check_origin, origins_of
from ringfence.exchange.gateway.parameters import parse_body, parse_form
from ringfence.exchange.gateway.people import PeopleDesk, Person, has_session, is_page, origin_of
from ringfence.exchange.gateway.rest import LATER, ROUTES, Request, Route, encode, limit_headers
from ringfence.exchange.gateway.schema import VERSION
from ringfence.exchange.gateway.websocket import Publisher, Session
from ringfence.exchange.gateway.websocket.sluice import PIECE_BYTES, UNREAD_BYTES, Sluice, feed
from ringfence.exchange.projections import Changes, Result
from ringfence.exchange.projections.history import HistoryReader, Query
from ringfence.exchange.users.keys import ApiKey, KeyStore, keys_of
from ringfence.exchange.users.one_time import OneTimePasswords
from ringfence.messages.load import LoadState
from ringfence.monitoring.traces import Traces

log = logging.getLogger(__name__)

_API = "/api/v1"
_HISTORY_WAIT_SECONDS = 5.0
_HISTORY_POLL_SECONDS = 0.004
_KEYS_EVERY_SECONDS = 1.0
_LOAD_EVERY_SECONDS = 0.25
_PROBES = ("/health", "/ready")
Found = TypeVar("Found")


class _Behind(Exception):
    """History is not there yet."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one gateway process is told: by `ringfence.toml`, and by its command line which of several it is."""

    host: str = "127.0.0.1"
    port: int = 8040
    public_host: str | None = None
    """Host and port that clients see, for the swagger document; None = that of each request."""
    public_scheme: str = "http"
    origins: tuple[str, ...] = ()
    """Other sites whose pages may speak to this gateway as its own may, e.g. https://charts.example."""
    core_directory: str | None = None
    """Where the core's socket, the feed and the checkpoints are; None = the data directory."""
    history_url: str | None = None
    """SQLAlchemy URL; None = what `database.url` in the data directory says, or history.sqlite there."""
    pending_max: int = 20_000
    """Commands that may await their outcome; beyond it new orders are turned away and cancels are not."""
    flush_milliseconds: int = 5
    """How long public changes are gathered before they are sent."""
    limits: Limits = Limits()


def _any(configuration: int) -> None:
    """Take whatever is in force."""


class Gateway:
    """Everything that serves one port. `start`, then `stop`."""

    def __init__(
        self,
        directory: Path,
        config: Config,
        *,
        traces: Traces | None = None,
        check: Callable[[int], None] = _any,
    ) -> None:
        """`check` is given the number of the configuration in force before anybody is let in; what it raises,
        `start` does.
        """
        self.config, self._check = config, check
        self.figures = GatewayFigures(traces)
        self.limits = config.limits
        self.origins = origins_of(
            public_scheme=config.public_scheme, public_host=config.public_host, others=config.origins
        )
        self.directory = directory
        self.keys = KeyStore(keys_of(directory, Purpose.GATEWAY))
        self.custody = CustodyDesk(directory)
        self.people = PeopleDesk(directory)
        self._pages = pages.Pages()
        self.one_time = OneTimePasswords()
        self._always = policies.always(config.public_scheme)
        self.limiter = Limiter(config.limits)
        self.presence = Presence(config.limits)
        core = Path(config.core_directory) if config.core_directory else directory
        self.desk = Desk(
            core, self._changed, self._hear_load, pending_max=config.pending_max, figures=self.figures
        )
        self.load = LoadBoard(self._publish_load)
        self.desk.on_shed = self._count_shed
        self.publisher: Publisher
        self.sessions: set[Session] = set()
        self._connections: set[HttpConnection] = set()
        self._history_url = config.history_url or history_url(directory, Purpose.GATEWAY)
        self._reader: HistoryReader | None = None
        self._history_thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    # ---- life

    async def start(self) -> None:
        """Catch up with the exchange and listen."""
        loop = asyncio.get_running_loop()
        await self.desk.start()
        self._check(self.desk.views.configuration)
        self.publisher = Publisher(
            self.desk.views, schedule=loop.call_later, flush_seconds=self.config.flush_milliseconds / 1000
        )
        self.desk.reports_for = self.publisher.listening
        self._server = await loop.create_server(
            self._welcome, self.config.host, self.config.port, backlog=1024, reuse_address=True
        )
        self.run(self._watch_keys())
        self.run(self._watch_load())

    def _welcome(self) -> HttpConnection:
        return HttpConnection(
            self._handle, self._upgrade, self._connections, always=self._always, presence=self.presence,
            figures=self.figures,
        )  # fmt: skip

    @property
    def port(self) -> int:
        """The port that is listened on, also when 0 was asked for."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Tell clients that we restart, and stop."""
        if self._server is not None:
            self._server.close()
        for session in list(self.sessions):
            session.close(WSCloseCode.SERVICE_RESTART, "restarting")
        for connection in list(self._connections):
            connection.close()
        for task in list(self._tasks):
            task.cancel()
        self.desk.close()
        self._history_thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.sleep(0.05)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run something beside the request that asked for it."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch_keys(self) -> None:
        """Read the keys again when they change; a key that is gone loses its connections."""
        while True:
            await asyncio.sleep(_KEYS_EVERY_SECONDS)
            try:
                # A database may be slow to answer, and clients do not wait for it.
                await asyncio.to_thread(self.keys.refresh)
            except (OSError, ValueError) as error:
                log.error("%s; the keys that were read before stay in force", error)
                continue
            await self._end_sessions()
            for session in list(self.sessions):
                if session.key is not None and session.person is None:
                    found = self.keys.get(session.key.record.id)
                    if found is None or not found.record.enabled:
                        session.close(WSCloseCode.POLICY_VIOLATION, "the API key was revoked")
                    else:
                        session.key = found

    async def _watch_load(self) -> None:
        """Look how things stand now and then, so that it is told when they are well again."""
        while True:
            await asyncio.sleep(_LOAD_EVERY_SECONDS)
            self.desk.look_around()

    def _hear_load(self, state: LoadState, core: Load) -> None:
        self.load.hear(state, core.wait_ns, core.sheds)

    def _count_shed(self, reason: str) -> None:
        self.load.count(reason)
        self.figures.sheds[reason] += 1

    def _publish_load(self, row: dict[str, Any]) -> None:
        if self.sessions:
            self.publisher.announce("shed", row)

    async def _end_sessions(self) -> None:
        """Close the realtime connections of people who have signed out."""
        signed_in = [(session, session.person.session) for session in self.sessions if session.person]
        if not signed_in:
            return
        try:
            alive = await self.people.alive([name for _, name in signed_in])
        except Refused as refused:
            log.error("%s: who has signed out meanwhile is not known", refused.message)
            return
        for session, name in signed_in:
            if name not in alive:
                session.close(WSCloseCode.POLICY_VIOLATION, "signed out")

    # ---- time: the wire's clock, never the engine's

    def now(self) -> float:
        return time.time()

    def now_ns(self) -> int:
        return time.time_ns()

    # ---- what others need

    @property
    def connected(self) -> int:
        return len(self.sessions)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def trouble(self) -> str:
        """Return why no client should be sent here now, empty if one may."""
        if self._server is None or not self._server.is_serving():
            return "it does not listen"
        return "" if self.desk.is_connected else "the line to the core is lost"

    def _changed(self, changes: Changes) -> None:
        if self.sessions:
            self.publisher.take(changes)

    def refusal_of(self, result: Result) -> Refused:
        """Return why the engine refused a command, in the wire's words."""
        return refusals.refusal_of(self.desk.views, result)

    def currency_of(self, symbol: int) -> str:
        """Return what an instrument's refusals are counted in."""
        return refusals.currency_of(self.desk.views, symbol)

    async def aside(self, work: Callable[[], Found]) -> Found:
        """Return what `work` gives, done in the thread that reads the past: it may take some milliseconds."""
        return await asyncio.get_running_loop().run_in_executor(self._history_thread, work)

    async def history(self, query: Query) -> list[dict[str, Any]]:
        """Return rows of the past that include everything this gateway has answered so far. Raises Refused."""
        return await self.past(lambda reader: reader.rows(query))

    async def past(self, ask: Callable[[HistoryReader], Found]) -> Found:
        """Ask history once it includes everything this gateway has answered so far.

        Raises Refused (503) if the history process does not get there in time.
        """
        wanted = self.desk.views.next_sequence
        loop = asyncio.get_running_loop()
        until = loop.time() + _HISTORY_WAIT_SECONDS
        while True:
            try:
                return await loop.run_in_executor(
                    self._history_thread, lambda: self._read_history(wanted, ask)
                )
            except _Behind:
                pass
            except ValueError as error:
                raise Refused(400, str(error), "ValidationError") from error
            except TimeoutError as error:
                raise Refused(
                    400, "The query takes too long: narrow it by symbol or time", "ValidationError"
                ) from error
            if loop.time() > until:
                raise unavailable("the history of orders and trades is behind")
            await asyncio.sleep(_HISTORY_POLL_SECONDS)

    def _read_history(self, wanted: int, ask: Callable[[HistoryReader], Found]) -> Found:
        """Runs in the history thread. Raises _Behind."""
        try:
            if self._reader is None:
                self._reader = HistoryReader(self._history_url)
            if self._reader.next_sequence() < wanted:
                raise _Behind
            return ask(self._reader)
        except (ValueError, TimeoutError, _Behind):
            raise
        except Exception as error:
            log.exception("the history database cannot be read")
            self._reader = None
            raise _Behind from error

    def log_fault(self, request: Request) -> None:
        log.exception("a request to %s failed", request.where)

    # ---- REST

    def _handle(self, connection: HttpConnection, http: HttpRequest) -> None:
        if self.figures.traces is not None:
            http.trace = self.figures.traces.begin(http.method)
        if is_page(http) and has_session(http):
            self.run(self._handle_person(connection, http))
        else:
            self._serve(connection, http, None)

    async def _handle_person(self, connection: HttpConnection, http: HttpRequest) -> None:
        """Find out whose session a page's request is of, then go on as for everybody."""
        try:
            check_origin(http, self.origins)
            person = await self.people.person(origin_of(connection.address, http), self.now())
        except Refused as refused:
            self._turn_away(connection, refused)
            return
        self._serve(connection, http, person)

    def _serve(self, connection: HttpConnection, http: HttpRequest, person: Person | None) -> None:
        request: Request | None = None
        try:
            admitted = self._admit(connection, http, person)
            if admitted is None:
                return
            route, request = admitted
            outcome = route.handler(request)
        except Refused as refused:
            if request is not None:
                request.refuse(refused)
            else:
                self._turn_away(connection, refused)
            return
        except Exception:
            log.exception("a request to %s %s failed", http.method, http.target.partition(b"?")[0][:80])
            connection.reply(
                500, Refused(500, "Server Error: this is our fault and has been logged", "Error").body()
            )
            return
        if outcome is LATER:
            return
        if asyncio.iscoroutine(outcome):
            self.run(request.answer_when(outcome))
        else:
            request.answer(outcome)

    def _turn_away(self, connection: HttpConnection, refused: Refused) -> None:
        headers = b""
        bucket = self.limiter.requests(None, connection.address, self.now())
        if refused.status == 429:
            seconds = refused.retry_after_seconds or 1
            headers = b"retry-after: %d\r\n" % seconds
        connection.reply(refused.status, refused.body(), headers + limit_headers(bucket, None, self.now()))

    def _admit(
        self, connection: HttpConnection, http: HttpRequest, person: Person | None
    ) -> tuple[Route, Request] | None:
        """Find the route, the caller and its parameters. Raises Refused; None if it was answered."""
        raw_path, _, raw_query = http.target.partition(b"?")
        path, query = raw_path.decode("latin-1"), raw_query.decode("latin-1")
        if not path.startswith(_API):
            self._answer_root(connection, http, path)
            return None
        now = self.now()
        name = path[len(_API) :]
        key = person.key if person is not None else self._key_of(connection, http, now)
        if not name or name == "/":
            self._take(self.limiter.pages(connection.address, now), now)
            connection.reply(
                200, encode({"name": "BitMEX API", "version": VERSION, "timestamp": int(now * 1000)})
            )
            return None
        bucket = self._take(self.limiter.requests(key, connection.address, now), now)
        route = ROUTES.get((http.method, name.rstrip("/")))
        if route is not None:
            http.route = route.kind
        request = Request(connection, self, {}, key, bucket)
        request.where = f"{http.method} {path[:80]}"
        if key is not None and person is None:
            request.expires = http.headers[b"api-expires"]
        try:
            if route is None:
                raise self._no_route(http.method, name)
            if route.for_page:
                self._check_page(http)
                request.origin = origin_of(connection.address, http)
            if route.needs_key:
                self._check_caller(route, request, person)
            request.parameters = parse_form(query) if query else {}
            if http.body:
                request.parameters.update(parse_body(http.body, http.header(b"content-type")))
        except Refused as refused:
            request.refuse(refused)
            return None
        return route, request

    def _check_page(self, http: HttpRequest) -> None:
        """Raise Refused unless a page of ours asks: what people do with their accounts is not for programs."""
        if not is_page(http):
            raise Refused(403, "This is for the exchange's own page: the header x-ringfence is missing")
        check_origin(http, self.origins)

    def _check_caller(self, route: Route, request: Request, person: Person | None) -> None:
        """Raises Refused: 401 if nobody asks, 403 if somebody who may not."""
        key = request.key
        if key is None:
            raise Refused(401, "Authorization Required")
        if key.account not in self.desk.views.accounts:
            raise Refused(403, "Invalid account")
        if route.permission is not None:
            if person is not None and not key.allows(route.permission):
                raise Refused(403, "Confirm that it is you, then ask again.", "StepUpRequired")
            require(key, route.permission)
        request.person = person
        if route.moves_orders:
            request.second_bucket = self.count_order(key)

    def _no_route(self, method: str, name: str) -> Refused:
        allowed = sorted(m for m, path in ROUTES if path == name.rstrip("/"))
        if allowed:
            return Refused(405, f"{method} is not possible here; use {', '.join(allowed)}")
        return Refused(404, "Not Found")

    def _key_of(self, connection: HttpConnection, http: HttpRequest, now: float) -> ApiKey | None:
        """Return the key that signed a request, None if it is not signed. Raises Refused."""
        key_id = http.header(b"api-key")
        if not key_id:
            return None
        expires = http.header(b"api-expires")
        try:
            if not expires:
                raise Refused(401, "api-expires is missing; api-nonce is no longer supported")
            return authenticate(
                self.keys, key_id=key_id, expires=expires, signature=http.header(b"api-signature"),
                message=message_of(http.method, http.target, expires, http.body), address=connection.address,
                now_seconds=int(now),
            )  # fmt: skip
        except Refused:
            # Guessing counts against the address.
            self._take(self.limiter.requests(None, connection.address, now), now)
            raise

    def _take(self, bucket: Any, now: float) -> Any:
        return take(bucket, now)

    def count_report(self, address: str) -> Any:
        """Count one report of a hole against its address's limit. Raises Refused (429)."""
        now = self.now()
        return self._take(self.limiter.reports(address, now), now)

    def count_order(self, key: ApiKey) -> Any:
        """Count one order request against the account's second limit. Raises Refused (429)."""
        now = self.now()
        return self._take(self.limiter.orders(key, now), now)

    def _answer_root(self, connection: HttpConnection, http: HttpRequest, path: str) -> None:
        """Answer what is not the API: pages, files, and where things are. All of it counts. Raises Refused."""
        if path in _PROBES and http.method in ("GET", "HEAD"):
            self._answer_probe(connection, http, path)
            return
        http.route = "page"
        now = self.now()
        self._take(self.limiter.pages(connection.address, now), now)
        if http.method == "POST" and path == policies.REPORTS:
            self._hear_report(connection, http)
        elif http.method not in ("GET", "HEAD"):
            raise Refused(404, "Not Found")
        elif path == "/api/explorer/swagger.json":
            host = self.config.public_host or http.header(b"host") or f"{self.config.host}:{self.port}"
            connection.reply(200, encode(swagger.document(host, self.config.public_scheme)))
        elif path == "/":
            self._answer_home(connection, http)
        elif path.rstrip("/") == "/account":
            # A browser takes what is behind # along: links in mails are short.
            connection.reply(302, b"", b"location: /trade/account.html\r\n")
        elif path.removeprefix("/") in pages.ROOTS:
            connection.reply(302, b"", b"location: %s/\r\n" % path.encode())
        elif (page := self._page(http, path)) is not None:
            connection.reply_page(page.body, page.headers)
        elif path.startswith(well_known.PREFIX):
            known = well_known.find(self.directory, path)
            connection.reply_page(known.body, known.headers)
        elif path.startswith(published.PREFIX):
            self._answer_published(connection, published.find(self.directory, path, http.header(b"range")))
        else:
            raise Refused(404, "Not Found")

    def _answer_probe(self, connection: HttpConnection, http: HttpRequest, path: str) -> None:
        """Say whether we live and may be sent clients. Balancers ask often, so it is not limited; it costs nothing.

        Why not is for operators: they read it at the socket in the folder.
        """
        http.route = "probe"
        is_good = path == "/health" or not self.trouble()
        connection.reply(200 if is_good else 503, encode({path[1:]: is_good}))

    def _answer_published(self, connection: HttpConnection, part: published.Part) -> None:
        status = 200 if part.is_whole else 206
        self.run(
            connection.reply_file(
                status, part.path, offset=part.offset, count=part.length, headers=part.headers
            )
        )

    def _hear_report(self, connection: HttpConnection, http: HttpRequest) -> None:
        if len(http.body) > policies.REPORT_BYTES_MAX:
            raise Refused(413, f"The report is longer than {policies.REPORT_BYTES_MAX} bytes")
        now = self.now()
        self._take(self.limiter.policy_reports(connection.address, now), now)
        policies.log_report(http.body)
        connection.reply(200, b"{}")

    def _answer_home(self, connection: HttpConnection, http: HttpRequest) -> None:
        """Lead a browser to the page, and tell everybody else where things are."""
        if "text/html" in http.header(b"accept") and (pages.HOME / "trade" / "index.html").exists():
            connection.reply(302, b"", b"location: /trade/\r\n")
        else:
            connection.reply(200, encode(self._greeting()))

    def _page(self, http: HttpRequest, path: str) -> pages.Page | None:
        return self._pages.find(path, takes_gzip="gzip" in http.header(b"accept-encoding"))

    def _greeting(self) -> dict[str, str]:
        return {
            "name": "Ringfence", "api": _API, "realtime": "/realtime",
            "swagger": "/api/explorer/swagger.json", "instruments": f"{_API}/instrument/active",
            "proofs": "/proofs/index.json", "verifier": "/proofs/verifier.html", "trade": "/trade/",
            "public": "/public/", "security": "/.well-known/security.txt",
        }  # fmt: skip

    # ---- WebSocket

    def websocket_key(self, key_id: str, expires: str, signature: str, address: str) -> ApiKey:
        """Return the key that signed a realtime connection. Raises Refused."""
        message = WEBSOCKET_MESSAGE + expires.encode("latin-1", "replace")
        key = authenticate(
            self.keys, key_id=key_id, expires=expires, signature=signature, message=message, address=address,
            now_seconds=int(self.now()),
        )  # fmt: skip
        if key.account not in self.desk.views.accounts:
            raise Refused(403, "Invalid account")
        return key

    def _upgrade(self, connection: HttpConnection, http: HttpRequest, ahead: bytes) -> None:
        """Check who wants a realtime connection, then give the socket to picows."""
        raw_path, _, raw_query = http.target.partition(b"?")
        query = raw_query.decode("latin-1")
        now = self.now()
        try:
            self._take(self.limiter.connections(connection.address, now), now)
            if raw_path != b"/realtime":
                raise Refused(404, "Not Found")
            check_origin(http, self.origins)
            if not _is_websocket(http):
                raise Refused(400, "This is no WebSocket handshake of version 13")
            key = self._websocket_caller(connection, http, query)
        except Refused as refused:
            self._turn_away(connection, refused)
            return
        # A browser can add no header here: that the Origin is ours says that no other site has sent the cookie.
        if key is None and has_session(http) and http.header(b"origin"):
            self.run(self._upgrade_person(connection, http, query, ahead))
        else:
            self._open(Session(self, connection.address, key, query), connection, http, ahead)

    async def _upgrade_person(
        self, connection: HttpConnection, http: HttpRequest, query: str, ahead: bytes
    ) -> None:
        """Open a page's connection for whoever is signed in there; for nobody if the session is over."""
        try:
            person = await self.people.person(origin_of(connection.address, http), self.now())
        except Refused as refused:
            self._turn_away(connection, refused)
            return
        has_account = person is not None and person.key.account in self.desk.views.accounts
        session = Session(self, connection.address, person.key if person and has_account else None, query)
        session.person = person
        self._open(session, connection, http, ahead)

    def _open(self, session: Session, connection: HttpConnection, http: HttpRequest, ahead: bytes) -> None:
        transport = connection.hand_over()
        if transport is None:
            return
        protocol = WSProtocol(
            None, None, False, lambda request: session, logging.getLogger("picows.server"), True, 5.0, True, 30.0, 30.0,
            WSAutoPingStrategy.PING_WHEN_IDLE, True, 1 << 20, None, 2 * PIECE_BYTES,
        )  # fmt: skip
        # What waits unread is bounded too: else it is taken when nobody wants it any more.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        transport.set_protocol(Sluice(protocol))
        protocol.connection_made(transport)
        feed(protocol, memoryview(_head_of(http) + ahead))

    def _websocket_caller(self, connection: HttpConnection, http: HttpRequest, query: str) -> ApiKey | None:
        named = {name: http.header(f"api-{name}".encode()) for name in ("key", "expires", "signature")}
        if not named["key"]:
            fields = parse_form(query)
            named = {name: str(fields.get(f"api-{name}", "")) for name in named}
        if not named["key"]:
            return None
        return self.websocket_key(named["key"], named["expires"], named["signature"], connection.address)


def _is_websocket(http: HttpRequest) -> bool:
    """Return whether the handshake is one that picows takes: what it refuses itself, it refuses without headers."""
    return (
        http.header(b"upgrade").lower() == "websocket"
        and http.header(b"sec-websocket-version") == "13"
        and bool(http.header(b"sec-websocket-key"))
    )


def _head_of(http: HttpRequest) -> bytes:
    """Write the upgrade request again, in the plain form that every parser takes."""
    lines = [b"GET " + http.target + b" HTTP/1.1"]
    lines += [name + b": " + value.strip() for name, value in http.headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"

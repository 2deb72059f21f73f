"""A REST endpoint: its place, who may use it, what it takes and gives. The swagger document is made of these."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ringfence.exchange.bucket import Bucket
from ringfence.exchange.gateway.errors import Refused
from ringfence.exchange.gateway.parameters import Parameters
from ringfence.exchange.gateway.people import Person
from ringfence.exchange.gateway.rest.csv_text import CSV_HEADERS, CSV_TYPE, csv_of
from ringfence.exchange.projections import Result
from ringfence.exchange.users.keys import ApiKey, Permission

if TYPE_CHECKING:
    from ringfence.exchange.gateway.gateway import Gateway
    from ringfence.exchange.gateway.http import HttpConnection

encode = msgspec.json.Encoder().encode


class Later:
    """What a handler returns when it will answer by itself."""


LATER = Later()


class Parameter(NamedTuple):
    """One parameter as the swagger document shows it. `type`: string, number, boolean, JSON."""

    name: str
    type: str
    is_required: bool = False
    format: str | None = None
    description: str = ""


Handler = Callable[["Request"], Any]


class Route(NamedTuple):
    method: str
    path: str
    operation: str
    """Tag.operationId as BitMEX names it: generated clients call it by this."""
    handler: Handler
    parameters: tuple[Parameter, ...]
    returns: str
    """Model name, `Model[]`, or `object`."""
    needs_key: bool
    permission: Permission | None
    moves_orders: bool
    """Counts against the orders-per-second limit too."""
    summary: str
    for_page: bool
    """For the exchange's own page alone; the account desk finds out who asks."""
    kind: str
    """The first word of its path: figures are kept by it."""


ROUTES: dict[tuple[str, str], Route] = {}


def route(
    method: str,
    path: str,
    operation: str,
    *parameters: Parameter,
    returns: str = "object",
    key: bool = False,
    permission: Permission | None = None,
    moves_orders: bool = False,
    page: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler; its docstring's first line becomes the summary."""

    def register(handler: Handler) -> Handler:
        summary = (handler.__doc__ or "").strip().split("\n")[0]
        ROUTES[method, path] = Route(
            method, path, operation, handler, parameters, returns, key or permission is not None,
            permission, moves_orders, summary, page, path.split("/")[1],
        )  # fmt: skip
        return handler

    return register


class Request:
    """One request on its way through: who asks, with which parameters, and how to answer."""

    __slots__ = (
        "_connection", "bucket", "expires", "gateway", "headers", "key", "origin", "parameters", "person",
        "second_bucket", "where",
    )  # fmt: skip

    def __init__(
        self, connection: "HttpConnection", gateway: "Gateway", parameters: Parameters, key: ApiKey | None,
        bucket: Bucket | None,
    ) -> None:  # fmt: skip
        self._connection, self.gateway = connection, gateway
        self.parameters = parameters
        self.key = key
        self.bucket = bucket
        self.second_bucket: Bucket | None = None
        self.expires = b""
        """Until when the request's signature is good, a Unix time in seconds; empty for a page's."""
        self.where = ""
        """Method and path, for the log of a fault: what is behind the path may be private."""
        self.person: Person | None = None
        """Who asks, if it is a page's session and not a key."""
        self.origin: dict[str, str] = {}
        """Where a page's request is from, as the account desk is told."""
        self.headers = b""
        """More lines for the answer."""

    @property
    def account(self) -> int:
        assert self.key is not None, "the route lets in requests without a key"
        return self.key.account

    @property
    def address(self) -> str:
        """The address that the request comes from."""
        return self._connection.address

    def is_here(self) -> bool:
        """Return whether whoever asks can still be answered, and has not said that it is too late by now."""
        is_late = bool(self.expires) and int(self.expires) < int(self.gateway.now())
        return self._connection.is_open and not is_late

    def count_report(self) -> None:
        """Count a report of a hole against the address it comes from. Raises Refused (429)."""
        self.second_bucket = None
        self.bucket = self.gateway.count_report(self._connection.address)

    # ---- one command

    def carry_out(self, token: int, command: bytes, show: Callable[[Result], Any]) -> Later:
        """Send a command; answer with what `show` makes of its result, or with why it was refused."""

        def hear(outcome: Sequence[Result] | Refused) -> None:
            if isinstance(outcome, Refused):
                self.refuse(outcome)
            elif outcome[0].refusal is not None:
                self.refuse(self.gateway.refusal_of(outcome[0]))
            else:
                self.answer(show(outcome[0]))

        self.gateway.desk.submit(((token, command),), hear, is_here=self.is_here)
        return LATER

    # ---- the answer, exactly once

    def answer(self, value: Any) -> None:
        if self.parameters.get("_format") == "csv" and isinstance(value, list):
            self._connection.reply(200, csv_of(value), self._limit_headers() + CSV_HEADERS, CSV_TYPE)
        else:
            self._connection.reply(200, encode(value), self._limit_headers() + self.headers)

    def refuse(self, refused: Refused) -> None:
        headers = self._limit_headers()
        if refused.retry_after_seconds is not None:
            headers += b"retry-after: %d\r\n" % refused.retry_after_seconds
        self._connection.reply(refused.status, refused.body(), headers)

    async def answer_when(self, coming: Awaitable[Any]) -> None:
        """Answer with what an async handler returns or raises."""
        try:
            value = await coming
        except Refused as refused:
            self.refuse(refused)
        except Exception:
            self.gateway.log_fault(self)
            self.refuse(Refused(500, "Server Error: this is our fault and has been logged", "Error"))
        else:
            self.answer(value)

    def _limit_headers(self) -> bytes:
        return limit_headers(self.bucket, self.second_bucket, self.gateway.now())


def limit_headers(bucket: Bucket | None, second: Bucket | None, now: float) -> bytes:
    """Return the x-ratelimit header lines; `reset` is the Unix second at which there is room again."""
    if bucket is None:
        return b""
    reset = int(now) if bucket.remaining else int(now) + bucket.seconds_until(1)
    lines = b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n" % (
        bucket.capacity, bucket.remaining, reset,
    )  # fmt: skip
    return lines if second is None else lines + b"x-ratelimit-remaining-1s: %d\r\n" % second.remaining


SYMBOL = Parameter(
    "symbol", "string", description="Instrument symbol, e.g. XBTUSD; a bare root means the nearest."
)
TABLE_PARAMETERS: tuple[Parameter, ...] = (
    SYMBOL,
    Parameter(
        "filter", "JSON", format="JSON", description='Column equality, e.g. {"side": "Buy"}; arrays mean any.'
    ),
    Parameter("columns", "JSON", format="JSON", description="Columns to return; keys are always there."),
    Parameter("count", "number", format="int32", description="How many rows, 100 if not given."),
    Parameter("start", "number", format="int32", description="How many rows to pass over."),
    Parameter("reverse", "boolean", description="Newest first."),
    Parameter("startTime", "string", format="date-time", description="Earliest timestamp."),
    Parameter("endTime", "string", format="date-time", description="Latest timestamp."),
)


def required(name: str, type_: str = "string", description: str = "") -> Parameter:
    return Parameter(name, type_, True, None, description)


def optional(name: str, type_: str = "string", description: str = "") -> Parameter:
    return Parameter(name, type_, False, None, description)

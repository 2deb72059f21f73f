"""What an operator may choose, with the range of each value and what a new exchange has.

None of it changes what the engine does: that is set by commands of its own (docs/operating/configuration.md). What is
a secret, or says which machine this is, has files of its own.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

HOST_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?$|^::1?$"
ANY, NONE = "any", "none"


def _whole(least: int, most: int, what: str, unit: str = "") -> msgspec.Meta:
    takes = f"a whole number from {least} to {most}"
    return msgspec.Meta(ge=least, le=most, description=what, extra={"takes": takes, "unit": unit})


def _words(pattern: str, takes: str, what: str) -> msgspec.Meta:
    return msgspec.Meta(pattern=pattern, max_length=512, description=what, extra={"takes": takes, "unit": ""})


def _choice(takes: str, what: str) -> msgspec.Meta:
    return msgspec.Meta(description=what, extra={"takes": takes, "unit": ""})


_PATH_PATTERN, _PATH_TAKES = r"^[^\s].*$", 'the path of a file, or "none"'
_HOST_TAKES = 'an address or a name, such as "127.0.0.1"'
Origin = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/\"\\]{1,255}$")]


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """REST and WebSocket."""

    host: Annotated[str, _words(HOST_PATTERN, _HOST_TAKES, "Where a gateway listens.")] = "127.0.0.1"
    port: Annotated[int, _whole(1, 65_535, "Its one port; more gateways of one machine name theirs.")] = 8040
    public_host: Annotated[
        str,
        _words(
            HOST_PATTERN,
            'a host, with its port if that is not the usual one, or "any"',
            "What clients see, for passkeys, mail and documents; any: whatever host a request names.",
        ),
    ] = ANY
    public_scheme: Annotated[
        Literal["http", "https"],
        _choice('"http" or "https"', "How clients come; with https browsers are told to come no other way."),
    ] = "http"
    origins: Annotated[
        tuple[Origin, ...],
        _choice(
            'a list of origins, such as ["https://charts.example"]',
            "Other sites whose pages may speak to a gateway as its own may; [] = none.",
        ),
    ] = ()
    pending_max: Annotated[
        int,
        _whole(
            0,
            1_000_000,
            "Commands of one gateway that may await their outcome; then no more orders are taken.",
        ),
    ] = 20_000
    flush_milliseconds: Annotated[
        int, _whole(1, 1_000, "How long public changes are gathered before they are sent.", "ms")
    ] = 5


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much somebody may ask of one gateway. 0 = no limit."""

    requests_per_minute: Annotated[int, _whole(0, 1_000_000, "Requests of one account.", "per minute")] = 120
    anonymous_requests_per_minute: Annotated[
        int, _whole(0, 1_000_000, "Requests of one address without a key.", "per minute")
    ] = 30
    orders_per_second: Annotated[
        int, _whole(0, 100_000, "What moves orders, of one account.", "per second")
    ] = 10
    connections_per_hour: Annotated[
        int, _whole(0, 1_000_000, "New realtime connections of one address.", "per hour")
    ] = 60
    connections_per_address: Annotated[
        int, _whole(0, 1_000_000, "Connections of one address at one time, of both kinds.")
    ] = 200
    connections_at_once: Annotated[
        int, _whole(0, 1_000_000, "Connections of everybody at one time. Each takes a file descriptor.")
    ] = 8_000
    page_files_per_minute: Annotated[
        int, _whole(0, 1_000_000, "Files of pages and proofs for one address, found or not.", "per minute")
    ] = 600
    security_reports_per_hour: Annotated[
        int, _whole(0, 100_000, "Reports of holes, and what is added to them, from one address.", "per hour")
    ] = 5
    policy_reports_per_hour: Annotated[
        int,
        _whole(
            0, 100_000, "Browsers' reports of pages that broke their policy, from one address.", "per hour"
        ),
    ] = 20
    subscriptions_max: Annotated[int, _whole(0, 100_000, "Topics of one WebSocket connection.")] = 1_000


class FixSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """FIX 4.4. What it may hold, and how much somebody may ask, is as above."""

    host: Annotated[
        str, _words(HOST_PATTERN, _HOST_TAKES, "Where it listens; without TLS only on this machine.")
    ] = "127.0.0.1"
    port: Annotated[int, _whole(0, 65_535, "Its port; 0 = there is no FIX gateway.")] = 0
    certificate: Annotated[
        str, _words(_PATH_PATTERN, _PATH_TAKES, "File of its certificate for TLS; none = without TLS.")
    ] = NONE
    private_key: Annotated[
        str,
        _words(
            _PATH_PATTERN,
            _PATH_TAKES,
            "File of the key of that certificate; the key itself never stands here.",
        ),
    ] = NONE
    sync: Annotated[
        bool,
        _choice(
            "true or false",
            "Sync a session's file before its messages leave; without it a power cut may lose the last of them.",
        ),
    ] = True
    connections_max: Annotated[int, _whole(1, 100_000, "Connections at one time.")] = 256
    sessions_per_account: Annotated[int, _whole(1, 100_000, "Sessions of one account.")] = 16
    messages_per_second: Annotated[
        int, _whole(1, 1_000_000, "Messages of one connection, garbled ones too.", "per second")
    ] = 500


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """People who sign in: how often somebody may be wrong. Nobody can lock others out by it."""

    failures_of_user: Annotated[
        int, _whole(1, 10_000, "Wrong passwords and codes of one user, by strangers.", "per hour")
    ] = 20
    failures_of_address: Annotated[
        int, _whole(1, 100_000, "Wrong passwords and codes from one address.", "per hour")
    ] = 60
    failures_of_device: Annotated[
        int,
        _whole(1, 10_000, "Wrong passwords and codes from a device that has signed in before.", "per hour"),
    ] = 20
    mails_of_person: Annotated[
        int, _whole(1, 10_000, "Mails to one person that strangers can have us write.", "per hour")
    ] = 5
    mails_of_address: Annotated[
        int, _whole(1, 100_000, "Mails that one address can have us write.", "per hour")
    ] = 30


class CoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one writer. Records are commands, and pieces of the text beside them."""

    queue_slots_max: Annotated[
        int,
        _whole(
            8_192, 1 << 20, "Records that may wait for their batch; then nothing more is read from gateways."
        ),
    ] = 65_536
    queue_milliseconds_max: Annotated[
        int, _whole(10, 60_000, "An order that has waited for so long is turned away, not placed.", "ms")
    ] = 500
    snapshot_commands: Annotated[
        int,
        _whole(
            10_000,
            100_000_000,
            "A snapshot is made after so many records; a start replays no more than that.",
        ),
    ] = 1_000_000


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file, table by table."""

    gateway: GatewaySettings = GatewaySettings()
    limits: Limits = Limits()
    fix: FixSettings = FixSettings()
    accounts: Rates = Rates()
    core: CoreSettings = CoreSettings()


FIRST_ANONYMOUS_REQUESTS_PER_MINUTE = 600
"""A first visitor's curls and the web page come from one address; BitMEX's 30 would turn them away."""
FIRST = Settings(limits=Limits(anonymous_requests_per_minute=FIRST_ANONYMOUS_REQUESTS_PER_MINUTE))
"""What a new exchange has."""


def with_values(settings: Settings, values: dict[str, Any]) -> Settings:
    """Return settings with other values, by name such as `gateway.port`; nothing is checked."""
    for name, value in values.items():
        table, _, key = name.partition(".")
        changed = msgspec.structs.replace(getattr(settings, table), **{key: value})
        settings = msgspec.structs.replace(settings, **{table: changed})
    return settings


class Setting(NamedTuple):
    """One value of the file."""

    table: str
    key: str
    kind: Any
    """Its type, with the range."""
    what: str
    takes: str
    """Which values it takes, in words."""
    unit: str

    @property
    def name(self) -> str:
        return f"{self.table}.{self.key}"

    def of(self, settings: Settings) -> Any:
        return getattr(getattr(settings, self.table), self.key)


def tables() -> dict[str, type[msgspec.Struct]]:
    return {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _settings() -> Iterator[Setting]:
    for table, kind in tables().items():
        for field in msgspec.structs.fields(kind):
            meta = get_args(field.type)[1]
            yield Setting(
                table, field.name, field.type, meta.description, meta.extra["takes"], meta.extra["unit"]
            )


SETTINGS = tuple(_settings())
"""Every value that there is, in the order of the file."""

"""A stream of NATS JetStream: three servers, file storage, synced before each acknowledgement.

What was found out about the servers (`docs/decisions/0025`): version 2.12.8 alone is good; a repeated message is
answered as a duplicate on three servers and with "wrong last sequence" on one, so an entry counts as ours if its
hash is ours, whatever the answer was.
"""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import ParseResult

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from ringfence.exchange.journal.stream import (
    ENTRIES_AT_ONCE,
    Entry,
    FencedError,
    StreamLostError,
    StreamUnavailableError,
)

log = logging.getLogger(__name__)

PAYLOAD_BYTES_MAX = 8 << 20
"""What servers are told to take: the longest batch has 4,096 slots, or one submission of a megabyte."""
_ID, _EXPECTED, _STREAM = "Nats-Msg-Id", "Nats-Expected-Last-Sequence", "Nats-Expected-Stream"
_SEQUENCE, _STATUS = "Nats-Sequence", "Status"
_WRONG_LAST_SEQUENCE = 10071
_NO_SUCH_STREAM = 10059
_DUPLICATE_WINDOW_SECONDS = 120.0
_ANSWER_SECONDS = 1.0
_TRIES = 1
_NEAR_SECONDS = 0.3
_CONNECT_SECONDS = 4.0
_PAUSE_SECONDS = 0.05
_MISSING_MAX = 100
"""So often the stream may say that it is shorter than we know before that is believed: a new leader may be behind."""
_BATCH_BYTES = 4 << 20
_NOTES = "Ringfence-"


class _TlsTransport(TcpTransport):
    """A connection that is TLS from its first byte on.

    nats-py would go over to TLS on a connection that is there. When that fails it waits for ever for the end of the
    connection, and when a server is frozen 30 s for its farewell; both keep it from the next server.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._context = context

    def __bool__(self) -> bool:
        """Whether it is there: else the client takes one of its own."""
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        async with asyncio.timeout(connect_timeout):
            self._io_reader, self._io_writer = await asyncio.open_connection(
                uri.hostname,
                uri.port,
                limit=buffer_size,
                ssl=self._context,
                ssl_shutdown_timeout=_NEAR_SECONDS,
            )

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """It is."""


async def connect(
    servers: Sequence[str], *, user: str, password: str, name: str, context: ssl.SSLContext | None
) -> Client:
    """Connect to whichever server answers, in this order; without a context in the clear.

    Raises StreamUnavailableError.
    """
    client = Client()
    if context is not None:
        client._transport = _TlsTransport(context)

    told = ""

    async def say(error: Exception) -> None:
        nonlocal told
        told = str(error) or type(error).__name__
        log.info("NATS: %s", told)

    try:
        await _within(_CONNECT_SECONDS, client.connect(
            list(servers), user=user, password=password, name=name, dont_randomize=True, connect_timeout=1,
            # The transport is TLS already. Were it not, the client would believe whoever says, before any TLS, that
            # there is to be none, and say its password.
            tls=context, tls_handshake_first=context is not None,
            # A client of a frozen server would wait for minutes.
            ping_interval=1, max_outstanding_pings=2, max_reconnect_attempts=_TRIES,
            reconnect_time_wait=0.05,  # type: ignore[arg-type]
            error_cb=say, pending_size=4 * PAYLOAD_BYTES_MAX,
        ))  # fmt: skip
    except (OSError, TimeoutError, nats.errors.Error) as error:
        await hang_up(client)
        why = told or str(error) or "no answer"
        raise StreamUnavailableError(f"no NATS server of {', '.join(servers)} lets us in: {why}") from error
    # Once it was let in it comes back for ever. Asked for before, it would try for ever with a wrong password, too,
    # and not always notice that it was cancelled.
    client.options["max_reconnect_attempts"] = -1
    return client


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Wait for what may not notice that it is cancelled, and leave it behind then. Raises TimeoutError, its errors."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError
        task.result()
    finally:
        task.cancel()


async def hang_up(client: Client) -> None:
    """Hang up on a server that may not answer any more."""
    with contextlib.suppress(Exception):
        await _within(_ANSWER_SECONDS, client.close())


class NatsServers:
    """See `Servers`."""

    def __init__(
        self, client: Client, servers: Sequence[str], *, name: str, subject: str, replicas: int
    ) -> None:
        self._client, self._servers, self._name = client, servers, name
        self._subject, self._replicas = subject, replicas
        self._streams: dict[str, JetStream] = {}
        self._take: Callable[[Msg], Awaitable[None]] | None = None

    @classmethod
    async def open(
        cls, servers: Sequence[str], *, user: str, password: str, context: ssl.SSLContext | None, name: str,
        subject: str, replicas: int,
    ) -> "NatsServers":  # fmt: skip
        """Connect; what is said is said below `subject`. Raises StreamUnavailableError."""
        client = await connect(servers, user=user, password=password, name=name, context=context)
        return cls(client, servers, name=name, subject=subject, replicas=replicas)

    async def renew(self, *, user: str, password: str, context: ssl.SSLContext | None) -> None:
        """Go over to a connection with another user or certificate; what is under way on the old one ends there.

        Raises StreamUnavailableError: then the old one stays.
        """
        client = await connect(self._servers, user=user, password=password, name=self._name, context=context)
        if self._take is not None:
            await client.subscribe(f"{self._subject}.*", cb=self._take)
        old, self._client = self._client, client
        for stream in self._streams.values():
            stream.client = client
        await asyncio.sleep(_ANSWER_SECONDS)
        await hang_up(old)

    async def stream(self, name: str) -> "JetStream":
        self._streams[name] = await JetStream.open(self._client, name, replicas=self._replicas)
        return self._streams[name]

    async def say(self, subject: str, body: bytes) -> None:
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            await self._client.publish(f"{self._subject}.{subject}", body)
            await self._client.flush(1)

    async def nudge(self, subject: str, body: bytes) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._client.publish(f"{self._subject}.{subject}", body)

    async def listen(self, hear: Callable[[str, bytes], None], on_growth: Callable[[], None]) -> None:
        """See `Servers`: a nudge says what has grown."""

        async def take(message: Msg) -> None:
            hear(message.subject.removeprefix(f"{self._subject}."), message.data)
            on_growth()

        self._take = take
        await self._client.subscribe(f"{self._subject}.*", cb=take)

    async def keep_off(self, server: str, others: list[str]) -> None:
        if self._replicas == 1 or not others:
            return
        for stream in self._streams.values():
            with contextlib.suppress(StreamUnavailableError):
                if await stream.leader() == server:
                    await stream.move_leader(others[0])

    async def close(self) -> None:
        await hang_up(self._client)


class JetStream:
    """One stream. It belongs to the event loop that it was opened in."""

    def __init__(self, client: Client, name: str) -> None:
        self.client, self.name = client, name
        self.subject = name
        self._direct_get = f"$JS.API.DIRECT.GET.{name}"

    @classmethod
    async def open(cls, client: Client, name: str, *, replicas: int = 3) -> "JetStream":
        """Return the stream, made if there is none. Raises StreamUnavailableError."""
        wanted = StreamConfig(
            name=name, subjects=[name], num_replicas=replicas, storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS, duplicate_window=_DUPLICATE_WINDOW_SECONDS, allow_direct=True,
            deny_delete=True, deny_purge=True,
        )  # fmt: skip
        try:
            await client.jetstream(timeout=5 * _ANSWER_SECONDS).add_stream(wanted)
        except (TimeoutError, nats.errors.Error) as error:
            raise StreamUnavailableError(f"stream {name} cannot be had: {error}") from error
        return cls(client, name)

    async def append(self, raw: bytes, *, digest: bytes, after: int, notes: dict[str, str]) -> int:
        """See `Stream`. Raises FencedError, StreamLostError."""
        number, missing = after + 1, 0
        said = {_ID: digest.hex(), _EXPECTED: str(after), _STREAM: self.name, **notes}
        while True:
            try:
                answer = await self.client.request(self.subject, raw, timeout=_ANSWER_SECONDS, headers=said)
                told = json.loads(answer.data)
                if (error := told.get("error")) is None and told.get("seq") == number:
                    return number
                code = error.get("err_code") if error else None
                if error is None or code == _WRONG_LAST_SEQUENCE:
                    if await self._is_ours(number, digest):
                        return number
                    raise FencedError(number=number)
                log.warning("NATS does not take entry %d yet: %s", number, error.get("description"))
            except StreamLostError:
                missing += 1
                if missing > _MISSING_MAX:
                    raise
            except (TimeoutError, OSError, ValueError, nats.errors.Error, StreamUnavailableError) as error:
                log.warning(
                    "entry %d is in doubt, asking again: %s", number, str(error) or type(error).__name__
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _is_ours(self, number: int, digest: bytes) -> bool:
        """Return whether the entry with a number is the one with this hash. Raises StreamUnavailableError."""
        try:
            found = await self.client.jetstream(timeout=_ANSWER_SECONDS).get_msg(self.name, number)
        except nats.js.errors.NotFoundError:
            # The answer said that the end of the stream is another one than we know, and ours is not in it.
            raise StreamLostError(f"the stream {self.name} has no entry {number}") from None
        except (TimeoutError, nats.errors.Error) as error:
            raise StreamUnavailableError(str(error)) from error
        return (found.headers or {}).get(_ID) == digest.hex()

    async def read(self, first: int, *, at_most: int = ENTRIES_AT_ONCE) -> list[Entry]:
        """See `Stream`."""
        client = self.client
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, pending_bytes_limit=-1, pending_msgs_limit=-1)
        asked = {"seq": first, "batch": at_most, "max_bytes": _BATCH_BYTES}
        found: list[Entry] = []
        try:
            await client.publish(self._direct_get, json.dumps(asked).encode(), reply=inbox)
            while True:
                message = await subscription.next_msg(timeout=_NEAR_SECONDS if not found else _ANSWER_SECONDS)
                entry = self._entry_of(message)
                if entry is None:
                    return found
                if entry.number != first + len(found):
                    raise StreamLostError(f"the stream {self.name} has no entry {first + len(found)}")
                found.append(entry)
        except (TimeoutError, nats.errors.Error):
            # Any of the servers may have been asked, also one that is cut off; the stream's leader is not.
            return found or await self._read_from_leader(first)
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _read_from_leader(self, number: int) -> list[Entry]:
        try:
            found = await self.client.jetstream(timeout=_ANSWER_SECONDS).get_msg(self.name, number)
        except nats.js.errors.NotFoundError:
            return []
        except (TimeoutError, nats.errors.Error) as error:
            raise StreamUnavailableError(f"entry {number} of {self.name}: {error}") from error
        notes = {name: text for name, text in (found.headers or {}).items() if name.startswith(_NOTES)}
        return [Entry(number, found.data or b"", notes)]

    @staticmethod
    def _entry_of(message: Msg) -> Entry | None:
        """Return the entry of a message, None if it says that there are no more."""
        said = message.headers or {}
        if _STATUS in said or _SEQUENCE not in said:
            return None
        notes = {name: text for name, text in said.items() if name.startswith(_NOTES)}
        return Entry(int(said[_SEQUENCE]), message.data, notes)

    async def last(self) -> int:
        """See `Stream`."""
        try:
            state = (await self.client.jetstream(timeout=_ANSWER_SECONDS).stream_info(self.name)).state
        except (TimeoutError, nats.errors.Error) as error:
            raise StreamUnavailableError(f"stream {self.name}: {error}") from error
        return state.last_seq

    async def first(self) -> int:
        """See `Stream`: everything is held."""
        return 1

    async def trim(self, below: int) -> None:
        """See `Stream`: everything is held."""

    async def leader(self) -> str:
        """Return the name of the server that leads the stream, empty if none does. Raises StreamUnavailableError."""
        try:
            cluster = (await self.client.jetstream(timeout=_ANSWER_SECONDS).stream_info(self.name)).cluster
        except (TimeoutError, nats.errors.Error) as error:
            raise StreamUnavailableError(f"stream {self.name}: {error}") from error
        return (cluster.leader if cluster else None) or ""

    async def move_leader(self, server: str) -> None:
        """Ask the stream's servers to be led by one of them; what they do is seen by `leader`."""
        asked = json.dumps({"placement": {"preferred": server}}).encode()
        with contextlib.suppress(TimeoutError, nats.errors.Error):
            await self.client.request(
                f"$JS.API.STREAM.LEADER.STEPDOWN.{self.name}", asked, timeout=_ANSWER_SECONDS
            )

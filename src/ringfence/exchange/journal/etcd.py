"""A stream on etcd: its servers choose a leader in a second or two, and keep the newest entries only.

Spoken to over etcd's JSON gateway with mutual TLS. Keys, below a prefix:

    NAME/last           the number of the last entry
    NAME/first          the number of the first that is still held
    NAME/e/NUMBER       an entry
    said/SUBJECT        what was said last

An append is one transaction: if `last` is what the writer has read, the entry and the new `last` are written.
"""

import asyncio
import base64
import contextlib
import json
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import msgspec

from ringfence.exchange.journal.stream import (
    ENTRIES_AT_ONCE,
    Entry,
    FencedError,
    StreamLostError,
    StreamUnavailableError,
)

log = logging.getLogger(__name__)

REQUEST_BYTES_MAX = 4 << 20
"""What servers are told to take: one submission of a megabyte and what base64 makes of it."""
_ANSWER_SECONDS = 1.0
_PAUSE_SECONDS = 0.05
_ENTRIES_AT_ONCE = 64
_TRIM_AT_ONCE = 10_000


class _Stored(msgspec.Struct, array_like=True):
    digest: bytes
    raw: bytes
    notes: dict[str, str]


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class EtcdServers:
    """See `Servers`."""

    def __init__(self, session: aiohttp.ClientSession, servers: Sequence[str], prefix: str) -> None:
        self._session, self._servers, self._prefix = session, list(servers), prefix
        self._hear: Callable[[str, bytes], None] = lambda subject, body: None
        self._on_growth: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, servers: Sequence[str], *, context: ssl.SSLContext, prefix: str) -> "EtcdServers":
        """Connect to whichever server answers, in this order. Raises StreamUnavailableError."""
        session = _session(context)
        opened = cls(session, servers, prefix)
        try:
            await opened.ask("kv/range", {"key": _b64(prefix.encode())})
        except StreamUnavailableError:
            await session.close()
            raise
        return opened

    async def renew(self, *, context: ssl.SSLContext) -> None:
        """Go over to connections with other certificates; what is under way on the old ones ends there."""
        old, self._session = self._session, _session(context)
        if self._watching is not None:
            self._watching.cancel()
            self._watching = asyncio.create_task(self._watch())
        await asyncio.sleep(_ANSWER_SECONDS)
        await old.close()

    def key(self, *names: str) -> str:
        """Return a key as the gateway wants it."""
        return _b64("/".join((self._prefix, *names)).encode())

    async def ask(self, what: str, question: dict[str, Any]) -> dict[str, Any]:
        """Ask a server, and the next one if it does not answer. Raises StreamUnavailableError."""
        why = "no server answers"
        for _ in self._servers:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    async with self._session.post(f"{self._servers[0]}/v3/{what}", json=question) as answer:
                        told: dict[str, Any] = json.loads(await answer.read())
                        if answer.status == 200:
                            return told
                        why = str(told.get("error") or told)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                why = str(error) or type(error).__name__
            self._servers.append(self._servers.pop(0))
        raise StreamUnavailableError(f"etcd: {why}")

    async def stream(self, name: str) -> "EtcdStream":
        return EtcdStream(self, name)

    async def say(self, subject: str, body: bytes) -> None:
        with contextlib.suppress(StreamUnavailableError):
            await self.ask("kv/put", {"key": self.key("said", subject), "value": _b64(body)})

    async def nudge(self, subject: str, body: bytes) -> None:
        """See `Servers`: who listens is woken by the entry."""

    async def listen(self, hear: Callable[[str, bytes], None], on_growth: Callable[[], None]) -> None:
        self._hear, self._on_growth = hear, on_growth
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Follow every change below the prefix, on one server after another."""
        begin, end = f"{self._prefix}/".encode(), f"{self._prefix}0".encode()
        asked = {"create_request": {"key": _b64(begin), "range_end": _b64(end)}}
        said = f"{self._prefix}/said/"
        patience = aiohttp.ClientTimeout(total=None, sock_read=5 * _ANSWER_SECONDS)
        while True:
            try:
                async with self._session.post(
                    f"{self._servers[0]}/v3/watch", json=asked, timeout=patience
                ) as answer:
                    async for line in _lines(answer.content):
                        for event in json.loads(line).get("result", {}).get("events", ()):
                            key = base64.b64decode(event["kv"]["key"]).decode()
                            if key.startswith(said):
                                self._hear(
                                    key.removeprefix(said), base64.b64decode(event["kv"].get("value", ""))
                                )
                            else:
                                self._on_growth()
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.info("etcd: %s", str(error) or type(error).__name__)
            self._servers.append(self._servers.pop(0))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def keep_off(self, server: str, others: list[str]) -> None:
        """See `Servers`: a new leader is chosen soon enough."""

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self._session.close()


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def _lines(content: aiohttp.StreamReader) -> Any:
    """Yield whole lines, however long."""
    held = b""
    async for piece in content.iter_any():
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            if line:
                yield line


class EtcdStream:
    """See `Stream`."""

    def __init__(self, servers: EtcdServers, name: str) -> None:
        self._servers, self._name = servers, name
        self._last, self._first = servers.key(name, "last"), servers.key(name, "first")

    def _entry_key(self, number: int) -> str:
        return self._servers.key(self._name, "e", f"{number:020d}")

    async def append(self, raw: bytes, *, digest: bytes, after: int, notes: dict[str, str]) -> int:
        number = after + 1
        stored = msgspec.msgpack.encode(_Stored(digest, raw, notes))
        known = (
            {"target": "VALUE", "key": self._last, "value": _b64(b"%d" % after)}
            if after
            else {"target": "CREATE", "key": self._last, "create_revision": "0"}
        )
        asked = {
            "compare": [{"result": "EQUAL", **known}],
            "success": [
                {"request_put": {"key": self._entry_key(number), "value": _b64(stored)}},
                {"request_put": {"key": self._last, "value": _b64(b"%d" % number)}},
            ],
            "failure": [{"request_range": {"key": self._entry_key(number)}}],
        }
        while True:
            try:
                told = await self._servers.ask("kv/txn", asked)
                if told.get("succeeded"):
                    return number
                rows = told["responses"][0]["response_range"].get("kvs", ())
                if rows and _decode(rows[0]["value"]).digest == digest:
                    return number
                raise FencedError(number=number)
            except StreamUnavailableError as error:
                log.warning("entry %d is in doubt, asking again: %s", number, error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def read(self, first: int, *, at_most: int = ENTRIES_AT_ONCE) -> list[Entry]:
        asked = {
            "key": self._entry_key(first), "range_end": self._servers.key(self._name, "e0"),
            "limit": str(min(at_most, _ENTRIES_AT_ONCE)), "serializable": True,
        }  # fmt: skip
        rows = (await self._servers.ask("kv/range", asked)).get("kvs", ())
        found: list[Entry] = []
        for row in rows:
            number = int(base64.b64decode(row["key"]).decode().rpartition("/")[2])
            if number != first + len(found):
                raise StreamLostError(f"the stream {self._name} has no entry {first + len(found)} any more")
            stored = _decode(row["value"])
            found.append(Entry(number, stored.raw, stored.notes))
        return found

    async def last(self) -> int:
        return await self._number(self._last, absent=0)

    async def first(self) -> int:
        return await self._number(self._first, absent=1)

    async def _number(self, key: str, *, absent: int) -> int:
        rows = (await self._servers.ask("kv/range", {"key": key})).get("kvs", ())
        return int(base64.b64decode(rows[0]["value"])) if rows else absent

    async def trim(self, below: int) -> None:
        """Let go of entries below a number, some at a time; what was asked twice is done once."""
        first = await self.first()
        end = min(below, first + _TRIM_AT_ONCE)
        if end <= first:
            return
        gone = {"key": self._entry_key(1), "range_end": self._entry_key(end)}
        # First it is said, then done: who looks for the first entry finds one.
        await self._servers.ask("kv/put", {"key": self._first, "value": _b64(b"%d" % end)})
        await self._servers.ask("kv/deleterange", gone)


def _decode(value: str) -> _Stored:
    return msgspec.msgpack.decode(base64.b64decode(value), type=_Stored)

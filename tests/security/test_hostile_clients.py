"""Clients that are slow, deaf or many: what they take is bounded, and others do not notice."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.configuration import Limits
from ringfence.exchange.gateway import http
from ringfence.exchange.gateway.gateway import Config, Gateway
from ringfence.exchange.gateway.http import HttpConnection, HttpRequest
from ringfence.exchange.gateway.limits import Presence
from ringfence.testing.client import Client
from ringfence.testing.socket import Socket
from ringfence.testing.venue import Venue
from ringfence.testing.wire import written

from .conftest import ALICE

GET = b"GET /api/v1/trade HTTP/1.1\r\nhost: x\r\n\r\n"
MANY = 1_000


# ---- one connection, its clock made faster


class Served:
    """A server that answers with so many bytes, and what became of its connections."""

    def __init__(self, body_bytes: int) -> None:
        self.answered = 0
        self.connections: set[HttpConnection] = set()
        self._body = b"x" * body_bytes

    def handle(self, connection: HttpConnection, request: HttpRequest) -> None:
        self.answered += 1
        connection.reply(200, self._body)

    async def start(self) -> tuple[asyncio.Server, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: HttpConnection(self.handle, lambda *_: None, self.connections), "127.0.0.1", 0
        )
        return server, int(server.sockets[0].getsockname()[1])

    @property
    def unfetched_bytes(self) -> int:
        return sum(one._transport.get_write_buffer_size() for one in self.connections if one._transport)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_IDLE_SECONDS", 0.4)


async def gone(served: Served, *, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while served.connections:
        assert time.monotonic() < until, "the connection is still there"
        await asyncio.sleep(0.02)


async def test_a_request_that_never_ends_is_cut_off_however_busily_it_comes(quick: None) -> None:
    served = Served(10)
    server, port = await served.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.monotonic()
    writer.write(b"GET /?")
    while served.connections or time.monotonic() < begun + 0.1:
        assert time.monotonic() < begun + 3, "a byte now and then keeps it for ever"
        writer.write(b"a")
        await asyncio.sleep(0.02)
    assert served.answered == 0
    writer.close()
    server.close()


async def test_answers_that_nobody_fetches_stop_the_work_and_then_the_connection(quick: None) -> None:
    served = Served(1 << 20)
    server, port = await served.start()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    deaf.sendall(GET * 60)
    await asyncio.sleep(0.2)
    assert 0 < served.answered < 10, "it worked on, with nowhere to put the answers"
    assert served.unfetched_bytes < 8 << 20
    await gone(served)
    deaf.close()
    server.close()


async def test_who_fetches_slowly_gets_everything_in_order(quick: None) -> None:
    served = Served(1 << 20)
    server, port = await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    writer.write(GET * 10)
    heard = 0
    while heard < 10 << 20:
        heard += len(await asyncio.wait_for(reader.read(1 << 17), 5))
        await asyncio.sleep(0.002)
    assert served.answered == 10
    writer.close()
    server.close()


async def test_what_is_sent_ahead_is_bounded_in_bytes_too() -> None:
    waits: list[HttpConnection] = []
    connections: set[HttpConnection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: HttpConnection(lambda one, _: waits.append(one), lambda *_: None, connections), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(written("POST", "/api/v1/order", [], b"x" * (1 << 20)) * 5)
    await asyncio.sleep(0.2)
    for _ in range(3):
        waits.pop().reply(200, b"{}")
    answers = (await asyncio.wait_for(reader.read(), 5)).decode()
    assert answers.count("HTTP/1.1 200") == 3, "what came whole is answered"
    assert answers.count("HTTP/1.1 429") == 1
    assert answers.rindex("429") > answers.rindex("HTTP/1.1 200")
    writer.close()
    server.close()


# ---- many connections


def test_addresses_are_counted_apart_and_forgotten() -> None:
    presence = Presence(Limits(connections_per_address=2, connections_at_once=3))
    assert [presence.enter(address) for address in ("a", "a", "a", "b", "b")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    presence.leave("a")
    assert presence.enter("b")
    for address in ("a", "b", "b"):
        presence.leave(address)
    assert [presence.enter("c"), presence.enter("c"), presence.enter("c")] == [True, True, False]
    unlimited = Presence(Limits(connections_per_address=0, connections_at_once=0))
    assert all(unlimited.enter("a") for _ in range(MANY))


@pytest.fixture
def crowd(venue: Venue) -> Iterator[list[socket.socket]]:
    """1,000 connections from one address, of which none says a word."""
    made = []
    for _ in range(MANY):
        one = socket.create_connection(("127.0.0.1", venue.port), source_address=("127.0.0.3", 0), timeout=5)
        made.append(one)
    yield made
    for one in made:
        one.close()


def is_open(one: socket.socket) -> bool:
    """Return whether the other end has neither spoken nor closed."""
    one.settimeout(0.0)
    try:
        return one.recv(1, socket.MSG_PEEK) == b"?"
    except BlockingIOError:
        return True
    except OSError:
        return False


async def test_a_thousand_idle_connections_of_one_address_keep_nobody_out(
    venue: Venue, crowd: list[socket.socket]
) -> None:
    others = await Socket.signed(venue.realtime_url, 1)
    assert sum(map(is_open, crowd)) == Limits().connections_per_address
    client, took = Client(venue.port, ALICE), []
    for index in range(30):
        begun = time.perf_counter()
        assert client.place(orderQty=100, price=4_000 + index).status == 200
        took.append(time.perf_counter() - begun)
    assert sorted(took)[len(took) // 2] < 0.2, took
    others.say(op="ping")
    await others.until(lambda frame: frame.get("op") == "pong")
    others.close()
    assert client.call("DELETE", "/order/all", {}).status == 200


def test_when_a_crowd_has_gone_there_is_room_again(venue: Venue) -> None:
    until = time.monotonic() + 5
    while True:
        with socket.create_connection(
            ("127.0.0.1", venue.port), source_address=("127.0.0.3", 0), timeout=5
        ) as one:
            one.sendall(GET)
            if one.recv(12) == b"HTTP/1.1 200":
                return
        assert time.monotonic() < until


# ---- WebSockets


async def test_a_frame_of_twenty_megabytes_ends_its_own_connection_alone(venue: Venue) -> None:
    other = await Socket.open(venue.realtime_url)
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
    writer.write(
        b"GET /realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(struct.pack("!BBQ", 0x81, 0xFF, 20 << 20) + bytes(4))
    sent = 0
    try:
        while sent < 20 << 20:
            writer.write(bytes(1 << 16))
            sent += 1 << 16
            await writer.drain()
            if reader.at_eof():
                break
            await asyncio.sleep(0)
        await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        pass
    assert sent < 20 << 20, "all of it was taken"
    writer.close()
    other.say(op="ping")
    await other.until(lambda frame: frame.get("op") == "pong")
    other.close()


# ---- pages


@pytest.mark.parametrize(
    "path",
    ["/public/index.html", "/public/nothing", "/trade/nothing", "/.well-known/nothing", "/proofs/nothing", "/nothing",
     "/api/explorer/swagger.json", "/", "/trade", "/api/v1", "/csp-report"],
)  # fmt: skip
def test_whatever_is_asked_for_counts_found_or_not(path: str, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, Config(public_host="x", limits=Limits(page_files_per_minute=3)))
    told: list[int] = []
    connection: Any = SimpleNamespace(
        address="10.1.2.3",
        reply=lambda status, *_: told.append(status),
        reply_page=lambda *_: told.append(200),
    )
    asked = HttpRequest()
    asked.method, asked.target = "GET", path.encode()
    for _ in range(4):
        gateway._handle(connection, asked)
    assert 429 not in told[:3]
    assert told[3] == 429

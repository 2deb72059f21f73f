"""A connection is closed when it has been quiet for a while, counted from its last reply."""

import asyncio

import pytest

from ringfence.exchange.gateway import http
from ringfence.exchange.gateway.http import HttpConnection, HttpRequest

REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


async def test_a_connection_stays_while_it_is_used_and_goes_when_it_is_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "_IDLE_SECONDS", 0.4)
    loop = asyncio.get_running_loop()
    connections: set[HttpConnection] = set()

    def handle(connection: HttpConnection, request: HttpRequest) -> None:
        connection.reply(200, b"{}")

    server = await loop.create_server(
        lambda: HttpConnection(handle, lambda *_: None, connections), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(6):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.1)
    assert connections, "it was closed in the middle of its use"
    last = loop.time()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert loop.time() - last > 0.2
    writer.close()
    server.close()

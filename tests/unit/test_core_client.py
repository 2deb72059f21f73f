"""A line to the core is one when the core has greeted, not before."""

import asyncio
from pathlib import Path

import pytest

from ringfence.exchange.feed import CoreClient, Load, encode_status


async def test_a_line_that_is_lost_before_its_greeting_takes_no_command(tmp_path: Path) -> None:
    """Otherwise a command is written to it of whose loss nobody hears, and its client waits for ever."""
    waiting: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda _, writer: waiting.append(writer), tmp_path / "core.sock")
    client = CoreClient(tmp_path / "core.sock", lambda sequence: None)
    connecting = asyncio.create_task(client.connect())
    while not waiting:
        await asyncio.sleep(0.001)
    assert not client.is_connected
    with pytest.raises(ConnectionError, match="nothing was sent"):
        client.submit(bytes(64))
    waiting[0].write(encode_status(7, 1, Load()))
    await connecting
    assert client.is_connected
    client.submit(bytes(64))
    waiting[0].close()
    while client.is_connected:
        await asyncio.sleep(0.001)
    server.close()

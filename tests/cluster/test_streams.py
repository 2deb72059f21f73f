"""Every stream keeps the same promises: the one in memory, one server's, and three servers' through their losses."""

import asyncio
import random
from pathlib import Path

import nats.errors
import pytest

from ringfence.exchange.journal import FencedError
from ringfence.testing.stream import MemoryStream, Network, Server, check_stream
from tests.cluster.stream_servers import Servers


async def test_the_stream_in_memory() -> None:
    server, dice = Server(), random.Random(1)
    await check_stream(MemoryStream(server, Network(dice)), MemoryStream(server, Network(dice)))


async def test_three_servers(servers: Servers) -> None:
    first, one = await servers.open("CHECK")
    second, other = await servers.open("CHECK")
    await check_stream(one, other)
    await first.close()
    await second.close()


async def test_one_server(tmp_path: Path) -> None:
    with Servers(tmp_path, count=1) as alone:
        first, one = await alone.open("CHECK")
        second, other = await alone.open("CHECK")
        await check_stream(one, other)
        await first.close()
        await second.close()


async def test_a_hundred_races_have_one_winner_each(servers: Servers) -> None:
    clients = [await servers.open("RACES") for _ in range(2)]
    for number in range(100):
        outcomes = await asyncio.gather(
            *(
                stream.append(
                    f"{who} {number}".encode(), digest=bytes((who, number)) * 16, after=number, notes={}
                )
                for who, (_, stream) in enumerate(clients)
            ),
            return_exceptions=True,
        )
        assert sorted(isinstance(outcome, FencedError) for outcome in outcomes) == [False, True]
    assert await clients[0][1].last() == 100
    for client, _ in clients:
        await client.close()


async def test_the_servers_leader_is_killed_while_we_write(servers: Servers) -> None:
    client, stream = await servers.open("KILLED")
    for number in range(60):
        if number in (20, 40):
            leader = await stream.leader()
            servers.kill(leader)
            asyncio.get_running_loop().call_later(1, servers.start, leader)
        text = f"entry {number}".encode()
        assert await stream.append(text, digest=text.ljust(32), after=number, notes={}) == number + 1
    found = []
    while len(found) < 60:
        found += await stream.read(len(found) + 1)
    assert [entry.raw for entry in found] == [f"entry {number}".encode() for number in range(60)]
    await client.close()


async def test_a_stranger_is_not_let_in(servers: Servers) -> None:
    from ringfence.daemons.cluster import read_cluster
    from ringfence.exchange.journal import StreamUnavailableError
    from ringfence.exchange.journal.jetstream import connect

    config = read_cluster(servers.directory)
    assert config is not None
    with pytest.raises(StreamUnavailableError, match="lets us in"):
        await connect(config.servers[:1], user="ringfence", password="guess", name="a stranger")


async def test_the_header_that_kills_newer_servers_is_refused_and_harms_nothing(servers: Servers) -> None:
    """2.14 and 2.15 lose a replicated stream to this one publish: who wants another version sees it here first."""
    client, stream = await servers.open("BRICK")
    await stream.append(b"before", digest=b"before".ljust(32), after=0, notes={})
    answer = await client.request(
        stream.subject, b"x", timeout=5, headers={"Nats-Expected-Last-Msg-Id": "zzz"}
    )
    assert b"10070" in answer.data
    try:
        assert (
            await asyncio.wait_for(stream.append(b"after", digest=b"after".ljust(32), after=1, notes={}), 10)
            == 2
        )
    except (TimeoutError, nats.errors.Error):
        pytest.fail("one publish has stopped the stream: do not use this version of nats-server")
    await client.close()

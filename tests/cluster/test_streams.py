"""Every stream keeps the same promises: the one in memory, one server's, and three servers' through their losses."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import nats.errors
import pytest

from ringfence.daemons.cluster_founding import ETCD
from ringfence.daemons.stream_server import program_of
from ringfence.exchange.journal import Entry, FencedError, StreamLostError
from ringfence.testing.stream import MemoryStream, Network, Server, check_stream
from tests.cluster.stream_servers import Servers, stream_leader


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


@pytest.mark.slow
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


# ---- etcd's


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if program_of(ETCD) is None:
        pytest.skip("etcd is not installed (Debian package etcd-server)")
    with Servers(tmp_path_factory.mktemp("etcd"), kind=ETCD) as running:
        yield running


async def test_three_servers_of_etcd(etcd: Servers) -> None:
    one, other = await etcd.open_etcd(), await etcd.open_etcd()
    await check_stream(await one.stream("A"), await other.stream("A"))
    await one.close()
    await other.close()


async def test_etcd_lets_go_of_what_every_machine_has(etcd: Servers) -> None:
    servers = await etcd.open_etcd()
    stream = await servers.stream("TRIM")
    for number in range(10):
        text = b"entry %d" % number
        await stream.append(text, digest=text.ljust(32), after=number, notes={})
    await stream.trim(6)
    assert await stream.first() == 6
    assert [entry.number for entry in await stream.read(6)] == [6, 7, 8, 9, 10]
    with pytest.raises(StreamLostError, match="no entry 3 any more"):
        await stream.read(3)
    await stream.trim(2)
    assert await stream.first() == 6
    assert await stream.append(b"next", digest=b"next".ljust(32), after=10, notes={}) == 11
    await servers.close()


async def test_what_one_machine_says_the_others_hear_by_etcd(etcd: Servers) -> None:
    one, other = await etcd.open_etcd(), await etcd.open_etcd()
    heard: list[tuple[str, bytes]] = []
    grown = asyncio.Event()
    await other.listen(lambda subject, body: heard.append((subject, body)), grown.set)
    await asyncio.sleep(0.5)
    await one.say("leader", b"here")
    stream = await one.stream("HEARD")
    await stream.append(b"entry", digest=b"entry".ljust(32), after=0, notes={})
    await asyncio.wait_for(grown.wait(), 5)
    assert heard == [("leader", b"here")]
    await one.close()
    await other.close()


async def test_etcds_leader_is_killed_while_we_write(etcd: Servers) -> None:
    servers = await etcd.open_etcd()
    stream = await servers.stream("KILLED")
    gaps = []
    for number in range(60):
        if number in (20, 40):
            victim = await stream_leader(etcd.directory)
            etcd.kill(victim)
            asyncio.get_running_loop().call_later(2, etcd.start, victim)
        text = b"entry %d" % number
        began = asyncio.get_running_loop().time()
        assert await stream.append(text, digest=text.ljust(32), after=number, notes={}) == number + 1
        gaps.append(asyncio.get_running_loop().time() - began)
        await asyncio.sleep(0.1 if number in (20, 40) else 0)
    print(f"longest append {max(gaps):.2f} s")
    found: list[Entry] = []
    while len(found) < 60:
        found += await stream.read(len(found) + 1)
    assert [entry.raw for entry in found] == [b"entry %d" % number for number in range(60)]
    await servers.close()

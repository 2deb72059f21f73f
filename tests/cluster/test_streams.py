"""Every stream keeps the same promises: the one in memory, one server's, and three servers' through their losses."""

import asyncio
import random
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nats.errors
import pytest

from ringfence.daemons.cluster import read_cluster, read_login, servers_certificates
from ringfence.daemons.cluster_founding import ETCD
from ringfence.daemons.cluster_servers import open_servers, renew, servers_context
from ringfence.daemons.pinned_tls import client_context, ensure_certificate
from ringfence.daemons.stream_server import program_of
from ringfence.exchange.journal import Entry, FencedError, StreamLostError, StreamUnavailableError
from ringfence.exchange.journal.jetstream import connect
from ringfence.testing.stream import MemoryStream, Network, Server, check_stream
from tests.cluster.stream_servers import Servers, make_older, stream_leader


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


async def test_a_frozen_server_is_left_for_the_next(servers: Servers) -> None:
    """By who is connected, and by who comes: TLS waits for nobody's farewell."""
    config = read_cluster(servers.directory)
    assert config is not None
    client, stream = await servers.open("FROZEN")
    assert client.connected_url is not None
    assert client.connected_url.netloc == urlsplit(config.servers[0]).netloc
    await stream.append(b"before", digest=b"before".ljust(32), after=0, notes={})
    servers.processes["nats-1"].send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            assert await stream.append(b"after", digest=b"after".ljust(32), after=1, notes={}) == 2
        async with asyncio.timeout(10):
            other, _ = await servers.open("FROZEN")
    finally:
        servers.processes["nats-1"].send_signal(signal.SIGCONT)
    await client.close()
    await other.close()


async def test_a_stranger_is_not_let_in(servers: Servers, tmp_path: Path) -> None:
    """With the right certificate and another password, with another certificate, with none, and without TLS."""
    config, login = read_cluster(servers.directory), read_login(servers.directory)
    assert config is not None
    known = servers_certificates(servers.directory)
    stranger = tmp_path / "stranger"
    ensure_certificate(stranger, "node-1")
    mine, theirs = servers_context(servers.directory), client_context(stranger, known)
    nobodys = ssl.create_default_context(cafile=str(known))
    nobodys.check_hostname = False
    client, _ = await servers.open("CHECK")
    await client.close()
    for context, password in (
        (mine, "guess"),
        (theirs, login.password),
        (nobodys, login.password),
        (None, login.password),
    ):
        with pytest.raises(StreamUnavailableError, match="lets us in"):
            await connect(
                config.servers[:1], user=login.user, password=password, name="a stranger", context=context
            )


async def test_an_older_cluster_without_tls_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = Servers(tmp_path, count=1)
    make_older(tmp_path)
    config = read_cluster(tmp_path)
    assert config is not None
    with running:
        until = asyncio.get_running_loop().time() + 20
        while True:
            try:
                opened = await open_servers(tmp_path, config)
                break
            except StreamUnavailableError:
                assert asyncio.get_running_loop().time() < until
                await asyncio.sleep(0.1)
        assert "without TLS" in caplog.text
        stream = await opened.stream("OLDER")
        assert await stream.append(b"x", digest=b"x".ljust(32), after=0, notes={}) == 1
        await renew(opened, tmp_path, config)
        assert await stream.last() == 1
        await opened.close()


async def test_who_stands_between_hears_no_password(tmp_path: Path) -> None:
    """Somebody in the server's place says that there is no TLS: the client says nothing but hello to that."""
    heard = []

    async def play_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"X","version":"2.12.8","max_payload":1048576,"tls_required":false}\r\n'
        )
        heard.append(await reader.read(1 << 16))
        writer.close()

    listening = await asyncio.start_server(play_server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    ensure_certificate(tmp_path, "node-1")
    with pytest.raises(StreamUnavailableError):
        await connect(
            [f"tls://127.0.0.1:{port}"], user="ringfence", password="secret", name="a test",
            context=client_context(tmp_path, tmp_path / "tls.crt"),
        )  # fmt: skip
    listening.close()
    assert heard
    assert all(said.startswith(b"\x16\x03") and b"secret" not in said for said in heard)


async def test_servers_say_nothing_in_the_clear(servers: Servers) -> None:
    """To clients or to each other: who speaks NATS without TLS is told nothing at all and cut off."""
    client, _ = await servers.open("CHECK")
    await client.close()
    text = servers.layout.servers["nats-1"].read_text()
    ports = re.findall(r"listen: 127\.0\.0\.1:(\d+)", text)
    assert len(ports) == 2
    for port in ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b'CONNECT {"user":"ringfence","pass":"guess"}\r\nPING\r\n')
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        # At most TLS's own word for a first message that is none, seven bytes.
        assert len(answer) <= 7, answer


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

"""Machines' and servers' certificates are replaced under load: no order is lost, no line cut, old ones are refused."""

import asyncio
import shutil
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ringfence.daemons import cluster_rotation
from ringfence.daemons.cluster import address_of, read_cluster, servers_certificates
from ringfence.daemons.cluster_founding import ETCD, NATS
from ringfence.daemons.cluster_servers import lets_in
from ringfence.daemons.pinned_tls import (
    certificates_in,
    client_context,
    ensure_certificate,
    fingerprint_of,
    fingerprints_of,
    server_context,
)
from ringfence.daemons.stream_server import program_of
from ringfence.testing.up import ringfence
from tests.cluster.stream_servers import Servers, make_older
from tests.cluster.test_failover import Crowd, check_journals
from tests.cluster.three import Cluster

_SESSION = 1 << 63
"""Newer than any: only who shows it may be a reason to be shut out."""


def _rotate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ringfence("cluster", "rotate-certificates", directory, *arguments, seconds=180)


@pytest.mark.parametrize("kind", [NATS, pytest.param(ETCD, marks=pytest.mark.slow)])
def test_every_certificate_is_replaced_under_load(tmp_path: Path, kind: str) -> None:
    if program_of(kind) is None:
        pytest.skip(f"no server of {kind} is installed")
    with Cluster(tmp_path, accounts=4, gateways=3, kind=kind) as cluster:
        stream = tmp_path / "stream"
        folders = [own / "cluster" for own in cluster.nodes.values()]
        folders += [stream / name for name in cluster.layout.servers]
        before = [fingerprint_of(folder / "tls.crt") for folder in folders]
        leader = cluster.wait_leader()
        cluster.wait_followers(leader)
        follower = next(name for name in cluster.nodes if name != leader)
        # etcd's servers end to read their certificates, NATS's do not.
        stay = [name for name in cluster.processes if not name.startswith(ETCD)]
        running = {name: cluster.processes[name] for name in stay}
        old = tmp_path / "old"
        shutil.copytree(cluster.nodes[follower] / "cluster", old)
        old_server = tmp_path / "old-server"
        shutil.copytree(stream / f"{kind}-2", old_server, ignore=shutil.ignore_patterns("data"))
        crowd = Crowd(cluster)
        time.sleep(0.5)
        began = time.monotonic()
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(_rotate, tmp_path)
            while not done.done():
                for name in cluster.layout.servers:
                    if cluster.processes[name].poll() is not None:
                        cluster.start(name)
                time.sleep(0.05)
        ended = time.monotonic()
        assert done.result().returncode == 0, done.result().stderr
        crowd.first_answer_after(time.monotonic())
        assert all(cluster.processes[name] is one and one.poll() is None for name, one in running.items())
        after = [fingerprint_of(folder / "tls.crt") for folder in folders]
        assert not set(before) & set(after)
        assert sorted(fingerprints_of(stream / "trusted.crt")) == sorted(after)
        for own in cluster.nodes.values():
            assert sorted(fingerprints_of(servers_certificates(own))) == sorted(after[3:])
        leader = cluster.wait_leader()
        cluster.wait_followers(leader)
        config = read_cluster(tmp_path)
        assert config is not None
        for url in config.servers:
            address = urlsplit(url).netloc
            assert asyncio.run(lets_in(tmp_path, config, address))
            for shown in (old, old_server):
                context = client_context(shown, servers_certificates(tmp_path))
                assert not asyncio.run(lets_in(tmp_path, config, address, context=context)), (
                    "an old one is let in"
                )
        assert not _is_let_in(cluster, leader, old)
        # New lines are made with the new certificates: after a hand-over every gateway needs one.
        follower = next(name for name in cluster.nodes if name != leader)
        cluster.ask(leader, ask="hand-over", to=follower)
        assert cluster.wait_leader(other_than=leader) == follower
        crowd.first_answer_after(time.monotonic())
        # A server and a machine that are started again come in with what they have now.
        for name in (f"{kind}-2", leader):
            cluster.kill(name)
            cluster.start(name)
        leads = cluster.wait_leader()
        cluster.wait_followers(leads)
        crowd.first_answer_after(time.monotonic())
        crowd.stop()
        cluster.wait_level()
        machine = next(own for name, own in cluster.nodes.items() if name != cluster.wait_leader())
        assert _is_let_in(cluster, cluster.wait_leader(), machine / "cluster"), (
            "a machine of today is not let in"
        )
        answers, gap = crowd.answered_between(began, ended)
        print(f"{kind}: {ended - began:.1f} s, {answers} answers meanwhile, none for {gap:.2f} s at most")
    check_journals(cluster)


def _is_let_in(cluster: Cluster, leader: str, own: Path) -> bool:
    """Return whether a hello with a certificate is answered."""
    from ringfence.daemons.core_line import HELLO, HELLO_MAGIC

    config = read_cluster(cluster.nodes[leader])
    assert config is not None
    host, port = address_of(config.nodes[leader], leader)
    # Whoever it is, it knows the leader's certificate.
    known = next(path for name, path in cluster.nodes.items() if name != leader) / "cluster" / f"{leader}.crt"

    async def say_hello() -> bool:
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=client_context(own, known))
            writer.write(HELLO.pack(HELLO_MAGIC, _SESSION))
            await writer.drain()
            answered = bool(await asyncio.wait_for(reader.read(1), 5))
            writer.close()
            return answered
        except (OSError, ssl.SSLError, TimeoutError):
            return False

    return asyncio.run(say_hello())


def test_the_steps_by_themselves(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    own, other = cluster.nodes["node-1"], cluster.nodes["node-2"]
    with pytest.raises(cluster_rotation.RotationError, match="`prepare` comes first"):
        cluster_rotation.switch(own)
    pinned = other / "cluster" / "node-1.crt"
    before = certificates_in(pinned.read_text())
    made = cluster_rotation.prepare(own, "node-1")
    assert cluster_rotation.prepare(own, "node-1") == made, "a step that is done twice changes nothing"
    for _ in range(2):
        cluster_rotation.trust(other, "node-1", made)
    assert certificates_in(pinned.read_text()) == [*before, made]
    cluster_rotation.switch(own)
    cluster_rotation.drop(other, "node-1")
    assert pinned.read_text() == made == (own / "cluster" / "tls.crt").read_text()
    assert not list((own / "cluster" / "next").iterdir())


async def test_a_servers_certificate_step_by_step(tmp_path: Path) -> None:
    with Servers(tmp_path, count=1) as servers:
        client, _ = await servers.open("CHECK")
        config = read_cluster(tmp_path)
        assert config is not None
        address = urlsplit(config.servers[0]).netloc
        own = tmp_path / "stream" / "nats-1"
        before = client_context(tmp_path / "cluster", own / "tls.crt")
        made = ("--certificate", str(own / "next" / "tls.crt"))
        for step, more in (("prepare", ()), ("trust", made), ("switch", ()), ("drop", ())):
            done = await asyncio.to_thread(_rotate, tmp_path, "--step", step, "--node", "nats-1", *more)
            assert done.returncode == 0, done.stderr
        after = client_context(tmp_path / "cluster", own / "tls.crt")
        assert await cluster_rotation.comes(lambda: lets_in(tmp_path, config, address, context=after), 10)
        assert not await lets_in(tmp_path, config, address, context=before)
        assert client.is_connected
        await client.close()


@pytest.mark.parametrize("kind", [NATS, ETCD])
def test_founding_again_changes_nothing(tmp_path: Path, kind: str) -> None:
    Cluster(tmp_path, kind=kind)
    made = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    Cluster(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == made


@pytest.mark.parametrize("urls", ['"tls://a:1", "nats://b:1"', '"a:1"', '"http://a:1"'])
def test_servers_are_all_spoken_to_in_one_way(tmp_path: Path, urls: str) -> None:
    (tmp_path / "cluster.toml").write_text(
        f'node = "a"\nservers = [{urls}]\n[nodes.a]\nline = "127.0.0.1:1"\n'
    )
    with pytest.raises(ValueError, match="all begin with"):
        read_cluster(tmp_path)


def test_machines_of_an_older_cluster_without_tls_get_new_ones(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    make_older(tmp_path)
    own, other = cluster.nodes["node-1"], cluster.nodes["node-2"]
    before = fingerprint_of(own / "cluster" / "tls.crt"), fingerprint_of(other / "cluster" / "tls.crt")
    done = _rotate(tmp_path, "--node", "node-1")
    assert done.returncode == 0, done.stderr
    assert fingerprint_of(own / "cluster" / "tls.crt") != before[0]
    assert fingerprint_of(other / "cluster" / "tls.crt") == before[1]
    assert fingerprints_of(other / "cluster" / "node-1.crt") == [fingerprint_of(own / "cluster" / "tls.crt")]
    with pytest.raises(ValueError, match=r"knows no nats-1\. Nothing was changed"):
        cluster_rotation.known_in(other, "nats-1")


def test_a_cluster_on_etcd_of_before_keeps_its_file(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, kind=ETCD)
    for own in cluster.nodes.values():
        (own / "cluster" / "servers.crt").rename(own / "cluster" / "etcd.crt")
    assert _rotate(tmp_path, "--step", "prepare", "--node", "etcd-1").returncode == 0
    made = tmp_path / "stream" / "etcd-1" / "next" / "tls.crt"
    done = _rotate(tmp_path, "--step", "trust", "--node", "etcd-1", "--certificate", str(made))
    assert done.returncode == 0, done.stderr
    assert fingerprint_of(made) in fingerprints_of(tmp_path / "cluster" / "etcd.crt")
    assert not (tmp_path / "cluster" / "servers.crt").exists()


@pytest.mark.parametrize(
    "text", ["", "nothing", "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
)
def test_what_is_no_certificate_is_trusted_by_nobody(tmp_path: Path, text: str) -> None:
    cluster = Cluster(tmp_path)
    pinned = cluster.nodes["node-2"] / "cluster" / "node-1.crt"
    before = pinned.read_bytes()
    with pytest.raises(ValueError, match=r"."):
        cluster_rotation.trust(cluster.nodes["node-2"], "node-1", text)
    assert pinned.read_bytes() == before


def test_both_certificates_of_a_machine_pass_while_it_is_replaced(tmp_path: Path) -> None:
    """OpenSSL looks at one alone of two with the same subject, so they must differ in it."""
    server, old, new = (tmp_path / name for name in ("server", "old", "new"))
    for folder, name in ((server, "node-1"), (old, "node-2"), (new, "node-2")):
        ensure_certificate(folder, name)

    async def greet_both() -> list[bytes]:
        context = server_context(server, [old / "tls.crt"])
        context.load_verify_locations(new / "tls.crt")

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"welcome")
            await writer.drain()
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        heard = []
        for who in (old, new):
            mine = client_context(who, server / "tls.crt")
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=mine)
            heard.append(await reader.read())
            writer.close()
        listening.close()
        return heard

    assert asyncio.run(greet_both()) == [b"welcome"] * 2

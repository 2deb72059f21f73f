"""Certificates of machines are replaced under load: no order is lost, no line cut, and the old ones open nothing."""

import asyncio
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ringfence.daemons import cluster_rotation
from ringfence.daemons.cluster import address_of, read_cluster
from ringfence.daemons.cluster_founding import ETCD
from ringfence.daemons.cluster_servers import is_back
from ringfence.daemons.pinned_tls import (
    certificates_in,
    client_context,
    ensure_certificate,
    fingerprint_of,
    fingerprints_of,
    server_context,
)
from ringfence.daemons.stream_server import program_of
from ringfence.exchange.journal import StreamUnavailableError
from ringfence.exchange.journal.etcd import EtcdServers
from ringfence.testing.up import ringfence
from tests.cluster.test_failover import Crowd, check_journals
from tests.cluster.three import Cluster

_SESSION = 1 << 63
"""Newer than any: only who shows it may be a reason to be shut out."""


def _rotate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ringfence("cluster", "rotate-certificates", directory, *arguments, seconds=180)


def test_every_certificate_is_replaced_under_load(tmp_path: Path) -> None:
    with Cluster(tmp_path, accounts=4, gateways=3) as cluster:
        before = {name: fingerprint_of(own / "cluster" / "tls.crt") for name, own in cluster.nodes.items()}
        leader = cluster.wait_leader()
        follower = next(name for name in cluster.nodes if name != leader)
        old = tmp_path / "old"
        old.mkdir()
        for file in ("tls.key", "tls.crt"):
            (old / file).write_bytes((cluster.nodes[follower] / "cluster" / file).read_bytes())
        crowd = Crowd(cluster)
        time.sleep(0.5)
        done = _rotate(tmp_path)
        assert done.returncode == 0, done.stderr
        moment = time.monotonic()
        crowd.first_answer_after(moment)
        assert all(process.poll() is None for process in cluster.processes.values())
        assert cluster.leader() == leader
        after = {name: fingerprint_of(own / "cluster" / "tls.crt") for name, own in cluster.nodes.items()}
        assert not set(before.values()) & set(after.values())
        assert not _is_let_in(cluster, leader, old)
        # New lines are made with the new certificates: after a hand-over every gateway needs one.
        cluster.wait_followers(leader)
        cluster.ask(leader, ask="hand-over", to=follower)
        assert cluster.wait_leader(other_than=leader) == follower
        crowd.first_answer_after(time.monotonic())
        time.sleep(0.5)
        crowd.stop()
        cluster.wait_level()
        leads = cluster.wait_leader()
        machine = next(own for name, own in cluster.nodes.items() if name != leads)
        assert _is_let_in(cluster, leads, machine / "cluster"), "a machine of today is not let in"
    check_journals(cluster)


@pytest.mark.slow
def test_every_certificate_is_replaced_under_load_with_etcd(tmp_path: Path) -> None:
    if program_of(ETCD) is None:
        pytest.skip("etcd is not installed (Debian package etcd-server)")
    with Cluster(tmp_path, accounts=4, gateways=3, kind=ETCD) as cluster:
        stream = tmp_path / "stream"
        folders = [own / "cluster" for own in cluster.nodes.values()]
        folders += [stream / name for name in cluster.layout.servers]
        before = [fingerprint_of(folder / "tls.crt") for folder in folders]
        leader = cluster.wait_leader()
        cluster.wait_followers(leader)
        cores = {name: cluster.processes[name] for name in cluster.nodes}
        old = tmp_path / "old"
        old.mkdir()
        for file in ("tls.key", "tls.crt"):
            (old / file).write_bytes((folders[1] / file).read_bytes())
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
        assert all(cluster.processes[name] is core and core.poll() is None for name, core in cores.items())
        after = [fingerprint_of(folder / "tls.crt") for folder in folders]
        assert not set(before) & set(after)
        known = fingerprints_of(stream / "trusted.crt")
        assert sorted(known) == sorted(after)
        for own in cluster.nodes.values():
            assert sorted(fingerprints_of(own / "cluster" / "etcd.crt")) == sorted(after[3:])
        cluster.wait_followers(cluster.wait_leader())
        config = read_cluster(tmp_path)
        assert config is not None
        for url in config.servers:
            assert asyncio.run(is_back(tmp_path, config, url))
            assert not asyncio.run(_opens(old, folders[0] / "etcd.crt", url)), "an old certificate is let in"
        # A server and a machine that are started again come in with what they have now.
        follower = next(name for name in cluster.nodes if name != cluster.wait_leader())
        for name in ("etcd-2", follower):
            cluster.kill(name)
            cluster.start(name)
        cluster.wait_followers(cluster.wait_leader())
        crowd.first_answer_after(time.monotonic())
        crowd.stop()
        cluster.wait_level()
        answers, gap = crowd.answered_between(began, ended)
        print(f"{ended - began:.1f} s, {answers} answers meanwhile, none for {gap:.2f} s at most")
    check_journals(cluster)


async def _opens(own: Path, servers: Path, url: str) -> bool:
    try:
        one = await EtcdServers.open((url,), context=client_context(own, servers), prefix="CHECK")
    except StreamUnavailableError:
        return False
    await one.close()
    return True


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

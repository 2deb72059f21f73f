"""The password at NATS's servers is replaced under load: no order is lost, and the old one opens nothing."""

import subprocess
import time
from pathlib import Path

import pytest
from nats.aio.client import Client

from ringfence.daemons import cluster_password, cluster_rotation
from ringfence.daemons.cluster import read_cluster, read_login
from ringfence.daemons.cluster_rotation import RotationError, comes
from ringfence.daemons.cluster_servers import lets_in
from ringfence.exchange.journal.jetstream import hang_up
from ringfence.testing.up import ringfence
from tests.cluster.stream_servers import Servers, make_older
from tests.cluster.test_failover import Crowd, check_journals
from tests.cluster.three import Cluster


def _rotate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ringfence("cluster", "rotate-password", directory, *arguments, seconds=90)


@pytest.mark.slow
def test_the_password_is_replaced_under_load(tmp_path: Path) -> None:
    with Cluster(tmp_path, accounts=4, gateways=3) as cluster:
        old = read_login(tmp_path)
        leader = cluster.wait_leader()
        cluster.wait_followers(leader)
        crowd = Crowd(cluster)
        time.sleep(0.5)
        began = time.monotonic()
        done = _rotate(tmp_path)
        ended = time.monotonic()
        assert done.returncode == 0, done.stderr
        crowd.first_answer_after(time.monotonic())
        assert all(process.poll() is None for process in cluster.processes.values())
        assert cluster.leader() == leader
        logins = {read_login(own) for own in cluster.nodes.values()}
        assert len(logins) == 1
        assert old not in logins
        for configuration in cluster.layout.servers.values():
            assert old.password not in configuration.read_text()
        # Who is started again comes in with the new one.
        follower = next(name for name in cluster.nodes if name != leader)
        cluster.kill(follower)
        cluster.start(follower)
        cluster.wait_followers(leader)
        crowd.first_answer_after(time.monotonic())
        crowd.stop()
        cluster.wait_level()
        answers, gap = crowd.answered_between(began, ended)
        print(f"{ended - began:.1f} s, {answers} answers meanwhile, none for {gap:.2f} s at most")
    check_journals(cluster)


@pytest.mark.parametrize("is_older", [False, True], ids=["tls", "clear"])
async def test_who_is_connected_stays_until_the_last_step(tmp_path: Path, is_older: bool) -> None:
    servers = Servers(tmp_path, count=1)
    if is_older:
        make_older(tmp_path)
    with servers:
        client, stream = await servers.open("CHECK")
        old = read_login(tmp_path)
        configuration = servers.layout.servers["nats-1"]
        new = cluster_password.prepare(tmp_path)
        with pytest.raises(RotationError, match="`use` comes first"):
            cluster_password.drop(tmp_path, configuration)
        cluster_password.allow(tmp_path, configuration)
        await cluster_password.taken_up(tmp_path, configuration, new)
        assert await stream.append(b"still", digest=b"1" * 32, after=0, notes={}) == 1
        assert client.is_connected
        cluster_password.use(tmp_path)
        assert read_login(tmp_path) == new
        cluster_password.drop(tmp_path, configuration)
        await cluster_password.taken_up(tmp_path, configuration, old, is_wanted=False)
        assert await comes(lambda: _is_cut_off(client), 5)
        await hang_up(client)
        again, stream = await servers.open("CHECK")
        assert await stream.last() == 1
        await again.close()


async def _is_cut_off(client: Client) -> bool:
    return not client.is_connected


def test_steps_out_of_order_change_nothing(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    configuration = cluster.layout.servers["nats-1"]
    before = configuration.read_bytes(), read_login(tmp_path)
    with pytest.raises(RotationError, match="`prepare` comes first"):
        cluster_password.allow(tmp_path, configuration)
    with pytest.raises(RotationError, match="`prepare` comes first"):
        cluster_password.use(tmp_path)
    made = cluster_password.prepare(tmp_path)
    assert cluster_password.prepare(tmp_path) == made, "a step that is done twice changes nothing"
    configuration.write_text("listen: 127.0.0.1:1\n")
    with pytest.raises(RotationError, match="written by hand"):
        cluster_password.allow(tmp_path, configuration)
    configuration.write_bytes(before[0])
    assert (configuration.read_bytes(), read_login(tmp_path)) == before
    # As operators write it.
    configuration.write_text("listen: 127.0.0.1:1\nauthorization { user: ringfence, password: mine }\n")
    cluster_password.allow(tmp_path, configuration)
    assert made.password in configuration.read_text()


@pytest.mark.slow
async def test_a_rotation_that_was_killed_is_done_again(tmp_path: Path) -> None:
    """Killed after one machine of three had gone over: once more, all are one user, and the old one is none."""
    with Servers(tmp_path) as servers:
        client, _ = await servers.open("CHECK")
        await hang_up(client)
        old = read_login(tmp_path)
        for configuration in servers.layout.servers.values():
            cluster_password.prepare(tmp_path)
            cluster_password.allow(tmp_path, configuration)
            assert cluster_rotation.have_read(configuration)
        cluster_password.use(tmp_path)
        done = _rotate(tmp_path)
        assert done.returncode == 0, done.stderr
        (login,) = {read_login(own) for own in servers.layout.directories.values()}
        assert login != old
        client, _ = await servers.open("CHECK")
        await hang_up(client)
        config = read_cluster(tmp_path)
        assert config is not None
        for configuration in servers.layout.servers.values():
            address = cluster_rotation.address_of_server(configuration)
            assert await lets_in(tmp_path, config, address)
            assert not await lets_in(tmp_path, config, address, login=old)

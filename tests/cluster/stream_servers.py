"""Real servers of the stream, without any exchange."""

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from nats.aio.client import Client

from ringfence.daemons import cluster, cluster_founding
from ringfence.daemons.cluster_servers import nats_context, servers_context
from ringfence.exchange.journal import StreamUnavailableError
from ringfence.exchange.journal.etcd import EtcdServers
from ringfence.exchange.journal.jetstream import JetStream, connect, hang_up

_START_SECONDS = 40.0


class Servers:
    """As many as are asked for, in a folder."""

    def __init__(self, directory: Path, *, count: int = 3, kind: str = cluster_founding.NATS) -> None:
        self.directory, self.count = directory, count
        self.layout = cluster_founding.found(directory, replicas=count, kind=kind)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def config(self) -> cluster.ClusterConfig:
        config = cluster.read_cluster(self.directory)
        assert config is not None
        return config

    def start(self, name: str) -> None:
        with open(self.directory / f"{name}.log", "ab") as log:
            command = [sys.executable, "-m", "ringfence.daemons.stream_server", str(self.directory), name]
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    async def open(self, name: str) -> tuple[Client, JetStream]:
        """Return a stream over a connection of its own, once the servers have found each other."""
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while True:
            try:
                user, password = cluster.read_login(self.directory)
                client = await connect(
                    self.config.servers, user=user, password=password, name="a test",
                    context=nats_context(self.directory, self.config),
                )  # fmt: skip
                try:
                    return client, await JetStream.open(client, name, replicas=self.count)
                except StreamUnavailableError:
                    await hang_up(client)
                    raise
            except StreamUnavailableError:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.2)

    async def open_etcd(self) -> EtcdServers:
        """Return a connection of its own, once the servers have found each other."""
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while True:
            try:
                context = servers_context(self.directory)
                return await EtcdServers.open(self.config.servers, context=context, prefix="CHECK")
            except StreamUnavailableError:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.2)

    def __enter__(self) -> Self:
        for name in self.layout.servers:
            self.start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def make_older(directory: Path) -> None:
    """Make a cluster on NATS, of which nothing runs, one that was founded before its servers spoke TLS."""
    homes = [directory, *sorted((directory / cluster_founding.NODES_FOLDER).iterdir())]
    for own in homes:
        text = (own / cluster.NAME).read_text()
        (own / cluster.NAME).write_text(text.replace("tls://", "nats://"))
        cluster.servers_certificates(own).unlink()
    (directory / cluster.SERVERS_FOLDER / cluster_founding.TRUSTED).unlink()
    for path in (directory / cluster.SERVERS_FOLDER).glob("*.conf"):
        text = re.sub(r"^tls \{.*\n|tls \{[^}]*\}, ", "", path.read_text(), flags=re.MULTILINE)
        path.write_text(text.replace(f"/{path.stem}/data", f"/{path.stem}"))
        shutil.rmtree(path.with_suffix(""))


async def stream_leader(directory: Path) -> str:
    """Return the name of the server that leads the stream of the cluster in a directory."""
    config = cluster.read_cluster(directory)
    assert config is not None
    if not config.is_etcd:
        user, password = cluster.read_login(directory)
        client = await connect(
            config.servers, user=user, password=password, name="a test", context=servers_context(directory)
        )
        try:
            return await JetStream(client, config.stream).leader()
        finally:
            await hang_up(client)
    context = servers_context(directory)
    # The first node has the servers in the order of their names.
    for number, url in enumerate(config.servers, 1):
        try:
            one = await EtcdServers.open((url,), context=context, prefix=config.stream)
        except StreamUnavailableError:
            continue
        told = await one.ask("maintenance/status", {})
        await one.close()
        if told["leader"] == told["header"]["member_id"]:
            return f"{cluster_founding.ETCD}-{number}"
    raise StreamUnavailableError("no server of etcd leads")

"""How a machine comes by its stream's servers: whose they are is in its configuration, what it shows them beside it."""

import ssl
from pathlib import Path

from ringfence.daemons import cluster
from ringfence.daemons.cluster import ClusterConfig
from ringfence.daemons.pinned_tls import client_context
from ringfence.exchange.journal import Servers, StreamUnavailableError
from ringfence.exchange.journal.etcd import EtcdServers
from ringfence.exchange.journal.jetstream import NatsServers


async def open_servers(directory: Path, config: ClusterConfig, *, name: str = "") -> Servers:
    """Connect. Raises StreamUnavailableError; OSError or ValueError if what it needs for that is no good."""
    if config.is_etcd:
        return await EtcdServers.open(config.servers, context=etcd_context(directory), prefix=config.stream)
    user, password = cluster.read_login(directory)
    return await NatsServers.open(
        config.servers, user=user, password=password, name=name or config.node,
        subject=config.stream, replicas=config.replicas,
    )  # fmt: skip


async def renew(servers: Servers, directory: Path) -> None:
    """Connect with what the directory has now, and go over to that. Raises StreamUnavailableError, OSError, ValueError.

    After an error everything is as before.
    """
    if isinstance(servers, EtcdServers):
        await servers.renew(context=etcd_context(directory))
    elif isinstance(servers, NatsServers):
        user, password = cluster.read_login(directory)
        await servers.renew(user=user, password=password)


async def is_back(directory: Path, config: ClusterConfig, url: str) -> bool:
    """Return whether a server of etcd answers, and with it most of them: it has to ask the others for this."""
    try:
        one = await EtcdServers.open((url,), context=etcd_context(directory), prefix=config.stream)
    except StreamUnavailableError:
        return False
    await one.close()
    return True


def etcd_context(directory: Path) -> ssl.SSLContext:
    """Return what a machine needs to speak to etcd's servers. Raises OSError, ssl.SSLError."""
    folder = directory / cluster.FOLDER
    return client_context(folder, folder / cluster.ETCD_CERTIFICATES)
